"""The one reader of datasets that are records with fields: a table entry says where things stand, this does the rest.

No converter: the tables are in `charts`, `descriptions`, `detection`, `exams`, `photographs` and `places`.
"""

import string
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Literal

from mixed_r1_verl.data_preprocess.reading import ONE_IS_ENOUGH, answer_texts, majority

from mixed_r1_verl.data import Box, Converter, Example, RawFolder, Row, RowError, references_json
from mixed_r1_verl.data.fields import letter_of, number_list, place_id, record, scalar_text, text_field, text_list
from mixed_r1_verl.data.options import choice_letter, split_choices

Walk = Callable[["Records", RawFolder, str], Iterator[Row]]
FOR_TESTS = "An evaluation set: keep it out of training."
SPELLINGS = "All its answers are accepted, as in its benchmark."
YES_NO = {"yes": "yes", "no": "no"}
TRUE_FALSE = {"true": "true", "false": "false"}


def first_file(of: "Records", raw: RawFolder, split: str) -> Iterator[Row]:
    """The records of the first of `files` that is there."""
    name = raw.only or raw.first_of(*of.names_in(split))
    return raw.json_lines(name) if of.lines or ".jsonl" in name else raw.json_rows(name, key=of.key)


def every_file(of: "Records", raw: RawFolder, split: str) -> Iterator[Row]:
    """The records of all record files of the folder, or of the one that the user named."""
    for name in raw.record_files():
        yield from raw.records(name)


def file_each(of: "Records", raw: RawFolder, split: str) -> Iterator[Row]:
    """A file for each record."""
    return raw.json_files(*of.names_in(split))


