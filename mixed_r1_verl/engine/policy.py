"""The policy behind vLLM, and the rewards of the recipe: what measures how hard a row is.

Runs in Ray actors, one for each GPU (or group of GPUs), or one on the CPU. Prompts are built as verl's rollout builds
them: the processor's chat template over the same messages, pictures through verl's own `process_image`.
"""

import json
import os
import re
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from mixed_r1_verl.core.config import ConfigError, read_dataclass
from mixed_r1_verl.core.console import merge
from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.core.verl_config import compose, reward_config
from mixed_r1_verl.data.prompt import IMAGE_MARKER
from mixed_r1_verl.engine.cluster import Item
from mixed_r1_verl.engine.config import DifficultyConfig
from mixed_r1_verl.engine.store import draw
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
# vLLM reads these when it is imported. One process is deterministic in its scheduling, and ends when it is killed.
ENVIRONMENT = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "TOKENIZERS_PARALLELISM": "false"}
CPU_ENVIRONMENT = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
# A seeded request whose prompt is cut in two rewinds its generator, which the CPU's generator cannot.
CPU_ENGINE = {"dtype": "float32", "enforce_eager": True, "enable_chunked_prefill": False}
SEED_BITS = 31


def reward_block(difficulty: DifficultyConfig) -> dict[str, Any]:
    """The reward block with which training under the recipe would score, as plain values.

    Raises:
        DataError: there is no such recipe, or the overrides do not fit the block.
    """
    try:
        # A file name of a hub id would be taken for Hydra's grammar without the quotes.
        config = compose(difficulty.recipe, [f"actor_rollout_ref.model.path={json.dumps(difficulty.model)}"])
    except ConfigError as error:
        raise DataError(f"difficulty.recipe: {error}") from None
    try:
        block = merge(reward_config(config), difficulty.reward)
        MixedRewardConfig.from_mapping(block)
    except ConfigError as error:
        raise DataError(f"difficulty.reward: {error}") from None
    return block


