# SPDX-License-Identifier: MIT
"""From a photograph and a palette to layers of homogeneous colour: the stages in order."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoft._checks import check_image, check_int, check_number, check_shape
from fastsoft._stages import timed_stage
from fastsoft.color.models import default_model, load_model
from fastsoft.color.palette import check_palette, color_palette, format_color
from fastsoft.color.processing import normalize_alphas, smooth_alphas
from fastsoft.layers.result import Layers
from fastsoft.layers.simplex import largest_excess, project_to_simplex
from fastsoft.ops.project_colors import project_colors

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from fastsoft.color.models import ColorModel

    Progress = Callable[[str, float], None]

__all__ = ["STAGES", "decompose_colors"]

# Name of every stage and roughly its share of the time, for progress bars.
STAGES = {"palette": 0.1, "alphas": 0.4, "processing": 0.05, "colors": 0.4, "recomposition": 0.05}

# A few roundings of float32: what the division by the sum leaves.
SUM_SLACK = 5e-7

# Colours of a palette that is not given, as in the paper.
N_COLORS = 7


def decompose_colors(
    image: Any,
    palette: Any = None,
    *,
    weights: str | os.PathLike[str] | ColorModel | None = None,
    exact: bool = True,
    smooth: int = 0,
    smooth_epsilon: float = 1e-6,
    process: Callable[[Any], Any] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Layers:
    """Decompose a photograph into layers of homogeneous colour.

    Fast soft colour segmentation [1]_: one network predicts an alpha for every colour of the palette, a second one the
    colours of each layer.

    Parameters
    ----------
    image : ndarray, shape (H, W, 3), float32 or float64
        RGB in [0, 1].
    palette : int or ndarray, shape (n, 3), floating point, optional
        The colours, in [0, 1], all different; or their number, 7 by default, and k-means finds them
        (`fastsoft.color.color_palette`). How many there may be depends on the weights.
    weights : path or ColorModel, optional
        ``.safetensors`` of ``fastsoft train colors`` or of `fastsoft.color.convert_published_weights`, or what
        `fastsoft.color.load_model` made of it. By default those that come with fastsoft, for 2 to 10 colours.
    exact : bool, default True
        Change the colours as little as possible so that the layers recompose the photograph exactly
        (`fastsoft.project_colors`).
    smooth : int, default 0
        Radius of the guided filter that smooths the alphas; 0 leaves it out. The authors take 3.
    smooth_epsilon : float, default 1e-6
        Of this filter; the authors'.
    process : callable, optional
        Called with the alphas (H, W, n) before colours are predicted from them, returns others of the same shape,
        for instance by `fastsoft.color.redistribute_alphas`. They are moved to the nearest that are in [0, 1] and sum
        to 1.
    seed : int, default 0
        Of k-means.
    progress : callable, optional
        Called as ``progress(stage, fraction)`` within and between stages. An exception raised in it ends the run.

    Returns
    -------
    Layers
        In the order of the palette, with `colors` and `palette`; of the image's dtype.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, shape or range, or the palette has more colours than the weights take.

    Notes
    -----
    The networks compute in float32, whatever the dtype of the image.

    References
    ----------
    .. [1] N. Akimoto, H. Zhu, Y. Jin, Y. Aoki, "Fast Soft Color Segmentation", CVPR 2020.
       :doi:`10.1109/CVPR42600.2020.00830`
    """
    image = check_image(image)
    smooth = check_int(smooth, "smooth", low=0)
    smooth_epsilon = check_number(smooth_epsilon, "smooth_epsilon", low=0, exclusive=True)
    seed = check_int(seed, "seed", low=0)
    if not isinstance(exact, (bool, np.bool_)):
        raise TypeError(f"exact must be True or False, got {exact!r}")
    if process is not None and not callable(process):
        raise TypeError(f"process must be callable, got {process!r}")
    if weights is None:
        model = default_model()
    else:
        model = load_model(weights) if isinstance(weights, (str, os.PathLike)) else weights
    if palette is None:
        palette = min(N_COLORS, model.n_colors[1])
    if np.ndim(palette) == 0:
        check_int(palette, "palette", low=model.n_colors[0], high=model.n_colors[1])
    else:
        palette = check_palette(palette, model.n_colors)

    timings: dict[str, float] = {}

    def stage(name: str) -> AbstractContextManager[Callable[[float], None] | None]:
        return timed_stage(name, timings, progress)

    with stage("palette"):
        found = color_palette(image, palette, seed=seed) if np.ndim(palette) == 0 else palette
    # What the networks see; the photograph itself where it is of their type.
    picture, colors_in = image.astype(np.float32, copy=False), found.astype(np.float32)
    with stage("alphas") as report:
        alphas, state = model.alphas(picture, colors_in, progress=report)
    largest_correction = 0.0
    with stage("processing"):
        shape = alphas.shape
        # Where all that a network predicts is tiny, its own normalisation, which the authors guard against a division
        # by zero, falls short of 1.
        alphas = normalize_alphas(alphas, out=alphas)
        if smooth:
            alphas = smooth_alphas(alphas, picture, radius=smooth, epsilon=smooth_epsilon, project=False)
        if process is not None:
            alphas = np.asarray(process(alphas))
            check_shape(alphas, shape, "the alphas that process returned")
        if process is not None or smooth or alphas.dtype != image.dtype or largest_excess(alphas) > SUM_SLACK:
            alphas, largest_correction = project_to_simplex(alphas.astype(image.dtype, copy=False))
    with stage("colors") as report:
        colors = model.colors(picture, colors_in, alphas.astype(np.float32, copy=False), state, progress=report)
        colors = colors.astype(image.dtype, copy=False)
    with stage("recomposition"):
        if exact:
            colors = project_colors(alphas, colors, image, out=colors)
    settings = {
        "method": "colors",
        "design": model.design,
        "weights": model.source,
        "palette": " ".join(format_color(color) for color in found),
        "exact": bool(exact),
        "smooth": smooth,
        "smooth_epsilon": smooth_epsilon if smooth else None,
        "processed": process is not None,
        "seed": seed if np.ndim(palette) == 0 else None,
    }
    return Layers(alphas, image, largest_correction, timings, settings, colors=colors, palette=found)
