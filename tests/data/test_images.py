"""Pictures as datasets hold them: every mode, rotated, animated, broken, and made to hurt."""

import io
import os
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mixed_r1_verl.core.rows import RowError
from mixed_r1_verl.data.images import MAX_SOURCE_PIXELS, cell_bytes, opened, read_image_file, store_image, write_image


def encode(image: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def picture(mode: str = "RGB", size=(40, 20)) -> Image.Image:
    """Left half red, right half blue."""
    image = Image.new("RGB", size, (255, 0, 0))
    image.paste((0, 0, 255), (size[0] // 2, 0, *size))
    return image.convert(mode)


def decoded(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@pytest.mark.parametrize(
    ("data", "format"),
    [
        (encode(picture(), "JPEG"), "JPEG"),
        (encode(picture("L"), "JPEG"), "JPEG"),
        (encode(picture(), "PNG"), "PNG"),
        (encode(picture("L"), "PNG"), "PNG"),
        (encode(picture("P"), "PNG"), "PNG"),
        (encode(picture("RGBA"), "PNG"), "PNG"),
        (encode(picture(), "WEBP"), "WEBP"),
    ],
    ids=["jpeg", "grey_jpeg", "png", "grey_png", "palette_png", "opaque_rgba", "webp"],
)
def test_plain_pictures_are_kept_byte_for_byte(data, format):
    stored = store_image(data)
    assert stored == (data, format, 40, 20, 40, 20, False)


@pytest.mark.parametrize(
    ("data", "format"),
    [
        (encode(picture("CMYK"), "JPEG"), "JPEG"),
        (encode(picture("1"), "PNG"), "PNG"),
        (encode(picture("LA"), "PNG"), "PNG"),
        (encode(picture("P"), "GIF"), "PNG"),
        (encode(picture(), "BMP"), "PNG"),
        (encode(picture(), "TIFF"), "PNG"),
        (encode(picture(), "PPM"), "PNG"),
        (encode(picture("L"), "PPM"), "PNG"),
        (encode(picture(), "MPO", save_all=True, append_images=[picture()]), "JPEG"),
        (encode(picture("CMYK"), "TIFF"), "PNG"),
        (encode(picture(), "PNG", transparency=(1, 2, 3)), "PNG"),
    ],
    ids=["cmyk_jpeg", "1", "la", "gif", "bmp", "tiff", "ppm", "pgm", "mpo", "cmyk_tiff", "colour_key"],
)
def test_other_pictures_become_rgb(data, format):
    stored = store_image(data)
    assert (stored.format, stored.width, stored.height, stored.changed) == (format, 40, 20, True)
    image = decoded(stored.data)
    assert image.mode == "RGB"
    wanted = np.asarray(decoded(data).convert("RGB"), dtype=int)
    assert np.abs(np.asarray(image, dtype=int) - wanted).mean() < 4


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_transparent_pixels_are_white(format):
    image = Image.new("RGBA", (4, 4), (200, 0, 0, 0))
    image.putpixel((0, 0), (200, 0, 0, 255))
    stored = decoded(store_image(encode(image, format, **({"lossless": True} if format == "WEBP" else {}))).data)
    assert stored.getpixel((0, 0)) == (200, 0, 0)
    assert stored.getpixel((3, 3)) == (255, 255, 255)


def test_palette_transparency_is_white():
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 200, 0, 0])
    image.putpixel((0, 0), 0)
    stored = decoded(store_image(encode(image, "PNG", transparency=0)).data)
    assert (stored.getpixel((0, 0)), stored.getpixel((1, 1))) == ((255, 255, 255), (200, 0, 0))


def test_sixteen_bit_grey_keeps_its_range():
    values = np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8)
    stored = decoded(store_image(encode(Image.fromarray(values), "PNG")).data)
    assert stored.mode == "RGB"
    assert stored.getpixel((0, 0)) == (0, 0, 0)
    assert stored.getpixel((7, 7)) == (255, 255, 255)
    assert abs(stored.getpixel((0, 4))[0] - 129) <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_exif_rotation_is_applied(orientation, format):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = store_image(encode(picture(), format, exif=exif))
    assert (stored.width, stored.height) == ((40, 20) if orientation <= 4 else (20, 40))
    assert decoded(stored.data).getexif().get(0x0112, 1) == 1
    # Where the red half lies once the picture is upright, by the EXIF standard.
    red_at = {1: (5, 10), 2: (35, 10), 3: (35, 10), 4: (5, 10), 5: (10, 5), 6: (10, 5), 7: (10, 35), 8: (10, 35)}
    red, _, blue = decoded(stored.data).getpixel(red_at[orientation])
    assert red > 200 and blue < 60


def test_first_frame_of_an_animation():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((255, 0, 0), (0, 255, 0))]
    for format in ("GIF", "PNG", "WEBP"):
        options = {"lossless": True} if format == "WEBP" else {}
        data = encode(frames[0], format, save_all=True, append_images=frames[1:], **options)
        stored = store_image(data)
        assert stored.format == "PNG" and stored.changed
        assert decoded(stored.data).getpixel((4, 4)) == (255, 0, 0)
        assert getattr(decoded(stored.data), "n_frames", 1) == 1


