# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastsoft
from fastsoft import _native
from tests.reference import guided_filter as reference
from tests.tolerances import parity


def make(rng, shape, guide_channels, channels, dtype):
    guide = rng.random(shape if guide_channels == 1 else (*shape, guide_channels)).astype(dtype)
    source = rng.uniform(-5, 5, shape if channels is None else (*shape, channels)).astype(dtype)
    return guide, source


def tolerance(dtype, epsilon):
    # Window sums round a few times their 2 (2 radius + 1) terms of at most 5; the difference of means that is the
    # covariance keeps that error, which the division by sqrt(epsilon) then amplifies.
    return 5 * 10 * np.finfo(dtype).eps * (1 + 0.1 / np.sqrt(epsilon))


@pytest.mark.parametrize(
    ("shape", "radius"),
    [((1, 1), 2), ((1, 9), 1), ((9, 1), 3), ((2, 3), 1), ((5, 7), 2), ((6, 5), 20), ((12, 11), 0), ((101, 9), 3)],
)
@pytest.mark.parametrize("guide_channels", [1, 3])
@pytest.mark.parametrize("channels", [None, 1, 4, 7, 37])
def test_equals_the_definition(rng, shape, radius, guide_channels, channels, dtype):
    guide, source = make(rng, shape, guide_channels, channels, dtype)
    result = fastsoft.guided_filter(guide, source, radius=radius, epsilon=1e-2)
    assert result.dtype == dtype
    expected = reference.guided_filter(guide, source, radius, 1e-2)
    np.testing.assert_allclose(result, expected, rtol=0, atol=tolerance(dtype, 1e-2))


@pytest.mark.parametrize(("shape", "epsilon"), [((98, 25), 1e-7), ((25, 102), 1e-4)])
def test_equals_the_definition_across_tiles(rng, shape, epsilon, dtype):
    guide, source = make(rng, shape, 3, 3, dtype)
    guide[:15] = guide[0, 0]  # no variation at all: the covariance is singular but for epsilon
    result = fastsoft.guided_filter(guide, source, radius=4, epsilon=epsilon)
    expected = reference.guided_filter(guide, source, 4, epsilon)
    np.testing.assert_allclose(result, expected, rtol=0, atol=tolerance(dtype, epsilon))


def test_windows_larger_than_a_tile(rng, dtype):
    guide, source = make(rng, (150, 310), 3, 2, dtype)
    result = fastsoft.guided_filter(guide, source, radius=40, epsilon=0.1)

    def box(values):
        def along(axis, values):
            sums = np.concatenate([np.zeros_like(np.take(values, [0], axis)), values.cumsum(axis)], axis)
            n = values.shape[axis]
            low, high = np.maximum(np.arange(n) - 40, 0), np.minimum(np.arange(n) + 41, n)
            return np.take(sums, high, axis) - np.take(sums, low, axis)

        return along(1, along(0, values))

    guide, source = guide.astype(np.float64), source.astype(np.float64)
    count = box(np.ones((150, 310)))[:, :, None]
    mean = box(guide) / count
    outer = box((guide[..., :, None] * guide[..., None, :]).reshape(150, 310, 9)) / count
    covariance = outer.reshape(150, 310, 3, 3) - mean[..., :, None] * mean[..., None, :]
    cross = box((guide[..., :, None] * source[..., None, :]).reshape(150, 310, 6)) / count
    mean_source = box(source) / count
    cross = cross.reshape(150, 310, 3, 2) - mean[..., :, None] * mean_source[..., None, :]
    a = np.linalg.solve(covariance + 0.1 * np.eye(3), cross)
    b = mean_source - np.einsum("rci,rcik->rck", mean, a)
    mean_a = (box(a.reshape(150, 310, 6)) / count).reshape(150, 310, 3, 2)
    expected = np.einsum("rci,rcik->rck", guide, mean_a) + box(b) / count
    np.testing.assert_allclose(result, expected, rtol=0, atol=10 * tolerance(dtype, 0.1))


