"""The reward's share of a training step of the demo, with our manager and with verl's naive one on the same batches.

    python benchmarks/demo_reward_share.py outputs/demo [--batches 5]

Reads the rollouts, the training rows and the step times that `make demo` left. Both managers score the same responses
with the same rewards, in one reward worker as the demo has it: ours in processes with a time limit, verl's in the event
loop itself (`compute_score` as its custom reward function).
"""

import argparse
import json
import statistics
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from manager_batch import batch_seconds

from mixed_r1_verl import compute_score

sys.path.insert(0, str(Path(__file__).parents[1]))
from examples.demo.results import read_curves
from examples.demo.tiny import WARM_STARTED


def batch(rollouts: Path, rows: dict[tuple[str, str], dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """The responses of a step with the rows that they answer."""
    with rollouts.open(encoding="utf-8") as lines:
        values = [json.loads(line) for line in lines]
    return [(value["output"], rows[question(value["input"]), value["gts"]]) for value in values]


def question(prompt: str) -> str:
    """What was asked, out of a prompt with or without the marks of the chat template."""
    return prompt.replace("<image>", "").removeprefix("user").removesuffix("assistant\n").strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="folder of a demo run")
    parser.add_argument("--batches", type=int, default=5, help="steps to take, evenly over the run")
    arguments = parser.parse_args()
    table = pq.read_table(
        arguments.output / "data" / "train.parquet", columns=["data_source", "prompt", "reward_model", "extra_info"]
    )
    rows = {
        (question(row["prompt"][-1]["content"]), row["reward_model"]["ground_truth"]): row for row in table.to_pylist()
    }
    files = sorted((arguments.output / "rollouts").glob("*.jsonl"), key=lambda file: int(file.stem))
    files = files[:: max(1, len(files) // arguments.batches)][: arguments.batches]
    step = statistics.mean(value for _, value in read_curves(arguments.output / "tensorboard")["timing_s/step"])
    naive = partial(compute_score, embedding_model=str(WARM_STARTED))
    ours, theirs = [], []
    for file in files:
        responses = batch(file, rows)
        ours.append(min(batch_seconds(responses, 1)))
        theirs.append(min(batch_seconds(responses, 1, naive)))
        took = f"mixed_r1 {ours[-1]:.4f} s  naive {theirs[-1]:.4f} s"
        print(f"step {file.stem:>4}: {len(responses)} responses  {took}", flush=True)
    mean, theirs_mean = statistics.mean(ours), statistics.mean(theirs)
    print(f"a step takes {step:.2f} s; scoring takes {mean / step:.2%} of it, with naive {theirs_mean / step:.2%}")
    print(f"naive over mixed_r1: {theirs_mean / mean:.2f}")


if __name__ == "__main__":
    main()
