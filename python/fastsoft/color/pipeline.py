# SPDX-License-Identifier: MIT
"""From a photograph and a palette to layers of homogeneous colour: the stages in order."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoft._checks import check_image, check_int, check_number, check_shape
from fastsoft._device import cast, check_precision, find_device
from fastsoft._dispatch import find_place
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

    from fastsoft._device import Device
    from fastsoft.color.models import ColorModel

    Progress = Callable[[str, float], None]

__all__ = ["STAGES", "decompose_colors", "device_memory"]

# Name of every stage and roughly its share of the time, for progress bars.
STAGES = {"palette": 0.1, "alphas": 0.4, "processing": 0.05, "colors": 0.4, "recomposition": 0.05}

# A few roundings of float32: what the division by the sum leaves.
SUM_SLACK = 5e-7

# Working memory on a device that does not grow with the photograph: of a tile of the networks; of the projection of
# alphas, for each of so many pixels at a time; of CUDA and its libraries.
TILE_BYTES = 250_000_000
PROJECTION_BYTES, PROJECTED_PIXELS = 56, 1 << 21
CONTEXT_BYTES = 500_000_000

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
    device: str | None = None,
    precision: str = "float32",
    progress: Progress | None = None,
) -> Layers:
    """Decompose a photograph into layers of homogeneous colour.

    Fast soft colour segmentation [1]_: one network predicts an alpha for every colour of the palette, a second one the
    colours of each layer.

    Parameters
    ----------
    image : array, shape (H, W, 3), float32 or float64
        RGB in [0, 1]. Of NumPy, or of torch or CuPy on a CUDA device.
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
        to 1. Alphas of a NumPy image are a NumPy array, whatever the device; others stay on theirs.
    seed : int, default 0
        Of k-means.
    device : {"cpu", "cuda", "cuda:N", "auto"}, optional
        Where to compute. Default: where the image is, which for NumPy arrays is the CPU. "cuda" takes the first CUDA
        device; "auto" does where there is one, and else the CPU.
    precision : {"float32", "bfloat16", "float16"}, default "float32"
        Of the networks' convolutions; float16 not on the CPU. See Notes.
    progress : callable, optional
        Called as ``progress(stage, fraction)`` within and between stages. An exception raised in it ends the run.

    Returns
    -------
    Layers
        In the order of the palette, with `colors` and `palette`; of the image's library, device and dtype.

    Raises
    ------
    CudaError
        If a device is asked for that is not there.
    MemoryError
        If the device has less memory free than the run is estimated to need (`fastsoft.color.device_memory`); before
        it starts.
    TypeError, ValueError
        If an argument has another type, shape or range, or the palette has more colours than the weights take.

    Notes
    -----
    The networks compute in float32, whatever the dtype of the image, or with convolutions in `precision`. What bfloat16
    costs in quality: ``benchmarks/results/precision.md``.

    On a device nothing leaves it between the stages but the pixels that a palette is found on, and alphas for `process`
    where the image is NumPy's. Networks stay on the device as long as their model lives: give `weights` as a model to
    keep them there between calls.

    References
    ----------
    .. [1] N. Akimoto, H. Zhu, Y. Jin, Y. Aoki, "Fast Soft Color Segmentation", CVPR 2020.
       :doi:`10.1109/CVPR42600.2020.00830`
    """
    where = find_device(device, image=image)
    given = image
    if where is None or where.library == "numpy":
        given = image = check_image(image)
        itemsize = image.dtype.itemsize
    else:
        itemsize = check_image(image, place=find_place(image=image)).dtype.itemsize
    precision = check_precision(precision, where)
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
    if where is not None:
        n_colors = int(palette) if np.ndim(palette) == 0 else len(palette)
        where.require(
            device_memory(image.shape, n_colors, itemsize=itemsize, processed=bool(smooth) or process is not None),
            f"decompose_colors of {image.shape[1]}x{image.shape[0]} pixels into {n_colors} layers",
            "use fewer pixels, fewer colours or float32 images",
        )
    options = {} if precision == "float32" else {"precision": precision}

    timings: dict[str, float] = {}

    def stage(name: str) -> AbstractContextManager[Callable[[float], None] | None]:
        return timed_stage(name, timings, progress)

    with stage("palette"):
        found = color_palette(image, palette, seed=seed) if np.ndim(palette) == 0 else palette
        if where is not None:
            image = where.tensor(image)
    # What the networks see; the photograph itself where it is of their type.
    picture, colors_in = cast(image, np.float32), found.astype(np.float32)
    with stage("alphas") as report:
        alphas, state = model.alphas(picture, colors_in, progress=report, **options)
    largest_correction = 0.0
    with stage("processing"):
        shape = alphas.shape
        # Where all that a network predicts is tiny, its own normalisation, which the authors guard against a division
        # by zero, falls short of 1.
        alphas = normalize_alphas(alphas, out=alphas)
        if smooth:
            alphas = smooth_alphas(alphas, picture, radius=smooth, epsilon=smooth_epsilon, project=False)
        if process is not None:
            alphas = _processed(process, alphas, where)
            check_shape(alphas, shape, "the alphas that process returned")
        if process is not None or smooth or alphas.dtype != image.dtype or largest_excess(alphas) > SUM_SLACK:
            alphas, largest_correction = project_to_simplex(cast(alphas, image.dtype))
    with stage("colors") as report:
        colors = model.colors(picture, colors_in, cast(alphas, np.float32), state, progress=report, **options)
        colors = cast(colors, image.dtype)
        del state, picture
    with stage("recomposition"):
        if exact:
            colors = project_colors(alphas, colors, image, out=colors)
        if where is not None:
            del image
            alphas, colors = where.result(alphas), where.result(colors)
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
        "device": "cpu" if where is None else where.name,
        "precision": precision,
    }
    return Layers(alphas, given, largest_correction, timings, settings, colors=colors, palette=found)


def _processed(process: Callable[[Any], Any], alphas: Any, where: Device | None) -> Any:
    """Call the user's function with alphas of the user's library."""
    if where is None:
        return np.asarray(process(alphas))
    return where.tensor(process(where.result(alphas)))


def device_memory(shape: tuple[int, ...], n_colors: int, *, itemsize: int = 4, processed: bool = False) -> int:
    """Estimate how much memory `decompose_colors` needs on a CUDA device, the photograph and the result included.

    Parameters
    ----------
    shape : tuple of int
        Height and width come first.
    n_colors : int
    itemsize : int, default 4
        Bytes of a number of the image: 4 or 8.
    processed : bool, default False
        Whether alphas are smoothed or processed.

    Returns
    -------
    int
        Bytes, an upper estimate.

    Notes
    -----
    For n colours and numbers of s bytes, per pixel: 3 s for the photograph, and 12 for it in float32 if that is
    another; 4 n for alphas and 4 n for coefficients of the colours; 12 n for colours, and 3 s n for colours of another
    type than float32. If alphas are processed or of another type, s n for these; smoothing needs 4 n + 104 besides, but
    before there are colours. To that come 250 MB for the tiles that networks work on or, if alphas are projected and it
    is more, 56 n bytes for each of up to 2 million pixels that are projected at a time; and 500 MB for the context of
    CUDA and the working memory of its libraries.

    Examples
    --------
    >>> from fastsoft.color import device_memory
    >>> [round(device_memory(shape, 7) / 1e9, 1) for shape in [(1080, 1920), (2160, 3840), (4320, 7680)]]
    [1.1, 2.0, 5.8]
    """
    n_pixels = shape[0] * shape[1]
    other = itemsize != 4
    kept = 3 * itemsize + 12 * other + n_colors * (8 + itemsize * (other or processed))
    later = n_colors * (12 + 3 * itemsize * other)
    per_pixel = kept + max(later, (4 * n_colors + 104) * processed)
    projected = PROJECTION_BYTES * n_colors * min(n_pixels, PROJECTED_PIXELS) * (other or processed)
    return n_pixels * per_pixel + max(TILE_BYTES, projected) + CONTEXT_BYTES
