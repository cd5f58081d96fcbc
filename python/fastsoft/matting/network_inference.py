# SPDX-License-Identifier: MIT
"""The matting network on whole photographs: padding, tiles, refinement, test-time augmentation, the trimap's word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fastsoft._arrays import as_array
from fastsoft._checks import as_float_array, check_choice, check_finite, check_image, check_int
from fastsoft._dispatch import find_place
from fastsoft.matting.network import MattingNetwork
from fastsoft.matting.network_refinement import BackpropagatingRefinement, RefinementSettings
from fastsoft.matting.trimap import (
    BACKGROUND,
    BACKGROUND_UP_TO,
    FOREGROUND,
    FOREGROUND_FROM,
    UNKNOWN,
    check_trimap,
)
from fastsoft.network_device import arithmetic, network_on

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastsoft._device import Device

__all__ = ["MARGIN", "check_on_device", "pad_canvas", "predict_alpha", "resize_planes"]

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
    """Extend planes (H, W, C), an ndarray or a tensor, as the authors' program does.

    Returns
    -------
    ndarray or Tensor, shape (h, w, C)
        The photograph begins at row and column `MARGIN`.
    """
    if isinstance(planes, Tensor):
        # By indices: torch reflects by less than the extent only.
        rows, cols = (torch.from_numpy(_mirrored(n)).to(planes.device) for n in planes.shape[:2])
        return F.pad(planes[rows][:, cols], (0, 0, FRAME, FRAME, FRAME, FRAME))
    height, width = planes.shape[:2]
    ends = (0, -height % MULTIPLE), (0, -width % MULTIPLE), (0, 0)
    frame = (FRAME, FRAME), (FRAME, FRAME), (0, 0)
    return np.pad(np.pad(np.pad(planes, ends, mode="reflect"), frame, mode="reflect"), frame)


def _mirrored(extent: int) -> Any:
    """Return the indices of rows or columns, and of those that they are extended by, without the black frame."""
    return np.pad(np.pad(np.arange(extent), (0, -extent % MULTIPLE), mode="reflect"), FRAME, mode="reflect")


def resize_planes(planes: Any, shape: tuple[int, int], mode: str) -> Any:
    """Resize planes (H, W, C) by "nearest", "bilinear" or "bicubic" interpolation without smoothing, as OpenCV does."""
    if planes.shape[:2] == shape:
        return planes
    on_device = isinstance(planes, Tensor)
    x = (planes if on_device else torch.from_numpy(np.ascontiguousarray(planes))).permute(2, 0, 1)[None]
    more = {} if mode == "nearest" else {"align_corners": False}
    resized = F.interpolate(x, size=shape, mode=mode, **more)[0].permute(1, 2, 0)
    return resized if on_device else resized.numpy()


@dataclass(frozen=True)
class _Task:
    """What all passes over one photograph have in common."""

    network: MattingNetwork
    refine: RefinementSettings | None
    tile: int | None
    precision: str


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
    where: Device | None = None,
    precision: str = "float32",
    progress: Callable[[float], None] | None = None,
) -> Any:
    """Do what `fastsoft.matting.models.network_matting` says; on a device, the result is a tensor there."""
    if not isinstance(network, MattingNetwork):
        raise TypeError(f"weights must be a path or a MattingNetwork, got {type(network).__name__}")
    if network.training:
        raise ValueError("weights must be a network in evaluation mode, got one in training mode")
    if where is None or not isinstance(image, Tensor):
        image = check_image(image)
        known = check_trimap(trimap, image.shape)
        planes: list[Any] = [image, known[:, :, None] / np.float32(255)]
    else:
        image, known = check_on_device(where, image, trimap)
        planes = [image, known[:, :, None].float() / 255]
    extra = _check_extra(extra, network, image.shape)
    check_choice(large, "large", ("tile", "resize"))
    check_int(tile, "tile", low=2 * OVERLAP)
    planes += [] if extra is None else [extra]
    settings = _settings(refine)
    if not bool((known == UNKNOWN).any()):
        alpha = known == FOREGROUND
        return alpha.astype(np.float32) if where is None else where.tensor(alpha).float()
    if where is not None:
        task = _Task(network_on(network, where.torch), settings, tile if large == "tile" else None, precision)
        stacked: Any = torch.cat([where.tensor(part, np.float32) for part in planes], dim=2)
        with torch.inference_mode(False), torch.no_grad():
            alpha = _augmented(task, stacked, progress) if augment else _one_pass(task, stacked, progress or _ignore)
        return _overwrite(alpha.clip(0, 1), stacked)
    task = _Task(network, settings, tile if large == "tile" else None, precision)
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


def check_on_device(where: Device, image: Any, trimap: Any) -> tuple[Tensor, Tensor]:
    """Check an image and a trimap on a device; return tensors, the trimap's values 0, 128, 255."""
    check_image(image, place=find_place(image=image, trimap=trimap))
    picture, values = where.tensor(image), where.tensor(trimap)
    if values.dtype not in (torch.uint8, torch.float32, torch.float64):
        kind = str(values.dtype).removeprefix("torch.")
        raise TypeError(f"trimap must have dtype uint8, float32 or float64, got {kind}")
    if values.shape != picture.shape[:2]:
        raise ValueError(
            f"trimap must have the size of the image, {picture.shape[0]}x{picture.shape[1]}, got {tuple(values.shape)}"
        )
    if values.dtype == torch.uint8:
        values = values / 255.0
    low, high = (float(value) for value in values.aminmax())
    if not (low >= 0 and high <= 1):
        raise ValueError(f"trimap must lie in [0, 1] (or be uint8, 0..255), got values in [{low:g}, {high:g}]")
    known = torch.full(values.shape, UNKNOWN, dtype=torch.uint8, device=values.device)
    known[values <= BACKGROUND_UP_TO] = BACKGROUND
    known[values >= FOREGROUND_FROM] = FOREGROUND
    return picture, known


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
    extra = as_array(as_float_array(extra, "extra", find_place(extra=extra)))
    if extra.ndim == 2:
        extra = extra[:, :, None]
    if extra.shape != (*shape[:2], len(names)):
        raise ValueError(f"extra must have shape {(*shape[:2], len(names))}, got {extra.shape}")
    if isinstance(extra, np.ndarray):
        check_finite(extra, "extra")
    low, high = float(extra.min()), float(extra.max())
    if not (low >= 0 and high <= 1):
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
    total = _zeros(planes, (height, width))
    done = 0.0
    # Time grows with the pixels.
    share = 1 / (8 * sum(scale * scale for scale in SCALES))
    for scale in SCALES:
        shape = max(1, int(height * scale)), max(1, int(width * scale))
        # Cubic interpolation leaves [0, 1] beside edges.
        scaled = _zeros(planes, (*shape, planes.shape[2]))
        scaled[:] = resize_planes(planes, shape, "bicubic").clip(0, 1)
        scaled[:, :, 3:4] = resize_planes(planes[:, :, 3:4], shape, "nearest")
        mean = _zeros(planes, shape)
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
    if isinstance(planes, Tensor):
        axes = [axis for axis in (0, 1) if index & (1, 2)[axis]]
        if back:
            turned = planes.flip(axes)
            return turned.swapaxes(0, 1) if index & 4 else turned
        return (planes.swapaxes(0, 1) if index & 4 else planes).flip(axes)
    rows, cols = (slice(None, None, -1 if index & bit else None) for bit in (1, 2))
    if back:
        turned = planes[rows, cols]
        return turned.swapaxes(0, 1) if index & 4 else turned
    return (planes.swapaxes(0, 1) if index & 4 else planes)[rows, cols]


