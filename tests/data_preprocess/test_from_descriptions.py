"""Converters of datasets of which no raw sample could be had, on the raw folders of `described_datasets`."""

import pytest
from described_datasets import CASES, Case, write_folder
from described_flat import FLAT_CASES

from mixed_r1_verl.data.check import check_files


@pytest.mark.parametrize("case", [*CASES, *FLAT_CASES], ids=lambda case: case.converter)
def test_rows_and_rejects(tmp_path, convert, picture, case: Case):
    folder = tmp_path / "raw"
    write_folder(folder, case.files, picture)
    result = convert(case.converter, folder, case.split)
    found = [
        (
            row["extra_info"]["id"].removeprefix(f"{case.converter}/{case.split}/"),
            row["extra_info"]["reward"],
            row["extra_info"]["question"],
            row["extra_info"]["choices"],
            row["reward_model"]["ground_truth"],
            row["images"][0]["path"],
        )
        for row in result.rows
    ]
    assert found == case.rows
    assert [reject[2:] for reject in result.rejects] == case.rejects
    assert check_files([result.path]).problems == []
