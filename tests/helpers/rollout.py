"""One rollout as verl hands it to a reward manager."""

import numpy as np
import torch
from tensordict import TensorDict
from verl import DataProto

LENGTH = 48


def proto(tokenizer, response: str, row: dict) -> DataProto:
    """One rollout as verl's agent loop hands it over: left-padded prompt, right-padded response."""
    ids = tokenizer(response, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
    padding = LENGTH - len(ids)
    responses = torch.tensor([ids + [tokenizer.pad_token_id] * padding])
    mask = torch.tensor([[0, 0, 1, 1] + [1] * len(ids) + [0] * padding])
    batch = TensorDict(
        {"prompts": torch.zeros(1, 4, dtype=torch.long), "responses": responses, "attention_mask": mask}, batch_size=1
    )
    return DataProto(batch=batch, non_tensor_batch={key: np.array([value], dtype=object) for key, value in row.items()})


def row(kind: str, truth: object, **extra: object) -> dict:
    return {
        "data_source": "test",
        "reward_model": {"style": "rule", "ground_truth": truth},
        "extra_info": {"id": "test/1", "reward": kind, **extra},
    }
