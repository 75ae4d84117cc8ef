"""A picture that is said to decode does: by Pillow, on real encoders' output, cut, altered and made by hand."""

import io
import random
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mixed_r1_verl.data.integrity import jpeg_decodes, png_decodes


def encode(image: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def noise(mode: str = "RGB", size: tuple[int, int] = (67, 45), seed: int = 0) -> Image.Image:
    shape = (size[1], size[0], 3)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8)).convert(mode)


def pillow_decodes(data: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
    except Exception:
        return False
    return True


JPEGS = {
    "plain": encode(noise(), "JPEG"),
    "grey": encode(noise("L"), "JPEG"),
    "fine": encode(noise(), "JPEG", quality=95, subsampling=0),
    "restarts": encode(noise(), "JPEG", restart_marker_blocks=2),
    "optimised": encode(noise(), "JPEG", optimize=True),
}


@pytest.mark.parametrize("name", JPEGS)
def test_sound_jpegs_need_no_decoding(name):
    assert jpeg_decodes(JPEGS[name]) and jpeg_decodes(JPEGS[name] + b"trailing")


@pytest.mark.parametrize("options", [{"progressive": True}], ids=["progressive"])
def test_other_jpegs_are_left_to_the_decoder(options):
    assert not jpeg_decodes(encode(noise(), "JPEG", **options))
    assert not jpeg_decodes(encode(noise(), "JPEG")[:-2])
    assert not jpeg_decodes(b"\xff\xd8\xff\xd9")


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(JPEGS)), st.integers(0, 2**32), st.integers(1, 4), st.floats(0.3, 1))
def test_a_jpeg_said_to_decode_does(name, seed, flips, kept):
    """Random bytes anywhere, and random cuts: whatever is accepted, Pillow decodes."""
    draw = random.Random(seed)
    data = bytearray(JPEGS[name])
    for _ in range(flips):
        data[draw.randrange(len(data))] = draw.randrange(256)
    if draw.random() < 0.3:
        data = data[: int(len(data) * kept)] + (b"\xff\xd9" if draw.random() < 0.5 else b"")
    if jpeg_decodes(bytes(data)):
        assert pillow_decodes(bytes(data))


PNGS = {
    "rgb": encode(noise(), "PNG"),
    "grey": encode(noise("L"), "PNG"),
    "palette": encode(noise("P"), "PNG"),
    "two_colours": encode(Image.new("P", (13, 7)), "PNG", bits=1),
    "opaque_alpha": encode(noise("RGBA"), "PNG"),
    "flat_alpha": encode(Image.new("RGBA", (40, 20), (1, 2, 3, 255)), "PNG"),
}


@pytest.mark.parametrize("name", PNGS)
def test_sound_pngs_need_no_decoding(name):
    assert png_decodes(PNGS[name])


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(rows: bytes, size: tuple[int, int], kind: int = 2, depth: int = 8, methods: bytes = b"\0\0\0") -> bytes:
    header = struct.pack(">IIBB", *size, depth, kind) + methods
    pixels = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


ROWS = (b"\0" + bytes(12)) * 3


@pytest.mark.parametrize(
    "data",
    [
        png(ROWS[:-1], (4, 3)),
        png(ROWS + b"\0", (4, 3)),
        png(b"\5" + ROWS[1:], (4, 3)),
        png(ROWS, (4, 3), methods=b"\0\0\1"),
        png(ROWS, (4, 3))[:-12],
        png(ROWS, (4, 3)).replace(b"IEND", b"IENX"),
        png(ROWS, (4, 3))[:33] + png(ROWS, (40, 30))[8:33] + png(ROWS, (4, 3))[33:],
        png(ROWS, (4, 3))[:33] + chunk(b"acTL", bytes(8)) + png(ROWS, (4, 3))[33:],
        png(ROWS, (4, 3))[:-12] + chunk(b"tEXt", b"a\0b") + png(ROWS, (4, 3))[-12:],
        png(ROWS, (4, 3))[:-1] + b"x",
        encode(noise("I;16"), "PNG"),
        encode(noise("LA"), "PNG"),
        encode(noise(), "PNG", save_all=True, append_images=[noise(seed=1)]),
        b"",
    ],
    ids=[
        "short",
        "long",
        "filter",
        "interlaced",
        "cut",
        "no_end",
        "two_headers",
        "acTL",
        "text_behind",
        "checksum",
        "16_bit",
        "la",
        "animated",
        "empty",
    ],
)
def test_other_pngs_are_left_to_the_decoder(data):
    assert not png_decodes(data)


def test_the_handmade_png_is_sound():
    assert png_decodes(png(ROWS, (4, 3))) and pillow_decodes(png(ROWS, (4, 3)))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(PNGS)), st.integers(0, 2**32))
def test_a_png_said_to_decode_does(name, seed):
    """Altered pixel data under a right checksum, as a faulty or hostile encoder writes them."""
    draw = random.Random(seed)
    start = PNGS[name].index(b"IDAT") + 4
    length = int.from_bytes(PNGS[name][start - 8 : start - 4], "big")
    packed = bytearray(PNGS[name][start : start + length])
    rows = bytearray(zlib.decompress(packed))
    if draw.random() < 0.5:
        rows[draw.randrange(len(rows))] = draw.randrange(256)
        packed = bytearray(zlib.compress(rows[: len(rows) - draw.randrange(3)]))
    else:
        packed[draw.randrange(len(packed))] = draw.randrange(256)
    data = PNGS[name][: start - 8] + chunk(b"IDAT", bytes(packed)) + PNGS[name][start + length + 4 :]
    if png_decodes(data):
        assert pillow_decodes(data)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=6), st.integers(1, 5), st.integers(0, 2**32), st.booleans())
def test_opaque_means_what_pillow_sees(filters, width, seed, opaque):
    """All filter types in any order; the filters are applied here by the words of the PNG standard."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (len(filters), width, 4), np.uint8).astype(int)
    pixels[..., 3] = 255
    if not opaque:
        pixels[rng.integers(len(filters)), rng.integers(width), 3] = rng.integers(255)
    rows = b""
    for y, filter_type in enumerate(filters):
        rows += bytes([filter_type])
        for x in range(width):
            for channel in range(4):
                a = pixels[y, x - 1, channel] if x else 0
                b = pixels[y - 1, x, channel] if y else 0
                c = pixels[y - 1, x - 1, channel] if x and y else 0
                nearest = min((a, b, c), key=lambda value: abs(a + b - c - value))
                predicted = (0, a, b, (a + b) // 2, nearest)[filter_type]
                rows += bytes([(pixels[y, x, channel] - predicted) % 256])
    data = png(rows, (width, len(filters)), kind=6)
    with Image.open(io.BytesIO(data)) as image:
        assert (np.asarray(image) == pixels).all()
    assert png_decodes(data) == opaque
