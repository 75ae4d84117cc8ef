"""The `mixed_r1` reward manager of verl's reward loop: a thin shell around `ScoringPool`."""

import atexit
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig
from verl import DataProto
from verl.experimental.reward_loop.reward_manager import register
from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase

from mixed_r1_verl.core.verl_config import reward_config, select
from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.kinds.open_ended import with_router
from mixed_r1_verl.rewards.mixed import MixedReward, failure
from mixed_r1_verl.rewards.pool import ScoringPool

logger = logging.getLogger(__name__)


@register("mixed_r1")
class MixedRewardManager(RewardManagerBase):
    """Scores every kind of task in one batch.

    verl creates one manager in each of `reward.num_workers` Ray actors and calls `run_single` for each finished
    rollout. Scoring happens in processes of the manager's own, so that neither a slow sample nor a crash can hold up
    the event loop.
    """

    def __init__(
        self,
        config: DictConfig,
        tokenizer: Any,
        compute_score: Any,
        reward_router_address: str | None = None,
        reward_model_tokenizer: Any = None,
    ):
        super().__init__(config, tokenizer, compute_score)
        self.tokenizer: Any = tokenizer  # verl annotates it as its factory
        mixed = MixedRewardConfig.from_mapping(reward_config(config))
        mixed = with_router(mixed, reward_router_address, select(config, "reward.reward_model.model_path"))
        reward = MixedReward(mixed)
        reward.prepare()  # a table that cannot be built must stop the run, not score 0
        self.columns = reward.columns
        self.pool = ScoringPool(mixed)
        self.errors = 0
        atexit.register(self.pool.close)

    async def run_single(self, data: DataProto) -> dict[str, Any]:
        """Score the last sequence of one rollout.

        Returns:
            `reward_score`, and in `reward_extra_info` the keys of `MixedReward.score` and the row's `id`, by which
            verl's dumps can be joined to the data.
        """
        # Each field on its own: to index the whole batch, as `data[-1]` does, costs more than to score most samples.
        row = {key: values[-1] for key, values in data.non_tensor_batch.items()}
        response_ids = data.batch["responses"][-1]
        valid = int(data.batch["attention_mask"][-1, -response_ids.shape[-1] :].sum())
        # Decoding is quick Rust code; a thread for it would cost more than it frees.
        solution = self.tokenizer.decode(response_ids[:valid], skip_special_tokens=True)
        reward_model = row.get("reward_model")
        ground_truth = reward_model.get("ground_truth") if isinstance(reward_model, Mapping) else None
        extra_info = row.get("extra_info")
        extra_info = extra_info if isinstance(extra_info, Mapping) else {}
        source = str(row.get("data_source") or "")
        try:
            result = await self.pool.score(source, solution, ground_truth, _plain(extra_info, self.columns))
        except RuntimeError as error:  # scoring has ended; verl would go on, so `advantages.add_balance` ends the run
            result = failure(str(extra_info.get("reward") or ""), str(error))
        result["id"] = str(extra_info.get("id") or "")
        if result["error"]:
            self._report(result, source)
        return {"reward_score": result["score"], "reward_extra_info": result}

    def _report(self, result: Mapping[str, Any], source: str) -> None:
        """Log a sample that could not be scored: each of the first ten, then every hundredth."""
        self.errors += 1
        if self.errors <= 10 or self.errors % 100 == 0:
            logger.warning(
                "mixed_r1: sample %r of source %r could not be scored (%r); %d such samples in this reward worker",
                result["id"] or "?",
                source,
                result["reason"],
                self.errors,
            )


def _plain(extra_info: Mapping[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    """The columns that the rewards read, as plain Python: what is sent to the scoring process, and no more."""
    if "extra_info" in columns:  # a custom reward that asks for all of it
        columns = tuple(extra_info)
    found = {key: extra_info[key] for key in columns if key in extra_info}
    return {key: value.tolist() if hasattr(value, "tolist") else value for key, value in found.items()}
