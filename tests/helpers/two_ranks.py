"""One of two FSDP ranks, of which the second has no picture in its micro batch; prints what it computed, as JSON.

`python two_ranks.py RANK PORT MODEL_DIR…`: verl's own patches and its own `apply_fsdp2`, on gloo; for each model
log-probabilities without gradients, as for the old policy, then forward and backward, as in the update.
"""

import datetime
import json
import sys

import torch
import torch.distributed as dist
import verl  # noqa: F401  (loads the plugin)
from torch.distributed.device_mesh import init_device_mesh
from transformers import AutoModelForImageTextToText
from verl.models.transformers.monkey_patch import apply_monkey_patch
from verl.utils import hf_processor
from verl.utils.fsdp_utils import apply_fsdp2

from examples.demo.scenes import make_scene


def inputs_of(folder: str, pictures: int) -> dict[str, torch.Tensor]:
    """One row with so many pictures, with positions as verl computes them."""
    processor = hf_processor(folder)
    content = [{"type": "image"}] * pictures + [{"type": "text", "text": "Where is the red circle?"}]
    chat = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    images = [make_scene("iou", number).picture.render() for number in range(pictures)]
    inputs = dict(processor(text=[chat], images=images or None, return_tensors="pt"))
    positions = torch.arange(inputs["input_ids"].shape[1])[None]
    inputs["position_ids"] = positions if "internvl" in folder else positions.expand(4, 1, -1)  # text, three axes
    return {key: inputs[key] for key in inputs if key != "mm_token_type_ids"}


def main(rank: int, port: int, folders: list[str]) -> None:
    plain = {
        folder: AutoModelForImageTextToText.from_pretrained(folder, attn_implementation="sdpa") for folder in folders
    }
    alone = {}
    for folder, model in plain.items():  # before verl's patches: what transformers itself says of the row
        inputs = inputs_of(folder, 0)
        with torch.no_grad():
            alone[folder] = float(model(inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits.std())
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", datetime.timedelta(seconds=60), world_size=2, rank=rank)
    for folder, model in plain.items():
        apply_monkey_patch(model, use_remove_padding=False)
        apply_fsdp2(model, {"mesh": init_device_mesh("cpu", (2,))}, {})
        inputs = inputs_of(folder, pictures=2 if rank == 0 else 0)
        with torch.no_grad():
            old = model(**inputs, use_cache=False).logits
        logits = model(**inputs, use_cache=False).logits
        logits.logsumexp(-1).mean().backward()
        gradients = {name: p.grad.full_tensor() for name, p in model.named_parameters() if p.grad is not None}
        tower = [value for name, value in gradients.items() if "vision_tower" in name or "visual" in name]
        result = {
            "model_type": model.config.model_type,
            "same": torch.equal(old, logits),
            "spread": float(logits.std()),
            "alone": alone[folder],
            "tower": float(sum(value.abs().sum() for value in tower)),
            "finite": all(bool(value.isfinite().all()) for value in gradients.values()),
        }
        print(json.dumps(result), flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
