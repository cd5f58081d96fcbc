# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastsoft
from tests.reference import estimate_foreground as reference
from tests.tolerances import parity

METHODS = [
    {"method": "ml"},
    {"method": "ml", "order": "sequential"},
    {"method": "blur_fusion"},
    {"method": "closed_form"},
]


def name(options):
    return "-".join(options.values())


def make(rng, shape, dtype=np.float64):
    """A composite of two smooth pictures with alpha that has opaque, transparent and mixed regions."""
    height, width = shape
    rows, cols = np.mgrid[:height, :width]
    u, v = rows / max(1, height - 1), cols / max(1, width - 1)
    alpha = np.clip(1.6 - 3 * np.hypot(u - 0.5, v - 0.5) + 0.1 * rng.standard_normal(shape), 0, 1)
    foreground = np.stack([0.3 + 0.5 * u, 0.8 - 0.3 * v, 0.2 + 0.2 * u * v], axis=2)
    background = np.stack([0.7 - 0.4 * v, 0.2 + 0.3 * u, 0.9 - 0.2 * u], axis=2)
    image = alpha[:, :, None] * foreground + (1 - alpha[:, :, None]) * background
    return image.astype(dtype), alpha.astype(dtype), foreground, background


SHAPES = [(1, 1), (1, 2), (2, 1), (1, 40), (41, 1), (2, 3), (5, 7), (33, 34)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("order", ["parallel", "sequential"])
def test_multilevel_equals_the_paper(rng, shape, order):
    image, alpha, _, _ = make(rng, shape)
    found = fastsoft.estimate_foreground(image, alpha, order=order, return_background=True)
    expected = reference.multilevel(image, alpha, red_black=order == "parallel")
    for one, other in zip(found, expected, strict=True):
        # The 2x2 systems have condition numbers up to 1 / (4 regularization).
        np.testing.assert_allclose(one, other, rtol=0, atol=1e5 * np.finfo(np.float64).eps)


@pytest.mark.parametrize(
    "options",
    [
        {"regularization": 1e-3},
        {"gradient_weight": 0.1},
        {"small_size": 8, "n_large_iterations": 3},
        {"small_size": 4, "n_small_iterations": 2, "n_large_iterations": 1},
    ],
)
@pytest.mark.parametrize("order", ["parallel", "sequential"])
def test_multilevel_options_equal_the_paper(rng, options, order):
    image, alpha, _, _ = make(rng, (20, 27))
    found = fastsoft.estimate_foreground(image, alpha, order=order, return_background=True, **options)
    expected = reference.multilevel(image, alpha, red_black=order == "parallel", **options)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e5 * np.finfo(np.float64).eps)


def test_tiles_do_not_show(rng):
    """More than one tile either way, against one whole level updated by NumPy, a colour of the chequerboard at once."""
    image, alpha, _, _ = make(rng, (123, 401))
    options = {"small_size": 0, "n_large_iterations": 3}
    found = fastsoft.estimate_foreground(image, alpha, return_background=True, **options)
    state = None
    for height, width in reference.level_sizes(*alpha.shape):
        a = reference.nearest(alpha, height, width)[:, :, None]
        level = reference.nearest(image, height, width)
        if state is None:
            means = [image[mask].sum(axis=0) / (mask.sum() + 1e-5) for mask in (alpha > 0.9, alpha < 0.1)]
            state = np.concatenate(means)[None, None]
        state = reference.nearest(state, height, width)
        padded = np.pad(a, ((1, 1), (1, 1), (0, 0)), mode="edge")
        sides = [(0, 1), (2, 1), (1, 0), (1, 2)]
        weights = [1e-5 + np.abs(a - padded[r : r + height, c : c + width]) for r, c in sides]
        total = sum(weights)
        board = np.indices((height, width)).sum(axis=0)[:, :, None] % 2
        for _ in range(3):
            for color in (0, 1):
                padded = np.pad(state, ((1, 1), (1, 1), (0, 0)), mode="edge")
                values = [padded[r : r + height, c : c + width] for r, c in sides]
                right = sum(w * v for w, v in zip(weights, values, strict=True))
                right += np.concatenate([a * level, (1 - a) * level], axis=2)
                aa, ab, bb = a * a + total, a * (1 - a), (1 - a) ** 2 + total
                f = bb * right[:, :, :3] - ab * right[:, :, 3:]
                b = aa * right[:, :, 3:] - ab * right[:, :, :3]
                solved = np.clip(np.concatenate([f, b], axis=2) / (aa * bb - ab * ab), 0, 1)
                state = np.where(board == color, solved, state)
    np.testing.assert_allclose(found[0], state[:, :, :3], rtol=0, atol=1e5 * np.finfo(np.float64).eps)
    np.testing.assert_allclose(found[1], state[:, :, 3:], rtol=0, atol=1e5 * np.finfo(np.float64).eps)


