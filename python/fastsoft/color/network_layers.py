# SPDX-License-Identifier: MIT
"""fastsoft's own network for layers of homogeneous colour: any number of colours, all layers treated alike.

Every layer of a photograph passes through the same convolutions, at a quarter of the resolution and below, and sees
the others through the mean and the maximum of their features: exchanging two palette colours exchanges two layers, and
nothing else. What comes out are not alphas but, at half the resolution, the coefficients of an affine function of the
photograph's colour for every layer. Within a region that is mixed of the same few palette colours, their alphas are
such a function exactly (barycentric coordinates), so that the photograph itself carries the alphas to full resolution,
edges and hair included, as the guided filter does.

At a pixel of colour c, with palette colours p_i, delta^2 the mean squared distance of a palette colour from its nearest
neighbour, and the coefficients A_i, b_i, o_i, g_i interpolated from the network's output,

    z_i     = -|c - p_i|^2 / delta^2 + A_i . c + b_i
    alpha   = the nearest point to z that is >= 0 and sums to 1 (sparsemax), then `steps` times the same
              of alpha_i + p_i . (c - sum_j alpha_j p_j) / rho, rho the largest eigenvalue of sum_j p_j p_j^T, centred
    e       = c - sum_j alpha_j (p_j + o_j)
    color_i = clip(p_i + o_i + g_i alpha_i e / sum_j alpha_j^2, 0, 1)

Without the network (A, b, o = 0) a mixture of two colours is found exactly. The steps are projected gradient descent of
|c - sum alpha p|^2. With g = 1 the layers recompose the photograph but for clipping.

The problem and the losses are those of N. Akimoto et al., "Fast Soft Color Segmentation", CVPR 2020,
:doi:`10.1109/CVPR42600.2020.00830`; sparsemax is that of A. Martins and R. Astudillo, ICML 2016, arXiv:1602.02068.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastsoft._files import atomic_file
from fastsoft.color.network_tiles import Window, over_tiles, windows
from fastsoft.color.palette import MIN_COLORS
from fastsoft.network_device import arithmetic, network_on
from fastsoft.networks import fill
from fastsoft.ops.unmixing import LEAST_SCALE, unmix_alphas, unmix_colors

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["LayerModel", "LayerNetwork", "Prediction", "save_network", "sparsemax"]

# What files of weights call this network.
DESIGN = "layers"
# Palettes that it is trained with.
MAX_COLORS = 10

# Extents must be multiples of this: coefficients at a half, features down to a sixteenth.
STRIDE = 16
# Features at a quarter, an eighth and a sixteenth of the resolution.
CHANNELS = (32, 48, 64)
# Coefficients of a layer: three of A, b, three of o, g.
N_COEFFICIENTS = 8
# Offsets of colours are about this large where weights give numbers about 1.
OFFSET_SCALE = 0.1
# The convolutions see up to 69 pixels around one; interpolation adds a coefficient, and tiles keep to multiples of the
# stride.
HALO = 80
# Pixels times layers of a tile with its halo: its widest feature map then takes 48 MB.
TILE_SIZE = 6_000_000


class _Sparsemax(torch.autograd.Function):
    """Projection on the simplex along one axis; the threshold by Newton's method, which ends in a few rounds."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, axis: int) -> Tensor:
        n = z.shape[axis]
        threshold = (z.sum(axis, keepdim=True) - 1) / n
        for _ in range(n - 1):
            above = z > threshold
            count = above.sum(axis, keepdim=True)
            raised = ((z * above).sum(axis, keepdim=True) - 1) / count
            if bool((raised <= threshold).all()):
                break
            threshold = torch.maximum(threshold, raised)
        out = (z - threshold).clamp_(min=0)
        ctx.save_for_backward(out)
        ctx.axis = axis
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (out,) = ctx.saved_tensors
        support = out > 0
        mean = (gradient * support).sum(ctx.axis, keepdim=True) / support.sum(ctx.axis, keepdim=True)
        return (gradient - mean) * support, None


