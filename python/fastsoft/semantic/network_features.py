# SPDX-License-Identifier: MIT
"""Raw features of a photograph from a network: fastsoft's own hypercolumns, or a vision transformer of the user's.

Networks run in one thread: torch chooses algorithms and the order of its sums by the number of threads, and features
must not depend on that.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from fastsoft.network_device import arithmetic, network_on
from fastsoft.networks import IMAGENET_DEVIATION, IMAGENET_MEAN
from fastsoft.semantic.features import resize
from fastsoft.semantic.network import HypercolumnNetwork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["enlarge", "hypercolumn_features", "load_network", "transformer_features"]

# Pixels between evaluated points: the finest level but the picture has a stride of 4, and the guided filter that
# follows restores the picture's edges.
STEP = 4

_announced: set[str] = set()

_one_at_a_time = threading.Lock()


@contextlib.contextmanager
def _inference() -> Iterator[None]:
    """Run torch in one thread and without gradients; the number of threads comes back afterwards."""
    with _one_at_a_time:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with torch.inference_mode():
                yield
        finally:
            torch.set_num_threads(before)


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
    # Without memory or random numbers for weights that are replaced at once.
    with torch.device("meta"):
        network = HypercolumnNetwork(metadata["backbone"], n_features=_n_features(metadata))
    odd = sorted(set(state) ^ set(network.state_dict()))
    if odd:
        raise ValueError(f"weights must be those of a {network.backbone_name} network, got a difference at {odd[0]}")
    network.fill(state, "given")
    network.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def _n_features(metadata: dict[str, str]) -> int:
    text = metadata.get("n_features", "128")
    if not (text.isdecimal() and int(text) > 0):
        raise ValueError(f"weights must state a positive number n_features, got {text!r}")
    return int(text)


def hypercolumn_features(
    image: Any,
    network: HypercolumnNetwork,
    *,
    precision: str = "float32",
    progress: Callable[[float], None] | None = None,
) -> Any:
    """Evaluate the network on a photograph, on every fourth row and column.

    The mean of two views: the photograph, and itself at half size, in which the network sees twice as much around every
    pixel. It costs a quarter more than one view and tells regions apart better (docs/features.md has the figures).

    Parameters
    ----------
    image : ndarray or Tensor on a device, shape (H, W, 3)
        RGB in [0, 1].
    network : HypercolumnNetwork
    precision : {"float32", "bfloat16", "float16"}, default "float32"
        Of the convolutions.
    progress : callable, optional
        Called with the fraction done.

    Returns
    -------
    ndarray or Tensor, shape (ceil(H / 4), ceil(W / 4), d), float32
    """
    height, width = image.shape[:2]
    half = resize(image, (-(-height // 2), -(-width // 2))).clip(0, 1)
    if isinstance(image, torch.Tensor):
        network = network_on(network, image.device)
    if progress is not None:
        progress(0.0)
    with _inference(), arithmetic(next(network.parameters()).device):
        features = network(_tensor(image), STEP, precision)
        if progress is not None:
            progress(0.8)
        features = (features + network(_tensor(half), STEP // 2, precision)) / 2
    if progress is not None:
        progress(1.0)
    if isinstance(image, torch.Tensor):
        # Not an inference tensor: others may go on with it.
        return features.permute(1, 2, 0).contiguous().clone()
    return np.ascontiguousarray(features.permute(1, 2, 0).numpy())


def _tensor(image: Any) -> torch.Tensor:
    """Copy an image (H, W, 3) to a tensor (3, H, W), float32, in torch's own memory; of a tensor, on its device."""
    if isinstance(image, torch.Tensor):
        return image.permute(2, 0, 1).to(torch.float32).contiguous()
    picture = torch.empty((3, *image.shape[:2]))
    # Through NumPy, which also reads arrays that cannot be written to.
    picture.numpy()[...] = image.transpose(2, 0, 1)
    return picture


def enlarge(features: Any, shape: tuple[int, int], *, step: int | None = None) -> Any:
    """Bring features to the size of a picture, bilinearly.

    Parameters
    ----------
    features : ndarray or Tensor on a device, shape (h, w, C), float32
    shape : tuple of two int
        Height and width (H, W) of the picture.
    step : int, optional
        Each vector stands for step x step pixels, the last ones for what is left of them. Default: the vectors are
        spread evenly over the picture.

    Returns
    -------
    ndarray or Tensor, shape (H, W, C), float32
    """
    on_device = isinstance(features, torch.Tensor)
    size = shape if step is None else (step * features.shape[0], step * features.shape[1])
    with _inference():
        # Channels lie together in memory before and after.
        coarse = features if on_device else torch.from_numpy(np.ascontiguousarray(features))
        coarse = coarse[None].permute(0, 3, 1, 2)
        fine = torch.nn.functional.interpolate(coarse, size=size, mode="bilinear", align_corners=False)
        cut = fine.permute(0, 2, 3, 1)[0, : shape[0], : shape[1]]
    return cut if on_device else cut.numpy()


def transformer_features(image: Any, model: str) -> tuple[Any, str]:
    """Return the patch tokens of a vision transformer of the transformers library.

    Parameters
    ----------
    image : ndarray or Tensor on a device, shape (H, W, 3)
        RGB in [0, 1].
    model : str
        A folder with ``config.json`` and ``model.safetensors``, or a name on the library's hub, which needs a network
        unless the model is in its cache. The model must return patch tokens as ``last_hidden_state`` (DINOv2, ViT ...).

    Returns
    -------
    features : ndarray or Tensor, shape (h, w, C), float32
        One vector per patch.
    checksum : str
        SHA-256 of the weights: names and bytes of all of them, in the order of their names.

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
        try:
            # What lies on this machine is taken as it is, without asking the hub for a newer version.
            network = transformers.AutoModel.from_pretrained(model, local_files_only=True, use_safetensors=True)
        except OSError:
            if Path(model).is_dir():
                raise
            network = transformers.AutoModel.from_pretrained(model, use_safetensors=True)
        network = network.eval().float()
    except Exception as error:
        reason = " ".join(str(error).split())
        if not Path(model).is_dir():
            reason = (
                "it is no local folder, and the hub has no such model or cannot be reached; without a network, give a "
                f"folder, or use features='embedded' ({reason})"
            )
        raise ValueError(f"cannot load the model {model!r}: {reason}") from error
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
    checksum = _checksum(network)
    picture = _tensor(image)
    network = network.to(picture.device)
    with _inference(), arithmetic(picture.device):
        picture = torch.nn.functional.interpolate(
            picture[None],
            size=(rows * patch, cols * patch),
            mode="bilinear",
            antialias=True,
            align_corners=False,
        )
        picture = (picture - picture.new_tensor(mean)[:, None, None]) / picture.new_tensor(deviation)[:, None, None]
        try:
            tokens = network(pixel_values=picture, interpolate_pos_encoding=True).last_hidden_state[0]
        except TypeError:  # models that always adapt their positions take no such argument
            tokens = network(pixel_values=picture).last_hidden_state[0]
    if tokens.ndim != 2 or len(tokens) < rows * cols:
        raise ValueError(f"model {model!r} must return {rows * cols} patch tokens, got shape {tuple(tokens.shape)}")
    # Class and register tokens come first.
    found = tokens[-rows * cols :].reshape(rows, cols, -1).float()
    return (found.clone() if isinstance(image, torch.Tensor) else found.numpy()), checksum


def _checksum(network: torch.nn.Module) -> str:
    found = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        found.update(name.encode())
        found.update(value.detach().contiguous().view(-1).view(torch.uint8).numpy())
    return found.hexdigest()


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