def test_float32_sums_do_not_drift(rng):
    # A bright quarter, then darkness: sums that add and subtract along the picture would carry the rounding errors of
    # 1e4 into the rest.
    guide = rng.random((700, 600, 3)).astype(np.float32)
    source = rng.random((700, 600, 2)).astype(np.float32)
    source[:350, :300] += 1e4
    single = fastsoft.guided_filter(guide, source, radius=5)
    double = fastsoft.guided_filter(guide.astype(np.float64), source.astype(np.float64), radius=5)
    dark = np.ones((700, 600), dtype=bool)
    dark[:360, :310] = False
    np.testing.assert_allclose(single[dark], double[dark], rtol=0, atol=tolerance(np.float32, 1e-2))
    np.testing.assert_allclose(single[:340, :290], double[:340, :290], rtol=3e-6)


@pytest.mark.parametrize("channels", [None, 3, 21])
@pytest.mark.parametrize("guide_channels", [1, 3])
def test_clipping_is_as_if_the_source_were_cut_before(rng, guide_channels, channels, dtype):
    guide, source = make(rng, (40, 50), guide_channels, channels, dtype)
    source[3, 4] = 1e6
    source[11, 30] = -1e9
    before = source.copy()
    for clip in (0.5, 4.0, 1e300):
        bound = min(clip, 1e10)
        np.testing.assert_array_equal(
            fastsoft.guided_filter(guide, source, clip=clip), fastsoft.guided_filter(guide, source.clip(-bound, bound))
        )
    np.testing.assert_array_equal(source, before)


def test_channels_do_not_influence_each_other(rng, dtype):
    guide, source = make(rng, (40, 50), 3, 35, dtype)
    together = fastsoft.guided_filter(guide, source, radius=3)
    for channel in (0, 15, 16, 34):
        alone = fastsoft.guided_filter(guide, source[:, :, channel], radius=3)
        np.testing.assert_allclose(together[:, :, channel], alone, rtol=0, atol=tolerance(dtype, 1e-2))


@settings(deadline=None, max_examples=25)
@given(
    st.integers(1, 40), st.integers(1, 40), st.integers(0, 12), st.sampled_from([1, 3]), st.floats(1e-6, 1),
    st.integers(0, 2**31),
)  # fmt: skip
def test_properties(height, width, radius, guide_channels, epsilon, seed):
    rng = np.random.default_rng(seed)
    guide, source = make(rng, (height, width), guide_channels, 2, np.float64)

    def run(source, guide=guide):
        return fastsoft.guided_filter(guide, source, radius=radius, epsilon=epsilon)

    near = {"rtol": 0, "atol": 10 * tolerance(np.float64, epsilon)}
    filtered = run(source)
    np.testing.assert_allclose(run(np.full_like(source, 3.5)), 3.5, **near)
    np.testing.assert_allclose(run(2 * source + 1), 2 * filtered + 1, **near)
    np.testing.assert_allclose(run(source[::-1], guide[::-1]), filtered[::-1], **near)
    np.testing.assert_allclose(run(source.swapaxes(0, 1), guide.swapaxes(0, 1)), filtered.swapaxes(0, 1), **near)
    if radius == 0:
        np.testing.assert_allclose(filtered, source, **near)


def test_strided_fortran_and_read_only_arrays(rng, dtype):
    guide, source = make(rng, (33, 27), 3, 20, dtype)
    expected = fastsoft.guided_filter(guide, source, radius=2)
    wide = np.zeros((66, 54, 40), dtype=dtype)
    wide[::2, ::2, ::2] = source
    planar = np.moveaxis(np.moveaxis(source, 2, 0).copy(), 0, 2)
    flipped = source[::-1, :, ::-1].copy()[::-1, :, ::-1]
    readonly = source.copy()
    readonly.setflags(write=False)
    for view in (np.asfortranarray(source), wide[::2, ::2, ::2], planar, flipped, readonly):
        np.testing.assert_array_equal(fastsoft.guided_filter(np.asfortranarray(guide), view, radius=2), expected)


