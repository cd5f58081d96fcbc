# SPDX-License-Identifier: MIT
"""From a photograph to its soft layers: the stages in order."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoft._arrays import namespace, to_numpy
from fastsoft._checks import check_choice, check_image, check_int, check_number
from fastsoft._device import find_device
from fastsoft._dispatch import find_place
from fastsoft._stages import timed_stage
from fastsoft.layers.result import Layers, order_by_mass
from fastsoft.layers.simplex import project_to_simplex
from fastsoft.semantic.affinities import compute_affinities
from fastsoft.semantic.eigenvectors import Eigenvectors, compute_eigenvectors
from fastsoft.semantic.features import SMALLEST_SIZE, WORKING_SIZE, compute_features
from fastsoft.semantic.laplacian import Laplacian, build_laplacian
from fastsoft.semantic.reduction import SPECTRAL_PIXELS, device_memory, resized, spectral_size
from fastsoft.semantic.relaxation import relax_layers
from fastsoft.semantic.soft_segments import N_SEGMENTS, compute_soft_segments, group_segments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import DTypeLike

    from fastsoft._device import Device
    from fastsoft.semantic.features import Features

    Progress = Callable[[str, float], None]

__all__ = ["SPECTRAL_STAGES", "STAGES", "segment", "spectral_matting"]

# Name of every stage and roughly its share of the time, for progress bars.
STAGES = {
    "features": 0.03,
    "affinities": 0.05,
    "laplacian": 0.02,
    "eigenvectors": 0.4,
    "soft_segments": 0.25,
    "full_size": 0.05,
    "relaxation": 0.2,
}
SPECTRAL_STAGES = {
    "features": 0.03,
    "laplacian": 0.02,
    "eigenvectors": 0.6,
    "soft_segments": 0.35,
}

# Residuals of the eigenvectors, relative to the largest eigenvalue. The looser one changes alphas of photographs by
# 1e-5 in the mean, and spares a fifth of the solves.
TOLERANCE = {"stable": 1e-3, "compat": 1e-5}

# Superpixels of the authors' 2500 at 320x320; a smaller image gets fewer of the same size.
_PIXELS_PER_SUPERPIXEL = 41


class _Run:
    """Names, times and announces the stages of one run, and keeps their outputs if wanted."""

    def __init__(self, progress: Progress | None, keep: bool, device: Device | None) -> None:
        self._progress = progress
        self._device = device
        self.timings: dict[str, float] = {}
        self.stages: dict[str, Any] | None = {} if keep else None

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[float], None] | None]:
        with timed_stage(name, self.timings, self._progress) as report:
            yield report
            if self._device is not None:
                # Its time is that of its own work, not of what earlier stages left behind.
                self._device.synchronize()

    def keep(self, name: str, result: Any) -> None:
        if self.stages is not None:
            self.stages[name] = result


def segment(
    image: Any,
    *,
    features: Any = "embedded",
    feature_size: int = WORKING_SIZE,
    n_layers: int = 5,
    seed: int = 0,
    n_superpixels: int | None = None,
    n_eigenvectors: int | None = None,
    n_segments: int | None = None,
    normalized: bool = False,
    semantic_threshold: float = 0.15,
    matting_epsilon: float = 1e-4,
    method: str = "stable",
    tolerance: float | None = None,
    spectral_pixels: int | None = None,
    dtype: DTypeLike | None = None,
    device: str | None = None,
    keep_stages: bool = False,
    progress: Progress | None = None,
) -> Layers:
    """Decompose a photograph into soft layers that cover its objects.

    Semantic soft segmentation [1]_: eigenvectors of a graph of the pixels, which joins what is alike in colour and in
    features, are combined to segments that are nearly opaque or clear; these are grouped to layers and sharpened.

    Parameters
    ----------
    image : array, shape (H, W, 3), float32 or float64
        RGB in [0, 1], at least 3x3 pixels; `fastsoft.read_image` returns one. Of NumPy, or of torch or CuPy on a CUDA
        device.
    features : str or array, default "embedded"
        What tells objects apart. "embedded" is the network that comes with fastsoft, trained on regions that people
        drew; "lowlevel" describes colour, texture and position (`fastsoft.semantic.lowlevel_features`), knows nothing
        of objects and needs no torch; "hypercolumn:FILE" takes weights of ``fastsoft train features``,
        "transformers:MODEL" a vision transformer. A map of regions (H, W) of integers or a
        stack of masks (N, H, W) of booleans makes layers of known instances. An array (H, W, C) of up to 3 channels in
        [0, 1] is used as it is; more channels are taken as a network's raw output, aligned with the image and
        reduced. See `fastsoft.semantic.compute_features`.
    feature_size : int, default 640
        Longer side at which a network sees the photograph, if it is larger; at least 32. Layers have the photograph's
        size in any case.
    n_layers : int, default 5
    seed : int, default 0
        Of the eigensolver's start, and of everything random in "compat".
    n_superpixels : int, optional
        Default 2500, in images below 320x320 one for 41 pixels.
    n_eigenvectors : int, optional
        Default 100, in images below 20x20 a quarter of the number of pixels.
    n_segments : int, optional
        Segments that the sparsification starts with. Default 20, for "compat" 40, but not less than layers
        and not more than eigenvectors.
    normalized : bool, default False
        Use the Laplacian normalised by degrees, as the paper's text has it and the authors' program does not.
    semantic_threshold : float, default 0.15
        Feature distance at which adjacent superpixels begin to repel each other. The paper's text has 0.2.
    matting_epsilon : float, default 1e-4
        Regularises the matting affinity. The paper and the authors' program have 1e-7, which is below the noise of
        8-bit photographs: in smooth regions the layers then follow the noise.
    method : {"stable", "compat"}, default "stable"
        "compat" follows the authors' program, whose result depends on the seed and on the last bits of its input, with
        the paper's 40 segments and 40 iterations; "stable" takes 20 and 12.
    tolerance : float, optional
        Residual of the eigenvectors relative to the largest eigenvalue. Default 1e-3, for "compat" 1e-5: on photographs
        the looser one changes alphas by 1e-5 in the mean (docs/performance.md).
    spectral_pixels : int, optional
        Eigenvectors and segments of a photograph with more pixels are computed on one that is reduced to so many;
        layers are sharpened at full size in any case. Default 2,100,000, which leaves 1920x1080 as it is; for "compat"
        no limit. Time and memory of these stages grow with the pixels they see (`fastsoft.semantic.estimate_cost`).
    dtype : float32 or float64, optional
        Of the computation and of the result. Default: the image's. float32 halves memory and time.
    device : {"cpu", "cuda", "cuda:N", "auto"}, optional
        Where to compute. Default: where the image is, which for NumPy arrays is the CPU. "cuda" takes the first CUDA
        device; "auto" does where there is one, and else the CPU.
    keep_stages : bool, default False
        Keep the output of every stage in the result's `stages`, where it was computed: tensors on a device.
    progress : callable, optional
        Called as ``progress(stage, fraction)`` within and between stages. An exception raised in it ends the run, for
        which there is `fastsoft.Cancelled`.

    Returns
    -------
    Layers
        `alphas` are (H, W, n): in [0, 1], summing to 1, the layer with most mass first. n is `n_layers` unless
        the image gives fewer segments, of which a warning tells. Arrays are of the image's library.

    Raises
    ------
    CudaError
        If a device is asked for that is not there.
    MemoryError
        If the device has less memory free than the run is estimated to need (`fastsoft.semantic.device_memory`); before
        it starts.
    TypeError, ValueError
        If an argument has the wrong type, shape or range: more superpixels than pixels, features of another size ...;
        if the weights of a network are missing or damaged.
    ConvergenceError
        If an iteration does not reach its tolerance.

    Notes
    -----
    The result has the same bits for any number of threads and from run to run. Ctrl-C ends the run within a
    fraction of a second.

    References
    ----------
    .. [1] Y. Aksoy, T.-H. Oh, S. Paris, M. Pollefeys, W. Matusik, "Semantic soft segmentation", ACM Transactions on
       Graphics 37(4), 2018. :doi:`10.1145/3197517.3201275`

    Examples
    --------
    >>> import fastsoft, numpy as np
    >>> image = np.zeros((24, 32, 3))
    >>> image[:, 16:] = (0.9, 0.5, 0.1)
    >>> layers = fastsoft.segment(image, n_layers=2)
    >>> layers.alphas.shape
    (24, 32, 2)
    """
    where = find_device(device, image=image)
    given, image, dtype = _check_input(image, dtype, where)
    height, width, _ = image.shape
    n_pixels = height * width
    check_choice(method, "method", ("stable", "compat"))
    n_layers, n_segments, n_eigenvectors = _check_counts(
        n_pixels, n_layers, n_segments, n_eigenvectors, (N_SEGMENTS[method], 100)
    )
    if n_superpixels is None:
        n_superpixels = min(2500, max(1, n_pixels // _PIXELS_PER_SUPERPIXEL))
    n_superpixels = check_int(n_superpixels, "n_superpixels", low=1)
    if n_superpixels > n_pixels:
        raise ValueError(f"n_superpixels must be at most the number of pixels, {n_pixels}, got {n_superpixels}")
    seed = check_int(seed, "seed", low=0, high=2**63 - 1)
    feature_size = check_int(feature_size, "feature_size", low=SMALLEST_SIZE)
    semantic_threshold = check_number(semantic_threshold, "semantic_threshold", low=0)
    matting_epsilon = check_number(matting_epsilon, "matting_epsilon", low=0, exclusive=True)
    if spectral_pixels is None:
        spectral_pixels = SPECTRAL_PIXELS if method == "stable" else n_pixels
    spectral_pixels = check_int(spectral_pixels, "spectral_pixels", low=1)
    tolerance = TOLERANCE[method] if tolerance is None else check_number(tolerance, "tolerance", low=0, exclusive=True)
    settings = {
        "method": "semantic",
        "features": None,
        "feature_size": None,
        "feature_weights": None,
        "n_layers": n_layers,
        "seed": seed,
        "n_superpixels": n_superpixels,
        "n_eigenvectors": n_eigenvectors,
        "n_segments": n_segments,
        "normalized": bool(normalized),
        "semantic_threshold": semantic_threshold,
        "matting_epsilon": matting_epsilon,
        "sparsification": method,
        "tolerance": tolerance,
        "dtype": dtype.name,
        "device": "cpu" if where is None else where.name,
    }
    if where is not None:
        _require_memory(where, image, spectral_pixels, n_eigenvectors, n_layers)
    run = _Run(progress, keep_stages, where)

    with run.stage("features") as report:
        found = compute_features(image, features, size=feature_size, dtype=dtype, progress=report)
    run.keep("features", found)
    settings |= _feature_settings(found)

    affinity_options: dict[str, Any] = {
        "n_superpixels": n_superpixels,
        "matting_epsilon": matting_epsilon,
        "semantic_threshold": semantic_threshold,
    }
    size = spectral_size((height, width), spectral_pixels)
    settings |= {"spectral_height": size[0], "spectral_width": size[1]}
    values, seen = resized(found.values, size), resized(image, size)

    with run.stage("affinities") as report:
        affinities = compute_affinities(seen, values, progress=report, **affinity_options)
    run.keep("affinities", affinities)

    with run.stage("laplacian"):
        laplacian = build_laplacian(affinities, normalized=normalized)
    run.keep("laplacian", laplacian)
    del affinities, seen

    with run.stage("eigenvectors") as report:
        eigenvectors = compute_eigenvectors(
            laplacian, n_eigenvectors, grid_shape=size, tolerance=tolerance, seed=seed, progress=report
        )
    run.keep("eigenvectors", eigenvectors)

    with run.stage("soft_segments") as report:
        soft = compute_soft_segments(
            values,
            eigenvectors,
            n_segments=n_segments,
            n_layers=n_layers,
            method=method,
            seed=seed,
            progress=report,
        )
    run.keep("soft_segments", soft)
    grouped = soft.grouping.layers
    _warn_of_fewer(grouped.shape[2], n_layers)
    del eigenvectors, values, soft
    if size != (height, width):
        del laplacian
        with run.stage("full_size") as report:
            affinities = compute_affinities(image, found.values, progress=report, **affinity_options)
            laplacian = build_laplacian(affinities, normalized=normalized)
            grouped = project_to_simplex(resized(grouped, (height, width)))[0]
            del affinities
        run.keep("full_size", laplacian)
    del found

    with run.stage("relaxation") as report:
        relaxation = relax_layers(image, grouped, laplacian, progress=report)
    run.keep("relaxation", relaxation)

    alphas = relaxation.alphas if where is None else where.result(relaxation.alphas)
    return Layers(alphas, given, relaxation.largest_correction, run.timings, settings, run.stages)


def spectral_matting(
    image: Any,
    *,
    n_layers: int | None = None,
    features: Any = "lowlevel",
    feature_size: int = WORKING_SIZE,
    n_segments: int | None = None,
    n_eigenvectors: int | None = None,
    n_iterations: int = 20,
    seed: int = 0,
    matting_epsilon: float = 1e-4,
    method: str = "stable",
    tolerance: float = 1e-5,
    dtype: DTypeLike | None = None,
    device: str | None = None,
    keep_stages: bool = False,
    progress: Progress | None = None,
) -> Layers:
    """Decompose a photograph into matting components, by its colours alone.

    Spectral matting [1]_: the matting Laplacian without semantics, k-means on its eigenvectors, sparsification.

    Parameters
    ----------
    image : array, shape (H, W, 3), float32 or float64
        RGB in [0, 1], at least 3x3 pixels. Of NumPy, or of torch or CuPy on a CUDA device.
    n_layers : int, optional
        Group the components into so many layers by their features (`fastsoft.group_segments`), as the paper on
        semantic soft segmentation does for its comparisons. Default: every component is a layer.
    features : str or ndarray, default "lowlevel"
        For the grouping, as in `fastsoft.segment`. The default knows colours only, like the components.
    feature_size : int, default 640
        As in `fastsoft.segment`.
    n_segments : int, optional
        Components to start with, default 20, but not more than eigenvectors; some vanish.
    n_eigenvectors : int, optional
        Default 50, in images below 15x15 a quarter of the number of pixels.
    n_iterations : int, default 20
        Of the sparsification.
    seed, matting_epsilon, method, tolerance, dtype, device, keep_stages, progress
        As in `fastsoft.segment`; the start labels depend on the seed.

    Returns
    -------
    Layers

    Raises
    ------
    TypeError, ValueError, ConvergenceError
        As in `fastsoft.segment`.

    References
    ----------
    .. [1] A. Levin, A. Rav-Acha, D. Lischinski, "Spectral matting", IEEE TPAMI 30(10), 2008.
       :doi:`10.1109/TPAMI.2008.168`

    Examples
    --------
    >>> import fastsoft, numpy as np
    >>> image = np.zeros((24, 32, 3))
    >>> image[:, 16:] = (0.9, 0.5, 0.1)
    >>> fastsoft.spectral_matting(image, n_layers=2).n_layers
    2
    """
    from fastsoft.ops.matting_laplacian import matting_laplacian
    from fastsoft.ops.sparsify import sparsify_segments

    where = find_device(device, image=image)
    given, image, dtype = _check_input(image, dtype, where)
    height, width, _ = image.shape
    wanted = None if n_layers is None else check_int(n_layers, "n_layers", low=1)
    _, n_segments, n_eigenvectors = _check_counts(height * width, wanted or 1, n_segments, n_eigenvectors, (20, 50))
    n_iterations = check_int(n_iterations, "n_iterations", low=1)
    seed = check_int(seed, "seed", low=0, high=2**63 - 1)
    check_choice(method, "method", ("stable", "compat"))
    feature_size = check_int(feature_size, "feature_size", low=SMALLEST_SIZE)
    settings = {
        "method": "spectral",
        "features": None,
        "feature_size": None,
        "feature_weights": None,
        "n_layers": wanted,
        "seed": seed,
        "n_eigenvectors": n_eigenvectors,
        "n_segments": n_segments,
        "n_iterations": n_iterations,
        "matting_epsilon": check_number(matting_epsilon, "matting_epsilon", low=0, exclusive=True),
        "sparsification": method,
        "tolerance": check_number(tolerance, "tolerance", low=0, exclusive=True),
        "dtype": dtype.name,
        "device": "cpu" if where is None else where.name,
    }
    if where is not None:
        _require_memory(where, image, height * width, n_eigenvectors, n_segments)
    run = _Run(progress, keep_stages, where)

    found = None
    if wanted is not None:
        with run.stage("features") as report:
            found = compute_features(image, features, size=feature_size, dtype=dtype, progress=report)
        run.keep("features", found)
        settings |= _feature_settings(found)

    with run.stage("laplacian"):
        laplacian = Laplacian(matting_laplacian(image, epsilon=matting_epsilon, storage="stencil"))
    run.keep("laplacian", laplacian)

    with run.stage("eigenvectors") as report:
        eigenvectors = compute_eigenvectors(
            laplacian, n_eigenvectors, grid_shape=(height, width), tolerance=tolerance, seed=seed, progress=report
        )
    run.keep("eigenvectors", eigenvectors)
    del laplacian

    with run.stage("soft_segments") as report:
        start = spectral_start_labels(eigenvectors, n_segments, seed=seed)
        result = sparsify_segments(
            eigenvectors.vectors,
            eigenvectors.values,
            start,
            n_iterations=n_iterations,
            method=method,
            grid_shape=(height, width),
            progress=report,
        )
        segments = result.segments.reshape(height, width, -1)
    run.keep("soft_segments", result)

    if found is not None and wanted is not None:
        _warn_of_fewer(segments.shape[2], wanted)
        grouping = group_segments(segments, found.values, min(wanted, segments.shape[2]), method=method, seed=seed)
        run.keep("grouping", grouping)
        segments = grouping.layers
    alphas, correction = project_to_simplex(segments)
    alphas = alphas[:, :, order_by_mass(alphas)]
    alphas = alphas if where is None else where.result(alphas)
    return Layers(alphas, given, correction, run.timings, settings, run.stages)


def spectral_start_labels(eigenvectors: Eigenvectors, n_segments: int, *, seed: int = 0) -> Any:
    """Cluster the pixels in the space of the first eigenvectors but the constant one, each over its frequency.

    Returns
    -------
    ndarray, shape (N,), int32
    """
    from fastsoft.ops.kmeans import kmeans

    stop = min(n_segments + 1, len(eigenvectors.values))
    chosen = slice(1, stop) if stop > 1 else slice(0, 1)
    values = np.abs(to_numpy(eigenvectors.values)[chosen])
    # An image of separate parts has several zero eigenvalues, which would outweigh all others without a bound.
    scale = 1 / np.sqrt(np.maximum(values, max(1e-6 * float(values.max()), np.finfo(np.float64).tiny)))
    vectors = eigenvectors.vectors[:, chosen]
    xp = namespace(vectors)
    if xp is np:
        points = np.ascontiguousarray(vectors * scale, dtype=vectors.dtype)
    else:
        points = (vectors * xp.asarray(scale, device=vectors.device)).to(vectors.dtype).contiguous()
    labels = kmeans(points, n_segments, seed=seed).labels
    return xp.asarray(xp.unique(labels, return_inverse=True)[1], dtype=xp.int32)


def _check_input(image: Any, dtype: DTypeLike | None, where: Device | None) -> tuple[Any, Any, np.dtype[Any]]:
    """Return the image in its library and as the stages take it, both of one dtype, and that."""
    if dtype is not None and np.dtype(dtype) not in (np.float32, np.float64):
        raise TypeError(f"dtype must be float32 or float64, got {np.dtype(dtype)}")
    checked = check_image(image, min_size=3, place=find_place(image=image))
    kind = np.dtype(checked.dtype if dtype is None else dtype)
    if where is None:
        image = np.ascontiguousarray(checked, dtype=kind)
        return image, image, kind
    tensor = where.tensor(image if where.library != "numpy" else checked, kind).contiguous()
    given = np.ascontiguousarray(checked, dtype=kind) if where.library == "numpy" else where.result(tensor)
    return given, tensor, kind


def _require_memory(where: Device, image: Any, spectral_pixels: int, n_eigenvectors: int, n_layers: int) -> None:
    """Refuse what does not fit before anything is computed."""
    height, width, _ = image.shape
    needed = device_memory(
        (height, width),
        spectral_pixels=spectral_pixels,
        n_eigenvectors=n_eigenvectors,
        n_layers=n_layers,
        itemsize=image.dtype.itemsize,
    )
    where.require(
        needed,
        f"a segmentation of {width}x{height} pixels",
        "use fewer spectral_pixels, fewer eigenvectors, float32 or a smaller photograph",
    )


def _check_counts(
    n_pixels: int, n_layers: Any, n_segments: Any, n_eigenvectors: Any, defaults: tuple[int, int]
) -> tuple[int, int, int]:
    n_layers = check_int(n_layers, "n_layers", low=1)
    if n_eigenvectors is None:
        n_eigenvectors = min(defaults[1], max(2, n_pixels // 4))
    n_eigenvectors = check_int(n_eigenvectors, "n_eigenvectors", low=1)
    if n_eigenvectors >= n_pixels:
        raise ValueError(f"n_eigenvectors must be less than the number of pixels, {n_pixels}, got {n_eigenvectors}")
    if n_segments is None:
        n_segments = min(max(defaults[0], n_layers), n_eigenvectors)
    n_segments = check_int(n_segments, "n_segments", low=1)
    if n_segments > n_eigenvectors:
        raise ValueError(f"n_segments must be at most the number of eigenvectors, {n_eigenvectors}, got {n_segments}")
    if n_layers > n_segments:
        raise ValueError(f"n_layers must be at most the number of segments, {n_segments}, got {n_layers}")
    return n_layers, n_segments, n_eigenvectors


def _feature_settings(found: Features) -> dict[str, Any]:
    return {"features": found.provider, "feature_size": found.size, "feature_weights": found.weights}


def _warn_of_fewer(found: int, wanted: int) -> None:
    if found < wanted:
        warnings.warn(
            f"the image gave {found} segments, so there are {found} layers instead of {wanted}",
            RuntimeWarning,
            stacklevel=3,
        )
