"""Micro batches without a picture, in models with a vision tower.

FSDP gathers the weights of a layer when the layer runs, on all ranks at once. Where one rank's micro batch has pictures
and another's has none, the tower must run on both: with NCCL they would wait for each other for ever. So a micro batch
without a picture gets one of zeros, which nothing sees: its features are added times 0, in log-probabilities as well
as in the update. verl does the same for Qwen3-VL; for Qwen2-VL and Qwen2.5-VL its code does not suit transformers 5,
and InternVL it does not know.
"""

from collections.abc import Callable
from typing import Any


def embed_unseen_picture(get_input_embeds: Callable[..., Any], instance: None, args: Any, kwargs: Any) -> Any:
    """Around verl's `_get_input_embeds` of Qwen2-VL and Qwen2.5-VL."""

    def embed(model: Any, input_ids: Any, attention_mask: Any, pixels: Any, frames: Any, *grids: Any) -> Any:
        if pixels is not None or frames is not None:
            return get_input_embeds(model, input_ids, attention_mask, pixels, frames, *grids)
        import torch

        vision, side = model.config.vision_config, 2 * model.config.vision_config.spatial_merge_size
        values = vision.in_channels * vision.temporal_patch_size * vision.patch_size**2
        zeros = torch.zeros(side * side, values, dtype=model.visual.dtype, device=input_ids.device)
        features = model.visual(zeros, grid_thw=torch.tensor([[1, side, side]], device=input_ids.device))
        return _add_unseen(model, input_ids, features.pooler_output), attention_mask

    return embed(*args, **kwargs)


def run_unseen_tile(forward: Callable[..., Any], model: Any, args: Any, kwargs: Any) -> Any:
    """Around `InternVLModel.forward` of transformers, in processes that train together."""
    import torch

    input_ids = kwargs.get("input_ids")
    pictures = args or input_ids is None or kwargs.get("pixel_values") is not None
    if pictures or not torch.distributed.is_initialized():
        return forward(*args, **kwargs)
    vision = model.config.vision_config
    shape = (1, vision.num_channels, *vision.image_size)
    features = model.get_image_features(pixel_values=torch.zeros(shape, device=input_ids.device)).pooler_output
    return forward(**{**kwargs, "input_ids": None, "inputs_embeds": _add_unseen(model, input_ids, features)})


def _add_unseen(model: Any, input_ids: Any, features: Any) -> Any:
    embeds = model.get_input_embeddings()(input_ids)
    return embeds + 0.0 * features.mean().to(embeds.dtype)
