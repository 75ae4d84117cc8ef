"""The model that is evaluated: a Hugging Face directory, a hub id, or a checkpoint of verl, which is merged first."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mixed_r1_verl.core.rows import DataError

LATEST = "latest_checkpointed_iteration.txt"  # verl writes the newest step here, in `trainer.default_local_dir`


def resolve(model: str) -> Path | str:
    """What a name means: a directory with a Hugging Face model, the `actor` folder of a checkpoint, or a hub id.

    A folder of checkpoints (`trainer.default_local_dir`) means its latest one.

    Raises:
        DataError: it is none of these.

    >>> resolve("Qwen/Qwen2.5-VL-7B-Instruct")
    'Qwen/Qwen2.5-VL-7B-Instruct'
    """
    path = Path(model).expanduser()
    if not path.is_dir():
        if path.exists() or model.startswith(("/", ".", "~")) or model.count("/") != 1:
            raise DataError(f"{model}: neither a directory nor a hub id")
        return model
    latest = path / LATEST
    if latest.is_file():
        path = path / f"global_step_{latest.read_text(encoding='utf-8').strip()}"
    if (path / "actor").is_dir():
        path = path / "actor"
    if (path / "config.json").is_file():
        return path
    merged = path / "huggingface"  # holds weights as well where the run saved `hf_model`
    if any(merged.glob("*.safetensors")):
        return merged
    if any(path.glob("model_world_size_*_rank_*.pt")):
        return path
    raise DataError(
        f"{path}: neither a Hugging Face directory (no config.json) nor an FSDP checkpoint of verl "
        "(no model_world_size_*_rank_*.pt); merge other checkpoints with `python -m verl.model_merger merge` first"
    )


@contextmanager
def hugging_face_model(model: Path | str) -> Iterator[Path | str]:
    """The resolved model in Hugging Face form; a checkpoint is merged into a temporary directory (see `TMPDIR`).

    verl's merger writes bfloat16, whatever the checkpoint holds.

    Raises:
        DataError: verl's merger failed.
    """
    if isinstance(model, str) or (model / "config.json").is_file():
        yield model
        return
    with tempfile.TemporaryDirectory(prefix="mixed-r1-merged-") as folder:
        command = [sys.executable, "-m", "verl.model_merger", "merge", "--backend", "fsdp"]
        ran = subprocess.run(
            [*command, "--local_dir", str(model), "--target_dir", folder],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if ran.returncode:
            raise DataError(f"{model}: verl's merger failed:\n{ran.stdout[-2000:]}")
        yield Path(folder)


def tokenizer_directory(model: Path | str) -> Path | str:
    """Where the tokenizer and processor of a resolved model are; beside the shards in a checkpoint of verl."""
    if isinstance(model, str) or (model / "config.json").is_file():
        return model
    return model / "huggingface"


def fingerprint(model: Path | str) -> str:
    """A line that changes when the weights of a local model do: names, sizes and times of its weight files."""
    if isinstance(model, str):
        return model
    patterns = ("*.safetensors", "*.bin", "model_world_size_*.pt")
    files = sorted(path for pattern in patterns for path in model.glob(pattern))
    return ", ".join(f"{file.name}:{file.stat().st_size}:{file.stat().st_mtime_ns}" for file in files)
