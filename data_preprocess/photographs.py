"""Questions on photographs and drawn scenes, answered with a word, a number, yes or no."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from mixed_r1_verl.data_preprocess.records import FOR_TESTS, SPELLINGS, TRUE_FALSE, YES_NO, Records

from mixed_r1_verl.data import RawFolder, Row, RowError
from mixed_r1_verl.data.fields import scalar_text, text_field

LEAST_AGREEMENT = 0.7
MAJORITY = "Of ten people's answers the one that most gave counts, and more than half must agree."


def _vqa_pairs(of: Records, raw: RawFolder, split: str) -> Iterator[Row]:
    """Each question with what most people answered, how many of them, and of how many."""
    answers = {}
    for _, value in raw.json_rows(f"v2_mscoco_{split}_annotations.json", key="annotations"):
        if isinstance(value, dict) and isinstance(value.get("question_id"), int):
            given = [one.get("answer") for one in value.get("answers") or [] if isinstance(one, dict)]
            most = value.get("multiple_choice_answer")
            answers[value["question_id"]] = {"answer": most, "agree": given.count(most), "people": len(given)}
    for where, value in raw.json_rows(f"v2_OpenEnded_mscoco_{split}_questions.json", key="questions"):
        identity = value.get("question_id") if isinstance(value, dict) else None
        found = answers.get(identity) if isinstance(identity, int) else None
        yield Row(where, value | (found or {"answer": None}) if isinstance(value, dict) else value)


def _agreed(value: dict[str, Any]) -> dict[str, Any]:
    agree, people = value.get("agree", 0), value.get("people", 0)
    if agree < LEAST_AGREEMENT * people:
        raise RowError("answers", "disagreement", f"{agree} of {people} people agree")
    return value


def _pair(value: dict[str, Any]) -> dict[str, Any]:
    """NLVR2 names both pictures by the identifier without its last number."""
    inner = f"{scalar_text(value, 'directory')}/" if isinstance(value.get("directory"), int | str) else ""
    known = {
        "pair": text_field(value, "identifier").rpartition("-")[0],
        "set": value["SPLIT"].removeprefix("balanced_"),
    }
    return value | known | {"inner": f"{known['set']}/{inner}"}


GQA = Records(
    about="GQA: questions on photographs and relations; `gqa` has all of them, `gqa_yes_no` those with yes or no.",
    row='"02930152": {"question": "Is the sky dark?", "imageId": "2354786", "answer": "yes", …}',
    splits=("train", "val", "testdev"),
    licence="CC BY 4.0",
    source="https://cs.stanford.edu/people/dorarad/gqa/",
    seen=False,
    files=("questions/{SPLIT}_balanced_questions.json", "{SPLIT}_balanced_questions.json"),
    notes="Answers other than yes and no are one of many words for the same thing; `gqa_yes_no` rejects these rows.",
    pictures=(("images/{imageId}.jpg",),),
    answer_type="label",
    polar=True,
)
VQAV2 = Records(
    about="VQAv2: questions on COCO photographs; `vqav2` has all of them, `vqav2_yes_no` those with yes or no.",
    row='{"image_id": 262148, "question": "Is the sky blue?", "question_id": 262148002}\n'
    '{"question_id": 262148002, "multiple_choice_answer": "yes", "answers": [{"answer": "yes", "answer_id": 1}, …], …}',
    splits=("train2014", "val2014"),
    licence="CC BY 4.0 (annotations)",
    source="https://visualqa.org/download.html",
    seen=False,
    files=("v2_OpenEnded_mscoco_{SPLIT}_questions.json", "v2_mscoco_{SPLIT}_annotations.json"),
    notes="`multiple_choice_answer` is what most of ten people said; questions on which fewer than seven of ten agree"
    " are rejected, for nobody could learn them, and `vqav2_yes_no` rejects answers other than yes and no.",
    walk=_vqa_pairs,
    mend=_agreed,
    id="{question_id}",
    pictures=(tuple(f"{name}{{image_id:0>12}}.jpg" for name in ("{SPLIT}/COCO_{SPLIT}_", "COCO_{SPLIT}_", "")),),
    polar=True,
)
SETS = {
    "gqa": GQA,
    "gqa_yes_no": replace(GQA, answers=YES_NO),
    "vqav2": VQAV2,
    "vqav2_yes_no": replace(VQAV2, answers=YES_NO),
    "pope": Records(
        about="POPE: is there a … in the image? Yes or no; a test of object hallucination.",
        row='{"question_id": 7, "image": "COCO_val2014_000000210789.jpg", "text": "Is there a truck?", "label": "yes"}',
        splits=("random", "popular", "adversarial"),
        licence="MIT",
        source="https://github.com/RUCAIBox/POPE",
        files=("output/coco/coco_pope_{SPLIT}.json", "coco/coco_pope_{SPLIT}.json", "coco_pope_{SPLIT}.json"),
        notes=f"`question_id` repeats over the three files, which are three splits here. {FOR_TESTS}",
        lines=True,
        id="{question_id}",
        question="{text}",
        answer="label",
        answers=YES_NO,
        pictures=(("{image}",),),
    ),
    "nlvr": Records(
        about="NLVR: statements about drawn boxes with shapes, true or false.",
        row='{"sentence": "there is exactly one tower", "label": "false", "identifier": "4029-2", "directory": "4", …}',
        splits=("train", "dev", "test"),
        licence="CC BY 4.0",
        source="https://github.com/lil-lab/nlvr",
        files=("nlvr/{SPLIT}/{SPLIT}.json", "{SPLIT}/{SPLIT}.json"),
        notes="The six pictures of a record show one scene in other orders; the first is taken, so that one scene never"
        " stands on both sides of a split. `evals` are single judgments and `structured_rep` is the solution.",
        lines=True,
        id="{identifier}",
        question="Is this true of the picture? {sentence}",
        answer="label",
        answers=TRUE_FALSE,
        pictures=(("{FOLDER}images/{directory}/{SPLIT}-{identifier}-0.png",),),
    ),
    "nlvr2": Records(
        about="NLVR2: statements about two photographs, true or false.",
        row='{"sentence": "One of the laptops is a mirror.", "label": "False", "identifier": "dev-519-1-0", …}',
        splits=("train", "dev", "test1", "test2", "balanced_dev"),
        licence="CC BY 4.0 (annotations)",
        source="https://github.com/lil-lab/nlvr",
        files=("nlvr2/data/{SPLIT}.json", "data/{SPLIT}.json", "{SPLIT}.json"),
        notes="The identifier without its last number names the left (`img0`) and the right (`img1`) picture. The"
        " photographs are not licensed and have to be asked for or downloaded by their URLs.",
        lines=True,
        mend=_pair,
        id="{identifier}",
        question="Is this true of the two pictures? {sentence}",
        answer="label",
        answers=TRUE_FALSE,
        pictures=tuple(
            tuple(f"{folder}{{pair}}-{side}.png" for folder in ("images/{inner}", "{inner}", ""))
            for side in ("img0", "img1")
        ),
    ),
    "clevr": Records(
        about="CLEVR: questions on rendered solids, answered with yes/no, a count or one word.",
        row='{"question_index": 0, "image_filename": "CLEVR_train_000000.png", "answer": "yes",\n'
        ' "question": "Are there more big green things than cubes?", "program": [ … ], …}',
        splits=("train", "val", "test"),
        licence="CC BY 4.0",
        source="https://cs.stanford.edu/people/jcjohns/clevr/",
        files=("CLEVR_v1.0/questions/CLEVR_{SPLIT}_questions.json", "questions/CLEVR_{SPLIT}_questions.json"),
        notes="`program` holds the solution and is not used.",
        quirks="pictures are RGBA; counts are strings; the test split has no answers, so all its rows are rejected.",
        key="questions",
        id="{question_index}",
        pictures=(("CLEVR_v1.0/images/{SPLIT}/{image_filename}", "images/{SPLIT}/{image_filename}"),),
    ),
    "vsr": Records(
        about="VSR: statements about where things are, true or false.",
        row='{"image": "1.jpg", "caption": "The cat is left of the dog.", "label": 1, …}',
        splits=("train", "dev", "test"),
        licence="Apache-2.0",
        source="https://github.com/cambridgeltl/visual-spatial-reasoning",
        seen=False,
        files=("{SPLIT}.jsonl", "data_files/all_vsr_validated_data.jsonl"),
        question="Is this true of the picture? {caption}",
        answer="label",
        answers={"0": "false", "1": "true"},
        answer_type="yes_no",
    ),
    "tallyqa": Records(
        about="TallyQA: how many …?",
        row='{"question_id": 1, "question": "How many cats?", "image": "VG_100K/1.jpg", "answer": 2, …}',
        splits=("train", "test"),
        licence="Apache-2.0",
        source="https://github.com/manoja328/TallyQA_dataset",
        seen=False,
        files=("{SPLIT}.json",),
        id="{question_id}",
        answer_type="number",
    ),
    "textvqa": Records(
        about="TextVQA: questions on words in photographs.",
        row='{"question_id": 1, "question": "Which brand?", "image_id": "0a", "answers": ["nokia", "nokia", …], …}',
        splits=("train", "val"),
        licence="CC BY 4.0",
        source="https://textvqa.org",
        seen=False,
        files=("TextVQA_0.5.1_{SPLIT}.json",),
        notes=MAJORITY,
        key="data",
        id="{question_id}",
        answer="answers",
        pictures=(
            tuple(
                f"{folder}{{image_id}}.jpg"
                for folder in ("train_images/", "train_val_images/train_images/", "images/", "")
            ),
        ),
    ),
    "stvqa": Records(
        about="ST-VQA: questions on words in photographs of many sources.",
        row='{"question_id": 7, "question": "Who?", "file_path": "coco-text/3.png", "answers": ["stop"], …}',
        splits=("train",),
        licence="terms of the challenge",
        source="https://rrc.cvc.uab.es/?ch=11",
        seen=False,
        files=("{SPLIT}_task_3.json",),
        notes=SPELLINGS,
        key="data",
        id="{question_id}",
        answer="answers",
        reward="anls",
        pictures=(("{file_path}", "images/{file_path}"),),
    ),
    "aokvqa": Records(
        about="A-OKVQA: multiple-choice questions on photographs that need knowledge of the world.",
        row='{"question_id": "22Me", "question": "Who?", "choices": […], "correct_choice_idx": 0, "image_id": 42, …}',
        splits=("train", "val"),
        licence="Apache-2.0",
        source="https://github.com/allenai/aokvqa",
        seen=False,
        files=("aokvqa_v1p0_{SPLIT}.json",),
        notes="`correct_choice_idx` is 0-based.",
        id="{question_id}",
        answer="correct_choice_idx",
        choices="choices",
        reward="",
        pictures=(("{SPLIT}2017/{image_id:0>12}.jpg", "{image_id:0>12}.jpg"),),
    ),
}

CONVERTERS = tuple(of.converter(name, __name__) for name, of in SETS.items())
