"""Stage folders named by what they are made of, so that finished work is found again and never mistaken.

The name of a folder ends in a hash of all that its content depends on: the stage's own configuration, the hashes of its
inputs, the code of the stage, and the versions of the libraries that shape bytes. A stage writes into `NAME.partial`,
which becomes `NAME` by one rename when it is complete; a run that was killed finds either the whole or what its chunks
left in the partial folder.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mixed_r1_verl import data_preprocess
from mixed_r1_verl.core.files import write_text
from mixed_r1_verl.core.rows import DataError

LIBRARIES = ("mixed-r1-verl", "pyarrow", "pillow", "numpy", "imagehash")


class Store:
    """The work folder of a build."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the work folder for one build at a time.

        Raises:
            DataError: another build holds it, or it cannot be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock = (self.root / "lock").open("w")
        except OSError as error:
            raise DataError(f"cannot write to {self.root}: {error.strerror}") from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise DataError(f"another build works in {self.root}; wait for it or choose another output") from None
            yield

    def folder(self, name: str, module: str, key: Mapping[str, Any]) -> Path:
        """The folder of a stage with this key, whether it is there or not.

        Args:
            name: what a person looks for.
            module: file of the stage's code.
            key: everything else that its content depends on.
        """
        parts = {"key": key, "code": _code_hash(module), "versions": library_versions()}
        return self.root / f"{name}-{hash_value(parts)}"

    def stage(self, name: str, module: str, key: Mapping[str, Any], make: Callable[[Path], None]) -> Path:
        """The finished folder of a stage; `make(folder)` fills it unless it is there already."""
        folder = self.folder(name, module, key)
        if not folder.is_dir():
            partial = folder.with_name(folder.name + ".partial")
            partial.mkdir(exist_ok=True)
            make(partial)
            sync(partial)
            partial.rename(folder)
        return folder

    def hash_folder(self, folder: Path) -> str:
        """SHA-256 over names and content of all files of a folder (or of one file).

        Files of the same name, size and time as at the last look are not read again.
        """
        memory = self.root / "hashes" / f"{hash_value(str(folder))}.json"
        try:
            known = json.loads(memory.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            known = {}
        found = [folder] if folder.is_file() else sorted(path for path in folder.rglob("*") if path.is_file())
        # What Python compiles is no data; a converter that draws its rows has its own code as the input.
        paths = [path for path in found if path.suffix != ".pyc"]
        entries: dict[str, list[Any]] = {}
        with ThreadPoolExecutor(8) as pool:  # hashing does not hold the interpreter's lock

            def look(path: Path) -> tuple[str, list[Any]]:
                name, status = path.relative_to(folder.parent).as_posix(), path.stat()
                before = known.get(name)
                if before and before[:2] == [status.st_size, status.st_mtime_ns]:
                    return name, before
                return name, [status.st_size, status.st_mtime_ns, hash_file(path)]

            entries.update(pool.map(look, paths))
        if entries != known:
            memory.parent.mkdir(parents=True, exist_ok=True)
            write_text(memory, json.dumps(entries))
        return hash_value([[name.partition("/")[2], entry[2]] for name, entry in entries.items()])


def hash_value(value: Any) -> str:
    """A short name for a JSON-like value.

    >>> hash_value({"a": 1, "b": 2}) == hash_value({"b": 2, "a": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, default=dict)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


@cache
def hash_code(*packages: str) -> str:
    """Hash of the Python files of packages of this project, without the engine itself."""
    root = Path(__file__).parents[1]
    folders = {"data_preprocess": Path(str(data_preprocess.__file__)).parent}
    found: list[tuple[str, str]] = []
    for package in packages:
        folder = folders.get(package, root / package)
        files = sorted(path for path in folder.rglob("*.py") if not path.is_relative_to(Path(__file__).parent))
        found += [(path.relative_to(folder).as_posix(), hash_file(path)) for path in files]
    return hash_value(found)


def hash_file(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _digest(handle)


def _digest(handle: Any) -> str:  # Python 3.10
    digest = hashlib.sha256()
    while block := handle.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def draw(seed: int, purpose: str, identity: str) -> int:
    """A number in [0, 2**64) that depends on nothing else: the order of a shuffle, the seed of a sample.

    >>> draw(0, "quota", "a") == draw(0, "quota", "a") != draw(1, "quota", "a")
    True
    """
    digest = hashlib.blake2b(f"{seed}\n{purpose}\n{identity}".encode(errors="backslashreplace"), digest_size=8)
    return int.from_bytes(digest.digest(), "big")


def sync(folder: Path) -> None:
    """Brings the files of a folder to the disk before a rename declares them complete."""
    for path in folder.iterdir():
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@cache
def _code_hash(module: str) -> str:
    return hash_file(Path(module))


@cache
def library_versions() -> dict[str, str]:
    return {name: version(name) for name in LIBRARIES}
