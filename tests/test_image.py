# SPDX-License-Identifier: MIT
from __future__ import annotations

import errno
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from fastsoft import ImageReadError, read_image, to_float, write_png

GREY, RGB, GREY_ALPHA, RGB_ALPHA = 0, 2, 4, 6


def png_bytes(samples, colour_type, *, chunks=(), size=None):
    """Encode 8-bit or 16-bit samples (H, W, C) as PNG, every row filtered with the Paeth or no predictor in turn."""
    height, width, channels = samples.shape
    data = samples.astype(samples.dtype.newbyteorder(">")).view(np.uint8).reshape(height, -1).astype(np.int64)
    step = channels * samples.dtype.itemsize
    rows = []
    for r in range(height):
        if r % 2 == 0:
            rows.append(bytes([0, *data[r]]))
            continue
        left = np.concatenate([np.zeros(step, int), data[r][:-step]])
        up = data[r - 1]
        corner = np.concatenate([np.zeros(step, int), up[:-step]])
        distances = np.abs(np.stack([up - corner, left - corner, left + up - 2 * corner]))
        predictor = np.choose(distances.argmin(axis=0), [left, up, corner])
        rows.append(bytes([4, *((data[r] - predictor) % 256)]))

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    w, h = size or (width, height)
    header = struct.pack(">IIBBBBB", w, h, 8 * samples.dtype.itemsize, colour_type, 0, 0, 0)
    parts = [chunk(b"IHDR", header), *(chunk(*pair) for pair in chunks)]
    parts += [chunk(b"IDAT", zlib.compress(b"".join(rows))), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("colour_type", [GREY, RGB, GREY_ALPHA, RGB_ALPHA])
@pytest.mark.parametrize("bits", [8, 16])
def test_png_samples_keep_their_precision(rng, tmp_path, colour_type, bits):
    channels = {GREY: 1, RGB: 3, GREY_ALPHA: 2, RGB_ALPHA: 4}[colour_type]
    top = 2**bits - 1
    samples = rng.integers(0, top + 1, (7, 5, channels)).astype(f"uint{bits}")
    path = tmp_path / "a.png"
    path.write_bytes(png_bytes(samples, colour_type))
    expected = samples.astype(np.float64) / top
    if channels in (2, 4):
        alpha = expected[:, :, -1:]
        expected = expected[:, :, :-1] * alpha + (1 - alpha)
    image = read_image(path)
    assert image.shape == (7, 5, 3)
    assert image.dtype == np.float32
    assert image.flags.c_contiguous
    np.testing.assert_allclose(image, np.broadcast_to(expected, (7, 5, 3)), atol=2e-7)


def test_16_bit_png_with_a_transparent_colour(tmp_path):
    samples = np.full((2, 3, 3), 1000, dtype=np.uint16)
    samples[0, 1] = (1000, 1001, 1000)
    path = tmp_path / "key.png"
    path.write_bytes(png_bytes(samples, RGB, chunks=[(b"tRNS", struct.pack(">HHH", 1000, 1000, 1000))]))
    expected = np.ones((2, 3, 3))
    expected[0, 1] = samples[0, 1] / 65535
    np.testing.assert_allclose(read_image(path), expected, atol=1e-7)


@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_tiff(rng, tmp_path, order):
    samples = rng.integers(0, 65536, (6, 4, 3)).astype(np.uint16)
    body = samples.astype(f"{order}u2").tobytes()
    # Baseline TIFF: header, pixels, three 16-bit sample sizes, one directory.
    tags = [
        (256, 3, 1, 4), (257, 3, 1, 6), (258, 3, 3, 8 + len(body)), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 8),
        (277, 3, 1, 3), (278, 3, 1, 6), (279, 4, 1, len(body)),
    ]  # fmt: skip
    directory = struct.pack(f"{order}H", len(tags))
    for tag, kind, count, value in tags:
        packed = struct.pack(f"{order}HH", value, 0) if kind == 3 and count == 1 else struct.pack(f"{order}I", value)
        directory += struct.pack(f"{order}HHI", tag, kind, count) + packed
    mark = b"II*\0" if order == "<" else b"MM\0*"
    offset = 8 + len(body) + 6
    content = mark + struct.pack(f"{order}I", offset) + body + struct.pack(f"{order}HHH", 16, 16, 16)
    path = tmp_path / "a.tif"
    path.write_bytes(content + directory + bytes(4))
    np.testing.assert_allclose(read_image(path), samples / 65535.0, atol=1e-7)


