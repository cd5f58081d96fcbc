# SPDX-License-Identifier: MIT
from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest

import fastsoft
from fastsoft import Cancelled, segment, spectral_matting
from fastsoft.semantic.pipeline import SPECTRAL_STAGES, STAGES
from fastsoft.semantic.reduction import estimate_cost, pixels_within, spectral_size

# Of a photograph that need not be reduced.
WHOLE_STAGES = [stage for stage in STAGES if stage != "full_size"]


def distance_under_best_order(alphas, truth):
    """Mean absolute difference of layers, in the best order."""
    n = truth.shape[2]
    return min(np.abs(alphas[:, :, list(order)] - truth).mean() for order in itertools.permutations(range(n)))


@pytest.fixture(scope="session")
def result(scene):
    image, features, _ = scene
    return segment(image, features=features, n_layers=3, keep_stages=True)


def test_layers_are_the_objects(scene, result):
    assert distance_under_best_order(result.alphas, scene[2]) < 0.03


def test_lowlevel_features_find_the_objects_too(scene):
    layers = segment(scene[0], features="lowlevel", n_layers=3)
    assert distance_under_best_order(layers.alphas, scene[2]) < 0.06


def test_result_is_complete(scene, result):
    alphas = result.alphas
    assert alphas.shape == (48, 64, 3)
    assert alphas.dtype == np.float64
    assert alphas.min() >= 0
    assert alphas.max() <= 1
    np.testing.assert_allclose(alphas.sum(axis=2), 1, atol=1e-12)
    mass = alphas.sum(axis=(0, 1))
    assert (np.diff(mass) <= 0).all()
    np.testing.assert_array_equal(result.image, scene[0])
    assert 0 <= result.largest_correction < 0.5
    assert list(result.timings) == WHOLE_STAGES
    assert result.settings["n_superpixels"] == 48 * 64 // 41
    assert result.settings["n_eigenvectors"] == 100
    assert result.settings["n_segments"] == 20
    assert result.settings["features"] == "given"
    assert result.settings["feature_size"] is None
    assert result.settings["feature_weights"] is None


def test_stages_follow_from_each_other(scene, result):
    features = scene[1]
    stages = result.stages
    assert list(stages) == WHOLE_STAGES
    np.testing.assert_array_equal(stages["features"].values, features)
    operator = stages["laplacian"].operator
    np.testing.assert_allclose(operator @ np.ones(48 * 64), 0, atol=1e-10)
    affinities = stages["affinities"]
    total = affinities.matting.tocsr() + 0.01 * affinities.color + 0.01 * affinities.semantic
    off_diagonal = (operator.tocsr() + total).toarray()
    np.fill_diagonal(off_diagonal, 0)
    np.testing.assert_allclose(off_diagonal, 0, atol=1e-12)
    pairs = stages["eigenvectors"]
    vectors = np.asarray(pairs.vectors)
    residual = np.linalg.norm(operator @ vectors - vectors * pairs.values, axis=0)
    assert result.settings["tolerance"] == 1e-3
    assert residual.max() < 1e-3 * 10  # the largest eigenvalue is about 9
    soft = stages["soft_segments"]
    np.testing.assert_allclose(soft.segments.sum(axis=2), 1, atol=1e-6)
    np.testing.assert_allclose(soft.grouping.layers.sum(axis=2), 1, atol=1e-6)
    inside = vectors @ (vectors.T @ soft.segments.reshape(48 * 64, -1))
    np.testing.assert_allclose(inside, soft.segments.reshape(48 * 64, -1), atol=1e-4)
    last = stages["relaxation"]
    assert sorted(last.alphas.sum(axis=(0, 1))) == sorted(result.alphas.sum(axis=(0, 1)))
    nearest, correction = fastsoft.layers.project_to_simplex(last.relaxed)
    assert correction == result.largest_correction == last.largest_correction
    np.testing.assert_array_equal(np.sort(nearest, axis=2), np.sort(result.alphas, axis=2))


def test_stages_on_disk(result, tmp_path):
    folder = result.save(tmp_path / "out")
    assert sorted(path.stem for path in (folder / "stages").iterdir()) == sorted(WHOLE_STAGES)
    with np.load(folder / "stages" / "eigenvectors.npz", allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["vectors"], result.stages["eigenvectors"].vectors)
    with np.load(folder / "stages" / "laplacian.npz", allow_pickle=False) as archive:
        assert archive["operator.0.weights"].shape == (13, 48, 64)
    with np.load(folder / "stages" / "soft_segments.npz", allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["grouping.layers"], result.stages["soft_segments"].grouping.layers)


