"""What stops a run before it starts, with one clear message."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hydra._internal.callbacks import Callbacks
from omegaconf import OmegaConf

from mixed_r1_verl.data.schema import Example, build_row, rows_to_table
from mixed_r1_verl.plugin.preflight import TINY, Preflight, PreflightError, check


def write(path: Path, reward: str = "matching", truth: str | None = "yes") -> str:
    example = Example(id="1", question="Is it red?", reward="matching", answer="yes")
    row = build_row(
        example, data_source="toy", split="train", index=0, images=[], width=0, height=0, ground_truth="yes"
    )
    row["extra_info"]["reward"] = reward
    row["reward_model"]["ground_truth"] = truth
    pq.write_table(rows_to_table([row]), path)
    return str(path)


@pytest.fixture
def config(tmp_path: Path, tiny_models: Path):
    return OmegaConf.create(
        {
            "data": {"train_files": write(tmp_path / "train.parquet"), "val_files": [write(tmp_path / "val.parquet")]},
            "actor_rollout_ref": {"model": {"path": str(tiny_models / "qwen2_5_vl")}},
            "reward": {"reward_manager": {"name": "mixed_r1"}, "reward_kwargs": {"mixed_r1": {}}},
        }
    )


def test_a_sound_run_starts(config) -> None:
    assert check(config) == []
    Preflight().on_job_start(config)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "reward.reward_kwargs.mixed_r1.fromat_weight",
            0.1,
            "unknown key 'fromat_weight'; did you mean 'format_weight'",
        ),
        ("reward.reward_kwargs.mixed_r1.embedding_model", "/no/such/model", "embedding_model: "),
        ("reward.reward_kwargs.mixed_r1.iou.family", "llava", "iou.family: unknown model family 'llava'; known: qwen2"),
        ("actor_rollout_ref.model.path", "/no/such/model", "/no/such/model is neither a directory nor a hub id"),
        ("actor_rollout_ref.model.path", TINY, f"in a checkout: start at its root, or name CHECKOUT/{TINY}"),
        ("actor_rollout_ref.model.path", None, "model.path is empty"),
        (
            "reward.reward_kwargs.mixed_r1.task_balance",
            "sample",
            "task_balance is 'sample'; did you mean 'samples'",
        ),
        (
            "reward.reward_kwargs.mixed_r1.balance",
            "samples",
            "unknown key 'balance'; did you mean 'task_balance'",
        ),
        ("reward.reward_kwargs.mixed_r1.task_balance_limit", 0.5, "task_balance_limit is 0.5; it must be at least 1"),
        ("data.train_files", "/no/such.parquet", "/no/such.parquet does not exist"),
    ],
)
def test_one_clear_message(config, key: str, value: object, message: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)  # where nothing of a checkout is
    OmegaConf.update(config, key, value, force_add=True)
    (problem,) = check(config)
    assert message in problem
    with pytest.raises(PreflightError) as stopped:
        Preflight().on_job_start(config)
    assert message in str(stopped.value) and "this run cannot start" in str(stopped.value)


def test_a_run_that_goes_on_from_another_says_so(config, tmp_path: Path, capsys) -> None:
    trainer = {"default_local_dir": str(tmp_path), "resume_mode": "auto"}
    OmegaConf.update(config, "trainer", trainer, force_add=True)
    Preflight().on_job_start(config)
    assert capsys.readouterr().err == ""
    (tmp_path / "latest_checkpointed_iteration.txt").write_text("2")
    Preflight().on_job_start(config)
    assert f"this run goes on from step 2 in {tmp_path}; to begin anew: " in capsys.readouterr().err
    config.trainer.resume_mode = "disable"
    Preflight().on_job_start(config)
    assert capsys.readouterr().err == ""


def test_a_ray_that_runs_already_counts_its_own_processors(config, monkeypatch) -> None:
    OmegaConf.update(config, "ray_kwargs.ray_init.num_cpus", 8, force_add=True)
    assert check(config) == []
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert check(config) == ["a Ray that runs already counts for itself: ray_kwargs.ray_init.num_cpus=null"]
    monkeypatch.setenv("RAY_ADDRESS", "local")
    assert check(config) == []


@pytest.mark.parametrize(
    ("model", "key", "value", "message"),
    [
        ("qwen3_vl", None, None, "mixed_r1.iou.family is qwen2_5_vl, not qwen3_vl: use a recipe of its family, or"),
        ("internvl", None, None, "is of family internvl, which answers with boxes in the frame norm1000"),
        ("qwen2_5_vl", "data.image_patch_size", 16, "data.image_patch_size is 16, not 14"),
        ("internvl", "data.image_patch_size", 16, "data.image_patch_size is 16, not 14 and reward"),
        ("qwen2_5_vl", "reward.reward_kwargs.mixed_r1.iou.family", "qwen3_vl", "iou.family is qwen3_vl, not qwen2_5"),
    ],
)
def test_a_recipe_of_another_family_is_one_message(
    config, tiny_models: Path, model: str, key: str | None, value: object, message: str
) -> None:
    config.actor_rollout_ref.model.path = str(tiny_models / model)
    if key:
        OmegaConf.update(config, key, value, force_add=True)
    (problem,) = check(config)
    assert message in problem and f"+recipe/family={model}" in problem


@pytest.fixture
def config_of_another_model(config, tmp_path: Path, tiny_models: Path):
    """A run whose model directory has another `config.json`."""

    def write_config(text: str):
        folder = tmp_path / "model"
        folder.mkdir()
        for file in (tiny_models / "qwen2_5_vl").iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        (folder / "config.json").write_text(text)
        config.actor_rollout_ref.model.path = str(folder)
        return config

    return write_config


def test_a_model_that_verl_copies_from_elsewhere_is_left_to_it(config) -> None:
    config.actor_rollout_ref.model.path = "hdfs://models/qwen2_5_vl"
    config.reward.reward_kwargs.mixed_r1.embedding_model = None
    assert check(config) == []


def test_the_switch_is_named_where_the_checks_stop_a_run(config) -> None:
    config.actor_rollout_ref.model.path = "/only/on/the/workers"
    with pytest.raises(PreflightError, match=r"'~hydra.callbacks.mixed_r1' starts unchecked"):
        Preflight().on_job_start(config)


def test_a_model_of_an_unknown_family_is_left_to_its_user(config_of_another_model) -> None:
    assert check(config_of_another_model('{"model_type": "their_own"}')) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"model_type": "internvl_chat"}', "original format, which verl cannot load: take the one named"),
        ('{"model_type": ', "actor_rollout_ref.model.path: "),
    ],
    ids=["InternVL's own format", "no JSON"],
)
def test_a_model_that_cannot_be_loaded_is_one_message(config_of_another_model, text: str, message: str) -> None:
    (problem,) = check(config_of_another_model(text))
    assert message in problem


@pytest.mark.parametrize(
    ("reward", "truth", "message"),
    [
        ("matchin", "yes", "matchin"),
        ("matching", None, "ground_truth: is empty"),
        ("", "yes", "reward: is empty"),
    ],
)
def test_broken_rows_are_named(config, tmp_path: Path, reward: str, truth: str | None, message: str) -> None:
    config.data.train_files = write(tmp_path / "broken.parquet", reward, truth)
    (problem,) = check(config)
    assert message in problem and "broken.parquet" in problem


def test_another_reward_manager_is_left_alone(config, tmp_path: Path) -> None:
    config.reward.reward_manager.name = "naive"
    config.data.train_files = write(tmp_path / "broken.parquet", "of_their_own", "yes")
    assert check(config) == []


def test_an_error_of_the_checks_themselves_stops_the_run(config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hydra makes a warning of a callback's exception, and the run would start unchecked."""

    def broken(*args: object, **kwargs: object) -> None:
        raise KeyError("images.list.element")

    monkeypatch.setattr("mixed_r1_verl.data.columns.quick_check", broken)
    callbacks = Callbacks()
    callbacks.callbacks = [Preflight()]
    with pytest.raises(SystemExit, match=r"checks before the start failed themselves, with KeyError: .im") as stop:
        callbacks.on_job_start(config=config, task_function=lambda config: None)
    assert "test_preflight.py, line" in str(stop.value) and "\n" not in str(stop.value)