def test_same_bits_for_any_number_of_threads(rng, threads, dtype):
    guide, source = make(rng, (211, 230), 3, 18, dtype)
    results = []
    for count in (1, 2, 5):
        threads(count)
        results.append(fastsoft.guided_filter(guide, source))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_progress_rises_to_one_and_can_cancel(rng):
    guide, source = make(rng, (300, 400), 3, 2, np.float32)
    seen = []
    fastsoft.guided_filter(guide, source, progress=seen.append)
    assert len(seen) > 2
    assert seen[0] == 0.0
    assert seen[-1] == 1.0
    assert seen == sorted(seen)

    def stop(fraction):
        if fraction > 0.3:
            raise fastsoft.Cancelled

    with pytest.raises(fastsoft.Cancelled):
        fastsoft.guided_filter(guide, source, progress=stop)


@pytest.mark.parametrize(
    ("shape", "radius"), [((1, 1), 2), ((1, 9), 1), ((5, 7), 2), ((6, 5), 20), ((12, 11), 0), ((70, 90), 7)]
)
@pytest.mark.parametrize(("guide_channels", "channels"), [(1, None), (3, 4)])
def test_backends_agree(rng, backend, dtype, shape, radius, guide_channels, channels):
    guide, source = make(rng, shape, guide_channels, channels, dtype)
    result = fastsoft.guided_filter(backend.array(guide), backend.array(source), radius=radius, epsilon=1e-2)
    found = backend.numpy(result)
    assert found.dtype == dtype
    expected = reference.guided_filter(guide, source, radius, 1e-2)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance(dtype, 1e-2))
    near = {"rtol": 0, "atol": parity("guided_filter", dtype)}
    np.testing.assert_allclose(found, fastsoft.guided_filter(guide, source, radius=radius, epsilon=1e-2), **near)
    again = fastsoft.guided_filter(backend.array(guide), backend.array(source), radius=radius, epsilon=1e-2)
    np.testing.assert_array_equal(backend.numpy(again), found)


def test_backends_read_strided_and_offset_arrays(rng, backend, dtype):
    guide, source = make(rng, (60, 70), 3, 20, dtype)
    expected = fastsoft.guided_filter(guide[5:, ::2], source[5:, ::2, 1::3], radius=3, clip=2.0)
    found = fastsoft.guided_filter(
        backend.array(guide)[5:, ::2], backend.array(source)[5:, ::2, 1::3], radius=3, clip=2.0
    )
    np.testing.assert_allclose(backend.numpy(found), expected, rtol=0, atol=parity("guided_filter", dtype))


def test_many_channels_on_a_device_are_filtered_in_portions(rng, device_backend):
    guide, source = make(rng, (1100, 1000), 1, 20, np.float32)  # 17.6 MB per channel and 256 MB at a time
    seen = []
    found = fastsoft.guided_filter(device_backend.array(guide), device_backend.array(source), progress=seen.append)
    assert len(seen) > 2
    assert (seen[0], seen[-1]) == (0.0, 1.0)
    assert seen == sorted(seen)
    expected = fastsoft.guided_filter(guide, source)
    atol = parity("guided_filter", np.float32)
    np.testing.assert_allclose(device_backend.numpy(found), expected, rtol=0, atol=atol)


def test_interrupted_calls_leave_no_memory_behind(rng, device_backend):
    guide, source = (device_backend.array(array) for array in make(rng, (1000, 1000), 3, 20, np.float64))
    fastsoft.guided_filter(guide, source)

    def stop(fraction):
        if fraction > 0.3:
            raise fastsoft.Cancelled

    def free_bytes():
        device_backend.synchronize()
        return _native.cuda().installation()["devices"][0]["free_bytes"]

    before = free_bytes()
    for _ in range(5):
        with pytest.raises(fastsoft.Cancelled):
            fastsoft.guided_filter(guide, source, progress=stop)
    # The result of each call, 160 MB, stays with its library; a workspace has 336 MB.
    assert before - free_bytes() < 5 * 200e6


