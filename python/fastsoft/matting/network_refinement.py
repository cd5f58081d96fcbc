# SPDX-License-Identifier: MIT
"""Backpropagating refinement: alpha is made to meet the trimap where the unknown region ends, for one photograph.

Section 4.3 of R. Wang, J. Xie, J. Han, D. Qi, "Improving Deep Image Matting via Local Smoothness Assumption", ICME
2022, arXiv:2112.13809. Alpha should be 1 next to the known foreground and 0 next to the known background. Behind the
blocks 5 to 2 of the decoder a map x becomes x exp(A) + B; A and B, coarse grids enlarged bicubically, start at zero
and descend the gradient of

    C1 = (sum over the foreground's border of (1 - alpha)^2 + sum over the background's border of alpha^2) / pixels
    C2 = (mean over the unknown region of |alpha - alpha of the start|)^2

The encoder runs once. Of the decoder, too, much does not depend on A and B: `CachedDecoder` computes that once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fastsoft._checks import check_choice, check_int, check_number
from fastsoft.errors import ConvergenceError
from fastsoft.matting.network import FinalBlock, GatedBlock, fused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastsoft.matting.network import MattingNetwork

    Modify = Callable[[int, Tensor], Tensor]
    Decode = Callable[[Modify], Tensor]

__all__ = [
    "BackpropagatingRefinement",
    "CachedDecoder",
    "Refined",
    "RefinementSettings",
    "border_sets",
    "refine_output",
]

# Levels of the decoder that are modified; their grids have 2 ** (8 - level) rows and columns.
LEVELS = (5, 4, 3, 2)
# Pixels along a side of the tiles that the convolutions at full resolution are restricted to.
TILE = 64
# Three 3x3 convolutions see so far.
REACH = 3


@dataclass(frozen=True)
class RefinementSettings:
    """How the refinement is done; `compat` and `paper` give the two published forms, which differ.

    Attributes
    ----------
    steps : int
        Updates of A and B.
    learning_rate : float
    closeness : float
        Weight of C2.
    neighbours : int
        4 or 8: which pixels are next to each other in the borders.
    both_sides : bool
        Borders have the known pixels next to the unknown region, too, and those where the two known regions meet.
        Otherwise they are the unknown pixels next to a known one.
    output : str
        What C1 sees. "clamped": alpha clamped to [0, 1], as in the authors' program; a pixel at 0 that should be 1 then
        has no gradient. "raw": the network's output as it is. "forgiving": the output, without a penalty for being
        beyond 0 or 1 on the right side.
    clamp_start : bool
        Clamp what C2 compares with, too.
    offset : float
        Added to the number of pixels of each border.
    padding : bool
        Borders and unknown region include the mirrored and black pixels that the photograph was padded with.
    keep_best : bool
        Return the alpha of the lowest cost instead of the last one.
    backtrack : bool
        Take back an update that raised the cost, and go half as far from then on.
    """

    steps: int = 20
    learning_rate: float = 200.0
    closeness: float = 0.1
    neighbours: int = 8
    both_sides: bool = False
    output: str = "forgiving"
    clamp_start: bool = True
    offset: float = 0.1
    padding: bool = False
    keep_best: bool = True
    backtrack: bool = True

    def __post_init__(self) -> None:
        check_int(self.steps, "steps", low=0)
        check_number(self.learning_rate, "learning_rate", low=0)
        check_number(self.closeness, "closeness", low=0)
        check_number(self.offset, "offset", low=0)
        check_choice(self.output, "output", ("clamped", "raw", "forgiving"))
        if self.neighbours not in (4, 8):
            raise ValueError(f"neighbours must be 4 or 8, got {self.neighbours!r}")

    @classmethod
    def compat(cls, **changes: Any) -> RefinementSettings:
        """Return what the authors' program does: of its 100 updates the last one is thrown away."""
        settings: dict[str, Any] = {
            "steps": 99,
            "output": "clamped",
            "clamp_start": False,
            "padding": True,
            "learning_rate": 20.0,
            "keep_best": False,
            "backtrack": False,
        }
        return cls(**settings | changes)

    @classmethod
    def paper(cls, **changes: Any) -> RefinementSettings:
        """Return what the paper says."""
        settings: dict[str, Any] = {
            "steps": 100,
            "learning_rate": 20.0,
            "neighbours": 4,
            "both_sides": True,
            "output": "raw",
            "clamp_start": False,
            "offset": 0.0,
            "keep_best": False,
            "backtrack": False,
        }
        return cls(**settings | changes)


