"""Whether an encoded picture will decode to its end, found out without computing its pixels.

Decoding every picture of a dataset only to learn that it can be decoded costs several times what it costs to copy it.
For the two common cases, single-scan JPEG and PNG without interlacing, a cheaper proof exists. Both functions say yes
only where it is complete; for everything else the caller decodes.
"""

import io
import re
import struct

import deflate
import numpy as np
from PIL import Image

# A marker inside entropy-coded data: 0xFF followed by neither a stuffed zero nor a restart marker.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7]")
_SCAN, _END_OF_IMAGE = 0xDA, b"\xff\xd9"
# Frame headers of baseline and extended sequential JPEG; progressive and arithmetic ones are left to the decoder.
_SEQUENTIAL, _OTHER_FRAMES = (0xC0, 0xC1), (0xC2, 0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))

_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 6: 4}


def jpeg_decodes(data: bytes) -> bool:
    """Whether a JPEG is sequential, has one scan, and is sound up to its end marker.

    A decoder of the libjpeg family fails on faulty segments before the scan, and on data that end before the end
    marker; faults within the scan cost pixels, never the picture. So the segments are given to the decoder with an
    empty scan, and of the scan only the markers are looked at.

    Args:
        data: bytes that Pillow opened as JPEG.

    Returns:
        True where decoding cannot fail; False where only decoding can tell.
    """
    scan = _scan_start(data)
    if scan is None:
        return False
    found = _MARKER.search(data, scan)
    if found is None or found.group() != _END_OF_IMAGE:
        return False
    try:
        with Image.open(io.BytesIO(data[:scan] + _END_OF_IMAGE), formats=("JPEG",)) as image:
            image.draft("L", (max(1, image.width // 8), max(1, image.height // 8)))
            image.load()
    except Exception:  # the caller decodes in full and reports what the decoder says
        return False
    return True


def _scan_start(data: bytes) -> int | None:
    """Where the entropy-coded data of a sequential JPEG start; None where there is no such place."""
    position, sequential = 2, False
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker in _OTHER_FRAMES:
            return None
        sequential |= marker in _SEQUENTIAL
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if marker == _SCAN:
            return position if sequential else None
    return None


def png_decodes(data: bytes) -> bool:
    """Whether a PNG of 8 bits (or a palette), not interlaced and not animated, is sound up to its last row.

    Checks every chunk's checksum, unpacks the pixel data into exactly the room that the header states, and looks at
    the filter type of each row; what is left to a decoder then is arithmetic. An alpha channel must be opaque in all
    pixels, so that nobody sees another picture by leaving it out.

    Args:
        data: bytes that Pillow opened as PNG; its size is within the limits.

    Returns:
        True where decoding cannot fail; False where only decoding can tell.
    """
    if data[8:16] != b"\0\0\0\rIHDR" or len(data) < 33:
        return False
    width, height, depth, kind, *methods = struct.unpack(">IIBBBBB", data[16:29])
    if kind not in _PNG_CHANNELS or any(methods) or (depth != 8 and not (kind == 3 and depth in (1, 2, 4))):
        return False
    packed = _pixel_data(data)
    if packed is None:
        return False
    row_bytes = 1 + (width * _PNG_CHANNELS[kind] * depth + 7) // 8
    try:
        rows = np.frombuffer(deflate.zlib_decompress(packed, height * row_bytes), np.uint8)
    except (deflate.DeflateError, ValueError, MemoryError):
        return False
    if rows.size != height * row_bytes:
        return False
    rows = rows.reshape(height, row_bytes)
    if rows[:, 0].max(initial=0) > 4:
        return False
    return kind != 6 or _opaque(rows)


def _pixel_data(data: bytes) -> bytes | None:
    """The joined content of the IDAT chunks; None for a file with a fault, an animation, or anything after them."""
    view, position = memoryview(data), 8
    parts: list[memoryview] = []
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        body, end = position + 8, position + 8 + length
        name = data[position + 4 : body]
        if end + 4 > len(data) or deflate.crc32(view[position + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            return None
        if name == b"IDAT":
            parts.append(view[body:end])
        elif name == b"IEND":
            return b"".join(parts) if parts else None
        elif parts or name == b"acTL" or (name == b"IHDR" and position > 8):
            return None
        position = end + 4
    return None


def _opaque(rows: np.ndarray) -> bool:
    """Whether all alpha values of filtered RGBA rows (filter type, then the bytes of the pixels) are 255.

    If all neighbours are 255, a filter predicts 255 (of Average: half of that at a border, where a neighbour is 0), so
    the stored difference of an opaque pixel is a constant of filter and border; by induction from the first pixel on,
    the alpha channel is opaque just where all differences are these constants.
    """
    # By filter type (None, Sub, Up, Average, Paeth): the first row's first pixel and others, then the later rows'.
    first_row = np.array([[255, 255], [255, 0], [255, 255], [255, 128], [255, 0]], np.uint8)
    later_rows = np.array([[255, 255], [255, 0], [0, 0], [128, 0], [0, 0]], np.uint8)
    wanted = later_rows[rows[:, 0]]
    wanted[0] = first_row[rows[0, 0]]
    alpha = rows[:, 4::4]
    return bool((alpha[:, 0] == wanted[:, 0]).all() and (alpha[:, 1:] == wanted[:, 1:]).all())
