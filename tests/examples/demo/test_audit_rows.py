"""The rows that come with the audit are those that the scenes give."""

from importlib.resources import files

from examples.demo.audit_rows import lines


def test_the_rows_in_the_package_are_those_of_the_scenes() -> None:
    packaged = files("mixed_r1_verl.audit").joinpath("assets/rows.jsonl").read_text(encoding="utf-8")
    assert packaged == "".join(lines())
