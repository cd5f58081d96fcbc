# SPDX-License-Identifier: MIT
"""Stage 1: what every pixel is like, as three channels in which different objects lie apart.

Features come from a network, the one that comes with fastsoft or another, from `lowlevel_features`, or from the
caller in an array. Raw features of more than three channels are prepared by `preprocess_features`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoft._arrays import namespace, to_numpy
from fastsoft._checks import (
    as_float_array,
    check_choice,
    check_finite,
    check_image,
    check_int,
    check_number,
    check_shape,
)
from fastsoft._device import cast, check_precision, find_device
from fastsoft._dispatch import find_place
from fastsoft.image import to_float
from fastsoft.semantic.lowlevel import lowlevel_features
from fastsoft.semantic.regions import label_features, mask_features

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import DTypeLike

    from fastsoft._device import Device
    from fastsoft.ops.principal_components import PcaResult

__all__ = ["Features", "compute_features", "load_features", "preprocess_features"]

# Longer side at which networks see a photograph.
WORKING_SIZE = 640
# The least that is let through: below, nothing of an object is left.
SMALLEST_SIZE = 32

# Of the guided filter that aligns features with the picture, and where raw features are cut [authors' program].
_RADIUS = 5
_EPSILON = 0.01
_CLIP = 5.0

# Of the time of preprocessing, the guided filter's.
_FILTER_SHARE = 0.7


@dataclass(frozen=True, eq=False)
class Features:
    """Output of stage 1.

    Attributes
    ----------
    values : ndarray, shape (H, W, d) with d at most 3
        Features in [0, 1].
    provider : str
        Name of where they come from, as `compute_features` takes it; "given" for those of an array.
    size : int or None
        Longer side to which a photograph is scaled down for the network; None if there was none.
    weights : str or None
        SHA-256 of the network's weights: of the file, or, for "transformers:MODEL", of all names and values.
    """

    values: Any
    provider: str = "given"
    size: int | None = None
    weights: str | None = None


def compute_features(
    image: Any,
    features: Any = "embedded",
    *,
    size: int = WORKING_SIZE,
    dtype: DTypeLike = np.float64,
    precision: str = "float32",
    progress: Callable[[float], None] | None = None,
) -> Features:
    """Bring features of any origin into the form that the other stages take.

    Parameters
    ----------
    image : array, shape (H, W, 3)
        RGB in [0, 1]. Of NumPy, or of torch or CuPy on a CUDA device, where features are then computed.
    features : str or array, default "embedded"
        Where they come from:

        - "embedded": the network that comes with fastsoft, trained to tell objects apart.
        - "lowlevel": colour, texture and position (`lowlevel_features`).
        - "hypercolumn:FILE": weights trained with ``fastsoft train features``.
        - "transformers:MODEL": a vision transformer such as DINOv2, from a local folder or the hub, by the
          transformers package.
        - integers (H, W): a map of regions, each of which gets features of its own (`label_features`).
        - booleans (N, H, W): a stack of instance masks (`mask_features`).
        - floats (H, W, C), or uint8 or uint16 scaled to [0, 1]: with C up to 3 the values must lie in [0, 1] and are
          used as they are; with more channels they are taken as raw output of a network and go through
          `preprocess_features`.
    size : int, default 640
        Networks see the photograph scaled down to this longer side, if it is larger; their features are then brought
        to full size by the guided filter. At least 32. Time and memory of the network grow with its square.
    dtype : float32 or float64
        Of the result.
    precision : {"float32", "bfloat16", "float16"}, default "float32"
        Of the convolutions of "embedded" and "hypercolumn:FILE"; float16 not on the CPU.
    progress : callable, optional
        Called with the share that is done.

    Returns
    -------
    Features
        `values` are an ndarray, or a tensor on the image's device.

    Raises
    ------
    TypeError, ValueError
        If the features have another height and width than the image, hold NaN, or leave [0, 1]; if weights cannot be
        read or are not as they were shipped.
    ImportError
        If the transformers package is wanted and missing.

    Notes
    -----
    Networks run in one thread, for torch's results depend on the number of threads: the features of a photograph have
    the same bits for any number, with one version of torch on one kind of processor. "embedded" needs no connection.
    """
    size = check_int(size, "size", low=SMALLEST_SIZE)
    where = find_device(None, image=image)
    precision = check_precision(precision, where)
    if where is not None:
        check_image(image, place=find_place(image=image))
        image = where.tensor(image)
    if isinstance(features, str):
        provider, seen, weights = features, None, None
        if features == "lowlevel":
            components = preprocess_features(lowlevel_features(image), image, stretch="common", progress=progress)
        elif is_source(features):
            components, weights = _network_components(image, features, size, precision, progress)
            seen = size
        else:
            raise ValueError(
                "features must be 'embedded', 'lowlevel', 'hypercolumn:FILE', 'transformers:MODEL' or an array, "
                f"got {features!r}"
            )
    else:
        raw = _raw(features, image.shape[:2], where)
        if raw.shape[2] <= 3:
            low, high = float(raw.min()), float(raw.max())
            if low < 0 or high > 1:
                raise ValueError(
                    f"features of up to 3 channels must lie in [0, 1], got values in [{low:g}, {high:g}] (scale them, "
                    "or pass more channels to have them reduced)"
                )
            return Features(cast(raw, dtype).contiguous() if where else np.ascontiguousarray(raw, dtype=dtype))
        provider, seen, weights = "given", None, None
        components = preprocess_features(raw, image, progress=progress)
    return Features(cast(components, dtype), provider, seen, weights)


def _raw(features: Any, shape: tuple[int, int], where: Device | None) -> Any:
    """Check features that were given; those for an image on a device become tensors there."""
    if where is None or isinstance(features, np.ndarray):
        # Maps of regions and masks are small, and become features on the CPU.
        found = check_features(features, shape)
        return found if where is None else where.tensor(found)
    described = as_float_array(features, "features", find_place(features=features))
    tensor = where.tensor(features)
    tensor = tensor[:, :, None] if tensor.ndim == 2 else tensor
    check_shape(tensor, (*shape, "C"), "features")
    check_finite(described, "features")
    return tensor


def is_source(features: str) -> bool:
    """Tell a name by which features are computed from the image from the name of a file that holds them."""
    return features == "lowlevel" or is_network(features)


def is_network(features: str) -> bool:
    """Tell the name of a network from that of another source, or of a file."""
    kind, _, argument = features.partition(":")
    return features == "embedded" or (kind in ("hypercolumn", "transformers") and argument != "")


def _network_components(
    image: Any, source: str, size: int, precision: str, progress: Callable[[float], None] | None
) -> tuple[Any, str]:
    """Evaluate a network at the working size, reduce there, and bring the components to the photograph's size.

    Returned with the checksum of the network's weights.
    """
    from fastsoft.ops.guided_filter import guided_filter
    from fastsoft.semantic.network_features import (
        STEP,
        enlarge,
        hypercolumn_features,
        load_network,
        transformer_features,
    )
    from fastsoft.weights import embedded_weights, file_checksum, read_weights

    kind, _, argument = source.partition(":")
    height, width = image.shape[:2]
    scale = min(1.0, size / max(height, width))
    shape = (max(1, round(height * scale)), max(1, round(width * scale)))
    small = cast(image, np.float32) if scale == 1 else resize(image, shape).clip(0, 1)
    if progress is not None:
        progress(0.02)
    if kind == "transformers":
        raw, checksum = transformer_features(small, argument)
        step = None
    else:
        if kind == "embedded":
            path, checksum = embedded_weights("features", "use another source of features, such as 'lowlevel'")
            state = read_weights(path)
        else:
            # The file is read first, for its error messages.
            state, checksum = read_weights(argument), file_checksum(argument)
        raw = hypercolumn_features(small, load_network(*state), precision=precision)
        step = STEP
    if progress is not None:
        progress(0.4)
    # Cut before there are more of them; what lies between two values within the bounds does so, too.
    _cut(raw, -_CLIP, _CLIP)
    share = None if progress is None else lambda fraction: progress(0.4 + 0.4 * fraction)
    components = preprocess_features(enlarge(raw, shape, step=step), small, progress=share)
    if scale < 1:
        # The filter is linear in its input and follows the guide, so three channels do for what 128 would cost more.
        radius = round(_RADIUS / scale)
        components = guided_filter(
            cast(image, np.float32),
            resize(components, (height, width)),
            radius=radius,
            epsilon=_EPSILON,
            progress=None if progress is None else lambda fraction: progress(0.8 + 0.2 * fraction),
        )
        _cut(components, 0, 1)
    if progress is not None:
        progress(1.0)
    return components, checksum


def _cut(values: Any, low: float, high: float) -> None:
    """Cut values to a range, in place."""
    if namespace(values) is np:
        np.clip(values, low, high, out=values)
    else:
        values.clamp_(low, high)


def resize(values: Any, shape: tuple[int, int]) -> Any:
    """Scale (H, W, C) to another height and width, float32: bilinear, averaging where it shrinks.

    On a device torch does it, whose filter is Pillow's.
    """
    if namespace(values) is not np:
        torch = namespace(values)
        planes = values.permute(2, 0, 1)[None].to(torch.float32)
        if planes.shape[2:] != shape:
            planes = torch.nn.functional.interpolate(planes, shape, mode="bilinear", antialias=True)
        return planes[0].permute(1, 2, 0).contiguous()
    from PIL import Image

    if values.shape[:2] == shape:
        return np.ascontiguousarray(values, dtype=np.float32)
    out = np.empty((*shape, values.shape[2]), dtype=np.float32)
    for c in range(values.shape[2]):
        plane = Image.fromarray(np.ascontiguousarray(values[:, :, c], dtype=np.float32))
        out[:, :, c] = np.asarray(plane.resize(shape[::-1], Image.Resampling.BILINEAR))
    return out


def check_features(value: Any, shape: tuple[int, int], name: str = "features") -> Any:
    """Check features: finite, of the image's height and width; maps, masks and a picture's integers become floats."""
    if not hasattr(value, "requires_grad"):
        value = np.asarray(value)
        if value.ndim == 2 and np.issubdtype(value.dtype, np.integer):
            value = label_features(value)
        elif value.ndim == 3 and value.dtype == bool:
            value = mask_features(value)
        if value.dtype in (np.uint8, np.uint16, np.float16):
            value = to_float(value)
    array = as_float_array(value, name)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] == 0:
        raise ValueError(f"{name} must have shape (H, W, C), got {array.shape}")
    if array.shape[:2] != shape:
        raise ValueError(
            f"{name} must have the image's height and width {shape[0]}x{shape[1]}, got "
            f"{array.shape[0]}x{array.shape[1]}"
        )
    check_finite(array, name)
    return array


def load_features(path: str | os.PathLike[str]) -> Any:
    """Read features from a file.

    Parameters
    ----------
    path : str or path-like
        ``.npy``, ``.npz`` or ``.mat`` (MATLAB up to version 7). The one array with three axes in it is taken, or, among
        several, the one called ``features``.

    Returns
    -------
    ndarray, shape (H, W, C)

    Raises
    ------
    ValueError
        If the file is missing, damaged, or does not hold such an array. The message names the file and what it holds.
    """
    name = os.fspath(path)
    suffix = Path(name).suffix.lower()
    if suffix not in (".npy", ".npz", ".mat"):
        raise ValueError(f"features file must end in .npy, .npz or .mat, got {name}")
    try:
        if suffix == ".mat":
            from scipy.io import loadmat

            arrays = {key: value for key, value in loadmat(name).items() if not key.startswith("__")}
        else:
            loaded = np.load(name, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                arrays = {"array": loaded}
            else:
                with loaded:
                    arrays = {key: loaded[key] for key in loaded.files}
    except FileNotFoundError:
        raise ValueError(f"cannot read features from {name}: no such file") from None
    except NotImplementedError:
        raise ValueError(
            f"cannot read features from {name}: MATLAB 7.3 files are not supported, save it with -v7"
        ) from None
    except MemoryError:
        raise
    except Exception as error:  # damaged archives raise what their decoders happen to raise
        raise ValueError(f"cannot read features from {name}: {error or type(error).__name__}") from error
    candidates = {
        key: value
        for key, value in arrays.items()
        if isinstance(value, np.ndarray) and value.ndim == 3 and np.issubdtype(value.dtype, np.number)
    }
    if "features" in candidates:
        return candidates["features"]
    if len(candidates) == 1:
        return next(iter(candidates.values()))
    held = ", ".join(f"{key} {np.shape(value)}" for key, value in arrays.items()) or "nothing"
    raise ValueError(f"{name} must hold one array (H, W, C) or one called features, got {held}")


def preprocess_features(
    features: Any,
    image: Any,
    *,
    clip: float = _CLIP,
    radius: int = _RADIUS,
    epsilon: float = _EPSILON,
    stretch: str = "each",
    progress: Callable[[float], None] | None = None,
) -> Any:
    """Align raw features with the image and reduce them to three channels.

    Values are cut to [-clip, clip], smoothed by a guided filter along the image's edges, reduced to their three
    principal components over the pixels of this image, and stretched to [0, 1].

    Parameters
    ----------
    features : array, shape (H, W, C), float32 or float64
        Raw features of any scale, such as a network's embedding of 128 channels.
    image : array, shape (H, W, 3)
        RGB in [0, 1], the filter's guide; on the device of `features`.
    clip : float, default 5
        As in the authors' program.
    radius, epsilon : int and float, defaults 5 and 0.01
        Of the guided filter.
    stretch : {"each", "common"}, default "each"
        Stretch each component to [0, 1] by itself, as the paper does, or all by the factor of the widest, which
        keeps their proportions: then a component in which little happens does not count as much as the others.
    progress : callable, optional
        Called with the share that is done.

    Returns
    -------
    array, shape (H, W, min(C, 3)), library, device and dtype of `features`
        In [0, 1]; a component that is constant becomes 0.

    Raises
    ------
    ValueError
        If shapes do not agree or values are not finite.

    Notes
    -----
    The sign of a component is chosen so that its largest loading is positive; distances between features do not
    depend on it. Cost: O(H W C^2); memory: one copy of the features. The same bits for any number of threads.

    References
    ----------
    .. [1] Y. Aksoy, T.-H. Oh, S. Paris, M. Pollefeys, W. Matusik, "Semantic soft segmentation", ACM TOG 37(4), 2018,
       section 3.5. :doi:`10.1145/3197517.3201275`
    """
    from fastsoft.ops.guided_filter import guided_filter
    from fastsoft.ops.principal_components import principal_components

    where = find_device(None, features=features, image=image)
    checked = check_image(image, place=find_place(image=image))
    image = checked if where is None else where.tensor(image)
    clip = check_number(clip, "clip", low=0, exclusive=True)
    check_choice(stretch, "stretch", ("each", "common"))
    raw = _raw(features, image.shape[:2], where)
    guide = cast(image, raw.dtype)
    # Clipped because a pixel that is far off would otherwise pull its whole neighbourhood along.
    smooth = guided_filter(
        guide, raw, radius=radius, epsilon=epsilon, clip=clip, progress=_part(progress, 0.0, _FILTER_SHARE)
    )
    result = principal_components(smooth, min(3, smooth.shape[2]), progress=_part(progress, _FILTER_SHARE, 1.0))
    scores = _stretch(result, stretch)
    return scores if where is None else where.result(scores)


def _part(progress: Callable[[float], None] | None, begin: float, end: float) -> Callable[[float], None] | None:
    """Return the progress of a step that makes up the part [begin, end) of the whole."""
    if progress is None:
        return None
    return lambda fraction: progress(begin + (end - begin) * fraction)


def _stretch(result: PcaResult, stretch: str) -> Any:
    """Bring scores to [0, 1], in place."""
    scores = result.scores
    kind = np.dtype(str(scores.dtype).removeprefix("torch."))
    low, high = to_numpy(result.low).astype(kind), to_numpy(result.high).astype(kind)
    extents = high - low
    # A component with less than a rounding's worth of extent is constant.
    noise = 1e3 * np.finfo(kind).eps * max(1.0, float(np.abs(to_numpy(result.mean)).max()))
    for k in range(scores.shape[2]):
        extent = extents.max() if stretch == "common" else extents[k]
        plane = scores[:, :, k]
        if extent > noise:
            plane -= low[k].item()
            plane /= extent.item()
        else:
            plane[...] = 0
    return scores