@dataclass(frozen=True, kw_only=True)
class Records:
    """Where the fields of a dataset's records stand.

    In a text with places, `{name}` is a field of the record, `{SPLIT}` the split, `{FOLDER}` the folder of the record's
    file with a slash, `{DIR}` that folder's own name, `{STEM}` the file's name without its ending, `{KEY}` the key or
    number of the record in it.

    Attributes:
        about: what it is, in one sentence; for whoever lists converters, as are `row`, `notes`, `quirks` and `seen`.
        row: a raw row.
        notes: what becomes of the fields, beyond what the rest of the entry says.
        seen: whether real records were at hand; else layout and row are those of the public description.
        splits, licence, source: see `Converter`.
        files: names that its file may have, or patterns, with places for the split.
        walk: how its records are found.
        lines: whether the file holds JSON lines, whatever its name says.
        key: where the records stand in the file; None for the file itself.
        within: field that says which split a record is of, where one file holds several.
        names: of the fields of records that are lists.
        mend: makes of a record the one that the places below speak of, with `REWARD` where that differs and
            `NO_BOX`, which is `[]`, where the dataset says that there is no box; raises `RowError`.
        id, question: texts with places.
        clean: applied to the question and to references.
        context: field that stands before the question where it is not empty.
        answer: field of the answer, or of the answers of several people.
        answers: words that stand for the answers, whatever their case; others are refused.
        choices: field of the options.
        listed: options may stand at the end of the question.
        by_text: the answer is the text of an option, never its letter or number.
        reward: of rows without options (with them it is matching); empty where there must be options.
        pictures: for each picture the names that it may have, texts with places.
        more: field in which `walk` or `mend` lists further pictures.
        box: field of the box, in pixels, or with `many` of a list of boxes.
        box_format: what its four numbers are.
        size: fields of width and height of the picture that the box was drawn on.
        answer_type, ability: see `Example`.
        polar: answers yes and no are of type `yes_no`.
    """

    about: str
    row: str
    splits: tuple[str, ...]
    licence: str
    source: str
    files: tuple[str, ...] = ()
    notes: str = ""
    quirks: str = ""
    seen: bool = True
    walk: Walk = first_file
    lines: bool = False
    key: str | None = None
    within: str = ""
    names: tuple[str, ...] = ()
    mend: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    id: str = "{KEY}"
    question: str = "{question}"
    clean: Callable[[str], str] = str.strip
    context: str = ""
    answer: str = "answer"
    answers: Mapping[str, str] = field(default_factory=dict)
    choices: str = ""
    listed: bool = False
    by_text: bool = False
    reward: str = "matching"
    pictures: tuple[tuple[str, ...], ...] = (("{image}", "images/{image}"),)
    more: str = ""
    box: str = ""
    box_format: Literal["xyxy", "xywh"] = "xyxy"
    many: bool = False
    size: tuple[str, ...] = ()
    answer_type: str = ""
    ability: str = ""
    polar: bool = False

    @cached_property
    def _used(self) -> frozenset[str]:
        """Fields of the record that something is made of."""
        texts = (self.id, self.question, *(name for picture in self.pictures for name in picture))
        named = (self.answer, self.choices, self.context, self.more, self.box, *self.size)
        return frozenset((*named, *(name for text in texts for _, name, _ in _parsed(text))))

    def rows(self, raw: RawFolder, split: str) -> Iterator[Row]:
        """One row for each record of the split, with the fields that are used."""
        for where, value in self.walk(self, raw, split):
            if isinstance(value, dict):
                if self.within and value.get(self.within) != split:
                    continue
                if self.mend is None:
                    value = {name: one for name, one in value.items() if name in self._used}  # in one order
            yield Row(where, value if isinstance(value, RowError) else {"record": value, "split": split})

    def convert(self, row: Row) -> Example:
        """The example of a record."""
        value = self._record(row)
        question, choices = self.clean(filled(self.question, value, text_field)), ()
        if self.context and value.get(self.context):
            question = f"{text_field(value, self.context)}\n{question}"
        if self.listed:
            question, choices = split_choices(question)
        if self.choices:
            choices = text_list(value, self.choices)
        found = (value[self.box] if self.many else [value.get(self.box)]) if self.box else ()
        answer = value.get("NO_BOX", "") if self.box else self._answer(value, choices)
        size = tuple(value.get(name) for name in self.size)
        return Example(
            id=filled(self.id, value),
            question=question,
            reward="iou" if self.box else "matching" if choices else value.get("REWARD", self.reward),
            answer=answer,
            choices=choices,
            images=(
                *(_one_or_more([filled(name, value) for name in names]) for names in self.pictures),
                *(value[self.more] if self.more else ()),
            ),
            boxes=tuple(one if isinstance(one, Box) else number_list({self.box: one}, self.box, 4) for one in found),
            box_format=self.box_format,
            box_size=size if size and all(isinstance(side, int) for side in size) else None,  # type: ignore[arg-type]
            answer_type="yes_no" if self.polar and answer in YES_NO else self.answer_type,
            ability=self.ability,
        )

    def converter(self, name: str, home: str, **changes: Any) -> Converter:
        """The converter of the entry; `home` is the module that holds it."""
        return Converter(
            name,
            self.rows,
            self.convert,
            self.splits,
            self.licence,
            self.source,
            home=home,
            about=self._about,
            **changes,
        )

    def _record(self, row: Row) -> dict[str, Any]:
        value = row.data["record"]
        if self.names:
            if not isinstance(value, list) or len(value) != len(self.names):
                raise RowError("record", "wrong_length", f"not a list of {', '.join(self.names)}")
            value = dict(zip(self.names, value, strict=True))
        value = record(value)
        file, mark, key = row.where.partition("#")
        if not mark:
            file, _, key = row.where.rpartition(":") if ".json" in row.where.rpartition(":")[0] else (file, "", "")
        folder, slash, base = file.rpartition("/")
        own = {"SPLIT": row.data["split"], "KEY": key, "FOLDER": folder + slash, "DIR": folder.rpartition("/")[2]}
        own["STEM"] = base.partition(".")[0]
        if "PLACE" in self._used:
            own["PLACE"] = place_id(row)
        return (self.mend(value | own) if self.mend else value) | own

    def _answer(self, value: dict[str, Any], choices: Sequence[str]) -> str:
        given = value.get(self.answer)
        if choices or not self.reward:
            if self.by_text:
                return letter_of(scalar_text(value, self.answer), choices, field=self.answer)
            return choice_letter(given, choices, field=self.answer)
        if self.reward in ONE_IS_ENOUGH:
            texts = answer_texts(given) if isinstance(given, list) else [text_field(value, self.answer)]
            return references_json(list(dict.fromkeys(map(self.clean, texts))))
        answer = majority(answer_texts(given)) if isinstance(given, list) else scalar_text(value, self.answer)
        if self.answers and answer.casefold() not in self.answers:
            raise RowError(self.answer, "unknown_answer", f"{answer[:80]!r} is none of {', '.join(self.answers)}")
        return self.answers.get(answer.casefold(), answer)

    @property
    def _about(self) -> str:
        files = self.files or ("**/*.json, *.jsonl, *.tsv or *.csv; or one such file as --input",)
        layout = [*files, *(name for names in self.pictures for name in names)]
        becomes = [f"{self.id} the id", f"{self.question} the question", f"{{{self.box or self.answer}}} the answer"]
        becomes += [f"{{{self.choices}}} the options"] if self.choices else []
        kind = "iou" if self.box else self.reward or "matching"
        paragraphs = [
            self.about,
            f"Source: {self.source}. Licence: {self.licence}."
            + (
                "" if self.seen else " Layout and row are taken from the public description; no raw sample was at hand."
            ),
            "Raw layout (pictures may lie elsewhere: name that folder with `--image-root`):",
            "\n".join(f"    <input>/{name}" for name in layout),
            "Raw row:",
            "\n".join(f"    {line.strip()}" for line in self.row.strip().splitlines()),
            f"What each field becomes: {', '.join(becomes)}; the reward is {kind}. {self.notes}".strip(),
            *([f"Quirks: {self.quirks}"] if self.quirks else []),
        ]
        return "\n\n".join(text if text.startswith(" ") else textwrap.fill(text, 120) for text in paragraphs)

    def names_in(self, split: str) -> list[str]:
        """The names or patterns of its files, for a split."""
        return [name.replace("{SPLIT}", split) for name in self.files]


def _one_or_more(names: list[str]) -> str | tuple[str, ...]:
    return tuple(names) if len(names) > 1 else names[0]


@lru_cache(maxsize=1024)
def _parsed(text: str) -> tuple[tuple[str, str, str], ...]:
    return tuple((literal, name or "", spec or "") for literal, name, spec, _ in string.Formatter().parse(text))


def filled(text: str, value: dict[str, Any], read: Callable[[dict[str, Any], str], str] = scalar_text) -> str:
    """A text with its places filled from a record.

    Raises:
        RowError: see `read`.

    Example:
        >>> filled("{split}/{image_id:0>4}.jpg", {"split": "train", "image_id": 42})
        'train/0042.jpg'
    """
    return "".join(
        literal + (value[name] if name.isupper() else format(read(value, name), spec) if name else "")
        for literal, name, spec in _parsed(text)
    )
