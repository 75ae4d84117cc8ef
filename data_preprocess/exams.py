"""Questions of schools, exams and competitions, with a diagram or a picture."""

from collections.abc import Iterator
from typing import Any

from mixed_r1_verl.data_preprocess.charts import with_unit
from mixed_r1_verl.data_preprocess.chat import exchanges
from mixed_r1_verl.data_preprocess.evidence import final_answer
from mixed_r1_verl.data_preprocess.records import FOR_TESTS, Records, every_file, file_each

from mixed_r1_verl.data import DataError, RawFolder, Row, RowError
from mixed_r1_verl.data.fields import one_line, record, text_field
from mixed_r1_verl.data.options import literal


def _diagrams(of: Records, raw: RawFolder, split: str) -> Iterator[Row]:
    """A row for each question of each picture's file; the list of test pictures says which split a picture is in."""
    folder = "ai2d/" if raw.has("ai2d/questions") else ""
    names = raw.glob(f"{folder}questions/*.json")
    if not names:
        raise DataError(f"{raw.root} holds no questions/*.json")
    test = set() if split == "all" else set(raw.text(f"{folder}ai2d_test_ids.csv").split())
    for name in names:
        if split != "all" and (name.rpartition("/")[2].partition(".")[0] in test) != (split == "test"):
            continue
        try:
            value = record(raw.json(name))
            questions = record(value.get("questions"))
        except (DataError, RowError) as error:
            yield Row(name, RowError("record", "bad_json", str(error)[:200]))
            continue
        for question, found in questions.items():
            known = {"question": question, "image": value.get("imageName"), "top": folder}
            yield Row(f"{name}#{question}", found | known if isinstance(found, dict) else found)


def _lettered_diagram(value: dict[str, Any]) -> dict[str, Any]:
    return value | {"folder": f"{value['top']}{'abcImages' if value.get('abcLabel') else 'images'}"}


def _has_picture(value: dict[str, Any]) -> dict[str, Any]:
    if value.get("image") is None:
        raise RowError("image", "no_picture", "the question has no picture")
    return value


def _named_pictures(value: dict[str, Any]) -> dict[str, Any]:
    """M3CoT names the picture by `image`, `image_id` or the id, with or without folder and ending."""
    names = [value[key] for key in ("image", "image_id", "id") if isinstance(value.get(key), str) and value[key]]
    plain = [name.removeprefix("images/").removesuffix(".png") for name in names] or [text_field(value, "id")]
    return value | {f"name{number}": (plain * 3)[number] for number in range(3)}


def _icons(of: Records, raw: RawFolder, split: str) -> Iterator[Row]:
    for where, value in file_each(of, raw, split):
        folder = where.rpartition("/")[0]
        drawn = value.get("choices") if isinstance(value, dict) and value.get("ques_type") == "choose_img" else None
        if isinstance(value, dict):
            value = value | {"more": [], "choices": value.get("choices") or []}
        if isinstance(drawn, list):
            texts = [f"picture {number}" for number in range(2, len(drawn) + 2)]
            value |= {"choices": texts, "more": [f"{folder}/{name}" for name in drawn]}
        yield Row(where, value)


def _counted_or_computed(value: dict[str, Any]) -> dict[str, Any]:
    counted = {"REWARD": "matching"} if isinstance(value.get("ground_truth"), int) else {}
    return value | counted | {"picture": text_field(value, "image_path").removeprefix("./")}


def _message(value: dict[str, Any]) -> dict[str, Any]:
    """LMM-R1's chat, JSON text inside the JSON: of its pictures only the base names count."""
    messages = literal(text_field(value, "message"))
    if messages is None:
        raise RowError("message", "bad_json", "its text is not JSON")
    images = exchanges({"messages": messages})[0].images
    names = [image.rpartition("/")[2] if isinstance(image, str) else image for image in images]
    return value | {"images": names, "answer": final_answer(text_field(value, "answer"))[0]}


