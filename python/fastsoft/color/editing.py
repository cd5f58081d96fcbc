# SPDX-License-Identifier: MIT
"""What layers of homogeneous colour are for: other colours, and alphas that are smoothed afterwards.

Section 5.4 of N. Akimoto et al., "Fast Soft Color Segmentation", CVPR 2020, :doi:`10.1109/CVPR42600.2020.00830`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from fastsoft._checks import as_float_array, check_finite, check_int, check_shape
from fastsoft.color.palette import format_color
from fastsoft.color.processing import smooth_alphas
from fastsoft.layers.compositing import on_the_cpu
from fastsoft.layers.result import Layers
from fastsoft.ops.project_colors import project_colors

__all__ = ["recolor", "smooth_layers"]


def recolor(layers: Layers, palette: Any) -> Layers:
    """Give layers other palette colours.

    The colours of a layer move as its palette colour does, so that shading and texture stay; where they would leave
    [0, 1] they stop.

    Parameters
    ----------
    layers : Layers
        Of `fastsoft.decompose_colors`.
    palette : ndarray, shape (n, 3), or mapping of int to colour
        The new colours in [0, 1], of all layers, or of those that change, by number.

    Returns
    -------
    Layers
        With the new palette and colours; `image` is what they compose.

    Raises
    ------
    TypeError, ValueError
        If the layers have no palette, or the new one has another shape or range.

    Examples
    --------
    >>> import numpy as np
    >>> import fastsoft
    >>> from fastsoft.layers import Layers
    >>> palette = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    >>> image, alphas = np.array([[[0.75, 0.0, 0.25]]]), np.array([[[0.75, 0.25]]])
    >>> layers = Layers(alphas, image, colors=palette[None, None], palette=palette)
    >>> fastsoft.recolor(layers, {0: (0.0, 1.0, 0.0)}).image.tolist()
    [[[0.0, 0.75, 0.25]]]
    """
    if on_the_cpu(layers).palette is None or layers.colors is None:
        raise ValueError("layers must have a palette and colours of their own, got layers without")
    old = np.asarray(layers.palette, dtype=np.float64)
    n = len(old)
    if isinstance(palette, Mapping):
        new = old.copy()
        for key, value in palette.items():
            new[check_int(key, "number of a layer", low=0, high=n - 1)] = _color(value)
    else:
        new = as_float_array(palette, "palette").astype(np.float64)
        check_shape(new, (n, 3), "palette")
        check_finite(new, "palette")
        if new.min() < 0 or new.max() > 1:
            raise ValueError(f"palette must lie in [0, 1], got values in [{new.min():g}, {new.max():g}]")
    colors = layers.colors.copy()
    for k in np.flatnonzero((new != old).any(axis=1)):
        moved = colors[:, :, k]
        moved += (new[k] - old[k]).astype(colors.dtype)
        np.clip(moved, 0, 1, out=moved)
    settings = {
        **layers.settings,
        "recolored": " ".join(format_color(color) for color in new),
        # The picture is by definition what the layers compose.
        "exact": True,
    }
    changed = replace(layers, colors=colors, palette=new, settings=settings, stages=None)
    return replace(changed, image=changed.recomposed().clip(0, 1))


def _color(value: Any) -> Any:
    color = np.asarray(value, dtype=np.float64)
    check_shape(color, (3,), "a colour")
    if not (color.min() >= 0 and color.max() <= 1):
        raise ValueError(f"a colour must lie in [0, 1], got {color.tolist()}")
    return color


def smooth_layers(layers: Layers, *, radius: int = 3, epsilon: float = 1e-6) -> Layers:
    """Smooth the alphas of layers by the guided filter, and adapt the colours so that they recompose the photograph.

    Parameters
    ----------
    layers : Layers
    radius, epsilon
        As for `fastsoft.color.smooth_alphas`.

    Returns
    -------
    Layers

    Raises
    ------
    TypeError, ValueError
        If an argument has another type or range.
    """
    alphas = smooth_alphas(on_the_cpu(layers).alphas, layers.image, radius=radius, epsilon=epsilon)
    colors = layers.colors
    if colors is not None and layers.settings.get("exact"):
        colors = project_colors(alphas, colors, layers.image)
    settings = {**layers.settings, "smooth": radius, "smooth_epsilon": epsilon}
    return replace(layers, alphas=alphas, colors=colors, settings=settings, stages=None)
