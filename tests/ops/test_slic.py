# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

import fastsoft
from tests.reference import slic as reference
from tests.tolerances import SLIC_LABELS


def smooth_image(rng, height, width, dtype=np.float64, sigma=2.0):
    """Blobs of colour with noise, in [0, 1]."""
    image = ndimage.gaussian_filter(rng.standard_normal((height, width, 3)), (sigma, sigma, 0))
    image = 0.5 + 0.2 * image / image.std() + 0.01 * rng.standard_normal(image.shape)
    return np.clip(image, 0, 1).astype(dtype)


def assert_dense_and_connected(labels):
    assert labels.dtype == np.int32
    count = labels.max() + 1
    _, first = np.unique(labels, return_index=True)
    assert first.size == count
    assert labels.min() == 0
    assert np.all(np.diff(first) > 0), "labels must be numbered in the order in which they are met"
    for label, window in enumerate(ndimage.find_objects(labels + 1)):
        assert ndimage.label(labels[window] == label)[1] == 1


CASES = [
    ((1, 1), 1),
    ((1, 17), 5),
    ((17, 1), 4),
    ((2, 3), 6),
    ((5, 7), 8),
    ((23, 31), 1),
    ((31, 50), 30),
    ((50, 31), 200),
    ((40, 47), 23),
]


@pytest.mark.parametrize(("shape", "n_segments"), CASES)
@pytest.mark.parametrize("method", ["slic", "slic0"])
@pytest.mark.parametrize("compactness", [1e-20, 10.0])
def test_equals_the_definition(rng, shape, n_segments, method, compactness):
    image = smooth_image(rng, *shape)
    options = {"method": method, "compactness": compactness, "max_iterations": 4}
    for connected in (False, True):
        labels = fastsoft.slic(image, n_segments, enforce_connectivity=connected, **options)
        expected = reference.slic(image, n_segments, enforce_connectivity=connected, **options)
        np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize("method", ["slic", "slic0"])
def test_float32_gives_nearly_the_same_labels(rng, method):
    image = smooth_image(rng, 90, 120)
    double = fastsoft.slic(image, 100, method=method, enforce_connectivity=False)
    single = fastsoft.slic(image.astype(np.float32), 100, method=method, enforce_connectivity=False)
    # Only pixels that lie between two clusters to within rounding may fall to the other one.
    assert np.mean(double != single) < 1e-3


def test_lab_conversion_reaches_the_accuracy_of_float64(rng):
    # Three pixels in a row and two seeds on the outer ones: the middle one goes to the nearer colour. The last bits
    # decide when it is placed at equal distances but for 1e-10.
    for _ in range(200):
        first, last = rng.random(3), rng.random(3)
        low, high = 0.0, 1.0
        for _ in range(50):
            middle = (low + high) / 2
            lab = reference.srgb_to_lab([[first, first + middle * (last - first), last]])[0]
            nearer_first = np.sum((lab[1] - lab[0]) ** 2) < np.sum((lab[1] - lab[2]) ** 2)
            low, high = (middle, high) if nearer_first else (low, middle)
        for share, expected in ((low - 1e-10, 0), (high + 1e-10, 1)):
            image = np.stack([first, first + share * (last - first), last])[None].clip(0, 1)
            labels = fastsoft.slic(image[:, [0, 0, 1, 2, 2]], 2, method="slic", compactness=0, max_iterations=1)
            assert labels[0, 2] == expected


@settings(deadline=None, max_examples=30)
@given(
    st.integers(1, 60), st.integers(1, 60), st.floats(0, 1), st.sampled_from(["slic", "slic0"]),
    st.sampled_from([0.0, 1.0, 40.0]), st.booleans(), st.integers(0, 2**31),
)  # fmt: skip
def test_labels_are_connected_and_dense(height, width, share, method, compactness, noise, seed):
    rng = np.random.default_rng(seed)
    image = rng.random((height, width, 3)) if noise else smooth_image(rng, height, width)
    n_segments = 1 + int(share * (height * width - 1))
    labels = fastsoft.slic(image, n_segments, method=method, compactness=compactness)
    assert_dense_and_connected(labels)
    sizes = np.bincount(labels.ravel())
    assert labels.max() + 1 <= 4 * n_segments + 1
    if sizes.size > 1:
        assert sizes.min() >= height * width / n_segments / 4 * 0.5


@pytest.mark.parametrize("method", ["slic", "slic0"])
@pytest.mark.parametrize("compactness", [1e-20, 10.0])
def test_constant_image_gives_a_regular_grid(method, compactness, dtype):
    image = np.full((60, 90, 3), 0.3, dtype=dtype)
    labels = fastsoft.slic(image, 54, method=method, compactness=compactness)
    row, col = np.mgrid[:60, :90]
    np.testing.assert_array_equal(np.bincount(labels.ravel()).size, 54)
    expected = row // 10 * 9 + col // 10
    # Pixels in the middle between two centres may fall to either.
    inner = ((row % 10) % 9 != 0) & ((col % 10) % 9 != 0)
    np.testing.assert_array_equal(labels[inner], expected[inner])


