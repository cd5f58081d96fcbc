# SPDX-License-Identifier: MIT
"""Metric learning of the features: pixels of one region shall be alike, those of different regions far apart.

The supplement of Aksoy et al., "Semantic soft segmentation" (ACM TOG 37(4), 2018, :doi:`10.1145/3197517.3201275`)
trains with a pairwise form of the N-pair loss. Its Eq. (1) prints ``log(1 + exp(-D) / 2)`` for pixels of different
regions beside ``log((1 + exp(D)) / 2)`` for those of one, and says that the first "approaches zero" in the way the
other does. What must be meant is the conjugate pair: ``log((1 + exp(D)) / 2)`` is 0 at D = 0 with slope 1/2, and
``log(1 + exp(-D))`` goes to 0 as D grows and has slope -1/2 at D = 0, so that pull and push balance where nothing is
known. (``log((1 + exp(-D)) / 2)`` differs by a constant only.) D is the squared L2 distance divided by the number of
channels. The mean runs over all pairs of sampled pixels.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fastsoft._checks import check_choice, check_int, check_number
from fastsoft._files import atomic_file
from fastsoft.image import photo_files, read_image
from fastsoft.semantic.features import resize
from fastsoft.semantic.network import BACKBONES, HypercolumnNetwork
from fastsoft.semantic.regions import read_labels
from fastsoft.training import run_training
from fastsoft.weights import read_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["FeatureTraining", "RegionFolder", "n_pair_loss", "sample_pixels", "train_features"]


def n_pair_loss(features: Tensor, labels: Tensor, *, balanced: bool = False) -> Tensor:
    """Mean loss over all pairs of pixels.

    Parameters
    ----------
    features : Tensor, shape (P, d)
    labels : Tensor, shape (P,), integer
        Region of each pixel; at least two.
    balanced : bool, default False
        Take the mean over pairs within regions and the mean over pairs of two regions, and the mean of both: of many
        regions few pairs are within one.

    Returns
    -------
    Tensor, scalar
    """
    square = features.square().sum(dim=1)
    distances = (square[:, None] + square - 2 * features @ features.T).clamp(min=0) / features.shape[1]
    same = labels[:, None] == labels
    loss = torch.where(same, F.softplus(distances) - math.log(2), F.softplus(-distances))
    return (loss[same].mean() + loss[~same].mean()) / 2 if balanced else loss.mean()


def sample_pixels(
    labels: Any, n_regions: int, n_pixels: int, rng: np.random.Generator, *, by_area: bool = False
) -> tuple[Any, Any, Any]:
    """Draw regions of a label map and as many pixels of each.

    Parameters
    ----------
    labels : ndarray, shape (H, W), integer
        0 marks pixels that take no part.
    n_regions : int
        Regions to draw; all, if there are no more.
    n_pixels : int
        Pixels of each, drawn with replacement where a region has fewer.
    rng : numpy.random.Generator
    by_area : bool, default False
        Draw ``n_regions * n_pixels`` pixels of all regions alike instead, so that large ones take the larger part, as
        they do in the picture; at least two regions take part.

    Returns
    -------
    rows, cols, regions : ndarray, shape (P,)
        Position and label of every pixel drawn.

    Raises
    ------
    ValueError
        If the map has fewer than two regions: there is nothing to tell apart.
    """
    flat = labels.ravel()
    present = np.unique(flat[flat != 0])
    if len(present) < 2:
        raise ValueError(f"labels must have at least two regions besides 0, got {len(present)}")
    if by_area:
        pixels = rng.choice(np.flatnonzero(flat), size=n_regions * n_pixels)
        if (flat[pixels] == flat[pixels[0]]).all():
            pixels[0] = rng.choice(np.flatnonzero((flat != 0) & (flat != flat[pixels[0]])))
        return *np.divmod(pixels, labels.shape[1]), flat[pixels]
    chosen = rng.choice(present, size=min(n_regions, len(present)), replace=False)
    picked = []
    for region in chosen:
        members = np.flatnonzero(flat == region)
        picked.append(rng.choice(members, size=n_pixels, replace=len(members) < n_pixels))
    pixels = np.concatenate(picked)
    rows, cols = np.divmod(pixels, labels.shape[1])
    return rows, cols, np.repeat(chosen, n_pixels)


class RegionFolder:
    """A folder of photographs with maps of their regions.

    Parameters
    ----------
    folder : path
        Holds ``images/NAME.*`` and ``labels/NAME.png``: one channel of integers, 0 for pixels without a region. With
        ``labels_all/NAME_*.png``, further annotators' maps of the same photograph, each draw takes one at random.

    Raises
    ------
    ValueError
        If the folder lacks either, or no photograph has a map of at least two regions.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        images, labels = self.folder / "images", self.folder / "labels"
        for part in (images, labels):
            if not part.is_dir():
                raise ValueError(f"folder must hold images/ and labels/, got {self.folder} without {part.name}/")
        files = photo_files(images)
        others: dict[str, list[Path]] = {}
        if (self.folder / "labels_all").is_dir():
            for path in sorted((self.folder / "labels_all").glob("*.png")):
                others.setdefault(path.stem.rpartition("_")[0], []).append(path)
        self.items: list[tuple[Path, list[Path]]] = []
        self.skipped: list[str] = []
        for path in files:
            own = labels / f"{path.stem}.png"
            if not own.is_file():
                self.skipped.append(f"{path.name}: no map labels/{own.name}")
                continue
            maps = others.get(path.stem, []) or [own]
            usable = [m for m in maps if _has_two_regions(m)]
            if usable:
                self.items.append((path, usable))
            else:
                self.skipped.append(f"{path.name}: a single region")
        if not self.items:
            raise ValueError(f"{self.folder} must hold a photograph with a map of at least two regions, got none")

    def __len__(self) -> int:
        return len(self.items)

    def load(self, index: int, rng: np.random.Generator | None = None) -> tuple[Any, Any]:
        """Return a photograph (H, W, 3), float32 in [0, 1], and a map (H, W) of its regions.

        Raises
        ------
        ValueError
            If the two differ in size.
        """
        image = read_image(self.items[index][0]).astype(np.float32)
        return image, self.load_labels(index, image.shape[:2], rng)

    def load_labels(self, index: int, shape: tuple[int, int], rng: np.random.Generator | None = None) -> Any:
        """Return a map (H, W) as `load` does, of a photograph whose height and width are known already."""
        path, maps = self.items[index]
        chosen = maps[0 if rng is None else int(rng.integers(len(maps)))]
        labels = read_labels(chosen)
        if labels.shape != shape:
            raise ValueError(
                f"labels {chosen} must have the size of {path.name}, {shape[0]}x{shape[1]}, got "
                f"{labels.shape[0]}x{labels.shape[1]}"
            )
        return labels


