# SPDX-License-Identifier: MIT
"""What a matting network may be given besides photograph and trimap: estimates of alpha that it can correct."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoft._checks import check_image
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
    known = check_trimap(trimap, image.shape)
    foreground, background = (known == FOREGROUND).any(), (known == BACKGROUND).any()
    if foreground and background:
        return np.asarray(closed_form_matting(image, known), dtype=np.float32)
    value = 255 if foreground else 0 if background else UNKNOWN
    return np.where(known == UNKNOWN, value, known).astype(np.float32) / np.float32(255)


def color_posterior(image: Any, trimap: Any) -> Any:
    """Probability that a pixel of this colour is foreground, by the colours of all known pixels.

    Closed-form matting carries alpha across the image and does not see that a hole between leaves has the colours of
    the background beyond them; this sees nothing else.

    Parameters
    ----------
    image : ndarray, shape (H, W, 3), float32 or float64
        RGB in [0, 1].
    trimap : ndarray, shape (H, W)
        As `fastsoft.check_trimap` reads it.

    Returns
    -------
    ndarray, shape (H, W), float32
        ``(f + 1e-6) / (f + b + 2e-6)``, where f and b are the shares that the cell of the pixel's colour has in the
        histograms of known foreground and background, 32 cells along each axis, blurred by one cell; 1/2 for a colour
        that neither has. All pixels, known ones too, are treated alike.
    """
    from scipy.ndimage import gaussian_filter

    image = check_image(image)
    known = check_trimap(trimap, image.shape)
    cells = np.minimum(image * CELLS, CELLS - 1).astype(np.int32)
    index = (cells[:, :, 0] * CELLS + cells[:, :, 1]) * CELLS + cells[:, :, 2]
    shares = []
    for side in (FOREGROUND, BACKGROUND):
        chosen = index[known == side]
        counts = np.bincount(chosen, minlength=CELLS**3).reshape(CELLS, CELLS, CELLS).astype(np.float64)
        shares.append(gaussian_filter(counts, SIGMA, mode="constant") / max(len(chosen), 1))
    foreground, background = shares
    posterior = (foreground + FLOOR) / (foreground + background + 2 * FLOOR)
    return posterior.ravel()[index].astype(np.float32)


def extra_planes(names: Sequence[str], image: Any, trimap: Any) -> Any:
    """Return the planes (H, W, E), float32, that a network wants by its ``extra_channels``, or None if it wants none.

    Raises
    ------
    ValueError
        If a name is unknown.
    """
    makers = {CLOSED_FORM: closed_form_plane, COLOR_POSTERIOR: color_posterior}
    for name in names:
        if name not in makers:
            raise ValueError(f"extra channels must be of {', '.join(makers)}, got {name}")
    return np.stack([makers[name](image, trimap) for name in names], axis=2) if names else None
