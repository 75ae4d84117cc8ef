"""Processes that can be killed: limits, replacement, and an end with their caller, however that one ends."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest
from killable import cannot_begin, cannot_import, prepare

from mixed_r1_verl.rewards.process import Died, Late, NotStarted, Process


@pytest.fixture
def process() -> Iterator[Process]:
    process = Process(prepare)
    yield process
    process.close()


def run(process: Process, *orders: tuple, clock_s: float = 60.0, processor_s: float = 0.0) -> list:
    return list(process.run([pickle.dumps(order) for order in orders], clock_s, processor_s))


def gone(pid: int, within_s: float = 10.0) -> bool:
    for _ in range(1 + round(within_s / 0.02)):  # naps, which a busy machine makes longer
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def test_requests_are_answered_in_order_by_one_process(process: Process) -> None:
    assert run(process, ("give", 1), ("give", 2), ("give", 3)) == [1, 2, 3]
    first = process.pid
    assert run(process, ("give", 4)) == [4]
    assert process.pid == first


@pytest.mark.parametrize(
    ("order", "limits"), [(("sleep", 600.0), {"clock_s": 0.3}), (("spin",), {"clock_s": 60.0, "processor_s": 0.3})]
)
def test_a_late_request_ends_its_process_and_no_more(process: Process, order: tuple, limits: dict) -> None:
    keeper, first = run(process, ("parent",))[0], process.pid
    answers = process.run([pickle.dumps(order) for order in [("give", 1), order, ("give", 3)]], **limits)
    assert next(answers) == 1
    with pytest.raises(Late):
        next(answers)
    assert gone(first)
    assert run(process, ("parent",)) == [keeper]
    assert process.pid != first


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how long a process waited for a processor")
def test_waiting_for_a_processor_makes_no_request_late(process: Process) -> None:
    """Five processes share one: what takes 0.2 s alone takes 1 s."""
    spin = "import os\nos.sched_setaffinity(0, {%d})\nprint(1, flush=True)\nwhile os.getppid() == %d: pass"
    command = [sys.executable, "-c", spin % (one := min(os.sched_getaffinity(0)), os.getpid())]
    busy = [subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) for _ in range(4)]
    process.wait_until_ready()
    os.sched_setaffinity(process.pid, {one})
    try:
        assert all(each.stdout is not None and each.stdout.readline() for each in busy)
        assert run(process, ("work", 0.2), clock_s=0.5) == [0.2]
    finally:
        for each in busy:
            with each:
                each.kill()


@pytest.mark.parametrize(("order", "exit_code"), [(("exit", 3), 3), (("raise",), 1)])
def test_a_process_that_ends_says_how(process: Process, order: tuple, exit_code: int) -> None:
    with pytest.raises(Died) as died:
        run(process, order)
    assert died.value.exit_code == exit_code
    assert run(process, ("give", 1)) == [1]


def test_a_process_that_was_killed_is_replaced_and_asked_again(process: Process) -> None:
    keeper, first = run(process, ("parent",))[0], process.pid
    os.kill(first, signal.SIGKILL)
    assert run(process, ("parent",)) == [keeper]
    threading.Timer(0.3, os.kill, (process.pid, signal.SIGKILL)).start()
    assert run(process, ("give", 1), ("sleep", 1.0), ("parent",)) == [1, 1.0, keeper]
    assert process.pid != first


def test_a_request_whose_process_is_killed_twice_is_answered(process: Process) -> None:
    """Of 200 kills at random moments one hits a sample that another has hit."""
    process.wait_until_ready()
    killed: list[int] = []

    def kill_two() -> None:
        while len(killed) < 2:
            if process.pid not in (0, *killed):
                time.sleep(0.3)
                killed.append(process.pid)
                os.kill(process.pid, signal.SIGKILL)
            time.sleep(0.01)

    killer = threading.Thread(target=kill_two)
    killer.start()
    assert run(process, ("sleep", 2.0)) == [2.0]
    killer.join()


def test_what_dies_again_and_again_is_to_blame(process: Process) -> None:
    process.wait_until_ready()
    stop = threading.Event()

    def kill_all() -> None:
        while not stop.wait(0.1):
            if process.pid:
                os.kill(process.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_all)
    killer.start()
    with pytest.raises(Died) as died:
        run(process, ("sleep", 60.0))
    stop.set()
    killer.join()
    assert died.value.exit_code == -signal.SIGKILL


def test_a_keeper_that_was_killed_takes_its_fork_along_and_is_replaced(process: Process) -> None:
    keeper = run(process, ("parent",))[0]
    fork = process.pid
    os.kill(keeper, signal.SIGKILL)
    assert gone(fork)
    assert run(process, ("parent",)) != [keeper]


@pytest.mark.parametrize("at_once", [False, True], ids=["while it starts", "before it was told anything"])
def test_a_start_that_is_killed_is_repeated(monkeypatch: pytest.MonkeyPatch, at_once: bool) -> None:
    """Whoever waits meanwhile is not told."""
    process, kills = Process(prepare), 0
    start = subprocess.Popen

    def start_and_kill(*arguments: Any, **options: Any) -> Any:
        nonlocal kills
        keeper = start(*arguments, **options)
        kills += 1
        if kills < 5:
            keeper.kill()
            if at_once:
                keeper.wait()
        return keeper

    monkeypatch.setattr(subprocess, "Popen", start_and_kill)
    assert run(process, ("give", 1)) == [1]
    assert kills == 5
    process.close()


def test_what_ran_before_and_cannot_start_again_is_given_up_with_the_reason(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    [keeper], fork = run(process, ("parent",)), process.pid
    monkeypatch.setattr("mixed_r1_verl.rewards.process.RESTARTS_S", (0.0, 0.1))
    monkeypatch.setattr("mixed_r1_verl.rewards.process._SERVE", "import sys; sys.exit(7)")
    os.kill(keeper, signal.SIGKILL)
    assert gone(fork)
    with pytest.raises(NotStarted, match="exit code 7"):
        run(process, ("give", 1))


def test_every_fork_is_asked_first_what_takes_long_once(process: Process) -> None:
    process.first = pickle.dumps(("sleep", 0.5))
    assert run(process, ("give", 1), clock_s=0.3) == [1]
    os.kill(process.pid, signal.SIGKILL)
    assert run(process, ("give", 2), clock_s=0.3) == [2]


def test_each_request_may_have_a_limit_of_its_own(process: Process) -> None:
    requests = [pickle.dumps(("sleep", seconds)) for seconds in (0.5, 0.5)]
    answers = process.run(requests, [5.0, 0.1])
    assert next(answers) == 0.5
    with pytest.raises(Late):
        next(answers)


def test_what_a_request_started_ends_with_it(process: Process) -> None:
    child = int(run(process, ("child",))[0])
    with pytest.raises(Late):
        run(process, ("sleep", 600.0), clock_s=0.2)
    assert gone(child)


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [(cannot_import, "ImportError: No module named 'sympy'"), (cannot_begin, "ValueError: no such table")],
)
def test_a_process_that_cannot_start_says_why_each_time(prepare: Callable[[], Callable], reason: str) -> None:
    process = Process(prepare)
    for _ in range(3):
        with pytest.raises(NotStarted, match=reason):
            run(process, ("give", 1))
    process.close()


def test_a_machine_without_room_for_a_process_is_asked_again(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*arguments: object, **options: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    with monkeypatch.context() as patched:
        patched.setattr(subprocess, "Popen", no_room)
        with pytest.raises(NotStarted, match="temporarily unavailable"):
            run(process, ("give", 1))
    assert run(process, ("give", 1)) == [1]


def test_closing_ends_what_is_in_progress(process: Process) -> None:
    process.wait_until_ready()
    fork = process.pid
    threading.Timer(0.3, process.close).start()
    with pytest.raises(NotStarted, match="closed"):
        run(process, ("sleep", 600.0))
    assert gone(fork)
    with pytest.raises(NotStarted, match="closed"):
        run(process, ("give", 1))
    process.close()


@pytest.mark.parametrize("order", ["give", "sleep"], ids=["idle", "hanging"])
@pytest.mark.parametrize("end", ["kill", "exit"])
def test_a_process_ends_with_its_caller(order: str, end: str) -> None:
    """Also when its caller is killed and nobody tells it to, and while a request hangs."""
    code = (
        "import killable, pickle, sys, time, threading\n"
        "from mixed_r1_verl.rewards.process import Process\n"
        "process = Process(killable.prepare)\n"
        "process.wait_until_ready()\n"
        f"request = pickle.dumps(({order!r}, 600.0))\n"
        "threading.Thread(target=lambda: list(process.run([request], 900.0)), daemon=True).start()\n"
        "time.sleep(0.3)\n"
        "print(process.pid, flush=True)\n"
        "sys.stdin.readline()\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as caller:
        assert caller.stdout is not None
        pid = int(caller.stdout.readline())
        assert psutil.pid_exists(pid)
        if end == "kill":
            caller.kill()
    assert gone(pid)


@pytest.mark.parametrize("end", ["kill", "close"])
def test_a_process_that_hangs_while_it_starts_ends_at_once(end: str) -> None:
    code = (
        "import killable, sys\n"
        "from mixed_r1_verl.rewards.process import Process\n"
        "process = Process(killable.hangs)\n"
        "process.start()\n"
        "print(process._keeper.pid, flush=True)\n"
        "sys.stdin.readline()\n"
        "process.close()\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as caller:
        assert caller.stdout is not None
        pid = int(caller.stdout.readline())
        time.sleep(1.0)
        assert not gone(pid, 0.0)
        if end == "kill":
            caller.kill()
    assert gone(pid, 2.0)
