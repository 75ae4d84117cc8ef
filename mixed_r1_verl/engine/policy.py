"""The policy behind vLLM, and the rewards of the recipe: what measures how hard a row is.

Runs in Ray actors, one for each GPU (or group of GPUs), or one on the CPU. Prompts, sampling and scoring are those of
`mixed_r1_verl.responses`.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from mixed_r1_verl.core.config import ConfigError
from mixed_r1_verl.core.console import merge
from mixed_r1_verl.core.rows import DataError, row_of
from mixed_r1_verl.core.verl_config import compose, reward_config
from mixed_r1_verl.engine.config import BuildConfig, DifficultyConfig
from mixed_r1_verl.engine.rows import draw, whole_rows, write_rows
from mixed_r1_verl.responses.answers import score_in_order
from mixed_r1_verl.responses.generate import Generator, Question, Sampling
from mixed_r1_verl.rewards.config import MixedRewardConfig

RESPONSES = pa.schema(
    [
        ("id", pa.string()),
        ("error", pa.string()),  # why there are no responses; empty where there are
        ("responses", pa.list_(pa.string())),
        ("score", pa.list_(pa.float64())),
        ("acc", pa.list_(pa.float64())),
        ("unscored", pa.int32()),  # responses that could not be scored as asked
    ]
)
# vLLM reads this when it is imported. One process is deterministic in its scheduling, and ends when it is killed.
ENVIRONMENT = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "TOKENIZERS_PARALLELISM": "false"}
SEED_BITS = 31


def reward_block(config: BuildConfig) -> dict[str, Any]:
    """The reward block with which training under the recipe would score, as plain values.

    Raises:
        DataError: there is no such recipe, or the overrides do not fit the block.
    """
    difficulty = config.difficulty
    assert difficulty is not None
    try:
        # A file name of a hub id would be taken for Hydra's grammar without the quotes.
        recipe = compose(difficulty.recipe, [f"actor_rollout_ref.model.path={json.dumps(difficulty.model)}"])
    except ConfigError as error:
        raise DataError(f"difficulty.recipe: {error}") from None
    try:
        block = merge(merge(reward_config(recipe), config.reward), difficulty.reward)
        MixedRewardConfig.from_mapping(block)
    except ConfigError as error:
        raise DataError(f"difficulty.reward: {error}") from None
    return block


class Policy:
    """Answers and scores chunks of rows, which it takes from the converted `files` of each source.

    Raises:
        DataError: the model cannot be loaded.
    """

    def __init__(
        self,
        config: DifficultyConfig,
        reward: Mapping[str, Any],
        files: Mapping[str, Sequence[Path]],
        seed: int,
        has_gpu: bool,
    ) -> None:
        self.config, self.files, self.seed = config, files, seed
        if not has_gpu:
            os.environ.pop("OMP_NUM_THREADS", None)  # Ray sets it to the CPUs that it counts for the actor
        for key, value in (ENVIRONMENT if has_gpu else {**ENVIRONMENT, "VERL_PLATFORM": "cpu"}).items():
            os.environ.setdefault(key, value)
        try:
            from mixed_r1_verl.rewards.pool import ScoringPool

            self.generator = Generator(config.model, config.engine)
            self.pool = ScoringPool(MixedRewardConfig.from_mapping(reward))
        except Exception as error:
            raise DataError(f"difficulty: cannot load {config.model}: {type(error).__name__}: {error}") from error

    def __call__(self, rows: Sequence[Mapping[str, Any]], path: Path) -> int:
        """Answers and scores a chunk of rows into a file, and returns how many they are.

        Raises:
            DataError: the engine has failed.
        """
        try:
            measured = self._measure(pa.Table.from_pylist(rows))
            write_rows(path, pa.Table.from_pylist(measured, schema=RESPONSES))
        except Exception as error:  # whatever the engine raises ends the build with one message
            reason = f"{type(error).__name__}: {error}; finished chunks stay, run again to go on"
            raise DataError(f"difficulty: {self.config.model}: {reason}") from error
        return len(rows)

    def _measure(self, table: pa.Table) -> list[dict[str, Any]]:
        config = self.config
        sampling = Sampling(config.samples, config.temperature, config.top_p, config.max_tokens)
        questions = [
            self._question(number, record)
            for numbers, rows in whole_rows(table, self.files)
            for number, record in zip(numbers, rows.to_pylist(), strict=True)
        ]
        measured: dict[int, dict[str, Any]] = {}
        answers = self.generator.answer(questions, sampling)
        for answered, results in score_in_order(((one, one.responses) for one in answers), self.pool):
            row = answered.question.row
            measured[row.number] = {
                "id": row.id,
                "error": " ".join(answered.refused.split())[:200],
                "responses": [one.text for one in answered.responses],
                "score": [round(result["score"], 6) for result in results],
                "acc": [round(result["acc"], 6) for result in results],
                "unscored": sum(result["error"] > 0 for result in results),
            }
        return [measured[number] for number in range(len(questions))]

    def _question(self, number: int, record: dict[str, Any]) -> Question:
        row = row_of("", number, record)
        return Question(row, self.generator.prompts(record), draw(self.seed, "difficulty", row.id) >> (64 - SEED_BITS))
