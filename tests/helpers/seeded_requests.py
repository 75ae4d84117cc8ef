"""Gives each request of a rollout a seed of its own, so that a run can be repeated.

verl imports it in every process (`VERL_USE_EXTERNAL_MODULES=seeded_requests`). vLLM draws all requests from one
generator, in the order in which they happen to arrive; verl's own `full_determinism` gives all of them the same seed,
and the responses of a group would be one and the same. Here the k-th request with a prompt has a seed of prompt and k:
whichever of the group's responses it becomes, the group has the same responses.
"""

import inspect
import zlib
from collections import Counter
from typing import Any

import wrapt

_asked: Counter[int] = Counter()


@wrapt.when_imported("verl.workers.rollout.vllm_rollout.vllm_async_server")
def _patch(module: Any) -> None:
    wrapt.wrap_function_wrapper(module, "vLLMHttpServer.generate", _with_seed)


def _with_seed(generate: Any, server: Any, args: Any, kwargs: Any) -> Any:
    call = inspect.signature(generate).bind(*args, **kwargs)
    pictures = b"".join(picture.tobytes() for picture in call.arguments.get("image_data") or [])
    prompt = zlib.crc32(pictures + str(list(call.arguments["prompt_ids"])).encode())
    seed = zlib.crc32(f"{prompt}/{_asked[prompt]}".encode())
    _asked[prompt] += 1
    call.arguments["sampling_params"] = {**call.arguments["sampling_params"], "seed": seed}
    return generate(*call.args, **call.kwargs)