class Policy:
    """Answers and scores chunks of rows.

    Args:
        difficulty: the configuration, as plain values (a Ray actor is built from them).
        reward: the reward block.
        seed: of the build.
        has_gpu: whether the actor has one.
    """

    def __init__(self, difficulty: Mapping[str, Any], reward: Mapping[str, Any], seed: int, has_gpu: bool) -> None:
        self.config: DifficultyConfig = read_dataclass(DifficultyConfig, difficulty, "difficulty")
        self.reward = MixedRewardConfig.from_mapping(reward)
        self.seed = seed
        self.engine_arguments = dict(self.config.engine) if has_gpu else {**CPU_ENGINE, **self.config.engine}
        for key, value in (ENVIRONMENT if has_gpu else {**ENVIRONMENT, **CPU_ENVIRONMENT}).items():
            os.environ.setdefault(key, value)
        self._failure = ""
        try:
            self._load(has_gpu)
        except Exception as error:  # an actor that cannot start would be started again and again
            self._failure = f"difficulty: cannot load {self.config.model}: {type(error).__name__}: {error}"

    def _load(self, has_gpu: bool) -> None:
        if not has_gpu:
            os.environ.pop("OMP_NUM_THREADS", None)  # Ray sets it to the CPUs that it counts for the actor
        import verl  # noqa: F401  (loads the plugin, which makes a CPU usable where there is no GPU)
        from transformers import AutoProcessor
        from vllm import LLM

        from mixed_r1_verl.rewards.pool import ScoringPool

        self.processor = AutoProcessor.from_pretrained(self.config.model)
        self.engine = LLM(self.config.model, disable_log_stats=True, **self.engine_arguments)
        self.pool = ScoringPool(self.reward)

    def __call__(self, item: Item) -> Item:
        """Answers and scores one chunk; its result is a file, written at once."""
        if self._failure:
            return {"error": self._failure}
        try:
            return self._measure(json.loads(item["places"]), Path(item["chunk"]))
        except Exception as error:  # whatever the engine raises ends the build with one message
            reason = f"{type(error).__name__}: {error}"
            return {"error": f"difficulty: {self.config.model}: {reason}; finished chunks stay, run again to go on"}

    def _measure(self, places: list[list[Any]], chunk: Path) -> Item:
        rows = _read_rows(places)
        prompts = [self._prompt(row) for row in rows]
        answers = self._answer(rows, prompts)
        table = pa.Table.from_pylist(self._score(rows, answers), schema=RESPONSES)
        temporary = chunk.with_name(f"{chunk.name}.{os.getpid()}.tmp")
        pq.write_table(table, temporary, compression="zstd")
        temporary.replace(chunk)
        return {"error": "", "rows": len(rows)}

    def _prompt(self, row: Mapping[str, Any]) -> dict[str, Any]:
        from verl.utils.dataset.vision_utils import process_image

        patch = getattr(self.processor.image_processor, "patch_size", 14)
        messages = []
        for message in row["prompt"]:
            parts = [part for part in re.split(f"({IMAGE_MARKER})", message["content"]) if part]
            content = [{"type": "image"} if part == IMAGE_MARKER else {"type": "text", "text": part} for part in parts]
            messages.append({"role": message["role"], "content": content if row["images"] else message["content"]})
        text = self.processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        prompt: dict[str, Any] = {"prompt": text}
        if row["images"]:
            pictures = [process_image({"bytes": cell["bytes"]}, image_patch_size=patch) for cell in row["images"]]
            prompt["multi_modal_data"] = {"image": pictures}
        return prompt

    def _answer(self, rows: list[dict[str, Any]], prompts: list[dict[str, Any]]) -> list[list[str] | str]:
        """Responses of each row, or why there are none."""
        from vllm import SamplingParams

        settings = [
            SamplingParams(
                n=self.config.samples,
                temperature=self.config.temperature,
                top_p=self.config.top_p,
                max_tokens=self.config.max_tokens,
                seed=draw(self.seed, "difficulty", row["extra_info"]["id"]) >> (64 - SEED_BITS),
                skip_special_tokens=True,
            )
            for row in rows
        ]
        try:
            outputs = self.engine.generate(cast(Any, prompts), settings, use_tqdm=False)
            return [[answer.text for answer in output.outputs] for output in outputs]
        except ValueError as error:
            # One prompt that is too long, or has too many pictures, fails the whole call and is none the wiser.
            if len(rows) == 1:
                return [" ".join(str(error).split())[:200]]
            half = len(rows) // 2
            return self._answer(rows[:half], prompts[:half]) + self._answer(rows[half:], prompts[half:])

    def _score(self, rows: list[dict[str, Any]], answers: list[list[str] | str]) -> list[dict[str, Any]]:
        from mixed_r1_verl.rewards.pool import Sample

        waiting: list[list[Future[dict[str, Any]]]] = []
        for row, responses in zip(rows, answers, strict=True):
            truth = row["reward_model"]["ground_truth"]
            samples = [] if isinstance(responses, str) else responses
            waiting.append(
                [self.pool.submit(Sample(row["data_source"], text, truth, row["extra_info"])) for text in samples]
            )
        scored = []
        for row, responses, futures in zip(rows, answers, waiting, strict=True):
            results = [future.result() for future in futures]
            scored.append(
                {
                    "id": row["extra_info"]["id"],
                    "error": responses if isinstance(responses, str) else "",
                    "responses": [] if isinstance(responses, str) else responses,
                    "score": [round(result["score"], 6) for result in results],
                    "acc": [round(result["acc"], 6) for result in results],
                    "unscored": sum(result["error"] > 0 for result in results),
                }
            )
        return scored


def _read_rows(places: list[list[Any]]) -> list[dict[str, Any]]:
    """Whole rows at (file, row group, row), reading each row group once; places are in this order."""
    rows: list[dict[str, Any]] = []
    opened: tuple[str, int] | None = None
    group = pa.table({})
    for path, number, row in places:
        if opened != (path, number):
            with pq.ParquetFile(path) as file:
                group = file.read_row_group(number)
            opened = (path, number)
        rows += group.slice(row, 1).to_pylist()
    return rows