def _has_two_regions(path: Path) -> bool:
    labels = read_labels(path)
    # Not all different values, which would have to be sorted: every map of a folder is looked at before training.
    known = labels[labels != 0]
    return known.size > 0 and bool(known.min() < known.max())


@dataclass(frozen=True)
class FeatureTraining:
    """Settings of a training run; the defaults are the paper's but for the backbone.

    Attributes
    ----------
    backbone : str
    steps : int
        One photograph each.
    n_regions, n_pixels, n_samplings : int
        P_inst and P_pix of the paper, and how often they are drawn for a photograph.
    learning_rate_base, learning_rate_new : float
        Of the pretrained part and of the new layers; both decay as ``(1 - step / steps) ** 0.9``.
    optimizer : {"sgd", "adamw"}
        "sgd" has the paper's momentum of 0.9.
    weight_decay : float
    by_area : bool
        Draw pixels from the whole picture, not as many of each region (`sample_pixels`).
    balanced : bool
        Whether pairs within regions count as much as pairs of two, however many there are.
    dropout : float
        At the two last layers.
    freeze_base : bool
        Train the new layers only. Without `augment` the backbone's levels of all photographs are then kept in memory (2
        MB each at 480x320), which saves most of the time.
    accumulate : int
        Photographs per update.
    augment : bool
        Mirror, scale and recolour the photographs at random.
    average : float
        Write the running mean of the weights over the updates, of which each keeps this share of the one before; 0
        writes the weights themselves. The mean is steadier than the last weights where steps are few.
    seed : int
    """

    backbone: str = "mobilenetv2-deeplab"
    steps: int = 60_000
    n_regions: int = 3
    n_pixels: int = 1000
    n_samplings: int = 10
    learning_rate_base: float = 5e-4
    learning_rate_new: float = 5e-3
    optimizer: str = "sgd"
    weight_decay: float = 5e-4
    by_area: bool = False
    balanced: bool = False
    dropout: float = 0.5
    freeze_base: bool = False
    accumulate: int = 1
    augment: bool = True
    average: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice(self.backbone, "backbone", tuple(BACKBONES))
        check_choice(self.optimizer, "optimizer", ("sgd", "adamw"))
        for name in ("steps", "n_pixels", "n_samplings", "accumulate"):
            check_int(getattr(self, name), name, low=1)
        check_int(self.n_regions, "n_regions", low=2)
        check_int(self.seed, "seed", low=0)
        check_number(self.dropout, "dropout", low=0, high=0.9)
        check_number(self.average, "average", low=0, high=0.9999)
        for name in ("learning_rate_base", "learning_rate_new", "weight_decay"):
            check_number(getattr(self, name), name, low=0)


