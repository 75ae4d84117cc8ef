"""What the plugin adds to a training step, measured against verl's naive manager inside one run.

    python benchmarks/plugin_overhead.py [--steps 8] [--output outputs/overhead]

Trains the tiny Qwen2.5-VL on the demo set under a manager that scores every response twice: with verl's naive manager,
whose function returns at once, and with `mixed_r1`. What is compared is CPU time, of the manager's process and of its
scoring process, with the CPU time of all processes of the run: unlike wall time it does not depend on what else the
machine does, nor on how much of the scoring is hidden behind the generation of other responses. The curves run in the
trainer alone and hide behind nothing, so that their wall time is given beside the step's.
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

import psutil
from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase

sys.path.insert(0, str(Path(__file__).parents[1]))
from examples.demo.data import build_demo
from examples.demo.tiny import WARM_STARTED

TIMES = "MIXED_R1_BENCHMARK_TIMES"


class BothManagers(RewardManagerBase):
    """Scores with the naive manager, then with `mixed_r1`, and appends the CPU seconds of both to a file."""

    def __init__(self, config: Any, tokenizer: Any, compute_score: Any, *args: Any, **kwargs: Any):
        from verl.experimental.reward_loop.reward_manager.naive import NaiveRewardManager

        from mixed_r1_verl.plugin.reward_manager import MixedRewardManager

        super().__init__(config, tokenizer, compute_score)
        self.naive = NaiveRewardManager(config, tokenizer, lambda **sample: {"score": 0.0, "acc": 0.0})
        self.mixed = MixedRewardManager(config, tokenizer, None)
        self.alone = asyncio.Lock()
        self.times = Path(os.environ[TIMES])
        self.scoring = [psutil.Process(pid) for pid in self.mixed.pool.pids]

    async def run_single(self, data: Any) -> dict[str, Any]:
        async with self.alone:  # so that the time is that of one response
            start = self.cpu_seconds()
            await self.naive.run_single(data)
            middle = self.cpu_seconds()
            result = await self.mixed.run_single(data)
            end = self.cpu_seconds()
        with self.times.open("a", encoding="utf-8") as times:
            times.write(f"{middle - start} {end - middle}\n")
        return result

    def cpu_seconds(self) -> float:
        """CPU seconds so far of this process and of the scoring process."""
        return time.process_time() + sum(sum(process.cpu_times()[:2]) for process in self.scoring)


def cpu_seconds(root: psutil.Process) -> float:
    """CPU seconds so far of a process and of all that it has started and that are alive."""
    total = 0.0
    for process in [root, *root.children(recursive=True)]:
        try:
            times = process.cpu_times()
        except psutil.Error:  # it has ended meanwhile
            continue
        total += times.user + times.system
    return total


def train(output: Path, steps: int) -> float:
    """One run of `main_ppo` with the recipe as it is, but for the manager; returns the CPU seconds of a step."""
    output.mkdir(parents=True, exist_ok=True)
    build_demo(output, rows=16 * max(4, steps), val_rows=16)
    command = [
        *(sys.executable, "-m", "verl.trainer.main_ppo", "+recipe=mixed_r1_cpu"),
        f"data.train_files={output}/train.parquet",
        f"data.val_files={output}/val.parquet",
        f"actor_rollout_ref.model.path={WARM_STARTED}",
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
    curves = output / "curves.jsonl"
    environment = {**os.environ, "VERL_FILE_LOGGER_PATH": str(curves), TIMES: f"{output}/times.txt"}
    with (output / "train.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(command, cwd=output, stdout=log, stderr=subprocess.STDOUT, env=environment)
    at_step: dict[int, float] = {}  # the first step is left out for its warm-up, the last for what ends with it
    while process.poll() is None:
        logged = curves.read_bytes().count(b"\n") if curves.exists() else 0
        if logged not in at_step and 1 <= logged < steps:
            at_step[logged] = cpu_seconds(psutil.Process(process.pid))
        time.sleep(0.2)
    if process.returncode:
        raise SystemExit(f"the run failed; its output is in {output / 'train.log'}")
    first, last = min(at_step), max(at_step)
    return (at_step[last] - at_step[first]) / (last - first)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--output", type=Path, default=Path("outputs/overhead"))
    options = parser.parse_args()
    if options.steps < 3:
        parser.error("--steps must be at least 3")
    output = options.output.resolve()
    for name in ("times.txt", "curves.jsonl"):
        (output / name).unlink(missing_ok=True)
    step = train(output, options.steps)
    steps = [json.loads(line)["data"] for line in (output / "curves.jsonl").read_text().splitlines()][1:]
    pairs = [tuple(map(float, line.split())) for line in (output / "times.txt").read_text().splitlines()]
    naive, mixed = (sum(times) / options.steps for times in zip(*pairs, strict=True))
    wall, curves = mean(s["timing_s/step"] for s in steps), mean(s["mixed_r1/curves_s"] for s in steps)
    print(f"{len(pairs)} responses in {options.steps} steps; the first step is left out of the means of steps")
    print(f"CPU time of a step, all processes       {step - naive - mixed:8.3f} s without scoring")
    print(f"CPU time of scoring, verl's naive       {naive:8.3f} s a step")
    print(f"CPU time of scoring, mixed_r1           {mixed:8.3f} s a step")
    print(f"mixed_r1 adds                           {(mixed - naive) / (step - naive - mixed):8.2%} of the CPU time")
    print(f"curves, wall time                       {curves:8.3f} s of {wall:.3f} s, {curves / wall:.2%}")


if __name__ == "__main__":
    main()
