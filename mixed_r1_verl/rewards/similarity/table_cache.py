"""Prepared files that are built once per machine, checked, and shared by all processes through the page cache."""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

CHECKSUMS = "checksums.json"
DEFAULT_CACHE_DIR = "~/.cache/mixed_r1_verl"


class CacheError(RuntimeError):
    """The cache directory cannot be used."""


def prepared_directory(directory: Path, build: Callable[[Path], None]) -> Path:
    """Returns `directory`, complete and undamaged; builds it when it is missing, damaged or half-written.

    Any number of processes may ask at once: one builds under a file lock, the others wait for it. The files are
    written to a temporary directory beside the final one, sealed with their sizes and SHA-256 sums, and moved into
    place in one step, so that no process ever sees a part of them. A process that dies while it builds leaves nothing
    that could be mistaken for a result; the next one removes its remains.

    Args:
        directory: the final place; its name must identify the content.
        build: writes the files into the empty directory that it is given.

    Raises:
        CacheError: the cache cannot be written, for want of room or permission.
    """
    if is_intact(directory):
        return directory
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with _locked(directory.with_name(directory.name + ".lock")):
            if is_intact(directory):
                return directory
            for remains in directory.parent.glob(directory.name + ".building-*"):
                shutil.rmtree(remains, ignore_errors=True)
            work = Path(tempfile.mkdtemp(prefix=directory.name + ".building-", dir=directory.parent))
            try:
                work.chmod(0o755)
                build(work)
                _seal(work)
                if directory.exists():
                    # A process that has mapped the damaged files keeps them until it lets go.
                    shutil.rmtree(directory)
                work.rename(directory)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        raise CacheError(f"cannot prepare {directory}: {error}; set cache_dir to a place with room") from error
    return directory


def is_intact(directory: Path) -> bool:
    """Whether every file of a prepared directory is there with its size and checksum."""
    try:
        sums = json.loads((directory / CHECKSUMS).read_text(encoding="utf-8"))
        return bool(sums) and all(_describe(directory / name) == entry for name, entry in sums.items())
    except (OSError, ValueError, AttributeError):
        return False


def _seal(directory: Path) -> None:
    sums = {}
    for path in sorted(directory.iterdir()):
        sums[path.name] = _describe(path)
        _flush(path)
    seal = directory / CHECKSUMS
    seal.write_text(json.dumps(sums), encoding="utf-8")
    _flush(seal)


def _describe(path: Path) -> dict[str, int | str]:
    with path.open("rb") as file:
        return {"bytes": os.fstat(file.fileno()).st_size, "sha256": _sha256(file)}


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    # flock, not a lock file's existence: the kernel releases it when its holder dies.
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _sha256(file: BinaryIO) -> str:
    # hashlib.file_digest does the same from Python 3.11 on.
    digest = hashlib.sha256()
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()
