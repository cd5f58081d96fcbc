# SPDX-License-Identifier: MIT
"""The matting network on photographs, its weights, conversion of the authors' file. Loads torch only when called."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoft.weights import embedded_weights, read_weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastsoft._device import Device
    from fastsoft.matting.network import MattingNetwork
    from fastsoft.matting.network_refinement import RefinementSettings

__all__ = ["convert_published_weights", "device_memory", "load_network", "network_matting"]


def load_network(weights: str | os.PathLike[str] | None = None) -> MattingNetwork:
    """Load a matting network for use: in evaluation mode, with batch norm merged into the convolutions.

    Parameters
    ----------
    weights : path, optional
        ``.safetensors`` that ``fastsoft train matting`` or `convert_published_weights` wrote. Default: those that come
        with fastsoft.

    Returns
    -------
    MattingNetwork
        ``extra_channels`` says what it wants to be given besides photograph and trimap.

    Raises
    ------
    ValueError
        If the file is missing, damaged, or of another network.
    """
    checksum = None
    if weights is None:
        weights, checksum = embedded_weights("matting", "use closed-form matting, method='closed_form'")
    name = os.fspath(weights)
    if name.endswith((".pth", ".pt")):
        raise ValueError(
            f"weights must be a .safetensors file, got {name}: fastsoft.matting.models.convert_published_weights makes "
            "one of the authors' checkpoint"
        )
    state, metadata = read_weights(weights, checksum=checksum)
    from fastsoft.matting.network import network_of

    network = network_of(state, metadata, name).fold()
    network.source = name if checksum is None else f"embedded, SHA-256 {checksum}"
    return network


def convert_published_weights(checkpoint: str | os.PathLike[str], output: str | os.PathLike[str]) -> None:
    """Convert the checkpoint of the authors' program to a ``.safetensors`` file.

    Parameters
    ----------
    checkpoint : path
        ``ckpt_e100.pth`` or another one of LSA-Matting: a dictionary with ``state_dict``, whose names begin with
        ``module.``. It is unpickled with ``weights_only``, which runs no code that it may hold.
    output : path
        Appears complete or not at all.

    Raises
    ------
    ValueError
        If the file is missing, damaged, or of another network.
    OSError
        If the output cannot be written.
    """
    from fastsoft.matting.network import save_published

    save_published(checkpoint, output)


def network_matting(
    image: Any,
    trimap: Any,
    *,
    weights: str | os.PathLike[str] | MattingNetwork | None = None,
    extra: Any = None,
    refine: bool | str | RefinementSettings = False,
    augment: bool = False,
    large: str = "tile",
    tile: int = 1024,
    device: str | None = None,
    precision: str = "float32",
    progress: Callable[[float], None] | None = None,
) -> Any:
    """Alpha of the foreground by the matting network.

    Parameters
    ----------
    image : array, shape (H, W, 3), float32 or float64
        RGB in [0, 1]. Of NumPy, or of torch or CuPy on a CUDA device.
    trimap : array, shape (H, W), uint8 or float32 or float64 in [0, 1]
        As `fastsoft.check_trimap` reads it; on the device of `image`.
    weights : path or MattingNetwork, optional
        As for `load_network`, or what it returned.
    extra : ndarray, shape (H, W) or (H, W, E), float32 or float64, optional
        Further planes in [0, 1], if the network wants them. By default those that its ``extra_channels`` name are made
        by `fastsoft.matting.planes.extra_planes`.
    refine : bool or str or RefinementSettings, default False
        Backpropagating refinement: about as many times slower as it has steps (20), so that borders of the unknown
        region are met. "compat" and "paper" are the two published forms.
    augment : bool, default False
        Test-time augmentation: the mean of 24 passes, of three sizes, four mirrorings, and their transposes.
    large : str, default "tile"
        What becomes of photographs above a size. "tile": overlapping tiles, blended. "resize": as in the authors'
        program, a height or width above 2176 is reduced to it, each for itself, and the alpha enlarged.
    tile : int, default 1024
        Most pixels along a side of a tile, at least 256.
    device : {"cpu", "cuda", "cuda:N", "auto"}, optional
        As for `fastsoft.matte`.
    precision : {"float32", "bfloat16", "float16"}, default "float32"
        Of the convolutions, but not of those that are refined; float16 not on the CPU.
    progress : callable, optional
        Called with the fraction done.

    Returns
    -------
    array, shape (H, W), float32, library and device of `image`
        In [0, 1]; exactly 0 and 1 where the trimap says so.

    Raises
    ------
    CudaError
        If a device is asked for that is not there.
    MemoryError
        If the device has less memory free than `fastsoft.matting.device_memory` says is needed.
    TypeError
        If an argument has another type.
    ValueError
        If sizes differ, values are out of range, or weights do not fit.

    Notes
    -----
    Memory beyond the result grows with the tile, not with the photograph; tiles without unknown pixels cost nothing.
    docs/matting.md has figures. A tile sees what is within it only: the gates' means are those over the tile.

    A photograph is extended to multiples of 64 at its right and bottom, then by 16 pixels on all sides, mirrored, then
    by 16 of black and background, as in the authors' program; any size from 1x1 is taken.

    References
    ----------
    R. Wang, J. Xie, J. Han, D. Qi, "Improving Deep Image Matting via Local Smoothness Assumption", ICME 2022,
    arXiv:2112.13809.
    """
    from fastsoft._device import check_precision, find_device
    from fastsoft.matting.network_inference import predict_alpha
    from fastsoft.matting.planes import extra_planes

    where = find_device(device, image=image, trimap=trimap)
    check_precision(precision, where)
    network = load_network(weights) if weights is None or isinstance(weights, (str, os.PathLike)) else weights
    if where is not None:
        require_memory(where, image.shape, network, refine=bool(refine), augment=augment, large=large, tile=tile)
    if where is not None:
        image, trimap = on_device(where, image, trimap)
    if extra is None and getattr(network, "extra_channels", None):
        extra = extra_planes(network.extra_channels, image, trimap)
    alpha = predict_alpha(
        network,
        image,
        trimap,
        extra,
        refine=refine,
        augment=augment,
        large=large,
        tile=tile,
        where=where,
        precision=precision,
        progress=progress,
    )
    return alpha if where is None else where.result(alpha)


def on_device(where: Device, image: Any, trimap: Any) -> tuple[Any, Any]:
    """Return photograph and trimap as tensors on a device; what comes from NumPy is checked first, in its own words."""
    if where.library == "numpy":
        from fastsoft._checks import check_image
        from fastsoft.matting.trimap import check_trimap

        image = check_image(image)
        check_trimap(trimap, image.shape)
        trimap = np.asarray(trimap)
    return where.tensor(image), where.tensor(trimap)


# Bytes on a device for each pixel of the photograph while closed-form matting works, in float64 whatever its type.
_CLOSED_FORM_BYTES = 350

# Bytes on a device for each pixel of a tile and its frame, by encoder, without and with refinement: what lives at once
# of the network's maps. Its weights, and the context and libraries of CUDA, come to them.
_TILE_BYTES = {"mobilenet_v2": (600, 1900), "resnet50d": (1400, 2700)}
_FIXED_BYTES = 500_000_000


def device_memory(
    shape: tuple[int, ...],
    *,
    encoder: str = "mobilenet_v2",
    tile: int = 1024,
    refine: bool = False,
    augment: bool = False,
    itemsize: int = 4,
) -> int:
    """Estimate how much memory `fastsoft.matte` needs on a CUDA device, the photograph and the result included.

    Parameters
    ----------
    shape : tuple of int
        Height and width come first.
    encoder : {"mobilenet_v2", "resnet50d"}
        Of the network; that which comes with fastsoft has the first.
    tile : int, default 1024
        Most pixels along a side of a tile.
    refine, augment : bool, default False
        Whether alphas are refined, or are the mean of 24.
    itemsize : int, default 4
        Bytes of a number of the image: 4 or 8.

    Returns
    -------
    int
        Bytes, an upper estimate for widths of the decoder up to the default ones.

    Notes
    -----
    Per pixel of the photograph, for numbers of s bytes, the largest of three. While the network works: 3 s for the
    photograph, 45 for the planes that it is given, 8 for the alpha and its weights, with `augment` 120 more. While
    closed-form matting works, for the plane or by itself: 3 s and 350. While colours are estimated: 22 s for
    photograph, alphas, colours and their estimation. To the first come, for each pixel of the largest tile with its
    frame, 600 bytes with MobileNetV2 and 1400 with ResNet-50-D, and if alphas are refined 1900 and 2700. 500 MB are for
    weights, and for the context of CUDA and its libraries.

    Examples
    --------
    >>> from fastsoft.matting import device_memory
    >>> [round(device_memory(shape) / 1e9, 1) for shape in [(1080, 1920), (2160, 3840), (4320, 7680)]]
    [1.3, 3.5, 12.5]
    """
    from fastsoft._checks import check_choice

    check_choice(encoder, "encoder", tuple(_TILE_BYTES))
    n_pixels = shape[0] * shape[1]
    scale = 1.25 if augment else 1
    rows, cols = (-(-min(int(extent * scale), tile) // 64) * 64 + 64 for extent in shape[:2])
    network = n_pixels * (3 * itemsize + 53 + 120 * augment) + rows * cols * _TILE_BYTES[encoder][refine]
    closed_form = n_pixels * (3 * itemsize + _CLOSED_FORM_BYTES)
    return max(network, closed_form, n_pixels * 22 * itemsize) + _FIXED_BYTES


def require_memory(
    where: Device,
    shape: tuple[int, ...],
    network: MattingNetwork | None,
    *,
    large: str = "tile",
    tile: int = 1024,
    **options: Any,
) -> None:
    """Raise MemoryError unless a device has room for matting."""
    encoder = "mobilenet_v2" if network is None else network.encoder_name
    # "resize" takes photographs at once, up to its limit on either side.
    need = device_memory(shape, encoder=encoder, tile=tile if large == "tile" else 2176, **options)
    remedy = "use fewer pixels, a smaller tile (network_matting), or no refinement"
    where.require(need, f"matting of {shape[1]}x{shape[0]} pixels", remedy)
