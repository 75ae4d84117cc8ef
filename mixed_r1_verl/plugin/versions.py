"""The range of verl versions that this package declares as its dependency, and the check of it."""

from importlib.metadata import requires, version

from packaging.requirements import Requirement

SUPPORTED_VERL = next(
    one.specifier for one in map(Requirement, requires("mixed-r1-verl") or ()) if one.name == "verl" and not one.marker
)


class UnsupportedVersionError(RuntimeError):
    """The installed verl is outside `SUPPORTED_VERL`."""


def require_supported_verl() -> str:
    """Return the installed verl version.

    Raises:
        UnsupportedVersionError: when it is outside the supported range.
    """
    installed = version("verl")
    if installed not in SUPPORTED_VERL:
        raise UnsupportedVersionError(
            f"verl {installed} is installed, mixed-r1-verl supports verl {SUPPORTED_VERL}: "
            f"pip install 'verl{SUPPORTED_VERL}'"
        )
    return installed