SETS = {
    "mathvista": Records(
        about="MathVista: mathematics in pictures from 31 sources; options (matching) and free answers (math).",
        row='"20": {"question": "Is the sum …?", "image": "images/20.jpg", "choices": ["Yes", "No"], "unit": null,\n'
        ' "precision": null, "answer": "No", "question_type": "multi_choice", "pid": "20", …}',
        splits=("testmini", "test"),
        licence="CC BY-SA 4.0",
        source="https://github.com/lupantech/MathVista",
        files=("data/{SPLIT}.json", "{SPLIT}.json"),
        notes="`unit` and `precision` are named after the question; CRLF becomes LF. The authors ask that it be used"
        " for testing only: keep it out of training.",
        mend=with_unit,
        id="{pid}",
        choices="choices",
        by_text=True,
        reward="math",
        pictures=(("{image}", "data/{image}"),),
    ),
    "math_v": Records(
        about="MATH-Vision: competition problems with a picture; multiple choice (matching) and free answers (math).",
        row='{"id": "4", "question": "How many digits can you find?\\n<image1>", "options": [], "answer": "6",\n'
        ' "image": "images/4.jpg", …}',
        splits=("testmini", "test"),
        licence="MIT",
        source="https://github.com/mathllm/MATH-V",
        files=("data/{SPLIT}.jsonl", "{SPLIT}.jsonl"),
        notes=FOR_TESTS,
        quirks="questions hold `<image1>` … `<image7>`, yet there is one picture (a montage) a record: the markers"
        " become plain words (`[image1]`). Options may be nothing but the letters A to E, when the choices are in the"
        " picture; then the prompt shows the letters alone.",
        id="{id}",
        choices="options",
        reward="math",
        pictures=(("{image}",),),
    ),
    "mathverse": Records(
        about="MathVerse: problems of geometry and functions; options (matching) and free answers (math).",
        row='{"sample_index": "1", "question": "Which?\\nChoices:\\nA:20°\\nB:40°", "image": "1.png", "answer": "B"}',
        splits=("testmini",),
        licence="MIT",
        source="https://mathverse-cuhk.github.io",
        seen=False,
        files=("{SPLIT}.json",),
        notes=f"Options at the end of a question become choices. {FOR_TESTS}",
        id="{sample_index}",
        listed=True,
        reward="math",
    ),
    "scienceqa": Records(
        about="ScienceQA: multiple-choice questions of school science, many with a picture.",
        row='"5": {"question": "Which of these …?", "choices": ["bilberry", "mushroom"], "answer": 1, "hint": "…",\n'
        ' "image": "image.png", "split": "train", "lecture": "…", "solution": "…", …}',
        splits=("train", "val", "test"),
        licence="CC BY-NC-SA 4.0",
        source="https://github.com/lupantech/ScienceQA",
        seen=False,
        files=("data/scienceqa/problems.json", "scienceqa/problems.json", "problems.json"),
        notes="`answer` is 0-based; `hint` holds what the question refers to and stands before it; `lecture` and"
        " `solution` are not shown. Questions without a picture are rejected.",
        within="split",
        mend=_has_picture,
        context="hint",
        choices="choices",
        reward="",
        pictures=(("{FOLDER}images/{SPLIT}/{KEY}/{image}", "{FOLDER}{SPLIT}/{KEY}/{image}"),),
    ),
    "m3cot": Records(
        about="M3CoT: multiple-choice questions that need several steps over picture and text.",
        row='{"id": "physical-commonsense-1204", "question": "Which object …?", "choices": ["…", "…"],\n'
        ' "context": "", "answer": "B", "rationale": "…", "image_id": "…", …}',
        splits=("train", "dev", "test"),
        licence="as stated in the repository",
        source="https://github.com/LightChen233/M3CoT",
        seen=False,
        files=("data/{SPLIT}.jsonl", "{SPLIT}.jsonl"),
        notes="`context` stands before the question; `rationale` is not shown; the id names the picture, unless `image`"
        " or `image_id` does. The parquet files on the hub are read with the converter `parquet`.",
        mend=_named_pictures,
        id="{id}",
        context="context",
        choices="choices",
        reward="",
        pictures=(tuple(f"{top}images/{{name{number}}}.png" for number in range(3) for top in ("{FOLDER}", "")),),
    ),
    "geoqa": Records(
        about="GeoQA: multiple-choice geometry problems of Chinese middle schools, with a diagram.",
        row='{"id": "0", "subject": "如图,AB∥CD,…,则∠2的度数为()", "choices": ["40°", "50°", …], "label": 2, …}',
        splits=("all",),
        licence="none stated",
        source="https://github.com/chen-judge/GeoQA",
        seen=False,
        files=("GeoQA3/json/*.json", "json/*.json"),
        notes="`label` is 0-based. The set's pickles (`train.pk`, …) are not read: unpickling runs what a file says.",
        walk=file_each,
        id="{STEM}",
        question="{subject}",
        answer="label",
        choices="choices",
        reward="",
        pictures=(("GeoQA3/image/{STEM}.png", "image/{STEM}.png"),),
        ability="math",
    ),
    "geometry3k": Records(
        about="Geometry3K: multiple-choice geometry problems with a diagram.",
        row='{"id": 2401, "problem_text": "Find x.", "choices": ["8.5", "11", "15", "16"], "answer": "C", …}',
        splits=("train", "val", "test"),
        licence="as stated in the repository",
        source="https://github.com/lupantech/InterGPS",
        seen=False,
        files=("geometry3k/{SPLIT}/*/data.json", "{SPLIT}/*/data.json"),
        walk=file_each,
        id="{DIR}",
        question="{problem_text}",
        choices="choices",
        reward="",
        pictures=(("{FOLDER}img_diagram.png",),),
        ability="math",
    ),
    "ai2d": Records(
        about="AI2D: multiple-choice questions on diagrams of school science.",
        row='{"imageName": "0.png", "questions": {"what is shown at A?": {"abcLabel": true, "correctAnswer": 1,\n'
        ' "answerTexts": ["face", "liver", "lungs", "heart"], "questionId": "0.png-0"}}}',
        splits=("train", "test", "all"),
        licence="CC BY-SA 4.0",
        source="https://prior.allenai.org/projects/diagram-understanding",
        seen=False,
        files=("[ai2d/]questions/<n>.png.json", "[ai2d/]ai2d_test_ids.csv (for train and test)"),
        notes="The key is the question, `correctAnswer` is 0-based. Where `abcLabel` is true the question speaks of"
        " letters that are drawn only in `abcImages`.",
        walk=_diagrams,
        mend=_lettered_diagram,
        id="{questionId}",
        answer="correctAnswer",
        choices="answerTexts",
        reward="",
        pictures=(("{folder}/{image}",),),
    ),
    "iconqa": Records(
        about="IconQA: questions on icons: options in words, options that are pictures, and blanks to fill in.",
        row='{"question": "What has been done to this letter?", "choices": ["slide", "turn"], "answer": 1,\n'
        ' "ques_type": "choose_txt", …}',
        splits=("train", "val", "test"),
        licence="CC BY-NC-SA 4.0",
        source="https://iconqa.github.io",
        seen=False,
        files=("iconqa_data/iconqa/{SPLIT}/*/*/data.json", "iconqa/{SPLIT}/*/*/data.json", "{SPLIT}/*/*/data.json"),
        notes="`answer` is 0-based where there are options. Options that are pictures (`choose_img`) stand after the"
        " picture of the question and are called `picture 2`, `picture 3`, ….",
        walk=_icons,
        id="{DIR}",
        choices="choices",
        pictures=(("{FOLDER}image.png",),),
        more="more",
    ),
    "r1_v": Records(
        about="R1-V's JSON lines: counting (SuperCLEVR) and geometry (GeoQA) questions.",
        row='{"image_path": "./Geo170K/images/test/1.png", "question": "As shown, …", "ground_truth": "65°"}',
        splits=("test", "train"),
        licence="none stated",
        source="https://github.com/Deep-Agent/R1-V",
        notes="An integer (a count) is matched, a text (`65°`, `9米`, `\\frac{4}{3}`) is math.",
        walk=every_file,
        mend=_counted_or_computed,
        id="{PLACE}",
        clean=one_line,
        answer="ground_truth",
        reward="math",
        pictures=(("{picture}",),),
    ),
    "lmm_r1": Records(
        about="LMM-R1's (OpenRLHF's) JSON lines: a chat as JSON text inside the JSON.",
        row='{"question": "Which number …?\\n", "answer": "$\\\\boxed{60}$", "message": "[{\\"role\\": \\"user\\",\n'
        ' \\"content\\": [{\\"type\\": \\"text\\", …}, {\\"type\\": \\"image\\", \\"image\\": \\"/…/1.jpg\\"}]}]"}',
        splits=("train", "val", "test"),
        licence="that of the data",
        source="https://github.com/TideDra/lmm-r1",
        notes="Options at the end of the question become the choices; `$\\boxed{…}$` is taken off the answer, which is"
        " math where there are none. Pictures are found by their base names; the system prompt is left out.",
        walk=every_file,
        mend=_message,
        id="{PLACE}",
        listed=True,
        reward="math",
        pictures=(),
        more="images",
    ),
}

CONVERTERS = tuple(of.converter(name, __name__) for name, of in SETS.items())