@pytest.mark.parametrize("shape", [(1, 3), (31, 50), (240, 320), (301, 211)])
def test_sequential_order_is_pymattings(rng, shape):
    pymatting = pytest.importorskip("pymatting")
    image, alpha, _, _ = make(rng, shape, np.float32)
    found = fastsoft.estimate_foreground(image, alpha, order="sequential", return_background=True)
    expected = pymatting.estimate_foreground_ml(image, alpha, return_background=True)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (40, 1), (5, 8), (31, 120), (100, 95)])
@pytest.mark.parametrize("sizes", [(90, 6), (1, 1), (5, 2), (3, 200)])
def test_blur_fusion_equals_its_formula(rng, shape, sizes):
    image, alpha, _, _ = make(rng, shape)
    found = fastsoft.estimate_foreground(image, alpha, method="blur_fusion", window_sizes=sizes, return_background=True)
    expected = reference.blur_fusion(image, alpha, sizes)
    for one, other in zip(found, expected, strict=True):
        # Window sums are off by some roundings, and are divided by 1e-5 where alpha is next to nothing.
        np.testing.assert_allclose(one, other, rtol=0, atol=1e7 * np.finfo(np.float64).eps)


@pytest.mark.parametrize("shape", [(1, 2), (1, 30), (31, 1), (2, 3), (24, 31), (33, 64)])
@pytest.mark.parametrize("regularization", [1e-5, 1e-2])
def test_closed_form_equals_a_direct_solution(rng, shape, regularization):
    image, alpha, _, _ = make(rng, shape)
    alpha[0, 0], alpha[-1, -1] = 0.9, 0.3  # the system is singular where alpha is the same everywhere
    found = fastsoft.estimate_foreground(
        image,
        alpha,
        method="closed_form",
        regularization=regularization,
        tolerance=1e-12,
        return_background=True,
    )
    expected = reference.closed_form(image, alpha, regularization)
    for one, other in zip(found, expected, strict=True):
        # The residual, divided by the smallest eigenvalues: regularization / (length of the picture)^2.
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


def test_closed_form_at_its_default_tolerance(rng):
    image, alpha, _, _ = make(rng, (120, 131))
    found = fastsoft.estimate_foreground(image, alpha, method="closed_form")
    exact, _ = reference.closed_form(image, alpha)
    assert (alpha[:, :, None] * np.abs(found - exact)).max() < 1e-3
    assert np.abs(found - exact).mean() < 1e-3


def test_closed_form_is_pymattings(rng):
    pymatting = pytest.importorskip("pymatting")
    image, alpha, _, _ = make(rng, (60, 71))
    found = fastsoft.estimate_foreground(image, alpha, method="closed_form", tolerance=1e-10)
    expected = pymatting.estimate_foreground_cf(image, alpha, rtol=1e-10)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def test_closed_form_says_when_it_has_not_converged(rng):
    image, alpha, _, _ = make(rng, (30, 31))
    with pytest.raises(fastsoft.ConvergenceError, match="after 2 of 2 iterations") as caught:
        fastsoft.estimate_foreground(image, alpha, method="closed_form", max_iterations=2)
    found = fastsoft.estimate_foreground(image, alpha, method="closed_form", max_iterations=2, allow_unconverged=True)
    np.testing.assert_array_equal(caught.value.result, found)


