# SPDX-License-Identifier: MIT
from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import fastsoft
from tests.reference import principal_components as reference

EPS64 = np.finfo(np.float64).eps


def cloud(rng, n, channels, dtype=np.float64, offset=0.0):
    """Points whose principal directions are known to be apart: standard deviations fall by 0.8 each, down to 0.01."""
    directions, _ = np.linalg.qr(rng.standard_normal((channels, channels)))
    deviations = np.maximum(0.8 ** np.arange(channels), 0.01)
    return (rng.standard_normal((n, channels)) * deviations @ directions.T + offset).astype(dtype)


def on_numpy(backend, result):
    """Return a result of a backend with NumPy's arrays."""
    names = ("scores", "mean", "basis", "variances", "low", "high")
    return dataclasses.replace(result, **{name: backend.numpy(getattr(result, name)) for name in names})


def check_against_reference(values, n, clip=None, offset=0.0, backend=None):
    """Compare with the definition; all directions that are compared must be apart from the others.

    The covariance is summed in float64 with errors of about sqrt(N) eps of its largest eigenvalue, the mean with eps of
    the offset; an error turns a direction by itself / the gap to the next eigenvalue. Scores are rounded to the dtype.
    """
    if backend is None:
        result = fastsoft.principal_components(values, n, clip=clip)
    else:
        result = on_numpy(backend, fastsoft.principal_components(backend.array(values), n, clip=clip))
    rows = values.reshape(-1, values.shape[-1])
    scores, mean, basis, variances = reference.principal_components(rows, n, clip)
    every = reference.principal_components(rows, rows.shape[1], clip)[3]
    gaps = -np.diff(np.append(every, 0))
    gap = min(gaps[: min(n, len(gaps) - 1)], default=every[0])
    turn = 100 * EPS64 * every[0] / gap
    size = np.abs(rows - mean).max() * np.sqrt(rows.shape[1])
    np.testing.assert_allclose(result.mean, mean, rtol=0, atol=100 * EPS64 * max(abs(offset), size))
    np.testing.assert_allclose(result.basis, basis, rtol=0, atol=turn)
    np.testing.assert_allclose(result.variances, variances, rtol=0, atol=100 * EPS64 * every[0])
    rounding = np.finfo(values.dtype).eps + turn
    np.testing.assert_allclose(
        result.scores.reshape(-1, n), scores, rtol=0, atol=size * rounding + 100 * EPS64 * abs(offset)
    )
    assert result.total_variance == pytest.approx(every.sum(), rel=1e-12)
    flat = result.scores.reshape(-1, n)
    np.testing.assert_array_equal(result.low, flat.min(axis=0))
    np.testing.assert_array_equal(result.high, flat.max(axis=0))
    assert result.scores.dtype == values.dtype
    assert result.scores.shape == (*values.shape[:-1], n)
    assert result.mean.dtype == result.basis.dtype == result.variances.dtype == np.float64
    return result


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7, 8, 9, 16, 24, 25, 33, 64, 100, 128, 200])
@pytest.mark.parametrize("n", [1, 3])
def test_equals_the_definition(rng, channels, n, dtype):
    check_against_reference(cloud(rng, 701, channels, dtype), min(n, channels))


@pytest.mark.parametrize("n_points", [2, 3, 31, 32, 33, 127, 128, 129, 8191, 8193, 20000])
def test_equals_the_definition_across_blocks(rng, n_points, dtype):
    # The mean wanders along the picture, so that merging blocks is put to the test.
    values = cloud(rng, n_points, 6) + np.linspace(0, 3, n_points)[:, None] ** np.arange(6)
    check_against_reference(values.astype(dtype), 1 if n_points < 4 else 3)


@pytest.mark.parametrize("n", [1, 2, 8, 9, 17, 20])
def test_any_number_of_components(rng, n, dtype):
    check_against_reference(cloud(rng, 500, 20, dtype), n)


def test_shape_of_a_picture(rng, dtype):
    values = cloud(rng, 19 * 23, 5, dtype)
    flat = fastsoft.principal_components(values, 2)
    picture = check_against_reference(values.reshape(19, 23, 5), 2)
    np.testing.assert_array_equal(picture.scores, flat.scores.reshape(19, 23, 2))
    with pytest.raises(dataclasses.FrozenInstanceError):
        picture.low = 0.0


