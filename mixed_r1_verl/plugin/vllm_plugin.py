"""The `vllm.general_plugins` entry point: lets vLLM's CPU worker take new weights again and again.

After loading, vLLM's CPU linear layers pack their weights for the matrix kernels and drop the plain ones; the next
weight synchronisation then has nothing to load into, and a packed `lm_head` would keep answering with old weights.
"""

from typing import Any


def register() -> None:
    """Keep the plain weights of linear layers where vLLM runs on the CPU. Safe to call again."""
    from vllm.platforms import current_platform

    if not current_platform.is_cpu():
        return
    import torch
    from vllm.model_executor.layers import utils

    def keep_plain_weight(layer: Any, remove_weight: bool) -> None:
        layer.cpu_linear = torch.nn.functional.linear

    utils.dispatch_cpu_unquantized_gemm = keep_plain_weight
