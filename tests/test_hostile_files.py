"""Every command over a few hundred spoilt files of `spoilt_files.py`, which can take any number of them."""

import pytest
from spoilt_files import COMMANDS, LIMIT_MB, LIMIT_S, alone, many


@pytest.mark.timeout(600)
@pytest.mark.parametrize("command", COMMANDS)
def test_spoilt_files(command: str) -> None:
    with alone(1) as process:
        seeds = range(max(4, 160 * COMMANDS[command] // 100))
        outcome = process.submit(many, command, seeds, 12 * LIMIT_S).result()  # trainings may run beside it
    assert not outcome.wrong, "\n".join(outcome.wrong)
    # The libraries alone: 660 MB for `plan`, which asks verl's own rules, and 840 MB for `eval`.
    assert outcome.most_mb < max(LIMIT_MB, outcome.sound_mb + 50)