@pytest.mark.parametrize(("size", "limit"), [((40, 20), 200), ((1000, 10), 100), ((3, 400), 50)])
def test_reduced_to_max_pixels(size, limit):
    stored = store_image(encode(picture(size=size), "PNG"), max_pixels=limit)
    assert stored.width * stored.height <= limit
    assert (stored.source_width, stored.source_height) == size
    assert decoded(stored.data).size == (stored.width, stored.height)


def test_not_enlarged():
    data = encode(picture(), "PNG")
    assert store_image(data, max_pixels=10**6).data == data


def png_of_size(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header promises many pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def text_bomb() -> bytes:
    """A sound PNG with a text chunk that unpacks to 80 MiB."""
    body = b"key\0\0" + zlib.compress(b"a" * (80 << 20))
    chunk = struct.pack(">I", len(body)) + b"zTXt" + body + struct.pack(">I", zlib.crc32(b"zTXt" + body))
    whole = encode(picture(), "PNG")
    return whole[:33] + chunk + whole[33:]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "image_empty"),
        (b"<html>not found</html>", "image_broken"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "image_broken"),
        (encode(picture(size=(400, 300)), "JPEG")[:-600], "image_broken"),
        (encode(Image.effect_noise((64, 64), 50), "PNG")[:-900], "image_broken"),
        (encode(picture(), "PNG")[:20], "image_broken"),
        (encode(picture(), "GIF")[:30], "image_broken"),
        (png_of_size(9000, 9000), "image_broken"),
        (png_of_size(20_000, 20_000), "image_too_large"),
        (png_of_size(10_500, 10_500), "image_too_large"),
        (png_of_size(0, 10), "image_broken"),
        (encode(Image.new("RGB", (402, 2)), "PNG"), "image_aspect"),
        (text_bomb(), "image_broken"),
    ],
    ids=[
        "empty",
        "html",
        "eps",
        "truncated_jpeg",
        "truncated_png",
        "header_only",
        "truncated_gif",
        "too_few_pixels",
        "bomb",
        "just_too_large",
        "no_width",
        "ribbon",
        "text_chunk_bomb",
    ],
)
def test_refused(data, reason):
    with pytest.raises(RowError) as caught:
        store_image(data)
    assert caught.value.reason == reason


def test_limit_is_above_any_published_picture():
    assert MAX_SOURCE_PIXELS >= 50_000_000


def test_folder_in_place_of_a_file(tmp_path):
    with pytest.raises(RowError) as caught:
        read_image_file(tmp_path)
    assert caught.value.reason == "image_unreadable"


def test_written_once_under_its_content(tmp_path):
    stored = store_image(encode(picture(), "PNG"))
    first, again = write_image(tmp_path, stored), write_image(tmp_path, stored)
    assert first == again and first.is_absolute() and first.read_bytes() == stored.data
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [first]


@pytest.mark.parametrize("format", ["EPS", "PDF", "ICNS", "PCX", "TGA"])
def test_what_has_no_place_in_a_dataset_is_not_opened(format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """EPS would be handed to Ghostscript."""
    monkeypatch.setattr("subprocess.check_call", lambda *_, **__: pytest.fail("a program was started"))
    data = encode(Image.new("RGB", (32, 32)), format)
    with pytest.raises(RowError, match=r"image_broken .*cannot identify"), opened(data):
        pass


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    """A pipe would wait for whoever writes into it, and /dev/zero has no end."""
    os.mkfifo(tmp_path / "pipe")
    for path in (
        tmp_path / "pipe",
        tmp_path,
        Path("/dev/zero"),
        tmp_path / ("a" * 5000),
        tmp_path / "\0",
        tmp_path / "no",
    ):
        with pytest.raises(RowError, match="image_unreadable"):
            read_image_file(path)


def test_a_path_must_lie_in_the_folders_that_were_given(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "a.png").write_bytes(encode(picture(), "PNG"))
    (inside / "link.png").symlink_to(outside / "a.png")
    assert cell_bytes({"path": "a.png"}, roots=[inside]) == (outside / "a.png").read_bytes()
    assert cell_bytes({"image": f"file://{outside}/a.png"}, roots=[inside, outside])
    for escape in ("../outside/a.png", str(outside / "a.png"), "link.png", "/etc/passwd"):
        with pytest.raises(RowError, match="path_escape"):
            cell_bytes({"image": escape}, roots=[inside])


@pytest.mark.parametrize("cell", [None, {}, 7, [], "", {"bytes": b""}, {"image": 7}, {"bytes": "text", "path": None}])
def test_a_cell_without_a_picture(cell: object) -> None:
    with pytest.raises(RowError, match="image_empty"):
        cell_bytes(cell)


def test_a_small_picture_takes_no_room_for_the_largest(tmp_path):
    """To make 128 MiB ready took 35 of the 50 microseconds in which a picture of 7 kB is read."""
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    tracemalloc.start()
    read_image_file(tmp_path / "a.png")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20