def test_same_bits_for_any_number_of_threads_and_any_time(scene, result, threads):
    image, features, _ = scene
    for count in (1, 2, 3):
        threads(count)
        again = segment(image, features=features, n_layers=3, keep_stages=True)
        for stage in ("affinities", "eigenvectors", "soft_segments", "relaxation"):
            first = fastsoft.layers.files.stage_arrays(result.stages[stage])
            second = fastsoft.layers.files.stage_arrays(again.stages[stage])
            for name, array in first.items():
                np.testing.assert_array_equal(array, second[name], err_msg=f"{stage} {name}, {count} threads")
        np.testing.assert_array_equal(result.alphas, again.alphas)


def test_lowlevel_pipeline_has_the_same_bits_for_any_number_of_threads(scene, threads):
    results = []
    for count in (1, 2):
        threads(count)
        results.append(segment(scene[0], features="lowlevel", n_layers=4).alphas)
    np.testing.assert_array_equal(results[0], results[1])


def test_another_seed_changes_next_to_nothing(scene, result):
    image, features, _ = scene
    other = segment(image, features=features, n_layers=3, seed=123)
    assert np.abs(other.alphas - result.alphas).mean() < 0.002


def test_one_grey_level_of_noise_changes_little(scene, result, rng):
    image, features, _ = scene
    noisy = (image + rng.uniform(-1, 1, image.shape) / 255).clip(0, 1)
    other = segment(noisy, features=features, n_layers=3)
    assert np.abs(other.alphas - result.alphas).mean() < 0.01


def test_layouts_and_read_only_arrays_give_the_same_bits(scene, result):
    image, features, _ = scene
    frozen = image.copy()
    frozen.flags.writeable = False
    for layout in (frozen, np.asfortranarray(image), np.repeat(image, 2, axis=0)[::2]):
        before = layout.copy()
        layers = segment(layout, features=np.asfortranarray(features), n_layers=3)
        np.testing.assert_array_equal(layers.alphas, result.alphas)
        np.testing.assert_array_equal(layout, before)


def test_single_precision_agrees_with_double(scene, result):
    image, features, _ = scene
    layers = segment(image.astype(np.float32), features=features, n_layers=3, dtype=np.float32)
    assert layers.alphas.dtype == np.float32
    assert np.abs(layers.alphas - result.alphas).mean() < 0.01


def test_reduced_photograph(scene, result):
    """Eigenvectors of half the height and width: the objects are found, their edges are those of full size."""
    image, features, truth = scene
    layers = segment(image, features=features, n_layers=3, spectral_pixels=24 * 32, keep_stages=True)
    assert layers.alphas.shape == result.alphas.shape
    assert layers.alphas.dtype == result.alphas.dtype
    assert (layers.settings["spectral_height"], layers.settings["spectral_width"]) == (24, 32)
    assert layers.stages["eigenvectors"].vectors.shape[0] == 24 * 32
    assert layers.stages["full_size"].operator.shape[0] == 48 * 64
    assert list(layers.timings) == list(STAGES)
    assert distance_under_best_order(layers.alphas, truth) < 0.03
    assert distance_under_best_order(layers.alphas, result.alphas) < 0.02
    same = segment(image, features=features, n_layers=3, spectral_pixels=48 * 64)
    np.testing.assert_array_equal(same.alphas, result.alphas)


def test_sizes_of_the_spectral_stages():
    assert spectral_size((1080, 1920), 2_100_000) == (1080, 1920)
    assert spectral_size((2160, 3840), 1080 * 1920) == (1080, 1920)
    assert spectral_size((3, 10_000), 300) == (3, 1000)
    small, large = (estimate_cost((2160, 3840), spectral_pixels=n, n_threads=2) for n in (500_000, 10**7))
    assert small.n_bytes < large.n_bytes
    assert small.seconds < large.seconds
    for memory in (3e9, 5e9, 1e12):
        pixels = pixels_within(memory, (2160, 3840))
        assert estimate_cost((2160, 3840), spectral_pixels=pixels).n_bytes <= memory
        if pixels < 2160 * 3840:
            assert estimate_cost((2160, 3840), spectral_pixels=pixels + 20_000).n_bytes > memory
    with pytest.raises(ValueError, match=r"memory must be at least .* GB for 3840x2160 pixels, got 0.1 GB"):
        pixels_within(1e8, (2160, 3840))


def test_progress_names_every_stage_and_rises(scene):
    calls = []
    options = {"features": "lowlevel", "n_layers": 2, "n_eigenvectors": 20, "spectral_pixels": 2000}
    segment(scene[0], **options, progress=lambda *call: calls.append(call))
    stages = [stage for stage, _ in itertools.groupby(calls, key=lambda call: call[0])]
    assert stages == list(STAGES)
    for stage, group in itertools.groupby(calls, key=lambda call: call[0]):
        fractions = [fraction for _, fraction in group]
        assert fractions == sorted(fractions), stage
        assert fractions[0] == 0
        assert fractions[-1] == 1


