# SPDX-License-Identifier: MIT
"""Reading photographs as float RGB arrays, and writing PNG files."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoft._checks import check_finite, check_int
from fastsoft._files import atomic_file
from fastsoft.errors import ImageReadError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["DEFAULT_MAX_PIXELS", "photo_files", "read_image", "to_float", "write_png"]

DEFAULT_MAX_PIXELS = 2**28

# Of the files in a folder that are taken for photographs.
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")

# EXIF orientation -> (swap rows with columns first, flip rows, flip columns) that makes the picture upright.
_ORIENTATION = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}
_EXIF_ORIENTATION = 0x0112

# Raw modes in which Pillow keeps one byte of each 16-bit sample, and the mode that keeps the other byte of the same
# file. "N" is the order of the machine.
_OTHER_BYTE = {
    f"{bands};16{order}": f"{bands};16{other}"
    for bands in ("RGB", "RGBA", "RGBX")
    for order, other in (("B", "L"), ("L", "B"), ("N", "B" if sys.byteorder == "little" else "L"))
}

_pillow_limit = threading.Lock()


def read_image(
    path: str | os.PathLike[str], *, max_pixels: int = DEFAULT_MAX_PIXELS, alpha: bool = False
) -> NDArray[np.float32]:
    """Read a photograph as upright RGB.

    Parameters
    ----------
    path : str or path-like
        A file in any format that Pillow reads. Of several frames the first is taken.
    max_pixels : int, default 2**28
        A file whose header declares more pixels is refused before anything is decoded.
    alpha : bool, default False
        Return the alpha as a fourth channel, 1 where the file has none, and colours as they are in the file.

    Returns
    -------
    ndarray, shape (H, W, 3) or (H, W, 4), float32
        RGB in [0, 1], with the file's gamma; colour profiles are not applied. 16-bit samples keep their full precision.
        Grey and palette files become RGB, CMYK is converted without a profile. Without `alpha`, transparent
        pixels are shown as on white paper: what hides under them would otherwise appear as objects. The
        orientation in EXIF data is applied, so H and W are those of the upright picture.

    Raises
    ------
    ImageReadError
        If the file is missing, not an image, truncated, corrupt, or larger than `max_pixels`. The message
        names the file and the reason.

    Notes
    -----
    Memory: at most about 24 bytes per pixel while decoding, 12 in the result.

    Examples
    --------
    >>> import fastsoft, numpy as np, pathlib, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name, "grey.png")
    >>> fastsoft.write_png(path, np.full((4, 6), 0.2))
    >>> image = fastsoft.read_image(path)
    >>> image.shape, image.dtype, round(float(image[0, 0, 0]), 6)
    ((4, 6, 3), dtype('float32'), 0.2)
    >>> folder.cleanup()
    """
    max_pixels = check_int(max_pixels, "max_pixels", low=1)
    name = os.fspath(path)
    try:
        with open(name, "rb") as file:
            if not file.read(1):
                raise ImageReadError(f"cannot read {name}: the file is empty")
            file.seek(0)
            return _decode(file, name, max_pixels, alpha)
    except FileNotFoundError:
        raise ImageReadError(f"cannot read {name}: no such file") from None
    except IsADirectoryError:
        raise ImageReadError(f"cannot read {name}: it is a folder") from None
    except (ImageReadError, MemoryError):
        raise
    except Exception as error:  # decoders meet corrupt files with many kinds of exceptions
        raise ImageReadError(f"cannot read {name}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


@contextlib.contextmanager
def _pixel_limit(max_pixels: int) -> Iterator[None]:
    # Pillow has a global limit of its own, below what a 4K panorama needs; ours is checked right after the header.
    from PIL import Image

    with _pillow_limit, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = max_pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _decode(file: Any, name: str, max_pixels: int, keep_alpha: bool) -> NDArray[np.float32]:
    from PIL import Image, UnidentifiedImageError

    with _pixel_limit(max_pixels):
        try:
            image = Image.open(file)
        except UnidentifiedImageError:
            raise ImageReadError(f"cannot read {name}: not an image, or of an unknown format") from None
        except Image.DecompressionBombError:
            raise ImageReadError(f"cannot read {name}: more pixels than the limit of {max_pixels}") from None
        width, height = image.size
        if width * height > max_pixels:
            raise ImageReadError(f"cannot read {name}: {width}x{height} pixels are more than the limit of {max_pixels}")
        raw_mode = _tile_mode(image.tile[0].args) if image.tile else ""
        if raw_mode in _OTHER_BYTE:
            samples = _sixteen_bit(image, file)
        elif raw_mode == "LA;16B":
            samples = _sixteen_bit_grey_alpha(image)
        else:
            samples = _samples(image)
    if samples.ndim == 2:
        samples = samples[:, :, None]
    transparent = samples.shape[2] in (2, 4)
    alpha = samples[:, :, -1:] if transparent else np.ones_like(samples[:, :, :1])
    if transparent:
        samples = samples[:, :, :-1] if keep_alpha else samples[:, :, :-1] * alpha + (1 - alpha)
    rgb = np.broadcast_to(samples, (*samples.shape[:2], 3))
    if keep_alpha:
        rgb = np.concatenate([rgb, alpha], axis=2)
    # TIFF files are upright by now: Pillow turns them when it loads them.
    swap, flip_rows, flip_columns = _ORIENTATION.get(image.getexif().get(_EXIF_ORIENTATION, 1), (False, False, False))
    if swap:
        rgb = rgb.transpose(1, 0, 2)
    return np.ascontiguousarray(rgb[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1])


def _tile_mode(arguments: Any) -> str:
    """Return how the samples of a tile lie in the file, e.g. "RGB;16B", or "" if that is not told."""
    return arguments if isinstance(arguments, str) else str(arguments[0]) if arguments else ""


def _other_byte(arguments: Any) -> Any:
    mode = _OTHER_BYTE[_tile_mode(arguments)]
    return mode if isinstance(arguments, str) else (mode, *arguments[1:])


def _sixteen_bit(image: Any, file: Any) -> NDArray[np.float32]:
    """Decode the file twice, for the high and for the low bytes: Pillow has no 16-bit RGB mode."""
    from PIL import Image

    samples = np.asarray(image).astype(np.float32)
    samples *= 256
    file.seek(0)
    low = Image.open(file)
    low.tile = [tile._replace(args=_other_byte(tile.args)) for tile in low.tile]
    low.load()
    samples += np.asarray(low)
    key = image.info.get("transparency")
    if isinstance(key, tuple) and samples.shape[2] == len(key):
        opaque = (samples != np.array(key, dtype=np.float32)).any(axis=2)
        samples = np.concatenate([samples, 65535 * opaque[:, :, None].astype(np.float32)], axis=2)
    samples /= 65535
    return samples


def _sixteen_bit_grey_alpha(image: Any) -> NDArray[np.float32]:
    """Decode as if the four bytes of a pixel were 8-bit RGBA."""
    image.tile = [tile._replace(args="RGBA") for tile in image.tile]
    pairs = np.asarray(image).astype(np.float32)
    return (pairs[:, :, 0::2] * 256 + pairs[:, :, 1::2]) / np.float32(65535)


def _samples(image: Any) -> NDArray[np.float32]:
    """Return the pixels of a loaded Pillow image as (H, W) or (H, W, C) floats in [0, 1]."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        values = np.asarray(image)
        if image.mode == "F":
            check_finite(values, "its samples")
            low, high = float(values.min()), float(values.max())
            if low < 0 or high > 1:
                raise ValueError(f"floating-point samples must lie in [0, 1], got [{low:g}, {high:g}]")
            return values.astype(np.float32)
        low, high = int(values.min()), int(values.max())
        if low < 0 or high > 65535:
            raise ValueError(f"integer samples must lie in 0..65535, got {low}..{high}")
        return values.astype(np.float32) / np.float32(65535)
    transparent = image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info
    return np.asarray(image.convert("RGBA" if transparent else "RGB")).astype(np.float32) / np.float32(255)


