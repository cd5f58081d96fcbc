# SPDX-License-Identifier: MIT
"""The two published networks of fast soft colour segmentation, and their use on photographs of any size.

N. Akimoto, H. Zhu, Y. Jin, Y. Aoki, "Fast Soft Color Segmentation", CVPR 2020, :doi:`10.1109/CVPR42600.2020.00830`,
tables 3 and 4. The alpha predictor sees the photograph and the palette and returns an alpha for every colour; the
residue predictor sees the (processed) alphas, too, and returns how far the colours of each layer are from the palette.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastsoft._files import atomic_file
from fastsoft.color.network_tiles import Window, over_tiles, windows
from fastsoft.color.palette import MIN_COLORS
from fastsoft.color.processing import normalize_alphas
from fastsoft.network_device import arithmetic, network_on, normalize
from fastsoft.networks import fill

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

__all__ = ["AlphaPredictor", "PublishedModel", "ResiduePredictor", "UNet", "save_published"]

# Three strides of 2: extents must be multiples of 8.
STRIDE = 8
# A value depends on pixels up to 16 away: 1 + 2 + 4 going down, 4 + 2 + 1 going up, where a transposed convolution
# looks at two neighbours only, and 1 + 1 at full size. It is a multiple of the stride, as the grid of tiles must be.
HALO = 16
# Pixels along a side of a tile, without its halo. Of 128, 256, 384 and 512, on 1920x1080 and one core of a server
# processor, this was the fastest with channels last and without, although it computes 1.3 times the pixels: the
# activations of larger tiles do not stay in the cache.
TILE = 256


class UNet(nn.Module):
    """U-Net of tables 3 and 4 of the paper, without its last nonlinearity.

    Parameters
    ----------
    n_in, n_out : int
        Channels. The first three of the input are the photograph.

    Notes
    -----
    ReLU comes before batch normalisation. The names of the state are those of the authors' program.
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        c = n_in
        self.conv1 = nn.Conv2d(c, 2 * c, 3, stride=2, padding=1, bias=False)
        self.conv2 = nn.Conv2d(2 * c, 4 * c, 3, stride=2, padding=1, bias=False)
        self.conv3 = nn.Conv2d(4 * c, 8 * c, 3, stride=2, padding=1, bias=False)
        self.deconv1 = self._up(8 * c, 4 * c)
        self.deconv2 = self._up(8 * c, 2 * c)
        self.deconv3 = self._up(4 * c, 2 * c)
        self.conv4 = nn.Conv2d(2 * c + 3, c, 3, padding=1)
        self.conv5 = nn.Conv2d(c, n_out, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(2 * c)
        self.bn2 = nn.BatchNorm2d(4 * c)
        self.bn3 = nn.BatchNorm2d(8 * c)
        self.bnde1 = nn.BatchNorm2d(4 * c)
        self.bnde2 = nn.BatchNorm2d(2 * c)
        self.bnde3 = nn.BatchNorm2d(2 * c)
        self.bn4 = nn.BatchNorm2d(c)

    @staticmethod
    def _up(n_in: int, n_out: int) -> nn.ConvTranspose2d:
        return nn.ConvTranspose2d(n_in, n_out, 3, stride=2, padding=1, output_padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, n_in, H, W), H and W multiples of 8, to (N, n_out, H, W)."""
        half: Tensor = self.bn1(F.relu(self.conv1(x), inplace=True))
        quarter: Tensor = self.bn2(F.relu(self.conv2(half), inplace=True))
        y: Tensor = self.bn3(F.relu(self.conv3(quarter), inplace=True))
        y = self.bnde1(F.relu(self.deconv1(y), inplace=True))
        y = self.bnde2(F.relu(self.deconv2(torch.cat([y, quarter], dim=1)), inplace=True))
        del quarter
        y = self.bnde3(F.relu(self.deconv3(torch.cat([y, half], dim=1)), inplace=True))
        del half
        y = self.bn4(F.relu(self.conv4(torch.cat([y, x[:, :3]], dim=1)), inplace=True))
        out: Tensor = self.conv5(y)
        return out


class AlphaPredictor(UNet):
    """Table 3: photograph and palette to an alpha for every colour.

    Parameters
    ----------
    n_colors : int
    """

    def __init__(self, n_colors: int) -> None:
        super().__init__(3 + 3 * n_colors, n_colors)
        self.n_colors = n_colors

    def forward(self, image: Tensor, palette: Tensor) -> Tensor:  # type: ignore[override]
        """Map images (N, 3, H, W) and palettes (N, K, 3) to alphas (N, K, H, W) in (0, 1), not yet normalised."""
        planes = palette.flatten(1)[:, :, None, None].expand(-1, -1, *image.shape[2:])
        return torch.sigmoid(super().forward(torch.cat([image, planes], dim=1)).to(image.dtype))


class ResiduePredictor(UNet):
    """Table 4: photograph, palette and alphas to the differences of the layers' colours from the palette.

    Parameters
    ----------
    n_colors : int
    """

    def __init__(self, n_colors: int) -> None:
        super().__init__(3 + 4 * n_colors, 3 * n_colors)
        self.n_colors = n_colors

    def raw(self, image: Tensor, palette: Tensor, alphas: Tensor) -> Tensor:
        """Return the residues (N, K, 3, H, W) in (-1, 1) with the mean that the whole image's will be freed of."""
        n, k = alphas.shape[:2]
        colors = palette[:, :, :, None, None].expand(-1, -1, -1, *image.shape[2:])
        planes = torch.cat([colors, alphas[:, :, None]], dim=2).flatten(1, 2)
        out = torch.tanh(super().forward(torch.cat([image, planes], dim=1)).to(image.dtype))
        return out.reshape(n, k, 3, *image.shape[2:])

    def forward(self, image: Tensor, palette: Tensor, alphas: Tensor) -> Tensor:  # type: ignore[override]
        """Map images (N, 3, H, W), palettes (N, K, 3) and alphas (N, K, H, W) to residues (N, K, 3, H, W).

        The mean of every channel over the image is 0.
        """
        residues = self.raw(image, palette, alphas)
        return residues - residues.mean(dim=(3, 4), keepdim=True)


class PublishedModel:
    """Both published networks, for palettes of up to the number of colours that they were trained with.

    Parameters
    ----------
    alpha : AlphaPredictor
    residue : ResiduePredictor
        Of the same number of colours. Both are put into evaluation mode.
    source : str
        Where the weights come from, for records.

    Notes
    -----
    Photographs whose height or width is no multiple of 8 get their last row and column repeated for the networks, and
    the result is cut back. Photographs are taken in tiles of 256x256 that overlap by what the networks see, so that
    memory beyond the result does not grow with the photograph; the mean that is subtracted from the residues is that
    over the whole photograph.

    A palette of fewer colours is filled up by repeating it, and the layers of equal colours are merged [paper,
    section 5.5].
    """

    design = "published"

    def __init__(self, alpha: AlphaPredictor, residue: ResiduePredictor, source: str = "") -> None:
        if alpha.n_colors != residue.n_colors:
            raise ValueError(
                f"residue must be of as many colours as alpha, {alpha.n_colors}, got one of {residue.n_colors}"
            )
        self.source = source
        self.n_colors = (MIN_COLORS, alpha.n_colors)
        self._alpha, self._residue = alpha, residue
        for network in (alpha, residue):
            network.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def from_arrays(cls, state: Mapping[str, NDArray[Any]], name: str) -> PublishedModel:
        """Build the model from weights called ``alpha.*`` and ``residue.*``; `name` says in errors whose they are."""
        heads = {part: state.get(f"{part}.conv5.weight") for part in ("alpha", "residue")}
        for part, head in heads.items():
            if head is None:
                raise ValueError(f"weights {name} must hold both published networks, got no {part}.conv5.weight")
        n_colors = len(heads["alpha"])  # type: ignore[arg-type]
        alpha, residue = AlphaPredictor(n_colors), ResiduePredictor(n_colors)
        for part, network in (("alpha", alpha), ("residue", residue)):
            own = {key.removeprefix(f"{part}."): value for key, value in state.items() if key.startswith(f"{part}.")}
            fill(network, own, f"{name} ({part})")
        return cls(alpha, residue, name)

    def alphas(
        self,
        image: Any,
        palette: Any,
        *,
        tile: int = TILE,
        precision: str = "float32",
        progress: Callable[[float], None] | None = None,
    ) -> tuple[Any, None]:
        """Predict alphas and normalise them.

        Parameters
        ----------
        image : ndarray or Tensor on a device, shape (H, W, 3), float32
        palette : ndarray, shape (n, 3), float32
        tile : int
            Pixels along a side of a tile, a multiple of 8.
        precision : {"float32", "bfloat16", "float16"}, default "float32"
            Of the convolutions.
        progress : callable, optional
            Called with the fraction done.

        Returns
        -------
        alphas : ndarray or Tensor, shape (H, W, n), float32
            In [0, 1], with sum 1.
        state : None
            What `colors` may reuse; these networks share nothing.
        """
        n = len(palette)
        filled = torch.from_numpy(self._filled(palette))[None]
        tiles = list(windows(image.shape, tile, STRIDE, HALO))
        if isinstance(image, Tensor):
            return self._alphas_on_device(image, n, filled, tiles, precision, progress), None
        out = np.zeros((n, *image.shape[:2]), dtype=np.float32)

        def work(window: Window) -> None:
            with arithmetic(filled.device, precision):
                found = self._alpha(window.cut(image), filled)[0].float().numpy()
            _add_repeats(out[:, *window.place], found[:, *window.core])

        over_tiles(tiles, work, progress)
        alphas = out.transpose(1, 2, 0)
        return normalize_alphas(alphas, out=alphas), None

    def colors(
        self,
        image: Any,
        palette: Any,
        alphas: Any,
        state: None = None,
        *,
        tile: int = TILE,
        precision: str = "float32",
        progress: Callable[[float], None] | None = None,
    ) -> Any:
        """Predict the colours of the layers from the processed alphas.

        Parameters
        ----------
        image : ndarray or Tensor on a device, shape (H, W, 3), float32
        palette : ndarray, shape (n, 3), float32
        alphas : ndarray or Tensor, shape (H, W, n), float32
        state : None
        tile : int
        precision : str
        progress : callable, optional

        Returns
        -------
        ndarray or Tensor, shape (H, W, n, 3), float32
            In [0, 1].
        """
        n = len(palette)
        filled = self._filled(palette)
        tiles = list(windows(image.shape, tile, STRIDE, HALO))
        order = np.arange(len(filled)) % n
        # Layers of one colour share its alpha evenly.
        count = np.bincount(order).astype(np.float32)
        if isinstance(image, Tensor):
            return self._colors_on_device(image, palette, alphas, (filled, order, count), tiles, precision, progress)
        out = np.zeros((n, 3, *image.shape[:2]), dtype=np.float32)

        def work(window: Window) -> None:
            shares = window.cut(alphas) / torch.from_numpy(count)[:, None, None]
            with arithmetic(shares.device, precision):
                found = self._residue.raw(window.cut(image), torch.from_numpy(filled)[None], shares[:, order])
            _add_repeats(out[:, :, *window.place], found[0].float().numpy()[:, :, *window.core])

        over_tiles(tiles, work, progress)
        for i, channel in np.ndindex(n, 3):
            plane = out[i, channel]
            plane /= count[i]
            plane += palette[i, channel] - plane.mean(dtype=np.float64)
            np.clip(plane, 0, 1, out=plane)
        return out.transpose(2, 3, 0, 1)

    def _alphas_on_device(
        self,
        image: Tensor,
        n: int,
        palette: Tensor,
        tiles: list[Window],
        precision: str,
        progress: Callable[[float], None] | None,
    ) -> Tensor:
        network, palette = network_on(self._alpha, image.device), palette.to(image.device)
        out = image.new_zeros((n, *image.shape[:2]))

        def work(window: Window) -> None:
            with arithmetic(image.device, precision):
                found = network(window.cut(image).to(memory_format=torch.channels_last), palette)[0].float()
            _add_repeats(out[:, *window.place], found[:, *window.core])

        over_tiles(tiles, work, progress, at_once=1)
        alphas = out.permute(1, 2, 0)
        return normalize(alphas, out=alphas)

    def _colors_on_device(
        self,
        image: Tensor,
        palette: Any,
        alphas: Tensor,
        repeats: tuple[Any, Any, Any],
        tiles: list[Window],
        precision: str,
        progress: Callable[[float], None] | None,
    ) -> Tensor:
        network = network_on(self._residue, image.device)
        filled, order, count = (torch.from_numpy(value).to(image.device) for value in repeats)
        n = len(palette)
        out = image.new_zeros((n, 3, *image.shape[:2]))

        def work(window: Window) -> None:
            shares = window.cut(alphas) / count[:, None, None]
            with arithmetic(image.device, precision):
                found = network.raw(window.cut(image), filled[None], shares[:, order])[0].float()
            _add_repeats(out[:, :, *window.place], found[:, :, *window.core])

        over_tiles(tiles, work, progress, at_once=1)
        for i, channel in np.ndindex(n, 3):
            plane = out[i, channel]
            plane /= count[i]
            plane += (float(palette[i, channel]) - plane.mean(dtype=torch.float64)).to(plane.dtype)
            plane.clamp_(0, 1)
        return out.permute(2, 3, 0, 1)

    def _filled(self, palette: Any) -> Any:
        """Repeat a palette from its start until it has as many colours as the networks take."""
        return palette[np.arange(self.n_colors[1]) % len(palette)]


def _add_repeats(out: Any, found: Any) -> None:
    """Add the results of a repeated palette to those of its distinct colours."""
    for start in range(0, len(found), len(out)):
        part = found[start : start + len(out)]
        out[: len(part)] += part


def save_published(
    alpha: str | os.PathLike[str], residue: str | os.PathLike[str], output: str | os.PathLike[str]
) -> None:
    """Do what `fastsoft.color.convert_published_weights` says."""
    from safetensors.torch import save

    state: dict[str, Tensor] = {}
    for part, path in (("alpha", alpha), ("residue", residue)):
        name = os.fspath(path)
        try:
            found = torch.load(path, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            raise ValueError(f"cannot read weights from {name}: no such file") from None
        except Exception as error:  # unpickling damaged files raises many kinds
            raise ValueError(f"cannot read weights from {name}: {error}") from error
        if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
            raise ValueError(f"weights {name} must be a dictionary of tensors, got {type(found).__name__}")
        state |= {f"{part}.{key}": value.contiguous() for key, value in found.items()}
    arrays = {key: value.numpy() for key, value in state.items()}
    model = PublishedModel.from_arrays(arrays, f"{os.fspath(alpha)}, {os.fspath(residue)}")
    metadata = {"design": model.design, "n_colors": str(model.n_colors[1])}
    with atomic_file(output) as file:
        file.write(save(state, metadata))
