# SPDX-License-Identifier: MIT
"""The matting network on photographs, its weights, conversion of the authors' file. Loads torch only when called."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from fastsoft.weights import embedded_weights, read_weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastsoft.matting.network import MattingNetwork
    from fastsoft.matting.network_refinement import RefinementSettings

__all__ = ["convert_published_weights", "load_network", "network_matting"]


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
    progress: Callable[[float], None] | None = None,
) -> Any:
    """Alpha of the foreground by the matting network.

    Parameters
    ----------
    image : ndarray, shape (H, W, 3), float32 or float64
        RGB in [0, 1].
    trimap : ndarray, shape (H, W), uint8 or float32 or float64 in [0, 1]
        As `fastsoft.check_trimap` reads it.
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
    progress : callable, optional
        Called with the fraction done.

    Returns
    -------
    ndarray, shape (H, W), float32
        In [0, 1]; exactly 0 and 1 where the trimap says so.

    Raises
    ------
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
    from fastsoft.matting.network_inference import predict_alpha

    network = load_network(weights) if weights is None or isinstance(weights, (str, os.PathLike)) else weights
    if extra is None and getattr(network, "extra_channels", None):
        from fastsoft.matting.planes import extra_planes

        extra = extra_planes(network.extra_channels, image, trimap)
    return predict_alpha(
        network, image, trimap, extra, refine=refine, augment=augment, large=large, tile=tile, progress=progress
    )
