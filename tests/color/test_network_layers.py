# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest
import torch

import fastsoft
from fastsoft.color.models import load_model
from fastsoft.color.network_layers import HALO, LayerModel, LayerNetwork, palette_scale, save_network, sparsemax
from fastsoft.ops import unmixing
from tests.reference import unmixing as reference


def random_network(seed=3, **options):
    """A network whose last convolution says something, too."""
    torch.manual_seed(seed)
    network = LayerNetwork((8, 12, 16), **options)
    with torch.no_grad():
        network.head.weight.normal_(0, 0.3)
        network.head.bias.normal_(0, 0.1)
    return network


@pytest.fixture(scope="module")
def network():
    return random_network().requires_grad_(False)


def photo_and_palette(rng, height, width, n):
    return rng.random((height, width, 3)).astype(np.float32), rng.random((n, 3)).astype(np.float32)


def tensors(image, palette):
    return torch.from_numpy(image.transpose(2, 0, 1).copy())[None], torch.from_numpy(palette)[None]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_sparsemax_is_the_projection(rng, axis):
    z = rng.normal(0, 1.5, (4, 5, 6))
    expected = np.apply_along_axis(reference.project, axis, z)
    np.testing.assert_allclose(sparsemax(torch.from_numpy(z), axis).numpy(), expected, atol=1e-14)


def test_slope_of_sparsemax(rng):
    z = torch.from_numpy(rng.normal(0, 1, (3, 6))).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: sparsemax(x, 1), z, eps=1e-7, atol=1e-5)


@pytest.mark.parametrize("n", [2, 5, 10])
def test_exchanging_colours_exchanges_layers(network, rng, n):
    image, palette = tensors(*photo_and_palette(rng, 32, 48, n))
    order = torch.from_numpy(rng.permutation(n))
    one, two = network(image, palette), network(image, palette[:, order])
    torch.testing.assert_close(two.alphas, one.alphas[:, order], atol=2e-5, rtol=0)
    torch.testing.assert_close(two.colors, one.colors[:, order], atol=2e-5, rtol=0)
    assert (one.alphas - one.alphas.flip(1)).abs().max() > 0.1


def test_photographs_of_a_batch_do_not_see_each_other(network, rng):
    images, palettes = zip(*(tensors(*photo_and_palette(rng, 32, 32, 4)) for _ in range(3)), strict=True)
    together = network(torch.cat(images), torch.cat(palettes))
    for k in range(3):
        alone = network(images[k], palettes[k])
        torch.testing.assert_close(together.alphas[k], alone.alphas[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(together.colors[k], alone.colors[0], atol=1e-5, rtol=0)


def test_native_code_computes_what_training_sees(network, rng):
    image, palette = photo_and_palette(rng, 48, 64, 6)
    expected = network(*tensors(image, palette))
    model = LayerModel(network)
    alphas, state = model.alphas(image, palette)
    np.testing.assert_allclose(alphas, expected.alphas[0].permute(1, 2, 0), atol=1e-5)
    colors = model.colors(image, palette, alphas, state)
    np.testing.assert_allclose(colors, expected.colors[0].permute(2, 3, 0, 1), atol=2e-5)
    np.testing.assert_allclose(
        unmixing.palette_scale(palette), float(palette_scale(torch.from_numpy(palette)[None])), rtol=1e-6
    )


def test_what_a_network_without_training_does(rng):
    """Distances to the palette and the descent alone, against the slow reference; gains of 1 recompose."""
    torch.manual_seed(0)
    image, palette = photo_and_palette(rng, 16, 32, 5)
    image = 0.25 + 0.5 * image
    prediction = LayerNetwork((8, 12, 16), steps=2)(*tensors(image, palette))
    none = np.zeros((8, 16, 5, 4))
    expected = reference.unmix_alphas(image, palette, none, steps=2)
    np.testing.assert_allclose(prediction.alphas[0].detach().permute(1, 2, 0), expected, atol=1e-5)
    none[..., 3] = 1
    colors = reference.unmix_colors(image, palette, expected, none)
    np.testing.assert_allclose(prediction.colors[0].detach().permute(2, 3, 0, 1), colors, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 90), (53, 2), (101, 150)])
def test_any_size_and_tiles(network, rng, shape):
    image, palette = photo_and_palette(rng, *shape, 3)
    model = LayerModel(network)
    alphas, state = model.alphas(image, palette, tile=1024)
    assert alphas.shape == (*shape, 3)
    assert alphas.min() >= 0
    np.testing.assert_allclose(alphas.sum(axis=2, dtype=np.float64), 1, atol=1e-6)
    tiled, tiled_state = model.alphas(image, palette, tile=16)
    np.testing.assert_allclose(tiled, alphas, atol=1e-5)
    np.testing.assert_allclose(tiled_state, state, atol=1e-5)
    colors = model.colors(image, palette, alphas, state)
    assert colors.min() >= 0
    assert colors.max() <= 1


def test_tiles_overlap_by_what_the_network_sees(network):
    reach = 0
    for col in range(160, 176, 3):
        image = torch.rand(1, 3, 32, 336)
        image[0, :, :, col] = torch.nan
        spoilt = network.coefficients(image, torch.rand(1, 3, 3))[0, 0, 0].isnan().any(dim=0).nonzero()
        reach = max(reach, col - 2 * int(spoilt.min()), 2 * int(spoilt.max()) + 1 - col)
    # Interpolation looks at one coefficient more, two pixels.
    assert HALO - 16 < reach + 2 <= HALO