MOMENTUM = 0.9  # of "sgd" [paper]


def train_features(
    data: RegionFolder,
    settings: FeatureTraining,
    output: str | os.PathLike[str],
    *,
    initial_weights: str | os.PathLike[str] | None = None,
    device: str = "cpu",
    save_every: int = 500,
    keep_every: int | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> HypercolumnNetwork:
    """Train, and continue where an earlier run with the same output stopped.

    Parameters
    ----------
    data : RegionFolder
    settings : FeatureTraining
    output : path
        Folder for ``checkpoint.pt``, from which a later call goes on, ``features.safetensors``, the weights, and
        ``training.json``: settings and the loss over the steps.
    initial_weights : path, optional
        ``.safetensors`` of the backbone alone or of the whole network; parts that it does not hold start at random.
    device : str
        As torch names it.
    save_every : int
        Steps between checkpoints. One is also written at the end and when the run is interrupted, unless the
        interruption falls into the update of the weights itself: then the one before stays.
    keep_every : int, optional
        Also write the weights after every so many steps, as ``features_000500.safetensors`` and so on, for a curve of
        their quality over the training.
    progress : callable, optional
        Called as ``progress(step, loss)`` after each step.

    Returns
    -------
    HypercolumnNetwork

    Raises
    ------
    ValueError
        If the folder holds a checkpoint of other settings, or weights do not fit.

    Notes
    -----
    What is random in a step depends on seed and step alone, so that a run that was interrupted anywhere ends with the
    same weights as one that was not (on the CPU bit for bit, with one number of threads).
    """
    torch.manual_seed(settings.seed)
    network = HypercolumnNetwork(settings.backbone, dropout=settings.dropout)
    if initial_weights is not None:
        load_initial(network, initial_weights)
    network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    base: list[Tensor] = []
    new: list[Tensor] = []
    for name, parameter in network.named_parameters():
        (base if name.startswith("base.") else new).append(parameter)
    groups = [{"params": new, "lr": settings.learning_rate_new}]
    if settings.freeze_base:
        network.base.requires_grad_(False)
    else:
        groups.append({"params": base, "lr": settings.learning_rate_base})
    optimizer: torch.optim.Optimizer
    if settings.optimizer == "sgd":
        optimizer = torch.optim.SGD(groups, momentum=MOMENTUM, weight_decay=settings.weight_decay)
    else:
        optimizer = torch.optim.AdamW(groups, weight_decay=settings.weight_decay)
    network.train()
    if settings.freeze_base:
        network.base.eval()
    kept: dict[int, tuple[tuple[int, int], list[Tensor]]] = {}
    run_training(
        network,
        optimizer,
        settings,
        output,
        name="features",
        backward=lambda step, share: _backward(network, data, settings, step, device, share, kept),
        write=lambda path, state: save_network(network, path, state),
        accumulate=settings.accumulate,
        device=device,
        save_every=save_every,
        keep_every=keep_every,
        progress=progress,
    )
    return network


def _backward(
    network: HypercolumnNetwork,
    data: RegionFolder,
    settings: FeatureTraining,
    step: int,
    device: str,
    share: float,
    kept: dict[int, tuple[tuple[int, int], list[Tensor]]],
) -> float:
    """Accumulate the gradient of one photograph; what is random follows from the seed and the step."""
    rng = np.random.default_rng([settings.seed, step])
    torch.manual_seed(int(rng.integers(2**62)))
    epoch, place = divmod(step, len(data))
    index = int(np.random.default_rng([settings.seed, epoch, 1]).permutation(len(data))[place])
    keep = settings.freeze_base and not settings.augment
    if index in kept:
        # The photograph itself is not needed any more.
        shape, taps = kept[index]
        labels = data.load_labels(index, shape, rng)
        taps = [tap.float() for tap in taps]
    else:
        image, labels = data.load(index, rng)
        if settings.augment:
            image, labels = augmented(image, labels, rng)
        picture = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).to(device)
        with torch.set_grad_enabled(not settings.freeze_base):
            taps = network.taps(picture)
        if keep:
            # What is trained on must not depend on whether a run was interrupted: the first use is rounded, too.
            kept[index] = labels.shape, [tap.half() for tap in taps]
            taps = [tap.float() for tap in kept[index][1]]
    levels = network.levels(taps)
    total = torch.zeros((), device=device)
    for _ in range(settings.n_samplings):
        rows, cols, regions = sample_pixels(
            labels, settings.n_regions, settings.n_pixels, rng, by_area=settings.by_area
        )
        position = [torch.from_numpy(v.astype(np.float32)).to(device) for v in (rows, cols)]
        features = network.at(levels, *position)
        total = total + n_pair_loss(features, torch.from_numpy(regions).to(device), balanced=settings.balanced)
    (total * share).backward()  # type: ignore[no-untyped-call]
    return float(total.detach()) / settings.n_samplings


