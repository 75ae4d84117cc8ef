"""Curves of a run that was killed and resumed: no step lost, none twice.

verl resumes from its last checkpoint and runs the steps after it again, but its trackers know nothing of that. Of those
that write files, TensorBoard holds events back for two minutes, which `kill -9` loses, and then shows the repeated
steps twice; the `file` tracker empties its file. Here both keep what was recorded up to the step from which the run
goes on, and replace what was recorded after it. W&B does the same by itself when `WANDB_RUN_ID` and `WANDB_RESUME` are
set.
"""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from mixed_r1_verl.plugin.after_import import wrap_once


def install(tracking: ModuleType) -> None:
    """Mend the two trackers of `verl.utils.tracking`. Safe to call again."""
    wrap_once(tracking._TensorboardAdapter, "log", _log_events)
    wrap_once(tracking.FileLogger, "__init__", _init_and_keep_lines)
    wrap_once(tracking.FileLogger, "log", _log_after_kept_lines)


def completed_steps(data: Mapping[str, Any], step: int) -> int:
    """The last training step that was done before this process logged `data` as its first metrics.

    >>> completed_steps({"training/global_step": 21}, 21), completed_steps({"val-core/a/acc/mean@1": 0.5}, 20)
    (20, 20)
    """
    return step - 1 if "training/global_step" in data else step


def _log_events(log: Callable[..., None]) -> Callable[..., None]:
    def log_and_flush(self: Any, data: Mapping[str, Any], step: int) -> None:
        if not hasattr(self, "_mixed_r1_started"):
            from tensorboard.compat.proto.event_pb2 import Event, SessionLog

            self._mixed_r1_started = True
            done = completed_steps(data, step)
            # TensorBoard drops earlier events from the step of a START on; at 0 that is a former run altogether.
            start = Event(session_log=SessionLog(status=SessionLog.START))
            self.writer.file_writer.add_event(start, step=done + 1 if done else 0)
        log(self, data, step)
        self.writer.flush()

    return log_and_flush


def _init_and_keep_lines(init: Callable[..., None]) -> Callable[..., None]:
    def init_and_keep_lines(self: Any, project_name: str, experiment_name: str) -> None:
        folder = Path(os.getenv("VERL_FILE_LOGGER_ROOT", ".")).expanduser() / project_name
        path = Path(os.getenv("VERL_FILE_LOGGER_PATH") or folder / f"{experiment_name}.jsonl")
        self._mixed_r1_earlier = path.read_bytes().splitlines(keepends=True) if path.is_file() else []
        init(self, project_name, experiment_name)
        self.fp.write(b"".join(self._mixed_r1_earlier))

    return init_and_keep_lines


def _log_after_kept_lines(log: Callable[..., None]) -> Callable[..., None]:
    def log_after_kept_lines(self: Any, data: Mapping[str, Any], step: int) -> None:
        if self._mixed_r1_earlier is not None:
            done = completed_steps(data, step)
            self.fp.seek(0)
            self.fp.truncate()
            if done:
                self.fp.write(b"".join(line for line in self._mixed_r1_earlier if _step(line) <= done))
            self._mixed_r1_earlier = None
        log(self, data, step)

    return log_after_kept_lines


def _step(line: bytes) -> float:
    """The step of a line; infinite for one that a crash cut short."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
