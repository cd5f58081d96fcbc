# SPDX-License-Identifier: MIT
"""Smallest 100 eigenpairs of the Laplacian of a photo, beside SciPy's ARPACK on a sparse factorisation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse import linalg

import fastsoft


def photo_laplacian(image, dtype):
    labels = fastsoft.slic(image, max(1, min(2500, image.shape[0] * image.shape[1] // 64)))
    graph = fastsoft.superpixel_graph(labels)
    means = fastsoft.region_means(np.ascontiguousarray(image, dtype=np.float64), labels)
    extra = 0.01 * (fastsoft.semantic_affinity(graph, means) + fastsoft.color_affinity(graph, means))
    edges = sparse.diags_array(np.asarray(extra.sum(axis=1)).ravel()) - extra
    stencil = fastsoft.matting_laplacian(image.astype(dtype), storage="stencil")
    return stencil + edges.tocsr().astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_smallest_eigenvectors(benchmark, photo, dtype):
    operator = photo_laplacian(photo, np.dtype(dtype))
    benchmark.group = f"smallest_eigenvectors {photo.shape[1]}x{photo.shape[0]}"
    pairs = benchmark.pedantic(fastsoft.smallest_eigenvectors, args=(operator, 100), rounds=1)
    benchmark.extra_info["residual"] = pairs.info.residual
    assert pairs.info.residual <= 1e-5


def test_scipy_arpack(benchmark, photo):
    matrix = photo_laplacian(photo, np.dtype("float64")).tocsr().tocsc()
    shift = fastsoft.smallest_eigenvectors(sparse.csr_array(matrix), 1, tolerance=1e-4).eigenvalues[0] - 1e-5
    benchmark.group = f"smallest_eigenvectors {photo.shape[1]}x{photo.shape[0]}"

    def run():
        shifted = (matrix - shift * sparse.eye_array(matrix.shape[0])).tocsc()
        try:
            from sksparse.cholmod import cholesky

            solve = cholesky(sparse.csc_matrix(shifted), ordering_method="metis")
        except ImportError:
            solve = linalg.splu(shifted, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve
        inverse = linalg.LinearOperator(matrix.shape, matvec=solve, dtype=np.float64)
        return linalg.eigsh(matrix, 100, sigma=shift, OPinv=inverse, tol=1e-6)

    benchmark.pedantic(run, rounds=1)