@pytest.mark.parametrize("offset", [1e3, -1e6, 1e9])
def test_a_mean_far_from_zero_costs_no_digits(rng, offset):
    check_against_reference(cloud(rng, 3000, 5, offset=offset), 3, offset=offset)


def test_float32_is_summed_in_float64(rng):
    """Beside a channel 1e4 times as wide, float32 sums would lose the others altogether."""
    values = (cloud(rng, 5000, 6) * (1e4, 1, 1, 1, 1, 1)).astype(np.float32)
    result = fastsoft.principal_components(values, 3)
    _, _, basis, variances = reference.principal_components(values, 3)
    np.testing.assert_allclose(result.basis, basis, atol=1e-6)
    np.testing.assert_allclose(result.variances, variances, rtol=1e-6)


@pytest.mark.parametrize("clip", [0.5, 1.25, 1e30, 1e300])
def test_clipping_is_as_if_the_values_were_cut_before(rng, clip, dtype):
    values = cloud(rng, 600, 5, dtype)
    values[7] = (1e6, -1e6, 3e5, 0, 2)
    before = values.copy()
    result = check_against_reference(values, 2, clip=clip) if clip < 2 else None
    cut = fastsoft.principal_components(values.clip(-min(clip, 1e7), min(clip, 1e7)), 2)
    result = result or fastsoft.principal_components(values, 2, clip=clip)
    np.testing.assert_array_equal(values, before)
    np.testing.assert_array_equal(result.scores, cut.scores)
    np.testing.assert_array_equal(result.basis, cut.basis)


def test_known_directions(dtype):
    """Points on the axes of an ellipse that is turned by 30 degrees."""
    angle = np.pi / 6
    axes = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    values = np.array([[4.0, 0], [-4, 0], [0, 1], [0, -1]]) @ axes + (10, -7)
    result = fastsoft.principal_components(values.astype(dtype), 2)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(result.mean, (10, -7), rtol=4 * eps)
    np.testing.assert_allclose(result.basis, axes.T, atol=20 * eps)
    np.testing.assert_allclose(result.scores, [[4, 0], [-4, 0], [0, 1], [0, -1]], atol=40 * eps)
    np.testing.assert_allclose(result.variances, [8, 0.5], rtol=40 * eps)
    assert result.total_variance == pytest.approx(8.5, rel=40 * float(eps))


def test_sign_of_equal_loadings_is_that_of_the_first(rng, dtype):
    for _ in range(20):
        t = rng.standard_normal(300).astype(dtype)
        for pattern in ([1, -1], [-1, 1], [-1, -1, 1], [0, -1, 0, 1, -1]):
            values = t[:, None] * np.array(pattern, dtype=dtype)
            basis = fastsoft.principal_components(values, 1).basis[:, 0]
            first = np.flatnonzero(pattern)[0]
            np.testing.assert_allclose(
                basis, np.array(pattern) * np.sign(pattern[first]) / np.linalg.norm(pattern), atol=1e-12
            )
        # All the same for minus the values.
        values = cloud(rng, 300, 6, dtype)
        one, other = (fastsoft.principal_components(v, 4) for v in (values, -values))
        np.testing.assert_allclose(one.basis, other.basis, atol=1e-9)
        for k in range(4):
            assert one.basis[np.abs(one.basis[:, k]).argmax(), k] > 0


@pytest.mark.parametrize("value", [0.0, 0.1, -3.7, 1e-30, 1e30])
@pytest.mark.parametrize("shape", [(1, 4), (130, 4), (5, 7, 9), (150, 100, 3)])
def test_constant_input_has_no_components(value, shape, dtype):
    values = np.full(shape, value, dtype=dtype)
    values[..., 1] *= 2
    result = fastsoft.principal_components(values, 3)
    np.testing.assert_array_equal(result.scores, 0)
    np.testing.assert_array_equal(result.variances, 0)
    np.testing.assert_array_equal(result.low, 0)
    np.testing.assert_array_equal(result.high, 0)
    np.testing.assert_array_equal(result.mean, values.reshape(-1, shape[-1])[0].astype(np.float64))
    np.testing.assert_array_equal(result.basis, np.eye(shape[-1])[:, :3])
    assert result.total_variance == 0


