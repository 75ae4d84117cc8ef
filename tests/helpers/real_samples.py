"""The real samples: which converter reads which, what must come of it, and pictures in place of missing ones."""

import ast
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from PIL import Image

from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.data.convert import Options, Summary, convert_dataset
from mixed_r1_verl.data.raw import RawFolder
from mixed_r1_verl.data.registry import get_converter


class Sample(NamedTuple):
    """One conversion of a real sample and what must come of it.

    Attributes:
        written, reasons: rows and rejects, with the pictures that the sample has.
        filled: rows and rejects once grey pictures stand in for those that the sample lacks.
    """

    converter: str
    folder: str
    split: str
    written: int
    reasons: Mapping[str, int] = MappingProxyType({})
    image_root: str | None = None
    filled: tuple[int, Mapping[str, int]] | None = None


MISSING, URL = "image/image_missing", "image/image_is_url"
SAMPLES = [
    Sample("chartqa", "chartqa_split", "test", 187),
    Sample("clevr", "clevr_mini", "train", 30),
    Sample("math_v", "math_v", "testmini", 120),
    Sample("easy_vqa", "easy_vqa", "train", 290),
    Sample("easy_vqa", "easy_vqa", "test", 100),
    Sample("raccoon", "raccoon", "all", 110),
    Sample("bccd", "bccd", "all", 269, {"convert/no_area": 1}),
    Sample("coco_captions", "coco_captions", "val2017", 104, {MISSING: 1896}, "coco_mini"),
    Sample("coco_detection", "coco_mini", "val2017", 172, {"convert/ambiguous": 4, "convert/too_small": 2}),
    Sample("coco_detection", "coco_mini", "train2017", 193, {"convert/ambiguous": 7, "convert/too_small": 1}),
    Sample("tabmwp", "tabmwp", "dev1k", 77),
    Sample("tabmwp", "tabmwp", "test1k", 68),
    Sample("opencqa", "opencqa", "val", 55),
    Sample("opencqa", "opencqa", "test", 55),
    Sample("nlvr", "nlvr", "dev", 92),
    Sample("nlvr2", "nlvr2", "dev", 0, {MISSING: 161}, filled=(161, {})),
    Sample("pope", "pope", "random", 0, {MISSING: 90}, filled=(90, {})),
    Sample("pope", "pope", "adversarial", 0, {MISSING: 90}, filled=(90, {})),
    Sample("mathvista", "mathvista", "testmini", 0, {MISSING: 133}, filled=(133, {})),
    Sample(
        "refcocos",
        "refcocos",
        "test",
        12,
        {MISSING: 160, "convert/no_target": 25, "duplicate/duplicate_id": 3},
        "coco_mini",
        filled=(135, {"convert/no_target": 25, "duplicate/duplicate_id": 40}),
    ),
    Sample("screenspot", "screenspot", "test", 0, {MISSING: 130}, filled=(130, {})),
    Sample("imageinwords", "imageinwords", "iiw_400", 0, {MISSING: 100}, filled=(100, {})),
    Sample("imageinwords", "imageinwords", "docci_test", 0, {MISSING: 45}, filled=(45, {})),
    Sample("imageinwords", "imageinwords", "dci_test", 0, {MISSING: 45}, filled=(45, {})),
    Sample("llava", "llava", "val", 0, {MISSING: 110, "convert/missing": 63}, filled=(110, {"convert/missing": 63})),
    Sample("llava", "qwen_vl_finetune/qwen-vl-finetune", "train", 3),
    Sample("vlm_r1", "vlm_r1", "train", 0, {MISSING: 110}, filled=(110, {})),
    Sample("ms_swift", "ms_swift", "train", 18, {"convert/missing": 3, "convert/needs_history": 7, URL: 5}),
    Sample("llama_factory", "llama_factory/data", "train", 30),
    Sample("r1_v", "r1_v", "test", 0, {MISSING: 150}, filled=(150, {})),
    Sample("lmm_r1", "lmm_r1", "train", 0, {MISSING: 2}, filled=(2, {})),
    Sample("multi_chart_qa", "multi_chart_qa", "test", 108),
    Sample("flickr8k", "flickr8k", "test", 0, {MISSING: 600}, filled=(600, {})),
]


def name_of(sample: Sample) -> str:
    return f"{sample.converter}-{sample.folder.rpartition('/')[2]}-{sample.split}"


def convert_sample(sample: Sample, raw_root: Path, folder: Path, *, check_gold: bool = True) -> tuple[Path, Summary]:
    """Converts a sample, with grey pictures for those that it lacks, into `folder`."""
    output = folder / f"{name_of(sample)}.parquet"
    roots = (raw_root / sample.image_root,) if sample.image_root else ()
    if sample.filled:
        roots = (_stand_ins(sample, raw_root, folder),)
    raw = RawFolder(raw_root / sample.folder, roots)
    options = Options(split=sample.split, check_gold=check_gold)
    return output, convert_dataset(get_converter(sample.converter), raw, output, options)


def _stand_ins(sample: Sample, raw_root: Path, folder: Path) -> Path:
    raw, images = raw_root / sample.folder, folder / f"{name_of(sample)}-pictures"
    images.mkdir()
    sizes = _picture_sizes(raw) if sample.converter in ("refcocos", "screenspot") else {}
    for _ in range(3):  # a record with two pictures names one missing picture at a time
        output = folder / "probe.parquet"
        options = Options(split=sample.split, check_gold=False)
        with suppress(DataError):
            convert_dataset(get_converter(sample.converter), RawFolder(raw, (images,)), output, options)
        lines = (folder / "probe.rejects.jsonl").read_text(encoding="utf-8").splitlines()
        details = [reject["detail"] for reject in map(json.loads, lines) if reject["reason"] == "image_missing"]
        for detail in details:
            name = ast.literal_eval(detail.partition(" is not")[0]).rpartition("/")[2]
            Image.new("L", sizes.get(name, (64, 48)), 128).save(images / name)
        if not details:
            break
    return images


def _picture_sizes(folder: Path) -> dict[str, tuple[int, int]]:
    """Sizes that the records state (refcocos), or that their boxes need (ScreenSpot)."""
    found: dict[str, tuple[int, int]] = {}
    for path in folder.glob("**/*.json"):
        for record in json.loads(path.read_text(encoding="utf-8")):
            found[record["image"].rpartition("/")[2]] = (record["width"], record["height"])
    for path in folder.glob("**/*.jsonl"):
        for record in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
            x, y, width, height = record["bbox"]
            known = found.get(record["image"], (0, 0))
            found[record["image"]] = (max(known[0], x + width), max(known[1], y + height))
    return found
