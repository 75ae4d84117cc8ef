"""The YAML of a build: what is refused, and that the files that come along are sound."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.data.registry import converters
from mixed_r1_verl.engine.config import read_config

ROOT = Path(__file__).parents[2]
SOURCE = {"converter": "chartqa"}


def write(folder: Path, value: Any) -> Path:
    path = folder / "build.yaml"
    path.write_text(value if isinstance(value, str) else yaml.safe_dump(value), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"quota": {}}, "unknown key 'quota'; did you mean 'quotas'"),
        ({"sources": [{"convertor": "chartqa"}]}, r"unknown key 'sources\[0\].convertor'; did you mean 'converter'"),
        ({"sources": [{"input": "x"}]}, r"sources\[0\] lacks 'converter'"),
        ({"sources": []}, "sources: at least one is needed"),
        ({"sources": [SOURCE, SOURCE]}, "two are called 'chartqa'; give each a name"),
        ({"sources": [{**SOURCE, "name": "../up"}]}, "may hold letters"),
        ({"quotas": {"sources": {"charts": 3}}}, "quotas.sources: unknown source 'charts'; did you mean 'chartqa'"),
        ({"quotas": {"rewards": {"charts": 3}}}, "quotas.rewards: unknown reward 'charts'; did you mean 'chart'"),
        ({"mix": {"weights": {"chart": 0}}}, "mix.weights.chart is 0.0; it must be above 0"),
        ({"near": {"max_distance": 40}}, "near.max_distance is 40"),
        ({"balance": {"letters": 0.5}}, "balance.letters is 0.5"),
        ({"difficulty": {"samples": 4}}, "difficulty lacks 'model'"),
        ({"difficulty": {"model": "m", "samples": 1}}, "difficulty.samples is 1; it must be at least 2"),
        (
            {"difficulty": {"model": "m", "min_mean": 0.9, "max_mean": 0.1}},
            "difficulty.min_mean is 0.9, above max_mean, which is 0.1",
        ),
        ({"difficulty": {"model": "m", "metric": "bleu"}}, "difficulty.metric is 'bleu'"),
        ({"evaluation": [{"match": "picture"}]}, r"evaluation\[0\] lacks 'path'"),
        ({"validation": 1.0}, "validation is 1.0; it must be at least 0 and below 1"),
        ({"seed": "one"}, "seed must be int, not 'one'"),
        ({"seed": -1}, "seed is -1; it must be at least 0"),
        ({"chunk_rows": 0}, "chunk_rows is 0; it must be at least 1"),
        ({"pictures": -1}, "pictures is -1"),
        ({"sources": [{**SOURCE, "limit": 0}]}, "source chartqa.limit is 0"),
        ({"sources": [{**SOURCE, "max_pixels": -5}]}, "source chartqa.max_pixels is -5"),
        ({"quotas": {"rewards": {"chart": -3}}}, "quotas.rewards.chart is -3"),
        ({"mix": {"batch_size": 0}}, "mix.batch_size is 0"),
        ({"ray": {"cpus": 0}}, "ray.cpus is 0"),
        ({"near": {"max_colour": 300}}, "near.max_colour is 300"),
        ({"balance": {"yes_no": float("nan")}}, "balance.yes_no is nan; it must be finite"),
        ({"difficulty": {"model": "m", "top_p": 0}}, "difficulty.top_p is 0.0"),
        ({"difficulty": {"model": "m", "temperature": -1.0}}, "difficulty.temperature is -1.0"),
        ({"difficulty": {"model": "m", "chunk_rows": 0}}, "difficulty.chunk_rows is 0"),
        ({"difficulty": {"model": "m", "min_spread": 7}}, "difficulty.min_spread is 7.0"),
        ({"reward": {"formt_weight": 1}}, "unknown key 'formt_weight'; did you mean 'format_weight'"),
        ({"mix": {"weights": {"mine": 1}}}, "mix.weights: unknown reward 'mine'"),
    ],
)
def test_what_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_config(write(tmp_path, {"sources": [SOURCE], **change}))


@pytest.mark.parametrize(
    ("text", "message"),
    [("sources: [", "is not YAML"), ("- a\n- b", "holds a list, not a mapping"), ("", "holds a NoneType")],
)
def test_a_file_that_is_no_configuration(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_config(write(tmp_path, text))


def test_a_name_that_is_neither_file_nor_shipped() -> None:
    with pytest.raises(DataError, match=r"mixed_46k: No such file.*mixed_45k"):
        read_config("mixed_46k")


def test_overrides_and_defaults(tmp_path: Path) -> None:
    config = read_config(write(tmp_path, {"sources": [SOURCE]}), output=str(tmp_path / "set"), raw=None)
    assert config.sources[0].name == "chartqa"
    assert (config.output_folder, config.work_folder) == (tmp_path / "set", tmp_path / "set.work")


@pytest.mark.parametrize("name", ["mixed_45k", str(ROOT / "examples" / "data" / "samples.yaml")])
def test_shipped_configurations_name_what_there_is(name: str) -> None:
    config = read_config(name)
    known = converters()
    for source in config.sources:
        assert source.converter in known
        assert not source.split or source.split in known[source.converter].splits
    assert config.difficulty is not None


def test_mixed_45k_asks_for_45k() -> None:
    config = read_config("mixed_45k")
    assert sum(config.quotas.rewards.values()) == 45_000
    # The weights are the quotas, so that a full build drops nothing when rewards take turns.
    total = sum(config.mix.weights.values())
    assert {kind: round(45_000 * weight / total) for kind, weight in config.mix.weights.items()} == dict(
        config.quotas.rewards
    )


def test_a_custom_kind_may_have_weights_and_quotas(tmp_path: Path) -> None:
    custom = {"reward": {"custom": {"mine": "hostile_rewards:obey"}}, "mix": {"weights": {"mine": 1, "chart": 2}}}
    config = read_config(write(tmp_path, {"sources": [SOURCE], "quotas": {"rewards": {"mine": 5}}, **custom}))
    assert config.mix.weights == {"mine": 1, "chart": 2}