@pytest.mark.parametrize("options", METHODS, ids=name)
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_constant_alpha(rng, options, value, dtype):
    """Nothing tells F from B then, or one of them has no pixel; the result is defined all the same."""
    image = rng.random((37, 45, 3)).astype(dtype)
    alpha = np.full((37, 45), value, dtype=dtype)
    both = fastsoft.estimate_foreground(image, alpha, return_background=True, **options)
    for colors in both:
        assert colors.min() >= 0
        assert colors.max() <= 1
    if value == 1.0:
        np.testing.assert_allclose(both[0], image, atol=3e-4)
    if value == 0.0 and options["method"] != "blur_fusion":
        np.testing.assert_allclose(both[1], image, atol=3e-4)


@pytest.mark.parametrize("options", METHODS, ids=name)
def test_foreground_shows_no_halo(rng, options, dtype):
    """Over a new background: nearer to the true composite than the photograph's colours, and near to it at all."""
    image, alpha, foreground, _ = make(rng, (200, 240), dtype)
    found = fastsoft.estimate_foreground(image, alpha, **options)
    assert found.dtype == dtype
    mixed = (alpha > 0.02) & (alpha < 0.98)
    error = (alpha[:, :, None] * np.abs(found - foreground))[mixed].mean()
    halo = (alpha[:, :, None] * np.abs(image - foreground))[mixed].mean()
    assert halo > 0.05
    # Blurs approximate: where alpha changes slowly over more than their windows, much of the halo stays.
    assert error < (0.7 if options["method"] == "blur_fusion" else 0.1) * halo
    if options["method"] != "blur_fusion":
        assert error <= 0.022  # what PyMatting's tests allow on a photograph of 68x44 pixels


# Blur fusion's background is a plain mean, which is not fitted to the photograph.
@pytest.mark.parametrize("options", [METHODS[0], METHODS[1], METHODS[3]], ids=name)
def test_foreground_and_background_recompose_the_photograph(rng, options):
    image, alpha, _, _ = make(rng, (90, 101))
    foreground, background = fastsoft.estimate_foreground(image, alpha, return_background=True, **options)
    composite = alpha[:, :, None] * foreground + (1 - alpha[:, :, None]) * background
    assert np.abs(composite - image).mean() < 0.01


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**31), st.sampled_from(METHODS[:3]))
def test_any_alpha_gives_colours(height, width, seed, options):
    rng = np.random.default_rng(seed)
    image = rng.random((height, width, 3)).astype(np.float32)
    alpha = np.clip(rng.normal(0.5, 1, (height, width)), 0, 1).astype(np.float32)
    foreground, background = fastsoft.estimate_foreground(image, alpha, return_background=True, **options)
    for colors in (foreground, background):
        assert colors.shape == image.shape
        assert colors.min() >= 0
        assert colors.max() <= 1
    wide = fastsoft.estimate_foreground(image.astype(np.float64), alpha.astype(np.float64), **options)
    # Blurs of float32 sources are summed in float64, but are rounded between the two. Where hardly anything of the
    # foreground is seen, its colour follows from differences of nearly equal numbers, so what is seen is compared.
    seen = alpha[:, :, None]
    np.testing.assert_allclose(seen * foreground, seen * wide, atol=1e-2)


@pytest.mark.parametrize("options", METHODS, ids=name)
def test_many_layers_are_many_calls(rng, options, dtype):
    image, _, _, _ = make(rng, (61, 50), dtype)
    alphas = rng.dirichlet([0.3] * 4, (61, 50)).astype(dtype)
    foregrounds, backgrounds = fastsoft.estimate_foreground(image, alphas, return_background=True, **options)
    assert foregrounds.shape == backgrounds.shape == (61, 50, 4, 3)
    for layer in range(4):
        single = fastsoft.estimate_foreground(image, alphas[:, :, layer], return_background=True, **options)
        np.testing.assert_array_equal(foregrounds[:, :, layer], single[0])
        np.testing.assert_array_equal(backgrounds[:, :, layer], single[1])


