"""What several commands take on their command line."""

import json
from collections.abc import Sequence
from enum import Enum
from typing import Any

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
