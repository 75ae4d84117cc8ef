"""Every converter on the real sample of its dataset, in the raw layout: counts, check, gold answers, verl's own loader.

The samples are not part of the repository; these tests are skipped where they are absent.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pytest

from mixed_r1_verl.data.check import check_files, quick_check
from mixed_r1_verl.rewards.config import REWARD_KINDS


class Sample(NamedTuple):
    """One conversion of a real sample and what must come of it."""

    converter: str
    folder: str
    split: str
    written: int
    reasons: Mapping[str, int] = MappingProxyType({})
    image_root: str | None = None


SAMPLES = [
    Sample("chartqa", "chartqa_split", "test", 187),
    Sample("clevr", "clevr_mini", "train", 30),
    Sample("math_v", "math_v", "testmini", 120),
    Sample("easy_vqa", "easy_vqa", "train", 290),
    Sample("easy_vqa", "easy_vqa", "test", 100),
    Sample("raccoon", "raccoon", "all", 110),
    Sample("bccd", "bccd", "all", 269, {"convert/no_area": 1}),
    Sample("coco_captions", "coco_captions", "val2017", 104, {"image/image_missing": 1896}, "coco_mini"),
]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: f"{sample.converter}-{sample.split}")
def test_counts_and_check(raw_root: Path, convert, sample: Sample):
    """`check_files` scores every row's own ground truth, so this is also the gold test."""
    image_root = raw_root / sample.image_root if sample.image_root else None
    result = convert(sample.converter, raw_root / sample.folder, sample.split, image_root=image_root)
    found: dict[str, int] = {}
    for _, stage, _, reason in result.rejects:
        found[f"{stage}/{reason}"] = found.get(f"{stage}/{reason}", 0) + 1
    assert (len(result.rows), found) == (sample.written, sample.reasons)
    report = check_files([result.path])
    assert report.rows == sample.written
    assert [str(problem) for problem in report.problems] == []
    assert quick_check([result.path], REWARD_KINDS) == []


def test_chartqa_against_the_raw_records(raw_root: Path, convert):
    rows = {row["extra_info"]["id"]: row for row in convert("chartqa", raw_root / "chartqa_split", "test").rows}
    seen = 0
    for path in sorted((raw_root / "chartqa_split" / "dataset").glob("*/test_*.json")):
        for position, record in enumerate(json.loads(path.read_text(encoding="utf-8"))):
            row = rows[f"chartqa/test/{path.parent.name}/{path.stem}/{position}"]
            assert row["reward_model"]["ground_truth"] == record["label"]
            assert row["extra_info"]["question"].split() == record["query"].replace("\ufffd", " ").split()
            assert row["images"][0]["path"] == f"dataset/{path.parent.name}/png/{record['imgname']}"
            seen += 1
    assert seen == len(rows)


def test_raccoon_against_its_csv(raw_root: Path, convert):
    """The csv of the source is another reading of the same annotations."""
    rows = {row["images"][0]["path"]: row for row in convert("raccoon", raw_root / "raccoon", "all").rows}
    boxes: dict[str, list[list[int]]] = {}
    for line in (raw_root / "raccoon" / "data" / "raccoon_labels.csv").read_text().splitlines()[1:]:
        name, _, _, _, *sides = line.split(",")
        xmin, ymin, xmax, ymax = map(int, sides)
        boxes.setdefault(f"images/{name}", []).append([xmin - 1, ymin - 1, xmax, ymax])
    assert len(boxes) == 110
    for name, wanted in boxes.items():
        assert sorted(json.loads(rows[name]["reward_model"]["ground_truth"])) == sorted(wanted)


def test_every_sample_fits_into_one_training_set(raw_root: Path, convert):
    paths = []
    for sample in SAMPLES:
        image_root = raw_root / sample.image_root if sample.image_root else None
        result = convert(
            sample.converter, raw_root / sample.folder, sample.split, image_root=image_root, limit=150, seed=1
        )
        paths.append(result.path)
    assert [str(problem) for problem in check_files(paths).problems] == []
