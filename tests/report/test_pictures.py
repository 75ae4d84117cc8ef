"""Pictures: each once, small, within the budget, and always written anew."""

import base64
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mixed_r1_verl.core.rows import DataRow
from mixed_r1_verl.report.pictures import LONGEST_SIDE, Pictures


def encoded(colour: str, size: tuple[int, int] = (64, 64), format: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, format)
    return buffer.getvalue()


def parquet(path: Path, cells: list[list[dict[str, object]]]) -> list[DataRow]:
    pq.write_table(pa.table({"images": cells}), path, row_group_size=2)
    return [DataRow(str(path), index, "s", "t", {}) for index in range(len(cells))]


def test_the_same_picture_is_kept_once_and_large_ones_are_reduced(tmp_path: Path) -> None:
    large = encoded("red", (3000, 1000), "JPEG")
    cells = [[{"bytes": data}] for data in (large, encoded("blue"), large, b"no picture")]
    pictures = Pictures(1_000_000)
    pictures.add(parquet(tmp_path / "a.parquet", cells), [2, 0, 3])
    assert pictures.places == {2: [0], 0: [0], 3: []}
    assert (len(pictures.encoded), pictures.dropped, pictures.broken) == (1, 0, 1)
    with Image.open(io.BytesIO(base64.b64decode(pictures.encoded[0]))) as picture:
        assert picture.format == "WEBP"
        assert picture.size == (LONGEST_SIDE, round(LONGEST_SIDE / 3))


def test_the_budget_is_never_passed_and_what_is_left_out_is_counted(tmp_path: Path) -> None:
    noise = [Image.effect_noise((120, 120), 90) for _ in range(6)]
    cells = []
    for picture in noise:
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        cells.append([{"bytes": buffer.getvalue()}])
    pictures = Pictures(30_000)
    pictures.add(parquet(tmp_path / "a.parquet", cells), range(6))
    assert sum(map(len, pictures.encoded)) <= 30_000
    assert 0 < len(pictures.encoded) < 6
    assert len(pictures.encoded) + pictures.dropped == 6


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_pictures_may_lie_beside_the_file(tmp_path: Path, prefix: str) -> None:
    (tmp_path / "a.png").write_bytes(encoded("red"))
    pictures = Pictures(100_000)
    pictures.add(parquet(tmp_path / "a.parquet", [[{"image": f"{prefix}{tmp_path / 'a.png'}"}]]), [0])
    assert pictures.places == {0: [0]}


def test_a_picture_elsewhere_is_not_put_into_the_page(tmp_path: Path) -> None:
    """A file that somebody sent may name any picture of this machine; the page may be sent on."""
    for folder in ("data", "private"):
        (tmp_path / folder).mkdir()
    (tmp_path / "private" / "a.png").write_bytes(encoded("red"))
    rows = parquet(tmp_path / "data" / "a.parquet", [[{"image": str(tmp_path / "private" / "a.png")}]])
    for roots, places, broken in (((), [], 1), ((tmp_path / "private",), [0], 0)):
        pictures = Pictures(100_000, roots)
        pictures.add(rows, [0])
        assert (pictures.places, pictures.broken) == ({0: places}, broken)


@pytest.mark.parametrize("compliant", [True, False], ids=["list.element", "list.item"])
def test_members_of_lists_may_have_any_name(tmp_path: Path, compliant: bool) -> None:
    table = pa.table({"images": [[{"bytes": encoded("red")}]]})
    pq.write_table(table, tmp_path / "a.parquet", use_compliant_nested_type=compliant)
    pictures = Pictures(100_000)
    pictures.add([DataRow(str(tmp_path / "a.parquet"), 0, "s", "t", {})], [0])
    assert pictures.places == {0: [0]}


@pytest.mark.parametrize("cells", [[7], [1.5], ["a.png"], [{"a": 1}], [[7]], [None]])
def test_a_column_that_holds_no_lists_of_pictures(tmp_path: Path, cells: list[object]) -> None:
    pq.write_table(pa.table({"images": cells}), tmp_path / "a.parquet")
    pictures = Pictures(100_000)
    pictures.add([DataRow(str(tmp_path / "a.parquet"), 0, "s", "t", {})], [0])
    assert (pictures.places, pictures.broken) == ({0: []}, int(cells != [None]))
