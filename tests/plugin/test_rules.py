"""Settings with which verl starts and then waits for ever or trains something else, in recipes of ours."""

import pytest

from mixed_r1_verl.core.verl_config import compose
from mixed_r1_verl.plugin import rules

INTERNVL = "mixed_r1_internvl3_1b"
ASYNCHRONOUS = ("actor_rollout_ref.rollout.checkpoint_engine.backend=nccl",)
LORA = "+recipe/adapter=lora"


@pytest.mark.parametrize(
    ("recipe", "overrides", "cpus"),
    [
        ("mixed_r1", ("trainer.n_gpus_per_node=1",), 9),
        ("mixed_r1", (), 30),
        ("mixed_r1_qwen2_5_vl_3b", ("trainer.n_gpus_per_node=1",), 7),
        ("mixed_r1_qwen2_5_vl_32b", (), 58),
        ("mixed_r1_cpu", (), 6),
        (
            "mixed_r1",
            ("trainer.v1.trainer_mode=separate_async", "actor_rollout_ref.rollout.nnodes=1"),
            54,
        ),
    ],
)
def test_cpus_that_ray_must_count(recipe: str, overrides: tuple[str, ...], cpus: int) -> None:
    """One task runner, one controller, the storage units, three for each GPU: verl#7656."""
    config = compose(recipe, overrides)
    assert rules.needed_cpus(config) == cpus
    assert rules.silent_failures(config) == []
    enough = rules.silent_failures(compose(recipe, [*overrides, f"++ray_kwargs.ray_init.num_cpus={cpus}"]), 2)
    assert enough == []
    (problem,) = rules.silent_failures(compose(recipe, [*overrides, f"++ray_kwargs.ray_init.num_cpus={cpus - 1}"]))
    assert f"Ray counts {cpus - 1} CPUs and the run needs {cpus}" in problem


@pytest.mark.parametrize(
    ("recipe", "overrides", "said"),
    [
        ("mixed_r1", (LORA, *ASYNCHRONOUS), "with LoRA and actor_rollout_ref.rollout.checkpoint_engine.backend=nccl"),
        ("mixed_r1", (LORA, *ASYNCHRONOUS, "actor_rollout_ref.model.lora.merge=true"), None),
        ("mixed_r1", (LORA,), None),
        ("mixed_r1", ASYNCHRONOUS, None),
        (INTERNVL, ("actor_rollout_ref.actor.ulysses_sequence_parallel_size=2",), "splits no sequences for InternVL"),
        (INTERNVL, ("actor_rollout_ref.actor.fsdp_config.ulysses_sequence_parallel_size=2",), "for InternVL"),
        (INTERNVL, (), None),
        ("mixed_r1", ("actor_rollout_ref.actor.ulysses_sequence_parallel_size=2",), None),
    ],
)
def test_what_would_train_something_else(recipe: str, overrides: tuple[str, ...], said: str | None) -> None:
    problems = rules.silent_failures(compose(recipe, overrides))
    assert len(problems) == (said is not None)
    assert said is None or said in problems[0]


def test_plan_says_them_too() -> None:
    config = compose("mixed_r1", (LORA, *ASYNCHRONOUS))
    assert any("samples the initial policy" in problem for problem in rules.refusals(config))


def test_this_machine_has_processors() -> None:
    assert rules.cpus_of_this_node() >= 1
