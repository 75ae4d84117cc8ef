"""verl's configuration: composed, and as a run left it."""

import json
import os
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from mixed_r1_verl.core.config import ConfigError
from mixed_r1_verl.core.verl_config import (
    BLOCK,
    RunError,
    compose,
    find_config,
    read_config,
    reward_config,
    select,
)


def test_a_recipe_is_composed_and_its_links_are_kept() -> None:
    config = compose("mixed_r1", ["actor_rollout_ref.model.path=/a/model"])
    assert config.reward.reward_manager.name == "mixed_r1"
    assert OmegaConf.is_interpolation(OmegaConf.select(config, BLOCK), "embedding_model")
    assert reward_config(config)["embedding_model"] == "/a/model"


@pytest.mark.parametrize(
    ("recipe", "overrides", "message"),
    [
        ("mixed_r2", (), "recipe mixed_r2: .*mixed_r2"),
        ("mixed_r1", ("trainer.no_such_key=1",), "recipe mixed_r1: .*no_such_key"),
        ("mixed_r1", ("trainer.total_epochs=${no.such.key}",), "recipe mixed_r1: .*no.such.key"),
        ("mixed_r1", ("=",), "recipe mixed_r1: "),
    ],
)
def test_what_cannot_be_composed_is_one_message(recipe: str, overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        compose(recipe, overrides)
    assert "\n" not in str(refused.value)


def test_the_newest_configuration_of_a_run_is_found(tmp_path: Path) -> None:
    assert find_config(tmp_path) is None
    for age, folder in enumerate((tmp_path / "hydra", tmp_path / "a" / "b", tmp_path)):
        (folder / ".hydra").mkdir(parents=True)
        (folder / ".hydra" / "config.yaml").write_text("")
        os.utime(folder / ".hydra" / "config.yaml", (1000 - age, 1000 - age))
    assert find_config(tmp_path) == tmp_path / "hydra" / ".hydra" / "config.yaml"


@pytest.mark.parametrize(("text", "message"), [(b"- a\n", "not a configuration"), (b"\xff", "cannot be read"),
                                               (b"a: [", "cannot be read")])  # fmt: skip
def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path, text: bytes, message: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(text)
    with pytest.raises(RunError, match=message):
        read_config(path)
    with pytest.raises(RunError, match="cannot be read"):
        read_config(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("reward: {reward_kwargs: {mixed_r1: [1]}}", f"{BLOCK} is not a mapping"),
        ("reward: {reward_kwargs: {mixed_r1: {a: '${no.such}'}}}", f"{BLOCK}: .*no.such"),
    ],
)
def test_a_broken_reward_block_is_refused(text: str, message: str) -> None:
    with pytest.raises(RunError, match=message):
        reward_config(OmegaConf.create(text))


def test_a_value_is_plain_data() -> None:
    config = OmegaConf.create({"data": {"files": ["${root}/a", None]}, "root": "/data"})
    assert select(config, "data.files") == ["/data/a", None]
    assert select(config, "data.absent") is select(config, "no.such.block") is None


@pytest.mark.parametrize(
    "secret",
    [
        "${oc.env:SECRET}",
        "a ${oc.env:SECRET,b}",
        "${oc.decode:${oc.env:SECRET}}",
        "${ oc.env : SECRET }",
        "${${x}:SECRET}",
    ],
)
def test_a_saved_configuration_never_reads_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setenv("SECRET", "hunter2")
    path = tmp_path / "config.yaml"
    block = {"open_ended": {"judge": {"address": "${elsewhere}"}}}
    saved = {"x": "oc.env", "elsewhere": secret, "root": "/data", "files": ["${root}/a", secret]}
    path.write_text(json.dumps({**saved, "reward": {"reward_kwargs": {"mixed_r1": block}}}))
    config = read_config(path)
    assert "hunter2" not in str(select(config, "files")) and select(config, "files")[0] == "/data/a"
    with pytest.raises(RunError, match="Missing mandatory value: elsewhere"):
        reward_config(config)
    path.write_text(json.dumps({"x": "oc.env", "reward": {"reward_kwargs": {"mixed_r1": {"embedding_model": secret}}}}))
    with pytest.raises(RunError, match="would be read from the environment; give it with --set"):
        reward_config(read_config(path))
