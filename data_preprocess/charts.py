"""Questions on charts, tables and documents."""

import re
from collections.abc import Iterator
from typing import Any

from mixed_r1_verl.data_preprocess.records import SPELLINGS, Records

from mixed_r1_verl.data import DataError, RawFolder, Row, RowError
from mixed_r1_verl.data.fields import LETTERS, detokenise, one_line, scalar_text, stem, text_field, text_list
from mixed_r1_verl.data.options import split_choices

# Says how to write the answer, which the prompt template does; the form of compound answers (`a; b`) is kept.
_FORMAT_NOTE = re.compile(r"\s*Note that your answer format should be as follows: Answer: The_answer_you_get\s*\Z")


def _chartqa_files(of: Records, raw: RawFolder, split: str) -> Iterator[Row]:
    names = dict.fromkeys(name for pattern in of.names_in(split) for name in raw.glob(pattern))
    if not names:
        raise DataError(f"{raw.root} holds no {split}_human.json or the like; give the ChartQA folder with --input")
    for name in names:
        kind = name.split("/")[-2]
        own = f"{kind}/{stem(name)}" if kind in ("simple", "complex") else stem(name)
        for where, value in raw.json_rows(name):
            known = {"id": f"{own}/{where.rpartition('#')[2]}"}
            yield Row(where, value | known if isinstance(value, dict) else value)


def _without_broken_spaces(question: str) -> str:
    return one_line(question.replace("\ufffd", " "))


def with_unit(value: dict[str, Any]) -> dict[str, Any]:
    """A record whose question names the unit and the decimals of a free answer."""
    question = text_field(value, "question").replace("\r\n", "\n")
    if not value.get("choices"):
        question += f" (unit: {text_field(value, 'unit')})" if value.get("unit") else ""
        decimals = value.get("precision")
        if isinstance(decimals, int | float) and decimals:
            question += f" (decimals: {scalar_text(value, 'precision')})"
    return value | {"question": question}


def _chart_pairs(of: Records, raw: RawFolder, split: str) -> Iterator[Row]:
    names = raw.glob(f"**/{of.files[0]}")
    if not names:
        raise DataError(f"{raw.root} holds no {of.files[0]}")
    for name in names:
        found = raw.json(name)
        yield from (Row(f"{name}#{i}", one) for i, one in enumerate(found if isinstance(found, list) else [found]))


def _multi_chart(value: dict[str, Any]) -> dict[str, Any]:
    images = [value["FOLDER"] + name.replace("\\", "/").rpartition("/")[2] for name in text_list(value, "image")]
    if not images:
        raise RowError("image", "missing")
    question, answer = _FORMAT_NOTE.sub("", text_field(value, "question")), scalar_text(value, "answer")
    asked, choices = split_choices(question)
    if choices and len(answer) == 1 and answer in LETTERS[: len(choices)]:
        return value | {"asked": asked, "choices": list(choices), "images": images}
    return value | {"asked": question, "choices": [], "images": images}


