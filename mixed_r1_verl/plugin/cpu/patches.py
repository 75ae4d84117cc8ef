"""What verl and vLLM need, beyond a platform, to train on a machine without an accelerator.

Each function stands around one of theirs, as `plugin.seams` lists them, and says which obstacle it passes.
"""

from collections.abc import Callable
from typing import Any


def use_plain_gloo(start: Callable[..., None], instance: None, args: Any, kwargs: Any) -> None:
    """verl builds the backend string `cpu:gloo,cpu:gloo`, in which torch refuses the device named twice."""
    start(*args, **{"backend": "gloo", **kwargs})


def copy_received_weights(receive: Callable[..., None], receiver: Any, args: Any, kwargs: Any) -> None:
    """Weights that vLLM's CPU worker keeps are views on the shared segment; closing it then raises BufferError.

    verl's weight receiver is made to hand on copies, as a copy to a device would be.
    """

    def receive_copies(on_bucket_received: Callable[[list[tuple[str, Any]], bool], None]) -> None:
        def on_copies(weights: list[tuple[str, Any]], is_last: bool) -> None:
            copies = [(name, tensor.clone()) for name, tensor in weights]
            weights.clear()
            on_bucket_received(copies, is_last)

        receive(on_copies)

    receive_copies(*args, **kwargs)


def copy_saved_weights(save: Callable[..., Any], instance: None, args: Any, kwargs: Any) -> Any:
    """`separate_async` sets the old policy aside with `.cpu()`, which here is no copy and changes with training."""
    saved, spec = save(*args, **kwargs)
    return {name: (tensor.clone(), placement) for name, (tensor, placement) in saved.items()}, spec


def keep_plain_weight(dispatch: Callable[..., None], instance: None, args: Any, kwargs: Any) -> None:
    """vLLM's CPU linear layers pack their weights for the matrix kernels after loading and drop the plain ones.

    The next synchronisation then has nothing to load into, and a packed `lm_head` would keep answering with old
    weights. So they multiply with the weights as they are.
    """
    import torch

    def keep(layer: Any, remove_weight: bool) -> None:
        layer.cpu_linear = torch.nn.functional.linear

    keep(*args, **kwargs)
