# SPDX-License-Identifier: MIT
"""Training of the matting network on foregrounds of known alpha composed over photographs.

R. Wang, J. Xie, J. Han, D. Qi, "Improving Deep Image Matting via Local Smoothness Assumption", ICME 2022,
arXiv:2112.13809. Data are made by `fastsoft.matting.composition`.
"""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fastsoft._checks import check_choice, check_int, check_number
from fastsoft.matting.composition import CompositionData, CompositionSettings
from fastsoft.matting.network import ENCODERS, MattingNetwork, save_network
from fastsoft.matting.planes import CLOSED_FORM, COLOR_POSTERIOR, extra_planes
from fastsoft.matting.trimap import UNKNOWN
from fastsoft.networks import fill
from fastsoft.training import run_training
from fastsoft.weights import read_weights

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Batch", "MattingTraining", "make_batch", "matting_loss", "train_matting"]

LEVELS = 5  # of the loss [paper]
# Squared, of the loss's root [authors' program].
SMOOTHING = 1e-6
# Alphas beyond these are as good as opaque or transparent [authors' program].
OPAQUE, CLEAR = 0.999, 0.001


@dataclass(frozen=True)
class MattingTraining:
    """Settings of a training run.

    Attributes
    ----------
    steps : int
        Updates of the weights.
    batch : int
        Crops in each.
    encoder : str
        Of the network, `fastsoft.matting.network.ENCODERS`.
    closed_form : bool
        Whether the network is also given the alpha of closed-form matting, to which its output is added.
    color_posterior : bool
        Whether the network is also given what the known pixels' colours say, `fastsoft.matting.planes.color_posterior`.
    learning_rate, learning_rate_encoder : float
        Of Adam, for the decoder and for the encoder; both decay as ``(1 - step / steps) ** 0.9``.
    weight_decay, weight_decay_norm : float
        As L2 in the gradient; of batch norm's parameters, for which the authors' program has 1e-5.
    forgive : bool
        Predictions beyond 1 where alpha is 1, and below 0 where it is 0, cost nothing, as in the authors' program.
    fractional : bool
        The loss's mask at coarse levels is the share of unknown pixels, and differences of known pixels count there, as
        in the authors' program (`matting_loss`).
    average : float
        Write the running mean of the weights, of which each update keeps this share; 0 writes the weights themselves.
    bfloat16 : bool
        Convolve in bfloat16, which is faster on processors with instructions for it; weights stay float32.
    seed : int
    composition : CompositionSettings
        How crops are made.
    """

    steps: int = 100_000
    batch: int = 4
    encoder: str = "mobilenet_v2"
    closed_form: bool = False
    color_posterior: bool = False
    learning_rate: float = 5e-4
    learning_rate_encoder: float = 1e-4
    weight_decay: float = 1e-4
    weight_decay_norm: float = 1e-4
    forgive: bool = True
    fractional: bool = True
    average: float = 0.999
    bfloat16: bool = False
    seed: int = 0
    composition: CompositionSettings = field(default_factory=CompositionSettings)

    @property
    def extra_channels(self) -> tuple[str, ...]:
        """Names of what the network is given besides photograph and trimap."""
        return (CLOSED_FORM,) * self.closed_form + (COLOR_POSTERIOR,) * self.color_posterior

    def __post_init__(self) -> None:
        for name in ("steps", "batch"):
            check_int(getattr(self, name), name, low=1)
        check_choice(self.encoder, "encoder", tuple(ENCODERS))
        check_int(self.seed, "seed", low=0)
        check_number(self.average, "average", low=0, high=0.9999)
        for name in ("learning_rate", "learning_rate_encoder", "weight_decay", "weight_decay_norm"):
            check_number(getattr(self, name), name, low=0)


