"""Raw folders as they come and as somebody hostile would make them."""

import json
import pickle
import tracemalloc
import unicodedata

import pytest

from mixed_r1_verl.core.rows import DataError, RowError
from mixed_r1_verl.data.fields import letter_of, number_list, record, scalar_text, text_field, text_list
from mixed_r1_verl.data.options import choice_letter
from mixed_r1_verl.data.raw import RawFolder


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "raw"
    root.mkdir()
    (tmp_path / "secret.png").write_bytes(b"secret")
    (root / "in.png").write_bytes(b"in")
    return root


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../secret.png", "path_escape"),
        ("x/../../secret.png", "path_escape"),
        ("/etc/passwd", "path_escape"),
        ("link.png", "path_escape"),
        ("linked/passwd", "path_escape"),
        ("in\x00.png", "path_escape"),
        ("in\ud83d.png", "broken_text"),  # found by tests/test_hostile_files.py
        ("a" * 5000, "image_missing"),
        ("absent.png", "image_missing"),
        ("", "image_missing"),
        ("https://example.org/a.png", "image_is_url"),
        ("data:image/png;base64,AAAA", "image_is_url"),
    ],
    ids=lambda value: str(value)[:20].replace("\x00", "NUL"),
)
def test_image_names_that_are_refused(folder, name, reason):
    (folder / "link.png").symlink_to(folder.parent / "secret.png")
    (folder / "linked").symlink_to("/etc")
    with pytest.raises(RowError) as caught:
        RawFolder(folder).image(name)
    assert caught.value.reason == reason


def test_link_loop(folder):
    (folder / "loop").symlink_to(folder / "loop")
    with pytest.raises(RowError):
        RawFolder(folder).image("loop/a.png")


def test_image_roots_and_trusted_folders(folder):
    other = folder.parent / "other"
    other.mkdir()
    (other / "b.png").write_bytes(b"b")
    (folder / "blob.png").symlink_to(other / "b.png")
    assert RawFolder(folder, (other,)).image("b.png").read_bytes() == b"b"
    with pytest.raises(RowError):
        RawFolder(folder).image("blob.png")
    assert RawFolder(folder, trusted=(other,)).image("blob.png").read_bytes() == b"b"


@pytest.mark.parametrize(("stored", "asked"), [("NFC", "NFD"), ("NFD", "NFC"), ("NFC", "NFC")])
def test_unicode_names(folder, stored, asked):
    name = "Kätzchen 图表 é.png"
    (folder / unicodedata.normalize(stored, name)).write_bytes(b"x")
    assert RawFolder(folder).image(unicodedata.normalize(asked, name)).read_bytes() == b"x"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"  \n", "is empty"),
        (b'{"a": ', "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"\xff\xfe\x00", "is not UTF-8"),
        (b'"text"', "not a list or object"),
        (b"3", "not a list or object"),
    ],
    ids=["empty", "blank", "cut", "deep", "utf16", "string", "number"],
)
def test_json_files_that_are_refused(folder, content, message):
    (folder / "a.json").write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(RawFolder(folder).json_rows("a.json"))


def test_missing_key_and_file(folder):
    (folder / "a.json").write_text("{}")
    with pytest.raises(DataError, match="has no 'questions'"):
        list(RawFolder(folder).json_rows("a.json", key="questions"))
    with pytest.raises(DataError, match="holds no file"):
        RawFolder(folder).json("b.json")
    with pytest.raises(DataError, match="leads out"):
        RawFolder(folder).json("../secret.png")
    with pytest.raises(DataError, match="is not a folder"):
        RawFolder(folder / "nowhere")


def test_json_rows_know_their_place(folder):
    (folder / "list.json").write_text('[{"a": 1}, 2]')
    (folder / "dict.json").write_text('\ufeff{"7": {"a": 1}}', encoding="utf-8")
    assert [tuple(row) for row in RawFolder(folder).json_rows("list.json")] == [
        ("list.json#0", {"a": 1}),
        ("list.json#1", 2),
    ]
    assert [tuple(row) for row in RawFolder(folder).json_rows("dict.json")] == [("dict.json#7", {"a": 1})]


def test_json_lines_with_blank_and_broken_lines(folder):
    (folder / "a.jsonl").write_text('{"a": 1}\n\n{"a": \n[1]\n"\u2028"')
    rows = list(RawFolder(folder).json_lines("a.jsonl"))
    assert [row.where for row in rows] == ["a.jsonl:1", "a.jsonl:3", "a.jsonl:4", "a.jsonl:5"]
    assert isinstance(rows[1].data, RowError) and rows[1].data.reason == "bad_json"
    assert [rows[0].data, rows[2].data, rows[3].data] == [{"a": 1}, [1], "\u2028"]


def test_json_list_under_a_jsonl_name(folder):
    (folder / "a.jsonl").write_text(json.dumps([{"a": 1}, {"a": 2}], indent=1))
    assert [row.data for row in RawFolder(folder).json_lines("a.jsonl")] == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(
    "content",
    [
        b"<a><b></a>",
        b"",
        b"<a>\xe9</a>",
        "<a/>".encode("utf-16"),
        '<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx">]><a>&x;</a>'.encode("utf-16"),
        b'<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx"><!ENTITY y "&x;&x;&x;">]><a>&y;</a>',
    ],
    ids=["unclosed", "empty", "latin-1", "utf-16", "utf-16-entities", "entities"],
)
def test_xml_that_is_refused(folder, content):
    (folder / "a.xml").write_bytes(content)
    with pytest.raises(RowError) as caught:
        RawFolder(folder).xml("a.xml")
    assert caught.value.reason == "bad_xml"


