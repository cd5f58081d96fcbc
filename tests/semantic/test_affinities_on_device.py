# SPDX-License-Identifier: MIT
"""Stages 2 and 3 of semantic segmentation with arrays of every library: the same matrices."""

from __future__ import annotations

import numpy as np
import pytest

import fastsoft
from fastsoft.semantic.affinities import compute_affinities
from fastsoft.semantic.laplacian import build_laplacian
from tests.tolerances import parity


@pytest.mark.parametrize("normalized", [False, True])
def test_backends_build_the_same_laplacian(rng, backend, normalized):
    # Smooth, so that superpixels are connected and affinities are neither 0 nor 1.
    row, col = np.mgrid[:36, :50]
    image = np.stack([row / 40, col / 60, (row + col) / 100], axis=2) + 0.02 * rng.random((36, 50, 3))
    features = np.stack([np.sin(row / 9) / 3 + 0.5, col / 70, 0.5 + 0 * row], axis=2)
    options = {"n_superpixels": 40, "matting_epsilon": 1e-2, "semantic_threshold": 0.4}
    expected = compute_affinities(image, features, **options)
    found = compute_affinities(backend.array(image), backend.array(features), **options)
    np.testing.assert_array_equal(backend.numpy(found.superpixels), expected.superpixels)
    near = {"rtol": 0, "atol": parity("matting_laplacian", np.float64)}
    np.testing.assert_allclose(backend.numpy(found.matting.weights), expected.matting.weights, **near)
    for name in ("color", "semantic"):
        matrix = backend.csr(getattr(found, name))
        assert matrix.nnz > 50
        np.testing.assert_allclose(matrix.toarray(), getattr(expected, name).toarray(), rtol=0, atol=1e-13)

    weights = {"color_weight": 0.3, "semantic_weight": 0.2 if not normalized else 0.0}
    operator = build_laplacian(found, normalized=normalized, **weights).operator
    own = build_laplacian(expected, normalized=normalized, **weights).operator
    stencil, matrix = operator.terms
    assert isinstance(stencil, fastsoft.StencilMatrix)
    np.testing.assert_allclose(backend.numpy(stencil.weights), own.terms[0].weights, rtol=0, atol=1e-12)
    # On the CPU a sum holds sparse terms as SciPy's.
    matrix = backend.csr(matrix) if backend.on_device else matrix
    np.testing.assert_allclose(matrix.toarray(), own.terms[1].toarray(), rtol=0, atol=1e-12)
    # A product with the operator where it is.
    vectors = rng.random((36 * 50, 2))
    np.testing.assert_allclose(backend.numpy(operator @ backend.array(vectors)), own @ vectors, rtol=0, atol=1e-10)
