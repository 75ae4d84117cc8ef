"""What processes of `mixed_r1_verl.rewards.process` run in tests; they find it by name."""

import os
import subprocess
import time
from collections.abc import Callable

from mixed_r1_verl.rewards.process import Answer


def prepare() -> Callable[[], Answer]:
    """Found by its name in a process of its own, like everything here that a process runs."""
    return lambda: obey


def obey(order: str, value: float = 0.0) -> float | int:
    if order == "sleep":
        time.sleep(value)
    if order == "work":
        start = time.process_time()
        while time.process_time() < start + value:
            pass
    if order == "spin":
        while True:
            pass
    if order == "exit":
        os._exit(int(value))
    if order == "raise":
        raise RuntimeError("a defect")
    if order == "parent":
        return os.getppid()
    if order == "child":
        return subprocess.Popen(["sleep", "600"]).pid
    return value


def cannot_import() -> Callable[[], Answer]:
    raise ImportError("No module named 'sympy'")


def hangs() -> Callable[[], Answer]:
    time.sleep(600.0)
    return prepare()


def cannot_begin() -> Callable[[], Answer]:
    def begin() -> Answer:
        raise ValueError("no such table")

    return begin
