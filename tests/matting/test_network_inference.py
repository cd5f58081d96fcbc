# SPDX-License-Identifier: MIT
from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from fastsoft.matting import network_inference
from fastsoft.matting.models import load_network, network_matting
from fastsoft.matting.network import MattingNetwork, save_network
from fastsoft.matting.network_inference import MARGIN, pad_canvas, resize_planes
from fastsoft.matting.network_refinement import RefinementSettings
from fastsoft.matting.planes import extra_planes
from tests.matting.test_network_refinement import blob, small_network
from tests.reference import matting_network as reference


@pytest.fixture(scope="module")
def network():
    return small_network()


@pytest.fixture(scope="module")
def network_with_plane():
    return small_network(extra_channels=("closed_form",))


def photo(rng, height, width):
    return rng.random((height, width, 3)).astype(np.float32)


def raw(network, canvas):
    x = torch.from_numpy(canvas.transpose(2, 0, 1)[None].astype(np.float32).copy())
    with torch.no_grad():
        return network(x[:, :3], x[:, 3:4], x[:, 4:] if x.shape[1] > 4 else None)[0, 0].numpy()


def mirrored(index, n):
    """Index into n elements that are mirrored at both ends again and again without repeating the end."""
    if n == 1:
        return 0
    index %= 2 * (n - 1)
    return index if index < n else 2 * (n - 1) - index


def slow_canvas(planes):
    height, width, channels = planes.shape
    tall, wide = (-(-n // 64) * 64 for n in (height, width))
    out = np.zeros((tall + 64, wide + 64, channels))
    for row in range(tall + 32):
        for col in range(wide + 32):
            # The frame mirrors what is extended already.
            inner = mirrored(row - 16, tall), mirrored(col - 16, wide)
            out[row + 16, col + 16] = planes[mirrored(inner[0], height), mirrored(inner[1], width)]
    return out


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (64, 63), (70, 20)])
def test_canvas_is_the_published_one(rng, shape):
    planes = rng.random((*shape, 2))
    found = pad_canvas(planes)
    np.testing.assert_array_equal(found, slow_canvas(planes))
    assert not found[:16].any()
    assert not found[:, -16:].any()
    np.testing.assert_array_equal(found[MARGIN : MARGIN + shape[0], MARGIN : MARGIN + shape[1]], planes)


@pytest.mark.parametrize(("mode", "kind"), [("nearest", "nearest"), ("bilinear", "linear"), ("bicubic", "cubic")])
@pytest.mark.parametrize("shape", [(8, 11), (12, 17), (1, 30), (10, 14)])
def test_resizing_is_the_reference(rng, mode, kind, shape):
    planes = rng.random((10, 14, 2))
    expected = reference.resize(planes.transpose(2, 0, 1), shape, kind).transpose(1, 2, 0)
    np.testing.assert_allclose(resize_planes(planes, shape, mode), expected, atol=1e-12)


def explicit(network, image, trimap, extra=None):
    """One pass as the specification of the authors' program has it."""
    planes = [image, trimap[:, :, None] / 255]
    canvas = slow_canvas(np.concatenate(planes if extra is None else [*planes, extra], axis=2))
    height, width = trimap.shape
    alpha = raw(network, canvas).clip(0, 1)[32 : 32 + height, 32 : 32 + width]
    alpha[trimap > 200] = 1
    alpha[trimap < 50] = 0
    return alpha


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (33, 1), (20, 31), (90, 64)])
def test_one_pass_of_any_size(network, rng, shape):
    """Images below 32 pixels and those of one pixel's width included."""
    image, trimap = photo(rng, *shape), rng.choice([0, 128, 255], size=shape).astype(np.uint8)
    trimap[0, 0] = 128
    found = network_matting(image, trimap, weights=network)
    assert found.shape == shape
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, explicit(network, image, trimap), atol=1e-5)
    for large in ("tile", "resize"):
        again = network_matting(image.astype(np.float64), trimap / 255, weights=network, large=large)
        np.testing.assert_allclose(again, found, atol=1e-5)


def test_output_is_clamped_and_overwritten(network, rng):
    network = small_network()
    with torch.no_grad():
        network.decoder.final_final.conv3.weight.mul_(100)
    image, trimap = photo(rng, 50, 60), blob(50, 60)
    found = network_matting(image, trimap, weights=network)
    assert (found[trimap == 0] == 0).all()
    assert (found[trimap == 255] == 1).all()
    inside = found[trimap == 128]
    assert {0.0, 1.0} == {float(inside.min()), float(inside.max())}


