"""The rows of a source in chunks: each is converted in one process, kept when finished, and found again by a later run.

Chunks are cut by position in the source, so the same input and options give the same chunks for any number of workers.
A finished chunk is `NNNNN.parquet` and `NNNNN.json` in the run's folder; the second is written last, and only once all
chunks before it are known, so that an id is given to the first row that claims it.
"""

import hashlib
import heapq
import json
import multiprocessing
import multiprocessing.connection
import os
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path

from mixed_r1_verl.core.files import sha256_of, write_text
from mixed_r1_verl.core.rows import DataError, Reject
from mixed_r1_verl.data.convert_row import ImageCache, Job, convert_row
from mixed_r1_verl.data.raw import Row
from mixed_r1_verl.data.schema import RowGroups

Batch = list[tuple[int, Row]]
DUPLICATE = "duplicate_id"


@dataclass
class Chunk:
    """What came of a chunk, as its JSON file tells it."""

    digest: str  # what was read, so that a resumed run notices that the source changed
    read: int  # number of rows read
    rewards: dict[str, int] = field(default_factory=dict)  # number of rows written, by reward kind
    # the rows left out, in their order, as the values of `Reject`
    rejects: list[list[str]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)  # ids of the rows written
    sha256: str = ""  # of the parquet file; empty where no row was written
    # how, dropped_turns: see `mixed_r1_verl.data.convert.Summary`
    how: dict[str, int] = field(default_factory=dict)
    dropped_turns: int = 0

    @property
    def written(self) -> int:
        return len(self.ids)

    def follows(self, known: Collection[str]) -> bool:
        """Whether it holds just the ids that are new after chunks with the ids `known`."""
        rejects = (Reject(*values) for values in self.rejects)
        dropped = (reject.detail for reject in rejects if reject.reason == DUPLICATE)
        return not any(one in known for one in self.ids) and all(one in known or one in self.ids for one in dropped)


def _write_chunk(
    job: Job,
    batch: Batch,
    digest: str,
    path: Path,
    taken: Collection[str] = (),
    on_row: Callable[[int, int], None] = lambda written, rejected: None,
) -> Chunk:
    """Converts the rows of one chunk into a parquet file, which is not there where no row could be converted.

    Rows with an id that is taken by an earlier chunk, or that this one has already, are rejected.
    """
    chunk = Chunk(digest, len(batch))
    own: set[str] = set()
    cache = ImageCache()
    with RowGroups(path, job.options.images) as groups:
        for index, row in batch:
            outcome = convert_row(job, index, row, cache)
            if not isinstance(outcome, Reject):
                written, example = outcome
                identity = written["extra_info"]["id"]
                if identity in taken or identity in own:
                    outcome = Reject(written["data_source"], row.where, "id", DUPLICATE, "duplicate", identity)
            if isinstance(outcome, Reject):
                chunk.rejects.append(list(outcome))
            else:
                own.add(identity)
                chunk.ids.append(identity)
                chunk.rewards[example.reward] = chunk.rewards.get(example.reward, 0) + 1
                chunk.dropped_turns += example.dropped_turns
                if example.how:
                    chunk.how[example.how] = chunk.how.get(example.how, 0) + 1
                groups.add(written)
            on_row(chunk.written, len(chunk.rejects))
    if chunk.written:
        chunk.sha256 = sha256_of(path)
    return chunk


