"""A process that waits for a processor is told from one that sleeps."""

import pytest

from mixed_r1_verl.rewards.schedule import Schedule


@pytest.mark.parametrize(
    ("now", "free"),
    [
        (Schedule(ran=1.1, waited=3.0, ready=True), 0.4),  # it waits since then: the kernel has not added that yet
        (Schedule(ran=1.5, waited=2.0, ready=True), 0.0),  # it spins
        (Schedule(ran=1.0, waited=2.0), 0.0),  # it sleeps
        (Schedule(ran=1.2, waited=2.25), 0.25),  # it waited, ran and sleeps
        (Schedule(), -2.0),  # it has ended
    ],
)
def test_waiting_for_a_processor_is_told_from_sleep(now: Schedule, free: float) -> None:
    assert now.waited_s(Schedule(ran=1.0, waited=2.0), 0.5) == pytest.approx(free)
