"""The shell that the commands share: settings, progress, exit codes, errors on one line."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mixed_r1_verl.core.config import ConfigError
from mixed_r1_verl.core.rows import DataError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

OK, FAILED, BAD_USAGE, INTERRUPTED = 0, 1, 2, 130


TrustConfig = Annotated[
    bool,
    typer.Option(
        "--trust-config", help="Use the run's configuration: it may name files, code to import, addresses to call."
    ),
]


Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A key of the reward block, repeatable: chart.tolerance=0.1"),
]
EmbeddingModel = Annotated[
    str | None, typer.Option(help="Model whose input embeddings the open-ended reward reads; default: built in.")
]
PrintedAs = Annotated[Literal["table", "json"], typer.Option("--format", help="How the result is printed.")]


def parse_settings(settings: Sequence[str] | None, **options: Any) -> dict[str, Any]:
    """`KEY=VALUE` settings with dotted keys as a nested mapping; a value that is JSON is read as such.

    Args:
        settings: of the command line, None for none.
        **options: keys that have options of their own; None where one was not given.

    Raises:
        ConfigError: for a setting without `=`, or one that contradicts another.

    >>> parse_settings(["open_ended.variant=bmas", "format_weight=0.2"])
    {'open_ended': {'variant': 'bmas'}, 'format_weight': 0.2}
    """
    result: dict[str, Any] = {}
    for setting in settings or ():
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
    return result | {name: value for name, value in options.items() if value is not None}


def merge(block: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A nested mapping with some of its keys changed, also within its own mappings.

    >>> merge({"iou": {"mode": "raw", "threshold": 0.5}}, {"iou": {"mode": "giou"}})
    {'iou': {'mode': 'giou', 'threshold': 0.5}}
    """
    merged = dict(block)
    for key, value in changes.items():
        own = merged.get(key)
        merged[key] = merge(own, value) if isinstance(own, Mapping) and isinstance(value, Mapping) else value
    return merged


def progress_bar(*columns: Any) -> "Progress":
    """A bar on standard error: rows done, the time that is left, further columns; silent where that is no terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = terminal(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        *columns,
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    r"""A text in which nothing commands a terminal: control characters are written out, as JSON does.

    >>> print(visible("\x1b]0;owned\x07 is \u202edesrever"))
    \u001b]0;owned\u0007 is \u202edesrever
    """
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def terminal(**options: Any) -> "Console":
    """A console of rich, with its options, for texts out of files that strangers wrote: see `visible`."""
    from rich.console import Console

    class Terminal(Console):
        def render_str(self, text: str, **how: Any) -> Any:
            return super().render_str(visible(text), **how)

    return Terminal(**options)


def say(message: object, style: str | None = None) -> None:
    """Print to standard error, as it is: no markup, no wrapping."""
    terminal(stderr=True, soft_wrap=True).print(str(message), style=style, markup=False, highlight=False)


def print_json(data: object) -> None:
    """Print plain data to standard output as JSON."""
    typer.echo(visible(json.dumps(data, indent=2, ensure_ascii=False)))


@contextmanager
def command_errors(*usage: type[Exception], interrupted: str = "interrupted; nothing was written") -> Iterator[None]:
    """Errors of a command as one line and an exit code.

    Exit code 2 for `ConfigError`, `DataError` and what else says that the command was asked for something that cannot
    be done (`usage`); 1 for `OSError` and `RuntimeError` (a full disk, a process that does not start); 130 for Ctrl-C,
    at which `interrupted` is said.
    """
    try:
        yield
    except (*usage, ConfigError, DataError) as error:  # type: ignore[misc]
        say(f"error: {error}")
        raise typer.Exit(BAD_USAGE) from error
    except typer.Exit:  # is a RuntimeError
        raise
    except (OSError, RuntimeError) as error:
        say(f"error: {error}")
        raise typer.Exit(FAILED) from error
    except KeyboardInterrupt:
        say(interrupted)
        raise typer.Exit(INTERRUPTED) from None


@contextmanager
def resumable(output: Path) -> Iterator[None]:
    """Long work that writes `output` and goes on where it was interrupted; what ends it is a failure, exit code 1."""
    again = "run the same command again to go on"
    with command_errors(interrupted=f"interrupted; {again}"):
        try:
            yield
        except DataError as error:
            raise RuntimeError(error) from error
        except OSError as error:  # a full disk, a folder that was taken away
            raise OSError(f"cannot write {output}: {error.strerror or error}; {again}") from error