@pytest.mark.parametrize("rank", [1, 2, 5])
@pytest.mark.parametrize(("n_points", "channels"), [(400, 8), (9000, 40)])
def test_components_beyond_the_rank_are_zero(rng, rank, n_points, channels):
    values = cloud(rng, n_points, rank) @ rng.standard_normal((rank, channels)) + 2.5
    result = fastsoft.principal_components(values, 7)
    _, _, basis, variances = reference.principal_components(values, rank)
    np.testing.assert_allclose(result.variances[:rank], variances, rtol=1e-10)
    np.testing.assert_allclose(result.basis[:, :rank], basis, atol=1e-10)
    np.testing.assert_array_equal(result.variances[rank:], 0)
    np.testing.assert_array_equal(result.scores[:, rank:], 0)
    np.testing.assert_allclose(result.basis.T @ result.basis, np.eye(7), atol=1e-13)
    # Completed by the channel that lies farthest from what is there.
    for k in range(rank, 7):
        missing = np.eye(channels) - result.basis[:, :k] @ result.basis[:, :k].T
        channel = np.diag(missing).argmax()
        np.testing.assert_allclose(result.basis[:, k], missing[channel] / np.linalg.norm(missing[channel]), atol=1e-12)


def test_fewer_points_than_channels(rng, dtype):
    values = rng.standard_normal((4, 30)).astype(dtype)
    result = fastsoft.principal_components(values, 6)
    assert np.count_nonzero(result.variances) == 3
    np.testing.assert_allclose(
        result.scores @ result.basis.T + result.mean, values, atol=20 * np.finfo(dtype).eps * np.abs(values).max()
    )
    one = fastsoft.principal_components(values[:1], 2)
    np.testing.assert_array_equal(one.mean, values[0])
    np.testing.assert_array_equal(one.scores, 0)


def test_repeated_variances_span_the_space(dtype):
    """A variance that occurs twice: the basis is open, the plane is not, and it is the same every time."""
    values = np.array([[3, 0, 0], [-3, 0, 0], [0, 3, 0], [0, -3, 0], [0, 0, 1], [0, 0, -1]], dtype=dtype)
    result = fastsoft.principal_components(values, 3)
    np.testing.assert_allclose(result.variances, [3, 3, 1 / 3], rtol=1e-15)
    np.testing.assert_allclose(result.basis[:, :2] @ result.basis[:, :2].T, np.diag([1, 1, 0]), atol=1e-15)
    np.testing.assert_allclose(result.basis[:, 2], [0, 0, 1], atol=1e-15)
    again = fastsoft.principal_components(values, 3)
    np.testing.assert_array_equal(result.basis, again.basis)


