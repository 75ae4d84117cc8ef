"""Question sets whose files are flat lists of records, one table entry each.

TextVQA (https://textvqa.org, CC BY 4.0), ST-VQA, DocVQA and InfographicVQA (https://rrc.cvc.uab.es, their own terms),
TallyQA (https://github.com/manoja328/TallyQA_dataset, Apache-2.0), VSR (https://github.com/cambridgeltl/
visual-spatial-reasoning, Apache-2.0), MathVerse (https://mathverse-cuhk.github.io, MIT; an evaluation set: keep it out
of training), Visual Genome's region descriptions (https://homes.cs.washington.edu/~ranjay/visualgenome, CC BY 4.0),
A-OKVQA (https://github.com/allenai/aokvqa, Apache-2.0), DVQA (https://github.com/kushalkafle/DVQA_dataset, CC BY-NC
4.0), FigureQA (Microsoft Research, for research) and DOCCI (https://google.github.io/docci, CC BY 4.0).
Licences: as said. The layouts and the rows are taken from the public descriptions; no raw sample was at hand.

Raw layout (pictures may lie elsewhere: name that folder with `--image-root`; the file may be named as --input):

    textvqa     TextVQA_0.5.1_{split}.json          {"data": [{"question_id", "question", "image_id", "answers": […]}]}
    stvqa       {split}_task_3.json                 {"data": [{"question_id", "question", "file_path", "answers"}]}
    docvqa      {split}_v1.0[_withQT].json          {"data": [{"questionId", "question", "image", "answers"}]}
    infovqa     infographicsVQA_{split}_v1.0.json   {"data": [{"questionId", "question", "image_local_name", …}]}
    tallyqa     {split}.json                        [{"question_id", "question", "image", "answer": 2}]
    vsr         {split}.jsonl                       {"image", "caption": "The cat is left of …", "label": 1}
    mathverse   {split}.json                        [{"sample_index", "question", "image", "answer", "question_type"}]
    aokvqa      aokvqa_v1p0_{split}.json            [{"question_id", "question", "choices", "correct_choice_idx", …}]
    dvqa        [qa/]{split}_qa.json                [{"question_id", "question", "answer": "drama", "image"}]
    figureqa    {split}/qa_pairs.json               {"qa_pairs": [{"question_string", "answer": 0, "image_index"}]}
    docci       docci_descriptions.jsonlines        {"split", "example_id", "image_file", "description": "An angled …"}
    visual_genome  region_descriptions.json         [{"id", "regions": [{"region_id", "phrase", "x", "y", …}]}]

What each field becomes: of ten people's answers the one that most gave (at least half must agree), of several
spellings the first; it is matched as a word. Options at the end of MathVerse's questions become choices, its free
answers are `math`. `correct_choice_idx` is 0-based. DVQA has the chart reward, FigureQA's 1 and 0 become yes and no,
DOCCI's description is a reference. A record without an id has its place in the list for one. A region is asked for by
its phrase, and its box (x, y, width, height) becomes corners.

Quirks: InfographicVQA and DocVQA are scored by ANLS in their benchmark, here by equality with one answer.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

from mixed_r1_verl.data_preprocess.reading import answer_texts, majority

from mixed_r1_verl.data import Box, Converter, Example, RawFolder, Row, RowError, references_json
from mixed_r1_verl.data.fields import number_list, one_line, place_id, record, scalar_text, text_field, text_list
from mixed_r1_verl.data.options import choice_letter, split_choices


class Flat(NamedTuple):
    """One set.

    Attributes:
        files: names that its file may have, `{}` for the split.
        key: where its list stands in the file; None for the file itself.
        fields: of id, question, answer and picture; the place is the id, and `asks` the question, where one is empty.
        pictures: names that the picture of a record may have, `{0}` for its field and `{1}` for the split.
        asks: the question, `{}` for its field.
        choices: field of the options; without it they may stand at the end of the question.
        answers: words that stand for the answers of the file.
        reward: of all rows; empty takes matching, or math for free answers among questions with options.
        answer_type: of all its answers; empty leaves it to the reward.
    """

    splits: tuple[str, ...]
    licence: str
    source: str
    files: tuple[str, ...]
    fields: tuple[str, str, str, str]
    key: str | None = None
    pictures: tuple[str, ...] = ("{0}", "images/{0}")
    asks: str = "{}"
    choices: str = ""
    answers: Mapping[str, str] = MappingProxyType({})
    reward: str = ""
    answer_type: str = ""
    ability: str = ""


RRC = "https://rrc.cvc.uab.es"
SETS = {
    "textvqa": Flat(
        ("train", "val"),
        "CC BY 4.0",
        "https://textvqa.org",
        ("TextVQA_0.5.1_{}.json",),
        ("question_id", "question", "answers", "image_id"),
        "data",
        ("train_images/{0}.jpg", "train_val_images/train_images/{0}.jpg", "images/{0}.jpg", "{0}.jpg"),
    ),
    "stvqa": Flat(
        ("train",),
        "terms of the challenge",
        f"{RRC}/?ch=11",
        ("{}_task_3.json",),
        ("question_id", "question", "answers", "file_path"),
        "data",
    ),
    "docvqa": Flat(
        ("train", "val"),
        "terms of the challenge",
        f"{RRC}/?ch=17",
        ("{}_v1.0_withQT.json", "spdocvqa_qas/{}_v1.0_withQT.json", "{}_v1.0.json"),
        ("questionId", "question", "answers", "image"),
        "data",
    ),
    "infovqa": Flat(
        ("train", "val"),
        "terms of the challenge",
        f"{RRC}/?ch=17",
        ("infographicsVQA_{}_v1.0.json", "infographicsvqa_qas/infographicsVQA_{}_v1.0_withQT.json"),
        ("questionId", "question", "answers", "image_local_name"),
        "data",
        ("infographicsvqa_images/{0}", "images/{0}", "{0}"),
    ),
    "tallyqa": Flat(
        ("train", "test"),
        "Apache-2.0",
        "https://github.com/manoja328/TallyQA_dataset",
        ("{}.json",),
        ("question_id", "question", "answer", "image"),
        answer_type="number",
    ),
    "vsr": Flat(
        ("train", "dev", "test"),
        "Apache-2.0",
        "https://github.com/cambridgeltl/visual-spatial-reasoning",
        ("{}.jsonl", "data_files/all_vsr_validated_data.jsonl"),
        ("", "caption", "label", "image"),
        asks="Is this true of the picture? {}",
        answers={"0": "false", "1": "true"},
        answer_type="yes_no",
    ),
    "mathverse": Flat(
        ("testmini",),
        "MIT",
        "https://mathverse-cuhk.github.io",
        ("{}.json",),
        ("sample_index", "question", "answer", "image"),
    ),
    "aokvqa": Flat(
        ("train", "val"),
        "Apache-2.0",
        "https://github.com/allenai/aokvqa",
        ("aokvqa_v1p0_{}.json",),
        ("question_id", "question", "correct_choice_idx", "image_id"),
        pictures=("{1}2017/{0:0>12}.jpg", "{0:0>12}.jpg"),
        choices="choices",
    ),
    "dvqa": Flat(
        ("train", "val_easy", "val_hard"),
        "CC BY-NC 4.0",
        "https://github.com/kushalkafle/DVQA_dataset",
        ("qa/{}_qa.json", "{}_qa.json"),
        ("question_id", "question", "answer", "image"),
        pictures=("images/{0}",),
        reward="chart",
    ),
    "figureqa": Flat(
        ("train1", "validation1", "validation2"),
        "Microsoft Research, for research",
        "https://www.microsoft.com/en-us/research/project/figureqa-dataset/",
        ("{}/qa_pairs.json",),
        ("", "question_string", "answer", "image_index"),
        "qa_pairs",
        ("{1}/png/{0}.png",),
        answers={"0": "no", "1": "yes"},
        answer_type="yes_no",
        ability="chart",
    ),
    "docci": Flat(
        ("train", "test", "qual_dev", "qual_test"),
        "CC BY 4.0",
        "https://google.github.io/docci/",
        ("docci_descriptions.jsonlines",),
        ("example_id", "", "description", "image_file"),
        pictures=("images/{0}", "{0}"),
        asks="Describe the picture in detail.",
        reward="open_ended",
    ),
}


def rows(raw: RawFolder, split: str, *, flat: Flat) -> Iterator[Row]:
    name = raw.only or raw.first_of(*(file.format(split) for file in flat.files))
    found = raw.json_lines(name) if ".jsonl" in name else raw.json_rows(name, key=flat.key)
    for where, value in found:
        # One file of DOCCI holds all splits, and says of each record which it is in.
        if not isinstance(value, dict) or ".jsonlines" not in name or value.get("split") == split:
            yield Row(where, {"record": value, "split": split})


def convert(row: Row, *, flat: Flat) -> Example:
    value = record(row.data["record"])
    identity, asked, answered, shown = flat.fields
    question, choices = split_choices(text_field(value, asked)) if asked else ("", ())
    choices = text_list(value, flat.choices) if flat.choices else choices
    picture = scalar_text(value, shown)
    given = value.get(answered)
    answer = majority(answer_texts(given)) if isinstance(given, list) else scalar_text(value, answered)
    if choices:
        answer = choice_letter(given, choices, field=answered)
    elif flat.reward == "open_ended":
        answer = references_json([one_line(answer)])
    elif flat.answers and answer not in flat.answers:
        raise RowError(answered, "unknown_answer", repr(answer)[:80])
    free = "math" if "question_type" in value and not choices else "matching"
    return Example(
        id=scalar_text(value, identity) if identity else place_id(row).rpartition("/")[2],
        question=flat.asks.format(question),
        reward=flat.reward or free,
        answer=flat.answers.get(answer, answer),
        choices=choices,
        images=(tuple(spelling.format(picture, row.data["split"]) for spelling in flat.pictures),),
        answer_type=flat.answer_type,
        ability=flat.ability,
    )


def regions(raw: RawFolder, split: str) -> Iterator[Row]:
    """One row for each region of each picture of Visual Genome."""
    name = raw.only or "region_descriptions.json"
    for where, value in raw.json_rows(name):
        found: list[Any] = value.get("regions") if isinstance(value, dict) else None  # type: ignore[assignment]
        for number, region in enumerate(found if isinstance(found, list) else [None]):
            yield Row(f"{where}/{number}", region)


def convert_region(row: Row) -> Example:
    value = record(row.data)
    sides = {"box": [value.get(key) for key in ("x", "y", "width", "height")]}
    x, y, width, height = number_list(sides, "box", 4)
    picture = scalar_text(value, "image_id")
    return Example(
        id=scalar_text(value, "region_id"),
        question=f"Where is this: {text_field(value, 'phrase').rstrip('.')}?",
        reward="iou",
        images=(tuple(f"{folder}{picture}.jpg" for folder in ("VG_100K/", "VG_100K_2/", "images/", "")),),
        boxes=(Box(x, y, x + width, y + height),),
    )


CONVERTERS = (
    *(
        Converter(name, partial(rows, flat=flat), partial(convert, flat=flat), flat.splits, flat.licence, flat.source)
        for name, flat in SETS.items()
    ),
    Converter(
        "visual_genome",
        regions,
        convert_region,
        ("all",),
        "CC BY 4.0",
        "https://homes.cs.washington.edu/~ranjay/visualgenome",
    ),
)
