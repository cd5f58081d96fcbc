# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest
from scipy import io

from fastsoft.semantic import compute_features, load_features, lowlevel_features, preprocess_features
from fastsoft.semantic.lowlevel import _cielab


def test_cielab_of_known_colours():
    colours = np.array([[[1, 1, 1], [0, 0, 0], [1, 0, 0], [0, 0, 1], [0.5, 0.5, 0.5]]], dtype=float)
    # CIELAB of sRGB primaries under D65, from the definition to two digits.
    expected = [[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20], [32.30, 79.19, -107.86], [53.39, 0, 0]]
    np.testing.assert_allclose(_cielab(colours)[0], expected, atol=0.02)


def test_lowlevel_features_tell_colour_texture_and_position_apart(rng):
    height, width = 60, 90
    image = np.full((height, width, 3), 0.5)
    image[:, :30] = (0.8, 0.2, 0.2)
    image[:, 60:] += rng.choice([-0.2, 0.2], (height, 30, 1))
    features = lowlevel_features(image)
    assert features.shape == (height, width, 8)
    assert features.dtype == np.float32
    groups = features[:, :, :3], features[:, :, 3:6], features[:, :, 6:]
    for group, deviation in zip(groups, (1.0, 0.15, 0.2), strict=True):
        np.testing.assert_allclose(group.mean(axis=(0, 1)), 0, atol=1e-5)
        assert np.sqrt(group.var(axis=(0, 1)).sum()) == pytest.approx(deviation, rel=0.001)
    left, middle, right = (features[20:40, c - 5 : c + 5].mean(axis=(0, 1)) for c in (15, 45, 75))
    assert np.linalg.norm((left - middle)[:3]) > 1
    assert np.linalg.norm((middle - right)[3:6]) > 0.18
    assert np.linalg.norm((left - middle)[3:6]) < 0.045
    np.testing.assert_allclose((right - middle)[6:], (middle - left)[6:], atol=1e-5)


def test_lowlevel_features_of_a_constant_image_are_position_alone():
    features = lowlevel_features(np.full((5, 7, 3), 0.3, dtype=np.float32))
    np.testing.assert_allclose(features[:, :, :6], 0, atol=1e-5)
    assert (np.diff(features[:, :, 6], axis=0) > 0).all()
    assert (np.diff(features[:, :, 7], axis=1) > 0).all()


