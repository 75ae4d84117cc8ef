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
from typing import Any

from mixed_r1_verl.core.files import atomic


def completed_steps(data: Mapping[str, Any], step: int) -> int:
    """The last training step that was done before this process logged `data` as its first metrics.

    >>> completed_steps({"training/global_step": 21}, 21), completed_steps({"val-core/a/acc/mean@1": 0.5}, 20)
    (20, 20)
    """
    return step - 1 if "training/global_step" in data else step


def log_events(log: Callable[..., None], adapter: Any, args: Any, kwargs: Any) -> None:
    """Around `_TensorboardAdapter.log`: marks where this process goes on, and writes each step at once."""
    if not hasattr(adapter, "_mixed_r1_started"):
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

        adapter._mixed_r1_started = True
        done = completed_steps(*args, **kwargs)
        # TensorBoard drops earlier events from the step of a START on; at 0 that is a former run altogether.
        start = Event(session_log=SessionLog(status=SessionLog.START))
        adapter.writer.file_writer.add_event(start, step=done + 1 if done else 0)
    log(*args, **kwargs)
    adapter.writer.flush()


def open_file(init: Callable[..., None], logger: Any, args: Any, kwargs: Any) -> None:
    """In place of `FileLogger.__init__`, which empties the file: opens it behind what it holds."""
    given = dict(zip(("project_name", "experiment_name"), args, strict=False)) | kwargs
    logger.project_name, logger.experiment_name = given["project_name"], given["experiment_name"]
    folder = Path(os.getenv("VERL_FILE_LOGGER_ROOT", ".")).expanduser() / logger.project_name
    path = Path(os.getenv("VERL_FILE_LOGGER_PATH") or folder / f"{logger.experiment_name}.jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    logger.filepath = str(path)
    logger.fp = path.open("ab", buffering=0)
    logger._mixed_r1_started = False


def log_line(log: Callable[..., None], logger: Any, args: Any, kwargs: Any) -> None:
    """Around `FileLogger.log`: before its first line, those of steps that are done again make way."""
    if not logger._mixed_r1_started:
        path = Path(logger.filepath)
        keep_steps(path, completed_steps(*args, **kwargs) or -1)  # nothing done: what is there is of a former run
        logger.fp.close()
        logger.fp = path.open("ab", buffering=0)
        logger._mixed_r1_started = True
    log(*args, **kwargs)


def keep_steps(path: Path, last: int) -> list[bytes]:
    """Take the lines of later steps, and those that a crash cut short, out of a file of JSON lines; return the others.

    A new file takes the name of the old one, so that a kill at any moment leaves one of the two, whole.
    """
    kept = [line + b"\n" for line in path.read_bytes().splitlines() if _step(line) <= last]
    with atomic(path, "wb") as file:
        file.write(b"".join(kept))
    return kept


def _step(line: bytes) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