def _zeros(like: Any, shape: tuple[int, ...]) -> Any:
    """Return zeros, float32, where other planes are."""
    return like.new_zeros(shape) if isinstance(like, Tensor) else np.zeros(shape, dtype=np.float32)


def _one_pass(task: _Task, planes: Any, progress: Callable[[float], None]) -> Any:
    """Return the alpha of a photograph of any size, overwritten where the trimap is known."""
    shape = planes.shape[:2]
    if task.tile is None:
        small = min(shape[0], LIMIT), min(shape[1], LIMIT)
        reduced = planes
        if small != shape:
            reduced = resize_planes(planes, small, "bilinear")
            reduced = reduced.clone() if isinstance(reduced, Tensor) else reduced.copy()
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
    alpha, weights = _zeros(planes, shape), _zeros(planes, shape)
    for index, (row, col) in enumerate(tiles):

        def report(fraction: float, index: int = index) -> None:
            progress((index + fraction) / len(tiles))

        weight = _ramp(row, shape[0])[:, None] * _ramp(col, shape[1])
        if isinstance(planes, Tensor):
            weight = torch.from_numpy(weight).to(planes.device)
        alpha[row, col] += weight * _canvas(task, planes[row, col], report)
        weights[row, col] += weight
    if isinstance(planes, Tensor):
        alpha /= weights.where(weights > 0, 1)
    else:
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
    padded = pad_canvas(planes)
    on_device = isinstance(padded, Tensor)
    canvas = (padded if on_device else torch.from_numpy(padded)).permute(2, 0, 1)[None]
    network = task.network
    place = slice(MARGIN, MARGIN + height), slice(MARGIN, MARGIN + width)
    with arithmetic(canvas.device, task.precision):
        levels = network.encode(canvas[:, :3], canvas[:, 3:4], canvas[:, 4:] if canvas.shape[1] > 4 else None)
        if task.refine is None:
            out = network.decode(levels)
    if task.refine is not None:
        region = torch.zeros(canvas.shape[2:], dtype=torch.bool, device=canvas.device)
        region[place] = True
        refinement = BackpropagatingRefinement(network, task.refine)
        # Costs and slopes are not for the few digits of a lower precision.
        with arithmetic(canvas.device):
            levels = [level.float() for level in levels]
            out = refinement(levels, canvas[0, 3], region=region, progress=progress).output
    progress(1.0)
    alpha = out[0, 0][place].float().clamp(0, 1)
    return alpha.clone() if on_device else alpha.numpy().copy()
