"""The versions with which this package works, each read from where it is declared; `VLLM` is declared here."""

from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

VLLM = SpecifierSet(">=0.24,<0.32")
"""0.24 is what verl pins, 0.32 needs a transformers that verl does not take; `make test-pins`, `make test-newest`."""


class UnsupportedVersionError(RuntimeError):
    """The installed verl is outside the range that this package depends on."""


def declared(distribution: str, dependency: str) -> SpecifierSet:
    """The range in which an installed distribution needs another, by itself or by the extra of its name; any without.

    Where this package was uploaded to a Ray worker instead of installed, nothing is declared.
    """
    try:
        needed = [one for one in map(Requirement, requires(distribution) or ()) if one.name == dependency]
    except PackageNotFoundError:
        needed = []
    asked = (one for one in needed if not one.marker or one.marker.evaluate({"extra": dependency}))
    return next((one.specifier for one in asked), SpecifierSet())


def require_supported_verl() -> None:
    """Raises UnsupportedVersionError when the installed verl is outside the supported range."""
    installed, supported = version("verl"), declared("mixed-r1-verl", "verl")
    if installed not in supported:
        raise UnsupportedVersionError(
            f"verl {installed} is installed, mixed-r1-verl supports verl {supported}: pip install 'verl{supported}'"
        )