@pytest.mark.parametrize("extra", [False, True])
def test_augmentation_is_the_mean_of_24_passes(request, rng, extra):
    network = request.getfixturevalue("network_with_plane" if extra else "network")
    image, trimap = photo(rng, 37, 58), blob(37, 58)
    planes = rng.random((37, 58, 1)) if extra else None

    def resized(planes, shape, kind):
        return reference.resize(planes.transpose(2, 0, 1), shape, kind).transpose(1, 2, 0)

    total = np.zeros((37, 58))
    count = 0
    for shape in ((29, 46), (37, 58), (46, 72)):  # 0.8, 1 and 1.25 times, truncated
        scaled = resized(image, shape, "cubic").clip(0, 1)
        known = resized(trimap[:, :, None].astype(float), shape, "nearest")[:, :, 0]
        plane = None if planes is None else resized(planes, shape, "cubic").clip(0, 1)
        mean = np.zeros(shape)
        for flip in (lambda x: x, np.flipud, np.fliplr, lambda x: np.flipud(np.fliplr(x))):
            for turn in (lambda x: x, lambda x: x.swapaxes(0, 1)):
                one = explicit(
                    network, flip(turn(scaled)), flip(turn(known)), None if plane is None else flip(turn(plane))
                )
                mean += turn(flip(one)) / 8
                count += 1
        total += resized(mean[:, :, None], (37, 58), "cubic")[:, :, 0]
    assert count == 24
    expected = (total / 3).clip(0, 1)
    expected[trimap == 255] = 1
    expected[trimap == 0] = 0
    seen = []
    found = network_matting(image, trimap, weights=network, extra=planes, augment=True, progress=seen.append)
    np.testing.assert_allclose(found, expected, atol=2e-5)
    assert np.abs(found - network_matting(image, trimap, weights=network, extra=planes)).max() > 1e-3
    assert seen == sorted(seen)
    assert seen[-1] == 1


def test_refinement_sees_the_photograph_only(network, rng):
    """Of the padded canvas, unless the authors' form is asked for."""
    image, trimap = photo(rng, 50, 60), blob(50, 60)
    plain = network_matting(image, trimap, weights=network)
    seen = []
    own = network_matting(
        image, trimap, weights=network, refine=RefinementSettings(steps=4), large="resize", progress=seen.append
    )
    compat = network_matting(image, trimap, weights=network, refine=RefinementSettings.compat(steps=4))
    unknown = trimap == 128
    assert np.abs(own - plain)[unknown].max() > 1e-4
    assert np.abs(own - compat)[unknown].max() > 1e-4
    assert (own[trimap == 0] == 0).all()
    assert seen == sorted(seen)
    assert seen[-1] == 1


@pytest.mark.parametrize("refine", ["compat", "paper", True])
def test_names_of_refinements(network, rng, refine, monkeypatch):
    used = []

    class Spy(network_inference.BackpropagatingRefinement):
        def __init__(self, network, settings):
            used.append(settings)
            super().__init__(network, RefinementSettings(steps=0))

    monkeypatch.setattr(network_inference, "BackpropagatingRefinement", Spy)
    network_matting(photo(rng, 20, 20), blob(20, 20), weights=network, refine=refine)
    expected = {"compat": RefinementSettings.compat(), "paper": RefinementSettings.paper(), True: RefinementSettings()}
    assert used == [expected[refine]]


@pytest.mark.parametrize(("extent", "tile"), [(256, 256), (257, 256), (384, 256), (385, 256), (5000, 1024)])
def test_stretches_cover_and_overlap(extent, tile):
    stretches = network_inference._stretches(extent, tile)
    assert stretches[0].start == 0
    assert stretches[-1].stop == extent
    assert all(s.stop - s.start == min(tile, extent) for s in stretches)
    assert all(one.stop - two.start >= network_inference.OVERLAP for one, two in pairwise(stretches))
    weight = np.zeros(extent)
    for stretch in stretches:
        ramp = network_inference._ramp(stretch, extent)
        assert ramp.min() > 0
        assert ramp.max() <= 1
        weight[stretch] += ramp
    assert weight.min() > 0.9


def test_tiles_are_blended(network, rng):
    """By hand for two tiles, of which the network is run on each as on a photograph of its own."""
    image, trimap = photo(rng, 40, 300), blob(40, 300)
    left, right = (network_matting(image[:, s], trimap[:, s], weights=network) for s in (slice(0, 256), slice(44, 300)))
    rise = np.minimum((np.arange(256) + 1) / 129, 1)
    weights = np.zeros((2, 300))
    weights[0, :256], weights[1, 44:] = rise[::-1], rise
    both = np.zeros((2, 40, 300))
    both[0, :, :256], both[1, :, 44:] = left, right
    expected = (both * weights[:, None]).sum(axis=0) / weights.sum(axis=0)
    found = network_matting(image, trimap, weights=network, tile=256)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_tiles_without_unknown_pixels_are_not_computed(network, rng, monkeypatch):
    image, trimap = photo(rng, 300, 300), np.zeros((300, 300), dtype=np.uint8)
    trimap[:20, :20] = 128
    shapes = []
    canvas = network_inference._canvas
    monkeypatch.setattr(
        network_inference, "_canvas", lambda task, planes, progress: shapes.append(0) or canvas(task, planes, progress)
    )
    found = network_matting(image, trimap, weights=network, tile=256)
    assert len(shapes) == 1
    assert found[:20, :20].any()
    assert not found[20:].any()