@pytest.mark.parametrize("stage", STAGES)
def test_cancelling_in_any_stage(scene, stage):
    def cancel(name, fraction):
        if name == stage and fraction > 0:
            raise Cancelled(f"in {name}")

    with pytest.raises(Cancelled, match=stage):
        segment(scene[0], features="lowlevel", n_layers=2, n_eigenvectors=20, spectral_pixels=2000, progress=cancel)


def test_one_layer_is_all_of_the_image(scene):
    layers = segment(scene[0], features="lowlevel", n_layers=1)
    np.testing.assert_allclose(layers.alphas, 1, atol=1e-12)


@pytest.mark.parametrize("image", [np.zeros((12, 15, 3)), np.full((12, 15, 3), 0.4), np.ones((30, 24, 3))])
def test_constant_image(image):
    layers = segment(image, features="lowlevel")
    assert layers.alphas.shape[:2] == image.shape[:2]
    assert 1 <= layers.n_layers <= 5


def test_two_colour_image():
    image = np.zeros((24, 32, 3))
    image[6:18, 8:24] = (0.2, 0.6, 0.9)
    layers = segment(image, features="lowlevel", n_layers=2)
    truth = (image[:, :, 2:] > 0).astype(float)
    assert distance_under_best_order(layers.alphas, np.concatenate([truth, 1 - truth], axis=2)) < 0.05
    assert segment(image, features="lowlevel").n_layers <= 5


def test_constant_image_and_features_give_one_layer_and_say_so():
    with pytest.warns(RuntimeWarning, match="the image gave 1 segments, so there are 1 layers instead of 5"):
        layers = segment(np.full((10, 12, 3), 0.5), features=np.full((10, 12, 3), 0.5))
    np.testing.assert_allclose(layers.alphas, 1, atol=1e-12)


@pytest.mark.parametrize("shape", [(3, 3), (3, 20), (25, 3), (4, 5), (7, 6)])
def test_tiny_images(rng, shape):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of fewer layers than 5
        layers = segment(rng.random((*shape, 3)), features="lowlevel", n_layers=2)
    assert layers.alphas.shape[:2] == shape
    np.testing.assert_allclose(layers.alphas.sum(axis=2), 1, atol=1e-12)


GOOD = np.full((12, 15, 3), 0.5)


@pytest.mark.parametrize(
    ("image", "options", "error", "message"),
    [
        (np.zeros((0, 5, 3)), {}, ValueError, r"image must be at least 3x3 pixels, got 0x5"),
        (np.zeros((1, 50, 3)), {}, ValueError, r"image must be at least 3x3 pixels, got 1x50"),
        (np.zeros((50, 1, 3)), {}, ValueError, r"image must be at least 3x3 pixels, got 50x1"),
        (np.zeros((2, 2, 3)), {}, ValueError, r"image must be at least 3x3 pixels, got 2x2"),
        (np.zeros((12, 15)), {}, ValueError, r"image must have shape \(H, W, 3\), got \(12, 15\)"),
        (np.zeros((12, 15, 4)), {}, ValueError, r"image must have shape \(H, W, 3\), got \(12, 15, 4\)"),
        (np.zeros((12, 15, 3), dtype=np.uint8), {}, TypeError, r"float32 or float64, got uint8 \(fastsoft.to_float"),
        (np.full((12, 15, 3), np.nan), {}, ValueError, "image must be finite, got 540 values"),
        (np.where(np.arange(540).reshape(12, 15, 3) == 7, np.inf, 0.5), {}, ValueError, "finite, got 1 values"),
        (np.full((12, 15, 3), 255.0), {}, ValueError, r"image must lie in \[0, 1\], got values in \[255, 255\]"),
        (
            np.broadcast_to(np.float32(0), (2**16, 2**16, 3)),
            {},
            ValueError,
            "image must have at most 2147483647 pixels, got 65536x65536",
        ),
        (GOOD, {"n_layers": 0}, ValueError, "n_layers must be at least 1, got 0"),
        (GOOD, {"n_layers": -3}, ValueError, "n_layers must be at least 1, got -3"),
        (GOOD, {"n_layers": 2.5}, TypeError, "n_layers must be an integer, got 2.5"),
        (GOOD, {"n_layers": 46}, ValueError, "n_layers must be at most the number of segments, 45, got 46"),
        (GOOD, {"n_segments": 3}, ValueError, "n_layers must be at most the number of segments, 3, got 5"),
        (GOOD, {"n_segments": 50}, ValueError, "n_segments must be at most the number of eigenvectors, 45, got 50"),
        (GOOD, {"n_eigenvectors": 180}, ValueError, "n_eigenvectors must be less than the number of pixels, 180"),
        (GOOD, {"n_superpixels": 181}, ValueError, "n_superpixels must be at most the number of pixels, 180, got 181"),
        (GOOD, {"n_superpixels": 10**30}, ValueError, "n_superpixels must be at most the number of pixels"),
        (GOOD, {"n_superpixels": 0}, ValueError, "n_superpixels must be at least 1, got 0"),
        (GOOD, {"seed": -1}, ValueError, "seed must be in 0"),
        (GOOD, {"features": np.zeros((15, 12, 3))}, ValueError, "image's height and width 12x15, got 15x12"),
        (GOOD, {"features": "best"}, ValueError, "features must be 'embedded', 'lowlevel', 'hypercolumn:FILE'"),
        (GOOD, {"feature_size": 31}, ValueError, "feature_size must be at least 32, got 31"),
        (GOOD, {"feature_size": 64.0}, TypeError, "feature_size must be an integer, got 64.0"),
        (GOOD, {"method": "fast"}, ValueError, "method must be one of 'stable', 'compat', got 'fast'"),
        (GOOD, {"semantic_threshold": np.nan}, ValueError, "semantic_threshold must be at least 0, got nan"),
        (GOOD, {"tolerance": 0}, ValueError, "tolerance must be above 0, got 0"),
        (GOOD, {"dtype": np.float16}, TypeError, "dtype must be float32 or float64, got float16"),
        (GOOD, {"dtype": "nonsense"}, TypeError, "nonsense"),
    ],
)
def test_bad_input_is_refused_before_anything_runs(image, options, error, message):
    started = []
    with pytest.raises(error, match=message):
        segment(image, progress=lambda *call: started.append(call), **{"features": "lowlevel", **options})
    # Features are looked at in the first stage.
    assert not any(stage != "features" for stage, _ in started)


