"""The reward block: every key and value is checked, and the message names the nearest right one."""

import dataclasses
from collections.abc import Mapping
from importlib import resources
from typing import Any

import pytest
import yaml

from mixed_r1_verl.core.config import ConfigError
from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.kinds import KINDS


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"fromat_weight": 0.1}, "unknown key 'fromat_weight'; did you mean 'format_weight'?"),
        ({"chart": {"tolerence": 0.1}}, "unknown key 'chart.tolerence'; did you mean 'tolerance'?"),
        ({"weights": {"matchin": 1.0}}, "weights.matchin: unknown reward; did you mean 'matching'?"),
        ({"weights": {"chart": 1.5}}, "weights.chart is 1.5; it must be at least 0 and at most 1"),
        ({"routes": {"geo3k": "maths"}}, "routes.geo3k: unknown reward 'maths'; did you mean 'math'?"),
        ({"format_weight": -0.1}, "format_weight is -0.1; it must be at least 0 and at most 1"),
        ({"format_weight": "high"}, "format_weight must be float, not 'high'"),
        ({"processes": 1.5}, "processes must be int, not 1.5"),
        ({"processes": True}, "processes must be int, not True"),
        ({"processes": 0}, "processes is 0; it must be at least 1"),
        ({"iou": {"mode": "rwa"}}, "iou.mode is 'rwa'; did you mean 'raw'?"),
        ({"iou": {"steps": 0.5}}, "iou.steps must be a list, not 0.5"),
        ({"iou": {"steps": [0.5, "x"]}}, "iou.steps[1] must be float, not 'x'"),
        ({"weights": 1.0}, "weights must be a mapping, not 1.0"),
        ({"chart": 3}, "chart must be a mapping, not int"),
        ([], "the reward block must be a mapping, not list"),
    ],
)
def test_refused_with_a_clear_message(block: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        MixedRewardConfig.from_mapping(block)  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_empty_block_is_the_default() -> None:
    assert MixedRewardConfig.from_mapping({}) == MixedRewardConfig()


def test_whole_numbers_and_lists_are_accepted() -> None:
    config = MixedRewardConfig.from_mapping({"time_limit_s": 5, "iou": {"steps": [0.5, 1]}, "cache_dir": None})
    assert (config.time_limit_s, config.of("iou").steps, config.cache_dir) == (5.0, (0.5, 1.0), None)


def test_weights_not_named_stay_at_one() -> None:
    weights = MixedRewardConfig.from_mapping({"weights": {"chart": 0.5}}).weights
    assert weights == {**dict.fromkeys(KINDS, 1.0), "chart": 0.5}


def test_custom_kinds_may_be_weighed_and_routed() -> None:
    config = MixedRewardConfig.from_mapping(
        {"custom": {"mine": "package.module:function"}, "weights": {"mine": 0.5}, "routes": {"source": "mine"}}
    )
    assert config.weights["mine"] == 0.5


def test_recipe_lists_every_key_at_its_default() -> None:
    """A key that the recipe does not list cannot be overridden without `+`."""

    def block_of(name: str) -> dict:
        text = resources.files("mixed_r1_verl.recipes").joinpath(f"recipe/{name}").read_text(encoding="utf-8")
        return yaml.safe_load(text)["reward"]["reward_kwargs"]["mixed_r1"]

    block = block_of("mixed_r1.yaml")
    block["iou"] |= block_of("family/qwen2_5_vl.yaml")["iou"]  # what depends on the model

    default = dataclasses.asdict(MixedRewardConfig())
    default |= {kind: options for kind, options in default.pop("options").items() if options is not None}

    def leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
        """Keys with a dataclass below them are followed; mappings that users fill are leaves."""
        found: dict[str, Any] = {}
        for key, value in tree.items():
            sections = prefix + key in (*KINDS, "format", "open_ended.judge")
            found |= leaves(value, f"{prefix}{key}.") if sections else {prefix + key: value}
        return found

    given, wanted = leaves(block), leaves(default)
    assert set(given) == set(wanted)
    for key in set(given) - {"embedding_model", "iou.box_frame"}:  # what depends on the model
        assert given[key] == (list(wanted[key]) if isinstance(wanted[key], tuple) else wanted[key]), key
