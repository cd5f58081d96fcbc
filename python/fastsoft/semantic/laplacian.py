# SPDX-License-Identifier: MIT
"""Stage 3: one Laplacian of all affinities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastsoft._checks import check_number

if TYPE_CHECKING:
    from fastsoft.semantic.affinities import Affinities

__all__ = ["Laplacian", "build_laplacian"]


@dataclass(frozen=True, eq=False)
class Laplacian:
    """Output of stage 3.

    Attributes
    ----------
    operator : OperatorSum
        Symmetric, shape (N, N). With negative affinities it has a few negative eigenvalues.
    """

    operator: Any


def build_laplacian(
    affinities: Affinities, *, color_weight: float = 0.01, semantic_weight: float = 0.01, normalized: bool = False
) -> Laplacian:
    """Weigh the affinities, add them up and form the Laplacian, the paper's equation 6.

    Parameters
    ----------
    affinities : Affinities
    color_weight, semantic_weight : float, default 0.01
        Relative to the matting affinity.
    normalized : bool, default False
        Divide rows and columns by the roots of the degrees, as the paper has it and the authors' program does not.

    Returns
    -------
    Laplacian

    Notes
    -----
    The plain Laplacian is linear in the affinity, so the terms stay apart: the stencil keeps its 13 numbers per pixel.
    """
    from fastsoft.ops.graph_laplacian import graph_laplacian

    color_weight = check_number(color_weight, "color_weight", low=0)
    semantic_weight = check_number(semantic_weight, "semantic_weight", low=0)
    terms = [affinities.matting, affinities.color, affinities.semantic]
    return Laplacian(graph_laplacian(terms, weights=[1.0, color_weight, semantic_weight], normalized=normalized))
