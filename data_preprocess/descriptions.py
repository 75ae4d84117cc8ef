"""Pictures with descriptions, for the open-ended reward."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from mixed_r1_verl.data_preprocess import generic
from mixed_r1_verl.data_preprocess.detection import annotations_of, image_name
from mixed_r1_verl.data_preprocess.records import Records

from mixed_r1_verl.data import Converter, DataError, Example, RawFolder, Row, RowError, references_json
from mixed_r1_verl.data.fields import detokenise, one_line, stem, text_field
from mixed_r1_verl.data.raw import Told

SHORT, LONG = "Describe the picture in one sentence.", "Describe the picture in detail."
_LISTED = re.compile(r"\s*(two_col|multi_col)-(\d{1,9})\.txt\b")


def _coco(of: Records, raw: RawFolder, split: str) -> Iterator[Row]:
    """One row a picture, with all its captions in the order of their ids."""
    name = raw.only or raw.first_of(*of.names_in(split))
    captions = annotations_of(raw, name)
    for where, value in raw.json_rows(name, key="images"):
        if isinstance(value, dict):
            own = captions.get(value["id"], []) if isinstance(value.get("id"), int | str) else []
            ordered = sorted(own, key=lambda one: str(one.get("id")).zfill(20))
            texts = [one.get("caption") for one in ordered]
            value = {"id": value.get("id"), "captions": texts, "file_name": image_name(value)}
        yield Row(where, value)


def _captioned(value: dict[str, Any]) -> dict[str, Any]:
    if not value["captions"]:
        raise RowError("caption", "missing", "the picture has no caption")
    return value | {"captions": [text_field({"caption": text}, "caption") for text in value["captions"]]}


def _flickr8k(of: Records, raw: RawFolder, split: str) -> Iterator[Row]:
    """One row a picture of the split, with all its captions; `all` takes every picture that has captions."""
    captions: dict[str, list[str]] = {}
    for _, line in raw.lines("Flickr8k.token.txt"):
        name, tab, caption = line.partition("\t")
        if tab and caption.strip():
            captions.setdefault(name.rpartition("#")[0], []).append(caption)
    names = list(captions)
    if split != "all":
        names = [line.strip() for _, line in raw.lines(f"Flickr_8k.{split}Images.txt") if line.strip()]
    for name in dict.fromkeys(names):
        known = {"id": stem(name), "picture": name, "captions": captions.get(name, [])}
        yield Row(f"Flickr8k.token.txt#{name}", known)


def _in_words_file(of: Records, raw: RawFolder, split: str) -> Iterator[Row]:
    folder = {"iiw_400": "IIW-400", "docci_test": "DOCCI_Test", "dci_test": "DCI_Test"}[split]
    return raw.json_lines(raw.first_of(*(f"{top}{folder}/data.jsonl" for top in ("datasets/", ""))))


def _in_words(value: dict[str, Any]) -> dict[str, Any]:
    key = value.get("image/key", value.get("image"))
    if not isinstance(key, str) or not key:
        raise RowError("image/key", "missing")
    return value | {"id": stem(key), "picture": key, "file": key if "." in key else f"{key}.jpg"}


def _charts(of: Records, raw: RawFolder, split: str) -> Iterator[Row]:
    """The charts that the list of a split names; lines of another form (a header) are passed over."""
    file = f"dataset_split/{split}_index_mapping.csv"
    name = raw.first_of(*of.names_in(split))
    for number, line in raw.lines(name):
        found = _LISTED.match(line)
        if not found:
            continue
        folder = name.removesuffix(file) + ("multiColumn/" if found[1] == "multi_col" else "")
        known: Any = {"id": f"{found[1]}-{found[2]}", "image": f"{folder}imgs/{found[2]}.png"}
        try:
            known["caption"] = raw.text(f"{folder}captions/{found[2]}.txt")
        except DataError as error:
            known = RowError("caption", "unreadable", str(error)[:200])
        yield Row(f"{name}:{number}", known)


SETS = {
    "coco_captions": Records(
        about="COCO captions: pictures with five descriptions each.",
        row='{"file_name": "000000087038.jpg", "height": 480, "width": 640, "id": 87038, …} (of `images`)\n'
        '{"image_id": 87038, "id": 1158, "caption": "A cat eating a bird it has caught."} (of `annotations`)',
        splits=("train2017", "val2017", "train2014", "val2014", "*"),
        licence="CC BY 4.0 (annotations)",
        source="https://cocodataset.org",
        files=("annotations/captions_{SPLIT}.json", "captions_{SPLIT}.json"),
        notes="One row a picture, its captions in the order of their ids. Pictures are under the terms of Flickr.",
        quirks="captions stand in random order and hold newlines and double spaces (made single ones); 5 a picture,"
        " sometimes 6 or 7; greyscale pictures.",
        walk=_coco,
        mend=_captioned,
        id="{id}",
        question=SHORT,
        clean=one_line,
        answer="captions",
        reward="open_ended",
        pictures=(("{SPLIT}/{file_name}", "{file_name}", "images/{file_name}", "images/{SPLIT}/{file_name}"),),
    ),
    "flickr8k": Records(
        about="Flickr8k: photographs with five captions each.",
        row="1003163366_44323f5815.jpg#0<TAB>A man lays on a bench while his dog sits by him .",
        splits=("train", "dev", "test", "all"),
        licence="research and education",
        source="https://hockenmaier.cs.illinois.edu/Framing_Image_Description/KCCA.html",
        files=("Flickr8k.token.txt", "Flickr_8k.{SPLIT}Images.txt"),
        notes="One row a picture; the tokeniser's spaces are taken out. Cite Hodosh, Young and Hockenmaier (2013).",
        quirks="one name is broken in the source (`2258277193_586949ec62.jpg.1`) and its row is rejected, since there"
        " is no such picture.",
        walk=_flickr8k,
        mend=_captioned,
        id="{id}",
        question=SHORT,
        clean=detokenise,
        answer="captions",
        reward="open_ended",
        pictures=(("Images/{picture}", "{picture}", "Flicker8k_Dataset/{picture}"),),
    ),
    "imageinwords": Records(
        about="ImageInWords: long, dense human descriptions.",
        row='{"image/key": "aar_test_04608", "IIW": "In a very dark medium shot, …", "IIW-P5B": "…", …}',
        splits=("iiw_400", "docci_test", "dci_test"),
        licence="CC BY 4.0",
        source="https://github.com/google/imageinwords",
        files=("[datasets/]{IIW-400,DOCCI_Test,DCI_Test}/data.jsonl",),
        notes="`IIW`, written by people, is the reference; `IIW-P5B` is a model's and may be wrong, `DOCCI` is shorter:"
        " neither is used. `image/key` (in DOCCI_Test and DCI_Test `image`) names the picture and is the id. Pictures"
        " come from Open Images, DOCCI and SA-1B.",
        walk=_in_words_file,
        mend=_in_words,
        id="{id}",
        question=LONG,
        clean=one_line,
        answer="IIW",
        reward="open_ended",
        pictures=(("{file}", "{picture}.png", "{picture}"),),
    ),
    "docci": Records(
        about="DOCCI: long descriptions of photographs that differ in small things.",
        row='{"split": "train", "example_id": "train_0", "image_file": "t.jpg", "description": "An angled view …"}',
        splits=("train", "test", "qual_dev", "qual_test"),
        licence="CC BY 4.0",
        source="https://google.github.io/docci/",
        seen=False,
        files=("docci_descriptions.jsonlines",),
        within="split",
        id="{example_id}",
        question=LONG,
        clean=one_line,
        answer="description",
        reward="open_ended",
        pictures=(("images/{image_file}", "{image_file}"),),
    ),
    "chart_to_text": Records(
        about="Chart-to-text: charts of Statista with a summary.",
        row="two_col-15872.txt\nmulti_col-4215.txt",
        splits=("train", "val", "test"),
        licence="GPL-3.0",
        source="https://github.com/vis-nlp/Chart-to-text",
        seen=False,
        files=tuple(
            f"{top}dataset_split/{{SPLIT}}_index_mapping.csv" for top in ("statista_dataset/dataset/", "dataset/", "")
        ),
        notes="A line names `captions/<n>.txt` and `imgs/<n>.png`, for `multi_col` in `multiColumn/`; it is the id. The"
        " tokeniser's spaces are taken out of the caption.",
        walk=_charts,
        id="{id}",
        question="Summarise the chart in a few sentences.",
        clean=detokenise,
        answer="caption",
        reward="open_ended",
        pictures=(("{image}",),),
        ability="chart",
    ),
}

ABOUT_MODELS = """{title}

