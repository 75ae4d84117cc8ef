"""What the name of a model means."""

from pathlib import Path

import pytest

from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.responses.model import fingerprint, resolve, tokenizer_directory


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    """As verl leaves them: `global_step_3` is not the latest by name."""
    for step in (3, 12):
        actor = tmp_path / f"global_step_{step}" / "actor"
        (actor / "huggingface").mkdir(parents=True)
        (actor / "model_world_size_1_rank_0.pt").write_bytes(b"weights")
    (tmp_path / "latest_checkpointed_iteration.txt").write_text("12")
    return tmp_path


def test_a_checkpoint_may_be_named_at_each_level(checkpoints: Path) -> None:
    latest = checkpoints / "global_step_12" / "actor"
    assert resolve(str(checkpoints)) == latest
    assert resolve(str(latest.parent)) == latest
    assert resolve(str(latest)) == latest
    assert resolve(str(checkpoints / "global_step_3")) == checkpoints / "global_step_3" / "actor"
    assert tokenizer_directory(latest) == latest / "huggingface"


def test_a_checkpoint_that_holds_the_merged_model_is_not_merged_again(checkpoints: Path) -> None:
    merged = checkpoints / "global_step_3" / "actor" / "huggingface"
    (merged / "model.safetensors").write_bytes(b"")
    assert resolve(str(checkpoints / "global_step_3")) == merged


def test_a_hugging_face_directory_is_taken_as_it_is(warm_model: Path) -> None:
    assert resolve(str(warm_model)) == warm_model
    assert tokenizer_directory(warm_model) == warm_model


@pytest.mark.parametrize("name", ["/no/such/place", "./model", "model", "a/b/c"])
def test_what_is_no_model_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="neither a directory nor a hub id"):
        resolve(name)


def test_a_folder_without_a_model_says_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no config\.json.*model_merger"):
        resolve(str(tmp_path))


def test_new_weights_in_the_same_place_are_another_model(checkpoints: Path) -> None:
    actor = checkpoints / "global_step_3" / "actor"
    before = fingerprint(actor)
    (actor / "model_world_size_1_rank_0.pt").write_bytes(b"other weights")
    assert fingerprint(actor) != before