def test_normalised_laplacian_runs_as_well(scene):
    image, features, truth = scene
    layers = segment(image, features=features, n_layers=3, normalized=True)
    assert layers.settings["normalized"] is True
    assert distance_under_best_order(layers.alphas, truth) < 0.1


def test_compat_runs_as_well(scene):
    image, features, truth = scene
    layers = segment(image, features=features, n_layers=3, method="compat")
    assert distance_under_best_order(layers.alphas, truth) < 0.1


def test_golden_images_end_to_end(golden):
    """Not bit by bit: the superpixels and the start are our own, and the authors' result depends on its seed."""
    layers = segment(golden["image"], features=golden["features"], n_layers=5)
    authors, _ = fastsoft.layers.project_to_simplex(golden["final"].astype(np.float64))
    hard, theirs = layers.alphas.argmax(axis=2), authors.argmax(axis=2)
    # Every one of their layers of some size is a union of ours or the other way round: share of pixels in agreement.
    table = np.zeros((5, 5))
    np.add.at(table, (hard.ravel(), theirs.ravel()), 1)
    agreement = max(table.max(axis=0).sum(), table.max(axis=1).sum()) / hard.size
    assert agreement > 0.8


def test_spectral_matting(scene):
    image, features, truth = scene
    calls = []
    layers = spectral_matting(image, progress=lambda *call: calls.append(call), keep_stages=True)
    assert 3 <= layers.n_layers <= 20
    np.testing.assert_allclose(layers.alphas.sum(axis=2), 1, atol=1e-12)
    assert layers.alphas.min() >= 0
    assert layers.settings["method"] == "spectral"
    assert list(layers.timings) == [stage for stage in SPECTRAL_STAGES if stage != "features"]
    grouped = spectral_matting(image, features=features, n_layers=3)
    assert grouped.n_layers == 3
    assert distance_under_best_order(grouped.alphas, truth) < 0.1


def test_spectral_matting_refuses_bad_input(rng):
    with pytest.raises(ValueError, match="n_layers must be at least 1, got 0"):
        spectral_matting(GOOD, n_layers=0)
    with pytest.raises(ValueError, match="n_layers must be at most the number of segments, 45, got 46"):
        spectral_matting(GOOD, n_layers=46)
    with pytest.raises(ValueError, match="at least 3x3 pixels, got 2x9"):
        spectral_matting(np.zeros((2, 9, 3)))
    with pytest.raises(ValueError, match="image's height and width"):
        spectral_matting(GOOD, n_layers=2, features=np.zeros((3, 3, 3)))
    layers = spectral_matting(GOOD)
    np.testing.assert_allclose(layers.alphas.sum(axis=2), 1, atol=1e-12)
