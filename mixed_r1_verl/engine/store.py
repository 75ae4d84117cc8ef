"""Files named by what they are made of, so that finished work is found again and never mistaken.

The name ends in a hash of all that the content depends on: the settings of the stage, the hashes of its inputs, its
code, and the versions of the libraries that shape bytes. A file gets its name by one rename when it is complete, so a
run that was killed finds what it has finished and nothing else.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from mixed_r1_verl.core.code import code_digest, library_versions, running_code
from mixed_r1_verl.core.files import Busy, lock, sha256_of, write_text
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
        with ExitStack() as stack:
            try:
                self.root.mkdir(parents=True, exist_ok=True)
                stack.enter_context(lock(self.root / "lock", wait=False))
            except Busy:
                raise DataError(f"another build works in {self.root}; wait for it or choose another output") from None
            except OSError as error:
                raise DataError(f"cannot write to {self.root}: {error.strerror}") from None
            yield

    def path(self, name: str, module: str, key: Mapping[str, Any], suffix: str = "") -> Path:
        """Where something with this key is, or will be.

        Args:
            name: what a person looks for; may lie in a folder.
            module: name of the module with the code that makes it, which brings all that it imports.
            key: everything else that its content depends on.
            suffix: end of the file name.
        """
        parts = {"key": key, "code": running_code(module), "versions": library_versions(*LIBRARIES)}
        path = self.root / f"{name}-{hash_value(parts)}{suffix}"
        path.parent.mkdir(exist_ok=True)
        return path

    def file(self, name: str, module: str, key: Mapping[str, Any], make: Callable[[Path], None]) -> Path:
        """The finished parquet file of this key; `make(path)` writes it unless it is there already."""
        path = self.path(name, module, key, ".parquet")
        if not path.is_file():
            partial = path.with_suffix(".partial.parquet")  # the same for every run, which writes over it
            make(partial)
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            partial.replace(path)
        return path

    def hash_folder(self, folder: Path) -> str:
        """SHA-256 over names and content of all files of a folder (or of one file).

        Files of the same name, size and time as at the last look are not read again.
        """
        memory = self.root / "hashes" / f"{hash_value(str(folder))}.json"
        try:
            known = json.loads(memory.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            known = {}

        def look(path: Path) -> tuple[str, list[Any]]:
            name, status = path.relative_to(folder.parent).as_posix(), path.stat()
            size_and_time = [status.st_size, status.st_mtime_ns]
            before = known.get(name, [])
            return name, before if before[:2] == size_and_time else [*size_and_time, sha256_of(path)]

        found = [folder] if folder.is_file() else sorted(path for path in folder.rglob("*") if path.is_file())
        with ThreadPoolExecutor(8) as pool:  # hashing does not hold the interpreter's lock
            # What Python compiles is no data; a converter that draws its rows has its own code as the input.
            entries = dict(pool.map(look, (path for path in found if path.suffix != ".pyc")))
        if entries != known:
            memory.parent.mkdir(parents=True, exist_ok=True)
            write_text(memory, json.dumps(entries))
        return hash_value([[name.partition("/")[2], entry[2]] for name, entry in entries.items()])


def hash_value(value: Any) -> str:
    """A short name for a JSON-like value; files in it are known by what they hold, dataclasses by their fields.

    >>> hash_value({"a": 1, "b": 2}) == hash_value({"b": 2, "a": 1})
    True
    """

    def plain(part: Any) -> Any:
        if isinstance(part, Path):
            return sha256_of(part)
        return asdict(part) if is_dataclass(part) and not isinstance(part, type) else dict(part)

    return hashlib.sha256(json.dumps(value, sort_keys=True, default=plain).encode()).hexdigest()[:20]


def reward_key(block: Mapping[str, Any]) -> dict[str, Any]:
    """What depends on a reward block: itself, and the code of its custom kinds."""
    targets = block.get("custom", {}).values()
    return {"block": dict(block), "code": code_digest(*(target.partition(":")[0] for target in targets))}
