"""Reading a raw dataset folder: guarded paths, JSON, JSON lines, and the values of one record.

Everything in a raw folder was written by somebody else. What is wrong with one record ends in a `RowError`, which the
core turns into a reject; what is wrong with a file as a whole ends in a `DataError`, one clear message. Nothing here
lets a path that stands in a record lead out of the folders that the user named.
"""

import csv
import hashlib
import io
import json
import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from xml.etree import ElementTree

MAX_TEXT_BYTES = 4 << 30
MAX_XML_BYTES = 16 << 20


class DataError(Exception):
    """The input as a whole cannot be used; the message says what, where, and what to do."""


class RowError(ValueError):
    """One record cannot become a row.

    Attributes:
        field: name of the field at fault.
        reason: short snake_case code, the same for the same kind of fault (`missing`, `image_missing`).
        detail: the particulars, for a person.
    """

    def __init__(self, field: str, reason: str, detail: str = "") -> None:
        super().__init__(f"{field}: {reason}" + (f" ({detail})" if detail else ""))
        self.field = field
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type["RowError"], tuple[str, str, str]]:
        # The default pickling of exceptions would call the constructor with the message alone.
        return RowError, (self.field, self.reason, self.detail)


class Row(NamedTuple):
    """One unit of a raw dataset: it becomes one parquet row or one reject.

    Attributes:
        where: file and position, as a person would look it up: `test_human.json#17`.
        data: what the converter's `convert` function gets: plain JSON-like values. A `RowError` stands for a record
            that could not even be read; it is counted and rejected like any other.
    """

    where: str
    data: Any


class Reject(NamedTuple):
    """A record that was left out, as it stands in the rejects file.

    Attributes:
        source: name of the data source.
        row: file and position.
        field: field at fault.
        reason: short snake_case code.
        stage: `read`, `convert`, `image`, `boxes`, `validate` or `duplicate`.
        detail: the particulars, for a person.
    """

    source: str
    row: str
    field: str
    reason: str
    stage: str
    detail: str = ""


