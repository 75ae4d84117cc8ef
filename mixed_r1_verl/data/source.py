"""Where raw data lie: in a folder, one file, a package that brings them, or a repository of the hub."""

from collections.abc import Iterable
from pathlib import Path

from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.data.boxes import check_frame
from mixed_r1_verl.data.converter import Converter
from mixed_r1_verl.data.raw import UNTOLD, RawFolder, Told


def open_raw(
    converter: Converter,
    input: Path | None,
    hub: str | None = None,
    image_roots: Iterable[Path] = (),
    told: Told = UNTOLD,
) -> RawFolder:
    """The raw folder that a user names, and what the user says of it.

    Args:
        converter: reads it.
        input: a folder or one record file; None takes what the converter's package brings.
        hub: a dataset repository of the Hugging Face hub in place of `input`.
        image_roots: further folders with pictures.
        told: what the user says of the records.

    Raises:
        DataError: there is no such folder or repository, or the converter cannot be told this.
    """
    converter.check_told(told)
    check_frame(told.box_frame or "pixel")
    roots = tuple(image_roots)
    if input is not None and hub:
        raise DataError("give an input or a repository of the hub, not both")
    if hub:
        folder = _download(hub)
        # Files of a snapshot are links into the blob store beside it.
        return RawFolder(folder, roots, trusted=(folder.parent.parent / "blobs",), told=told)
    if input is None and converter.default_input is not None:
        input = converter.default_input()
    if input is None:
        raise DataError(f"{converter.name} needs --input FOLDER or --hub ID; the data is at {converter.source}")
    if input.is_file():
        return RawFolder(input.parent, roots, only=input.name, told=told)
    return RawFolder(input, roots, told=told)


def _download(repository: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, repo_type="dataset"))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise DataError(f"cannot download dataset {repository!r}: {str(error).splitlines()[0]}") from None