def matting_loss(
    prediction: Tensor, alpha: Tensor, unknown: Tensor, *, forgive: bool = True, fractional: bool = True
) -> Tensor:
    """Return the loss of alphas at five scales, ``sum over l of 2**-l mean(sqrt(d_l**2 + 1e-6))``.

    d_0 is the difference of prediction and alpha, d_{l+1} the 2x2 mean of d_l; means are over unknown pixels of the
    whole batch. A last row or column without a partner is left out of the next level.

    Parameters
    ----------
    prediction : Tensor, shape (N, 1, H, W)
        As the network returns it, not clamped.
    alpha : Tensor, shape (N, 1, H, W)
        In [0, 1].
    unknown : Tensor, shape (N, 1, H, W)
        1 where the trimap is unknown, else 0.
    forgive : bool, default True
        Take the difference as 0 where alpha is 1 (above 0.999) and the prediction is above, and where alpha is 0 (below
        0.001) and the prediction is below. So does the authors' program; the paper does not say it.
    fractional : bool, default True
        The authors' program: differences of known pixels enter coarse levels, a coarse pixel's weight is its share of
        unknown pixels, and 1 is added to the weights' sum. False, the paper's words: known pixels have no difference,
        a coarse pixel with an unknown part counts in full, and nothing is added.

    Returns
    -------
    Tensor, scalar
    """
    difference = prediction - alpha
    if forgive:
        beyond = ((alpha > OPAQUE) & (prediction > 1)) | ((alpha < CLEAR) & (prediction < 0))
        difference = difference.masked_fill(beyond, 0.0)
    weight = unknown.to(prediction.dtype)
    if not fractional:
        difference = difference * weight
    total = prediction.new_zeros(())
    for level in range(LEVELS):
        if level > 0:
            if min(difference.shape[2:]) < 2:
                break
            difference = F.avg_pool2d(difference, 2)
            weight = F.avg_pool2d(weight, 2) if fractional else F.max_pool2d(weight, 2)
        count = weight.sum() + 1 if fractional else weight.sum().clamp(min=1)
        total = total + ((difference.square() + SMOOTHING).sqrt() * weight).sum() / count / 2**level
    return total


@dataclass(frozen=True)
class Batch:
    """Crops of a step, each (N, C, H, W): image, trimap and extra channels as the network takes them, alpha, mask."""

    image: Tensor
    trimap: Tensor
    extra: Tensor | None
    alpha: Tensor
    unknown: Tensor

    def to(self, device: str) -> Batch:
        """Copy to a device, channels last."""

        def moved(x: Tensor) -> Tensor:
            return x.to(device, memory_format=torch.channels_last)

        extra = None if self.extra is None else moved(self.extra)
        return Batch(moved(self.image), moved(self.trimap), extra, moved(self.alpha), moved(self.unknown))


def make_batch(data: CompositionData, settings: MattingTraining, step: int) -> Batch:
    """Return the crops of a step; seed and step determine them."""
    images, trimaps, alphas, extras = [], [], [], []
    for k in range(settings.batch):
        sample = data.sample(settings.composition, np.random.default_rng([settings.seed, step, k]))
        images.append(sample.image.transpose(2, 0, 1))
        trimaps.append(sample.trimap[None])
        alphas.append(sample.alpha[None])
        if settings.extra_channels:
            extras.append(extra_planes(settings.extra_channels, sample.image, sample.trimap).transpose(2, 0, 1))
    trimap = np.stack(trimaps)
    return Batch(
        torch.from_numpy(np.ascontiguousarray(np.stack(images))),
        torch.from_numpy(trimap.astype(np.float32) / np.float32(255)),
        torch.from_numpy(np.ascontiguousarray(np.stack(extras))) if extras else None,
        torch.from_numpy(np.stack(alphas)),
        torch.from_numpy((trimap == UNKNOWN).astype(np.float32)),
    )


