"""Every place where this package rests on the inside of verl or vLLM, and the one way in which it reaches in.

A patch is applied right after the process has imported its module, and costs nothing in processes that never do: verl
loads plugins in every Ray process, where its trainer or vLLM would add seconds and hundreds of megabytes.

    python -m mixed_r1_verl.plugin.seams

prints the table and holds every line of it against what is installed: run it after an upgrade of verl or vLLM.
"""

import inspect
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any

import wrapt

__all__ = ["SEAMS", "Seam", "install", "problem_of", "table"]


@dataclass(frozen=True)
class Seam:
    """One name of another package."""

    target: str  # `module:name`, the name with dots
    why: str  # what it is patched or used for
    # what it takes, in this order, with `*` and `**`; further ones must be optional. None: no function.
    parameters: str | None = None
    reads: str = ""  # attributes that its code reads or sets, and ours with it
    # `module:function` of ours around it, `(wrapped, instance, args, kwargs)`; empty where it is only used
    wrapper: str = ""
    action: str = ""  # `module:function` of ours, called with the module; or a module alone, which is imported
    gpu: bool = True  # whether it is needed beside an accelerator
    since: str = ""  # the first version with which this line was tested
    upstream: str = ""  # an issue or pull request about it

    @property
    def module(self) -> str:
        return self.target.partition(":")[0]

    @property
    def package(self) -> str:
        return self.module.partition(".")[0]


_VERL, _VLLM = "0.9.1", "0.30"
_OURS = "mixed_r1_verl.plugin."
_REWARDS = "verl.experimental.reward_loop."
_TRAINER = "verl.trainer.ppo.v1.trainer_base:PPOTrainer."
_BUFFER = "verl.trainer.ppo.v1.replay_buffer:"
_TRACKING = "verl.utils.tracking:"
_ROLLOUT = "verl.workers.rollout."
_DATASET = "verl.utils.dataset.rl_dataset:RLHFDataset."

