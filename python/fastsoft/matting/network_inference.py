# SPDX-License-Identifier: MIT
"""The matting network on whole photographs: padding, tiles, refinement, test-time augmentation, the trimap's word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

from fastsoft._checks import as_float_array, check_choice, check_finite, check_image, check_int
from fastsoft.matting.network import MattingNetwork
from fastsoft.matting.network_refinement import BackpropagatingRefinement, RefinementSettings
from fastsoft.matting.trimap import BACKGROUND, FOREGROUND, UNKNOWN, check_trimap

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MARGIN", "pad_canvas", "predict_alpha", "resize_planes"]

# Canvases are multiples of this, with a frame of mirrored and one of black pixels [authors' program].
MULTIPLE = 64
FRAME = 16
# Rows and columns of the canvas before the photograph.
MARGIN = 2 * FRAME
# Largest height and width of "resize" [authors' program].
LIMIT = 2176
# Sizes of test-time augmentation [paper].
SCALES = (0.8, 1.0, 1.25)
# Pixels that tiles share at least with each neighbour; over these they are blended.
OVERLAP = 128


def pad_canvas(planes: Any) -> Any:
    """Extend planes (H, W, C) as the authors' program does.

    Returns
    -------
    ndarray, shape (h, w, C)
        The photograph begins at row and column `MARGIN`.
    """
    height, width = planes.shape[:2]
    ends = (0, -height % MULTIPLE), (0, -width % MULTIPLE), (0, 0)
    frame = (FRAME, FRAME), (FRAME, FRAME), (0, 0)
    return np.pad(np.pad(np.pad(planes, ends, mode="reflect"), frame, mode="reflect"), frame)


def resize_planes(planes: Any, shape: tuple[int, int], mode: str) -> Any:
    """Resize planes (H, W, C) by "nearest", "bilinear" or "bicubic" interpolation without smoothing, as OpenCV does."""
    if planes.shape[:2] == shape:
        return planes
    x = torch.from_numpy(np.ascontiguousarray(planes)).permute(2, 0, 1)[None]
    more = {} if mode == "nearest" else {"align_corners": False}
    return F.interpolate(x, size=shape, mode=mode, **more)[0].permute(1, 2, 0).numpy()


@dataclass(frozen=True)
class _Task:
    """What all passes over one photograph have in common."""

    network: MattingNetwork
    refine: RefinementSettings | None
    tile: int | None


def predict_alpha(
    network: MattingNetwork,
    image: Any,
    trimap: Any,
    extra: Any = None,
    *,
    refine: bool | str | RefinementSettings = False,
    augment: bool = False,
    large: str = "tile",
    tile: int = 1024,
    progress: Callable[[float], None] | None = None,
) -> Any:
    """Do what `fastsoft.matting.models.network_matting` says."""
    if not isinstance(network, MattingNetwork):
        raise TypeError(f"weights must be a path or a MattingNetwork, got {type(network).__name__}")
    if network.training:
        raise ValueError("weights must be a network in evaluation mode, got one in training mode")
    image = check_image(image)
    known = check_trimap(trimap, image.shape)
    extra = _check_extra(extra, network, image.shape)
    check_choice(large, "large", ("tile", "resize"))
    check_int(tile, "tile", low=2 * OVERLAP)
    planes = [image, known[:, :, None] / np.float32(255), *([] if extra is None else [extra])]
    settings = _settings(refine)
    if not (known == UNKNOWN).any():
        return (known == FOREGROUND).astype(np.float32)
    task = _Task(network, settings, tile if large == "tile" else None)
    stacked = np.concatenate(planes, axis=2, dtype=np.float32)
    # A network is left as it was found.
    wanted = [(x, x.requires_grad) for x in network.parameters()]
    try:
        network.requires_grad_(False)
        with torch.inference_mode(False), torch.no_grad():
            if augment:
                alpha = _augmented(task, stacked, progress)
            else:
                alpha = _one_pass(task, stacked, progress or _ignore)
    finally:
        for x, needed in wanted:
            x.requires_grad_(needed)
    return _overwrite(alpha.clip(0, 1), stacked)


def _ignore(_: float) -> None:
    pass


def _settings(refine: bool | str | RefinementSettings) -> RefinementSettings | None:
    if isinstance(refine, RefinementSettings):
        return refine
    if isinstance(refine, bool):
        return RefinementSettings() if refine else None
    check_choice(refine, "refine", ("compat", "paper"))
    return RefinementSettings.compat() if refine == "compat" else RefinementSettings.paper()


def _check_extra(extra: Any, network: MattingNetwork, shape: tuple[int, ...]) -> Any:
    names = network.extra_channels
    if extra is None:
        if names:
            raise ValueError(f"extra must hold the planes that the network wants, {', '.join(names)}, got none")
        return None
    extra = as_float_array(extra, "extra")
    if extra.ndim == 2:
        extra = extra[:, :, None]
    if extra.shape != (*shape[:2], len(names)):
        raise ValueError(f"extra must have shape {(*shape[:2], len(names))}, got {extra.shape}")
    check_finite(extra, "extra")
    low, high = float(extra.min()), float(extra.max())
    if low < 0 or high > 1:
        raise ValueError(f"extra must lie in [0, 1], got values in [{low:g}, {high:g}]")
    return extra


def _overwrite(alpha: Any, planes: Any) -> Any:
    """Put 0 and 1 where the trimap, plane 3, is known."""
    alpha[planes[:, :, 3] == BACKGROUND] = 0
    alpha[planes[:, :, 3] == 1] = 1
    return alpha


def _augmented(task: _Task, planes: Any, progress: Callable[[float], None] | None) -> Any:
    """Return the mean of 24 passes."""
    height, width = planes.shape[:2]
    total = np.zeros((height, width), dtype=np.float32)
    done = 0.0
    # Time grows with the pixels.
    share = 1 / (8 * sum(scale * scale for scale in SCALES))
    for scale in SCALES:
        shape = max(1, int(height * scale)), max(1, int(width * scale))
        scaled = np.empty((*shape, planes.shape[2]), dtype=np.float32)
        # Cubic interpolation leaves [0, 1] beside edges.
        scaled[:] = np.clip(resize_planes(planes, shape, "bicubic"), 0, 1)
        scaled[:, :, 3:4] = resize_planes(planes[:, :, 3:4], shape, "nearest")
        mean = np.zeros(shape, dtype=np.float32)
        for index in range(8):
            step = share * scale * scale

            def report(fraction: float, done: float = done, step: float = step) -> None:
                if progress is not None:
                    progress(min(1.0, done + step * fraction))

            turned = _turn(scaled, index)
            mean += _turn(_one_pass(task, turned, report), index, back=True)
            done += step
        total += resize_planes(mean[:, :, None] / 8, (height, width), "bicubic")[:, :, 0]
    if progress is not None:
        progress(1.0)
    return total / len(SCALES)


def _turn(planes: Any, index: int, *, back: bool = False) -> Any:
    """Return one of the eight symmetries of the square, or undo it: a mirroring, after a transposition from 4 on."""
    rows, cols = (slice(None, None, -1 if index & bit else None) for bit in (1, 2))
    if back:
        turned = planes[rows, cols]
        return turned.swapaxes(0, 1) if index & 4 else turned
    return (planes.swapaxes(0, 1) if index & 4 else planes)[rows, cols]


def _one_pass(task: _Task, planes: Any, progress: Callable[[float], None]) -> Any:
    """Return the alpha of a photograph of any size, overwritten where the trimap is known."""
    shape = planes.shape[:2]
    if task.tile is None:
        small = min(shape[0], LIMIT), min(shape[1], LIMIT)
        reduced = planes
        if small != shape:
            reduced = resize_planes(planes, small, "bilinear").copy()
            reduced[:, :, 3:4] = resize_planes(planes[:, :, 3:4], small, "nearest")
        alpha = _overwrite(_canvas(task, reduced, progress), reduced)
        alpha = resize_planes(alpha[:, :, None], shape, "bilinear")[:, :, 0]
        return _overwrite(alpha, planes)
    stretches = [_stretches(extent, task.tile) for extent in shape]
    tiles = [(row, col) for row in stretches[0] for col in stretches[1]]
    unknown = (planes[:, :, 3] > 0) & (planes[:, :, 3] < 1)
    tiles = [tile for tile in tiles if unknown[tile].any()]
    if len(stretches[0]) == len(stretches[1]) == 1:
        # Also a photograph without unknown pixels, as sizes of the augmentation may be.
        return _overwrite(_canvas(task, planes, progress), planes)
    alpha, weights = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.float32)
    for index, (row, col) in enumerate(tiles):

        def report(fraction: float, index: int = index) -> None:
            progress((index + fraction) / len(tiles))

        weight = _ramp(row, shape[0])[:, None] * _ramp(col, shape[1])
        alpha[row, col] += weight * _canvas(task, planes[row, col], report)
        weights[row, col] += weight
    np.divide(alpha, weights, out=alpha, where=weights > 0)
    return _overwrite(alpha, planes)


def _stretches(extent: int, tile: int) -> list[slice]:
    """Cut one axis into stretches of one length that overlap."""
    if extent <= tile:
        return [slice(0, extent)]
    count = -(-(extent - OVERLAP) // (tile - OVERLAP))
    return [slice(begin, begin + tile) for begin in np.linspace(0, extent - tile, count).astype(int).tolist()]


def _ramp(stretch: slice, extent: int) -> Any:
    """Return weights along a stretch, which rise over the overlap at its ends but not at those of the photograph."""
    n = stretch.stop - stretch.start
    rise = np.minimum((np.arange(n, dtype=np.float32) + 1) / (OVERLAP + 1), 1)
    weight = np.ones(n, dtype=np.float32)
    if stretch.start > 0:
        weight *= rise
    if stretch.stop < extent:
        weight *= rise[::-1]
    return weight


def _canvas(task: _Task, planes: Any, progress: Callable[[float], None]) -> Any:
    """Run the network on a padded photograph or tile; alpha in [0, 1], not yet overwritten."""
    height, width = planes.shape[:2]
    canvas = torch.from_numpy(pad_canvas(planes)).permute(2, 0, 1)[None]
    network = task.network
    levels = network.encode(canvas[:, :3], canvas[:, 3:4], canvas[:, 4:] if canvas.shape[1] > 4 else None)
    place = slice(MARGIN, MARGIN + height), slice(MARGIN, MARGIN + width)
    if task.refine is None:
        out = network.decode(levels)
    else:
        region = torch.zeros(canvas.shape[2:], dtype=torch.bool)
        region[place] = True
        refinement = BackpropagatingRefinement(network, task.refine)
        out = refinement(levels, canvas[0, 3], region=region, progress=progress).output
    progress(1.0)
    return out[0, 0][place].clamp(0, 1).numpy().copy()