@dataclass(frozen=True)
class Refined:
    """What a refinement found.

    Attributes
    ----------
    output : Tensor, shape (1, 1, H, W)
        The network's refined output.
    start : Tensor, shape (1, 1, H, W)
        Its output before.
    costs : list of float
        C1 + closeness C2 before each update and after the last one.
    borders : list of float
        C1 alone.
    best : int
        Number of updates after which the cost was lowest.
    """

    output: Tensor
    start: Tensor
    costs: list[float] = field(default_factory=list)
    borders: list[float] = field(default_factory=list)
    best: int = 0


def border_sets(
    trimap: Tensor, *, neighbours: int = 8, both_sides: bool = False, region: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Find the pixels where alpha is known to be 1, and 0, because a known region ends there.

    Parameters
    ----------
    trimap : Tensor, shape (H, W)
        0 background, 1 foreground, unknown between.
    neighbours : int
        4 or 8.
    both_sides : bool
        See `RefinementSettings`.
    region : Tensor, shape (H, W), bool, optional
        Pixels that count; others are neighbours of none.

    Returns
    -------
    foreground, background : Tensor, shape (H, W), bool
    """
    inside = torch.ones_like(trimap, dtype=torch.bool) if region is None else region
    known = [(trimap > 0.75) & inside, (trimap < 0.25) & inside]
    unknown = inside & ~known[0] & ~known[1]
    found = []
    for mask in known:
        beside = _grown(mask, neighbours) & ~mask & inside
        if both_sides:
            found.append(beside | (_grown(~mask & inside, neighbours) & mask))
        else:
            found.append(beside & unknown)
    return found[0], found[1]


def _grown(mask: Tensor, neighbours: int) -> Tensor:
    """Return the pixels that are in a mask or next to one of it."""
    x = F.pad(mask, (1, 1, 1, 1))
    if neighbours == 8:
        x = x[:-2] | x[1:-1] | x[2:]
        return x[:, :-2] | x[:, 1:-1] | x[:, 2:]
    return x[1:-1, 1:-1] | x[:-2, 1:-1] | x[2:, 1:-1] | x[1:-1, :-2] | x[1:-1, 2:]


class _Grids:
    """A and B of all levels, enlarged by products with matrices: torch's bicubic interpolation, faster backwards."""

    def __init__(self) -> None:
        self.parameters: dict[int, Tensor] = {}
        self._matrices: dict[tuple[int, int], Tensor] = {}

    def __call__(self, level: int, x: Tensor) -> Tensor:
        cells = 2 ** (8 - level)
        if level not in self.parameters:
            self.parameters[level] = x.new_zeros(2, x.shape[1], cells, cells).requires_grad_()
        rows, cols = (self._matrix(n, cells, x) for n in x.shape[2:])
        scale, shift = rows @ self.parameters[level] @ cols.T
        out: Tensor = x * scale.exp() + shift
        return out

    def _matrix(self, n: int, cells: int, like: Tensor) -> Tensor:
        if (n, cells) not in self._matrices:
            unit = torch.eye(cells, dtype=like.dtype, device=like.device)[None, None]
            matrix = F.interpolate(unit, size=(n, cells), mode="bicubic", align_corners=False)[0, 0]
            self._matrices[n, cells] = matrix
        return self._matrices[n, cells]


def refine_output(
    decode: Decode,
    trimap: Tensor,
    settings: RefinementSettings | None = None,
    *,
    region: Tensor | None = None,
    progress: Callable[[float], None] | None = None,
) -> Refined:
    """Refine the output of any decoder.

    Parameters
    ----------
    decode : callable
        ``decode(modify)`` returns the raw output (1, 1, H, W); it calls ``modify(level, x)`` for what its levels 5 to 2
        return, (1, C, h, w), and goes on with the result. Weights must need no gradient.
    trimap : Tensor, shape (H, W)
        0 background, 1 foreground, unknown between.
    settings : RefinementSettings, optional
    region : Tensor, shape (H, W), bool, optional
        The photograph's pixels among padded ones; only these count unless ``settings.padding``.
    progress : callable, optional
        Called with the fraction done.

    Returns
    -------
    Refined
        The start itself where the trimap has no border: there is nothing to refine by.

    Raises
    ------
    ConvergenceError
        If the cost is no longer finite and not the best result but the last is wanted; ``result`` is the best one.
    """
    settings = RefinementSettings() if settings is None else settings
    inside = None if settings.padding else region
    foreground, background = border_sets(
        trimap, neighbours=settings.neighbours, both_sides=settings.both_sides, region=inside
    )
    unknown = (trimap >= 0.25) & (trimap <= 0.75)
    if inside is not None:
        unknown &= inside
    ones, zeros, free = (mask.flatten().nonzero()[:, 0] for mask in (foreground, background, unknown))
    count = len(ones) + len(zeros) + 2 * settings.offset
    grids = _Grids()

    def clamped(x: Tensor, wanted: bool) -> Tensor:
        return x.clamp(0, 1) if wanted else x

    with torch.inference_mode(False), torch.enable_grad():
        out = decode(grids)
        start = out.detach().clone()
        if len(ones) + len(zeros) == 0 or settings.steps == 0:
            return Refined(start, start)
        reference = clamped(start.flatten()[free], settings.clamp_start)
        best, result, costs, borders = 0, start, [], []
        rate, lowest = settings.learning_rate, math.inf
        # Where the cost was lowest, and its gradient there: what a step back needs.
        held: list[tuple[Tensor, Tensor, Tensor]] = []
        for step in range(settings.steps + 1):
            flat = out.flatten()
            low, high = flat[zeros], 1 - flat[ones]
            if settings.output != "raw":
                # relu forgives what is beyond; clamping also takes the gradient of what is as wrong as can be.
                low, high = low.relu(), high.relu()
            if settings.output == "clamped":
                low, high = low.clamp(max=1), high.clamp(max=1)
            border = (low.square().sum() + high.square().sum()) / count
            cost = border
            if len(free):
                values = clamped(flat[free], settings.output != "raw")
                cost = cost + settings.closeness * (values - reference).abs().mean().square()
            costs.append(float(cost.detach()))
            borders.append(float(border.detach()))
            lower = costs[step] < lowest
            if lower:
                best, lowest = step, costs[step]
            if lower or (math.isfinite(costs[step]) and not settings.keep_best):
                result = out.detach()
            if step == settings.steps or not (settings.backtrack or math.isfinite(costs[step])):
                break
            if settings.backtrack and not lower:
                if not held:
                    break  # not finite from the start
                rate /= 2
            else:
                for x in grids.parameters.values():
                    x.grad = None
                cost.backward()  # type: ignore[no-untyped-call]
                held = [(x, x.detach().clone(), x.grad) for x in grids.parameters.values() if x.grad is not None]
            with torch.no_grad():
                for x, value, gradient in held:
                    x.copy_(value - rate * gradient)
            out = decode(grids)
            if progress is not None:
                progress((step + 1) / settings.steps)
    refined = Refined(result, start, costs, borders, best)
    if not settings.keep_best and not math.isfinite(costs[-1]):
        raise ConvergenceError(
            f"refinement diverged after {len(costs) - 1} updates: use a learning_rate below "
            f"{settings.learning_rate:g}, or keep_best",
            refined,
        )
    return refined


class _Cut(torch.autograd.Function):
    """Stack square windows of a map (1, C, H, W). Slices would each get a gradient of the whole map's size."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, places: list[tuple[int, int]], size: int) -> Tensor:
        ctx.places, ctx.shape, ctx.size = places, x.shape, size
        out = x.new_empty(len(places), x.shape[1], size, size)
        for window, (row, col) in zip(out, places, strict=True):
            window.copy_(x[0, :, row : row + size, col : col + size])
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        out = gradient.new_zeros(ctx.shape)
        for window, (row, col) in zip(gradient, ctx.places, strict=True):
            out[0, :, row : row + ctx.size, col : col + ctx.size] += window
        return out, None, None


class _Paste(torch.autograd.Function):
    """Put windows (n, 1, size, size) that do not overlap into a plane (1, 1, H, W); what lies beyond it is dropped."""

    @staticmethod
    def forward(ctx: Any, windows: Tensor, plane: Tensor, places: list[tuple[int, int]]) -> Tensor:
        ctx.places, ctx.shape = places, windows.shape
        out = plane.clone()
        size = windows.shape[2]
        for window, (row, col) in zip(windows, places, strict=True):
            part = out[0, :, row : row + size, col : col + size]
            part.copy_(window[:, : part.shape[1], : part.shape[2]])
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        out = gradient.new_zeros(ctx.shape)
        size = ctx.shape[2]
        for window, (row, col) in zip(out, ctx.places, strict=True):
            part = gradient[0, :, row : row + size, col : col + size]
            window[:, : part.shape[1], : part.shape[2]] = part
        return out, None, None


# Both are untyped in torch.
_cut: Callable[[Tensor, list[tuple[int, int]], int], Tensor] = _Cut.apply
_paste: Callable[[Tensor, Tensor, list[tuple[int, int]]], Tensor] = _Paste.apply


class CachedDecoder:
    """The decoder of a `MattingNetwork` for one photograph, with what does not depend on modifications computed once.

    Parameters
    ----------
    network : MattingNetwork
        In evaluation mode.
    levels : sequence of Tensor, each (1, C, h, w)
        As ``network.encode`` returned them.
    wanted : Tensor, shape (H, W), bool, optional
        Pixels whose output is needed. Away from them it stays what the unmodified network says.

    Notes
    -----
    Equal to ``network.decode`` but for rounding. Constant are the deepest convolution and, as a convolution of
    concatenated maps is the sum of their convolutions, the share of the skips. Batch norm is merged into the
    convolutions. A 3x3 convolution of a map enlarged twofold by nearest neighbour is one of 2x2 of the small map for
    each of four output pixels, in 4/9 of the multiplications. At full resolution only tiles with wanted pixels are
    computed.
    """

    def __init__(self, network: MattingNetwork, levels: Sequence[Tensor], wanted: Tensor | None = None) -> None:
        if network.training:
            raise ValueError("network must be in evaluation mode, got one in training mode")
        self._base = levels[0][:, 4:5] if network.residual else None
        decoder = network.decoder
        self._final: FinalBlock = decoder.final_final
        self._shape = levels[0].shape[2:]
        with torch.no_grad():
            self._steps = [self._step(k, block, levels) for k, block in decoder.blocks.items() if k < 5]
            self._deepest: Tensor = decoder.decoder_5(levels[5])
            n = levels[0].shape[1]
            self._weight = self._final.conv1.weight[:, n:]
            self._skip = F.conv2d(levels[0], self._final.conv1.weight[:, :n], self._final.conv1.bias, padding=1)
            self._tiles: list[tuple[int, int]] | None = None
            twice = all(m == 2 * k for m, k in zip(self._shape, levels[1].shape[2:], strict=True))
            if wanted is not None and twice:
                plane = self(lambda _, x: x)
                tiles = F.max_pool2d(wanted[None, None].float(), TILE, ceil_mode=True)[0, 0].nonzero() * TILE
                self._tiles = [(int(row), int(col)) for row, col in tiles]
                self._plane = plane
                # The convolutions' input beyond the photograph is 0, whatever the layers before would give there.
                over = -self._shape[0] % TILE, -self._shape[1] % TILE
                around = (REACH, REACH + over[1], REACH, REACH + over[0])
                inside = F.pad(torch.ones_like(plane), around)
                windows = _cut(inside, self._tiles, TILE + 2 * REACH) if self._tiles else None
                self._inside = None if windows is None or bool(windows.all()) else windows
                around = (REACH - 1, REACH - 1 + over[1], REACH - 1, REACH - 1 + over[0])
                self._skip = _cut(F.pad(self._skip, around), self._tiles, TILE + 2 * REACH - 2)
                self._over = over

    @staticmethod
    def _step(k: int, block: GatedBlock, levels: Sequence[Tensor]) -> tuple[int, GatedBlock, Tensor, Tensor, bool]:
        """Return a block's level, the share of its skip, its kernel for the rest, and whether that is of 2x2."""
        conv = block.conv1 if block.conv1.bias is not None else fused(block.conv1, block.norm1)
        n = levels[k].shape[1]
        skip = F.conv2d(levels[k], conv.weight[:, :n], conv.bias, padding=1)
        kernel = conv.weight[:, n:]
        twice = all(m == 2 * j for m, j in zip(levels[k].shape[2:], levels[k + 1].shape[2:], strict=True))
        if twice:
            # Of three neighbours in the enlarged map, an even pixel has one before it, an odd one after it, in another
            # pixel of the small map.
            sums = kernel.new_tensor([[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]])
            kernel = torch.einsum("par,qbs,oirs->pqoiab", sums, sums, kernel).flatten(0, 2)
        return k, block, skip, kernel.contiguous(), twice

    def __call__(self, modify: Modify) -> Tensor:
        """Return the raw output (1, 1, H, W), as ``network.decode`` does."""
        y = modify(5, self._deepest)
        for k, block, skip, kernel, twice in self._steps:
            if twice:
                shares = F.conv2d(y, kernel, padding=1).reshape(2, 2, -1, y.shape[2] + 1, y.shape[3] + 1)
                rows, cols = y.shape[2:]
                even, odd = (
                    torch.stack([shares[p, q, :, p : p + rows, q : q + cols] for q in (0, 1)], dim=-1) for p in (0, 1)
                )
                enlarged = torch.stack([even, odd], dim=2).reshape(skip.shape)
            else:
                enlarged = F.conv2d(F.interpolate(y, size=skip.shape[2:], mode="nearest"), kernel, padding=1)
            y = block.gate(F.relu(enlarged + skip))
            if k > 1:
                y = modify(k, y)
        out = self._at_once(y) if self._tiles is None else self._in_tiles(y)
        return out if self._base is None or self._tiles is not None else out + self._base

    def _at_once(self, y: Tensor) -> Tensor:
        fine = F.interpolate(y, size=self._shape, mode="bilinear", align_corners=False)
        x = F.relu(self._skip + F.conv2d(fine, self._weight, padding=1))
        out: Tensor = self._final.conv3(F.relu(self._final.conv2(x)))
        return out

    def _in_tiles(self, y: Tensor) -> Tensor:
        assert self._tiles is not None
        if not self._tiles:
            return self._plane
        # Two pixels of the half resolution around a tile give four around it at full resolution, of which the
        # outermost is not what it would be within the whole map.
        over = self._over
        y = F.pad(y, (2, 2 + over[1] // 2, 2, 2 + over[0] // 2), mode="replicate")
        half = [(row // 2, col // 2) for row, col in self._tiles]
        windows = _cut(y, half, TILE // 2 + 4)
        x = F.interpolate(windows, scale_factor=2, mode="bilinear", align_corners=False)[:, :, 1:-1, 1:-1]
        inside = self._inside
        x = F.conv2d(x if inside is None else x * inside, self._weight)
        x = F.relu(x + self._skip)
        for k, conv in ((1, self._final.conv2), (2, self._final.conv3)):
            x = F.conv2d(x if inside is None else x * inside[:, :, k:-k, k:-k], conv.weight, conv.bias)
            if k == 1:
                x = F.relu(x)
        if self._base is not None:
            over = self._over
            x = x + _cut(F.pad(self._base, (0, over[1], 0, over[0])), self._tiles, TILE)
        return _paste(x, self._plane, self._tiles)


class BackpropagatingRefinement:
    """Refinement of the output of a `MattingNetwork`.

    Parameters
    ----------
    network : MattingNetwork
        In evaluation mode, with weights that need no gradient.
    settings : RefinementSettings, optional
    cache : bool, default True
        Compute once what A and B have no influence on.

    Examples
    --------
    >>> import torch
    >>> from fastsoft.matting.network import MattingNetwork
    >>> network = MattingNetwork("mobilenet_v2").eval().requires_grad_(False)
    >>> trimap = torch.full((64, 64), 128 / 255)
    >>> trimap[:20], trimap[-20:] = 0, 1
    >>> refinement = BackpropagatingRefinement(network, RefinementSettings(steps=3))
    >>> levels = network.encode(torch.rand(1, 3, 64, 64), trimap[None, None])
    >>> refined = refinement(levels, trimap)
    >>> min(refined.costs) <= refined.costs[0]
    True
    """

    def __init__(
        self, network: MattingNetwork, settings: RefinementSettings | None = None, *, cache: bool = True
    ) -> None:
        if network.training:
            raise ValueError("network must be in evaluation mode, got one in training mode")
        self.network = network
        self.settings = RefinementSettings() if settings is None else settings
        self.cache = cache

    def __call__(
        self,
        levels: Sequence[Tensor],
        trimap: Tensor,
        *,
        region: Tensor | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Refined:
        """Refine the output for the levels (1, C, h, w) that ``network.encode`` returned.

        Parameters
        ----------
        levels : sequence of Tensor
        trimap : Tensor, shape (H, W)
        region, progress
            As for `refine_output`.
        """
        settings = self.settings
        if self.cache:
            inside = None if settings.padding else region
            foreground, background = border_sets(
                trimap, neighbours=settings.neighbours, both_sides=settings.both_sides, region=inside
            )
            unknown = (trimap >= 0.25) & (trimap <= 0.75)
            wanted = foreground | background | (unknown if inside is None else unknown & inside)
            decode: Decode = CachedDecoder(self.network, levels, wanted)
        else:

            def decode(modify: Modify) -> Tensor:
                return self.network.decode(levels, modify)

        return refine_output(decode, trimap, settings, region=region, progress=progress)
