# SPDX-License-Identifier: MIT
"""The result of a segmentation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoft._checks import check_image, check_shape
from fastsoft.layers.simplex import check_alphas

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Layers", "order_by_mass"]


@dataclass(frozen=True, eq=False)
class Layers:
    """Soft layers of a photograph.

    Attributes
    ----------
    alphas : ndarray, shape (H, W, n), float32 or float64
        Opacity of every layer at every pixel: in [0, 1], summing to 1 over the layers. The layer that covers
        most comes first.
    image : ndarray, shape (H, W, 3), float32 or float64
        The photograph, RGB in [0, 1].
    largest_correction : float
        How far, at most, an alpha was moved at the end to lie in [0, 1] and sum to 1.
    timings : mapping of str to float
        Seconds that each stage took, in order.
    settings : mapping of str to int, float, str, bool or None
        What the layers were computed with, defaults included.
    stages : mapping of str to stage result, or None
        The output of every stage if it was asked for.

    Raises
    ------
    ValueError
        If `alphas` and `image` do not have the same height and width, or break the rules above.
    """

    alphas: Any
    image: Any
    largest_correction: float = 0.0
    timings: Mapping[str, float] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    stages: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        image = check_image(self.image)
        alphas = check_alphas(self.alphas)
        check_shape(alphas, (*image.shape[:2], "n"), "alphas")

    def __repr__(self) -> str:
        height, width, n = self.alphas.shape
        return f"Layers({n} layers of {width}x{height} pixels, {sum(self.timings.values()):.1f} s)"

    @property
    def n_layers(self) -> int:
        """Number of layers."""
        return int(self.alphas.shape[2])

    def rgba(self, layer: int) -> Any:
        """Return one layer as the photograph's colours with the layer's alpha, shape (H, W, 4), not premultiplied."""
        return np.concatenate([self.image, self.alphas[:, :, layer, None]], axis=2, dtype=self.image.dtype)

    def save(self, directory: str | os.PathLike[str], **options: Any) -> Path:
        """Write the layers to a folder, see `fastsoft.layers.save_layers`."""
        from fastsoft.layers.files import save_layers

        return save_layers(self, directory, **options)


def order_by_mass(alphas: Any) -> Any:
    """Return the permutation that puts layers with more mass first, the earlier layer where two have the same."""
    mass = alphas.sum(axis=(0, 1), dtype=np.float64)
    return np.argsort(-mass, kind="stable")
