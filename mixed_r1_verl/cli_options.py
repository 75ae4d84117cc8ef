"""What several commands share: options on the command line, the progress bar."""

import json
from collections.abc import Sequence
from enum import Enum
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mixed_r1_verl.rewards.config import ConfigError


class ReportFormat(str, Enum):
    """How the report is printed."""

    table = "table"
    json = "json"


def parse_settings(settings: Sequence[str]) -> dict[str, Any]:
    """`KEY=VALUE` settings with dotted keys as a nested mapping; a value that is JSON is read as such.

    Raises:
        ConfigError: for a setting without `=`, or one that contradicts another.

    Example:
        >>> parse_settings(["open_ended.variant=bmas", "format_weight=0.2"])
        {'open_ended': {'variant': 'bmas'}, 'format_weight': 0.2}
    """
    result: dict[str, Any] = {}
    for setting in settings:
        key, sign, text = setting.partition("=")
        if not sign or not key.strip():
            raise ConfigError(f"--set {setting!r} is not KEY=VALUE")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        *path, last = key.strip().split(".")
        place = result
        for name in path:
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                raise ConfigError(f"--set {setting!r} contradicts an earlier value of {name!r}")
        place[last] = value
    return result


def progress_bar(console: Console) -> Progress:
    """A bar of rows done, with the time that is left; silent where the console is no terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