@pytest.mark.parametrize("options", METHODS, ids=name)
def test_same_bits_for_any_number_of_threads(rng, threads, dtype, options):
    # More than one chunk of work in each of the methods; the slow one has small chunks.
    shape = (75, 81) if options["method"] == "closed_form" else (203, 257)
    image, alpha, _, _ = make(rng, shape, dtype)
    stack = np.stack([alpha, 1 - alpha], axis=2)
    results = []
    for count in (1, 2, 5):
        threads(count)
        results.append(fastsoft.estimate_foreground(image, stack, **options))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


@pytest.mark.parametrize("options", METHODS, ids=name)
def test_strides_and_read_only_arguments(rng, dtype, options):
    image, alpha, _, _ = make(rng, (45, 230), dtype)
    expected = fastsoft.estimate_foreground(image, alpha, **options)
    planar = np.ascontiguousarray(image.transpose(2, 0, 1)).transpose(1, 2, 0)
    fortran = np.asfortranarray(alpha)
    fortran.setflags(write=False)
    np.testing.assert_array_equal(fastsoft.estimate_foreground(planar, fortran, **options), expected)
    reversed_twice = fastsoft.estimate_foreground(image[:, ::-1].copy()[:, ::-1], alpha, **options)
    np.testing.assert_array_equal(reversed_twice, expected)


@pytest.mark.parametrize("options", METHODS, ids=name)
def test_progress_and_cancelling(rng, options):
    image, alpha, _, _ = make(rng, (64, 64))
    seen = []
    fastsoft.estimate_foreground(image, alpha, progress=seen.append, **options)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0

    def stop(_fraction):
        raise fastsoft.Cancelled

    with pytest.raises(fastsoft.Cancelled):
        fastsoft.estimate_foreground(image, alpha, progress=stop, **options)


DEVICE_METHODS = [METHODS[0], METHODS[2]]


def between_backends(options, dtype):
    """How far backends may differ."""
    if options.get("method") != "blur_fusion":
        return parity("estimate_foreground", dtype)
    # The CPU's window sums run along the picture in float64, and what is left of them is divided by as little as 1e-5.
    return parity("blur_fusion", dtype) + 1e6 * np.finfo(np.float64).eps


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (41, 1), (5, 7), (33, 50), (70, 101)])
@pytest.mark.parametrize("options", DEVICE_METHODS, ids=name)
def test_backends_agree(rng, backend, dtype, shape, options):
    image, alpha, _, _ = make(rng, shape, dtype)
    arguments = backend.array(image), backend.array(alpha)
    found = tuple(map(backend.numpy, fastsoft.estimate_foreground(*arguments, return_background=True, **options)))
    assert found[0].dtype == dtype
    atol = between_backends(options, dtype)
    expected = fastsoft.estimate_foreground(image, alpha, return_background=True, **options)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=atol)
    again = fastsoft.estimate_foreground(*arguments, return_background=True, **options)
    for one, other in zip(found, again, strict=True):
        np.testing.assert_array_equal(one, backend.numpy(other))
    if options["method"] == "ml":
        expected = reference.multilevel(image.astype(float), alpha.astype(float), red_black=True)
    else:
        expected = reference.blur_fusion(image.astype(float), alpha.astype(float), (90, 6))
    for one, other in zip(found, expected, strict=True):
        # Float32 is near the definition where the colour is seen; see test_any_alpha_gives_colours.
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-3 if dtype == np.float32 else 1e-8)


@pytest.mark.parametrize(
    "options",
    [
        {"regularization": 1e-3, "gradient_weight": 0.1},
        {"small_size": 8, "n_large_iterations": 5},
        {"small_size": 0, "n_small_iterations": 2, "n_large_iterations": 1},
        {"method": "blur_fusion", "window_sizes": (3, 200)},
        {"method": "blur_fusion", "window_sizes": (1, 4)},
    ],
)
def test_backends_agree_on_options(rng, backend, dtype, options):
    image, alpha, _, _ = make(rng, (57, 95), dtype)
    found = fastsoft.estimate_foreground(backend.array(image), backend.array(alpha), **options)
    expected = fastsoft.estimate_foreground(image, alpha, **options)
    atol = between_backends(options, dtype)
    np.testing.assert_allclose(backend.numpy(found), expected, rtol=0, atol=atol)


