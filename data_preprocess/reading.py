"""What a record of any layout says, once its exchange is known: question, kind, answer, options, boxes, and by what.

No converter: the part of `generic` that decides.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from mixed_r1_verl.data_preprocess.chat import IMAGES, Turn
from mixed_r1_verl.data_preprocess.evidence import (
    BARE,
    Boxes,
    asks_for_boxes,
    boxes_in,
    final_answer,
    infer,
    read_boxes,
    refuse_boxes_in,
)

from mixed_r1_verl.data import Example, RowError, references_json
from mixed_r1_verl.data.fields import one_line, scalar_text, text_list
from mixed_r1_verl.data.markup import is_lone_letter, mark_in
from mixed_r1_verl.data.options import CHOICES, choice_letter, choices_of, literal, split_choices
from mixed_r1_verl.data.raw import Told
from mixed_r1_verl.rewards.kinds import KINDS

# What `--column` can name, and the columns that are looked for otherwise.
FIELDS = {
    "question": ("question", "query", "problem", "text", "instruction", "prompt"),
    "answer": (
        *("answer", "answers", "label", "ground_truth", "solution", "gt_answer", "response", "output", "caption"),
        *("captions", "correct_choice_idx", "multiple_choice_answer"),
    ),
    "choices": CHOICES,
    "image": IMAGES,
    "id": ("id", "question_id", "pid", "qid"),
    "reward": ("reward",),
    "context": ("hint", "context", "passage"),
}
CAPTIONS = ("caption", "captions")
# So many answers to one question are those of as many people, of whom most should agree.
LEAST_PEOPLE = 4
# Kinds whose ground truth may be several answers, of which one is enough.
ONE_IS_ENOUGH = ("open_ended", "anls")
BOX_COLUMNS = ("bbox", "bboxes", "bboxs", "boxes", "box", "bounding_box", "bbox_2d")
# Columns that tell a layout, and what is known of it then.
LAYOUTS: tuple[tuple[str, frozenset[str], dict[str, str]], ...] = (
    ("ChartQA", frozenset(("query", "label")), {"reward": "chart"}),
    (
        "ChartQAPro",
        frozenset(("Question", "Answer", "Question Type")),
        {"question": "Question.0", "answer": "Answer.0", "reward": "chart"},
    ),
    ("DocVQA", frozenset(("questionId", "question", "answers")), {"reward": "anls"}),
    ("A-OKVQA", frozenset(("choices", "correct_choice_idx")), {"answer": "correct_choice_idx"}),
)
# What records call the kind of their answers (OneThinker and Video-R1: problem_type; verl: ability and data_source).
KIND_COLUMNS = ("problem_type", "ability", "data_source", "question_type")
KIND_WORDS = {
    "multiple choice": "matching",
    "math": "math",
    "geometry3k": "math",
    "geo3k": "math",
    "gsm8k": "math",
    "math_dapo": "math",
    "ocr": "open_ended",
    "free-form": "open_ended",
    "detection": "iou",
    "spatial grounding": "iou",
    "grounding": "iou",
}
_NOT_CONTEXT = ("", "n/a", "none", "nan")
_PLACEHOLDER = re.compile(r"<(ref-object|bbox)>")


def _example(question: str, kind: str, how: str, answer: str = "", **known: Any) -> Example:
    return Example("", question, kind, answer, how=f"{kind}: {how}", **known)


def said(value: dict[str, Any], turn: Turn, told: Told, columns: dict[str, str]) -> Example:
    """Reads a record: all of its example but the id and the pictures.

    Args:
        value: the record, its columns under the names of `FIELDS`.
        turn: its exchange; the answer may stand in a column.
        told: what the user says.
        columns: field to column, as the user or the layout maps them.

    Raises:
        RowError: where it does not say enough, or two things; the detail names the option that mends it.
    """
    extra = value["extra_info"] if isinstance(value.get("extra_info"), dict) else {}
    stated, source = _stated_kind(value, extra, told)
    if not stated and columns.get("answer", next((key for key in FIELDS["answer"] if value.get(key)), "")) in CAPTIONS:
        stated, source = "open_ended", "a column of captions"
    question = turn.question
    context = next((text_of(value, key) for key in FIELDS["context"] if text_of(value, key)), "")
    if context.strip().lower() not in _NOT_CONTEXT and not question.startswith(context.strip()):
        question = f"{context.strip()}\n{question}"
    refuse_boxes_in(question)
    objects = _objects(value, question, turn.answer)
    if objects:
        return _boxes_said(objects[0], objects[1], told, source or "ms-swift's objects", "xyxy")
    answer, column = _answer(value, turn)
    if column == "answer" and "answer" in columns:
        column = columns["answer"].rpartition(".")[2]
    box_column = next((key for key in BOX_COLUMNS if isinstance(value.get(key), list) and value[key]), "")
    if box_column and (stated == "iou" or answer is None):
        answer, column = value[box_column], box_column
    elif box_column and not stated and "answer" not in columns and asks_for_boxes(question):
        detail = f"{column or 'the words'} and {box_column} fit; say --column answer={box_column} or --reward KIND"
        raise RowError("answer", "two_kinds", detail)
    if answer is None:
        raise RowError("answer", "missing", not_named("answer", value))
    choices, place = choices_of(value)
    if extra and not choices:
        choices, place = choices_of(extra)
    asked, listed = split_choices(question)
    closed = stated in ("", "matching") or (isinstance(answer, str) and is_lone_letter(answer, ()))
    if closed and listed and (not choices or list(listed) == list(choices)):
        question, choices, place = asked, choices or listed, place or "the question"
    if closed and choices:
        counted = str(answer).isdigit() and str(answer) not in choices
        why = f"options in {place}{', numbers from 0' if counted else ''}"
        return _example(question, "matching", why, _letter(answer, choices), choices=choices, answer_type="choice")
    found_at = ""
    if not isinstance(answer, list | tuple | dict):
        answer, found_at = final_answer(scalar_text({"answer": answer}, "answer"))
    if stated in ("", "iou"):
        found = _boxes(answer, stated)
        if found:
            own_column = column in BOX_COLUMNS
            if found.how == BARE and not (stated or own_column or asks_for_boxes(question)):
                detail = f"{str(answer)[:60]} may be boxes (--reward iou) or a list of values (--reward chart)"
                raise RowError("answer", "two_kinds", detail)
            unsure = own_column and column != "bbox_2d" and not isinstance(answer, str)
            return _boxes_said(question, found, told, source or found.how, "either" if unsure else "xyxy")
    if not stated and isinstance(answer, str) and answer.startswith(("['", '["')):
        answer = literal(answer) or answer  # MMMU writes the answers to an open question as a list
    if isinstance(answer, list | tuple):
        return _several(question, list(answer), stated, source, told)
    text = scalar_text({"answer": answer}, "answer")
    kind, why = _kind(text, stated, source, told)
    how = f"{why}, {found_at}" if found_at else why
    return _example(question, kind, how, text, answer_type=text_of(extra, "answer_type"))


def _kind(answer: str, stated: str, source: str, told: Told) -> tuple[str, str]:
    """The kind of a row without options or boxes, and by what."""
    if stated:
        mark = mark_in(answer)
        if mark and mark.reason != "point":
            raise RowError("answer", mark.reason, mark.message)
        return stated, source
    return ("matching", "--answer-type label") if told.answer_type == "label" else infer(answer)


def _stated_kind(value: dict[str, Any], extra: dict[str, Any], told: Told) -> tuple[str, str]:
    """The kind that the user or the record names, and where; empty where nobody does."""
    if told.reward:
        return told.reward, "--reward"
    for holder, place in ((extra, "extra_info.reward"), (value, "reward")):
        kind = holder.get("reward")
        if isinstance(kind, str) and (kind in KINDS or kind in told.custom):
            return kind, place
    for name, needed, known in LAYOUTS:
        if needed <= value.keys() and "reward" in known:
            return known["reward"], f"the layout of {name}"
    for key in KIND_COLUMNS:
        word = text_of(value, key) and value[key].rpartition("/")[2].strip().lower()
        if word in KIND_WORDS:
            return KIND_WORDS[word], f"{key} {word!r}"
    return "", ""


def _answer(value: dict[str, Any], turn: Turn) -> tuple[Any, str]:
    """The answer as the record has it, and its column."""
    model = value.get("reward_model")
    if isinstance(model, dict) and model.get("ground_truth") is not None:
        return model["ground_truth"], "ground_truth"
    if turn.answer:
        return turn.answer, ""
    for key in FIELDS["answer"]:
        found = value.get(key)
        if found is not None and found != "" and found != []:
            return found, key
    return None, ""


def _boxes(answer: Any, stated: str) -> Boxes | None:
    try:
        return read_boxes(answer)
    except RowError as error:
        if stated != "iou" or error.reason != "boxes_in_prose":
            raise
        return boxes_in(answer)


def _letter(answer: Any, choices: tuple[str, ...]) -> str:
    if isinstance(answer, list | tuple) and len(answer) == 1:
        answer = answer[0]
    if isinstance(answer, list | tuple):
        raise RowError("answer", "several_options", f"{len(answer)} right options, and a row has one")
    try:
        return choice_letter(answer, choices)
    except RowError as error:
        if not isinstance(answer, str) or error.reason != "answer_not_in_choices":
            raise
        text, how = final_answer(answer)
        if not how:
            raise
        return choice_letter(text, choices)


def _boxes_said(question: str, boxes: Boxes, told: Told, how: str, box_format: str) -> Example:
    if boxes.frame == "?" and not told.box_frame:
        detail = (
            "boxes in special tokens are 0-1000 (Qwen2-VL) or pixels (Qwen2.5-VL): say --box-frame norm1000 or pixel"
        )
        raise RowError("answer", "frame_unknown", detail)
    frame = told.box_frame or boxes.frame or "pixel"
    how = f"{how}, {told.box_format or box_format} in {frame}{'' if told.box_frame or boxes.frame else ' (not said)'}"
    known = {"boxes": boxes.boxes, "box_frame": frame, "box_format": told.box_format or box_format}
    return _example(question, "iou", how, **known)


def _several(question: str, answers: list[Any], stated: str, source: str, told: Told) -> Example:
    """Several answers: one that most people gave, or references of a description."""
    texts = answer_texts(answers)
    distinct = list(dict.fromkeys(texts))
    if stated in ONE_IS_ENOUGH or (not stated and 1 < len(distinct) == len(texts) and _are_sentences(distinct)):
        why = f"{source or 'sentences'}, {len(distinct)} references"
        return _example(question, stated or "open_ended", why, references_json([one_line(text) for text in distinct]))
    best, found_at = final_answer(majority(texts, spellings=bool(stated)))
    kind, why = _kind(best, stated, source, told)
    notes = ([found_at] if found_at else []) + (["the majority of answers"] if len(texts) > 1 else [])
    return _example(question, kind, ", ".join([why, *notes]), best)


def answer_texts(answers: list[Any]) -> list[str]:
    """The answers to one question, as texts or in VQA's form.

    Raises:
        RowError: `missing` or `not_text`.
    """
    if answers and all(isinstance(one, dict) and isinstance(one.get("answer"), str) for one in answers):
        answers = [one["answer"] for one in answers]
    texts = [text.strip() for text in text_list({"answer": answers}, "answer") if text.strip()]
    if not texts:
        raise RowError("answer", "missing", "the list of answers is empty")
    return texts


def majority(texts: list[str], *, spellings: bool = True) -> str:
    """The answer that most people gave, whatever its case.

    Args:
        texts: their answers.
        spellings: fewer than `LEAST_PEOPLE` are taken as spellings of one answer, of which the first counts.

    Raises:
        RowError: `disagreement`.

    Example:
        >>> majority(["Nokia", "nokia", "toshiba"]), majority(["$5", "5 dollars"])
        ('Nokia', '$5')
    """
    counts = Counter(text.casefold() for text in texts)
    most, votes = counts.most_common(1)[0]
    if len(counts) > 1 and 2 * votes < len(texts) + 1 and not (spellings and len(texts) < LEAST_PEOPLE):
        detail = f"{len(counts)} different answers, none given by most: {', '.join(counts)[:80]}"
        raise RowError("answer", "disagreement", f"{detail}; name one column with --column answer=COLUMN")
    return next(text for text in texts if text.casefold() == most)


def _are_sentences(texts: Sequence[str]) -> bool:
    return all(len(text.split()) > 2 for text in texts)


def _objects(value: dict[str, Any], question: str, answer: str) -> tuple[str, Boxes] | None:
    """Question and boxes of ms-swift's `objects`, put in the places that the texts keep for them."""
    if "<bbox>" not in answer and "<ref-object>" not in question:
        return None
    found = literal(value["objects"]) if isinstance(value.get("objects"), str) else value.get("objects")
    if isinstance(found, list) and all(isinstance(one, dict) for one in found):  # the form of ms-swift 2
        names = [one.get("caption") for one in found]
        kind = next((one.get("bbox_type") for one in found), None)
        found = {"ref": names, "bbox": [one.get("bbox") for one in found], "bbox_type": kind}
    if not isinstance(found, dict) or not isinstance(found.get("bbox"), list):
        raise RowError("objects", "missing", "no objects.bbox fills the places <bbox> and <ref-object>")
    refs, boxes = iter(found.get("ref") or ()), iter(found["bbox"])
    if any(found.get("image_id") or ()):
        raise RowError("objects", "other_picture", "boxes of a picture that is not the first")
    used_boxes, names = [], []

    def fill(match: re.Match[str]) -> str:
        if match[1] == "ref-object":
            names.append(str(next(refs, None) or ""))
            return names[-1]
        used_boxes.append(next(boxes, None))
        return ""

    question = _PLACEHOLDER.sub(fill, question)
    named_in_question = len(names)
    rest = _PLACEHOLDER.sub(fill, answer)
    for name in names[named_in_question:]:
        rest = rest.replace(name, "", 1)
    if any(character.isalnum() for character in rest):
        raise RowError("answer", "boxes_in_prose", f"words beside <bbox>: {rest[:60]!r}; leave the boxes alone")
    if "" in names or not used_boxes or None in used_boxes:
        raise RowError("objects", "missing", "fewer objects than places for them")
    parsed = read_boxes(used_boxes)
    if parsed is None or len(parsed.boxes) != len(used_boxes):
        raise RowError("objects", "malformed_box", "not four numbers each (a point has no reward)")
    kind = str(found.get("bbox_type") or "real")
    frames = {"real": "pixel", "norm1": "norm1", "norm_1": "norm1", "norm1000": "norm1000", "norm_1000": "norm1000"}
    if kind not in frames:
        raise RowError("objects", "frame_unknown", f"bbox_type {kind!r}; say --box-frame")
    own = names[named_in_question:]
    labelled = parsed.boxes
    if len(own) == len(labelled):
        labelled = tuple(box._replace(label=name) for box, name in zip(labelled, own, strict=True))
    return question, Boxes(labelled, frames[kind], "objects")


def not_named(field: str, value: dict[str, Any]) -> str:
    """That no column of a record has a name by which a field is known."""
    known, own = ", ".join(FIELDS[field][:6]), ", ".join(list(map(str, value))[:8])
    return f"none of {known}, … among {own[:120]}; name it: --column {field}=COLUMN"


def text_of(value: dict[str, Any], key: str) -> str:
    """The text of a column; empty where it is none."""
    return value[key] if isinstance(value.get(key), str) else ""
