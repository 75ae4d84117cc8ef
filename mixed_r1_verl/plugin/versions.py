"""What is installed, and the versions with which this package works, each read from where it is declared."""

from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

VLLM = SpecifierSet(">=0.24,<0.32")
"""0.24 is what verl pins, 0.32 needs a transformers that verl does not take; `make test-pins`, `make test-newest`."""


class UnsupportedVersionError(RuntimeError):
    """A distribution is missing, or outside the range in which it is supported; `advice` is what to install."""

    def __init__(self, name: str, detail: str, advice: str):
        super().__init__(name, detail, advice)  # so that it can be pickled, and leave a Ray process
        self.detail, self.advice = detail, advice

    def __str__(self) -> str:
        return ": ".join(self.args)


def installed(distribution: str) -> str | None:
    """The version of an installed distribution; None where there is none of this name."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


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


def require(name: str, *others: str) -> str:
    """What is installed of `verl`, `transformers` or `vllm`, in words; `others` are names of other builds of it.

    Raises:
        UnsupportedVersionError: none of them, or a version outside the supported range.
    """
    # Outside verl's own range of transformers its patches of models fail late.
    supported = VLLM if name == "vllm" else declared("mixed-r1-verl" if name == "verl" else "verl", name)
    for build in (name, *others):
        if found := installed(build):
            if found.partition("+")[0] in supported:
                return f"{build} {found} (supported: {supported})"
            detail = f"{found} is not supported (supported: {supported})"
            raise UnsupportedVersionError(build, detail, f"pip install '{build}{supported}'")
    extras = "'mixed-r1-verl[gpu]', or 'mixed-r1-verl[cpu]' without a GPU"
    raise UnsupportedVersionError(
        name, "not installed", f"pip install {extras if others else repr(f'{name}{supported}')}"
    )