def test_16_bit_compressed_tiff(rng, tmp_path):
    tifffile = pytest.importorskip("tifffile")
    samples = rng.integers(0, 65536, (60, 40, 3)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="rgb", compression="zlib", rowsperstrip=16)
    np.testing.assert_allclose(read_image(tmp_path / "a.tif"), samples / 65535.0, atol=1e-7)


def test_palette_with_and_without_transparency(tmp_path):
    palette = Image.new("P", (3, 2))
    palette.putpalette([255, 0, 0, 0, 255, 0, 10, 20, 30])
    palette.putdata([0, 1, 2, 2, 1, 0])
    colours = np.array([[255, 0, 0], [0, 255, 0], [10, 20, 30]]) / 255
    index = np.array([[0, 1, 2], [2, 1, 0]])
    palette.save(tmp_path / "p.png")
    np.testing.assert_allclose(read_image(tmp_path / "p.png"), colours[index], atol=1e-7)
    palette.save(tmp_path / "t.png", transparency=1)
    colours[1] = 1
    np.testing.assert_allclose(read_image(tmp_path / "t.png"), colours[index], atol=1e-7)
    palette.save(tmp_path / "p.gif")
    assert read_image(tmp_path / "p.gif").shape == (2, 3, 3)


def test_bilevel_and_cmyk(tmp_path):
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "b.png")
    np.testing.assert_array_equal(read_image(tmp_path / "b.png")[:, :, 0], [[1, 0]])
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "c.jpg", quality=95)
    np.testing.assert_allclose(read_image(tmp_path / "c.jpg").mean(axis=(0, 1)), [1, 0, 0], atol=0.02)


def test_floating_point_tiff(tmp_path):
    Image.fromarray(np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)).save(tmp_path / "f.tif")
    np.testing.assert_allclose(read_image(tmp_path / "f.tif")[:, :, 1].ravel(), np.linspace(0, 1, 12), atol=1e-7)
    Image.fromarray(np.full((3, 4), 2, dtype=np.float32)).save(tmp_path / "g.tif")
    with pytest.raises(ImageReadError, match=r"g.tif: floating-point samples must lie in \[0, 1\], got \[2, 2\]"):
        read_image(tmp_path / "g.tif")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_exif_orientation(tmp_path, orientation, suffix):
    # Four blocks of different grey: where they end up tells the eight orientations apart.
    upright = np.kron(np.array([[0, 80, 160], [255, 40, 120]], dtype=np.uint8), np.ones((16, 16), dtype=np.uint8))
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[orientation]
    picture = Image.fromarray(np.ascontiguousarray(np.repeat(stored[:, :, None], 3, axis=2)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"o.{suffix}"
    picture.save(path, exif=exif, **({"quality": 100, "subsampling": 0} if suffix == "jpg" else {}))
    image = read_image(path)
    assert image.shape == (32, 48, 3)
    np.testing.assert_allclose(image[:, :, 1], upright / 255, atol=0.02)


def photo_bytes(rng, suffix):
    import io

    stream = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (64, 64, 3)).astype(np.uint8)).save(stream, format=suffix)
    return stream.getvalue()


