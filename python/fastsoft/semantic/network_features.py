# SPDX-License-Identifier: MIT
"""Raw features of a photograph from a network: fastsoft's own hypercolumns, or a vision transformer of the user's."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from fastsoft.semantic.network import IMAGENET_DEVIATION, IMAGENET_MEAN, HypercolumnNetwork

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["hypercolumn_features", "load_network", "transformer_features"]

# Pixels between evaluated points: the finest level but the picture has a stride of 4, and the guided filter that
# follows restores the picture's edges.
STEP = 4

_announced: set[str] = set()


def load_network(state: dict[str, Any], metadata: dict[str, str]) -> HypercolumnNetwork:
    """Build the network that weights were made from, for use, not for training.

    Parameters
    ----------
    state : dict of ndarray
        As `fastsoft.weights.read_weights` returns it.
    metadata : dict of str
        With ``backbone`` and ``n_features``.

    Raises
    ------
    ValueError
        If names or shapes do not fit.
    """
    if "backbone" not in metadata:
        raise ValueError("weights must be of 'fastsoft train features', got a file that does not name its backbone")
    network = HypercolumnNetwork(metadata["backbone"], n_features=int(metadata.get("n_features", 128)))
    odd = sorted(set(state) ^ set(network.state_dict()))
    if odd:
        raise ValueError(f"weights must be those of a {network.backbone_name} network, got a difference at {odd[0]}")
    network.fill(state, "given")
    network.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def hypercolumn_features(
    image: Any, network: HypercolumnNetwork, *, progress: Callable[[float], None] | None = None
) -> Any:
    """Evaluate the network on a photograph, on every fourth row and column.

    Parameters
    ----------
    image : ndarray, shape (H, W, 3)
        RGB in [0, 1].
    network : HypercolumnNetwork

    Returns
    -------
    ndarray, shape (ceil(H / 4), ceil(W / 4), d), float32
    """
    if progress is not None:
        progress(0.0)
    picture = torch.from_numpy(np.ascontiguousarray(np.asarray(image, dtype=np.float32).transpose(2, 0, 1)))
    with torch.inference_mode():
        features = network(picture, STEP)
    if progress is not None:
        progress(1.0)
    return np.ascontiguousarray(features.permute(1, 2, 0).numpy())


def transformer_features(image: Any, model: str) -> Any:
    """Return the patch tokens of a vision transformer of the transformers library.

    Parameters
    ----------
    image : ndarray, shape (H, W, 3)
        RGB in [0, 1].
    model : str
        A folder with ``config.json`` and ``model.safetensors``, or a name on the library's hub, which needs a network
        unless the model is in its cache. The model must return patch tokens as ``last_hidden_state`` (DINOv2, ViT ...).

    Returns
    -------
    ndarray, shape (h, w, C), float32
        One vector per patch.

    Raises
    ------
    ImportError
        If transformers is not installed.
    ValueError
        If the model cannot be loaded or is of another kind.
    """
    try:
        import transformers
    except ImportError:
        raise ImportError(
            "features='transformers:...' needs the transformers package: pip install transformers"
        ) from None
    try:
        network = transformers.AutoModel.from_pretrained(
            model, local_files_only=Path(model).is_dir(), use_safetensors=True
        ).eval()
    except Exception as error:
        hint = "" if Path(model).is_dir() else " (without a network, give a local folder)"
        raise ValueError(f"cannot load the model {model!r}: {error}{hint}") from error
    patch = getattr(network.config, "patch_size", None)
    if not isinstance(patch, int):
        raise ValueError(
            f"model {model!r} must be a vision transformer with a patch_size, got {type(network).__name__}"
        )
    _announce(model)
    mean, deviation = _normalisation(model)
    height, width = image.shape[:2]
    # Whole patches, the number nearest to the picture's size.
    rows, cols = (max(1, round(extent / patch)) for extent in (height, width))
    picture = torch.from_numpy(np.ascontiguousarray(np.asarray(image, dtype=np.float32).transpose(2, 0, 1)))[None]
    picture = torch.nn.functional.interpolate(
        picture, size=(rows * patch, cols * patch), mode="bilinear", antialias=True, align_corners=False
    )
    picture = (picture - torch.tensor(mean)[:, None, None]) / torch.tensor(deviation)[:, None, None]
    with torch.inference_mode():
        try:
            tokens = network(pixel_values=picture, interpolate_pos_encoding=True).last_hidden_state[0]
        except TypeError:  # models that always adapt their positions take no such argument
            tokens = network(pixel_values=picture).last_hidden_state[0]
    if tokens.ndim != 2 or len(tokens) < rows * cols:
        raise ValueError(f"model {model!r} must return {rows * cols} patch tokens, got shape {tuple(tokens.shape)}")
    # Class and register tokens come first.
    return tokens[-rows * cols :].reshape(rows, cols, -1).float().numpy()


def _normalisation(model: str) -> tuple[list[float], list[float]]:
    """Read the colours' mean and deviation that a model wants; ImageNet's where it does not say."""
    path = Path(model) / "preprocessor_config.json"
    if path.is_file():
        found = json.loads(path.read_text(encoding="utf-8"))
        if "image_mean" in found and "image_std" in found:
            return [float(v) for v in found["image_mean"]], [float(v) for v in found["image_std"]]
    return list(IMAGENET_MEAN), list(IMAGENET_DEVIATION)


def _announce(model: str) -> None:
    """Print the licence of a model of others, once."""
    if model in _announced:
        return
    _announced.add(model)
    licence = "not stated in its folder"
    card = Path(model) / "README.md"
    if card.is_file():
        for line in card.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.lower().startswith(("license:", "licence:")):
                licence = line.partition(":")[2].strip()
                break
    print(f"fastsoft: features from {os.fspath(model)}; licence of the model: {licence}", flush=True)
