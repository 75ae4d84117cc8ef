"""Batch arithmetic of verl's V1 trainer, and the rules by which it refuses or pads a batch.

verl's own checks are asked by `plugin.rules`. What they leave to an assertion in a Ray worker, minutes after
the start, is checked here, each rule with the place in verl that it comes from.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from mixed_r1_verl.plan.architecture import Architecture
from mixed_r1_verl.plan.data import DataStatistics
from mixed_r1_verl.plan.settings import Settings


@dataclass(frozen=True)
class Batch:
    """One step in numbers."""

    # prompts, responses: of a step, over all GPUs
    prompts: int
    responses: int
    padded: int  # responses after verl has filled the batch up to a multiple that it can divide
    mini_batch_responses: int  # of one optimizer step
    updates: int  # optimizer steps of a step
    responses_per_gpu: int  # that one data-parallel rank trains on
    micro_batches: int  # forward and backward passes of one update on one GPU; with dynamic batches an estimate
    image_tokens: float  # mean of a prompt's pictures; without a data file as many as a prompt may have
    prompt_tokens: float  # mean of a prompt; without a data file the greatest
    response_tokens: float  # mean of a response, as assumed
    steps_per_epoch: int | None  # None without a data file

    @property
    def tokens(self) -> float:
        """Of one response with its prompt."""
        return self.prompt_tokens + self.response_tokens


def plan_batch(settings: Settings, response_tokens: float, data: DataStatistics | None = None) -> Batch:
    """The arithmetic of one step, for responses of a mean length; without `data` prompts are as long as allowed."""
    s = settings
    responses, mini = s.train_batch * s.rollouts, s.mini_batch * s.rollouts
    # trainer_base.py, _get_required_batch_multiple: the batch is filled with padding sequences.
    multiple = math.lcm(s.data_parallel, mini)
    padded = math.ceil(responses / multiple) * multiple
    mini_per_gpu = max(1, mini // s.data_parallel)
    prompt = s.prompt_tokens if data is None else min(data.mean_prompt, s.prompt_tokens)
    room = s.update_tokens * s.sequence_parallel
    filled = math.ceil(mini_per_gpu * (prompt + response_tokens) / room)
    return Batch(
        prompts=s.train_batch,
        responses=responses,
        padded=padded,
        mini_batch_responses=mini,
        updates=padded // mini * s.epochs,
        responses_per_gpu=padded // s.data_parallel,
        micro_batches=min(mini_per_gpu, filled) if s.micro is None else math.ceil(mini_per_gpu / s.micro),
        image_tokens=s.prompt_tokens if data is None else data.mean_image,
        prompt_tokens=prompt,
        response_tokens=response_tokens,
        steps_per_epoch=None if data is None else (data.rows - data.too_long) // s.train_batch,
    )


def broken_rules(settings: Settings, architecture: Architecture, data: DataStatistics | None = None) -> Iterator[str]:
    """Rules of verl and vLLM that the run breaks, and on which it would stop."""
    s, attention = settings, architecture.text.num_attention_heads
    mini, longest = s.mini_batch * s.rollouts, s.prompt_tokens + s.response_tokens
    gpus, heads, parallel = (s.gpus, "GPUs"), (attention, "attention heads"), "tensor_model_parallel_size"
    for (number, what), name, divisor in (
        (gpus, "ulysses_sequence_parallel_size", s.sequence_parallel),
        (gpus, "fsdp_size", s.shard),
        (gpus, f"rollout.{parallel}", s.tensor_parallel),  # engine_workers.py, init_model
        (heads, parallel, s.tensor_parallel),  # vLLM
        (heads, "ulysses_sequence_parallel_size", s.sequence_parallel),
    ):
        if number % divisor:
            yield f"{number} {what} are not a multiple of {name} {divisor}"
    each, batch = mini // s.data_parallel, plan_batch(s, s.response_tokens)
    if mini % s.data_parallel:  # engine_workers.py, train_mini_batch
        yield (
            f"ppo_mini_batch_size × rollout.n = {s.mini_batch} × {s.rollouts} = {mini} is not a multiple of the "
            f"{s.data_parallel} data-parallel ranks"
        )
    elif s.micro is not None and each % s.micro:  # engine/utils.py, prepare_micro_batches
        responses = f"{each} responses of a mini batch on each rank"
        yield f"{responses} are not a multiple of ppo_micro_batch_size_per_gpu {s.micro}"
    elif s.forward_micro is not None and batch.responses_per_gpu % s.forward_micro:
        yield (
            f"{batch.responses_per_gpu} responses of a batch on each rank are not a multiple of "
            f"log_prob_micro_batch_size_per_gpu {s.forward_micro}"
        )
    for name, fixed, tokens in (
        ("ppo_max_token_len_per_gpu", s.micro, s.update_tokens),
        ("log_prob_max_token_len_per_gpu", s.forward_micro, s.forward_tokens),
    ):
        if fixed is None and tokens * s.sequence_parallel < longest:  # seqlen_balancing.py, rearrange_micro_batches
            yield (
                f"{name} × sequence parallel = {tokens * s.sequence_parallel} is less than one sequence of "
                f"max_prompt_length + max_response_length = {longest} tokens"
            )
    if s.max_sequence < longest:
        yield f"rollout.max_model_len {s.max_sequence} is less than one sequence of {longest} tokens"
    if data is None:
        return
    if data.largest_picture > s.batched_tokens:
        yield (
            f"the largest picture has {data.largest_picture} tokens, more than rollout.max_num_batched_tokens "
            f"{s.batched_tokens}: vLLM refuses it"
        )
    if (short_enough := data.rows - data.too_long) < s.train_batch:
        yield (
            f"{short_enough} rows with a prompt of at most {s.prompt_tokens} tokens do not fill one batch of "
            f"{s.train_batch} (the data loader drops what is left over)"
        )


def remarks(settings: Settings, architecture: Architecture, data: DataStatistics | None = None) -> Iterator[str]:
    """What does not stop the run but wastes something or is not what it seems."""
    s, kv_heads = settings, architecture.kv_heads
    batch = plan_batch(s, s.response_tokens, data)
    if batch.padded != batch.responses:
        yield (
            f"verl fills the batch of {batch.responses} responses up to {batch.padded} with padding: make "
            f"train_batch_size a multiple of ppo_mini_batch_size {s.mini_batch}"
        )
    if s.tensor_parallel > s.per_node:
        yield "tensor_model_parallel_size is larger than a node: vLLM then talks between nodes at every layer"
    if s.tensor_parallel > kv_heads:
        yield f"{s.tensor_parallel} GPUs share {kv_heads} key-value heads: caches are copies"
    if data is not None and data.too_long:
        yield (
            f"{data.too_long} of {data.rows} prompts are longer than max_prompt_length {s.prompt_tokens} and "
            f"are filtered out; data.max_prompt_length={data.prompt[2]} keeps all"
        )
