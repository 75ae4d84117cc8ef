"""Files that are whole or not there: atomic writes, locks, links, folders published by a rename, digests."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

__all__ = ["Busy", "atomic", "link", "lock", "partial_path", "publish_folder", "sha256_of", "write_text"]


class Busy(OSError):
    """Another process holds the lock."""


def partial_path(path: Path) -> Path:
    """Where this process writes a file before it gets its name: beside it, hidden."""
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


@contextmanager
def atomic(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """A file that gets its name when all of it is written; an exception leaves what stood there before.

    Text is UTF-8 with `\\n`; a lone surrogate, which UTF-8 cannot hold, becomes the JSON escape that it was.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.txt"
    >>> with atomic(path) as file:
    ...     _ = file.write("all")
    >>> path.read_text()
    'all'
    """
    partial = partial_path(path)
    text: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n", "errors": "backslashreplace"}
    try:
        with partial.open(mode, **text) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a small file so that it is either the old one or the new one, never half of it."""
    with atomic(path) as file:
        file.write(text)


@contextmanager
def lock(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock between processes; the kernel frees it when its holder dies, and the file stays.

    Raises:
        Busy: another process holds it, and `wait` is false.
    """
    import filelock

    try:
        with filelock.FileLock(path, timeout=-1 if wait else 0, thread_local=False):
            yield
    except filelock.Timeout as error:
        raise Busy(f"another process holds {path}") from error


def link(path: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the file system has no hard links."""
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)


def publish_folder(ready: Path, target: Path) -> None:
    """Put a finished folder in the place of another; for a moment neither is there, but both always exist."""
    old = target.with_name(target.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.replace(old)
    ready.replace(target)
    shutil.rmtree(old, ignore_errors=True)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()  # hashlib.file_digest does the same from Python 3.11 on
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
