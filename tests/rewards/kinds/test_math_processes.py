"""The processes that compare expressions: limits, bombs, threads, scripts; how processes end is in test_process.py."""

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from mixed_r1_verl.rewards.kinds import math
from mixed_r1_verl.rewards.kinds.math import (
    MathConfig,
    comparing_processes,
    math_reward,
    prepare_comparing,
)
from mixed_r1_verl.rewards.process import Late, Process
from mixed_r1_verl.rewards.verdict import GroundTruthError


@pytest.fixture
def process() -> Iterator[Process]:
    process = Process(prepare_comparing, quiet=True)
    process.wait_until_ready()
    yield process
    process.close()


def ask(process: Process, gold: str, answer: str, timeout_s: float = 30.0) -> str:
    [reason] = process.run([pickle.dumps((gold, answer))], timeout_s + 10, timeout_s)
    return reason


def test_waiting_for_a_processor_does_not_count(process: Process) -> None:
    fork = process.pid
    os.kill(fork, signal.SIGSTOP)
    threading.Timer(1.5, os.kill, (fork, signal.SIGCONT)).start()
    assert ask(process, "x+1", "1+x", 1.0) == ""
    assert process.pid == fork


def test_a_thousand_bombs_leave_the_comparing_process_healthy(process: Process) -> None:
    """A thousand forks are killed; the process that has SymPy imported is the same, and its verdicts are right."""
    assert ask(process, "x+1", "1+x") == ""
    keeper = psutil.Process(process.pid).ppid()
    for index in range(1000):
        with pytest.raises(Late):
            ask(process, "1", rf"9^{{9\cdot 9^{{{9 + index % 90}}}}}", 0.001)
    assert ask(process, "x+1", "1+x") == ""
    assert psutil.Process(process.pid).ppid() == keeper


def test_threads_share_the_processes() -> None:
    """Ask more at once than there are processes: no more are started, and all are free afterwards."""
    config = MathConfig(processes=2, timeout_s=30.0)
    with ThreadPoolExecutor(4) as threads:
        accs = [verdict.acc for verdict in threads.map(lambda _: math_reward("1+x", "x+1", config=config), range(12))]
    assert accs == [1.0] * 12
    assert comparing_processes(2).qsize() == 2


def test_a_ground_truth_that_takes_too_long_costs_its_limit_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def late(gold: str, answer: str, config: MathConfig) -> str:
        asked.append(gold)
        return "timeout"

    monkeypatch.setattr(math, "_compare", late)
    for _ in range(8):
        with pytest.raises(GroundTruthError, match=r"more than math\.timeout_s"):
            math_reward("5", r"9^{9\cdot 9^{9}}+z")
    assert len(asked) == 1


def test_scores_from_a_thread_that_is_not_the_main_one() -> None:
    results: list[float] = []
    thread = threading.Thread(target=lambda: results.append(math_reward("(x+1)^2", "x^2+2x+1").acc))
    thread.start()
    thread.join()
    assert results == [1.0]


def test_a_script_without_a_main_guard_scores(tmp_path: Path) -> None:
    """A multiprocessing pool would import the script in every process, which would score and start processes again."""
    script = tmp_path / "script.py"
    script.write_text(
        "from mixed_r1_verl.rewards.kinds.math import math_reward\nprint(math_reward('x+1', '1+x').acc)\n",
        encoding="utf-8",
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "1.0\n"
