# SPDX-License-Identifier: MIT
"""Weights of the colour networks: loading, and conversion of the authors' files. Loads torch only when called."""

from __future__ import annotations

import os
from typing import Any, Protocol

from fastsoft.weights import embedded_weights, read_weights

__all__ = ["ColorModel", "convert_published_weights", "default_model", "load_model"]


class ColorModel(Protocol):
    """What the pipeline needs of a model: alphas first, then, from the processed alphas, colours.

    Photograph and alphas are ndarrays, or tensors on a device, and the results are the same. The pipeline passes
    `precision` only where it is not "float32".
    """

    design: str
    source: str
    n_colors: tuple[int, int]

    def alphas(self, image: Any, palette: Any, *, precision: str = "float32", progress: Any = None) -> tuple[Any, Any]:
        """Return alphas (H, W, n) that sum to 1, and what `colors` wants to know of the photograph."""

    def colors(
        self, image: Any, palette: Any, alphas: Any, state: Any, *, precision: str = "float32", progress: Any = None
    ) -> Any:
        """Return the colours (H, W, n, 3) of the layers."""


def load_model(path: str | os.PathLike[str]) -> ColorModel:
    """Load the networks of fast soft colour segmentation.

    Parameters
    ----------
    path : path
        ``.safetensors`` that ``fastsoft train colors`` or `convert_published_weights` wrote.

    Returns
    -------
    ColorModel

    Raises
    ------
    ValueError
        If the file is missing, damaged, or of other networks.
    """
    name = os.fspath(path)
    if name.endswith((".pth", ".pt")):
        raise ValueError(
            f"weights must be a .safetensors file, got {name}: fastsoft.color.convert_published_weights makes one of "
            "the authors' two .pth files"
        )
    state, metadata = read_weights(path)
    design = metadata.get("design")
    if design == "published":
        from fastsoft.color.network import PublishedModel

        return PublishedModel.from_arrays(state, name)
    if design == "layers":
        from fastsoft.color.network_layers import LayerModel

        return LayerModel.from_arrays(state, metadata, name)
    raise ValueError(f"weights {name} must be of colour networks, got a file whose design is {design!r}")


def default_model() -> ColorModel:
    """Load the network that comes with fastsoft.

    Returns
    -------
    ColorModel
        Its source is "embedded" with the SHA-256 of the weights.

    Raises
    ------
    ValueError
        If the weights are missing or altered.
    """
    from fastsoft.color.network_layers import LayerModel

    path, checksum = embedded_weights("colors", "give weights of 'fastsoft train colors'")
    model = LayerModel.from_arrays(*read_weights(path), os.fspath(path))
    model.source = f"embedded, SHA-256 {checksum}"
    return model


def convert_published_weights(
    alpha: str | os.PathLike[str], residue: str | os.PathLike[str], output: str | os.PathLike[str]
) -> None:
    """Convert the state dictionaries of the authors' program to one ``.safetensors`` file.

    Parameters
    ----------
    alpha, residue : path
        ``mask_generator.pth`` and ``residue_predictor.pth``. They are unpickled with ``weights_only``, which runs no
        code that they may hold.
    output : path
        Appears complete or not at all.

    Raises
    ------
    ValueError
        If a file is none of the networks, or the two are of different numbers of colours.
    OSError
        If the output cannot be written.
    """
    from fastsoft.color.network import save_published

    save_published(alpha, residue, output)
