"""What the plugin adds to a training step, measured against verl's naive manager inside one run.

    python benchmarks/plugin_overhead.py [--steps 10] [--output outputs/overhead]

Trains the tiny Qwen2.5-VL on the demo set under a manager that scores every response twice: with verl's naive manager,
whose function returns at once, and with `mixed_r1`; one response at a time, so that none waits for another. The sum of
the differences is an upper bound, because in training scoring goes on while other responses are still generated. To it
comes the time of the curves, which nothing hides.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import mean
from typing import Any

from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase

TIMES = "MIXED_R1_BENCHMARK_TIMES"


class BothManagers(RewardManagerBase):
    """Scores with the naive manager, then with `mixed_r1`, and appends both times to a file."""

    def __init__(self, config: Any, tokenizer: Any, compute_score: Any, *args: Any, **kwargs: Any):
        from verl.experimental.reward_loop.reward_manager.naive import NaiveRewardManager

        from mixed_r1_verl.plugin.reward_manager import MixedRewardManager

        super().__init__(config, tokenizer, compute_score)
        self.naive = NaiveRewardManager(config, tokenizer, lambda **sample: {"score": 0.0, "acc": 0.0})
        self.mixed = MixedRewardManager(config, tokenizer, None)
        self.alone = asyncio.Lock()
        self.times = Path(os.environ[TIMES])

    async def run_single(self, data: Any) -> dict[str, Any]:
        async with self.alone:
            start = time.perf_counter()
            await self.naive.run_single(data)
            middle = time.perf_counter()
            result = await self.mixed.run_single(data)
            end = time.perf_counter()
        with self.times.open("a", encoding="utf-8") as times:
            times.write(f"{middle - start} {end - middle}\n")
        return result


def train(output: Path, steps: int) -> None:
    """One run of `main_ppo` with the recipe as it is, but for the manager."""
    from mixed_r1_verl import tiny
    from mixed_r1_verl.data.demo import build_demo

    output.mkdir(parents=True, exist_ok=True)
    build_demo(output, rows=max(64, 16 * steps), val_rows=16)
    command = [
        *(sys.executable, "-m", "verl.trainer.main_ppo", "+recipe=mixed_r1_cpu"),
        f"data.train_files={output}/train.parquet",
        f"data.val_files={output}/val.parquet",
        f"actor_rollout_ref.model.path={Path(tiny.__file__).parent / 'assets' / 'qwen2_5_vl'}",
        "reward.reward_manager.source=importlib",
        f"reward.reward_manager.module.path={Path(__file__).resolve()}",
        f"reward.reward_manager.name={BothManagers.__name__}",
        "trainer.val_before_train=false",
        "trainer.test_freq=-1",
        "trainer.save_freq=-1",
        "trainer.logger=[file]",
        f"trainer.total_training_steps={steps}",
        f"hydra.run.dir={output}/hydra",
    ]
    environment = {"VERL_FILE_LOGGER_PATH": f"{output}/curves.jsonl", TIMES: f"{output}/times.txt"}
    with (output / "train.log").open("w", encoding="utf-8") as log:
        subprocess.run(
            command, cwd=output, stdout=log, stderr=subprocess.STDOUT, check=True, env={**os.environ, **environment}
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--output", type=Path, default=Path("outputs/overhead"))
    options = parser.parse_args()
    output = options.output.resolve()
    (output / "times.txt").unlink(missing_ok=True)
    train(output, options.steps)
    steps = [json.loads(line)["data"] for line in (output / "curves.jsonl").read_text().splitlines()][1:]
    pairs = [tuple(map(float, line.split())) for line in (output / "times.txt").read_text().splitlines()]
    naive, mixed = (sum(times) / options.steps for times in zip(*pairs, strict=True))
    step, curves = mean(s["timing_s/step"] for s in steps), mean(s["mixed_r1/curves_s"] for s in steps)
    print(f"{len(pairs)} responses in {options.steps} steps; the first step is left out of the means of steps")
    print(f"step                     {step:8.3f} s")
    print(f"scoring, verl's naive    {naive:8.3f} s a step")
    print(f"scoring, mixed_r1        {mixed:8.3f} s a step")
    print(f"curves                   {curves:8.3f} s a step")
    print(f"the plugin adds at most  {(mixed - naive + curves) / (step - mixed - naive):8.2%} of a step")


if __name__ == "__main__":
    main()