def sparsemax(z: Tensor, axis: int) -> Tensor:
    """Return the nearest point to `z` that is >= 0 and sums to 1 along an axis.

    Parameters
    ----------
    z : Tensor
    axis : int

    Returns
    -------
    Tensor, shape of `z`
    """
    out: Tensor = _Sparsemax.apply(z, axis)  # type: ignore[no-untyped-call]
    return out


class SetConv(nn.Module):
    """Convolution of every layer's features, plus one of what all layers have in common, then ReLU.

    Parameters
    ----------
    n_in, n_out : int
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.own = nn.Conv2d(n_in, n_out, 3, padding=1)
        self.common = nn.Conv2d(2 * n_in, n_out, 1, bias=False)

    def forward(self, x: Tensor, n_layers: int) -> Tensor:
        """Map features (N * n_layers, n_in, h, w) to (N * n_layers, n_out, h, w)."""
        per_image = _per_image(x, n_layers)
        common = self.common(torch.cat([per_image.mean(dim=1), per_image.amax(dim=1)], dim=1))
        # In place, here and below: maps of all layers are large, and no slope needs what is overwritten.
        own = _per_image(self.own(x), n_layers).add_(common[:, None])
        return F.relu(own, inplace=True).flatten(0, 1)


@dataclass(frozen=True)
class Prediction:
    """What the network makes of photographs, as training looks at it.

    Attributes
    ----------
    alphas : Tensor, shape (N, K, H, W)
    bases : Tensor, shape (N, K, 3, H, W)
        Palette colours plus their offsets.
    colors : Tensor, shape (N, K, 3, H, W)
    """

    alphas: Tensor
    bases: Tensor
    colors: Tensor


class LayerNetwork(nn.Module):
    """Coefficients of every layer, see the text above.

    Parameters
    ----------
    channels : sequence of int
        Features at a quarter, an eighth and a sixteenth of the resolution.
    steps : int, default 2
        Steps of gradient descent on the alphas.
    skips : bool, default True
        Whether what the way down finds is added on the way up (the paper's ablation).
    gain, offset : float, default 1
        Factors on g and o. With less, colours stay nearer to each other and to the palette, and the layers recompose
        the photograph less well; exact recomposition makes up for that.

    Notes
    -----
    An untrained network predicts nothing: A, b and o are 0 and g is 1.
    """

    def __init__(
        self,
        channels: Sequence[int] = CHANNELS,
        *,
        steps: int = 2,
        skips: bool = True,
        gain: float = 1.0,
        offset: float = 1.0,
    ) -> None:
        super().__init__()
        a, b, c = channels
        self.channels = (a, b, c)
        self.steps = steps
        self.skips = skips
        self.gain = gain
        self.offset = offset
        # The photograph's own features are computed once for all layers.
        self.image = nn.Conv2d(3 * 16, a, 3, padding=1)
        self.layer = nn.Conv2d(4 + 4 + 3 + 3, a, 3, padding=1, bias=False)
        self.quarter_down = SetConv(a, a)
        self.to_eighth = nn.Conv2d(a, b, 3, stride=2, padding=1)
        self.eighth_down = SetConv(b, b)
        self.to_sixteenth = nn.Conv2d(b, c, 3, stride=2, padding=1)
        self.sixteenth = SetConv(c, c)
        self.from_sixteenth = nn.Conv2d(c, b, 1)
        self.eighth_up = SetConv(b, b)
        self.from_eighth = nn.Conv2d(b, a, 1)
        self.quarter_up = SetConv(a, a)
        self.head = nn.Conv2d(a, 4 * N_COEFFICIENTS, 1)
        nn.init.zeros_(self.head.weight)
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)

    def coefficients(self, image: Tensor, palette: Tensor) -> Tensor:
        """Run the convolutions.

        Parameters
        ----------
        image : Tensor, shape (N, 3, H, W)
            In [0, 1]; H and W multiples of 16.
        palette : Tensor, shape (N, K, 3)

        Returns
        -------
        Tensor, shape (N, K, 8, H / 2, W / 2)
            A (of colours as they are), b, o and g.
        """
        k = palette.shape[1]
        scale = palette_scale(palette).sqrt()[:, None, None, None]
        half = F.avg_pool2d(image, 2)
        quarter = F.avg_pool2d(half, 2)
        x = _per_image(self.layer(self._inputs(half, quarter, palette, scale)), k)
        x = x.add_(self.image(F.pixel_unshuffle(image, 4))[:, None])
        x = quarter_features = self.quarter_down(F.relu(x, inplace=True).flatten(0, 1), k)
        x = eighth_features = self.eighth_down(F.relu(self.to_eighth(x), inplace=True), k)
        x = self.sixteenth(F.relu(self.to_sixteenth(x), inplace=True), k)
        x = self._up(self.from_sixteenth(x), eighth_features)
        x = self._up(self.from_eighth(self.eighth_up(x, k)), quarter_features)
        del quarter_features, eighth_features
        # What follows is not for the few digits that convolutions may have been computed in.
        raw = _per_image(F.pixel_shuffle(self.head(self.quarter_up(x, k)), 2), k).to(image.dtype)
        slope, level, offset, gain = raw[:, :, :3], raw[:, :, 3:4], raw[:, :, 4:7], raw[:, :, 7:]
        slope = slope / scale[:, None]
        # The slope turns about the mean colour of the place: level and slope are then about different things.
        level = level - (slope * half[:, None]).sum(dim=2, keepdim=True)
        return torch.cat([slope, level, OFFSET_SCALE * self.offset * offset, self.gain * (1 + gain)], dim=2)

    def _inputs(self, half: Tensor, quarter: Tensor, palette: Tensor, scale: Tensor) -> Tensor:
        """Describe every layer at a quarter of the resolution: (N * K, 14, H / 4, W / 4)."""
        distance = (half[:, None] - palette[:, :, :, None, None]).div(scale[:, None]).square().sum(dim=2)
        share = torch.softmax(-2 * distance, dim=1)
        near = torch.exp(-distance)
        colors = palette[:, :, :, None, None].expand(-1, -1, -1, *quarter.shape[2:])
        difference = ((quarter[:, None] - colors) / scale[:, None]).clamp(-3, 3)
        maps = [F.pixel_unshuffle(plane[:, :, None].flatten(0, 1), 2) for plane in (share, near)]
        return torch.cat([*maps, difference.flatten(0, 1), colors.flatten(0, 1)], dim=1)

    def _up(self, coarse: Tensor, fine: Tensor) -> Tensor:
        up = F.interpolate(coarse, scale_factor=2.0, mode="nearest")
        return F.relu(up.add_(fine) if self.skips else up, inplace=True)

    def alphas(self, image: Tensor, palette: Tensor, coefficients: Tensor) -> Tensor:
        """Return the alphas (N, K, H, W) from all or the first four coefficients."""
        values = _enlarged(coefficients[:, :, :4])
        slope, level = values[:, :, :3], values[:, :, 3]
        distance = (image[:, None] - palette[:, :, :, None, None]).square().sum(dim=2)
        z = (slope * image[:, None]).sum(dim=2) + level
        alphas = sparsemax(z - distance / palette_scale(palette)[:, None, None, None], 1)
        direction = (palette / palette_stiffness(palette)[:, None, None])[:, :, :, None, None]
        for _ in range(self.steps):
            error = image - (alphas[:, :, None] * palette[:, :, :, None, None]).sum(dim=1)
            alphas = sparsemax(alphas + (direction * error[:, None]).sum(dim=2), 1)
        return alphas

    def colors(self, image: Tensor, palette: Tensor, alphas: Tensor, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        """Return palette colours with their offsets, and the colours, both (N, K, 3, H, W), from the last four."""
        values = _enlarged(coefficients[:, :, -4:])
        offset, gain = values[:, :, :3], values[:, :, 3:]
        bases = palette[:, :, :, None, None] + offset
        error = image - (alphas[:, :, None] * bases).sum(dim=1)
        share = alphas / alphas.square().sum(dim=1, keepdim=True)
        return bases, (bases + gain * share[:, :, None] * error[:, None]).clamp(0, 1)

    def forward(self, image: Tensor, palette: Tensor) -> Prediction:
        """Decompose images (N, 3, H, W), H and W multiples of 16, by palettes (N, K, 3)."""
        coefficients = self.coefficients(image, palette)
        alphas = self.alphas(image, palette, coefficients)
        return Prediction(alphas, *self.colors(image, palette, alphas, coefficients))


class LayerModel:
    """The network in use: photographs of any size, palettes of 2 to 10 colours.

    Parameters
    ----------
    network : LayerNetwork
        Is put into evaluation mode.
    source : str
        Where the weights come from, for records.

    Notes
    -----
    The convolutions run in tiles that overlap by what they see (for seven colours up to 752x752 pixels), so that memory
    beyond the result does not grow with the photograph but for the coefficients: 4 bytes for each layer and pixel. What
    is done at every pixel is native code (`fastsoft.ops.unmixing`). Tiles change nothing but the rounding. Photographs
    that are tensors on a device stay there, and so do the results.
    """

    design = DESIGN

    def __init__(self, network: LayerNetwork, source: str = "") -> None:
        self.source = source
        self.n_colors = (MIN_COLORS, MAX_COLORS)
        self._network = network.eval().requires_grad_(False)

    @classmethod
    def from_arrays(cls, state: Mapping[str, NDArray[Any]], metadata: Mapping[str, str], name: str) -> LayerModel:
        """Build the model from weights and what their file says of the network; `name` tells errors whose they are."""
        try:
            a, b, c = (int(value) for value in metadata["channels"].split())
            network = LayerNetwork(
                (a, b, c),
                steps=int(metadata["steps"]),
                skips=metadata["skips"] == "1",
                gain=float(metadata.get("gain", 1)),
                offset=float(metadata.get("offset", 1)),
            )
        except (KeyError, ValueError):
            raise ValueError(f"weights {name} must say their channels, steps and skips, got {dict(metadata)}") from None
        fill(network, state, name)
        return cls(network, name)

    def alphas(
        self,
        image: Any,
        palette: Any,
        *,
        tile: int | None = None,
        precision: str = "float32",
        progress: Callable[[float], None] | None = None,
    ) -> tuple[Any, Any]:
        """Predict alphas.

        Parameters
        ----------
        image : ndarray or Tensor on a device, shape (H, W, 3), float32
        palette : ndarray, shape (n, 3), float32
        tile : int, optional
            Most pixels along a side of a tile, a multiple of 16.
        precision : {"float32", "bfloat16", "float16"}, default "float32"
            Of the convolutions.
        progress : callable, optional
            Called with the fraction done.

        Returns
        -------
        alphas : ndarray or Tensor, shape (H, W, n), float32
            In [0, 1], with sum 1.
        state : ndarray or Tensor, shape (ceil(H / 2), ceil(W / 2), n, 4), float32
            Coefficients of the colours, for `colors`.
        """
        n = len(palette)
        height, width = image.shape[:2]
        if tile is None:
            tile = (int((TILE_SIZE / n) ** 0.5) - 2 * HALO) // STRIDE * STRIDE
        tiles = list(windows(image.shape, tile, STRIDE, HALO))
        on_device = isinstance(image, Tensor)
        network, where = self._network, torch.device("cpu")
        whole, half = (n, height, width), (n, 4, -(-height // 2), -(-width // 2))
        if on_device:
            where = image.device
            network = network_on(network, where)
            alphas, state = image.new_empty(whole).permute(1, 2, 0), image.new_empty(half).permute(2, 3, 0, 1)
        else:
            alphas = np.empty(whole, dtype=np.float32).transpose(1, 2, 0)
            state = np.empty(half, dtype=np.float32).transpose(2, 3, 0, 1)
        colors = torch.from_numpy(palette)[None].to(where)

        def work(window: Window) -> None:
            with arithmetic(where, precision):
                found: Any = network.coefficients(window.cut(image), colors)[0].permute(2, 3, 0, 1)
            if not on_device:
                found = found.numpy()
            unmix_alphas(
                image[window.place],
                palette,
                found[..., :4],
                origin=(window.row.core.start, window.col.core.start),
                steps=network.steps,
                out=alphas[window.place],
            )
            rows, cols, from_rows, from_cols = (
                slice(cut.start // 2, -(-cut.stop // 2)) for cut in (*window.place, *window.core)
            )
            state[rows, cols] = found[from_rows, from_cols, :, 4:]

        over_tiles(tiles, work, progress, at_once=1 if on_device else None)
        return alphas, state

    def colors(
        self,
        image: Any,
        palette: Any,
        alphas: Any,
        state: Any,
        *,
        precision: str = "float32",
        progress: Callable[[float], None] | None = None,
    ) -> Any:
        """Return the colours of the layers for the processed alphas.

        Parameters
        ----------
        image : ndarray or Tensor on a device, shape (H, W, 3), float32
        palette : ndarray, shape (n, 3), float32
        alphas : ndarray or Tensor, shape (H, W, n), float32
            In [0, 1], with sum 1.
        state : ndarray or Tensor
            What `alphas` returned for the same photograph and palette.
        precision : str
            Ignored: there are no convolutions.
        progress : callable, optional

        Returns
        -------
        ndarray or Tensor, shape (H, W, n, 3), float32
            In [0, 1].
        """
        shape = len(palette), 3, *image.shape[:2]
        if isinstance(image, Tensor):
            out: Any = image.new_empty(shape).permute(2, 3, 0, 1)
        else:
            out = np.empty(shape, dtype=np.float32).transpose(2, 3, 0, 1)
        unmix_colors(image, palette, alphas, state, out=out)
        if progress is not None:
            progress(1.0)
        return out


def save_network(
    network: LayerNetwork, path: str | os.PathLike[str], state: Mapping[str, Tensor] | None = None
) -> None:
    """Write weights, the network's or others of it; the file appears complete or not at all."""
    from safetensors.torch import save

    values = network.state_dict() if state is None else state
    metadata = {
        "design": DESIGN,
        "channels": " ".join(str(value) for value in network.channels),
        "steps": str(network.steps),
        "skips": str(int(network.skips)),
        "gain": str(network.gain),
        "offset": str(network.offset),
    }
    with atomic_file(path) as file:
        file.write(save({key: value.detach().to("cpu").contiguous() for key, value in values.items()}, metadata))


def palette_scale(palette: Tensor) -> Tensor:
    """Return the mean squared distance (N,) of palette colours (N, K, 3) from their nearest neighbours."""
    distance = (palette[:, :, None] - palette[:, None]).square().sum(dim=3)
    own = torch.eye(palette.shape[1], dtype=torch.bool, device=palette.device)
    nearest = distance.masked_fill(own, torch.inf).amin(dim=2)
    return nearest.mean(dim=1).clamp(min=LEAST_SCALE)


def palette_stiffness(palette: Tensor) -> Tensor:
    """Return the largest eigenvalue (N,) of the sum of p p^T over the centred palette, the inverse of a step's size."""
    centred = palette - palette.mean(dim=1, keepdim=True)
    largest: Tensor = torch.linalg.eigvalsh(centred.transpose(1, 2) @ centred)[:, -1]
    return largest


def _per_image(x: Tensor, n_layers: int) -> Tensor:
    """Undo the flattening of images and layers to one axis."""
    return x.reshape(-1, n_layers, *x.shape[1:])


def _enlarged(coefficients: Tensor) -> Tensor:
    """Bring coefficients (N, K, C, h, w) to twice the size."""
    flat = F.interpolate(coefficients.flatten(1, 2), scale_factor=2.0, mode="bilinear", align_corners=False)
    return flat.reshape(*coefficients.shape[:3], *flat.shape[2:])