SEAMS = (
    # Patched, everywhere.
    *(
        Seam(f"{module}:hf_processor", "loads InternVL's processor, of which verl knows nothing",
             "name_or_path, **kwargs", wrapper="internvl:load_processor", upstream="verl#2327")
        for module in ("verl.utils.tokenizer.tokenizer", "verl.utils.tokenizer", "verl.utils")
    ),
    Seam("verl.models.transformers.qwen2_vl:_get_input_embeds", "rows without a picture",
         "model, input_ids, attention_mask, pixel_values, pixel_values_videos, image_grid_thw, video_grid_thw",
         wrapper="text_rows:embed_unseen_picture", upstream="verl#7323"),
    Seam("transformers.models.internvl.modeling_internvl:InternVLModel.forward", "rows without a picture",
         "self, input_ids, pixel_values", "get_image_features", wrapper="text_rows:run_unseen_tile",
         since="5.10", upstream="verl#3491"),
    Seam("verl.workers.engine.fsdp.transformer_impl:FSDPEngine._build_fsdp_module", "reads `actor.freeze_vision_tower`",
         "self, module", wrapper="freeze:build_frozen"),
    Seam("verl.trainer.ppo.utils:create_rl_sampler", "each reward's share of every batch", "data_config, dataset",
         wrapper="mixture:order_rows"),
    Seam(f"{_BUFFER}ReplayBufferAsync._has_enough_samples", "waits for each reward's share",
         "self, global_steps, partition_id, batch_size, sampleable_keys", "pending_keys running_keys",
         wrapper="mixture:wait_for_shares"),
    Seam(f"{_BUFFER}ReplayBuffer._select_prompt_uids", "takes each reward's share",
         "self, partition_id, sampleable_keys, batch_size", wrapper="mixture:choose_shares"),
    Seam(f"{_REWARDS}reward_manager:register", "registers the manager `mixed_r1`", "name", action="reward_manager"),
    Seam(f"{_REWARDS}reward_loop:RewardLoopManager._init_reward_loop_workers",
         "waits for reward workers and starts a killed one again", "self", "reward_loop_workers_class",
         wrapper="reward_workers:start_and_wait", upstream="ray#53727"),
    Seam(f"{_TRAINER}_compute_advantage", "advantages that know of tasks", "self, batch, metrics",
         wrapper="advantages:add_balance"),
    Seam(f"{_TRAINER}_compute_metrics", "curves by source and reward",
         "self, batch, metrics, timing_raw, global_steps, epoch", wrapper="curves:add_curves", upstream="verl#4545"),
    Seam(f"{_TRACKING}_TensorboardAdapter.log", "a resumed run's events replace those that it repeats; nothing is held "
         "back", "self, data, step", "writer", wrapper="tracking:log_events"),
    Seam(f"{_TRACKING}FileLogger.__init__", "does not empty the file of a resumed run",
         "self, project_name, experiment_name", "project_name experiment_name filepath fp",
         wrapper="tracking:open_file"),
    Seam(f"{_TRACKING}FileLogger.log", "a resumed run's lines replace those that it repeats", "self, data, step", "fp",
         wrapper="tracking:log_line"),
    Seam("vllm.model_executor.models.utils:WeightsMapper",
         "verl's loader of LoRA adapters calls `get_unstacked_mapper`, renamed in vLLM 0.29",
         action="vllm_plugin:name_mapper_as_verl_does", upstream="unsloth-zoo#1197"),
    # Patched, without an accelerator only.
    Seam("verl.plugin.platform:PlatformRegistry.register", "registers the platform `cpu`", "platform", gpu=False),
    Seam("verl.utils.distributed:initialize_global_process_group_ray",
         "torch refuses `cpu:gloo,cpu:gloo`", "timeout_second, backend", wrapper="cpu.patches:use_plain_gloo",
         gpu=False),
    Seam(f"{_ROLLOUT}vllm_rollout.bucketed_weight_transfer:BucketedWeightReceiver.receive_weights",
         "views on shared memory that is about to be closed become copies", "self, on_bucket_received",
         wrapper="cpu.patches:copy_received_weights", gpu=False),
    Seam("verl.utils.fsdp_utils:fsdp2_sharded_save_to_cpu", "an old policy that is set aside becomes a copy", "model",
         wrapper="cpu.patches:copy_saved_weights", gpu=False),
    Seam("verl.checkpoint_engine.base:CheckpointEngineRegistry.register",
         "registers the checkpoint engine `cpu` for `separate_async`", "backend", action="cpu.checkpoint_engine",
         gpu=False),
    Seam("vllm.model_executor.layers.utils:dispatch_cpu_unquantized_gemm",
         "linear layers keep the plain weights into which the next ones are loaded", "layer, remove_weight",
         wrapper="cpu.patches:keep_plain_weight", gpu=False),
    # Used as they are.
    Seam(f"{_REWARDS}reward_manager.base:RewardManagerBase.__init__", "base class of the reward manager",
         "self, config, tokenizer, compute_score"),
    Seam(f"{_REWARDS}reward_loop:RewardLoopWorker.__init__", "is made an actor that restarts",
         "self, config, reward_router_address"),
    Seam(f"{_REWARDS}reward_manager:get_reward_manager_cls", "doctor", "name"),
    Seam("transfer_queue:kv_batch_get", "curves and task balance read a step's responses",
         "keys, partition_id, select_fields", since="0.1.11"),
    Seam("transfer_queue:kv_batch_put", "task balance writes advantages", "keys, partition_id, fields", since="0.1.11"),
    Seam("verl.experimental.agent_loop.agent_loop:AgentLoopWorker._compute_multi_modal_inputs",
         "calls InternVL's processor with a prompt without placeholders", "self, output, input_ids"),
    Seam(f"{_DATASET}_build_messages", "prompts without a trainer", "self, example, key"),
    Seam(f"{_DATASET}_process_multi_modal_info", "prompts without a trainer",
         "messages, image_patch_size, config"),
    Seam(f"{_DATASET}_read_files_and_tokenize", "left out: rows come one by one", "self"),
    Seam(f"{_DATASET}_download", "left out: rows come one by one", "self"),
    Seam("verl.utils.tokenizer:hf_tokenizer", "prompts without a trainer", "name_or_path"),
    Seam(f"{_ROLLOUT}utils:get_vision_placeholder_token_ids", "tokens that a model must not sample", "processor"),
    Seam(f"{_ROLLOUT}vllm_rollout.utils:vLLMColocateWorkerExtension.monkey_patch_model",
         "masks them in vLLM without a trainer", "self, vocab_size, banned_token_ids"),
    Seam("verl.trainer.ppo.utils:need_critic", "`mixed-r1 plan`", "config"),
    Seam("verl.trainer.ppo.utils:need_reference_policy", "`mixed-r1 plan`", "config"),
    Seam("verl.utils.config:validate_config", "`mixed-r1 plan`", "config, use_reference_policy, use_critic"),
    Seam("verl.utils.config:omega_conf_to_dataclass", "`mixed-r1 plan`", "config"),
    Seam("verl.plugin.platform:PlatformRegistry.registered_names", "whether another platform finds an accelerator", ""),
    Seam("verl.plugin.platform:get_platform", "doctor", ""),
    Seam("verl.plugin.platform.platform_manager:set_platform", "replaces one chosen before the plugin was loaded",
         "platform", "_current_platform", gpu=False),
    Seam("verl.plugin.platform.platform_base:PlatformBase", "base class of the CPU platform", gpu=False),
    Seam("verl.checkpoint_engine.base:CheckpointEngine", "base class of the CPU checkpoint engine", gpu=False),
    Seam("verl.workers.engine.base:EngineRegistry.get_engine_cls", "reads VERL_ENGINE_DEVICE", "model_type, backend",
         gpu=False),
)  # fmt: skip