@pytest.mark.parametrize("shape", [(5, 7), (60, 90), (415, 402)])
def test_lowlevel_features_are_computed_where_the_image_is(rng, dtype, device_backend, shape):
    # Texture at all scales, and the widths of the box filters of a larger picture, too.
    image = np.kron(rng.uniform(size=(*(-(-extent // 3) for extent in shape), 3)), np.ones((3, 3, 1)))
    image = np.clip(image[: shape[0], : shape[1]] + rng.normal(0, 0.05, (*shape, 3)), 0, 1).astype(dtype)
    found = device_backend.numpy(lowlevel_features(device_backend.array(image)))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, lowlevel_features(image), rtol=0, atol=1e-5)


def test_features_of_three_channels_are_taken_as_they_are(rng, dtype):
    image = rng.random((6, 8, 3))
    given = rng.random((6, 8, 3)).astype(np.float32)
    given.flags.writeable = False
    for layout in (given, np.asfortranarray(given)):
        values = compute_features(image, layout, dtype=dtype).values
        assert values.dtype == dtype
        np.testing.assert_array_equal(values, given)
    np.testing.assert_array_equal(compute_features(image, given[:, :, 0]).values[:, :, 0], given[:, :, 0])
    eight_bit = (given * 255).astype(np.uint8)
    np.testing.assert_allclose(compute_features(image, eight_bit).values, eight_bit / 255, atol=1e-7)


def test_bad_features_are_refused(rng):
    image = rng.random((6, 8, 3))
    with pytest.raises(ValueError, match="features must have the image's height and width 6x8, got 8x6"):
        compute_features(image, np.zeros((8, 6, 3)))
    with pytest.raises(ValueError, match=r"features must have shape \(H, W, C\), got \(6,\)"):
        compute_features(image, np.zeros(6))
    with pytest.raises(ValueError, match=r"got \(6, 8, 0\)"):
        compute_features(image, np.zeros((6, 8, 0)))
    with pytest.raises(ValueError, match=r"up to 3 channels must lie in \[0, 1\], got values in \[0, 2\]"):
        compute_features(image, np.stack([np.zeros((6, 8)), np.full((6, 8), 2)], axis=2).astype(float))
    with pytest.raises(ValueError, match="features must be finite, got 48 values"):
        compute_features(image, np.full((6, 8, 1), np.nan))
    with pytest.raises(TypeError, match="float32 or float64, got int64"):
        compute_features(image, np.zeros((6, 8, 3), dtype=int))
    with pytest.raises(ValueError, match="features must be 'embedded', 'lowlevel', 'hypercolumn:FILE'"):
        compute_features(image, "network")


def test_preprocessing_finds_the_channels_that_vary(rng, dtype):
    """Many noisy copies of three hidden channels: what comes out spans the hidden ones again."""
    height, width = 40, 50
    hidden = np.zeros((height, width, 3))
    hidden[:20, :, 0] = hidden[:, 25:, 1] = hidden[10:30, 10:40, 2] = 1
    hidden *= (3, 2, 1)
    mixing, _ = np.linalg.qr(rng.standard_normal((12, 3)))
    raw = hidden @ mixing.T + 0.01 * rng.standard_normal((height, width, 12))
    raw[5, 5, 0] = 1e6  # one pixel that is far off is cut
    image = hidden / 3
    values = preprocess_features(raw.astype(dtype), image, radius=1, epsilon=1e-4)
    assert values.shape == (height, width, 3)
    assert values.dtype == dtype
    for channel in range(3):
        assert values[:, :, channel].min() == 0
        assert values[:, :, channel].max() == 1
    design = np.concatenate([values.reshape(-1, 3), np.ones((height * width, 1))], axis=1)
    fit, *_ = np.linalg.lstsq(design, hidden.reshape(-1, 3), rcond=None)
    assert np.abs(design @ fit - hidden.reshape(-1, 3)).mean() < 0.05


def test_preprocessing_is_a_principal_component_analysis(rng):
    image = np.full((9, 11, 3), 0.5)
    raw = rng.standard_normal((9, 11, 5)).clip(-5, 5)
    values = preprocess_features(raw, image, radius=1, epsilon=1e-8)
    from fastsoft.ops.guided_filter import guided_filter

    rows = guided_filter(image, raw, radius=1, epsilon=1e-8).reshape(-1, 5)
    rows = rows - rows.mean(axis=0)
    _, _, basis = np.linalg.svd(rows, full_matrices=False)
    for channel in range(3):
        expected = rows @ basis[channel]
        expected *= np.sign(basis[channel][np.abs(basis[channel]).argmax()])
        expected = (expected - expected.min()) / np.ptp(expected)
        np.testing.assert_allclose(values[:, :, channel].ravel(), expected, atol=1e-9)


def test_common_stretch_keeps_proportions(rng, dtype):
    image = rng.random((20, 30, 3))
    raw = (rng.standard_normal((20, 30, 6)) * (1, 0.5, 0.1, 0.05, 0.05, 0.05)).astype(dtype)
    each = preprocess_features(raw, image)
    common = preprocess_features(raw, image, stretch="common")
    extents = np.ptp(common, axis=(0, 1))
    assert extents.max() == 1
    assert extents[2] < 0.5
    np.testing.assert_array_equal(common.min(axis=(0, 1)), 0)
    np.testing.assert_array_equal(each.max(axis=(0, 1)), 1)
    np.testing.assert_allclose(common / extents, each, atol=10 * np.finfo(dtype).eps)


def test_preprocessing_clips_before_it_filters(rng, dtype):
    image = rng.random((20, 30, 3))
    raw = 3 * rng.standard_normal((20, 30, 6)).astype(dtype)
    before = raw.copy()
    clipped = preprocess_features(raw.clip(-1.5, 1.5), image, clip=100.0)
    np.testing.assert_array_equal(preprocess_features(raw, image, clip=1.5), clipped)
    assert np.abs(preprocess_features(raw, image) - clipped).max() > 0.01
    np.testing.assert_array_equal(raw, before)


def test_preprocessing_has_the_same_bits_for_any_number_of_threads(rng, threads, dtype):
    image = rng.random((150, 140, 3))
    raw = rng.standard_normal((150, 140, 40)).astype(dtype)
    results = []
    for count in (1, 2, 3):
        threads(count)
        results.append(preprocess_features(raw, image))
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


def test_progress_of_preprocessing_rises_to_one(rng):
    seen = []
    preprocess_features(rng.random((60, 50, 8)), rng.random((60, 50, 3)), progress=seen.append)
    assert seen == sorted(seen)
    assert seen[0] == 0
    assert seen[-1] == 1


def test_preprocessing_of_constant_features_gives_zeros():
    values = preprocess_features(np.full((6, 7, 4), 3.7, dtype=np.float32), np.zeros((6, 7, 3), dtype=np.float32))
    np.testing.assert_array_equal(values, 0)


def test_files_of_features(rng, tmp_path):
    array = rng.random((4, 5, 6)).astype(np.float32)
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "b.npz", other=np.zeros(3), any_name=array)
    np.savez_compressed(tmp_path / "c.npz", features=array, second=np.zeros((4, 5, 6)))
    io.savemat(tmp_path / "d.mat", {"featureMap": array.astype(float)})
    for name in ("a.npy", "b.npz", "c.npz", "d.mat"):
        np.testing.assert_array_equal(load_features(tmp_path / name), array)


def test_bad_files_of_features_are_refused(rng, tmp_path):
    np.savez(tmp_path / "two.npz", x=np.zeros((2, 2, 3)), y=np.zeros((2, 2, 3)))
    np.save(tmp_path / "flat.npy", np.zeros((2, 2)))
    np.save(tmp_path / "object.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "cut.npy", np.zeros((20, 20, 3)))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "cut.npy").read_bytes()[:500])
    for name in ("text.mat", "text.npz", "text.npy"):
        (tmp_path / name).write_text("not an array, and long enough to be looked at " * 9)
    (tmp_path / "empty.npy").touch()
    for name, reason in [
        ("two.npz", r"must hold one array \(H, W, C\) or one called features, got x \(2, 2, 3\), y"),
        ("flat.npy", r"must hold one array .*, got array \(2, 2\)"),
        ("object.npy", "cannot read features from .*Object arrays cannot be loaded"),
        ("cut.npy", "cannot read features from"),
        ("text.mat", "cannot read features from"),
        ("text.npz", "cannot read features from"),
        ("text.npy", "cannot read features from"),
        ("empty.npy", "cannot read features from"),
        ("missing.npy", "missing.npy: no such file"),
        ("a.csv", r"must end in \.npy, \.npz or \.mat, got .*a\.csv"),
    ]:
        with pytest.raises(ValueError, match=reason):
            load_features(tmp_path / name)
