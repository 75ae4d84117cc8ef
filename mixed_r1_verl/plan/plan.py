"""A whole plan, and what to change when it does not fit."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from mixed_r1_verl.data.tokens import TokenCounter
from mixed_r1_verl.plan.architecture import Architecture, load_architecture
from mixed_r1_verl.plan.batch import Batch, broken_rules, plan_batch, remarks
from mixed_r1_verl.plan.data import DataStatistics, read_data
from mixed_r1_verl.plan.gpus import Gpu
from mixed_r1_verl.plan.memory import Memory, plan_memory
from mixed_r1_verl.plan.settings import ACTOR, FSDP, MODEL, ROLLOUT, Settings, read_settings
from mixed_r1_verl.plan.steptime import plan_time
from mixed_r1_verl.plugin.rules import refusals

RESPONSE_SHARE = 0.5  # mean length of a response as a share of the greatest, where nothing is known


@dataclass(frozen=True)
class Changes:
    """Overrides with which a run fits, the bytes of a node's main memory that it then takes, seconds of its step."""

    overrides: tuple[str, ...]
    host: float
    seconds: float


@dataclass(frozen=True)
class Plan:
    """What a run needs."""

    settings: Settings
    architecture: Architecture
    gpu: Gpu
    data: DataStatistics | None
    memory: Memory
    batch: Batch
    seconds: dict[str, float]  # of each stage of a step, by verl's name of it
    problems: tuple[str, ...]  # rules of verl or vLLM that the run breaks
    remarks: tuple[str, ...]  # what wastes something or is not what it seems
    changes: Changes | None = None  # with which the memory suffices; None where it does, or where none were found

    @property
    def fits(self) -> bool:
        return self.memory.fits and not self.problems


def make_plan(
    config: DictConfig,
    gpu: Gpu,
    *,
    model: Path | None = None,
    data: Path | None = None,
    response_tokens: float | None = None,
) -> Plan:
    """The plan of a composed configuration.

    Args:
        config: as `settings.compose_for` returns it.
        gpu: each of the GPUs.
        model: directory whose `config.json` is taken instead of the recipe's model.
        data: parquet file whose pictures and prompts are counted.
        response_tokens: mean length of a response; without it half of the greatest.

    Raises:
        ConfigError: the configuration or the model cannot be read.
        DataError: the data cannot.
    """
    settings = read_settings(config)
    architecture = load_architecture(model or settings.model)
    statistics = None
    if data is not None:
        counter = TokenCounter.of(architecture.family, model or Path(settings.model).expanduser())
        statistics = read_data(data, counter, settings.prompt_tokens)
    plan = _plan(settings, architecture, gpu, statistics, response_tokens)
    plan = replace(plan, problems=(*refusals(config), *plan.problems))
    return plan if plan.memory.fits else replace(plan, changes=_changes(config, plan, response_tokens))


def _plan(
    settings: Settings, architecture: Architecture, gpu: Gpu, data: DataStatistics | None, response_tokens: float | None
) -> Plan:
    length = min(response_tokens or RESPONSE_SHARE * settings.response_tokens, settings.response_tokens)
    memory, batch = plan_memory(settings, architecture, gpu, data), plan_batch(settings, length, data)
    return Plan(
        *(settings, architecture, gpu, data, memory, batch),
        seconds=plan_time(settings, architecture, gpu, batch, memory.kv),
        problems=tuple(broken_rules(settings, architecture, data)),
        remarks=tuple(remarks(settings, architecture, data)),
    )


def _remedies(plan: Plan) -> Iterator[list[str]]:
    """Changes worth trying, cheapest first; each a list of overrides."""
    s = plan.settings
    smaller = math.ceil((s.prompt_tokens + s.response_tokens) / s.sequence_parallel)
    sizes = [size for size in (2, 4, 8) if size > s.tensor_parallel]
    heads = plan.architecture.text.num_attention_heads
    for worth_it, *overrides in (
        (not s.checkpointing, f"{MODEL}.enable_gradient_checkpointing=true"),
        (s.deferred_gradients, f"{FSDP}.use_no_sync_for_gradient_accumulation=false"),
        (s.micro is None and s.update_tokens > smaller, f"{ACTOR}.ppo_max_token_len_per_gpu={smaller}"),
        ((s.micro or 0) > 1, f"{ACTOR}.ppo_micro_batch_size_per_gpu=1"),
        ((s.forward_micro or 0) > 1, f"{ROLLOUT}.log_prob_micro_batch_size_per_gpu=1"),
        (not s.optimizer_offload and not s.offload_policy, f"{FSDP}.optimizer_offload=true"),
        (not s.param_offload and not s.offload_policy, f"{FSDP}.param_offload=true"),
        *((True, f"{ROLLOUT}.gpu_memory_utilization={share}") for share in (0.8, 0.5, 0.4, 0.3)),
        *((not s.gpus % n and not heads % n, f"{ROLLOUT}.tensor_model_parallel_size={n}") for n in sizes),
        (s.strategy == "fsdp2" and not s.offload_policy, f"{FSDP}.offload_policy=true"),
        (not s.lora_rank, f"{MODEL}.lora_rank=64", f"{MODEL}.lora_alpha=64"),
    ):
        if worth_it:
            yield [str(override) for override in overrides]


def _shortage(plan: Plan) -> float:
    """Bytes that are missing, over all phases; a cache that holds no whole sequence counts what it lacks."""
    missing = sum(max(0.0, phase.total - phase.limit) for phase in plan.memory.phases)
    kv, longest = plan.memory.kv, plan.settings.max_sequence
    if not kv.fits:
        # In the share of vLLM even the weights may not fit; then the cache's bytes are 0 and the need is at least this.
        missing += max(1.0, longest * kv.bytes_per_token - kv.bytes)
    return missing


def _changes(config: DictConfig, plan: Plan, response_tokens: float | None) -> Changes | None:
    """Remedies, tried one after the other, none of them idle, with which the memory fits; None if all do not do it."""

    def changed(remedies: Sequence[list[str]]) -> Plan:
        merged = OmegaConf.merge(config, OmegaConf.from_dotlist([*chain(*remedies)]))
        assert isinstance(merged, DictConfig)
        return _plan(read_settings(merged), plan.architecture, plan.gpu, plan.data, response_tokens)

    taken: list[list[str]] = []
    best = _shortage(plan)
    for remedy in _remedies(plan):
        tried = changed([*taken, remedy])
        if tried.problems and not plan.problems:
            continue
        missing = _shortage(tried)
        if missing < best:
            taken.append(remedy)
            best = missing
        if tried.memory.fits:
            break
    else:
        return None
    for remedy in list(taken):
        fewer = [other for other in taken if other is not remedy]
        if changed(fewer).memory.fits:
            taken = fewer
    found = changed(taken)
    return Changes(tuple(chain(*taken)), sum(found.memory.host.values()), sum(found.seconds.values()))