@dataclass(frozen=True)
class RawFolder:
    """A raw dataset folder and the further folders in which its images may lie.

    Attributes:
        root: the folder that the user gave as `--input`.
        image_roots: folders that the user gave as `--image-root`.
        trusted: folders into which links may lead besides these (the blob store of a hub snapshot).
        only: the one file in `root` that is to be read, for converters that otherwise read all record files.
    """

    root: Path
    image_roots: tuple[Path, ...] = ()
    trusted: tuple[Path, ...] = field(default=())
    only: str = ""

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
        """The JSON and JSON-lines files of a generic dataset: the one that the user named, or all of the folder.

        Raises:
            DataError: there is none.
        """
        names = [self.only] if self.only else [*self.glob("**/*.json"), *self.glob("**/*.jsonl")]
        if not names:
            raise DataError(f"{self.root} holds no .json or .jsonl file")
        return sorted(names)

    def records(self, name: str) -> Iterator[Row]:
        """The records of a JSON or JSON-lines file, whichever it is."""
        yield from self.json_lines(name) if name.endswith(".jsonl") else self.json_rows(name)

    def locate(self, *names: str) -> str:
        """The first of several names under which a picture is there; the first name where it is nowhere."""
        for name in names:
            try:
                self.image(name)
            except RowError:
                continue
            return name
        return names[0]

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
        escapes = 0
        roots = (self.root, *self.image_roots)
        for root in roots:
            spellings = [name] if root == self.root else [name, name.replace("\\", "/").rpartition("/")[2]]
            forms = [unicodedata.normalize(form, text) for text in spellings for form in ("NFC", "NFD")]
            for form in dict.fromkeys([name, *forms]):
                path = self._inside(root, form)
                if path is None:
                    escapes += 1
                elif _is_file(path):
                    return path
        if escapes:
            raise RowError(field, "path_escape", f"{name[:120]!r} leads out of the folders that were given")
        raise RowError(field, "image_missing", f"{name[:120]!r} is not in the raw folder or an image root")

    def _inside(self, root: Path, name: str) -> Path | None:
        """The resolved path, or None where it leads out of every folder that was given."""
        if "\x00" in name:
            return None
        try:
            path = (root / name).resolve()
            allowed = [folder.resolve() for folder in (self.root, *self.image_roots, *self.trusted)]
        except (OSError, RuntimeError):  # a loop of links
            return None
        return path if any(path.is_relative_to(folder) for folder in allowed) else None

    def text(self, name: str) -> str:
        """A text file, decoded from UTF-8 with or without a byte-order mark.

        Raises:
            DataError: it is missing, too large or not UTF-8.
        """
        path = self.file(name)
        if path.stat().st_size > MAX_TEXT_BYTES:
            raise DataError(f"{path} has {path.stat().st_size} bytes, more than the limit of {MAX_TEXT_BYTES}")
        try:
            return path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise DataError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from None
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}") from None

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

    def json_lines(self, name: str) -> Iterator[Row]:
        """The records of a JSON-lines file; blank lines are skipped. A line that is not JSON has a `RowError` as data.

        A file whose first character is `[` is read as one JSON list: many datasets call such a file `.jsonl`.
        """
        text = self.text(name)
        if text.lstrip()[:1] == "[" and "\n" in text.strip() and not _is_json(text.lstrip().splitlines()[0]):
            yield from self.json_rows(name)
            return
        for number, line in enumerate(io.StringIO(text), start=1):
            if not line.strip():
                continue
            try:
                yield Row(f"{name}:{number}", json.loads(line))
            except (ValueError, RecursionError) as error:
                yield Row(f"{name}:{number}", RowError("record", "bad_json", _short(error)))

    def csv_rows(self, name: str, *, delimiter: str = ",") -> Iterator[Row]:
        """The records of a CSV file with a header, as dicts."""
        reader = csv.DictReader(io.StringIO(self.text(name)), delimiter=delimiter)
        try:
            for number, record in enumerate(reader, start=2):
                yield Row(f"{name}:{number}", record)
        except csv.Error as error:
            raise DataError(f"{self.root / name} is not CSV: {error}") from None

    def xml(self, name: str) -> ElementTree.Element:
        """The root element of an XML file without a document type (entities can make a small file endless).

        Raises:
            RowError: `bad_xml`.
        """
        path = self.file(name)
        if path.stat().st_size > MAX_XML_BYTES:
            raise RowError("xml", "bad_xml", f"{path.stat().st_size} bytes")
        data = path.read_bytes()
        if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
            raise RowError("xml", "bad_xml", "a document type or entity is not accepted")
        try:
            return ElementTree.fromstring(data)
        except (ElementTree.ParseError, ValueError, LookupError) as error:
            raise RowError("xml", "bad_xml", _short(error)) from None


def record(value: Any) -> dict[str, Any]:
    """The record as a dict.

    Raises:
        RowError: `not_an_object`, or the error itself where it stands for a record that could not be read.
    """
    if isinstance(value, RowError):
        raise value
    if not isinstance(value, dict):
        raise RowError("record", "not_an_object", f"it is a {type(value).__name__}")
    return value


def text_field(value: dict[str, Any], key: str) -> str:
    """A field that must be a string with something in it; surrounding space is taken off.

    Raises:
        RowError: `missing`, `not_text` or `empty`.

    Example:
        >>> text_field({"query": " What? "}, "query")
        'What?'
    """
    if value.get(key) is None:
        raise RowError(key, "missing")
    found = value[key]
    if not isinstance(found, str):
        raise RowError(key, "not_text", f"it is a {type(found).__name__}")
    if not found.strip():
        raise RowError(key, "empty")
    return found.strip()