SETS = {
    "chartqa": Records(
        about="ChartQA: questions on charts, answered with a number, a label or a short list.",
        row='{"imgname": "21908513006395.png", "query": "Which years had the most?", "label": "[2013, 2016]"}',
        splits=("train", "val", "test"),
        licence="GPL-3.0",
        source="https://github.com/vis-nlp/ChartQA",
        files=("**/{SPLIT}/{SPLIT}_*.json", "**/simple/{SPLIT}_*.json", "**/complex/{SPLIT}_*.json"),
        notes="Human or augmented stands in the file name only and becomes part of the id. The re-sorted test split of"
        " https://github.com/RobustCQA/ChartQA-Split (`simple`, `complex`) is read too.",
        quirks="most pictures are RGBA, nearly all opaque; the same picture has several questions and stands in"
        " several files; a few queries hold U+FFFD in the source where a no-break space was, and get a space.",
        walk=_chartqa_files,
        id="{id}",
        question="{query}",
        clean=_without_broken_spaces,
        answer="label",
        reward="chart",
        pictures=(("{FOLDER}png/{imgname}",),),
    ),
    "plotqa": Records(
        about="PlotQA: template questions on plots of real-world data.",
        row='{"image_index": 0, "question_string": "How many bars are there ?", "answer": 4, "question_id": 1, …}',
        splits=("train", "val", "test"),
        licence="CC BY 4.0",
        source="https://github.com/NiteshMethani/PlotQA",
        seen=False,
        files=("{SPLIT}/qa_pairs_V1.json", "{SPLIT}/qa_pairs_V2.json", "qa_pairs_V1.json", "qa_pairs_V2.json"),
        notes="V1 is read where both files are there; V2 has more, and more open, questions. `question_id` starts anew"
        " with each picture and is not used.",
        key="qa_pairs",
        id="{STEM}/{KEY}",
        question="{question_string}",
        clean=detokenise,
        reward="chart",
        pictures=(tuple(f"{folder}{{image_index}}.png" for folder in ("{SPLIT}/png/", "png/", "png/{SPLIT}/")),),
    ),
    "dvqa": Records(
        about="DVQA: questions on drawn bar charts.",
        row='{"question_id": 3, "question": "Which bar is highest?", "answer": "drama", "image": "bar_1.png", …}',
        splits=("train", "val_easy", "val_hard"),
        licence="CC BY-NC 4.0",
        source="https://github.com/kushalkafle/DVQA_dataset",
        seen=False,
        files=("qa/{SPLIT}_qa.json", "{SPLIT}_qa.json"),
        id="{question_id}",
        reward="chart",
        pictures=(("images/{image}",),),
    ),
    "figureqa": Records(
        about="FigureQA: yes/no questions on drawn charts.",
        row='{"question_string": "Is Red the minimum?", "answer": 1, "image_index": 0, …}',
        splits=("train1", "validation1", "validation2"),
        licence="Microsoft Research, for research",
        source="https://www.microsoft.com/en-us/research/project/figureqa-dataset/",
        seen=False,
        files=("{SPLIT}/qa_pairs.json",),
        key="qa_pairs",
        question="{question_string}",
        answers={"0": "no", "1": "yes"},
        pictures=(("{SPLIT}/png/{image_index}.png",),),
        answer_type="yes_no",
        ability="chart",
    ),
    "tabmwp": Records(
        about="TabMWP: grade-school questions on tables; options (matching) and free answers (chart).",
        row='"33": {"question": "Is the function linear or nonlinear?", "choices": ["linear", "nonlinear"],\n'
        ' "answer": "nonlinear", "unit": null, "table": "x | y\\n10 | 15 …", …}',
        splits=("train", "dev", "test", "dev1k", "test1k"),
        licence="CC BY-NC-SA 4.0",
        source="https://github.com/lupantech/PromptPG",
        files=("data/tabmwp/problems_{SPLIT}.json", "tabmwp/problems_{SPLIT}.json", "problems_{SPLIT}.json"),
        notes="`unit` is named after the question. `table` is the whole table as text and is not shown: the picture is"
        " to be read.",
        mend=with_unit,
        choices="choices",
        by_text=True,
        reward="chart",
        pictures=(("{FOLDER}tables/{KEY}.png",),),
    ),
    "opencqa": Records(
        about="OpenCQA: open questions on charts, answered in a sentence or two.",
        row='"3446": [image file, title, summary, question, abstractive answer, extractive answer]',
        splits=("train", "val", "test"),
        licence="GPL-3.0",
        source="https://github.com/vis-nlp/OpenCQA",
        files=("etc/data/{SPLIT}.json", "data/{SPLIT}.json", "{SPLIT}.json"),
        notes="The tokeniser's spaces are taken out. The title is garbled OCR and the summary holds the answer: neither"
        " is shown. The charts are Pew Research Center's.",
        quirks="extensions lie (GIF and JPEG among the `.png`); some pictures have a palette or alpha.",
        names=("image", "title", "summary", "question", "abstractive_answer", "extractive_answer"),
        clean=detokenise,
        answer="abstractive_answer",
        reward="open_ended",
        pictures=(("chart_images/{image}", "{image}"),),
    ),
    "multi_chart_qa": Records(
        about="Multi-chart QA: questions over two or three charts.",
        row='{"id": "group_182_question_0", "image": ["full_qa\\\\<group>\\\\<picture>.png", …], "answer": "B",\n'
        ' "question": "The first chart is <image>. The second chart is <image>. What …?\\nNote that …\\nA. …", …}',
        splits=("test",),
        licence="none stated",
        source="https://github.com/Zivenzhu/Multi-chart-QA",
        files=("chart-path_and_question-answer_pair.json",),
        notes="Files lie in any folder, pictures beside them under their base names (the Windows paths do not exist),"
        " all in front of the question, whose last sentence (how to write the answer) goes. Answers without options"
        " stay as they are published (`0; Cubic Rewards; 200`).",
        walk=_chart_pairs,
        mend=_multi_chart,
        id="{id}",
        question="{asked}",
        choices="choices",
        reward="chart",
        pictures=(),
        more="images",
    ),
    "docvqa": Records(
        about="DocVQA: questions on pages of documents.",
        row='{"questionId": 7, "question": "Who?", "image": "documents/a.png", "answers": ["ACME Ltd", "Acme"], …}',
        splits=("train", "val"),
        licence="terms of the challenge",
        source="https://rrc.cvc.uab.es/?ch=17",
        seen=False,
        files=("{SPLIT}_v1.0_withQT.json", "spdocvqa_qas/{SPLIT}_v1.0_withQT.json", "{SPLIT}_v1.0.json"),
        notes=SPELLINGS,
        key="data",
        id="{questionId}",
        answer="answers",
        reward="anls",
    ),
    "infovqa": Records(
        about="InfographicVQA: questions on infographics.",
        row='{"questionId": 7, "question": "Who?", "image_local_name": "3.png", "answers": ["41%"], …}',
        splits=("train", "val"),
        licence="terms of the challenge",
        source="https://rrc.cvc.uab.es/?ch=17",
        seen=False,
        files=(
            "infographicsVQA_{SPLIT}_v1.0.json",
            "infographicsvqa_qas/infographicsVQA_{SPLIT}_v1.0_withQT.json",
        ),
        notes=SPELLINGS,
        key="data",
        id="{questionId}",
        answer="answers",
        reward="anls",
        pictures=(("infographicsvqa_images/{image_local_name}", "images/{image_local_name}", "{image_local_name}"),),
    ),
}

CONVERTERS = tuple(of.converter(name, __name__) for name, of in SETS.items())
