"""Mixed-Reward for trainers other than verl: TRL, ms-swift and EasyR1. None of them is needed to import this.

Rows are those of this package's parquet files with their `reward_model` and `extra_info`, or any with a `ground_truth`
(or `solution`) and what their reward reads in columns of its own. docs/adapters.md has a script for each trainer.
"""

import atexit
import json
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import cached_property
from typing import Any

from mixed_r1_verl.core.rows import RowError, row_of
from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.mixed import MixedReward, failure
from mixed_r1_verl.rewards.pool import Sample, ScoringPool

logger = logging.getLogger(__name__)

_ROW_COLUMNS = ("data_source", "ground_truth", "solution", "reward_model", "extra_info")

__all__ = ["RewardFunction", "compute_score_easyr1", "score_rows"]


def score_rows(pool: ScoringPool, rows: Sequence[Mapping[str, Any]], responses: Sequence[str]) -> list[dict[str, Any]]:
    """The result of each response (`score`, `acc`, `format`, `error`, …); a row that cannot be read has `error` 1."""
    pending: list[dict[str, Any] | Future[dict[str, Any]]] = []
    for number, (row, response) in enumerate(zip(rows, responses, strict=True)):
        try:
            read = row_of("the dataset", number, {"ground_truth": row.get("solution"), **row})
        except RowError as error:
            pending.append(failure("", str(error)))
        else:
            pending.append(pool.submit(Sample(read.data_source, response, read.ground_truth, read.extra_info)))
    return [one if isinstance(one, dict) else one.result() for one in pending]


class RewardFunction:
    """The reward function of TRL's `GRPOTrainer`, and the reward class that ms-swift takes in `orms`.

    Args:
        args: ms-swift gives its arguments; they are not read.
        **options: keys of the reward block, see docs/rewards.md.

    Raises:
        ConfigError: an option that Mixed-Reward does not know.

    >>> reward = RewardFunction(processes=1)
    >>> responses = ["<think>It barks.</think><answer>B</answer>", "<think>It meows.</think><answer>A</answer>"]
    >>> reward(responses, ground_truth=["B", "B"], reward=["matching"] * 2, choices=[["cat", "dog"]] * 2)
    [1.0, 0.1]
    """

    __name__ = "mixed_r1"

    def __init__(self, args: Any = None, **options: Any):
        self.config = MixedRewardConfig.from_mapping(options)
        # Pictures are columns as well, and must not travel to the scoring processes.
        self._columns = {*_ROW_COLUMNS, *MixedReward(self.config).columns}

    @cached_property
    def pool(self) -> ScoringPool:
        """The processes that score; started with the first call."""
        pool = ScoringPool(self.config)
        atexit.register(pool.close)
        return pool

    def __call__(self, completions: Sequence[Any], **columns: Any) -> list[float | None]:
        """The score of each completion, a string or a list of messages; None where the sample cannot be scored."""
        texts = [text if isinstance(text, str) else str(text[-1]["content"]) for text in completions]
        lists = {name: columns[name] for name in self._columns & columns.keys()}
        rows = [{name: values[number] for name, values in lists.items()} for number in range(len(texts))]
        results = score_rows(self.pool, rows, texts)
        if unscored := [result["reason"] for result in results if result["error"]]:
            logger.warning(
                "mixed_r1: %d of %d samples could not be scored; the first: %r",
                len(unscored),
                len(results),
                unscored[0],
            )
        return [None if result["error"] else result["score"] for result in results]


def compute_score_easyr1(reward_inputs: Sequence[Mapping[str, Any]], **options: Any) -> list[dict[str, float]]:
    """EasyR1's batch reward: `worker.reward.reward_function=…/adapters.py:compute_score_easyr1`.

    Args:
        reward_inputs: `response` and `ground_truth` of each sample. EasyR1 gives a reward one column of the row, so the
            ground truth is a row in JSON: `{"ground_truth": "B", "reward": "matching", "choices": ["cat", "dog"]}`.
        **options: `worker.reward.reward_function_kwargs`, keys of the reward block.

    Returns:
        `overall`, `accuracy`, `format` and `error` of each sample.
    """
    key = json.dumps(options, sort_keys=True, default=str)
    if key not in _functions:
        _functions[key] = RewardFunction(**options)
    rows = [_row(sample["ground_truth"]) for sample in reward_inputs]
    results = score_rows(_functions[key].pool, rows, [str(sample["response"]) for sample in reward_inputs])
    return [
        {"overall": one["score"], "accuracy": one["acc"], "format": one["format"], "error": one["error"]}
        for one in results
    ]


_functions: dict[str, RewardFunction] = {}


def _row(truth: Any) -> Mapping[str, Any]:
    if isinstance(truth, Mapping):
        return truth
    try:
        row = json.loads(truth)
    except (ValueError, TypeError, RecursionError):  # no JSON, no text, or brackets without end
        row = None
    return row if isinstance(row, Mapping) else {"ground_truth": truth}
