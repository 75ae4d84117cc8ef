"""What of a composed recipe decides memory and time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mixed_r1_verl.core.config import ConfigError
from mixed_r1_verl.core.verl_config import compose as compose_verl

_BYTES = {"fp32": 4, "float32": 4, "bf16": 2, "bfloat16": 2, "fp16": 2, "float16": 2, "auto": 2}


class PlanError(ValueError):
    """The recipe, the model or the numbers cannot be planned with."""


@dataclass(frozen=True)
class Settings:
    """The knobs of one run; each is named after verl's key.

    Attributes:
        gpus: GPUs in all.
        per_node: GPUs of one node.
        shard: GPUs among which FSDP2 shares out parameters (`fsdp_size`).
        sequence_parallel: GPUs that share one micro batch (Ulysses).
        update_tokens: most tokens of a micro batch on one GPU in the update.
        forward_tokens: the same for the log-probabilities.
        micro: sequences of a micro batch on one GPU where it is fixed, else None.
        forward_micro: the same for the log-probabilities.
        reference: a reference policy is asked for log-probabilities (KL).
        max_sequence: tokens that vLLM makes room for in one sequence.
        image_patch_size: side in pixels, `data.image_patch_size`.
    """

    model: str
    gpus: int
    per_node: int
    train_batch: int
    rollouts: int
    mini_batch: int
    epochs: int
    prompt_tokens: int
    response_tokens: int
    dynamic: bool
    update_tokens: int
    forward_tokens: int
    micro: int | None
    forward_micro: int | None
    strategy: str
    shard: int
    sequence_parallel: int
    model_bytes: int
    compute_bytes: int
    param_offload: bool
    optimizer_offload: bool
    offload_policy: bool
    deferred_gradients: bool
    checkpointing: bool
    activation_offload: bool
    remove_padding: bool
    fused_kernels: bool
    chunked_entropy: bool
    lora_rank: int
    lora_exclude: str | Sequence[str] | None
    lora_merge: bool
    freeze_vision_tower: bool
    reference: bool
    rollout_bytes: int
    tensor_parallel: int
    utilization: float
    max_sequence: int
    max_sequences: int
    batched_tokens: int
    eager: bool
    sleep: bool
    bucket: int
    image_patch_size: int

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
        PlanError: naming a key that is missing or has an unknown value.
    """

    def key(path: str, default: Any = None) -> Any:
        value = OmegaConf.select(config, path)
        return default if value is None else value

    def needed(path: str) -> Any:
        value = key(path)
        if value is None:
            raise PlanError(f"{path} has no value")
        return value

    def whole(path: str, default: int | None = None, least: int = 1) -> int:
        value = needed(path) if default is None else key(path, default)
        try:
            number = int(value)
        except (TypeError, ValueError):
            number = least - 1
        if number < least:
            raise PlanError(f"{path}={value}: a whole number of at least {least} is needed")
        return number

    def width(path: str, default: str) -> int:
        value = str(key(path, default)).removeprefix("torch.")
        if value not in _BYTES:
            raise PlanError(f"{path}={value}: known are {', '.join(_BYTES)}")
        return _BYTES[value]

    actor, rollout, model = (f"actor_rollout_ref.{name}" for name in ("actor", "rollout", "model"))
    strategy = str(needed(f"{actor}.strategy"))
    if strategy not in ("fsdp", "fsdp2"):
        raise PlanError(f"{actor}.strategy={strategy}: planned for are fsdp and fsdp2")
    per_node = whole("trainer.n_gpus_per_node")
    gpus = per_node * whole("trainer.nnodes")
    prompt, response = whole("data.max_prompt_length"), whole("data.max_response_length")
    dynamic = bool(key(f"{actor}.use_dynamic_bsz", False))
    micro = None if dynamic else whole(f"{actor}.ppo_micro_batch_size_per_gpu")
    forward_dynamic = bool(key(f"{rollout}.log_prob_use_dynamic_bsz", False))
    forward_micro = None if forward_dynamic else whole(f"{rollout}.log_prob_micro_batch_size_per_gpu")
    sequence_parallel = max(
        whole(f"{actor}.ulysses_sequence_parallel_size", 1),
        whole(f"{actor}.fsdp_config.ulysses_sequence_parallel_size", 1),
    )
    shard = whole(f"{actor}.fsdp_config.fsdp_size", -1, least=-1)
    lora_rank = whole(f"{model}.lora.rank", 0, least=0) or whole(f"{model}.lora_rank", 0, least=0)
    exclude = key(f"{model}.exclude_modules")
    if lora_rank and key(f"{model}.target_modules", "all-linear") != "all-linear":
        raise PlanError(f"{model}.target_modules: only all-linear is planned for")
    utilization = needed(f"{rollout}.gpu_memory_utilization")
    if not isinstance(utilization, int | float) or not 0 < utilization <= 1:
        raise PlanError(f"{rollout}.gpu_memory_utilization={utilization}: a share between 0 and 1 is needed")
    return Settings(
        model=str(needed(f"{model}.path")),
        gpus=gpus,
        per_node=per_node,
        train_batch=whole("data.train_batch_size"),
        rollouts=whole(f"{rollout}.n"),
        mini_batch=whole(f"{actor}.ppo_mini_batch_size"),
        epochs=whole(f"{actor}.ppo_epochs", 1),
        prompt_tokens=prompt,
        response_tokens=response,
        dynamic=dynamic,
        update_tokens=whole(f"{actor}.ppo_max_token_len_per_gpu") if micro is None else micro * (prompt + response),
        forward_tokens=(
            whole(f"{rollout}.log_prob_max_token_len_per_gpu")
            if forward_micro is None
            else forward_micro * (prompt + response)
        ),
        micro=micro,
        forward_micro=forward_micro,
        strategy=strategy,
        shard=gpus if shard <= 0 else min(shard, gpus),
        sequence_parallel=sequence_parallel,
        model_bytes=width(f"{actor}.fsdp_config.model_dtype", "fp32"),
        compute_bytes=width(f"{actor}.fsdp_config.mixed_precision.param_dtype", "bf16"),
        param_offload=bool(key(f"{actor}.fsdp_config.param_offload", False)),
        optimizer_offload=bool(key(f"{actor}.fsdp_config.optimizer_offload", False)),
        offload_policy=strategy == "fsdp2" and bool(key(f"{actor}.fsdp_config.offload_policy", False)),
        deferred_gradients=bool(key(f"{actor}.fsdp_config.use_no_sync_for_gradient_accumulation", False)),
        checkpointing=bool(key(f"{model}.enable_gradient_checkpointing", False)),
        activation_offload=bool(key(f"{model}.enable_activation_offload", False)),
        remove_padding=bool(key(f"{model}.use_remove_padding", False)),
        fused_kernels=bool(key(f"{model}.use_fused_kernels", False)),
        chunked_entropy=bool(key(f"{actor}.entropy_from_logits_with_chunking", False))
        or bool(key(f"{actor}.fsdp_config.entropy_from_logits_with_chunking", False)),
        lora_rank=lora_rank,
        lora_exclude=exclude if exclude is None or isinstance(exclude, str) else list(exclude),
        lora_merge=bool(key(f"{model}.lora.merge", False)),
        freeze_vision_tower=bool(key(f"{actor}.freeze_vision_tower", False)),
        reference=bool(key(f"{actor}.use_kl_loss", False)) or bool(key("algorithm.use_kl_in_reward", False)),
        rollout_bytes=width(f"{rollout}.dtype", "bfloat16"),
        tensor_parallel=whole(f"{rollout}.tensor_model_parallel_size", 1),
        utilization=utilization,
        max_sequence=whole(f"{rollout}.max_model_len", prompt + response),
        max_sequences=whole(f"{rollout}.max_num_seqs", 256),
        batched_tokens=whole(f"{rollout}.max_num_batched_tokens", 8192),
        eager=bool(key(f"{rollout}.enforce_eager", False)),
        sleep=bool(key(f"{rollout}.free_cache_engine", True)),
        bucket=whole(f"{rollout}.checkpoint_engine.update_weights_bucket_megabytes", 2048) * 2**20,
        image_patch_size=whole("data.image_patch_size", 14),
    )


def compose(recipe: str, gpus: int, overrides: Sequence[str] = ()) -> DictConfig:
    """A recipe on verl's own configuration, as `main_ppo +recipe=…` composes it, for a number of GPUs.

    Nodes are of 8 GPUs; the overrides come last, so `trainer.n_gpus_per_node=4` among them means smaller nodes.

    Raises:
        PlanError: no such recipe, an override that Hydra refuses, or GPUs that fill no whole node.
    """
    if gpus > 8 and gpus % 8:
        raise PlanError(
            f"{gpus} GPUs fill no whole nodes of 8; set trainer.n_gpus_per_node and trainer.nnodes yourself"
        )
    nodes = [f"trainer.n_gpus_per_node={min(gpus, 8)}", f"trainer.nnodes={max(1, gpus // 8)}"]
    try:
        config = compose_verl(recipe, [*nodes, *overrides])
    except ConfigError as error:
        raise PlanError(str(error)) from None
    found = config.trainer.n_gpus_per_node * config.trainer.nnodes
    if found != gpus:
        raise PlanError(f"the overrides ask for {found} GPUs, --gpus for {gpus}")
    return config
