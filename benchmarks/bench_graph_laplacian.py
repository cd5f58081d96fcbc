# SPDX-License-Identifier: MIT
"""Laplacian of a matting affinity against `scipy.sparse.csgraph.laplacian`.

pytest benchmarks/bench_graph_laplacian.py --benchmark-columns=median,iqr --benchmark-group-by=group
"""

from __future__ import annotations

import pytest
from scipy.sparse import csgraph

import fastsoft


@pytest.mark.parametrize("normalized", [False, True], ids=["plain", "normalized"])
@pytest.mark.parametrize("kind", ["fastsoft-csr", "fastsoft-stencil", "scipy"])
def test_graph_laplacian(benchmark, vga_photo, kind, normalized):
    affinity = fastsoft.matting_affinity(vga_photo, storage="stencil" if kind == "fastsoft-stencil" else "csr")
    benchmark.group = f"graph_laplacian {vga_photo.shape[1]}x{vga_photo.shape[0]}"
    if kind == "scipy":
        # SciPy leaves the diagonal out of the degrees; the work is the same.
        run, options = csgraph.laplacian, {"normed": normalized}
    else:
        run, options = fastsoft.graph_laplacian, {"normalized": normalized}
    benchmark.pedantic(run, (affinity,), options, rounds=7, warmup_rounds=1)