Source: {source}. Licence: {licence}. Layout and row are taken from the public description; no raw sample was at hand.

Raw layout (pictures lie elsewhere: name that folder with `--image-root`):

    <input>/**/*.json, lists of records; or one such file as --input

Raw row: LLaVA's, see `mixed-r1 data list llava`.

What each field becomes: the human's text the question, the model's the reference of the open-ended reward, however
short it is. The place in the file is the id, since pictures repeat. A model wrote the references: they hold errors."""


def _by_model(row: Row) -> Example:
    example = generic.convert(row, Told(reward="open_ended"))
    return replace(example, answer=references_json([one_line(example.answer)]), how="")


def _written_by(name: str, title: str, licence: str, source: str) -> Converter:
    about = ABOUT_MODELS.format(title=title, source=source, licence=licence)
    return Converter(name, generic.rows, _by_model, ("train",), licence, source, about=about)


CONVERTERS = (
    *(of.converter(name, __name__) for name, of in SETS.items()),
    _written_by(
        "llava_detail",
        "LLaVA-Instruct's detailed descriptions (`detail_23k.json`): long texts written by GPT-4.",
        "CC BY 4.0, terms of GPT-4",
        "https://huggingface.co/datasets/liuhaotian/LLaVA-Instruct-150K",
    ),
    _written_by(
        "sharegpt4v",
        "ShareGPT4V's captions (`sharegpt4v_instruct_gpt4-vision_cap100k.json`): long texts written by GPT-4V.",
        "CC BY-NC 4.0, terms of GPT-4V",
        "https://sharegpt4v.github.io",
    ),
)