class ChunkRun:
    """All chunks of a source, in order: those that an earlier run finished, and the rest converted now.

    Attributes:
        chunks: what came of each chunk so far.
        resumed: how many of them an earlier run had finished.
        source_rows: rows of the source seen so far.
    """

    def __init__(self, folder: Path, job: Job, on_progress: Callable[[int, int], None]) -> None:
        self.folder = folder
        self.job = job
        self.on_progress = on_progress
        self.chunks: list[Chunk] = []
        self.resumed = 0
        self.source_rows = 0
        self._ids: set[str] = set()
        self._written = self._rejected = 0

    def path(self, number: int) -> Path:
        """Where the parquet file of a chunk lies."""
        return self.folder / f"{number:05d}.parquet"

    def written_files(self) -> Iterator[tuple[Path, Chunk]]:
        """The parquet files of the chunks that have rows, in order."""
        return ((self.path(number), chunk) for number, chunk in enumerate(self.chunks) if chunk.written)

    def run(self) -> None:
        """Converts everything that is not converted yet.

        Raises:
            DataError: the source cannot be read on, or a worker died.
        """
        # With workers one chunk more than they are is read, so that none waits for the next.
        ahead = self.job.options.workers if self.job.options.workers > 1 else 0
        pending: deque[tuple[int, Batch, str, Chunk | Future[Chunk] | None]] = deque()
        with _workers(ahead) as pool:
            for number, batch in enumerate(self._batches()):
                digest = _digest(batch)
                ready: Chunk | Future[Chunk] | None = self._left(number, digest)
                if ready is None and pool is not None:
                    ready = pool.submit(_write_chunk, self.job, batch, digest, self._temporary(number))
                pending.append((number, batch, digest, ready))
                if len(pending) > ahead:
                    self._collect(*pending.popleft())
            while pending:
                self._collect(*pending.popleft())

    def _collect(self, number: int, batch: Batch, digest: str, ready: Chunk | Future[Chunk] | None) -> None:
        """Takes the result of a chunk whose predecessors are all known, or makes it here."""
        chunk = ready.result() if isinstance(ready, Future) else ready
        if chunk is None or not chunk.follows(self._ids):
            chunk = _write_chunk(self.job, batch, digest, self._temporary(number), self._ids, self._report)
        elif chunk is ready:
            self.resumed += 1
        if chunk.written and self._temporary(number).exists():
            self._temporary(number).replace(self.path(number))
        write_text(self.folder / f"{number:05d}.json", json.dumps(asdict(chunk)))
        self.chunks.append(chunk)
        self._ids.update(chunk.ids)
        self._written += chunk.written
        self._rejected += len(chunk.rejects)
        self._report(0, 0)

    def _left(self, number: int, digest: str) -> Chunk | None:
        """What an earlier run left of a chunk, if it read the same rows."""
        try:
            chunk = Chunk(**json.loads((self.folder / f"{number:05d}.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return chunk if chunk.digest == digest and (not chunk.written or self.path(number).is_file()) else None

    def _temporary(self, number: int) -> Path:
        # The number of the process keeps workers that outlive a killed run by a moment away from this run's files.
        return self.folder / f"{number:05d}.{os.getpid()}.tmp"

    def _report(self, written: int, rejected: int) -> None:
        self.on_progress(self._written + written, self._rejected + rejected)

    def _batches(self) -> Iterator[Batch]:
        options = self.job.options
        rows = self._numbered()
        if options.limit is not None:
            rows = iter(_draw(rows, options.limit, options.seed))
        while batch := list(islice(rows, options.chunk_rows)):
            yield batch

    def _numbered(self) -> Iterator[tuple[int, Row]]:
        for index, row in enumerate(self.job.converter.rows(self.job.raw, self.job.options.split)):
            self.source_rows = index + 1
            yield index, row


def _draw(rows: Iterable[tuple[int, Row]], limit: int, seed: int) -> Batch:
    """A sample of `limit` rows, in order, that depends on the seed and on each row's place only."""

    def key(numbered: tuple[int, Row]) -> tuple[bytes, int]:
        index, row = numbered
        text = f"{seed}\n{row.where}".encode("utf-8", "backslashreplace")
        return hashlib.blake2b(text, digest_size=8).digest(), index

    return sorted(heapq.nsmallest(limit, rows, key=key), key=lambda numbered: numbered[0])


def _digest(batch: Batch) -> str:
    digest = hashlib.sha256()
    for index, row in batch:
        digest.update(repr((index, row.where, row.data)).encode("utf-8", "backslashreplace"))
    return digest.hexdigest()


@contextmanager
def _workers(count: int) -> Iterator[ProcessPoolExecutor | None]:
    """A pool of so many processes; None for none."""
    if not count:
        yield None
        return
    # Fork would copy this process's threads' locks; spawned workers import the converter afresh.
    pool = ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_parent)
    try:
        yield pool
    except BrokenProcessPool:
        raise DataError("a worker process died (out of memory?); run again to go on, with fewer --workers") from None
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """Lets a worker end when the process that started it is gone, however it went."""
    parent = multiprocessing.parent_process()
    if parent is not None:

        def watch() -> None:
            multiprocessing.connection.wait([parent.sentinel])
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()