@pytest.mark.parametrize("options", DEVICE_METHODS, ids=name)
def test_backends_read_layers_and_strided_and_offset_arrays(rng, backend, dtype, options):
    image, _, _, _ = make(rng, (66, 90), dtype)
    alphas = rng.dirichlet([0.3] * 5, (66, 90)).astype(dtype)
    expected = fastsoft.estimate_foreground(image[7:, ::2], alphas[7:, ::2, 1:4], **options)
    found = fastsoft.estimate_foreground(backend.array(image)[7:, ::2], backend.array(alphas)[7:, ::2, 1:4], **options)
    atol = between_backends(options, dtype)
    np.testing.assert_allclose(backend.numpy(found), expected, rtol=0, atol=atol)
    planar = np.ascontiguousarray(image.transpose(2, 1, 0)).transpose(2, 1, 0)
    alpha = np.asfortranarray(alphas[:, :, 0])
    found = fastsoft.estimate_foreground(backend.array(planar), backend.array(alpha), **options)
    expected = fastsoft.estimate_foreground(image, alpha, **options)
    np.testing.assert_allclose(backend.numpy(found), expected, rtol=0, atol=atol)


def test_many_layers_on_a_device_are_estimated_in_portions(rng, host_backend, monkeypatch):
    """Each layer of 200x300 pixels has 2 x 6 x 18000 numbers of workspace: 256 MB hold 155 of them."""
    image, _, _, _ = make(rng, (200, 300), np.float64)
    alphas = np.broadcast_to(rng.random((200, 300))[:, :, None], (200, 300, 200))
    seen = []
    found = fastsoft.estimate_foreground(
        host_backend.array(image),
        host_backend.library.from_numpy(alphas[:, :, 0].copy())[:, :, None].expand(200, 300, 200),
        progress=seen.append,
    )
    assert len(seen) == 3
    assert seen == sorted(seen)
    found = host_backend.numpy(found)
    expected = fastsoft.estimate_foreground(image, alphas[:, :, 0].copy())
    np.testing.assert_allclose(found[:, :, 199], expected, rtol=0, atol=parity("estimate_foreground", np.float64))
    np.testing.assert_array_equal(found, np.broadcast_to(found[:, :, :1], found.shape))


@pytest.mark.parametrize("options", DEVICE_METHODS, ids=name)
def test_progress_and_cancelling_on_a_device(rng, device_backend, options):
    image, alpha, _, _ = make(rng, (20, 24))
    image, alpha = device_backend.array(image), device_backend.array(np.stack([alpha, 1 - alpha], axis=2))
    seen = []
    fastsoft.estimate_foreground(image, alpha, progress=seen.append, **options)
    assert (seen[0], seen[-1]) == (0.0, 1.0)
    assert seen == sorted(seen)

    def stop(_fraction):
        raise fastsoft.Cancelled

    with pytest.raises(fastsoft.Cancelled):
        fastsoft.estimate_foreground(image, alpha, progress=stop, **options)


@pytest.mark.parametrize("options", DEVICE_METHODS, ids=name)
def test_backends_refuse_bad_input_with_the_same_words(rng, backend, options):
    image, alpha, _, _ = make(rng, (6, 7))

    def call(image, alpha, **more):
        return fastsoft.estimate_foreground(backend.array(image), backend.array(alpha), **options, **more)

    with pytest.raises(ValueError, match=r"alpha must have shape \(6, 7\) or \(6, 7, n\) as image has, got \(7, 6\)"):
        call(image, alpha.T)
    with pytest.raises(TypeError, match="alpha must have the dtype of image, float64, got float32"):
        call(image, alpha.astype(np.float32))
    with pytest.raises(ValueError, match="regularization must be at least 1e-07, got 0"):
        call(image, alpha, regularization=0)
    for array, place in ((image, "image"), (alpha, "alpha")):
        for value, message in (
            (np.nan, f"{place} must be finite, got 1 values"),
            (-0.5, rf"{place} must lie in \[0, 1\], got values in \[-0.5, "),
            (1.5, rf"{place} must lie in \[0, 1\], got values in \[.*, 1.5\]"),
        ):
            spoilt = {"image": image, "alpha": alpha}
            spoilt[place] = array.copy()
            spoilt[place][3, 4] = [value, 0.5, 0.5] if place == "image" else value
            with pytest.raises(ValueError, match=message):
                call(**spoilt)