def scalar_text(value: dict[str, Any], key: str) -> str:
    """A field that is a string or a finite number, as text.

    Raises:
        RowError: `missing`, `not_text`, `empty` or `not_finite`.

    Example:
        >>> scalar_text({"answer": 3.0}, "answer"), scalar_text({"answer": "3.0"}, "answer")
        ('3', '3.0')
    """
    found = value.get(key)
    if isinstance(found, bool):
        return "yes" if found else "no"
    if isinstance(found, int):
        return str(found)
    if isinstance(found, float):
        if not math.isfinite(found):
            raise RowError(key, "not_finite", str(found))
        return str(int(found)) if found == int(found) else repr(found)
    return text_field(value, key)


def text_list(value: dict[str, Any], key: str) -> tuple[str, ...]:
    """A field that is null, missing or a list of strings or numbers.

    Raises:
        RowError: `not_a_list` or `not_text`.

    Example:
        >>> text_list({"choices": ["a", 2]}, "choices"), text_list({"choices": None}, "choices")
        (('a', '2'), ())
    """
    found = value.get(key)
    if found is None:
        return ()
    if not isinstance(found, list):
        raise RowError(key, "not_a_list", f"it is a {type(found).__name__}")
    return tuple(scalar_text({key: member}, key) for member in found)


def number_list(value: dict[str, Any], key: str, length: int) -> tuple[float, ...]:
    """A field that is a list of `length` finite numbers.

    Raises:
        RowError: `missing`, `not_a_list`, `wrong_length` or `not_a_number`.
    """
    found = value.get(key)
    if found is None:
        raise RowError(key, "missing")
    if not isinstance(found, list):
        raise RowError(key, "not_a_list", f"it is a {type(found).__name__}")
    if len(found) != length:
        raise RowError(key, "wrong_length", f"{len(found)} numbers, not {length}")
    for member in found:
        if isinstance(member, bool) or not isinstance(member, int | float) or not math.isfinite(member):
            raise RowError(key, "not_a_number", repr(member)[:80])
    return tuple(float(member) for member in found)


def letter_of(answer: str, choices: Sequence[str], *, field: str = "answer") -> str:
    """The letter of the option whose text is the answer.

    Raises:
        RowError: `answer_not_in_choices`, or `answer_ambiguous` when two options read the same.

    Example:
        >>> letter_of("dog", ["cat", "dog"])
        'B'
    """
    found = [i for i, choice in enumerate(choices) if choice.strip() == answer.strip()]
    if not found:
        found = [i for i, choice in enumerate(choices) if choice.strip().casefold() == answer.strip().casefold()]
    if not found:
        raise RowError(field, "answer_not_in_choices", f"{answer[:80]!r} is none of {len(choices)} options")
    if len(found) > 1:
        raise RowError(field, "answer_ambiguous", f"options {', '.join(chr(65 + i) for i in found)} read the same")
    return chr(ord("A") + found[0])


def one_line(text: str) -> str:
    """Text with every run of white space made one space.

    Example:
        >>> one_line(" A cat \\n sits. ")
        'A cat sits.'
    """
    return " ".join(text.split())


def detokenise(text: str) -> str:
    """Takes out the spaces that a tokeniser put before punctuation and inside brackets.

    Example:
        >>> detokenise("A dog ( brown ) runs , fast .")
        'A dog (brown) runs, fast.'
    """
    text = re.sub(r" ([.,;:!?%)\]])", r"\1", one_line(text))
    return re.sub(r"([(\[$]) ", r"\1", text)


def short_hash(text: str) -> str:
    """Twelve hexadecimal digits that stand for a text, for ids of records that have none.

    Example:
        >>> short_hash("a cat")
        '51e467415607'
    """
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:12]


def place_id(row: Row) -> str:
    """An id for a record that has none of its own: its file and its position there.

    Example:
        >>> place_id(Row("data/a.jsonl:7", None)), place_id(Row("a.json#x/1", None))
        ('data/a.jsonl/7', 'a.json/x/1')
    """
    return re.sub(r"(\.jsonl?)[#:]", r"\1/", row.where, count=1)


def stem(name: str) -> str:
    """Name of a file without folders and extension.

    Example:
        >>> stem("a/b/test_human.json")
        'test_human'
    """
    return PurePosixPath(name).stem


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name longer than the file system takes
        return False


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _short(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
