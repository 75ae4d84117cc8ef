"""The `vllm.general_plugins` entry point: what vLLM needs, in its own processes, for verl's weight synchronisation.

vLLM's CPU linear layers pack their weights for the matrix kernels after loading and drop the plain ones; the next
synchronisation then has nothing to load into, and a packed `lm_head` would keep answering with old weights.
LoRA adapters are loaded by a method of verl 0.9.1 that calls a function which vLLM 0.30 has renamed.
"""

from typing import Any


def register() -> None:
    """Pass the obstacles that this vLLM has. Safe to call again."""
    from vllm.platforms import current_platform

    name_adapter_mapping_as_verl_does()
    if current_platform.is_cpu():
        keep_plain_weights()


def name_adapter_mapping_as_verl_does() -> None:
    """verl asks for `get_unstacked_mapper`, which is `get_rename_mapper` in vLLM 0.30: renames without stacking."""
    from vllm.model_executor.models.utils import WeightsMapper

    if not hasattr(WeightsMapper, "get_unstacked_mapper") and hasattr(WeightsMapper, "get_rename_mapper"):
        WeightsMapper.get_unstacked_mapper = WeightsMapper.get_rename_mapper  # type: ignore[attr-defined]


def keep_plain_weights() -> None:
    """Linear layers on the CPU multiply with the weights as they are, so that new ones can be loaded into them."""
    import torch
    from vllm.model_executor.layers import utils

    def keep_plain_weight(layer: Any, remove_weight: bool) -> None:
        layer.cpu_linear = torch.nn.functional.linear

    utils.dispatch_cpu_unquantized_gemm = keep_plain_weight