@pytest.mark.parametrize("method", ["slic", "slic0"])
@pytest.mark.parametrize("compactness", [1e-20, 10.0])
def test_two_colours_are_never_mixed(method, compactness, dtype):
    row, col = np.mgrid[:64, :96]
    inside = (row - 30) ** 2 + (col - 50) ** 2 < 400
    image = np.where(inside[..., None], [0.9, 0.2, 0.1], [0.1, 0.3, 0.8]).astype(dtype)
    labels = fastsoft.slic(image, 60, method=method, compactness=compactness)
    assert_dense_and_connected(labels)
    mixed = set(labels[inside]) & set(labels[~inside])
    # What is too small to be a segment joins a neighbour, whatever its colour.
    assert sum(min(np.sum(labels[inside] == k), np.sum(labels[~inside] == k)) for k in mixed) <= 0.01 * inside.size
    assert 40 <= labels.max() + 1 <= 80


def test_segments_follow_edges_on_a_photo(golden):
    image = golden["image"]
    height, width, _ = image.shape
    for method in ("slic", "slic0"):
        labels = fastsoft.slic(image, 300, method=method)
        assert_dense_and_connected(labels)
        assert 0.7 * 300 <= labels.max() + 1 <= 1.3 * 300
        grid = np.arange(height)[:, None] * 17 // height * 17 + np.arange(width) * 17 // width
        within = [np.mean((image - means(image, parts)[parts]) ** 2) for parts in (labels, grid)]
        assert within[0] < 0.6 * within[1]


def means(image, labels):
    count = np.bincount(labels.ravel())
    return np.stack([np.bincount(labels.ravel(), plane.ravel()) / count for plane in np.moveaxis(image, 2, 0)], 1)


def test_strided_fortran_and_read_only_images(rng, dtype):
    image = smooth_image(rng, 33, 47, dtype)
    expected = fastsoft.slic(image, 40)
    wide = np.zeros((66, 94, 6), dtype=dtype)
    wide[::2, ::2, ::2] = image
    readonly = image.copy()
    readonly.setflags(write=False)
    flipped = image[::-1, ::-1].copy()[::-1, ::-1]
    for view in (np.asfortranarray(image), wide[::2, ::2, ::2], readonly, flipped):
        np.testing.assert_array_equal(fastsoft.slic(view, 40), expected)


def test_same_labels_for_any_number_of_threads(rng, threads, dtype):
    image = smooth_image(rng, 211, 230, dtype)
    results = []
    for count in (1, 2, 5):
        threads(count)
        results.append(fastsoft.slic(image, 400))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_progress_rises_to_one_and_can_cancel(rng):
    image = smooth_image(rng, 60, 80)
    seen = []
    fastsoft.slic(image, 50, progress=seen.append)
    assert len(seen) >= 10
    assert seen[-1] == 1.0
    assert seen == sorted(seen)

    def stop(fraction):
        raise fastsoft.Cancelled

    with pytest.raises(fastsoft.Cancelled):
        fastsoft.slic(image, 50, progress=stop)


# Tiles of the kernels are 16x32; a window has more than one part where cells are long.
@pytest.mark.parametrize(
    ("shape", "n_segments"),
    [((1, 1), 1), ((1, 40), 7), ((5, 7), 8), ((33, 65), 1), ((60, 83), 50), ((130, 170), 4), ((90, 120), 2000)],
)
@pytest.mark.parametrize("method", ["slic", "slic0"])
@pytest.mark.parametrize("connected", [False, True])
def test_backends_agree(rng, backend, dtype, shape, n_segments, method, connected):
    image = smooth_image(rng, *shape, dtype)
    options = {"method": method, "max_iterations": 5, "enforce_connectivity": connected}
    result = backend.numpy(fastsoft.slic(backend.array(image), n_segments, **options))
    assert result.shape == shape
    assert result.dtype == np.int32
    assert result.flags.c_contiguous
    if connected:
        assert_dense_and_connected(result)
    expected = fastsoft.slic(image, n_segments, **options)
    # A pixel that changes sides may cut off or join a piece, which moves the numbers of those after it: compare which
    # pixels are together.
    assert share_apart(result, expected) <= SLIC_LABELS[str(dtype)]
    again = fastsoft.slic(backend.array(image), n_segments, **options)
    np.testing.assert_array_equal(backend.numpy(again), result)


def share_apart(a, b):
    """Return the share of pixels outside of the largest common part of each label of `a` with one of `b`."""
    pairs, counts = np.unique(np.stack([a.ravel(), b.ravel()]), axis=1, return_counts=True)
    largest = np.zeros(a.max() + 1)
    np.maximum.at(largest, pairs[0], counts)
    return 1 - largest.sum() / a.size