@given(
    n=st.integers(1, 300),
    channels=st.integers(1, 40),
    decimals=st.integers(0, 3),
    scale=st.floats(1e-3, 1e3),
    single=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_properties(n, channels, decimals, scale, single, seed):
    rng = np.random.default_rng(seed)
    dtype = np.float32 if single else np.float64
    values = (rng.standard_normal((n, channels)).round(decimals) * scale).astype(dtype)
    every = fastsoft.principal_components(values, channels)
    exact = values.astype(np.float64) - values.mean(axis=0, dtype=np.float64)
    total = (exact**2).sum() / n
    size = np.abs(exact).max() * np.sqrt(channels) + np.abs(values).max()
    eps = np.finfo(dtype).eps
    assert every.total_variance == pytest.approx(total, rel=1e-12)
    assert every.variances.sum() == pytest.approx(total, rel=1e-12)
    assert (np.diff(every.variances) <= 0).all()
    np.testing.assert_allclose(every.basis.T @ every.basis, np.eye(channels), atol=1e-12)
    # What is cut off as rounding is at most the root of C eps of a deviation; all else is a rotation.
    lost = np.sqrt(n * channels * EPS64 * total)
    np.testing.assert_allclose(every.scores @ every.basis.T + every.mean, values, atol=20 * eps * size + lost)
    scores = every.scores.astype(np.float64)
    np.testing.assert_allclose(
        scores.T @ scores / n, np.diag(every.variances), atol=(20 * eps + 100 * EPS64) * size * np.sqrt(total)
    )
    # The first components do not depend on how many are asked for.
    some = fastsoft.principal_components(values, (channels + 1) // 2)
    np.testing.assert_array_equal(some.scores, every.scores[:, : (channels + 1) // 2])


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(20, 500), channels=st.integers(2, 12))
def test_turning_the_values_turns_the_basis(seed, n, channels):
    rng = np.random.default_rng(seed)
    values = cloud(rng, n, channels)
    result = fastsoft.principal_components(values, 1)
    assume(channels == 1 or result.variances[0] > 1.05 * np.sort(np.linalg.eigvalsh(np.cov(values.T, bias=True)))[-2])
    rotation, _ = np.linalg.qr(rng.standard_normal((channels, channels)))
    turned = fastsoft.principal_components(values @ rotation + 7, 1)
    np.testing.assert_allclose(turned.variances, result.variances, rtol=1e-12)
    np.testing.assert_allclose(np.abs(turned.scores), np.abs(result.scores), atol=1e-11)


def test_same_bits_for_any_number_of_threads(rng, threads, dtype):
    values = cloud(rng, 60001, 37, dtype)
    results = []
    for count in (1, 2, 3, 7):
        threads(count)
        results.append(fastsoft.principal_components(values, 5, clip=1.5))
    for other in results[1:]:
        for field in dataclasses.fields(other):
            np.testing.assert_array_equal(getattr(results[0], field.name), getattr(other, field.name))


def test_any_layout(rng, dtype):
    values = cloud(rng, 30 * 41, 12, dtype).reshape(30, 41, 12)
    expected = fastsoft.principal_components(values, 3, clip=1.0)
    wide = np.zeros((60, 82, 24), dtype=dtype)
    wide[::2, ::2, ::2] = values
    rows = np.zeros((33, 50, 12), dtype=dtype)
    rows[2:32, 3:44] = values
    planar = np.moveaxis(np.moveaxis(values, 2, 0).copy(), 0, 2)
    flipped = values[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1]
    readonly = values.copy()
    readonly.setflags(write=False)
    for view in (np.asfortranarray(values), wide[::2, ::2, ::2], rows[2:32, 3:44], planar, flipped, readonly):
        before = view.copy()
        result = fastsoft.principal_components(view, 3, clip=1.0)
        np.testing.assert_array_equal(view, before)
        np.testing.assert_array_equal(result.scores, expected.scores)
        np.testing.assert_array_equal(result.basis, expected.basis)
        assert result.scores.flags.c_contiguous
    flat = fastsoft.principal_components(np.asfortranarray(values.reshape(-1, 12)), 3, clip=1.0)
    np.testing.assert_array_equal(flat.scores, expected.scores.reshape(-1, 3))
    repeated = np.broadcast_to(values[:, :1], (30, 9, 12))
    np.testing.assert_array_equal(
        fastsoft.principal_components(repeated, 2).scores, fastsoft.principal_components(repeated.copy(), 2).scores
    )


def test_progress_rises_to_one_and_can_cancel(rng):
    values = rng.standard_normal((700_000, 3)).astype(np.float32)
    seen = []
    fastsoft.principal_components(values, 2, progress=seen.append)
    assert len(seen) > 4
    assert seen[0] == 0.0
    assert seen[-1] == 1.0
    assert seen == sorted(seen)

    for limit in (-1, 0.3, 0.75, 0.95):

        def stop(fraction, limit=limit):
            if fraction > limit:
                raise fastsoft.Cancelled

        with pytest.raises(fastsoft.Cancelled):
            fastsoft.principal_components(values, 2, progress=stop)


# The kernels take 64 channels, 32 or 64 pixels and 16 components at a time.
@pytest.mark.parametrize(
    ("n_points", "channels", "n"),
    [(1, 1, 1), (2, 3, 1), (300, 3, 3), (701, 7, 2), (600, 64, 3), (500, 70, 18), (350, 130, 5), (5000, 5, 3)],
)
def test_backends_agree(rng, backend, dtype, n_points, channels, n):
    values = cloud(rng, n_points, channels, dtype)
    if n_points == 1:
        found = on_numpy(backend, fastsoft.principal_components(backend.array(values), n))
    else:
        found = check_against_reference(values, n, clip=0.75 if n_points == 701 else None, backend=backend)
    expected = fastsoft.principal_components(values, n, clip=0.75 if n_points == 701 else None)
    for field in dataclasses.fields(expected):
        a, b = getattr(found, field.name), getattr(expected, field.name)
        assert np.shape(a) == np.shape(b)
        assert np.asarray(a).dtype == np.asarray(b).dtype
    again = on_numpy(
        backend,
        fastsoft.principal_components(backend.array(values), n, clip=0.75 if n_points == 701 else None),
    )
    np.testing.assert_array_equal(again.scores, found.scores)
    np.testing.assert_array_equal(again.basis, found.basis)


@pytest.mark.parametrize("offset", [1e3, 1e9])
def test_a_mean_far_from_zero_costs_no_digits_on_any_backend(rng, backend, offset):
    check_against_reference(cloud(rng, 1000, 5, offset=offset), 3, offset=offset, backend=backend)


@pytest.mark.parametrize("value", [0.0, 0.1, -3.7, 1e30])
def test_constant_input_has_no_components_on_any_backend(value, backend, dtype):
    values = np.full((5, 70, 9), value, dtype=dtype)
    values[..., 1] *= 2
    result = on_numpy(backend, fastsoft.principal_components(backend.array(values), 3))
    for zero in (result.scores, result.variances, result.low, result.high, result.total_variance):
        np.testing.assert_array_equal(zero, 0)
    np.testing.assert_array_equal(result.mean, values[0, 0].astype(np.float64))
    np.testing.assert_array_equal(result.basis, np.eye(9)[:, :3])


def test_components_beyond_the_rank_are_zero_on_any_backend(rng, backend):
    values = cloud(rng, 400, 2) @ rng.standard_normal((2, 8)) + 2.5
    result = on_numpy(backend, fastsoft.principal_components(backend.array(values), 5))
    _, _, basis, variances = reference.principal_components(values, 2)
    np.testing.assert_allclose(result.variances[:2], variances, rtol=1e-10)
    np.testing.assert_allclose(result.basis[:, :2], basis, atol=1e-10)
    np.testing.assert_array_equal(result.variances[2:], 0)
    np.testing.assert_array_equal(result.scores[:, 2:], 0)
    np.testing.assert_allclose(result.basis.T @ result.basis, np.eye(5), atol=1e-13)


def test_backends_read_strided_and_offset_arrays(rng, backend, dtype):
    wide = cloud(rng, 40 * 50, 14, dtype).reshape(40, 50, 14)
    values = np.ascontiguousarray(wide[3:, 1::2, 2::3])
    expected = on_numpy(backend, fastsoft.principal_components(backend.array(values), 3))
    planar = np.moveaxis(np.moveaxis(values, 2, 0).copy(), 0, 2)
    for view in (backend.array(wide)[3:, 1::2, 2::3], backend.array(planar)):
        found = on_numpy(backend, fastsoft.principal_components(view, 3))
        np.testing.assert_array_equal(found.scores, expected.scores)
        np.testing.assert_array_equal(found.basis, expected.basis)
    flat = fastsoft.principal_components(backend.array(values.reshape(-1, values.shape[2])), 3)
    np.testing.assert_array_equal(backend.numpy(flat.scores), expected.scores.reshape(-1, 3))


def test_backends_report_and_can_be_cancelled(rng, backend):
    values = backend.array(rng.standard_normal((2000, 3)).astype(np.float32))
    seen = []
    fastsoft.principal_components(values, 2, progress=seen.append)
    assert (seen[0], seen[-1]) == (0.0, 1.0)
    assert seen == sorted(seen)

    def stop(fraction):
        if fraction > 0.5:
            raise fastsoft.Cancelled

    with pytest.raises(fastsoft.Cancelled):
        fastsoft.principal_components(values, 2, progress=stop)


def test_backends_refuse_bad_input_with_the_same_words(rng, backend):
    values = rng.standard_normal((900, 3))
    for bad in (np.nan, np.inf, -np.inf):
        for place in (0, 600, 899):
            broken = values.copy()
            broken[place, 2] = bad
            for clip in (None, 2.0):
                with pytest.raises(ValueError, match="values must be finite, got 1 values that are NaN or infinite"):
                    fastsoft.principal_components(backend.array(broken), clip=clip)
    with pytest.raises(ValueError, match=r"n_components must be in 1\.\.3, got 5"):
        fastsoft.principal_components(backend.array(values), 5)
    with pytest.raises(ValueError, match=r"values must have shape \(N, C\) or \(H, W, C\), got \(900,\)"):
        fastsoft.principal_components(backend.array(values)[:, 0])
    with pytest.raises(ValueError, match="values must not be empty, got shape"):
        fastsoft.principal_components(backend.array(values[:0]))
    with pytest.raises(TypeError, match="values must have dtype float32 or float64, got int64"):
        fastsoft.principal_components(backend.array(np.ones((5, 3), dtype=np.int64)))
    huge = 1e200 * np.sign(values)
    with pytest.raises(ValueError, match=r"values must be so small that their squares can be summed, got .*1e\+200"):
        fastsoft.principal_components(backend.array(huge))
    fastsoft.principal_components(backend.array(huge), clip=1.0)


@pytest.mark.parametrize("clip", [None, 2.0])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(rng, bad, clip, dtype):
    for place in (0, 8192, 19999):
        values = rng.standard_normal((20000, 3)).astype(dtype)
        values[place, 2] = bad
        with pytest.raises(ValueError, match="values must be finite, got 1 values that are NaN or infinite"):
            fastsoft.principal_components(values, clip=clip)
        with pytest.raises(ValueError, match="values must be finite, got 1 values"):
            fastsoft.principal_components(np.asfortranarray(values), clip=clip)


def test_bad_input_is_refused(rng):
    values = rng.random((20, 4))
    with pytest.raises(ValueError, match=r"n_components must be in 1\.\.4, got 5"):
        fastsoft.principal_components(values, 5)
    with pytest.raises(ValueError, match=r"n_components must be in 1\.\.2, got 3"):
        fastsoft.principal_components(values[:, :2])
    with pytest.raises(ValueError, match=r"n_components must be in 1\.\.4, got 0"):
        fastsoft.principal_components(values, 0)
    with pytest.raises(TypeError, match=r"n_components must be an integer, got 2\.5"):
        fastsoft.principal_components(values, 2.5)
    with pytest.raises(ValueError, match=r"values must have shape \(N, C\) or \(H, W, C\), got \(20,\)"):
        fastsoft.principal_components(values[:, 0])
    with pytest.raises(ValueError, match=r"values must have shape .* got \(1, 1, 20, 4\)"):
        fastsoft.principal_components(values[None, None])
    for empty in (values[:0], values[:, :0], values[None, :0]):
        with pytest.raises(ValueError, match="values must not be empty, got shape"):
            fastsoft.principal_components(empty)
    with pytest.raises(TypeError, match="values must have dtype float32 or float64, got int64"):
        fastsoft.principal_components(np.ones((5, 2), dtype=np.int64))
    for clip in (0, -1):
        with pytest.raises(ValueError, match="clip must be above 0"):
            fastsoft.principal_components(values, clip=clip)
    with pytest.raises(ValueError, match="clip must be"):
        fastsoft.principal_components(values, clip=np.nan)
    with pytest.raises(TypeError, match="clip must be a number, got 'wide'"):
        fastsoft.principal_components(values, clip="wide")
    for large in (1e200, 1e308):
        huge = large * np.sign(values - 0.5)
        with pytest.raises(ValueError, match=r"values must be so small that their squares can be summed, got .*1e\+"):
            fastsoft.principal_components(huge)
        fastsoft.principal_components(huge, clip=1.0)