def augmented(image: Any, labels: Any, rng: np.random.Generator) -> tuple[Any, Any]:
    """Mirror, scale by 0.7 to 1.4 (cut to the old size) and recolour a photograph and its map at random."""
    from PIL import Image

    height, width = labels.shape
    scale = float(np.exp(rng.uniform(np.log(0.7), np.log(1.4))))
    size = (max(32, round(width * scale)), max(32, round(height * scale)))
    scaled = resize(image, size[::-1])
    nearest = np.asarray(Image.fromarray(labels.astype(np.int32)).resize(size, Image.Resampling.NEAREST))
    top = int(rng.integers(max(size[1] - height, 0) + 1))
    left = int(rng.integers(max(size[0] - width, 0) + 1))
    cut_image = scaled[top : top + height, left : left + width]
    cut_labels = nearest[top : top + height, left : left + width].astype(np.int64)
    if len(np.unique(cut_labels[cut_labels != 0])) < 2:
        cut_image, cut_labels = image, labels
    if rng.random() < 0.5:
        cut_image, cut_labels = cut_image[:, ::-1], cut_labels[:, ::-1]
    gain = np.exp(rng.normal(0, 0.1, 3) + rng.normal(0, 0.1)).astype(np.float32)
    gamma = np.float32(np.exp(rng.normal(0, 0.15)))
    recoloured = np.clip(cut_image * gain, 0, 1) ** gamma
    grey = recoloured.mean(axis=2, keepdims=True)
    recoloured = np.clip(grey + (recoloured - grey) * np.float32(np.exp(rng.normal(0, 0.2))), 0, 1)
    return recoloured.astype(np.float32), np.ascontiguousarray(cut_labels)


def load_initial(network: HypercolumnNetwork, path: str | os.PathLike[str]) -> None:
    """Fill a network from a file of the whole of it, or of its backbone alone."""
    name = os.fspath(path)
    state, _ = read_weights(name)
    own = network.state_dict()
    if set(state) >= set(own):
        found = {key: state[key] for key in own}
    else:
        wanted = network.base.state_dict()
        missing = sorted(set(wanted) - set(state))
        if missing:
            raise ValueError(
                f"weights {name} must hold the {network.backbone_name} backbone, got none of {missing[0]}"
                + (f" and {len(missing) - 1} more" if len(missing) > 1 else "")
            )
        found = {f"base.{key}": state[key] for key in wanted}
    network.fill(found, name)


def save_network(network: HypercolumnNetwork, path: Path, state: Mapping[str, Tensor] | None = None) -> None:
    """Write a network's weights, or others of the same names; the file appears complete or not at all."""
    from safetensors.torch import save

    state = {key: value.detach().to("cpu").contiguous() for key, value in (state or network.state_dict()).items()}
    metadata = {"backbone": network.backbone_name, "n_features": str(network.feature.out_features)}
    with atomic_file(path) as file:
        file.write(save(state, metadata))
