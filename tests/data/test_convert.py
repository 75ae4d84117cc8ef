"""A whole conversion: its files, its counts, what it must not touch."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from converting import LISTED, good, make_easy_vqa, rejects_of, rows_of
from mixed_r1_verl.data_preprocess.easy_vqa import EASY_VQA

from mixed_r1_verl.data import DataError, schema
from mixed_r1_verl.data.convert import Options, convert_dataset
from mixed_r1_verl.data.schema import row_schema, same_type


def test_schema_in_both_image_forms(tmp_path):
    raw = make_easy_vqa(tmp_path / "raw")
    for form in ("bytes", "path"):
        output = tmp_path / f"{form}.parquet"
        convert_dataset(EASY_VQA, raw, output, Options(images=form))
        schema = pq.read_schema(output)
        assert schema.names == row_schema(form).names
        assert all(same_type(schema.field(f.name).type, f.type) for f in row_schema(form))
    embedded, named = rows_of(tmp_path / "bytes.parquet"), rows_of(tmp_path / "path.parquet")
    assert len(embedded) == len(named) == 27
    for a, b in zip(embedded, named, strict=True):
        assert Path(b["images"][0]["image"]).read_bytes() == a["images"][0]["bytes"]
        assert Path(b["images"][0]["image"]).is_relative_to(tmp_path / "path_images")
        assert {**a, "images": 0} == {**b, "images": 0}


def test_shards_of_a_folder(tmp_path):
    raw = make_easy_vqa(tmp_path / "raw", 30)
    summary = convert_dataset(EASY_VQA, raw, tmp_path / "out", Options(chunk_rows=10))
    names = [f"train-0000{i}-of-00003.parquet" for i in range(3)]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["rejects.jsonl", "summary.json", *names]
    assert [entry["name"] for entry in summary.files] == names
    assert sum(len(rows_of(tmp_path / "out" / name)) for name in names) == summary.written == 27
    # Written again over an older result, with fewer shards: nothing of the old one stays.
    convert_dataset(EASY_VQA, raw, tmp_path / "out", Options(chunk_rows=100))
    assert len(list((tmp_path / "out").glob("*.parquet"))) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "raw"]


def test_row_groups_stay_small(tmp_path, monkeypatch):
    monkeypatch.setattr(schema, "ROW_GROUP_BYTES", 2000)
    raw = make_easy_vqa(tmp_path / "raw", 40)
    convert_dataset(EASY_VQA, raw, tmp_path / "x.parquet", Options(chunk_rows=16))
    metadata = pq.read_metadata(tmp_path / "x.parquet")
    rows = rows_of(tmp_path / "x.parquet")
    position = 0
    assert metadata.num_row_groups > 3
    for group in range(metadata.num_row_groups):
        count = metadata.row_group(group).num_rows
        sizes = [len(row["images"][0]["bytes"]) for row in rows[position : position + count]]
        assert sum(sizes[:-1]) < 2000
        position += count


def test_two_runs_on_one_output(tmp_path):
    raw = make_easy_vqa(tmp_path / "raw")
    inner: list[str] = []

    def again(written: int, rejected: int) -> None:
        try:
            convert_dataset(EASY_VQA, raw, tmp_path / "x.parquet", Options())
        except DataError as error:
            inner.append(str(error))

    convert_dataset(EASY_VQA, raw, tmp_path / "x.parquet", Options(), on_progress=again)
    assert inner and all("another run is writing" in message for message in inner)


def test_foreign_files_are_not_overwritten(tmp_path):
    raw = make_easy_vqa(tmp_path / "raw")
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match="no conversion wrote"):
        convert_dataset(EASY_VQA, raw, folder, Options())
    (tmp_path / "x.parquet").mkdir()
    with pytest.raises(DataError, match="is a folder"):
        convert_dataset(EASY_VQA, raw, tmp_path / "x.parquet", Options())
    assert (folder / "thesis.txt").read_text() == "years of work"


def test_output_that_cannot_be_written(tmp_path):
    raw = make_easy_vqa(tmp_path / "raw")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write"):
        convert_dataset(EASY_VQA, raw, tmp_path / "file" / "x.parquet", Options())


@pytest.mark.parametrize(
    ("records", "message"),
    [([], "the source is empty"), ([good("1", images=["no.png"])], "1 x image/image_missing")],
)
def test_no_row_at_all_writes_no_parquet(listed, tmp_path, records, message):
    with pytest.raises(DataError, match=message):
        convert_dataset(LISTED, listed(*records), tmp_path / "x.parquet", Options())
    assert not (tmp_path / "x.parquet").exists()
    assert len(rejects_of(tmp_path / "x.rejects.jsonl")) == len(records)