@pytest.mark.parametrize("suffix", ["png", "jpeg", "tiff", "webp"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_truncated_files_are_refused(rng, tmp_path, suffix, share):
    content = photo_bytes(rng, suffix)
    path = tmp_path / f"cut.{suffix}"
    path.write_bytes(content[: max(1, int(share * len(content)))])
    with pytest.raises(ImageReadError, match=f"cannot read .*cut.{suffix}: "):
        read_image(path)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's own, about metadata it cannot read
@pytest.mark.parametrize("suffix", ["png", "jpeg", "tiff"])
def test_corrupt_files_give_an_image_or_the_error_class(rng, tmp_path, suffix):
    content = photo_bytes(rng, suffix)
    path = tmp_path / f"bad.{suffix}"
    refused = 0
    for _ in range(60):
        damaged = bytearray(content)
        for position in rng.integers(0, min(len(content), 400), 8):
            damaged[position] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            image = read_image(path, max_pixels=10**6)
        except ImageReadError:
            refused += 1
        else:
            assert image.ndim == 3
            assert image.min() >= 0
            assert image.max() <= 1
    assert refused > 10


def test_what_is_no_image_is_refused(tmp_path):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.png").write_text("not a picture")
    for name, reason in [
        ("empty.jpg", "the file is empty"),
        ("text.png", "not an image"),
        ("missing.png", "no such file"),
        (".", "it is a folder"),
    ]:
        with pytest.raises(ImageReadError, match=f"cannot read .*{name}: {reason}"):
            read_image(tmp_path / name if name != "." else tmp_path)


def test_unreadable_file_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    write_png(path, np.zeros((2, 2)))

    def refuse(*_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(ImageReadError, match=r"a\.png: Permission denied"):
        read_image(path)


def test_decompression_bomb_is_refused_from_its_header(tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_bytes(np.zeros((1, 1, 3), dtype=np.uint8), RGB, size=(60000, 60000)))
    with pytest.raises(ImageReadError, match=r"bomb\.png: .*more .*than the limit of 268435456"):
        read_image(path)
    write_png(path, np.zeros((20, 30)))
    with pytest.raises(ImageReadError, match="30x20 pixels are more than the limit of 599"):
        read_image(path, max_pixels=599)
    assert read_image(path, max_pixels=600).shape == (20, 30, 3)
    with pytest.raises(ValueError, match="max_pixels must be at least 1, got 0"):
        read_image(path, max_pixels=0)


def test_limit_of_pillow_is_left_as_it_was(tmp_path):
    before = Image.MAX_IMAGE_PIXELS
    (tmp_path / "text.png").write_text("not a picture")
    with pytest.raises(ImageReadError):
        read_image(tmp_path / "text.png")
    assert before == Image.MAX_IMAGE_PIXELS


def test_to_float():
    np.testing.assert_array_equal(to_float(np.array([0, 255], np.uint8)), np.array([0, 1], np.float32))
    np.testing.assert_array_equal(to_float(np.array([0, 65535], np.uint16)), np.array([0, 1], np.float32))
    np.testing.assert_array_equal(to_float(np.array([False, True])), np.array([0, 1], np.float32))
    double = np.array([0.25])
    assert to_float(double) is double
    assert to_float(double.astype(np.float16)).dtype == np.float32
    with pytest.raises(TypeError, match="uint8, uint16, bool or floating point, got int64"):
        to_float(np.array([1]))


@pytest.mark.parametrize("channels", [None, 3, 4])
def test_write_png_keeps_every_level(tmp_path, channels):
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    array = levels if channels is None else np.stack([levels] * channels, axis=2)
    for given in (array, array / 255, np.asfortranarray((array / 255).astype(np.float32))):
        write_png(tmp_path / "a.png", given)
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), array)
    write_png(tmp_path / "b.png", np.array([[-1.0, 2.0]]))
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "b.png")), [[0, 255]])


def test_write_png_refuses_bad_arrays(tmp_path):
    path = tmp_path / "a.png"
    for bad in (np.zeros(3), np.zeros((2, 2, 2)), np.zeros((0, 2)), np.full((2, 2), np.nan)):
        with pytest.raises(ValueError, match="array must"):
            write_png(path, bad)
    with pytest.raises(TypeError, match="uint8 or floating point, got int64"):
        write_png(path, np.zeros((2, 2), dtype=int))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), KeyboardInterrupt()])
def test_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch, failure):
    path = tmp_path / "a.png"
    write_png(path, np.zeros((2, 2)))
    before = path.read_bytes()

    def fail(self, file, **_):
        file.write(b"half of it")
        raise failure

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(type(failure)):
        write_png(path, np.ones((2, 2)))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.png"]


def test_written_files_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_png(tmp_path / "a.png", np.zeros((2, 2)))
    finally:
        os.umask(before)
    assert (tmp_path / "a.png").stat().st_mode & 0o777 == 0o640


def test_alpha_is_read_when_asked_for(tmp_path):
    rgba = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4) * 10
    Image.fromarray(rgba).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", alpha=True), np.float32(rgba) / 255)
    Image.fromarray(rgba[:, :, :2], "LA").save(tmp_path / "la.png")
    grey = read_image(tmp_path / "la.png", alpha=True)
    np.testing.assert_array_equal(grey, np.float32(rgba[:, :, [0, 0, 0, 1]]) / 255)
    Image.fromarray(rgba[:, :, :3]).save(tmp_path / "rgb.png")
    opaque = read_image(tmp_path / "rgb.png", alpha=True)
    np.testing.assert_array_equal(opaque[:, :, :3], np.float32(rgba[:, :, :3]) / 255)
    assert (opaque[:, :, 3] == 1).all()
