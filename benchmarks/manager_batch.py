"""A training step's batch through the real reward manager, and through verl's own; for `reward_throughput.py`."""

import asyncio
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from measure import Row
from sample_rows import mixed_rows

sys.path.insert(0, str(Path(__file__).parents[1]))  # for the tiny model, which lies beside the demo

BATCH, WORKERS, ROUNDS = 4_096, 2, 4

Score = Callable[..., dict[str, float]]
"""What verl's naive manager calls: `data_source`, `solution_str`, `ground_truth`, `extra_info` → score and more."""


def nothing(**sample: Any) -> dict[str, float]:
    """Scores 0 at once: what the naive manager takes is then overhead alone."""
    return {"score": 0.0, "acc": 0.0}


def manager(seconds: float, folder: Path) -> Iterable[Row]:
    """A mixed batch of 4,096 responses through two reward workers, and through verl's `naive` manager."""
    try:
        import verl  # noqa: F401
    except ImportError:
        print("skipped: batch through the reward manager (package verl is not installed)")
        return
    rows = mixed_rows(BATCH)
    ours, naive = min(batch_seconds(rows, WORKERS)), min(batch_seconds(rows, WORKERS, nothing))
    yield Row("4,096 through mixed_r1", ours, "s", f"{WORKERS} reward workers; goal 3")
    yield Row("4,096 through verl's naive", naive, "s", "scoring itself takes no time here")
    yield Row("naive over mixed_r1", naive / ours, "x")


def batch_seconds(rows: Sequence[tuple[str, dict[str, Any]]], workers: int, naive: Score | None = None) -> list[float]:
    """Seconds that the reward workers take for one batch, for each round.

    Each worker is a process with a manager of its own, as verl's Ray actors are, and scores its part of the batch as
    `RewardLoopWorker.compute_score_batch` does; processes and tables are ready before the clock starts.

    Args:
        rows: responses and the rows that they answer.
        workers: number of reward workers.
        naive: run verl's `naive` manager with this function instead.
    """
    context = multiprocessing.get_context("spawn")
    start, done = context.Barrier(workers + 1), context.Barrier(workers + 1)
    parts = [rows[part * len(rows) // workers : (part + 1) * len(rows) // workers] for part in range(workers)]
    processes = [context.Process(target=_work, args=(naive, part, start, done)) for part in parts]
    for process in processes:
        process.start()
    seconds = []
    for _ in range(ROUNDS):
        start.wait(300)
        begin = time.perf_counter()
        done.wait(300)
        seconds.append(time.perf_counter() - begin)
    for process in processes:
        process.join()
    return seconds


def _work(naive: Score | None, rows: Sequence[tuple[str, dict[str, Any]]], start: Any, done: Any) -> None:
    import torch
    from omegaconf import OmegaConf
    from tensordict import TensorDict
    from verl import DataProto
    from verl.utils import hf_tokenizer
    from verl.utils.ray_utils import get_event_loop

    from examples.demo.tiny import WARM_STARTED
    from mixed_r1_verl.plugin.reward_manager import MixedRewardManager

    torch.set_num_threads(1)
    loop = get_event_loop()
    path = str(WARM_STARTED)
    tokenizer = hf_tokenizer(path)
    config = OmegaConf.create({"reward": {"reward_kwargs": {"mixed_r1": {"embedding_model": path}}}})
    if naive:
        from verl.experimental.reward_loop.reward_manager.naive import NaiveRewardManager

        manager: Any = NaiveRewardManager(config, tokenizer, naive)
    else:
        manager = MixedRewardManager(config, tokenizer, None)
    ids = [tokenizer(response, add_special_tokens=False)["input_ids"] for response, _ in rows]
    longest = max(map(len, ids))
    responses = torch.tensor([row + [tokenizer.pad_token_id] * (longest - len(row)) for row in ids])
    mask = torch.tensor([[1] * (4 + len(row)) + [0] * (longest - len(row)) for row in ids])
    data = DataProto(
        batch=TensorDict(
            {"prompts": torch.zeros(len(ids), 4, dtype=torch.long), "responses": responses, "attention_mask": mask},
            batch_size=len(ids),
        ),
        non_tensor_batch={
            key: np.array([row[key] for _, row in rows], dtype=object)
            for key in ("data_source", "reward_model", "extra_info")
        },
    )

    async def batch() -> list[dict[str, Any]]:
        return await asyncio.gather(*(manager.run_single(data[i : i + 1]) for i in range(len(data))))

    for _ in range(ROUNDS):
        start.wait(300)
        results = loop.run_until_complete(batch())
        done.wait(300)
        if not naive and any(result["reward_extra_info"]["error"] for result in results):
            raise RuntimeError("some samples of the batch could not be scored")
    if not naive:
        manager.pool.close()
