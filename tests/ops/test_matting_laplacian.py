# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import fastsoft
from tests.golden_matrix import golden_matrix
from tests.reference import matting_laplacian as reference
from tests.tolerances import parity

# Tile borders lie at multiples of 32 rows and 124 columns; these sizes fall short of, meet and pass them.
SHAPES = [(3, 3), (3, 4), (5, 3), (5, 7), (4, 40), (12, 9)]


def smooth_and_edgy(rng, height, width, dtype):
    """Random colours, a flat half and a sharp edge: covariances from the identity's scale down to zero."""
    image = rng.random((height, width, 3))
    image[: height // 2] = image[0, 0]
    image[: height // 2, width // 2 :] = 1 - image[0, 0]
    return image.astype(dtype)


def bound(image, epsilon):
    """Covariances carry rounding eps; the systems amplify it by their condition, up to n / (4 epsilon). Entries reach
    9, and three of those steps are chained."""
    return 30 * np.finfo(np.float64).eps * 9 / (4 * epsilon)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("epsilon", [1e-7, 1e-3])
def test_equals_reference(rng, shape, dtype, epsilon):
    image = smooth_and_edgy(rng, *shape, dtype)
    expected = reference.matting_laplacian(image, epsilon)
    # float32 results are computed in double and rounded once; the diagonal sums 24 rounded numbers.
    tolerance = bound(image, epsilon) + 12 * np.finfo(dtype).eps * abs(expected).max()
    for storage in ("csr", "stencil"):
        laplacian = fastsoft.matting_laplacian(image, epsilon=epsilon, storage=storage)
        affinity = fastsoft.matting_affinity(image, epsilon=epsilon, storage=storage)
        assert laplacian.dtype == affinity.dtype == dtype
        if storage == "stencil":
            laplacian, affinity = laplacian.tocsr(), affinity.tocsr()
        np.testing.assert_allclose(laplacian.toarray(), expected, atol=tolerance)
        np.testing.assert_allclose(affinity.toarray(), reference.matting_affinity(image, epsilon), atol=tolerance)


@pytest.mark.parametrize(("radius", "shape"), [(2, (5, 5)), (2, (6, 11)), (3, (7, 7)), (3, (8, 13))])
def test_larger_windows_equal_reference(rng, radius, shape):
    image = rng.random((*shape, 3))
    laplacian = fastsoft.matting_laplacian(image, epsilon=1e-4, radius=radius)
    np.testing.assert_allclose(laplacian.toarray(), reference.matting_laplacian(image, 1e-4, radius), atol=1e-12)
    assert laplacian.nnz == np.count_nonzero(abs(reference.matting_affinity(image, 1e-4, radius)) > 0)


@pytest.mark.parametrize("radius", [1, 2, 3])
def test_across_tiles(rng, radius):
    """A crop's interior rows equal those of the whole image, wherever the tile borders fall."""
    image = rng.random((75, 263, 3))
    laplacian = fastsoft.matting_laplacian(image, radius=radius, epsilon=1e-3)
    assert abs(laplacian - laplacian.T).max() == 0
    assert abs(laplacian.sum(axis=1)).max() < 1e-13
    reach = 2 * radius
    for row, col in [(20, 100), (50, 230), (28, 0), (0, 118)]:
        bottom, right = min(row + 25, 75), min(col + 33, 263)
        crop = reference.matting_laplacian(image[row:bottom, col:right], 1e-3, radius)
        index = np.arange(75 * 263).reshape(75, 263)[row:bottom, col:right]
        # Pixels all of whose windows lie in the crop as they do in the image.
        keep = np.zeros(index.shape, dtype=bool)
        keep[reach if row else 0 : -reach, reach if col else 0 : -reach] = True
        if right == 263:
            keep[reach if row else 0 : -reach, -reach:] = True
        got = laplacian[index.ravel()[keep.ravel()]].toarray()
        np.testing.assert_allclose(got[:, index.ravel()], crop[keep.ravel()], atol=1e-11)
        assert np.count_nonzero(got) == np.count_nonzero(got[:, index.ravel()])


def test_storages_hold_the_same_numbers(rng, dtype):
    image = smooth_and_edgy(rng, 70, 131, dtype)
    csr = fastsoft.matting_laplacian(image)
    stencil = fastsoft.matting_laplacian(image, storage="stencil")
    assert stencil.grid_shape == (70, 131)
    assert abs(stencil.tocsr() - csr).max() == 0
    assert csr.has_sorted_indices
    assert csr.indices.dtype == csr.indptr.dtype == np.int32
    csr.check_format(full_check=True)
    # The checked constructor accepts what native code made: zeros outside the grid and no NaN.
    fastsoft.StencilMatrix(stencil.weights)


def test_authors_affinity(golden):
    image = golden["image"]
    affinity = fastsoft.matting_affinity(image)
    non_local = 0.01 * (golden_matrix(golden, "W_S") + golden_matrix(golden, "W_C"))
    if "W_L_data" in golden:
        expected = golden_matrix(golden, "W_L").astype(np.float64)
        np.testing.assert_array_equal(affinity.indptr, expected.indptr)
        np.testing.assert_array_equal(affinity.indices, expected.indices)
        assert abs(affinity - expected).max() <= 1e-7 * abs(expected).max()
    laplacian = fastsoft.matting_laplacian(image) + sparse.diags_array(non_local.sum(axis=1)) - non_local
    expected = golden_matrix(golden, "L")
    assert abs(laplacian - expected).max() <= 1e-8 * abs(expected).max()


def test_rows_of_the_affinity_sum_to_the_number_of_windows(rng):
    image = smooth_and_edgy(rng, 34, 40, np.float64)
    sums = fastsoft.matting_affinity(image).sum(axis=1)
    np.testing.assert_allclose(sums.reshape(34, 40), reference.n_windows(34, 40), atol=1e-9)


@pytest.mark.parametrize("colours", [np.array([[0.3, 0.3, 0.3]]), np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])])
def test_one_and_two_colours(colours, dtype):
    image = colours[np.arange(81).reshape(9, 9) % 9 // 5 % len(colours)].astype(dtype)
    laplacian = fastsoft.matting_laplacian(image).toarray().astype(np.float64)
    np.testing.assert_allclose(laplacian, reference.matting_laplacian(image), atol=2e-7 + 50 * np.finfo(dtype).eps)
    assert np.linalg.eigvalsh(laplacian)[0] > -50 * np.finfo(dtype).eps


@settings(max_examples=25, deadline=None)
@given(st.integers(3, 9), st.integers(3, 9), st.integers(0, 2**32 - 1), st.sampled_from([1e-7, 1e-4, 1e-1]))
def test_properties(height, width, seed, epsilon):
    image = np.random.default_rng(seed).random((height, width, 3)) ** 3
    laplacian = fastsoft.matting_laplacian(image, epsilon=epsilon).toarray()
    np.testing.assert_array_equal(laplacian, laplacian.T)
    np.testing.assert_allclose(laplacian.sum(axis=1), 0, atol=1e-13)
    assert np.linalg.eigvalsh(laplacian)[0] > -1e-12
    # Adding a constant colour changes rounding only.
    shifted = fastsoft.matting_laplacian(image * 0.5 + 0.25, epsilon=epsilon).toarray()
    plain = fastsoft.matting_laplacian(image * 0.5, epsilon=epsilon).toarray()
    np.testing.assert_allclose(shifted, plain, atol=bound(image, epsilon))


def test_any_layout(rng, dtype):
    image = rng.random((11, 14, 3)).astype(dtype)
    expected = fastsoft.matting_laplacian(image)
    wide = np.repeat(np.repeat(image, 2, axis=0), 3, axis=1)[::2, ::3]
    flipped = image[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1]
    read_only = image.copy()
    read_only.setflags(write=False)
    for layout in (wide, flipped, np.asfortranarray(image), read_only):
        got = fastsoft.matting_laplacian(layout)
        np.testing.assert_array_equal(got.data, expected.data)


def test_same_bits_for_any_number_of_threads(rng, threads, dtype):
    image = rng.random((100, 300, 3)).astype(dtype)
    results = []
    for count in (1, 2, 5):
        threads(count)
        stencil = fastsoft.matting_laplacian(image, storage="stencil").weights
        results.append((fastsoft.matting_laplacian(image).data, stencil))
    for data, stencil in results[1:]:
        np.testing.assert_array_equal(data, results[0][0])
        np.testing.assert_array_equal(stencil, results[0][1])


# Tiles of the kernel are 8x32 pixels for radius 1, 8x16 above.
@pytest.mark.parametrize("shape", [(3, 3), (5, 7), (8, 32), (19, 65)])
@pytest.mark.parametrize("kind", ["laplacian", "affinity"])
def test_backends_agree(rng, backend, dtype, shape, kind):
    image = smooth_and_edgy(rng, *shape, dtype)
    function = getattr(fastsoft, f"matting_{kind}")
    exact = getattr(reference, f"matting_{kind}")(image, 1e-3) if shape[0] < 10 else None
    near = {"rtol": 0, "atol": bound(image, 1e-3) + parity("matting_laplacian", dtype)}
    expected = function(image, epsilon=1e-3)
    csr = backend.csr(function(backend.array(image), epsilon=1e-3))
    assert csr.dtype == dtype
    np.testing.assert_array_equal(csr.indptr, expected.indptr)
    np.testing.assert_array_equal(csr.indices, expected.indices)
    np.testing.assert_allclose(csr.data, expected.data, **near)
    stencil = function(backend.array(image), epsilon=1e-3, storage="stencil")
    weights = backend.numpy(stencil.weights)
    assert stencil.dtype == weights.dtype == dtype
    assert abs(fastsoft.StencilMatrix(weights).tocsr() - csr).max() == 0
    again = function(backend.array(image), epsilon=1e-3, storage="stencil").weights
    np.testing.assert_array_equal(backend.numpy(again), weights)
    if exact is not None:
        np.testing.assert_allclose(csr.toarray(), exact, **near)


@pytest.mark.parametrize(("radius", "shape"), [(2, (5, 6)), (2, (20, 37)), (3, (7, 8)), (3, (20, 37))])
def test_backends_agree_on_larger_windows(rng, backend, dtype, radius, shape):
    image = rng.random((*shape, 3)).astype(dtype)
    expected = fastsoft.matting_laplacian(image, epsilon=1e-3, radius=radius)
    csr = backend.csr(fastsoft.matting_laplacian(backend.array(image), epsilon=1e-3, radius=radius))
    np.testing.assert_array_equal(csr.indptr, expected.indptr)
    np.testing.assert_array_equal(csr.indices, expected.indices)
    # Entries and the number of terms of the diagonal grow with the window.
    atol = bound(image, 1e-3) + (2 * radius + 1) ** 2 * parity("matting_laplacian", dtype)
    np.testing.assert_allclose(csr.data, expected.data, rtol=0, atol=atol)


def test_backends_read_strided_and_offset_arrays(rng, backend, dtype):
    wide = rng.random((47, 60, 6)).astype(dtype)
    expected = fastsoft.matting_laplacian(wide[3::2, 1:50:3, 1::2], epsilon=1e-3)
    csr = backend.csr(fastsoft.matting_laplacian(backend.array(wide)[3::2, 1:50:3, 1::2], epsilon=1e-3))
    atol = bound(wide, 1e-3) + parity("matting_laplacian", dtype)
    np.testing.assert_allclose(csr.data, expected.data, rtol=0, atol=atol)


def test_backends_refuse_bad_input_with_the_same_words(rng, backend):
    image = rng.random((6, 7, 3))
    for bad, message in [
        (image[:2], "at least 3x3 pixels, got 2x7"),
        (image[..., :2], r"shape \(H, W, 3\), got \(6, 7, 2\)"),
        (image + 1, r"must lie in \[0, 1\], got values in \[1\.\d+, 1\.\d+\]"),
        (np.where(image > 0.5, np.nan, image), "must be finite"),
    ]:
        with pytest.raises(ValueError, match=message):
            fastsoft.matting_laplacian(backend.array(bad))
    with pytest.raises(TypeError, match="float32 or float64, got uint8"):
        fastsoft.matting_laplacian(backend.array((image * 255).astype(np.uint8)))


def test_bad_input_is_refused(rng):
    image = rng.random((6, 7, 3))
    for bad, message in [
        (image[:2], "at least 3x3 pixels, got 2x7"),
        (image[:, :1], "at least 3x3 pixels, got 6x1"),
        (image[:0], "at least 3x3"),
        (image[..., :2], r"shape \(H, W, 3\), got \(6, 7, 2\)"),
        (image + 1, r"must lie in \[0, 1\]"),
        (np.where(image > 0.5, np.nan, image), "must be finite"),
    ]:
        with pytest.raises(ValueError, match=message):
            fastsoft.matting_laplacian(bad)
        with pytest.raises(ValueError, match=message):
            fastsoft.matting_affinity(bad, storage="stencil")
    with pytest.raises(TypeError, match="float32 or float64, got uint8"):
        fastsoft.matting_laplacian((image * 255).astype(np.uint8))
    with pytest.raises(ValueError, match="epsilon must be above 0"):
        fastsoft.matting_laplacian(image, epsilon=0.0)
    with pytest.raises(ValueError, match=r"radius must be in 1\.\.3, got 4"):
        fastsoft.matting_laplacian(image, radius=4)
    with pytest.raises(ValueError, match="radius must be 1 for storage='stencil', got 2"):
        fastsoft.matting_laplacian(image, radius=2, storage="stencil")
    with pytest.raises(ValueError, match="at least 5x5"):
        fastsoft.matting_laplacian(image[:4], radius=2)
    with pytest.raises(ValueError, match="storage must be one of 'csr', 'stencil', got 'dense'"):
        fastsoft.matting_laplacian(image, storage="dense")