class _Patched(wrapt.FunctionWrapper):
    """A patched function. It is pickled by its name, as functions are."""

    def __reduce_ex__(self, protocol: Any) -> str:
        return self.__qualname__


_patched: dict[Any, _Patched] = {}


def install(package: str, cpu: bool, seams: Iterable[Seam] = SEAMS) -> None:
    """Apply the patches of a package, `verl` or `vllm`, to each of its modules: now if it is imported, else when it is.

    Safe to call again, also with further seams of the same module. `cpu` asks for those for machines without an
    accelerator too.
    """
    for seam in seams:
        of_vllm = (seam.package == "vllm") == (package == "vllm")
        if of_vllm and (seam.wrapper or seam.action) and (seam.gpu or cpu):
            wrapt.register_post_import_hook(partial(_apply, seam), seam.module)


def _apply(seam: Seam, module: ModuleType) -> None:
    ours = _ours(seam.action or seam.wrapper)
    if seam.action:
        if callable(ours):
            ours(module)
        return
    owner, name, target = wrapt.resolve_path(module, seam.target.partition(":")[2])
    if not isinstance(target, _Patched):
        # One object for a function that several modules name, as before: else it could not be pickled by its name.
        wrapt.apply_patch(owner, name, _patched.setdefault(target, _Patched(target, ours)))


def _ours(path: str) -> Any:
    """A function of ours, or the module where the path names one."""
    name, _, function = path.partition(":")
    module = import_module(_OURS + name)
    return getattr(module, function) if function else module


def problem_of(seam: Seam) -> str:
    """What is wrong with a seam in this installation, on one line that names it; empty when it is as expected."""
    try:
        target: Any = import_module(seam.module)
        for name in seam.target.partition(":")[2].split("."):
            target = getattr(target, name)
        for path in filter(None, (seam.wrapper, seam.action)):
            _ours(path)
    except (ImportError, AttributeError) as error:
        return f"{seam.target}: {' '.join(str(error).split())}"
    if seam.parameters is not None:
        wanted, found = seam.parameters.split(", "), list(inspect.signature(target).parameters.values())
        names = [str(parameter.replace(annotation=parameter.empty, default=parameter.empty)) for parameter in found]
        given = [name for name in wanted if name]
        further = [parameter for parameter in found[len(given) :] if parameter.kind not in (2, 4)]
        if names[: len(given)] != given or any(parameter.default is parameter.empty for parameter in further):
            return f"{seam.target}: takes ({', '.join(names)}), expected ({seam.parameters})"
    missing = set(seam.reads.split()) - set(inspect.unwrap(target).__code__.co_names if seam.reads else ())
    return f"{seam.target}: no longer uses {', '.join(sorted(missing))}" if missing else ""


def table() -> str:
    """The seams in Markdown, as docs/architecture.md shows them."""
    head = "| name of verl, vLLM or transformers | why | ours | since | on a GPU machine | upstream |"
    lines = [head, "| --- | --- | --- | --- | --- | --- |"]
    for seam in SEAMS:
        call = "" if seam.parameters is None else f"({seam.parameters})"
        ours = f"`{(seam.wrapper or seam.action).replace(':', '.')}`" if seam.wrapper or seam.action else "–"
        since = f"{seam.package} {seam.since or (_VLLM if seam.package == 'vllm' else _VERL)}"
        name = f"`{seam.target.replace(':', '.')}{call}`"
        there = ("patched" if seam.wrapper or seam.action else "used") if seam.gpu else "–"
        lines.append(f"| {name} | {seam.why} | {ours} | {since} | {there} | {seam.upstream} |")
    return "\n".join(lines)


def main() -> int:
    """Print the table, then a line for each seam that does not hold; 1 if there is one."""
    print(table())
    problems = [problem for seam in SEAMS if (problem := problem_of(seam))]
    print("", *problems, f"{len(SEAMS) - len(problems)} of {len(SEAMS)} hold", sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
