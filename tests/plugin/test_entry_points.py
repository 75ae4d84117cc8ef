"""What an installation brings: entry points, recipes on Hydra's path, and nothing generic in site-packages."""

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import fresh
import pytest
from omegaconf import OmegaConf

from mixed_r1_verl.doctor import RECIPES

pytestmark = pytest.mark.verl


def compose(recipe: str | None):
    from hydra import compose, initialize_config_module

    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose("ppo_trainer", overrides=[f"+recipe={recipe}"] if recipe else [])


def flat_keys(node: dict, prefix: str = "") -> set[str]:
    keys = set()
    for key, value in node.items():
        keys.add(prefix + str(key))
        if isinstance(value, dict):
            keys |= flat_keys(value, f"{prefix}{key}.")
    return keys


@pytest.mark.parametrize(
    ("group", "target"),
    [
        ("verl.plugins", "mixed_r1_verl.plugin.verl_plugin"),
        ("vllm.general_plugins", "mixed_r1_verl.plugin.vllm_plugin:register"),
    ],
)
def test_entry_point_is_declared_and_loads(group: str, target: str) -> None:
    (point,) = [point for point in metadata.entry_points(group=group) if point.name == "mixed_r1_verl"]
    assert point.value == target
    point.load()


def test_verl_sees_the_manager_and_the_platform_after_import() -> None:
    code = (
        "import verl\n"
        "from verl.experimental.reward_loop.reward_manager import get_reward_manager_cls\n"
        "from verl.plugin.platform import PlatformRegistry, get_platform\n"
        "import torch\n"
        "assert get_reward_manager_cls('mixed_r1').__name__ == 'MixedRewardManager'\n"
        "assert torch.cuda.is_available() or get_platform().device_name == 'cpu'\n"
        "from mixed_r1_verl.plugin import verl_plugin\n"
        "verl_plugin.register(); verl_plugin.register()\n"
    )
    ran = fresh.run(code)
    assert ran.returncode == 0, ran.stderr


def test_a_package_that_was_uploaded_instead_of_installed_registers_itself() -> None:
    """As on a Ray worker to which `py_modules` brought it: there are no entry points and nothing that is declared."""
    code = (
        "from importlib import metadata\n"
        "def absent(name): raise metadata.PackageNotFoundError(name)\n"
        "real = metadata.Distribution.from_name\n"
        "metadata.Distribution.from_name = lambda name: absent(name) if name == 'mixed-r1-verl' else real(name)\n"
        "import verl\n"
        "from verl.experimental.reward_loop.reward_manager import get_reward_manager_cls\n"
        "assert get_reward_manager_cls('mixed_r1').__name__ == 'MixedRewardManager'\n"
    )
    told = {"VERL_USE_EXTERNAL_PLUGINS": "none", "VERL_USE_EXTERNAL_MODULES": "mixed_r1_verl.plugin.verl_plugin"}
    ran = fresh.run(code, **told)
    assert ran.returncode == 0, ran.stderr


def test_importing_verl_with_the_plugin_stays_cheap() -> None:
    """It happens in every Ray process; vLLM would add seconds and hundreds of megabytes to each."""
    code = "import sys, verl; print(*(name for name in sys.modules if name.startswith(('vllm', 'verl.'))))"
    ours, alone = (fresh.run(code, VERL_USE_EXTERNAL_PLUGINS=plugins).stdout.split() for plugins in ("auto", "none"))
    assert set(ours) == set(alone) and alone


def test_a_failing_plugin_is_reported_before_verl_drops_it() -> None:
    code = "import sys; sys.modules['mixed_r1_verl.plugin.internvl'] = None; import verl"
    ran = fresh.run(code)
    assert ran.returncode == 0, ran.stderr
    assert "mixed-r1-verl could not plug into verl" in ran.stderr
    assert "mixed-r1 doctor" in ran.stderr


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipe_composes_and_passes_verls_own_validation(recipe: str) -> None:
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import omega_conf_to_dataclass, validate_config

    config = compose(recipe)
    assert config.algorithm.adv_estimator == "grpo"
    assert config.reward.reward_manager.name == "mixed_r1"
    validate_config(config, need_reference_policy(config), need_critic(config))
    for section in ("actor", "rollout"):
        omega_conf_to_dataclass(config.actor_rollout_ref[section])


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipe_adds_only_keys_that_verl_reads(recipe: str) -> None:
    """Hydra lets a global recipe add any key: a misspelt one would do nothing, silently."""
    added = flat_keys(OmegaConf.to_container(compose(recipe))) - flat_keys(OmegaConf.to_container(compose(None)))
    free_form = (
        "data.mixture",  # read by `plugin.mixture`
        "trainer.v1.sampler.sampler_kwargs.",
        "reward.reward_kwargs",
        "actor_rollout_ref.model.override_config.",
        "actor_rollout_ref.actor.fsdp_config.mixed_precision",  # null in verl's YAML, read by its FSDP engine
        "ray_kwargs.ray_init.",
    )
    in_dataclass = {"actor_rollout_ref.rollout.engine_kwargs.vllm.enable_sleep_mode"}
    assert {key for key in added if not key.startswith(free_form)} - in_dataclass == set()


def test_cpu_recipe_changes_nothing_of_the_algorithm_but_the_kl_term() -> None:
    gpu, cpu = (compose(recipe) for recipe in ("mixed_r1", "mixed_r1_cpu"))
    assert cpu.algorithm == gpu.algorithm
    for key in ("clip_ratio_low", "clip_ratio_high", "loss_agg_mode", "entropy_coeff", "ppo_epochs"):
        assert cpu.actor_rollout_ref.actor[key] == gpu.actor_rollout_ref.actor[key]
    assert gpu.actor_rollout_ref.actor.use_kl_loss and not cpu.actor_rollout_ref.actor.use_kl_loss
    blocks = (OmegaConf.to_container(one.reward.reward_kwargs) for one in (cpu, gpu))  # as written: the model differs
    assert next(blocks) == next(blocks)


def test_wheel_holds_the_recipes_and_no_generic_name(tmp_path: Path) -> None:
    repository = Path(__file__).parent.parent.parent
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "-w",
            str(tmp_path),
            ".",
        ],
        cwd=repository,
        check=True,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )
    (wheel,) = tmp_path.glob("*.whl")
    target = tmp_path / "site"
    subprocess.run([sys.executable, "-m", "zipfile", "-e", str(wheel), str(target)], check=True)
    names = {path.name for path in target.iterdir() if not path.name.endswith(".dist-info")}
    assert names == {"mixed_r1_verl", "hydra_plugins"}
    assert [path.name for path in (target / "hydra_plugins").iterdir()] == ["mixed_r1_verl"]
    recipes = repository / "recipes"
    shipped = {path.relative_to(recipes) for path in recipes.rglob("*.yaml")}
    installed = target / "mixed_r1_verl" / "recipes"
    assert {path.relative_to(installed) for path in installed.rglob("*.yaml")} == shipped
    assert (target / "mixed_r1_verl/data_preprocess/charts.py").is_file()
    assert {path.name for path in (target / "mixed_r1_verl/rewards/answer").glob("*.txt")} == {"units.txt", "words.txt"}
    assert (target / "mixed_r1_verl/py.typed").is_file()