@pytest.mark.parametrize(("shape", "n_segments"), [((1, 40), 7), ((40, 1), 9), ((37, 70), 60), ((66, 97), 8)])
@pytest.mark.parametrize("noise", [0.02, 0.5])
def test_backends_connect_clusters_as_the_definition_says(rng, backend, shape, n_segments, noise):
    image = (smooth_image(rng, *shape) + noise * rng.standard_normal((*shape, 3))).clip(0, 1)
    options = {"method": "slic", "compactness": 1.0, "max_iterations": 3}
    clusters = backend.numpy(fastsoft.slic(backend.array(image), n_segments, enforce_connectivity=False, **options))
    np.testing.assert_array_equal(clusters, reference.number_densely(clusters))
    cell = reference.seed_positions(reference.srgb_to_lab(image), n_segments)[1]
    found = fastsoft.slic(backend.array(image), n_segments, **options)
    np.testing.assert_array_equal(backend.numpy(found), reference.connect(clusters, cell[0] * cell[1] / 4))


def test_backends_read_strided_and_offset_arrays(rng, backend, dtype):
    wide = smooth_image(rng, 70, 120, dtype)
    wide = np.concatenate([wide, wide], axis=2)
    image = np.ascontiguousarray(wide[3::2, 5:105, 1:4])
    expected = fastsoft.slic(backend.array(image), 30)
    found = fastsoft.slic(backend.array(wide)[3::2, 5:105, 1:4], 30)
    np.testing.assert_array_equal(backend.numpy(found), backend.numpy(expected))
    planar = backend.array(np.moveaxis(np.moveaxis(image, 2, 0).copy(), 0, 2))
    np.testing.assert_array_equal(backend.numpy(fastsoft.slic(planar, 30)), backend.numpy(expected))


def test_backends_refuse_bad_input_with_the_same_words(backend):
    image = np.full((6, 8, 3), 0.5)
    with pytest.raises(ValueError, match=r"at most the number of pixels, 6x8 = 48, got 49"):
        fastsoft.slic(backend.array(image), 49)
    with pytest.raises(ValueError, match=r"image must have shape \(H, W, 3\), got \(6, 8\)"):
        fastsoft.slic(backend.array(image[:, :, 0]), 4)
    with pytest.raises(ValueError, match=r"image must lie in \[0, 1\], got values in \[127.5, 127.5\]"):
        fastsoft.slic(backend.array(image * 255), 4)
    image[3, 3, 1] = np.nan
    with pytest.raises(ValueError, match="image must be finite, got 1 values"):
        fastsoft.slic(backend.array(image), 4)
    with pytest.raises(TypeError, match="image must have dtype float32 or float64, got uint8"):
        fastsoft.slic(backend.array(np.zeros((4, 4, 3), dtype=np.uint8)), 4)


def test_backends_can_be_cancelled(rng, backend):
    image = backend.array(smooth_image(rng, 60, 80))
    seen = []
    fastsoft.slic(image, 50, progress=seen.append)
    assert len(seen) >= 10
    assert seen[-1] == 1.0
    assert seen == sorted(seen)

    def stop(fraction):
        if fraction > 0.5:
            raise fastsoft.Cancelled

    with pytest.raises(fastsoft.Cancelled):
        fastsoft.slic(image, 50, progress=stop)


def test_bad_input_is_refused():
    image = np.full((6, 8, 3), 0.5)
    with pytest.raises(ValueError, match=r"at most the number of pixels, 6x8 = 48, got 49"):
        fastsoft.slic(image, 49)
    with pytest.raises(ValueError, match="n_segments must be at least 1, got 0"):
        fastsoft.slic(image, 0)
    with pytest.raises(ValueError, match="method must be one of 'slic0', 'slic', got 'mslic'"):
        fastsoft.slic(image, 4, method="mslic")
    with pytest.raises(ValueError, match="compactness must be at least 0, got -1"):
        fastsoft.slic(image, 4, compactness=-1)
    with pytest.raises(ValueError, match="max_iterations must be at least 1, got 0"):
        fastsoft.slic(image, 4, max_iterations=0)
    with pytest.raises(ValueError, match=r"image must have shape \(H, W, 3\), got \(6, 8\)"):
        fastsoft.slic(image[:, :, 0], 4)
    with pytest.raises(ValueError, match=r"image must lie in \[0, 1\]"):
        fastsoft.slic(image * 255, 4)
    with pytest.raises(ValueError, match="image must be at least 1x1"):
        fastsoft.slic(image[:0], 4)
    image[3, 3, 1] = np.nan
    with pytest.raises(ValueError, match="image must be finite"):
        fastsoft.slic(image, 4)
