# SPDX-License-Identifier: MIT
"""Training of the network for layers of homogeneous colour, from photographs alone.

The losses are those of N. Akimoto et al., "Fast Soft Color Segmentation", CVPR 2020, Eq. (6) to (8),
:doi:`10.1109/CVPR42600.2020.00830`, and two of our own, `color_losses`. Palettes are found by k-means, as in the paper,
and some of them disturbed or picked from the photograph at random, because people choose theirs by hand.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fastsoft._checks import check_int, check_number
from fastsoft.color.network_layers import (
    CHANNELS,
    MAX_COLORS,
    STRIDE,
    LayerNetwork,
    Prediction,
    save_network,
)
from fastsoft.color.palette import MIN_COLORS, sample_pixels
from fastsoft.image import photo_files, read_image
from fastsoft.networks import fill
from fastsoft.ops.kmeans import kmeans
from fastsoft.training import run_training
from fastsoft.weights import read_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["ColorTraining", "PhotoFolders", "color_losses", "train_colors"]


# Pixels that a palette is found on, per colour wanted more than enough.
PALETTE_SAMPLES = 4096
# Two colours of a palette are at least so far apart.
LEAST_DISTANCE = 0.03
# Shares of palettes that are disturbed, and that are pixels of the photograph.
DISTURBED, PICKED = 0.25, 0.25


class PhotoFolders:
    """All photographs of some folders.

    Parameters
    ----------
    folders : sequence of path
        Each holds photographs, or a folder ``images`` of them.

    Raises
    ------
    ValueError
        If one of them does not exist or holds no photograph.
    """

    def __init__(self, folders: Sequence[str | os.PathLike[str]]) -> None:
        self.items: list[Path] = []
        for folder in folders:
            path = Path(folder)
            if (path / "images").is_dir():
                path = path / "images"
            if not path.is_dir():
                raise ValueError(f"data must be folders of photographs, got {folder}, which is none")
            found = photo_files(path)
            if not found:
                raise ValueError(f"data must be folders of photographs, got {folder} without any")
            self.items += found

    def __len__(self) -> int:
        return len(self.items)

    def load(self, index: int) -> Any:
        """Return a photograph (H, W, 3), float32 in [0, 1]."""
        return read_image(self.items[index])


@dataclass(frozen=True)
class ColorTraining:
    """Settings of a training run.

    Attributes
    ----------
    steps : int
        Updates of the weights.
    batch : int
        Photographs in each.
    crop : int
        Pixels along a side of what is cut from them, a multiple of 16.
    low, high : int
        Fewest and most colours of a palette; every update draws a number between.
    learning_rate : float
        Of Adam, whose betas are 0.9 and 0.99; decays as ``(1 - step / steps) ** 0.9``.
    recomposition, palette_recomposition, distance : float
        Weights of L_r, L_a and L_d; 0 leaves one out. The defaults are the paper's.
    offset_recomposition, sparsity : float
        Weights of our own losses.
    descent : int
        Steps of gradient descent on the alphas within the network.
    skips : bool
        Whether the network has skip connections.
    width : float
        Factor on the numbers of features.
    augment : bool
        Mirror, scale and recolour the photographs, disturb palettes.
    average : float
        Write the running mean of the weights, of which each update keeps this share; 0 writes the weights themselves.
    seed : int
    """

    steps: int = 20_000
    batch: int = 4
    crop: int = 192
    low: int = MIN_COLORS
    high: int = MAX_COLORS
    learning_rate: float = 1e-3
    recomposition: float = 1.0
    palette_recomposition: float = 1.0
    distance: float = 0.5
    offset_recomposition: float = 0.5
    sparsity: float = 0.01
    descent: int = 2
    skips: bool = True
    width: float = 1.0
    augment: bool = True
    average: float = 0.999
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch"):
            check_int(getattr(self, name), name, low=1)
        check_int(self.crop, "crop", low=STRIDE)
        if self.crop % STRIDE:
            raise ValueError(f"crop must be a multiple of {STRIDE}, got {self.crop}")
        check_int(self.low, "low", low=MIN_COLORS, high=MAX_COLORS)
        check_int(self.high, "high", low=self.low, high=MAX_COLORS)
        check_int(self.descent, "descent", low=0)
        check_int(self.seed, "seed", low=0)
        check_number(self.average, "average", low=0, high=0.9999)
        check_number(self.learning_rate, "learning_rate", low=0)
        check_number(self.width, "width", low=0.1, high=4)
        for name in ("recomposition", "palette_recomposition", "distance", "offset_recomposition", "sparsity"):
            check_number(getattr(self, name), name, low=0)

    @property
    def channels(self) -> tuple[int, ...]:
        """Features of the network at its three resolutions."""
        return tuple(max(4, round(value * self.width)) for value in CHANNELS)


def color_losses(prediction: Prediction, image: Tensor, palette: Tensor) -> dict[str, Tensor]:
    """Return the losses of layers; means over pixels, photographs and, where there are differences, channels.

    Parameters
    ----------
    prediction : Prediction
    image : Tensor, shape (N, 3, H, W)
    palette : Tensor, shape (N, K, 3)

    Returns
    -------
    dict of Tensor
        ``recomposition``, L_r: the difference of the photograph from the layers' sum. ``palette_recomposition``, L_a:
        the same with palette colours instead of the layers'. ``distance``, L_d: alpha times the distance of a layer's
        colour from its palette colour. ``offset_recomposition``: as L_a with palette colours plus their smooth offsets,
        which thus take what a place has in common. ``sparsity``: sum(alpha) / sum(alpha^2) - 1, 0 where one layer is
        opaque.
    """
    alphas, colors = prediction.alphas, prediction.colors
    shown = alphas[:, :, None]
    plain = palette[:, :, :, None, None]
    # The root has no slope at 0.
    far = ((colors - plain).square().sum(dim=2) + 1e-12).sqrt()
    return {
        "recomposition": ((shown * colors).sum(dim=1) - image).abs().mean(),
        "palette_recomposition": ((shown * plain).sum(dim=1) - image).abs().mean(),
        "distance": (alphas * far).sum(dim=1).mean(),
        "offset_recomposition": ((shown * prediction.bases).sum(dim=1) - image).abs().mean(),
        "sparsity": (1 / alphas.square().sum(dim=1) - 1).mean(),
    }


def train_colors(
    data: PhotoFolders,
    settings: ColorTraining,
    output: str | os.PathLike[str],
    *,
    initial_weights: str | os.PathLike[str] | None = None,
    device: str = "cpu",
    save_every: int = 500,
    keep_every: int | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> LayerNetwork:
    """Train, and continue where an earlier run with the same output stopped.

    Parameters
    ----------
    data : PhotoFolders
    settings : ColorTraining
    output : path
        Folder for ``checkpoint.pt``, from which a later call goes on, ``colors.safetensors``, the weights, and
        ``training.json``: settings and the loss over the steps.
    initial_weights : path, optional
        ``.safetensors`` of such a network to start from.
    device : str
        As torch names it.
    save_every : int
        Steps between checkpoints; see `fastsoft.training.run_training`.
    keep_every : int, optional
        Also write the weights after every so many steps.
    progress : callable, optional
        Called as ``progress(step, loss)`` after each step.

    Returns
    -------
    LayerNetwork

    Raises
    ------
    ValueError
        If the folder holds a checkpoint of other settings, or weights do not fit.

    Notes
    -----
    What is random in a step depends on seed and step alone: a run that was interrupted anywhere ends with the same
    weights as one that was not (on the CPU bit for bit, with one number of threads).
    """
    torch.manual_seed(settings.seed)
    network = LayerNetwork(settings.channels, steps=settings.descent, skips=settings.skips)
    if initial_weights is not None:
        fill(network, read_weights(initial_weights)[0], os.fspath(initial_weights))
    network.to(device).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate, betas=(0.9, 0.99))

    def backward(step: int, share: float) -> float:
        image, palette = make_batch(data, settings, step)
        image, palette = image.to(device), palette.to(device)
        losses = color_losses(network(image, palette), image, palette)
        total = sum((getattr(settings, name) * loss for name, loss in losses.items()), torch.zeros((), device=device))
        (total * share).backward()
        return float(total.detach())

    run_training(
        network,
        optimizer,
        settings,
        output,
        name="colors",
        backward=backward,
        write=lambda path, state: save_network(network, path, state),
        device=device,
        save_every=save_every,
        keep_every=keep_every,
        progress=progress,
    )
    return network


def make_batch(data: PhotoFolders, settings: ColorTraining, step: int) -> tuple[Tensor, Tensor]:
    """Return photographs (batch, 3, crop, crop) and palettes (batch, K, 3) of a step, which its number determines."""
    rng = np.random.default_rng([settings.seed, step])
    n_colors = int(rng.integers(settings.low, settings.high + 1))
    images, palettes = [], []
    for k in range(settings.batch):
        epoch, place = divmod(step * settings.batch + k, len(data))
        index = int(np.random.default_rng([settings.seed, epoch, 1]).permutation(len(data))[place])
        image = data.load(index)
        if settings.augment:
            image = augmented(image, rng)
        palettes.append(training_palette(image, n_colors, rng, varied=settings.augment))
        images.append(cut(image, settings.crop, rng))
    stack = np.stack(images).transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(stack)), torch.from_numpy(np.stack(palettes).astype(np.float32))


def augmented(image: Any, rng: np.random.Generator) -> Any:
    """Mirror, turn, scale by 0.5 to 1 and recolour a photograph at random."""
    from PIL import Image

    if rng.random() < 0.5:
        image = image[:, ::-1]
    if rng.random() < 0.25:
        image = image.transpose(1, 0, 2)
    scale = rng.uniform(0.5, 1.0)
    if rng.random() < 0.5:
        size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
        picture = Image.fromarray((image * 255 + 0.5).astype(np.uint8))
        image = np.asarray(picture.resize(size, Image.Resampling.LANCZOS)).astype(np.float32) / np.float32(255)
    gain = np.exp(rng.normal(0, 0.1, 3) + rng.normal(0, 0.15))
    gamma = np.exp(rng.normal(0, 0.2))
    return (np.clip(image * gain.astype(np.float32), 0, 1) ** np.float32(gamma)).astype(np.float32)


def cut(image: Any, size: int, rng: np.random.Generator) -> Any:
    """Return a square of a photograph at a random place; a smaller photograph is mirrored at its end."""
    short = [(0, max(0, size - extent)) for extent in image.shape[:2]]
    if any(after for _, after in short):
        image = np.pad(image, (*short, (0, 0)), mode="symmetric")
    row, col = (int(rng.integers(extent - size + 1)) for extent in image.shape[:2])
    return image[row : row + size, col : col + size]


def training_palette(image: Any, n_colors: int, rng: np.random.Generator, *, varied: bool = True) -> Any:
    """Return a palette (n_colors, 3) for a photograph: by k-means, some disturbed or picked at random."""
    pixels = sample_pixels(image, PALETTE_SAMPLES).astype(np.float64)
    kind = rng.random() if varied else 1.0
    seed = int(rng.integers(2**31))
    if kind < PICKED:
        palette = pixels[rng.integers(len(pixels), size=n_colors)]
    else:
        palette = kmeans(pixels, min(n_colors, len(pixels)), seed=seed, max_iterations=20).centers
        palette = np.concatenate([palette, pixels[rng.integers(len(pixels), size=n_colors - len(palette))]])
        if kind < PICKED + DISTURBED:
            palette = palette + rng.normal(0, 0.08, palette.shape)
    palette = palette.clip(0, 1)
    # Few colours in a photograph, and pixels picked twice, give palettes that would be refused.
    for _ in range(100):
        distance = np.linalg.norm(palette[:, None] - palette, axis=2) + 9 * np.eye(n_colors)
        close = np.triu(distance < LEAST_DISTANCE, 1)
        if not close.any():
            break
        again = np.unique(np.nonzero(close)[1])
        palette[again] = (palette[again] + rng.normal(0, 2 * LEAST_DISTANCE, (len(again), 3))).clip(0, 1)
    return rng.permutation(palette)
