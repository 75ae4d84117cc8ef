"""Reading one image so that every model sees the same picture that the boxes were drawn on.

A picture is kept byte for byte when it is a sound single-frame JPEG, PNG or WebP, RGB, grey or with a palette, opaque,
upright and within the pixel limit. Anything else is decoded and written anew: EXIF rotation is applied (image
processors ignore it), transparency is laid on white, CMYK becomes RGB, of an animation the first frame stays, and too
large pictures are reduced.
"""

import hashlib
import io
import math
import tempfile
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from mixed_r1_verl.core.rows import RowError
from mixed_r1_verl.data.integrity import jpeg_decodes, png_decodes

MAX_FILE_BYTES = 128 << 20
MAX_SOURCE_PIXELS = 100_000_000
# qwen_vl_utils refuses a picture that is more than 200 times as long as it is wide.
MAX_ASPECT = 200

# Formats that are read. Pillow's other readers (EPS calls Ghostscript, PSD, ICNS, …) have no place in a dataset.
READ_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "MPO", "PPM")
KEEP_FORMATS = ("JPEG", "PNG", "WEBP")
# How to know without decoding that a file decodes, and is opaque.
PROOFS = {"JPEG": jpeg_decodes, "PNG": png_decodes}
EXTENSIONS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
ORIENTATION = 0x0112


class StoredImage(NamedTuple):
    """An image as it goes into a row.

    Attributes:
        data: encoded bytes.
        format: `JPEG`, `PNG` or `WEBP`.
        width, height: size in pixels of what is stored, upright.
        source_width, source_height: size in pixels, upright, before it was reduced.
        changed: whether the bytes differ from the source's.
    """

    data: bytes
    format: str
    width: int
    height: int
    source_width: int
    source_height: int
    changed: bool


def read_image_file(path: Path, *, max_pixels: int | None = None, field: str = "image") -> StoredImage:
    """Reads an image file; see `store_image`.

    Raises:
        RowError: `image_unreadable`, `image_too_large`, `image_empty`, `image_broken` or `image_aspect`.
    """
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise RowError(field, "image_too_large", f"{size} bytes, limit {MAX_FILE_BYTES}")
        data = path.read_bytes()
    except OSError as error:
        raise RowError(field, "image_unreadable", f"{path.name}: {error.strerror}") from None
    return store_image(data, max_pixels=max_pixels, field=field)


def store_image(data: bytes, *, max_pixels: int | None = None, field: str = "image") -> StoredImage:
    """Checks encoded bytes and makes of them what is stored.

    Args:
        data: an encoded image.
        max_pixels: pictures of more pixels are reduced to at most that many, shape kept; None is no limit.

    Raises:
        RowError: `image_too_large`, `image_empty`, `image_broken` or `image_aspect`.

    Example:
        >>> buffer = io.BytesIO()
        >>> Image.new("CMYK", (8, 4)).save(buffer, "JPEG")
        >>> stored = store_image(buffer.getvalue(), max_pixels=8)
        >>> stored.width, stored.height, stored.source_width, stored.changed
        (4, 2, 8, True)
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
            return _store(data, max_pixels, field)
    except (RowError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise RowError(field, "image_too_large", str(error)[:200]) from None
    except Exception as error:
        raise RowError(field, "image_broken", f"{type(error).__name__}: {error}"[:200]) from None


def _store(data: bytes, max_pixels: int | None, field: str) -> StoredImage:
    with Image.open(io.BytesIO(data), formats=READ_FORMATS) as image:
        width, height = image.size
        if width * height > MAX_SOURCE_PIXELS:
            raise RowError(field, "image_too_large", f"{width}x{height} pixels, limit {MAX_SOURCE_PIXELS}")
        if max(width, height) > MAX_ASPECT * min(width, height):
            raise RowError(field, "image_aspect", f"{width}x{height}, limit {MAX_ASPECT}:1")
        source_format = image.format or ""
        if (max_pixels is None or width * height <= max_pixels) and _is_plain(data, image):
            return StoredImage(data, source_format, width, height, width, height, changed=False)
        image.seek(0)
        upright = ImageOps.exif_transpose(image)
        picture = _to_rgb(upright)
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
