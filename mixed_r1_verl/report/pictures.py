"""The pictures of a page: reduced, written anew, each once, and no more of them than a number of bytes allows.

A picture is always decoded and encoded again, so that nothing of a file that came from elsewhere gets into the page but
its pixels.
"""

import base64
import hashlib
import io
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mixed_r1_verl.core.rows import BadRecord, DataRow, RowError, opened_parquet, rows_of
from mixed_r1_verl.data.images import cell_bytes, opened

LONGEST_SIDE = 640  # pixels to which a larger picture is reduced
CHUNK = 1000  # rows whose pictures are in memory at once


@dataclass
class Pictures:
    """Pictures within a budget."""

    budget: int  # bytes that all of them may take in the page, as base64
    # folders besides that of its parquet file in which a picture may lie that a row names by its path
    roots: Sequence[Path] = ()
    encoded: list[str] = field(default_factory=list)  # `data:` URLs without their head, each picture once
    places: dict[int, list[int]] = field(default_factory=dict)  # row of the data to the numbers of its pictures
    dropped: int = 0  # pictures that had no room
    broken: int = 0  # pictures that cannot be read, or lie elsewhere
    _known: dict[bytes, int] = field(default_factory=dict)
    _spent: int = 0

    def add(self, rows: Sequence[DataRow], wanted: Sequence[int]) -> None:
        """Take the pictures of those rows whose indices are `wanted`, the most important first."""
        for start in range(0, len(wanted), CHUNK):
            if self.dropped:
                self.dropped += len(wanted) - start
                return
            self._add_chunk(rows, wanted[start : start + CHUNK])

    def _add_chunk(self, rows: Sequence[DataRow], wanted: Sequence[int]) -> None:
        by_file: dict[Path, dict[int, int]] = {}
        for number in wanted:
            by_file.setdefault(Path(rows[number].file), {})[rows[number].number] = number
        small: dict[int, list[tuple[bytes, bytes]]] = {}
        for file, numbers in by_file.items():
            for index, images in _read_images(file, numbers):
                small[numbers[index]] = [made for image in images if (made := self._reduce(image, file))]
        for number in wanted:
            places = [self._keep(digest, data) for digest, data in small.get(number, [])]
            self.places[number] = [place for place in places if place is not None]

    def _reduce(self, image: Any, file: Path) -> tuple[bytes, bytes] | None:
        try:
            source = cell_bytes(image, roots=(file.parent, *self.roots))
            digest = hashlib.blake2b(source, digest_size=16).digest()
            return digest, b"" if digest in self._known else _encode(source)
        except RowError:
            self.broken += 1
            return None

    def _keep(self, digest: bytes, data: bytes) -> int | None:
        if digest not in self._known:
            text = base64.b64encode(data).decode("ascii")
            if self._spent + len(text) > self.budget:
                self.dropped += 1
                return None
            self._spent += len(text)
            self._known[digest] = len(self.encoded)
            self.encoded.append(text)
        return self._known[digest]


def _read_images(file: Path, wanted: Container[int]) -> Iterator[tuple[int, list[Any]]]:
    """The cells of the `images` column of some rows of a file; row groups without such a row are not read."""
    with opened_parquet(file) as parquet:
        if "images" not in parquet.schema_arrow.names:
            return
        first = 0
        for group in range(parquet.num_row_groups):
            size = parquet.metadata.row_group(group).num_rows
            if here := [index for index in range(first, first + size) if index in wanted]:
                batch = parquet.read_row_group(group, columns=["images"]).combine_chunks().to_batches()[0]
                for index in here:
                    (record,) = rows_of(batch.slice(index - first, 1))
                    cells = record if isinstance(record, BadRecord) else record["images"] or []
                    yield index, cells if isinstance(cells, list) else [cells]
            first += size


def _encode(source: bytes) -> bytes:
    with opened(source) as image:
        image.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))  # a large JPEG is decoded small
        picture = image.convert("RGBA" if image.mode in ("RGBA", "LA", "P") else "RGB")
        picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
        target = io.BytesIO()
        flat = max(picture.size) <= 160  # a small picture is not made smaller by losses
        picture.save(target, "WEBP", lossless=flat, quality=78, method=0)  # the quickest
    return target.getvalue()
