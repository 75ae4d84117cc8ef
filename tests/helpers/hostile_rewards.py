"""Custom rewards that misbehave, for tests of the scoring processes; a run finds them through PYTHONPATH."""

import os
import signal
import time

from mixed_r1_verl.rewards.verdict import Verdict


def obey(answer: str, ground_truth: str, *, choices: list[str]) -> Verdict:
    """Does what the ground truth says: hang, spin, exit, segfault, devour, slow, brief; anything else is paid."""
    if ground_truth == "hang":
        time.sleep(3600)
    if ground_truth == "spin":
        while True:
            pass
    if ground_truth == "exit":
        os._exit(3)
    if ground_truth == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if ground_truth == "devour":
        return Verdict(float(len(bytes(6 << 30))))
    if ground_truth == "slow":
        time.sleep(0.1)
    if ground_truth == "brief":
        time.sleep(0.02)
    return Verdict(1.0, answer)
