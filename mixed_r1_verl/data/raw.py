"""Reading a raw dataset folder: guarded paths, JSON, JSON lines, CSV, XML.

Everything in a raw folder was written by somebody else. What is wrong with one record ends in a `RowError`, which the
core turns into a reject; what is wrong with a file as a whole ends in a `DataError`, one clear message. Nothing here
lets a path that stands in a record lead out of the folders that the user named.
"""

import csv
import json
import os
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple
from xml.etree import ElementTree

from mixed_r1_verl.core.rows import DataError, RowError

MAX_TEXT_BYTES = 4 << 30
MAX_LINE = 256 << 20
MAX_XML_BYTES = 4 << 20
# So many folders are remembered with their links followed.
MAX_FOLDERS = 4096


class Row(NamedTuple):
    """One unit of a raw dataset: it becomes one parquet row or one reject."""

    where: str  # file and position, as a person would look it up: `test_human.json#17`
    # what the converter's `convert` function gets: plain JSON-like values. A `RowError` stands for a record that could
    # not even be read; it is counted and rejected like any other.
    data: Any


@dataclass(frozen=True)
class Told:
    """What the user says of a dataset, so that nobody has to guess; empty where nothing was said."""

    # pairs of a field's name and the column that holds it, `reward_model.ground_truth` for a nested one
    columns: tuple[tuple[str, str], ...] = ()
    box_frame: str = ""  # frame of the boxes, see `mixed_r1_verl.data.boxes.FRAMES`
    box_format: Literal["", "xyxy", "xywh"] = ""  # `xyxy` (corners) or `xywh`
    reward: str = ""  # kind of every row
    answer_type: str = ""  # type of every answer
    data_source: str = ""  # the `data_source` of every row
    turns: Literal["", "first", "all"] = ""  # `first` or `all` exchanges of a conversation
    # names of reward kinds of the user's own, which records may name beside the built-in ones
    custom: tuple[str, ...] = ()


UNTOLD = Told()


