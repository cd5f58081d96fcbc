# SPDX-License-Identifier: MIT
"""Stage 2: how likely two pixels belong together, by colour nearby, by colour far away, and by features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Affinities", "compute_affinities"]


@dataclass(frozen=True, eq=False)
class Affinities:
    """Output of stage 2: three symmetric matrices (N, N), N = H * W.

    Attributes
    ----------
    superpixels : array, shape (H, W), int32
        Labels 0..S-1.
    matting : StencilMatrix
        The matting affinity of 3x3 windows; its diagonal is 0, for a diagonal drops out of a Laplacian.
    color : sparse CSR matrix
        Between the centres of superpixels of much the same colour within a fifth of the image; in [0, 1].
    semantic : sparse CSR matrix
        Between the centres of adjacent superpixels; in [-1, 1], negative between unlike features.
    """

    superpixels: Any
    matting: Any
    color: Any
    semantic: Any


def compute_affinities(
    image: Any,
    features: Any,
    *,
    n_superpixels: int,
    matting_epsilon: float = 1e-4,
    color_threshold: float = 0.05,
    semantic_threshold: float = 0.15,
    progress: Callable[[float], None] | None = None,
) -> Affinities:
    """Build the three affinities of the paper, section 3.1 to 3.3.

    Parameters
    ----------
    image : array, shape (H, W, 3), float32 or float64
        RGB in [0, 1].
    features : array, shape (H, W, d), dtype of `image`
        In [0, 1].
    n_superpixels : int
        Wanted number; SLIC gives roughly that many.
    matting_epsilon : float, default 1e-4
        Added to the variance of the colours of a window, divided by 9 (1e-7 in the paper). In a smooth region
        whose variance is below it, the affinity is that of a flat one instead of following the noise.
    color_threshold, semantic_threshold : float, defaults 0.05 and 0.15
        Distance at which an affinity crosses its middle; the paper's text has 0.2 for the second, the authors'
        program 0.15.
    progress : callable, optional
        Called with the share that is done.

    Returns
    -------
    Affinities
    """
    from fastsoft.ops.matting_laplacian import matting_laplacian
    from fastsoft.ops.slic import slic
    from fastsoft.ops.superpixel_graph import color_affinity, region_means, semantic_affinity, superpixel_graph

    def part(low: float, high: float) -> Callable[[float], None] | None:
        return None if progress is None else lambda fraction: progress(low + (high - low) * fraction)

    superpixels = slic(image, n_superpixels, progress=part(0.0, 0.6))
    graph = superpixel_graph(superpixels)
    n = graph.n_superpixels
    color = color_affinity(graph, region_means(image, superpixels, n), threshold=color_threshold)
    semantic = semantic_affinity(graph, region_means(features, superpixels, n), threshold=semantic_threshold)
    if progress is not None:
        progress(0.7)
    # Off its diagonal the matting Laplacian is minus the affinity.
    matting = matting_laplacian(image, epsilon=matting_epsilon, storage="stencil")
    weights = matting.weights
    weights *= -1
    weights[0] = 0
    if progress is not None:
        progress(1.0)
    return Affinities(superpixels, matting, color, semantic)
