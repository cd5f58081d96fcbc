# SPDX-License-Identifier: MIT
"""The result of a segmentation."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoft._arrays import as_array, like, namespace, to_numpy, workable
from fastsoft._checks import as_float_array, check_image, check_shape
from fastsoft._dispatch import find_place
from fastsoft._stages import timed_stage
from fastsoft.layers.simplex import check_alphas

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["Layers", "order_by_mass"]

_ROWS = 64
_ARRAYS = ("alphas", "image", "colors", "palette")


@dataclass(frozen=True, eq=False)
class Layers:
    """Soft layers of a photograph.

    Arrays are NumPy's, or those of torch or CuPy on one CUDA device; `to_numpy` brings them from there.

    Attributes
    ----------
    alphas : array, shape (H, W, n), float32 or float64
        Opacity of every layer at every pixel: in [0, 1], summing to 1 over the layers. The layer that covers
        most comes first; layers of a palette are in its order.
    image : array, shape (H, W, 3), float32 or float64
        The photograph, RGB in [0, 1].
    largest_correction : float
        How far, at most, an alpha was moved at the end to lie in [0, 1] and sum to 1.
    timings : mapping of str to float
        Seconds that each stage took, in order.
    settings : mapping of str to int, float, str, bool or None
        What the layers were computed with, defaults included.
    stages : mapping of str to stage result, or None
        The output of every stage if it was asked for.
    colors : array, shape (H, W, n, 3), float32 or float64, or None
        Colours of every layer at every pixel, in [0, 1], of layers that have colours of their own. None where a
        layer shows the photograph's.
    palette : array, shape (n, 3), or None
        The colour that every layer stands for, in [0, 1], if they do.

    Raises
    ------
    ValueError
        If the arrays do not have the same height, width and number of layers, or break the rules above.
    """

    alphas: Any
    image: Any
    largest_correction: float = 0.0
    timings: Mapping[str, float] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    stages: Mapping[str, Any] | None = None
    colors: Any = None
    palette: Any = None

    def __post_init__(self) -> None:
        image = check_image(self.image, place=find_place(image=self.image, alphas=self.alphas))
        alphas = check_alphas(self.alphas)
        check_shape(alphas, (*image.shape[:2], "n"), "alphas")
        for value, name, shape in (
            (self.colors, "colors", (*alphas.shape, 3)),
            (self.palette, "palette", (alphas.shape[2], 3)),
        ):
            if value is not None:
                array = as_array(as_float_array(value, name, find_place(**{name: value})))
                check_shape(array, shape, name)
                low, high = float(array.min()), float(array.max())
                if not (low >= 0 and high <= 1):
                    raise ValueError(f"{name} must lie in [0, 1], got values in [{low:g}, {high:g}]")

    def __repr__(self) -> str:
        height, width, n = self.alphas.shape
        return f"Layers({n} layers of {width}x{height} pixels, {sum(self.timings.values()):.1f} s)"

    @property
    def n_layers(self) -> int:
        """Number of layers."""
        return int(self.alphas.shape[2])

    def rgba(self, layer: int) -> Any:
        """Return one layer as its colours with its alpha, shape (H, W, 4), not premultiplied.

        Layers without colours of their own have the photograph's.
        """
        image = workable(self.image)
        colors = image if self.colors is None else workable(self.colors)[:, :, layer]
        alpha = workable(self.alphas)[:, :, layer, None]
        xp = namespace(image)
        return like(
            xp.concatenate([xp.asarray(part, dtype=image.dtype) for part in (colors, alpha)], axis=2), self.image
        )

    def to_numpy(self) -> Layers:
        """Return the layers with arrays of NumPy, themselves if they have them; `stages` stay as they are."""
        if all(value is None or isinstance(value, np.ndarray) for value in self._arrays()):
            return self
        moved: dict[str, Any] = {
            name: None if value is None else to_numpy(value)
            for name, value in zip(_ARRAYS, self._arrays(), strict=True)
        }
        return replace(self, **moved)

    def _arrays(self) -> list[Any]:
        return [getattr(self, name) for name in _ARRAYS]

    def with_foregrounds(self, *, exact: bool = True, progress: Callable[[str, float], None] | None = None) -> Layers:
        """Return the same layers with colours of their own instead of the photograph's.

        At the edge of an object the photograph shows a mixture of what lies on both sides; a layer that is moved or
        put over something else needs its own share. `fastsoft.estimate_foreground` finds it for all layers in one call.

        Parameters
        ----------
        exact : bool, default True
            Then change the colours as little as possible so that the layers' sum is the photograph
            (`fastsoft.project_colors`).
        progress : callable, optional
            Called as ``progress("foregrounds", fraction)``; an exception raised in it ends the operation.

        Returns
        -------
        Layers
            With `colors`; layers that have colours already are returned as they are.
        """
        if self.colors is not None:
            return self
        from fastsoft.ops.estimate_foreground import estimate_foreground
        from fastsoft.ops.project_colors import project_colors

        timings = dict(self.timings)
        with timed_stage("foregrounds", timings, progress) as report:
            image = self.image if self.image.dtype == self.alphas.dtype else self._image_of_alphas()
            colors = estimate_foreground(image, self.alphas, progress=report)
            if exact:
                colors = project_colors(self.alphas, colors, image, out=colors)
        return replace(self, colors=colors, timings=timings, settings={**self.settings, "exact": bool(exact)})

    def recomposed(self) -> Any:
        """Return the sum of the layers' colours times their alphas, shape (H, W, 3)."""
        image = workable(self.image)
        xp = namespace(image)
        if self.colors is None:
            return like(xp.concatenate([image]), self.image)  # a copy
        alphas, colors = workable(self.alphas), workable(self.colors)
        out = xp.empty_like(image)
        # Some rows at a time: products of all layers would be as large as the colours.
        for first in range(0, len(out), _ROWS):
            rows = slice(first, first + _ROWS)
            out[rows] = xp.einsum("hwn,hwnc->hwc", alphas[rows], colors[rows])
        return like(out, self.image)

    def save(self, directory: str | os.PathLike[str], **options: Any) -> Path:
        """Write the layers to a folder, see `fastsoft.layers.save_layers`."""
        from fastsoft.layers.files import save_layers

        return save_layers(self.to_numpy(), directory, **options)

    def _image_of_alphas(self) -> Any:
        """Return the photograph in the dtype of the alphas."""
        image = workable(self.image)
        return like(namespace(image).asarray(image, dtype=workable(self.alphas).dtype), self.image)


def order_by_mass(alphas: Any) -> Any:
    """Return the permutation, an ndarray, that puts layers with more mass first, of equal ones the earlier."""
    alphas = workable(alphas)
    mass = to_numpy(alphas.sum(axis=(0, 1), dtype=namespace(alphas).float64))
    return np.argsort(-mass, kind="stable")