def to_float(array: Any) -> Any:
    """Convert an array of image samples to floating point in [0, 1].

    Parameters
    ----------
    array : ndarray
        Of any shape. uint8 is divided by 255, uint16 by 65535, booleans become 0 and 1, float16 is widened; float32 and
        float64 are returned as they are.

    Returns
    -------
    ndarray, same shape, float32 or float64

    Raises
    ------
    TypeError
        If the dtype has no agreed range, such as int64 or complex.

    Examples
    --------
    >>> import fastsoft, numpy as np
    >>> fastsoft.to_float(np.array([0, 51, 255], dtype=np.uint8))
    array([0. , 0.2, 1. ], dtype=float32)
    """
    array = np.asarray(array)
    if array.dtype in (np.float32, np.float64):
        return array
    if array.dtype == np.uint8 or array.dtype == np.uint16:
        return array.astype(np.float32) / np.float32(np.iinfo(array.dtype).max)
    if array.dtype == np.bool_ or array.dtype == np.float16:
        return array.astype(np.float32)
    raise TypeError(f"array must have dtype uint8, uint16, bool or floating point, got {array.dtype}")


def photo_files(folder: Path) -> list[Path]:
    """Return the files of a folder that by their names are photographs, sorted."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)


def write_png(path: str | os.PathLike[str], array: Any) -> None:
    """Write an 8-bit PNG file: it appears complete or not at all.

    Parameters
    ----------
    path : str or path-like
        Replaced if it exists.
    array : ndarray, shape (H, W), (H, W, 3) or (H, W, 4), uint8 or floating point
        Grey, RGB, or RGB with straight (not premultiplied) alpha. Floating-point samples are cut to [0, 1] and rounded
        to the nearest of 256 levels.

    Raises
    ------
    ValueError, TypeError
        If the array has another shape or dtype, or holds NaN.
    OSError
        If the file cannot be written. Nothing is left behind.

    Examples
    --------
    >>> import fastsoft, numpy as np, os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fastsoft.write_png(os.path.join(folder, "a.png"), np.zeros((2, 3, 4)))
    ...     print(os.listdir(folder))
    ['a.png']
    """
    from PIL import Image

    array = np.asarray(array)
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or 0 in array.shape:
        raise ValueError(f"array must have shape (H, W), (H, W, 3) or (H, W, 4), got {array.shape}")
    if array.dtype != np.uint8:
        if not np.issubdtype(array.dtype, np.floating):
            raise TypeError(f"array must have dtype uint8 or floating point, got {array.dtype}")
        check_finite(array, "array")
        array = (array.clip(0, 1) * 255 + 0.5).astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(array))
    with atomic_file(path) as file:
        # Level 6 takes twice as long for files a twentieth smaller.
        image.save(file, format="PNG", compress_level=4)
