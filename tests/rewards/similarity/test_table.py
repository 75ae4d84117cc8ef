"""The two kinds of embedding table, and what a process remembers of them."""

import pickle
import threading
from pathlib import Path

import numpy as np
import pytest
from embedding_models import ENCODINGS, table_rows, write_model, write_safetensors

from mixed_r1_verl.rewards.similarity import robust
from mixed_r1_verl.rewards.similarity.table import EmbeddingTable


@pytest.mark.parametrize("dtype", list(ENCODINGS))
def test_number_types_give_the_same_rows(tmp_path: Path, dtype: str) -> None:
    table = EmbeddingTable.load(str(write_model(tmp_path / "m", dtype=dtype)), str(tmp_path / "cache"))
    rows = table_rows()[[17, 18]]
    np.testing.assert_allclose(table.unit_rows([17, 18]), rows / np.linalg.norm(rows, axis=1, keepdims=True), atol=1e-6)


def test_model_table(tmp_path: Path) -> None:
    table = EmbeddingTable.load(str(write_model(tmp_path / "m")), str(tmp_path / "cache"))
    # Neither the tokenizer's truncation to 4 nor its padding to 8 applies.
    assert list(table.tokens("the dog runs on the grass", 100)) == [1, 17, 20, 8, 1, 21]
    assert list(table.tokens("the dog runs on the grass", 2)) == [1, 17]
    features = table.words(["dog", "zebra", "the", "dog"])
    np.testing.assert_allclose(np.linalg.norm(features.vectors, axis=1), [1, 0, 1, 1], atol=1e-6)  # zebra is unknown
    assert features.weights[2] < 0.05 < features.weights[0]
    copy = pickle.loads(pickle.dumps(table))
    np.testing.assert_array_equal(copy.words(["dog"]).vectors, features.vectors[:1])


def test_rows_that_are_not_finite_or_zero_give_zero(tmp_path: Path) -> None:
    rows = table_rows()
    rows[17], rows[18] = np.nan, 0
    write_model(tmp_path)
    write_safetensors(tmp_path / "model.safetensors", {"wte.weight": ("F32", rows)})
    table = EmbeddingTable.load(str(tmp_path), str(tmp_path / "cache"))
    unit = table.unit_rows([17, 18, 19])
    assert not unit[:2].any()
    assert np.isclose(np.linalg.norm(unit[2]), 1)
    assert np.isfinite(table.words(["dog", "cat", "puppy"]).vectors).all()


def test_hashed_letters_are_the_same_everywhere() -> None:
    table = EmbeddingTable.load(None)
    vectors = table.words(["dog", "dogs", "canoe"]).vectors
    # Fixed numbers: the table must not change with the machine, the run or the hash seed of Python.
    np.testing.assert_array_equal((vectors[0, :8] > 0).astype(int), [0, 0, 0, 1, 1, 1, 0, 0])
    assert vectors[0] @ vectors[1] > 0.4 > 0.2 > abs(vectors[0] @ vectors[2])


def test_memory_of_words_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(robust, "REMEMBERED_BYTES", 2000 * 4 * 256)
    table = EmbeddingTable.load(None)
    first = table.words(["dog"]).vectors.copy()
    for start in range(0, 6000, 500):
        table.words([f"word{number}" for number in range(start, start + 500)])
    assert len(table.vocabulary._places) <= 2000
    np.testing.assert_array_equal(table.words(["dog"]).vectors, first)


def test_threads_may_share_a_table() -> None:
    table = EmbeddingTable.load(None)
    expected = EmbeddingTable.load(None).words(["dog"]).vectors
    wrong = []

    def work(number: int) -> None:
        for round_ in range(30):
            features = table.words(["dog", *(f"w{number}x{round_}x{k}" for k in range(50))])
            if not np.array_equal(features.vectors[:1], expected):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
