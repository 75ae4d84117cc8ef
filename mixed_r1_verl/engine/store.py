"""Stage folders named by what they are made of, so that finished work is found again and never mistaken.

The name of a folder ends in a hash of all that its content depends on: the stage's own configuration, the hashes of its
inputs, the code of the stage, and the versions of the libraries that shape bytes. A stage writes into `NAME.partial`,
which becomes `NAME` by one rename when it is complete; a run that was killed finds either the whole or what its chunks
left in the partial folder.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mixed_r1_verl.core.code import code_digest
from mixed_r1_verl.core.files import Busy, lock, sha256_of, write_text
from mixed_r1_verl.core.rows import DataError

Item = dict[str, Any]
"""What a task is given, and what it returns, through Ray."""
Wanted = tuple[str, Mapping[str, Any], Sequence[Item]]
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
        with ExitStack() as stack:
            try:
                self.root.mkdir(parents=True, exist_ok=True)
                stack.enter_context(lock(self.root / "lock", wait=False))
            except Busy:
                raise DataError(f"another build works in {self.root}; wait for it or choose another output") from None
            except OSError as error:
                raise DataError(f"cannot write to {self.root}: {error.strerror}") from None
            yield

    def folder(self, name: str, module: str, key: Mapping[str, Any]) -> Path:
        """The folder of a stage with this key, whether it is there or not.

        Args:
            name: what a person looks for.
            module: name of the module with the stage's code, which brings all that it imports.
            key: everything else that its content depends on.
        """
        parts = {"key": key, "code": _code(module), "versions": library_versions()}
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

    def filled(self, folders: Sequence[Wanted], module: str, run: Callable[[list[Item]], object]) -> list[list[Path]]:
        """The files of stage folders that tasks fill, one for each item; what is there already is not made again.

        Args:
            folders: name, key and items of each.
            module: name of the module with the code of the task.
            run: does the missing items, which hold the path of their file as `chunk`.
        """
        missing = []
        for name, key, items in folders:
            folder = self.folder(name, module, key)
            partial = folder.with_name(folder.name + ".partial")
            if not folder.is_dir():
                partial.mkdir(exist_ok=True)
                chunks = [partial / f"{number:05d}.parquet" for number in range(len(items))]
                pairs = zip(items, chunks, strict=True)
                missing += [{**item, "chunk": str(chunk)} for item, chunk in pairs if not chunk.is_file()]
        run(missing)
        made = [self.stage(name, module, key, lambda folder: None) for name, key, _ in folders]
        return [sorted(folder.glob("*.parquet")) for folder in made]

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
                return name, [status.st_size, status.st_mtime_ns, sha256_of(path)]

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


def reward_key(block: Mapping[str, Any]) -> dict[str, Any]:
    """What depends on a reward block: itself, and the code of its custom kinds."""
    targets = block.get("custom", {}).values()
    return {"block": dict(block), "code": code_digest(*(target.partition(":")[0] for target in targets))}


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
def _code(module: str) -> str:
    return code_digest(module)


@cache
def library_versions() -> dict[str, str]:
    return {name: version(name) for name in LIBRARIES}
