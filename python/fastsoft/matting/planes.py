# SPDX-License-Identifier: MIT
"""What a matting network may be given besides photograph and trimap: estimates of alpha that it can correct."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoft._arrays import namespace
from fastsoft._checks import check_image
from fastsoft._device import find_device
from fastsoft.matting.closed_form import closed_form_matting
from fastsoft.matting.trimap import BACKGROUND, FOREGROUND, UNKNOWN, check_trimap

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CLOSED_FORM", "COLOR_POSTERIOR", "closed_form_plane", "color_posterior", "extra_planes"]

CLOSED_FORM, COLOR_POSTERIOR = "closed_form", "color_posterior"

# Cells of the colour histograms along an axis, and the deviation in cells by which they are blurred.
CELLS = 32
SIGMA = 1.0
# Added to both shares: a colour that neither side has says nothing. The mean share of a cell is 30 times as much.
FLOOR = 1e-6


def closed_form_plane(image: Any, trimap: Any) -> Any:
    """Return the alpha (H, W), float32, of closed-form matting; a trimap may be one-sided, which needs no warning."""
    image, known = _checked(image, trimap)
    xp = namespace(known)
    foreground, background = bool((known == FOREGROUND).any()), bool((known == BACKGROUND).any())
    if foreground and background:
        return xp.asarray(closed_form_matting(image, known), dtype=xp.float32)
    value = 255 if foreground else 0 if background else UNKNOWN
    return xp.asarray(xp.where(known == UNKNOWN, value, known), dtype=xp.float32) / 255


def color_posterior(image: Any, trimap: Any) -> Any:
    """Probability that a pixel of this colour is foreground, by the colours of all known pixels.

    Closed-form matting carries alpha across the image and does not see that a hole between leaves has the colours of
    the background beyond them; this sees nothing else.

    Parameters
    ----------
    image : array, shape (H, W, 3), float32 or float64
        RGB in [0, 1]. Of NumPy, or of torch or CuPy on a CUDA device.
    trimap : array, shape (H, W)
        As `fastsoft.check_trimap` reads it.

    Returns
    -------
    ndarray or tensor, shape (H, W), float32
        ``(f + 1e-6) / (f + b + 2e-6)``, where f and b are the shares that the cell of the pixel's colour has in the
        histograms of known foreground and background, 32 cells along each axis, blurred by one cell; 1/2 for a colour
        that neither has. All pixels, known ones too, are treated alike.
    """
    image, known = _checked(image, trimap)
    xp = namespace(known)
    cells = xp.asarray((image * CELLS).clip(0, CELLS - 1), dtype=xp.int32)
    index = (cells[:, :, 0] * CELLS + cells[:, :, 1]) * CELLS + cells[:, :, 2]
    shares = []
    for side in (FOREGROUND, BACKGROUND):
        chosen = index[known == side]
        counts = xp.asarray(xp.bincount(chosen, minlength=CELLS**3), dtype=xp.float64)
        shares.append(_blurred(counts.reshape(CELLS, CELLS, CELLS)) / max(len(chosen), 1))
    foreground, background = shares
    posterior = (foreground + FLOOR) / (foreground + background + 2 * FLOOR)
    return xp.asarray(posterior.reshape(-1)[index], dtype=xp.float32)


def _blurred(counts: Any) -> Any:
    """Smooth a histogram along its three axes by a Gaussian cut off at four deviations, as SciPy's does."""
    if isinstance(counts, np.ndarray):
        from scipy.ndimage import gaussian_filter

        return gaussian_filter(counts, SIGMA, mode="constant")
    xp = namespace(counts)
    reach = int(4 * SIGMA + 0.5)
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / SIGMA) ** 2)
    taps /= taps.sum()
    for axis in range(3):
        wide = xp.nn.functional.pad(counts.movedim(axis, -1), (reach, reach))
        counts = sum(float(tap) * wide[..., k : k + CELLS] for k, tap in enumerate(taps)).movedim(-1, axis)
    return counts


def _checked(image: Any, trimap: Any) -> tuple[Any, Any]:
    """Check photograph and trimap; return arrays of NumPy, or tensors on a device, the trimap of 0, 128 and 255."""
    where = find_device(None, image=image, trimap=trimap)
    if where is None:
        image = check_image(image)
        return image, check_trimap(trimap, image.shape)
    from fastsoft.matting.network_inference import check_on_device

    return check_on_device(where, image, trimap)


def extra_planes(names: Sequence[str], image: Any, trimap: Any) -> Any:
    """Return the planes (H, W, E), float32, that a network wants by its ``extra_channels``, or None if it wants none.

    Of a photograph on a device they are tensors there.

    Raises
    ------
    ValueError
        If a name is unknown.
    """
    makers = {CLOSED_FORM: closed_form_plane, COLOR_POSTERIOR: color_posterior}
    for name in names:
        if name not in makers:
            raise ValueError(f"extra channels must be of {', '.join(makers)}, got {name}")
    planes = [makers[name](image, trimap) for name in names]
    return namespace(planes[0]).stack(planes, axis=2) if planes else None