def test_what_is_the_cpus_only_is_refused_on_a_device(rng, device_backend):
    image, alpha = (device_backend.array(array) for array in make(rng, (6, 7))[:2])
    with pytest.raises(ValueError, match="order must be 'parallel' on a CUDA device, got 'sequential'"):
        fastsoft.estimate_foreground(image, alpha, order="sequential")
    with pytest.raises(ValueError, match="method must be 'ml' or 'blur_fusion' on a CUDA device, got 'closed_form'"):
        fastsoft.estimate_foreground(image, alpha, method="closed_form")
    with pytest.raises(TypeError, match="arrays of a call must be on one device, got image on cuda:0, alpha on cpu"):
        fastsoft.estimate_foreground(image, np.zeros((6, 7)))


@pytest.mark.parametrize("options", METHODS, ids=name)
def test_bad_input_is_refused(rng, options):
    image, alpha, _, _ = make(rng, (6, 7))

    def call(image, alpha, **more):
        return fastsoft.estimate_foreground(image, alpha, **options, **more)

    with pytest.raises(ValueError, match=r"alpha must have shape \(6, 7\) or \(6, 7, n\) as image has, got \(7, 6\)"):
        call(image, alpha.T)
    with pytest.raises(ValueError, match=r"alpha must have shape .*, got \(6, 7, 0\)"):
        call(image, alpha[:, :, None][:, :, :0])
    with pytest.raises(ValueError, match=r"image must have shape \(H, W, 3\), got \(6, 7\)"):
        call(image[:, :, 0], alpha)
    with pytest.raises(TypeError, match="alpha must have the dtype of image, float64, got float32"):
        call(image, alpha.astype(np.float32))
    for array, place in ((image, "image"), (alpha, "alpha")):
        for value, message in (
            (np.nan, f"{place} must be finite, got 1 values"),
            (-0.5, rf"{place} must lie in \[0, 1\], got values in \[-0.5, "),
            (1.5, rf"{place} must lie in \[0, 1\], got values in \[.*, 1.5\]"),
        ):
            spoilt = {"image": image, "alpha": alpha}
            spoilt[place] = array.copy()
            spoilt[place][3, 4] = [value, 0.5, 0.5] if place == "image" else value
            with pytest.raises(ValueError, match=message):
                call(**spoilt)
    with pytest.raises(ValueError, match="regularization must be at least 1e-07, got 0"):
        call(image, alpha, regularization=0)


def test_bad_options_are_refused(rng):
    image, alpha, _, _ = make(rng, (6, 7))
    call = fastsoft.estimate_foreground
    with pytest.raises(ValueError, match="method must be one of 'ml', 'blur_fusion', 'closed_form', got 'cf'"):
        call(image, alpha, method="cf")
    with pytest.raises(ValueError, match="order must be one of 'parallel', 'sequential', got 'random'"):
        call(image, alpha, order="random")
    with pytest.raises(ValueError, match=r"n_large_iterations must be in 1\.\.10000, got 0"):
        call(image, alpha, n_large_iterations=0)
    with pytest.raises(ValueError, match="gradient_weight must be at least 0, got -1"):
        call(image, alpha, gradient_weight=-1)
    with pytest.raises(TypeError, match="window_sizes must be two integers, got 6"):
        call(image, alpha, method="blur_fusion", window_sizes=6)
    with pytest.raises(ValueError, match=r"window_sizes\[1\] must be in 1..32768, got 0"):
        call(image, alpha, method="blur_fusion", window_sizes=(90, 0))
    with pytest.raises(ValueError, match="tolerance must be above 0 and at most 1, got 0"):
        call(image, alpha, method="closed_form", tolerance=0)