@dataclass(frozen=True)
class RawFolder:
    """A raw dataset folder and the further folders in which its images may lie."""

    root: Path  # the folder that the user gave as `--input`
    image_roots: tuple[Path, ...] = ()  # folders that the user gave as `--image-root`
    # folders into which links may lead besides these (the blob store of a hub snapshot)
    trusted: tuple[Path, ...] = field(default=())
    only: str = ""  # the one file in `root` that is to be read, for converters that otherwise read all record files
    told: Told = UNTOLD  # what the user says of the dataset

    def __post_init__(self) -> None:
        for folder in (self.root, *self.image_roots):
            if not folder.is_dir():
                raise DataError(f"{folder} is not a folder; give the raw dataset's folder with --input")

    def file(self, name: str) -> Path:
        """An existing file of the dataset itself.

        Raises:
            DataError: there is no such file, or its path leads out of the folder.
        """
        path = self._inside(self.root, name)
        if path is None:
            raise DataError(f"{name!r} leads out of {self.root}")
        if not path.is_file():
            raise DataError(f"{self.root} holds no file {name!r}; see the converter's docstring for the raw layout")
        return path

    def has(self, name: str) -> bool:
        """Whether a file or folder of that name lies in the dataset's own folder."""
        path = self._inside(self.root, name)
        return path is not None and path.exists()

    def glob(self, pattern: str) -> list[str]:
        """Names relative to the root of all files that match, sorted, so that the order is the same everywhere."""
        found = (path for path in self.root.glob(pattern) if path.is_file())
        return sorted(path.relative_to(self.root).as_posix() for path in found)

    def record_files(self) -> list[str]:
        """The record files of a generic dataset: the one that the user named, or the folder's of the first type it has.

        Raises:
            DataError: there is none.
        """
        types = (("json", "jsonl"), ("parquet",), ("tsv", "csv"))
        found = ([name for ending in group for name in self.glob(f"**/*.{ending}")] for group in types)
        names = [self.only] if self.only else next((names for names in found if names), [])
        if not names:
            raise DataError(f"{self.root} holds no .json, .jsonl, .parquet, .tsv or .csv file")
        return sorted(names)

    def records(self, name: str) -> Iterator[Row]:
        """The records of a JSON, JSON-lines, TSV or CSV file, whichever it is."""
        if name.endswith((".tsv", ".csv")):
            yield from self.csv_rows(name, delimiter="\t" if name.endswith(".tsv") else ",")
        else:
            yield from self.json_lines(name) if name.endswith(".jsonl") else self.json_rows(name)

    def find(self, *names: str) -> tuple[str, Path]:
        """The first of several names under which a picture is there, and its file.

        Raises:
            RowError: what is wrong with the first name, where the picture is nowhere.
        """
        wrong: RowError | None = None
        for name in names:
            try:
                return name, self.image(name)
            except RowError as error:
                wrong = wrong or error
        raise wrong or RowError("image", "missing")

    def first_of(self, *names: str) -> str:
        """The first of several names that exists.

        Raises:
            DataError: none of them does.
        """
        for name in names:
            if self.has(name):
                return name
        raise DataError(
            f"{self.root} holds none of {', '.join(names)}; see the converter's docstring for the raw layout"
        )

    def image(self, name: str, *, field: str = "image") -> Path:
        """The image file that a record names, looked up in the root and then in the image roots.

        In an image root the base name is tried too: datasets name pictures by the folders of their author.

        Raises:
            RowError: `path_escape`, `image_missing` or `image_is_url`.
        """
        if name.startswith(("http://", "https://", "data:")):
            raise RowError(field, "image_is_url", f"{name[:120]!r} is not fetched; download it into the image root")
        escapes = False
        for root in (self.root, *self.image_roots):
            for form in _spellings(name, base=root != self.root):
                path = self._inside(root, form)
                if path is None:
                    escapes = True
                elif _is_file(path):
                    return path
        if any("\ud800" <= char <= "\udfff" for char in name):
            raise RowError(field, "broken_text", "half a surrogate pair")
        if escapes:
            raise RowError(field, "path_escape", f"{name[:120]!r} leads out of the folders that were given")
        raise RowError(field, "image_missing", f"{name[:120]!r} is not in the raw folder or an image root")

    @cached_property
    def _allowed(self) -> tuple[str, ...]:
        """The folders that paths may lead to, each with a separator at its end."""
        folders = (os.path.realpath(folder) for folder in (self.root, *self.image_roots, *self.trusted))
        return tuple(folder.rstrip(os.sep) + os.sep for folder in folders)

    @cached_property
    def _resolved(self) -> dict[str, str]:
        """Folders with links followed: finding that out anew for each picture costs a tenth of a row."""
        return {}

    def _inside(self, root: Path, name: str) -> Path | None:
        """The resolved path, or None where it leads out of every folder that was given."""
        try:
            if b"\0" in os.fsencode(name):
                return None
        except ValueError:  # half a surrogate pair: no file has such a name
            return None
        folder, _, base = (name if name.startswith(os.sep) else f"{root}{os.sep}{name}").rpartition(os.sep)
        if folder not in self._resolved:
            if len(self._resolved) > MAX_FOLDERS:
                self._resolved.clear()
            self._resolved[folder] = os.path.realpath(folder or os.sep).rstrip(os.sep)
        path = f"{self._resolved[folder]}{os.sep}{base}"
        if base in ("", ".", "..") or os.path.islink(path):  # noqa: PTH114 - Path's raises for too long a name
            path = os.path.realpath(path)
        return Path(path) if f"{path}{os.sep}".startswith(self._allowed) else None

    def text(self, name: str) -> str:
        """A text file, decoded from UTF-8 with or without a byte-order mark.

        Raises:
            DataError: it is missing, too large or not UTF-8.
        """
        path = self.file(name)
        if path.stat().st_size > MAX_TEXT_BYTES:
            raise DataError(f"{path} has {path.stat().st_size} bytes, more than the limit of {MAX_TEXT_BYTES}")
        with _text_errors(path):
            return path.read_text(encoding="utf-8-sig")

    def json(self, name: str) -> Any:
        """A JSON file.

        Raises:
            DataError: it is missing or not JSON.
        """
        text = self.text(name)
        if not text.strip():
            raise DataError(f"{self.root / name} is empty")
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{self.root / name} is not JSON: {_short(error)}") from None

    def json_files(self, *patterns: str) -> Iterator[Row]:
        """The records of a dataset with one JSON file each, sorted by name; the first pattern with a file counts.

        Raises:
            DataError: no file matches.
        """
        names = next((names for names in map(self.glob, patterns) if names), None)
        if names is None:
            raise DataError(f"{self.root} holds no {' or '.join(patterns)}; see the converter's docstring")
        for name in names:
            try:
                yield Row(name, self.json(name))
            except DataError as error:
                yield Row(name, RowError("record", "bad_json", str(error)[:200]))

    def json_rows(self, name: str, *, key: str | None = None) -> Iterator[Row]:
        """The records of a JSON file: members of a list, or values of an object with their key as position.

        Args:
            key: where the list or object stands in the file's top object; None is the top itself.

        Raises:
            DataError: the file or the place is not a list or object.
        """
        value = self.json(name)
        if key is not None:
            if not isinstance(value, dict) or key not in value:
                raise DataError(f"{self.root / name} has no {key!r}; see the converter's docstring for the raw layout")
            value = value[key]
        if isinstance(value, list):
            yield from (Row(f"{name}#{i}", record) for i, record in enumerate(value))
        elif isinstance(value, dict):
            yield from (Row(f"{name}#{k}", record) for k, record in value.items())
        else:
            raise DataError(f"{self.root / name} holds a {type(value).__name__}, not a list or object of records")

    def lines(self, name: str) -> Iterator[tuple[int, str]]:
        """The lines of a text file with their numbers from 1, read one by one; U+2028 and the like end no line.

        Raises:
            DataError: it is missing or not UTF-8.
        """
        path = self.file(name)
        with _text_errors(path), path.open(encoding="utf-8-sig") as handle:
            for number, line in enumerate(iter(lambda: handle.readline(MAX_LINE), ""), 1):
                if len(line) == MAX_LINE:
                    raise DataError(f"{path}: line {number} has more than {MAX_LINE} characters")
                yield number, line.removesuffix("\n")

    def json_lines(self, name: str) -> Iterator[Row]:
        """The records of a JSON-lines file; blank lines are skipped. A line that is not JSON has a `RowError` as data.

        A file whose first character is `[` is read as one JSON list: many datasets call such a file `.jsonl`.
        """
        first = True
        for number, line in self.lines(name):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                if first and line.lstrip()[:1] == "[":
                    yield from self.json_rows(name)
                    return
                value = RowError("record", "bad_json", _short(error))
            first = False
            yield Row(f"{name}:{number}", value)

    def csv_rows(self, name: str, *, delimiter: str = ",") -> Iterator[Row]:
        """The records of a CSV file with a header, as dicts."""
        reader = csv.DictReader((f"{line}\n" for _, line in self.lines(name)), delimiter=delimiter)
        try:
            for number, record in enumerate(reader, start=2):
                yield Row(f"{name}:{number}", record)
        except csv.Error as error:
            raise DataError(f"{self.root / name} is not CSV: {error}") from None

    def xml(self, name: str) -> ElementTree.Element:
        """The root element of an XML file in UTF-8 without a document type (entities can make a small file endless).

        Raises:
            RowError: `bad_xml`.
        """
        path = self.file(name)
        if path.stat().st_size > MAX_XML_BYTES:
            raise RowError("xml", "bad_xml", f"{path.stat().st_size} bytes")
        try:
            text = path.read_text(encoding="utf-8-sig")  # also what is parsed, whatever encoding it declares
            if "<!DOCTYPE" in text or "<!ENTITY" in text:
                raise RowError("xml", "bad_xml", "a document type or entity is not accepted")
            return ElementTree.fromstring(text)
        except RowError:
            raise
        except (ElementTree.ParseError, ValueError, LookupError) as error:
            raise RowError("xml", "bad_xml", _short(error)) from None


@contextmanager
def _text_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error.reason}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


def _spellings(name: str, *, base: bool) -> Iterator[str]:
    """The name as it stands, in both forms in which Unicode writes accents, and (`base`) without its folders."""
    yield name
    names = [name, name.replace("\\", "/").rpartition("/")[2]] if base else [name]
    if name.isascii():
        yield from names[1:]
        return
    for text in names:
        for form in ("NFC", "NFD"):
            yield unicodedata.normalize(form, text)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name longer than the file system takes
        return False


def _short(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