def test_backends_refuse_bad_input_with_the_same_words(rng, backend):
    guide, source = make(rng, (6, 8), 3, 5, np.float64)
    for bad in (np.nan, -np.inf):
        broken = source.copy()
        broken[3, 4, 2] = bad
        with pytest.raises(ValueError, match="source must be finite, got 1 values"):
            fastsoft.guided_filter(backend.array(guide), backend.array(broken), clip=2.0)
        broken = guide.copy()
        broken[5, 7, 1] = bad
        with pytest.raises(ValueError, match="guide must be finite"):
            fastsoft.guided_filter(backend.array(broken), backend.array(source))
    with pytest.raises(TypeError, match="guide must have the dtype of source, float64, got float32"):
        fastsoft.guided_filter(backend.array(guide.astype(np.float32)), backend.array(source))
    with pytest.raises(ValueError, match=r"height and width of source, \(6, 8\), got \(8, 6\)"):
        fastsoft.guided_filter(backend.array(guide.swapaxes(0, 1)), backend.array(source))


def test_arrays_on_several_devices_are_refused(rng, device_backend):
    guide, source = make(rng, (6, 8), 3, 5, np.float64)
    with pytest.raises(TypeError, match="arrays of a call must be on one device, got source on cuda:0, guide on cpu"):
        fastsoft.guided_filter(guide, device_backend.array(source))


def test_bad_input_is_refused(rng):
    guide, source = make(rng, (6, 8), 3, 5, np.float64)
    for bad in (np.nan, np.inf, -np.inf):
        broken = source.copy()
        broken[3, 4, 2] = bad
        for clip in (None, 2.0):
            with pytest.raises(ValueError, match="source must be finite, got 1 values"):
                fastsoft.guided_filter(guide, broken, clip=clip)
        broken = guide.copy()
        broken[5, 7, 1] = bad
        with pytest.raises(ValueError, match="guide must be finite"):
            fastsoft.guided_filter(broken, source)
    with pytest.raises(TypeError, match="guide must have the dtype of source, float64, got float32"):
        fastsoft.guided_filter(guide.astype(np.float32), source)
    with pytest.raises(TypeError, match="source must have dtype float32 or float64"):
        fastsoft.guided_filter(guide, source.astype(int))
    with pytest.raises(ValueError, match=r"guide must have shape \(H, W\) or \(H, W, 3\), got \(6, 8, 4\)"):
        fastsoft.guided_filter(np.zeros((6, 8, 4)), source)
    with pytest.raises(ValueError, match=r"height and width of source, \(6, 8\), got \(8, 6\)"):
        fastsoft.guided_filter(guide.swapaxes(0, 1), source)
    with pytest.raises(ValueError, match="source must not be empty"):
        fastsoft.guided_filter(guide, source[:, :, :0])
    with pytest.raises(ValueError, match="radius must be at least 0, got -1"):
        fastsoft.guided_filter(guide, source, radius=-1)
    with pytest.raises(TypeError, match=r"radius must be an integer, got 2\.5"):
        fastsoft.guided_filter(guide, source, radius=2.5)
    with pytest.raises(ValueError, match="epsilon must be above 0, got 0"):
        fastsoft.guided_filter(guide, source, epsilon=0)
    with pytest.raises(ValueError, match="clip must be above 0, got -5"):
        fastsoft.guided_filter(guide, source, clip=-5)
    with pytest.raises(TypeError, match="clip must be a number, got 'low'"):
        fastsoft.guided_filter(guide, source, clip="low")
    fastsoft.guided_filter(guide, source, radius=2**70)
