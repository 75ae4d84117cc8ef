"""Reading one image so that every model sees the same picture that the boxes were drawn on.

Paths and bytes come from strangers. Whoever opens a picture of a dataset does so with `read_picture`, `cell_bytes` and
`opened`: a regular file, of the formats and sizes below, in the folders that were given.

A picture is kept byte for byte when it is a sound single-frame JPEG, PNG or WebP, RGB, grey or with a palette, opaque,
upright and within the pixel limit. Anything else is decoded and written anew: EXIF rotation is applied (image
processors ignore it), transparency is laid on white, CMYK becomes RGB, of an animation the first frame stays, and too
large pictures are reduced.
"""

import hashlib
import io
import math
import os
import stat
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from mixed_r1_verl.core.rows import RowError
from mixed_r1_verl.data.integrity import jpeg_decodes, png_decodes

MAX_FILE_BYTES = 128 << 20
MAX_SOURCE_PIXELS = 100_000_000
# qwen_vl_utils refuses a picture that is more than 200 times as long as it is wide.
MAX_ASPECT = 200

# Formats that are read. Pillow's other readers (EPS calls Ghostscript, PSD, ICNS, …) have no place in a dataset.
# A JPEG of several frames, MPO, is opened as a JPEG.
READ_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
KEEP_FORMATS = ("JPEG", "PNG", "WEBP")
# How to know without decoding that a file decodes, and is opaque.
PROOFS = {"JPEG": jpeg_decodes, "PNG": png_decodes}
EXTENSIONS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
ORIENTATION = 0x0112


class StoredImage(NamedTuple):
    """An image as it goes into a row."""

    data: bytes  # encoded bytes
    format: str  # `JPEG`, `PNG` or `WEBP`
    # width, height: size in pixels of what is stored, upright
    width: int
    height: int
    # source_width, source_height: size in pixels, upright, before it was reduced
    source_width: int
    source_height: int
    changed: bool  # whether the bytes differ from the source's


def read_picture(path: Path, field: str = "image") -> bytes:
    """The bytes of a picture's file.

    Raises:
        RowError: `image_unreadable` for what is no regular file, or `image_too_large`.
    """
    try:
        # Opening a pipe would wait for a writer, and a device has no end.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise RowError(field, "image_unreadable", f"{path.name[:120]!r}: not a file")
            if status.st_size > MAX_FILE_BYTES:
                raise RowError(field, "image_too_large", f"{status.st_size} bytes, limit {MAX_FILE_BYTES}")
            return file.read(status.st_size)  # as much room as is asked for is made before anything is read
    except RowError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte, or half of a surrogate pair
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise RowError(field, "image_unreadable", f"{path.name[:120]!r}: {reason}") from None


def cell_bytes(cell: Any, field: str = "image", roots: Sequence[Path] | None = None) -> bytes:
    """The encoded bytes of a cell of the `images` column, in the forms that verl reads: bytes, else a path.

    Args:
        cell: of the column.
        field: named in errors.
        roots: folders in which a path must lie, links followed; relative paths are in the first. None: anywhere.

    Raises:
        RowError: `image_empty`, `path_escape`, or as `read_picture`.
    """
    while isinstance(cell, Mapping):
        data = cell.get("bytes")
        if isinstance(data, bytes) and data:
            return data
        cell = cell.get("image") or cell.get("path")
    if not isinstance(cell, str) or not cell:
        raise RowError(field, "image_empty", "neither bytes nor a path")
    path = Path(cell.removeprefix("file://"))
    if roots is not None:
        path = Path(os.path.realpath(roots[0] / path)) if "\0" not in cell else path
        if not any(path.is_relative_to(os.path.realpath(root)) for root in roots):
            raise RowError(field, "path_escape", f"{cell[:120]!r} is not in the folders that were given")
    return read_picture(path, field)