def train_matting(
    data: CompositionData,
    settings: MattingTraining,
    output: str | os.PathLike[str],
    *,
    initial_weights: str | os.PathLike[str] | None = None,
    device: str = "cpu",
    save_every: int = 500,
    keep_every: int | None = None,
    ahead: bool = True,
    progress: Callable[[int, float], None] | None = None,
) -> MattingNetwork:
    """Train, and continue where an earlier run with the same output stopped.

    Parameters
    ----------
    data : CompositionData
    settings : MattingTraining
    output : path
        Folder for ``checkpoint.pt``, from which a later call goes on, ``matting.safetensors``, the weights, and
        ``training.json``: settings and the loss over the steps.
    initial_weights : path, optional
        ``.safetensors`` of the encoder alone or of a whole matting network.
    device : str
        As torch names it.
    save_every : int
        Steps between checkpoints; see `fastsoft.training.run_training`.
    keep_every : int, optional
        Also write the weights after every so many steps.
    ahead : bool, default True
        Make the crops of the next step in a thread of its own.
    progress : callable, optional
        Called as ``progress(step, loss)`` after each step.

    Returns
    -------
    MattingNetwork

    Raises
    ------
    ValueError
        If the folder holds a checkpoint of other settings, weights do not fit, or a picture cannot be used.

    Notes
    -----
    What is random in a step depends on seed and step alone: a run that was interrupted anywhere ends with the same
    weights as one that was not (on the CPU bit for bit, with one number of threads).
    """
    torch.manual_seed(settings.seed)
    network = MattingNetwork(settings.encoder, extra_channels=settings.extra_channels, residual=settings.closed_form)
    if initial_weights is not None:
        load_initial(network, initial_weights)
    network.to(device).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(_groups(network, settings))
    with _Loader(data, settings, ahead=ahead) as loader:

        def backward(step: int, share: float) -> float:
            batch = loader.get(step).to(device)
            with torch.autocast(torch.device(device).type, dtype=torch.bfloat16, enabled=settings.bfloat16):
                raw = network(batch.image, batch.trimap, batch.extra)
            loss = matting_loss(
                raw.float(),
                batch.alpha,
                batch.unknown,
                forgive=settings.forgive,
                fractional=settings.fractional,
            )
            (loss * share).backward()  # type: ignore[no-untyped-call]
            return float(loss.detach())

        run_training(
            network,
            optimizer,
            settings,
            output,
            name="matting",
            backward=backward,
            write=lambda path, state: save_network(path, network, state),
            device=device,
            save_every=save_every,
            keep_every=keep_every,
            progress=progress,
        )
    return network


class _Loader:
    """Makes batches, each while the one before is worked on."""

    def __init__(self, data: CompositionData, settings: MattingTraining, *, ahead: bool) -> None:
        self._data, self._settings = data, settings
        self._pool = ThreadPoolExecutor(1) if ahead else None
        self._next: tuple[int, Future[Batch]] | None = None

    def __enter__(self) -> _Loader:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def get(self, step: int) -> Batch:
        if self._pool is None:
            return make_batch(self._data, self._settings, step)
        waiting = self._next
        self._next = None
        batch = waiting[1].result() if waiting is not None and waiting[0] == step else None
        if batch is None:
            batch = make_batch(self._data, self._settings, step)
        if step + 1 < self._settings.steps:
            self._next = step + 1, self._pool.submit(make_batch, self._data, self._settings, step + 1)
        return batch


def _groups(network: MattingNetwork, settings: MattingTraining) -> list[dict[str, object]]:
    """Split the parameters by learning rate and weight decay."""
    norms = {
        id(p) for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d) for p in m.parameters(recurse=False)
    }
    groups = []
    for part, rate in (
        (network.decoder, settings.learning_rate),
        (network.backbone, settings.learning_rate_encoder),
    ):
        for of_norm, decay in ((False, settings.weight_decay), (True, settings.weight_decay_norm)):
            chosen = [p for p in part.parameters() if (id(p) in norms) == of_norm]
            if chosen:
                groups.append({"params": chosen, "lr": rate, "weight_decay": decay})
    return groups


def load_initial(network: MattingNetwork, path: str | os.PathLike[str]) -> None:
    """Fill a network from a file of the whole of it, or of its encoder alone."""
    name = os.fspath(path)
    state, _ = read_weights(name)
    if any(key.startswith("decoder.") for key in state):
        fill(network, state, name)
    else:
        network.initialize_encoder(state, name)
