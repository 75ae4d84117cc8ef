"""Every converter on the real sample of its dataset, in the raw layout: counts, check, gold answers, verl's own loader.

The samples are not part of the repository; these tests are skipped where they are absent.
"""

import ast
import json
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pytest

from mixed_r1_verl.data.check import check_files
from mixed_r1_verl.data.quick_check import quick_check
from mixed_r1_verl.data.raw import DataError
from mixed_r1_verl.rewards.config import REWARD_KINDS


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


def rejects_of(rejects: list[tuple[str, str, str, str]]) -> Counter[str]:
    return Counter(f"{stage}/{reason}" for _, stage, _, reason in rejects)


def assert_sound(path: Path, rows: int) -> None:
    """The conversion has scored every row's own ground truth; the check looks at what was written."""
    report = check_files([path], gold=False)
    assert report.rows == rows
    assert [str(problem) for problem in report.problems] == []
    assert quick_check([path], REWARD_KINDS) == []


@pytest.mark.parametrize("sample", SAMPLES, ids=name_of)
def test_counts_and_check(raw_root: Path, convert, sample: Sample):
    image_root = raw_root / sample.image_root if sample.image_root else None
    if not sample.written:
        with pytest.raises(DataError, match=f"none of {sum(sample.reasons.values())} rows"):
            convert(sample.converter, raw_root / sample.folder, sample.split)
        return
    result = convert(sample.converter, raw_root / sample.folder, sample.split, image_root=image_root)
    assert (len(result.rows), rejects_of(result.rejects)) == (sample.written, sample.reasons)
    assert_sound(result.path, sample.written)


def picture_sizes(folder: Path) -> dict[str, tuple[int, int]]:
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


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.filled], ids=name_of)
def test_records_without_pictures_with_stand_ins(raw_root: Path, tmp_path: Path, convert, picture, sample: Sample):
    """Grey pictures in place of those that could not be had: the records themselves must all become sound rows."""
    folder, images = raw_root / sample.folder, tmp_path / "images"
    sizes = picture_sizes(folder) if sample.converter in ("refcocos", "screenspot") else {}
    images.mkdir()
    for _ in range(3):  # a record with two pictures names one missing picture at a time
        with suppress(DataError):
            convert(sample.converter, folder, sample.split, image_root=images, check_gold=False)
        report = tmp_path / f"{sample.converter}-{sample.split}.rejects.jsonl"
        rejects = [json.loads(line) for line in report.read_text(encoding="utf-8").splitlines()]
        details = [reject["detail"] for reject in rejects if reject["reason"] == "image_missing"]
        if not details:
            break
        for detail in details:
            name = ast.literal_eval(detail.partition(" is not")[0]).rpartition("/")[2]
            picture(images / name, sizes.get(name, (64, 48)), mode="L")
    result = convert(sample.converter, folder, sample.split, image_root=images)
    written, reasons = sample.filled or (0, {})
    assert (len(result.rows), rejects_of(result.rejects)) == (written, reasons)
    assert_sound(result.path, written)


def test_chartqa_against_the_raw_records(raw_root: Path, convert):
    result = convert("chartqa", raw_root / "chartqa_split", "test", check_gold=False)
    rows = {row["extra_info"]["id"]: row for row in result.rows}
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


def test_every_sample_loads_in_verl_as_one_training_set(raw_root: Path, tmp_path: Path, convert, monkeypatch):
    rl_dataset = pytest.importorskip("verl.utils.dataset.rl_dataset")
    from omegaconf import OmegaConf

    from mixed_r1_verl.tiny.qwen2_5_vl import build_processor

    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    paths: list[Path] = []
    for sample in (s for s in SAMPLES if s.written):
        result = convert(
            sample.converter,
            raw_root / sample.folder,
            sample.split,
            image_root=raw_root / sample.image_root if sample.image_root else None,
            suffix=f"-{len(paths)}",
            limit=60 if sample.reasons else 8,
            seed=1,
            max_pixels=50_000,
            check_gold=False,
        )
        paths.append(result.path)
    report = check_files(paths, gold=False)
    assert [str(problem) for problem in report.problems] == []
    processor = build_processor()
    settings = {"max_prompt_length": 4096, "filter_overlong_prompts": True, "cache_dir": str(tmp_path)}
    dataset = rl_dataset.RLHFDataset(
        data_files=[str(path) for path in paths],
        tokenizer=processor.tokenizer,
        config=OmegaConf.create(settings | {"filter_overlong_prompts_workers": None}),
        processor=processor,
    )
    assert len(dataset) == report.rows  # verl drops, with a warning only, every row that it cannot process