def test_large_photographs_are_resized_as_published(network, rng, monkeypatch):
    """Each side by itself, only where it is above the limit."""
    monkeypatch.setattr(network_inference, "LIMIT", 48)
    image, trimap = photo(rng, 40, 70), blob(40, 70)

    def resized(planes, shape, kind):
        return reference.resize(planes.transpose(2, 0, 1), shape, kind).transpose(1, 2, 0)

    known = resized(trimap[:, :, None].astype(float), (40, 48), "nearest")[:, :, 0]
    alpha = explicit(network, resized(image, (40, 48), "linear"), known)
    expected = resized(alpha[:, :, None], (40, 70), "linear")[:, :, 0]
    expected[trimap == 255] = 1
    expected[trimap == 0] = 0
    found = network_matting(image, trimap, weights=network, large="resize")
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("augment", [False, True])
def test_known_trimaps_are_the_answer(network, rng, augment):
    trimap = np.zeros((30, 20), dtype=np.uint8)
    trimap[:, :9] = 255
    found = network_matting(photo(rng, 30, 20), trimap, weights=network, augment=augment)
    np.testing.assert_array_equal(found, trimap == 255)
    assert found.dtype == np.float32


def test_single_unknown_pixel_that_smaller_sizes_lose(network, rng):
    """At 0.8 times the size, nearest neighbour drops it."""
    trimap = np.zeros((30, 30), dtype=np.uint8)
    trimap[24, 24] = 128
    found = network_matting(photo(rng, 30, 30), trimap, weights=network, augment=True)
    assert np.isfinite(found).all()
    assert np.count_nonzero(found) <= 1


def test_network_is_left_as_it_was(rng):
    network = small_network().requires_grad_(True)
    network.decoder.final_final.conv1.requires_grad_(False)
    network_matting(photo(rng, 20, 20), blob(20, 20), weights=network, refine=RefinementSettings(steps=1))
    assert not network.decoder.final_final.conv1.weight.requires_grad
    assert network.decoder.final_final.conv2.weight.requires_grad
    assert all(x.grad is None for x in network.parameters())


def test_weights_from_a_file(network_with_plane, rng, tmp_path):
    path = tmp_path / "w.safetensors"
    save_network(path, network_with_plane, network_with_plane.state_dict())
    assert load_network(path).extra_channels == ("closed_form",)
    image, trimap, plane = photo(rng, 40, 50), blob(40, 50), rng.random((40, 50)).astype(np.float32)
    found = network_matting(image, trimap, weights=path, extra=plane)
    expected = network_matting(image, trimap, weights=network_with_plane, extra=plane[:, :, None])
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_bad_input(network, network_with_plane, rng, tmp_path):
    image, trimap = photo(rng, 20, 30), blob(20, 30)

    def run(image=image, trimap=trimap, weights=network, **options):
        return network_matting(image, trimap, weights=weights, **options)

    with pytest.raises(ValueError, match="trimap must have the size of the image, 20x30, got 20x29"):
        run(trimap=trimap[:, :-1])
    with pytest.raises(ValueError, match=r"image must have shape \(H, W, 3\), got \(20, 30\)"):
        run(image=image[:, :, 0])
    with pytest.raises(ValueError, match=r"image must lie in \[0, 1\]"):
        run(image=image * 2)
    with pytest.raises(ValueError, match="image must be finite"):
        run(image=np.full_like(image, np.nan))
    with pytest.raises(TypeError, match="trimap must have dtype"):
        run(trimap=trimap == 0)
    with pytest.raises(ValueError, match=r"extra must have shape \(20, 30, 1\), got \(20, 29, 1\)"):
        run(weights=network_with_plane, extra=np.zeros((20, 29)))
    with pytest.raises(ValueError, match=r"extra must have shape \(20, 30, 0\), got \(20, 30, 1\)"):
        run(extra=np.zeros((20, 30)))
    with pytest.raises(ValueError, match="extra must be finite"):
        run(weights=network_with_plane, extra=np.full((20, 30), np.nan))
    with pytest.raises(ValueError, match=r"extra must lie in \[0, 1\], got values in \[2, 2\]"):
        run(weights=network_with_plane, extra=np.full((20, 30), 2.0))
    with pytest.raises(ValueError, match="refine must be one of 'compat', 'paper', got 'much'"):
        run(refine="much")
    with pytest.raises(ValueError, match="large must be one of"):
        run(large="crop")
    with pytest.raises(ValueError, match="tile must be at least 256, got 64"):
        run(tile=64)
    with pytest.raises(TypeError, match="weights must be a path or a MattingNetwork, got int"):
        run(weights=3)
    with pytest.raises(ValueError, match="weights must be a network in evaluation mode"):
        run(weights=MattingNetwork("mobilenet_v2"))
    with pytest.raises(ValueError, match="cannot read weights from"):
        run(weights=tmp_path / "none.safetensors")


def test_planes_that_are_not_given_are_made(network_with_plane, rng):
    image, trimap = photo(rng, 40, 50), blob(40, 50)
    found = network_matting(image, trimap, weights=network_with_plane)
    given = network_matting(
        image, trimap, weights=network_with_plane, extra=extra_planes(network_with_plane.extra_channels, image, trimap)
    )
    np.testing.assert_array_equal(found, given)
