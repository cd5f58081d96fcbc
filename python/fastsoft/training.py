# SPDX-License-Identifier: MIT
"""The loop that trains a network: updates, learning rate, running mean, checkpoints, exact continuation."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from fastsoft._files import atomic_file

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    from torch import Tensor, nn

__all__ = ["run_training"]

# Of the decay of the learning rate.
POWER = 0.9


def run_training(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    settings: Any,
    output: str | os.PathLike[str],
    *,
    name: str,
    backward: Callable[[int], float],
    write: Callable[[Path, Mapping[str, Tensor]], None],
    device: str = "cpu",
    save_every: int = 500,
    keep_every: int | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> None:
    """Train, and continue where an earlier run with the same output stopped.

    Parameters
    ----------
    network : nn.Module
        Ends with the weights, or their running mean, in evaluation mode.
    optimizer : torch.optim.Optimizer
        Its learning rates decay as ``(1 - step / steps) ** 0.9``.
    settings : dataclass
        With ``steps``, the length of the run, and ``average``, the share that the running mean of the weights keeps in
        an update, 0 for none. A checkpoint of other settings is refused.
    output : path
        Folder for ``checkpoint.pt``, ``NAME.safetensors`` and ``training.json``: settings and the loss over the steps.
    name : str
        Of the file of weights.
    backward : callable
        ``backward(step)`` accumulates the gradients of a step and returns its loss. What is random in it must follow
        from the seed and the step alone: a run that was interrupted anywhere then ends with the same weights as one
        that was not.
    write : callable
        ``write(path, state)`` writes weights.
    device : str
        As torch names it.
    save_every : int
        Steps between checkpoints. One is also written at the end and when the run is interrupted, unless the
        interruption falls into the update of the weights itself: then the one before stays.
    keep_every : int, optional
        Also write the weights after every so many steps, as ``NAME_000500.safetensors`` and so on.
    progress : callable, optional
        Called as ``progress(step, loss)`` after each step.

    Raises
    ------
    ValueError
        If the folder holds a checkpoint of other settings.
    """
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    mean = {key: value.detach().clone() for key, value in network.state_dict().items()} if settings.average else {}
    rates = [float(group["lr"]) for group in optimizer.param_groups]
    checkpoint = folder / "checkpoint.pt"
    step = 0
    losses: list[float] = []
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        if state["settings"] != asdict(settings):
            raise ValueError(
                f"output {folder} must be empty or hold a run of the same settings, got another's checkpoint"
            )
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        step, losses, mean = int(state["step"]), [float(v) for v in state["losses"]], state["mean"]

    def save() -> None:
        state = {
            "settings": asdict(settings),
            "network": network.state_dict(),
            "optimizer": optimizer.state_dict(),
            "step": step,
            "losses": losses,
            "mean": mean,
        }
        with atomic_file(checkpoint) as file:
            torch.save(state, file)

    whole = True  # False while weights, step and losses do not belong together
    network.train()
    try:
        while step < settings.steps:
            optimizer.zero_grad(set_to_none=True)
            loss = backward(step)
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * (1 - step / settings.steps) ** POWER
            whole = False
            optimizer.step()
            # A young mean forgets faster, so that the weights of the start do not linger in it.
            keep = min(settings.average, (1 + step) / (10 + step))
            for key, value in network.state_dict().items() if mean else ():
                if value.is_floating_point():
                    mean[key].lerp_(value, 1 - keep)
                else:
                    mean[key].copy_(value)
            step += 1
            losses.append(loss)
            whole = True
            if progress is not None:
                progress(step, loss)
            if step % save_every == 0:
                save()
            if keep_every is not None and step % keep_every == 0:
                write(folder / f"{name}_{step:06d}.safetensors", mean or network.state_dict())
    finally:
        if whole and step > 0:
            save()
    if mean:
        network.load_state_dict(mean)
    network.eval()
    write(folder / f"{name}.safetensors", network.state_dict())
    with atomic_file(folder / "training.json") as file:
        file.write((json.dumps({"settings": asdict(settings), "losses": losses}) + "\n").encode())
