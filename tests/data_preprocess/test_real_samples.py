"""Every converter on the real sample of its dataset, in the raw layout: counts, check, gold answers, verl's own loader.

The samples are not part of the repository; these tests are skipped where they are absent.
"""

import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from real_samples import SAMPLES, Sample, name_of

from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.data.check import check_files
from mixed_r1_verl.data.columns import quick_check
from mixed_r1_verl.rewards.kinds import KINDS


def rejects_of(rejects: list[tuple[str, str, str, str]]) -> Counter[str]:
    return Counter(f"{stage}/{reason}" for _, stage, _, reason in rejects)


def assert_sound(path: Path, rows: int) -> None:
    """The conversion has scored every row's own ground truth; the check looks at what was written."""
    report = check_files([path], gold=False)
    assert report.rows == rows
    assert [str(problem) for problem in report.problems] == []
    assert quick_check([path], KINDS) == []


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


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.filled], ids=name_of)
def test_records_without_pictures_with_stand_ins(converted, sample: Sample):
    """Grey pictures in place of those that could not be had: the records themselves must all become sound rows."""
    path, summary = converted(sample)
    written, reasons = sample.filled or (0, {})
    assert (summary.written, summary.reasons) == (written, reasons)
    assert_sound(path, written)


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


def test_every_sample_loads_in_verl_as_one_training_set(tmp_path: Path, converted, monkeypatch):
    """Five rows of each sample, all files at once, through verl's own dataset and the tiny model's processor."""
    rl_dataset = pytest.importorskip("verl.utils.dataset.rl_dataset")
    from omegaconf import OmegaConf

    from examples.demo.tiny.qwen2_5_vl import build_processor

    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    paths: list[Path] = []
    for sample in SAMPLES:
        table = pq.read_table(converted(sample)[0])
        paths.append(tmp_path / f"{name_of(sample)}.parquet")
        rows = list(range(0, table.num_rows, max(1, table.num_rows // 5)))[:5]
        pq.write_table(table.take(rows), paths[-1])
    report = check_files(paths, gold=False)
    assert [str(problem) for problem in report.problems] == []
    processor = build_processor()
    settings = {"max_prompt_length": 8192, "filter_overlong_prompts": True, "cache_dir": str(tmp_path)}
    dataset = rl_dataset.RLHFDataset(
        data_files=[str(path) for path in paths],
        tokenizer=processor.tokenizer,
        config=OmegaConf.create(settings | {"filter_overlong_prompts_workers": None}),
        processor=processor,
    )
    assert len(dataset) == report.rows  # verl drops, with a warning only, every row that it cannot process
    pictures = 0
    for index in range(len(dataset)):
        content = dataset[index]["raw_prompt"][0]["content"]
        pictures += sum(part["type"] == "image" for part in content if isinstance(part, dict))
    assert pictures == sum(len(row) for path in paths for row in pq.read_table(path)["images"].to_pylist())
