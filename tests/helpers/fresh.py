"""A fresh interpreter for some lines of code: forked from one that has imported what verl imports, and nothing of verl.

To import that much takes four of the five seconds of `import verl`, in each of many tests.
"""

import os
import tempfile
from multiprocessing import get_context
from pathlib import Path
from subprocess import CompletedProcess

FORKED = get_context("forkserver")
FORKED.set_forkserver_preload(["torch", "transformers", "tensordict", "ray", "pandas"])


def run(code: str, **environment: str) -> "CompletedProcess[str]":
    """What `python -c` would say and end with, with these variables beside those of this process."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("out", "err")]
        process = FORKED.Process(target=_run, args=(code, {**os.environ, **environment}, files))
        process.start()
        process.join()
        out, errors = (file.read_text(encoding="utf-8") for file in files)
    return CompletedProcess(code, process.exitcode or 0, out, errors)


def _run(code: str, environment: dict[str, str], files: list[Path]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    for number, file in enumerate(files, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), number)
    exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