def test_skips_carry_detail(rng):
    image, palette = tensors(*photo_and_palette(rng, 32, 32, 3))
    with_skips, without = random_network(), random_network(skips=False)
    without.load_state_dict(with_skips.state_dict())
    assert (with_skips(image, palette).alphas - without(image, palette).alphas).abs().max() > 1e-3


def test_weights_come_back(rng, tmp_path):
    network = random_network(steps=1, skips=False)
    save_network(network, tmp_path / "w.safetensors")
    model = load_model(tmp_path / "w.safetensors")
    assert model.n_colors == (2, 10)
    image, palette = photo_and_palette(rng, 20, 30, 4)
    expected, _ = LayerModel(network).alphas(image, palette)
    np.testing.assert_array_equal(model.alphas(image, palette)[0], expected)


def test_damaged_weights_are_refused(tmp_path):
    from safetensors.numpy import save_file

    network = random_network()
    arrays = {key: value.detach().numpy() for key, value in network.state_dict().items()}
    metadata = {"design": "layers", "channels": "8 12 16", "steps": "2", "skips": "1"}
    path = tmp_path / "w.safetensors"
    for spoilt in ({"channels": "8 12"}, {"steps": "two"}, {"skips": None}):
        found = {key: value for key, value in (metadata | spoilt).items() if value is not None}
        save_file(arrays, path, found)
        with pytest.raises(ValueError, match="must say their channels, steps and skips, got"):
            load_model(path)
    save_file(arrays, path, metadata | {"channels": "8 12 20"})
    with pytest.raises(ValueError, match="must have shape"):
        load_model(path)
    save_file({key: value for key, value in arrays.items() if key != "head.bias"}, path, metadata)
    with pytest.raises(ValueError, match=r"must be those of LayerNetwork, got no head\.bias"):
        load_model(path)


@pytest.mark.parametrize("n", [2, 10])
def test_the_whole_decomposition_keeps_its_promises(network, rng, n):
    image, palette = photo_and_palette(rng, 45, 70, n)
    layers = fastsoft.decompose_colors(image, palette.astype(np.float64), weights=LayerModel(network))
    assert np.abs(layers.alphas.sum(axis=2, dtype=np.float64) - 1).max() < 1e-6
    np.testing.assert_allclose(layers.recomposed(), image, atol=2e-6)
    with pytest.raises(ValueError, match="palette must hold at most 10 colours"):
        fastsoft.decompose_colors(image, rng.random((11, 3)), weights=LayerModel(network))


@pytest.fixture
def torch_threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_threads_change_no_bit_and_stay_as_set(network, rng, torch_threads):
    image, palette = photo_and_palette(rng, 70, 90, 3)
    torch_threads(1)
    alphas, state = LayerModel(network).alphas(image, palette, tile=16)
    torch_threads(3)
    seen = []
    found, found_state = LayerModel(network).alphas(image, palette, tile=16, progress=seen.append)
    np.testing.assert_array_equal(found, alphas)
    np.testing.assert_array_equal(found_state, state)
    assert torch.get_num_threads() == 3
    assert seen == sorted(seen)
    assert seen[-1] == 1

    def cancel(fraction):
        raise fastsoft.Cancelled

    with pytest.raises(fastsoft.Cancelled):
        LayerModel(network).alphas(image, palette, tile=16, progress=cancel)
    assert torch.get_num_threads() == 3


def test_the_gain_scales_what_layers_take_up_of_the_rest(rng, tmp_path):
    """With a gain of 0 colours are the palette's plus their offsets; in between, they lie in between."""
    torch.manual_seed(2)
    network = LayerNetwork((8, 8, 8))
    torch.nn.init.normal_(network.head.weight, std=0.1)
    image = rng.random((32, 48, 3)).astype(np.float32)
    palette = rng.random((3, 3)).astype(np.float32)
    found = {}
    for gain in (0.0, 0.25, 1.0):
        network.gain = gain
        save_network(network, tmp_path / "w.safetensors")
        model = load_model(tmp_path / "w.safetensors")
        alphas, state = model.alphas(image, palette)
        found[gain] = model.colors(image, palette, alphas, state)
    inside = (found[1.0] > 0) & (found[1.0] < 1) & (found[0.0] > 0) & (found[0.0] < 1)
    expected = 0.75 * found[0.0] + 0.25 * found[1.0]
    np.testing.assert_allclose(found[0.25][inside], expected[inside], atol=1e-5)
    assert np.abs(found[1.0] - found[0.0]).max() > 0.05


def test_the_factor_on_offsets_scales_how_far_bases_are_from_the_palette(rng):
    torch.manual_seed(2)
    network = LayerNetwork((8, 8, 8))
    torch.nn.init.normal_(network.head.weight, std=0.1)
    image = torch.from_numpy(rng.random((1, 3, 32, 48)).astype(np.float32))
    palette = torch.from_numpy(rng.random((1, 3, 3)).astype(np.float32))
    with torch.inference_mode():
        whole = network(image, palette)
        network.offset = 0.5
        half = network(image, palette)
    plain = palette[:, :, :, None, None]
    np.testing.assert_allclose(half.bases - plain, (whole.bases - plain) / 2, atol=1e-6)
    assert torch.equal(half.alphas, whole.alphas)
