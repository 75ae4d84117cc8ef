"""`mixed-r1 check`: every fault is found, named with file, row and field, and nothing sound is."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sound_rows import SOUND, changed, png, retyped, sound, write

from mixed_r1_verl.core.families import get_family
from mixed_r1_verl.core.rows import BadRecord, DataError, read_records
from mixed_r1_verl.data.check import check_files
from mixed_r1_verl.data.columns import quick_check
from mixed_r1_verl.data.prompt import build_prompt
from mixed_r1_verl.data.schema import EXTRA_INFO_TYPE, rows_to_table
from mixed_r1_verl.data.truth import reward_with
from mixed_r1_verl.rewards.kinds import KINDS


def test_sound_rows_have_no_problem(tmp_path):
    path = write(tmp_path / "a.parquet", SOUND)
    report = check_files([path])
    assert report.problems == []
    assert report.rows == 6
    # 40 x 20 pixels become 56 x 28 for Qwen2.5-VL's least area of 4 x 28 x 28: 4 x 1 tokens would be 112 x 28.
    assert report.statistics["images"] == (1, 1, 1, 1)
    assert report.statistics["pixels"] == (800, 800, 800, 800)
    assert report.statistics["image tokens"][0] == pytest.approx(6, abs=2)
    assert quick_check([path], KINDS) == []


def test_sources_and_the_longest_row(tmp_path):
    large = sound("9", images=[{"bytes": png((400, 200)), "path": ""}], width=400, height=200)
    path = write(tmp_path / "a.parquet", [*SOUND, large])
    report = check_files([path])
    assert report.sources == {("toy", kind): 1 for kind in ("iou", "open_ended", "chart", "math")} | {
        ("toy", "matching"): 3
    }
    assert report.largest["pixels"] == report.largest["image tokens"] == (path, 6)
    assert f"{path}: row 6" in report.notes[0]


def test_progress_counts_rows_of_all_files(tmp_path):
    seen: list[int] = []
    paths = [write(tmp_path / f"{name}.parquet", [sound(name)]) for name in "ab"]
    check_files(paths, on_progress=seen.append)
    assert seen == [1, 2]


def test_a_folder_stands_for_its_files(tmp_path):
    write(tmp_path / "out" / "a.parquet", SOUND[:2])
    write(tmp_path / "out" / "b.parquet", SOUND[2:])
    assert check_files([tmp_path / "out"]).rows == 6


def meant(kind: str, truth: str, **changes) -> dict:
    return sound("7", kind, truth, **changes)


# What earlier versions wrote of public files, and the option that mends each.
MEANT_OTHERWISE = [
    (meant("iou", "[[0.61,0.36,0.92,0.83]]"), "under one pixel wide or high; convert with --box-frame"),
    (meant("iou", "[[5,5,50,10]]"), "is not inside 40x20; convert with --box-frame"),
    (meant("matching", "<ref>a cat</ref><box>[[1, 2, 3, 4]]</box>"), "markup of boxes; convert with --reward iou"),
    (meant("open_ended", '{"bbox_2d": [1, 2, 3, 4]}'), "markup of boxes"),
    (meant("open_ended", "<SUMMARY> s </SUMMARY> <CONCLUSION> 14 </CONCLUSION>"), "--column answer=COLUMN"),
    (meant("matching", "B"), "no options: --column choices=COLUMN, or --answer-type label"),
    (meant("matching", "pyautogui.click(x=0.35, y=0.7)"), "an action of a user interface"),
    (meant("matching", "(346,328)"), "is a point"),
    (meant("open_ended", "\\frac { 4 } { 3 }"), "--reward math"),
    (meant("open_ended", '["nokia", "toshiba"]'), "--reward matching"),
]


@pytest.mark.parametrize(("row", "message"), MEANT_OTHERWISE)
def test_truths_that_were_meant_otherwise(tmp_path, row, message):
    (problem,) = check_files([write(tmp_path / "a.parquet", [row])]).problems
    assert (problem.row, problem.field) == (0, "reward_model.ground_truth") and message in problem.message


def test_notes_on_answers(tmp_path):
    """One answer for most rows, and rows whose answer type is guessed."""
    rows = [sound(str(n), truth="yes" if n % 4 else "no") for n in range(24)]
    rows += [sound(f"c{n}", "chart", str(n)) for n in range(3)]
    notes = check_files([write(tmp_path / "a.parquet", rows)]).notes
    assert any("75% of 24 answers of toy (matching) are 'yes'" in note for note in notes)
    assert [note for note in notes if note.startswith("extra_info.answer_type: 3 rows of toy (chart)")]
    assert not any("(matching) do not say it" in note for note in notes)


def boxed(*boxes: list[int]) -> list[dict]:
    return [sound(str(n), "iou", f"[{box}]", width=40, height=20) for n, box in enumerate(boxes)]


# x, y, width, height of boxes in 40x20, each wider than it is away from the left and higher than from the top.
SIZES = [[x, y, x + 20, y + 9] for x in range(5) for y in range(2)]


def test_sizes_that_were_read_as_corners_are_named(tmp_path):
    """Ten different boxes that could all be sizes are no chance; one that could not, or fewer, say nothing."""

    def said(rows):
        return [note for note in check_files([write(tmp_path / "a.parquet", rows)]).notes if "box" in note]

    (note,) = said(boxed(*SIZES))
    assert note.startswith("reward_model.ground_truth: all 10 boxes of toy (iou)") and "--box-format xywh" in note
    assert said(boxed(*SIZES[1:], SIZES[1])) == said(boxed(*SIZES, [20, 5, 30, 10])) == []


def test_files_of_an_earlier_version_are_named(tmp_path):
    """They have no `answer_type`; what their generic converters did leaves no other trace."""
    path = write(tmp_path / "a.parquet", SOUND)
    assert not any("earlier version" in note for note in check_files([path]).notes)
    rows = pq.read_table(path).to_pylist()
    for row in rows:
        del row["extra_info"]["answer_type"]
    pq.write_table(pa.Table.from_pylist(rows), path)
    report = check_files([path])
    assert report.problems == [] and any(
        f"{path}: extra_info.answer_type: the field is missing" in n for n in report.notes
    )


NO_TEMPLATE = [{"role": "user", "content": "<image>\nIs it black?"}]
CUT = png()[:50]

FAULTS = [
    (
        "markers",
        changed("prompt", value=build_prompt("Q?", "matching", n_images=2)),
        "prompt",
        "2 <image> markers for 1",
    ),
    (
        "video",
        changed("prompt", 0, "content", value="<image><video><think></think><answer></answer>"),
        "prompt",
        "video or sound",
    ),
    ("template", changed("prompt", value=NO_TEMPLATE), "prompt", "does not ask for <think>"),
    ("no_prompt", changed("prompt", value=[]), "prompt", "is empty"),
    ("no_role", changed("prompt", value=[{"role": None, "content": "x"}]), "prompt", "without role or content"),
    ("cut", changed("images", value=[{"bytes": CUT, "path": ""}]), "images[0]", "image_broken"),
    ("null_bytes", changed("images", value=[{"bytes": None, "path": "a.png"}]), "images[0]", "image_empty"),
    ("null_image", changed("images", value=[None]), "images[0]", "image_empty"),
    ("size", changed("extra_info", "width", value=41), "extra_info.width", "41x20"),
    ("no_id", changed("extra_info", "id", value=""), "extra_info.id", "is empty"),
    ("reward", changed("extra_info", "reward", value="nope"), "extra_info.reward", "'nope' is none of"),
    (
        "no_reward",
        changed("extra_info", "reward", value=None),
        "extra_info.reward",
        "is empty, and data_source 'toy'",
    ),
    ("no_truth", changed("reward_model", "ground_truth", value=None), "reward_model.ground_truth", "is empty"),
    ("blank", changed("reward_model", "ground_truth", value=" "), "reward_model.ground_truth", "is empty"),
    (
        "letter",
        changed("reward_model", "ground_truth", value="D", base=1),
        "reward_model.ground_truth",
        "matching reward",
    ),
    (
        "boxes",
        changed("reward_model", "ground_truth", value="[[1,2,3]]", base=2),
        "reward_model.ground_truth",
        "iou reward",
    ),
    (
        "outside",
        changed("reward_model", "ground_truth", value="[[0,0,41,20]]", base=2),
        "reward_model.ground_truth",
        "is not inside 40x20",
    ),
    ("no_reward_model", changed("reward_model", value=None), "reward_model", "is empty"),
    ("no_extra_info", changed("extra_info", value=None), "extra_info", "is empty"),
]


@pytest.mark.parametrize(
    ("row", "field", "message"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS]
)
def test_a_fault_is_named_with_file_row_and_field(tmp_path, row, field, message):
    path = write(tmp_path / "a.parquet", [SOUND[3], row])
    problems = check_files([path]).problems
    assert (problems[0].file, problems[0].row, problems[0].field) == (str(path), 1, field)
    assert message in problems[0].message
    assert str(problems[0]).startswith(f"{path}: row 1: {field}: ")
    assert all(problem.row == 1 for problem in problems)


def test_duplicated_ids_across_files(tmp_path):
    paths = [write(tmp_path / f"{name}.parquet", SOUND[:2]) for name in "ab"]
    problems = check_files(paths).problems
    assert [(p.file, p.row, p.field) for p in problems] == [(str(paths[1]), row, "extra_info.id") for row in (0, 1)]
    assert f"{paths[0]}: row 1" in problems[1].message


def test_path_form(tmp_path):
    picture = tmp_path / "a.png"
    picture.write_bytes(png())
    good, absent = (
        sound(name, images=[{"image": str(path)}]) for name, path in (("1", picture), ("2", tmp_path / "b.png"))
    )
    problems = check_files([write(tmp_path / "a.parquet", [good, absent], "path")]).problems
    assert [(p.row, p.field) for p in problems] == [(1, "images[0]")]
    assert "No such file" in problems[0].message


def test_forms_must_not_be_mixed(tmp_path):
    picture = tmp_path / "a.png"
    picture.write_bytes(png())
    first = write(tmp_path / "a.parquet", SOUND[:1])
    second = write(tmp_path / "b.parquet", [sound("9", images=[{"image": str(picture)}])], "path")
    problems = check_files([first, second]).problems
    assert [(p.file, p.row, p.field) for p in problems] == [(str(second), None, "images")]
    assert str(first) in problems[0].message
    assert any("images" in line for line in quick_check([first, second], KINDS))


@pytest.mark.parametrize(
    ("column", "value", "field"),
    [
        ("prompt", ["What?"], "prompt"),
        ("images", [["a.png"]], "images"),
        ("reward_model", [{"style": "rule", "ground_truth": 3}], "reward_model.ground_truth"),
        ("reward_model", ["yes"], "reward_model"),
        ("extra_info", [{"reward": "matching"}], "extra_info.id"),
    ],
)
def test_wrong_types(tmp_path, column, value, field):
    table = rows_to_table(SOUND[:1])
    pq.write_table(retyped(table, column, pa.array(value)), tmp_path / "a.parquet")
    problems = check_files([tmp_path / "a.parquet"]).problems
    assert problems[0].row is None and problems[0].field == field


@pytest.mark.parametrize("column", ["prompt", "images", "reward_model", "extra_info", "data_source", "ability"])
def test_missing_columns(tmp_path, column):
    pq.write_table(rows_to_table(SOUND[:1]).drop_columns([column]), tmp_path / "a.parquet")
    problems = check_files([tmp_path / "a.parquet"]).problems
    assert [(p.row, p.field) for p in problems] == [(None, column)]


def test_further_columns_are_allowed_if_all_files_have_them(tmp_path):
    table = rows_to_table(SOUND[:1])
    pq.write_table(table.append_column("note", pa.array(["x"])), tmp_path / "a.parquet")
    assert check_files([tmp_path / "a.parquet"]).problems == []
    pq.write_table(rows_to_table(SOUND[1:2]), tmp_path / "b.parquet")
    problems = check_files([tmp_path / "a.parquet", tmp_path / "b.parquet"]).problems
    assert [(Path(p.file).name, p.field) for p in problems] == [("b.parquet", "note")]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not parquet at all", None], ids=["empty", "magic", "text", "cut"])
def test_files_that_are_no_parquet(tmp_path, content):
    path = write(tmp_path / "a.parquet", SOUND)
    path.write_bytes(path.read_bytes()[:500] if content is None else content)
    problems = check_files([path]).problems
    assert len(problems) == 1 and problems[0].field == "file"
    assert len(quick_check([path], KINDS)) == 1


def test_damaged_pages(tmp_path):
    path = write(tmp_path / "a.parquet", SOUND)
    data = bytearray(path.read_bytes())
    data[8:200] = b"\xff" * 192
    path.write_bytes(bytes(data))
    assert check_files([path]).problems


def test_no_rows(tmp_path):
    pq.write_table(rows_to_table([]), tmp_path / "a.parquet")
    assert [p.message for p in check_files([tmp_path / "a.parquet"]).problems] == ["it has no rows"]
    assert quick_check([tmp_path / "a.parquet"], KINDS) == [f"{tmp_path / 'a.parquet'}: file: it has no rows"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"paths": []}, "no file"),
        ({"paths": [Path("/nowhere.parquet")]}, "is not there"),
        ({"paths": [Path(__file__)], "family": "llava"}, "unknown model family"),
        ({"paths": [Path(__file__)], "tokenizer": Path(__file__)}, "is not a tokenizer"),
        ({"paths": [Path(__file__).parent]}, "holds no parquet"),
    ],
)
def test_bad_usage(arguments, message):
    with pytest.raises(DataError, match=message):
        check_files(**arguments)


def test_prompt_tokens(tmp_path):
    from examples.demo.tiny.qwen2_5_vl import build_processor

    build_processor().save_pretrained(tmp_path / "model")
    report = check_files([write(tmp_path / "a.parquet", SOUND)], tokenizer=tmp_path / "model")
    tokens, image_tokens = report.statistics["prompt tokens"], report.statistics["image tokens"]
    assert tokens[-1] > image_tokens[-1] + 40
    assert f"{tokens[-1]:,.0f}" in report.notes[0]


@pytest.mark.parametrize("compliant", [True, False], ids=["list.element", "list.item"])
def test_leaves_whatever_lists_call_their_members(tmp_path, compliant):
    path = tmp_path / "a.parquet"
    pq.write_table(rows_to_table(SOUND), path, use_compliant_nested_type=compliant)
    assert check_files([path]).problems == []


@pytest.mark.parametrize(
    ("family", "size"), [("qwen2_5_vl", (500, 10)), ("qwen3_vl", (50, 60)), ("internvl", (50, 60))]
)
def test_image_tokens_are_those_that_verl_has(tmp_path, family, size):
    row = sound("1", images=[{"bytes": png(size), "path": ""}], width=size[0], height=size[1])
    report = check_files([write(tmp_path / "a.parquet", [row])], family=family)
    assert report.statistics["image tokens"][-1] == get_family(family).verl_image_tokens(*size)


def length_reward(answer, ground_truth, *, question, most):
    return len(answer) <= most


def test_kinds_of_ones_own(tmp_path):
    """A function with two columns of its own is a kind like the others; a row without its column is named."""
    rows = [sound(name, truth="short") for name in "ab"]
    for row in rows:
        row["extra_info"]["reward"] = "length"
    kind = pa.struct([*EXTRA_INFO_TYPE, ("most", pa.int64())])
    most = [{**row["extra_info"], "most": limit} for row, limit in zip(rows, (5, None), strict=True)]
    pq.write_table(retyped(rows_to_table(rows), "extra_info", pa.array(most, kind)), tmp_path / "a.parquet")
    reward = reward_with({"custom": {"length": f"{__name__}:length_reward"}})
    (problem,) = check_files([tmp_path / "a.parquet"], reward=reward).problems
    assert problem.row == 1 and "extra_info has no 'most'" in problem.message
    assert [p.field for p in check_files([tmp_path / "a.parquet"]).problems] == ["extra_info.reward"] * 2


def test_rows_that_name_no_reward_are_routed(tmp_path):
    path = write(tmp_path / "a.parquet", [changed("extra_info", "reward", value=None)])
    report = check_files([path], reward=reward_with({"routes": {"toy": "matching"}}))
    assert report.problems == [] and report.sources == {("toy", "matching"): 1}


def test_text_that_is_not_utf8_costs_its_row_alone(tmp_path):
    path = write(tmp_path / "a.parquet", [sound("1"), sound("2", truth="black"), sound("3")])
    pq.write_table(pq.read_table(path), path, compression="NONE", use_dictionary=False)
    path.write_bytes(path.read_bytes().replace(b"\x05\x00\x00\x00black", b"\x05\x00\x00\x00bl\xff\xfek"))
    report = check_files([path])
    assert [(p.row, p.field) for p in report.problems] == [(1, "row")]
    assert "not UTF-8" in report.problems[0].message and report.rows == 3
    assert any("not UTF-8" in line for line in quick_check([path], KINDS))
    assert [number for number, record in read_records(path) if isinstance(record, BadRecord)] == [1]


def test_a_path_that_is_too_long_costs_its_row_alone(tmp_path):
    (tmp_path / "a.png").write_bytes(png())
    rows = [sound(name, images=[{"image": path}]) for name, path in (("1", "a" * 5000), ("2", str(tmp_path / "a.png")))]
    report = check_files([write(tmp_path / "a.parquet", rows, "path")])
    assert [(p.row, p.field) for p in report.problems] == [(0, "images[0]")] and report.rows == 2