@contextmanager
def opened(data: bytes, field: str = "image") -> Iterator[Image.Image]:
    """A picture out of its encoded bytes, not yet decoded.

    Raises:
        RowError: `image_too_large`, `image_empty` or `image_broken`, also for what is raised within.
    """
    if not data:
        raise RowError(field, "image_empty")
    if len(data) > MAX_FILE_BYTES:
        raise RowError(field, "image_too_large", f"{len(data)} bytes, limit {MAX_FILE_BYTES}")
    # Pillow's readers raise many kinds of exception on broken bytes (OSError, SyntaxError, ValueError, struct.error,
    # IndexError, ZeroDivisionError, …) and new ones with every release.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=READ_FORMATS) as image:
                if image.width * image.height > MAX_SOURCE_PIXELS:
                    size = f"{image.width}x{image.height} pixels, limit {MAX_SOURCE_PIXELS}"
                    raise RowError(field, "image_too_large", size)
                yield image
    except (RowError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise RowError(field, "image_too_large", str(error)[:200]) from None
    except Exception as error:
        raise RowError(field, "image_broken", f"{type(error).__name__}: {error}"[:200]) from None


def read_image_file(path: Path, *, max_pixels: int | None = None, field: str = "image") -> StoredImage:
    """Reads an image file; see `store_image`.

    Raises:
        RowError: `image_unreadable`, `image_too_large`, `image_empty`, `image_broken` or `image_aspect`.
    """
    return store_image(read_picture(path, field), max_pixels=max_pixels, field=field)


def store_image(data: bytes, *, max_pixels: int | None = None, field: str = "image") -> StoredImage:
    """Checks encoded bytes and makes of them what is stored.

    Args:
        data: an encoded image.
        max_pixels: pictures of more pixels are reduced to at most that many, shape kept; None is no limit.

    Raises:
        RowError: `image_too_large`, `image_empty`, `image_broken` or `image_aspect`.

    >>> buffer = io.BytesIO()
    >>> Image.new("CMYK", (8, 4)).save(buffer, "JPEG")
    >>> stored = store_image(buffer.getvalue(), max_pixels=8)
    >>> stored.width, stored.height, stored.source_width, stored.changed
    (4, 2, 8, True)
    """
    with opened(data, field) as image:
        width, height = image.size
        if max(width, height) > MAX_ASPECT * min(width, height):
            raise RowError(field, "image_aspect", f"{width}x{height}, limit {MAX_ASPECT}:1")
        if (max_pixels is None or width * height <= max_pixels) and _is_plain(data, image):
            return StoredImage(data, image.format or "", width, height, width, height, changed=False)
        image.seek(0)
        upright = ImageOps.exif_transpose(image)
        return _encoded(_to_rgb(upright), image.format or "", max_pixels)


def _encoded(picture: Image.Image, source_format: str, max_pixels: int | None) -> StoredImage:
    width, height = picture.size
    if max_pixels is not None and width * height > max_pixels:
        scale = math.sqrt(max_pixels / (width * height))
        columns, rows = max(1, math.floor(width * scale)), max(1, math.floor(height * scale))
        small = (min(columns, max(1, max_pixels // rows)), min(rows, max(1, max_pixels // columns)))
        picture = picture.resize(small, Image.Resampling.LANCZOS)
    # A JPEG stays one (a lossless copy would be several times as large); whatever was lossless stays lossless.
    target = "JPEG" if source_format in ("JPEG", "MPO") else "PNG"
    buffer = io.BytesIO()
    if target == "JPEG":
        picture.save(buffer, "JPEG", quality=95, subsampling=0)
    else:
        picture.save(buffer, "PNG")
    return StoredImage(buffer.getvalue(), target, *picture.size, width, height, changed=True)


def _is_plain(data: bytes, image: Image.Image) -> bool:
    """Whether the bytes can be kept as they are; makes sure that they decode to the end of the picture.

    Raises:
        Exception: whatever Pillow raises on broken bytes.
    """
    if (
        image.format not in KEEP_FORMATS
        or image.mode not in ("RGB", "L", "P", "RGBA")
        or "transparency" in image.info
        or getattr(image, "n_frames", 1) != 1
    ):
        return False
    proven = image.format in PROOFS and PROOFS[image.format](data)
    # PNG's own getexif decodes the picture, since a rotation may stand behind the pixels; a proven file has none there.
    exif = Image.Image.getexif(image) if proven else image.getexif()
    if exif.get(ORIENTATION, 1) not in (0, 1):
        return False
    if proven:
        return True
    if image.format == "JPEG":
        # The entropy-coded data is read to its end whatever the scale; an eighth saves most of the arithmetic.
        image.draft("L", (max(1, image.width // 8), max(1, image.height // 8)))
    image.load()
    return image.mode != "RGBA" or image.getchannel("A").getextrema() == (255, 255)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        values = np.nan_to_num(np.asarray(image, dtype=np.float64))
        top = 65535.0 if values.max(initial=0.0) > 255 else 255.0
        return Image.fromarray((values.clip(0, top) * (255.0 / top)).round().astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        white = Image.new("RGB", image.size, (255, 255, 255))
        white.paste(layer, mask=layer.getchannel("A"))
        return white
    return image.convert("RGB")


def write_image(folder: Path, image: StoredImage) -> Path:
    """Writes an image under a name made of its content, once, and atomically; returns its absolute path.

    The same picture asked for by many rows is stored once.
    """
    digest = hashlib.sha256(image.data).hexdigest()
    path = folder.absolute() / digest[:2] / f"{digest[:32]}.{EXTENSIONS[image.format]}"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as handle:
            handle.write(image.data)
        Path(handle.name).chmod(0o644)
        Path(handle.name).replace(path)
    return path
