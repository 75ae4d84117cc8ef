"""The range of verl versions that this plugin is written for, and the check of it."""

from importlib.metadata import version

from packaging.specifiers import SpecifierSet

SUPPORTED_VERL = SpecifierSet(">=0.9.1,<0.10")


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
            f"verl {installed} is installed, mixed-r1-verl supports verl {SUPPORTED_VERL}: pip install 'verl==0.9.1'"
        )
    return installed
