"""What of a composed recipe decides memory and time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mixed_r1_verl.core.config import ConfigError
from mixed_r1_verl.core.verl_config import compose, select

ACTOR, ROLLOUT, MODEL = (f"actor_rollout_ref.{name}" for name in ("actor", "rollout", "model"))
FSDP = f"{ACTOR}.fsdp_config"
_BYTES = {"fp32": 4, "float32": 4, "bf16": 2, "bfloat16": 2, "fp16": 2, "float16": 2, "auto": 2}


def _key(config: DictConfig, path: str, default: Any = None) -> Any:
    """A value of the configuration; without a default there must be one."""
    value = OmegaConf.select(config, path)
    value = default if value is None else value
    if value is None:
        raise ConfigError(f"{path} has no value")
    return value


def _whole(config: DictConfig, path: str, default: int | None = None, least: int = 1) -> int:
    value = _key(config, path, default)
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = least - 1
    if number < least:
        raise ConfigError(f"{path}={value}: a whole number of at least {least} is needed")
    return number


def _width(config: DictConfig, path: str, default: str) -> int:
    value = str(_key(config, path, default)).removeprefix("torch.")
    if value not in _BYTES:
        raise ConfigError(f"{path}={value}: known are {', '.join(_BYTES)}")
    return _BYTES[value]


def _flag(config: DictConfig, *paths: str, default: bool = False) -> bool:
    return any(bool(_key(config, path, default)) for path in paths)


def _of(read: Callable[..., Any], *paths: str, **options: Any) -> Any:
    """A field that is read from the configuration by itself."""
    return field(metadata={"read": lambda config: read(config, *paths, **options)})


@dataclass(frozen=True)
class Settings:
    """The knobs of one run; each is named after verl's key."""

    gpus: int
    max_sequence: int  # tokens that vLLM makes room for in one sequence
    micro: int | None  # sequences of a micro batch on one GPU where it is fixed, else None
    forward_micro: int | None  # the same for the log-probabilities
    update_tokens: int  # most tokens of a micro batch on one GPU in the update
    forward_tokens: int  # the same for the log-probabilities
    strategy: str
    shard: int  # GPUs among which FSDP2 shares out parameters (`fsdp_size`)
    sequence_parallel: int  # GPUs that share one micro batch (Ulysses)
    offload_policy: bool
    lora_rank: int
    lora_exclude: str | Sequence[str] | None
    utilization: float
    bucket: int
    model: str = _of(_key, f"{MODEL}.path")
    per_node: int = _of(_whole, "trainer.n_gpus_per_node")  # GPUs of one node
    train_batch: int = _of(_whole, "data.train_batch_size")
    prompt_tokens: int = _of(_whole, "data.max_prompt_length")
    response_tokens: int = _of(_whole, "data.max_response_length")
    mini_batch: int = _of(_whole, f"{ACTOR}.ppo_mini_batch_size")
    epochs: int = _of(_whole, f"{ACTOR}.ppo_epochs", default=1)
    freeze_vision_tower: bool = _of(_flag, f"{ACTOR}.freeze_vision_tower")
    chunked_entropy: bool = _of(
        _flag, f"{ACTOR}.entropy_from_logits_with_chunking", f"{FSDP}.entropy_from_logits_with_chunking"
    )
    model_bytes: int = _of(_width, f"{FSDP}.model_dtype", default="fp32")
    compute_bytes: int = _of(_width, f"{FSDP}.mixed_precision.param_dtype", default="bf16")
    param_offload: bool = _of(_flag, f"{FSDP}.param_offload")
    optimizer_offload: bool = _of(_flag, f"{FSDP}.optimizer_offload")
    deferred_gradients: bool = _of(_flag, f"{FSDP}.use_no_sync_for_gradient_accumulation")
    checkpointing: bool = _of(_flag, f"{MODEL}.enable_gradient_checkpointing")
    activation_offload: bool = _of(_flag, f"{MODEL}.enable_activation_offload")
    remove_padding: bool = _of(_flag, f"{MODEL}.use_remove_padding")
    fused_kernels: bool = _of(_flag, f"{MODEL}.use_fused_kernels")
    lora_merge: bool = _of(_flag, f"{MODEL}.lora.merge")
    # a reference policy is asked for log-probabilities (KL)
    reference: bool = _of(_flag, f"{ACTOR}.use_kl_loss", "algorithm.use_kl_in_reward")
    rollouts: int = _of(_whole, f"{ROLLOUT}.n")
    rollout_bytes: int = _of(_width, f"{ROLLOUT}.dtype", default="bfloat16")
    tensor_parallel: int = _of(_whole, f"{ROLLOUT}.tensor_model_parallel_size", default=1)
    max_sequences: int = _of(_whole, f"{ROLLOUT}.max_num_seqs", default=256)
    batched_tokens: int = _of(_whole, f"{ROLLOUT}.max_num_batched_tokens", default=8192)
    eager: bool = _of(_flag, f"{ROLLOUT}.enforce_eager")
    sleep: bool = _of(_flag, f"{ROLLOUT}.free_cache_engine", default=True)

    @property
    def data_parallel(self) -> int:
        """GPUs, or groups of them, that each train on samples of their own."""
        return max(1, self.gpus // self.sequence_parallel)

    @property
    def replicas(self) -> int:
        """Copies of vLLM."""
        return max(1, self.gpus // self.tensor_parallel)


def read_settings(config: DictConfig) -> Settings:
    """The settings of a composed `ppo_trainer` configuration.

    Raises:
        ConfigError: naming a key that is missing or has an unknown value.
    """
    own = {f.name: f.metadata["read"](config) for f in fields(Settings) if f.metadata}
    strategy = str(_key(config, f"{ACTOR}.strategy"))
    if strategy not in ("fsdp", "fsdp2"):
        raise ConfigError(f"{ACTOR}.strategy={strategy}: planned for are fsdp and fsdp2")
    gpus = own["per_node"] * _whole(config, "trainer.nnodes")
    longest = own["prompt_tokens"] + own["response_tokens"]

    def micro(dynamic: str, prefix: str) -> tuple[int | None, int]:
        """Sequences of a micro batch where their number is fixed, and its tokens."""
        if _flag(config, f"{dynamic}use_dynamic_bsz"):
            return None, _whole(config, f"{prefix}max_token_len_per_gpu")
        sequences = _whole(config, f"{prefix}micro_batch_size_per_gpu")
        return sequences, sequences * longest

    update, update_tokens = micro(f"{ACTOR}.", f"{ACTOR}.ppo_")
    forward, forward_tokens = micro(f"{ROLLOUT}.log_prob_", f"{ROLLOUT}.log_prob_")
    shard = _whole(config, f"{FSDP}.fsdp_size", -1, least=-1)
    lora_rank = _whole(config, f"{MODEL}.lora.rank", 0, 0) or _whole(config, f"{MODEL}.lora_rank", 0, 0)
    if lora_rank and _key(config, f"{MODEL}.target_modules", "all-linear") != "all-linear":
        raise ConfigError(f"{MODEL}.target_modules: only all-linear is planned for")
    utilization = _key(config, f"{ROLLOUT}.gpu_memory_utilization")
    if not isinstance(utilization, int | float) or not 0 < utilization <= 1:
        raise ConfigError(f"{ROLLOUT}.gpu_memory_utilization={utilization}: a share between 0 and 1 is needed")
    return Settings(
        **own,
        gpus=gpus,
        max_sequence=_whole(config, f"{ROLLOUT}.max_model_len", longest),
        micro=update,
        forward_micro=forward,
        update_tokens=update_tokens,
        forward_tokens=forward_tokens,
        strategy=strategy,
        shard=gpus if shard <= 0 else min(shard, gpus),
        sequence_parallel=max(_whole(config, f"{place}.ulysses_sequence_parallel_size", 1) for place in (ACTOR, FSDP)),
        offload_policy=strategy == "fsdp2" and _flag(config, f"{FSDP}.offload_policy"),
        lora_rank=lora_rank,
        lora_exclude=select(config, f"{MODEL}.exclude_modules"),
        utilization=utilization,
        bucket=_whole(config, f"{ROLLOUT}.checkpoint_engine.update_weights_bucket_megabytes", 2048) * 2**20,
    )


def compose_for(recipe: str, gpus: int, overrides: Sequence[str] = ()) -> DictConfig:
    """A recipe on verl's own configuration, as `main_ppo +recipe=…` composes it, for a number of GPUs.

    Nodes are of 8 GPUs; the overrides come last, so `trainer.n_gpus_per_node=4` among them means smaller nodes.

    Raises:
        ConfigError: no such recipe, an override that Hydra refuses, or GPUs that fill no whole node.
    """
    if gpus > 8 and gpus % 8:
        raise ConfigError(
            f"{gpus} GPUs fill no whole nodes of 8; set trainer.n_gpus_per_node and trainer.nnodes yourself"
        )
    nodes = [f"trainer.n_gpus_per_node={min(gpus, 8)}", f"trainer.nnodes={max(1, gpus // 8)}"]
    config = compose(recipe, [*nodes, *overrides])
    found = config.trainer.n_gpus_per_node * config.trainer.nnodes
    if found != gpus:
        raise ConfigError(f"the overrides ask for {found} GPUs, --gpus for {gpus}")
    return config