def test_row_error_survives_pickling():
    error = pickle.loads(pickle.dumps(RowError("a", "missing", "more")))
    assert (error.field, error.reason, error.detail) == ("a", "missing", "more")


@pytest.mark.parametrize(
    ("read", "value", "reason"),
    [
        (text_field, None, "missing"),
        (text_field, 3, "not_text"),
        (text_field, " \n", "empty"),
        (scalar_text, float("nan"), "not_finite"),
        (scalar_text, [1], "not_text"),
        (lambda v, k: choice_letter(v[k], ["cat", "dog"], field=k), float("inf"), "not_finite"),
        (text_list, "abc", "not_a_list"),
        (text_list, ["a", None], "missing"),
        (lambda v, k: number_list(v, k, 4), [1, 2, 3], "wrong_length"),
        (lambda v, k: number_list(v, k, 4), [1, 2, 3, True], "not_a_number"),
        (lambda v, k: number_list(v, k, 4), "1234", "not_a_list"),
        (lambda v, k: number_list(v, k, 4), None, "missing"),
    ],
)
def test_values_that_are_refused(read, value, reason):
    with pytest.raises(RowError) as caught:
        read({"key": value}, "key")
    assert (caught.value.field, caught.value.reason) == ("key", reason)


@pytest.mark.parametrize(("value", "text"), [(3, "3"), (3.0, "3"), (0.1, "0.1"), (True, "yes"), (" x ", "x")])
def test_scalars_become_text(value, text):
    assert scalar_text({"key": value}, "key") == text


def test_record_must_be_an_object():
    with pytest.raises(RowError) as caught:
        record([1])
    assert caught.value.reason == "not_an_object"


@pytest.mark.parametrize(
    ("answer", "choices", "letter"),
    [("dog", ["cat", "dog"], "B"), ("Dog", ["dog", "cat"], "A"), ("a", ["A", "a"], "B")],
    ids=["equal", "case", "exact_case_wins"],
)
def test_letter_of(answer, choices, letter):
    assert letter_of(answer, choices) == letter


@pytest.mark.parametrize(
    ("answer", "choices", "reason"),
    [("cow", ["cat", "dog"], "answer_not_in_choices"), ("cat", ["cat", "cat "], "answer_ambiguous")],
)
def test_letter_of_refuses(answer, choices, reason):
    with pytest.raises(RowError) as caught:
        letter_of(answer, choices)
    assert caught.value.reason == reason


ODD_LINE_ENDS = "a\u2028b\u0085c\x0bd\x0ce\x1cf"


def test_text_is_cut_at_line_feeds_only(folder):
    """`str.splitlines` also cuts at U+2028, U+0085 and others, which are text within a record."""
    record = json.dumps({"a": ODD_LINE_ENDS.replace("\x0b", "").replace("\x0c", "").replace("\x1c", "")})
    text = json.dumps({"a": ODD_LINE_ENDS}, ensure_ascii=False)
    (folder / "a.jsonl").write_text(f"{record}\n{text}\r\n\ufeff\n{text}", encoding="utf-8-sig")
    (folder / "a.txt").write_text(f"{ODD_LINE_ENDS}\n\nlast", encoding="utf-8")
    (folder / "a.csv").write_text(f'name,text\nx,"{ODD_LINE_ENDS}\nsecond"\n', encoding="utf-8")
    raw = RawFolder(folder)
    rows = list(raw.json_lines("a.jsonl"))
    assert [row.where for row in rows] == ["a.jsonl:1", "a.jsonl:2", "a.jsonl:3", "a.jsonl:4"]
    assert rows[1].data == rows[3].data == {"a": ODD_LINE_ENDS}
    assert isinstance(rows[2].data, RowError)
    assert list(raw.lines("a.txt")) == [(1, ODD_LINE_ENDS), (2, ""), (3, "last")]
    assert [row.data for row in raw.csv_rows("a.csv")] == [{"name": "x", "text": f"{ODD_LINE_ENDS}\nsecond"}]


@pytest.mark.parametrize("read", ["json_lines", "csv_rows"])
def test_files_of_lines_are_not_held_in_memory(folder, read):
    line = json.dumps({"text": "x" * 1000}) + "\n"
    with (folder / "a.jsonl").open("w") as handle:
        handle.writelines(line for _ in range(30_000))
    tracemalloc.start()
    try:
        count = sum(1 for _ in getattr(RawFolder(folder), read)("a.jsonl"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 30_000 - (read == "csv_rows")
    assert peak < (folder / "a.jsonl").stat().st_size / 10


def test_text_that_is_not_utf_8(folder):
    (folder / "a.jsonl").write_bytes(b'{"a": 1}\n{"a": "\xff"}\n')
    with pytest.raises(DataError, match="is not UTF-8 text"):
        list(RawFolder(folder).json_lines("a.jsonl"))
