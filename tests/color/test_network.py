# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from fastsoft.color.models import convert_published_weights, load_model
from fastsoft.color.network import HALO, AlphaPredictor, PublishedModel, ResiduePredictor
from fastsoft.color.processing import smooth_alphas
from fastsoft.image import read_image
from fastsoft.weights import read_weights
from tests.color.conftest import AUTHORS_PALETTE
from tests.reference.color_unet import unet


@pytest.fixture(scope="module")
def model():
    """Networks of three colours with random weights and statistics, so that no part of them is idle."""
    torch.manual_seed(5)
    networks = AlphaPredictor(3), ResiduePredictor(3)
    for network in networks:
        for name, value in network.state_dict().items():
            if name.startswith("bn") and value.is_floating_point():
                value.uniform_(0.5, 1.5)
    return PublishedModel(*networks)


def photo_and_palette(rng, height, width, n=3):
    return rng.random((height, width, 3)).astype(np.float32), rng.random((n, 3)).astype(np.float32)


def double(network):
    return {name: value.numpy().astype(np.float64) for name, value in network.state_dict().items()}


def test_both_networks_equal_the_tables(model, rng):
    image, palette = photo_and_palette(rng, 16, 24)
    planes = np.broadcast_to(palette.reshape(9, 1, 1), (9, 16, 24))
    x = np.concatenate([image.transpose(2, 0, 1), planes]).astype(np.float64)
    alphas = 1 / (1 + np.exp(-unet(x, double(model._alpha))))
    alphas /= alphas.sum(axis=0)
    found, _ = model.alphas(image, palette)
    # float32 sums of up to 700 products
    np.testing.assert_allclose(found, alphas.transpose(1, 2, 0), atol=2e-5)
    layers = [np.concatenate([planes[3 * i : 3 * i + 3], alphas[i : i + 1]]) for i in range(3)]
    x = np.concatenate([image.transpose(2, 0, 1), *layers])
    residues = np.tanh(unet(x, double(model._residue)))
    residues -= residues.mean(axis=(1, 2), keepdims=True)
    colors = np.clip(residues.reshape(3, 3, 16, 24) + palette[:, :, None, None], 0, 1)
    np.testing.assert_allclose(model.colors(image, palette, found), colors.transpose(2, 3, 0, 1), atol=5e-5)


def test_forward_of_the_modules_is_what_the_model_computes(model, rng):
    image, palette = photo_and_palette(rng, 16, 24)
    x, p = torch.from_numpy(image.transpose(2, 0, 1).copy())[None], torch.from_numpy(palette)[None]
    alphas = model._alpha(x, p)
    alphas = alphas / alphas.sum(dim=1, keepdim=True)
    residues = model._residue(x, p, alphas)
    assert residues.shape == (1, 3, 3, 16, 24)
    assert residues.mean(dim=(3, 4)).abs().max() < 1e-6
    colors = (residues[0] + p[0, :, :, None, None]).clamp(0, 1).permute(2, 3, 0, 1).numpy()
    np.testing.assert_allclose(model.colors(image, palette, model.alphas(image, palette)[0]), colors, atol=1e-5)


def test_numbers_of_parameters_are_the_authors():
    assert sum(p.numel() for p in AlphaPredictor(7).parameters()) == 521_695
    assert sum(p.numel() for p in ResiduePredictor(7).parameters()) == 873_074


@pytest.mark.parametrize("shape", [(1, 1), (8, 8), (53, 90), (120, 33)])
def test_tiles_change_nothing(model, rng, shape):
    """Also the means that residues are freed of are those over the whole photograph."""
    image, palette = photo_and_palette(rng, *shape)
    whole, _ = model.alphas(image, palette, tile=1024)
    tiled, _ = model.alphas(image, palette, tile=16)
    assert whole.shape == (*shape, 3)
    np.testing.assert_allclose(tiled, whole, atol=2e-6)
    colors = model.colors(image, palette, whole, tile=1024)
    np.testing.assert_allclose(model.colors(image, palette, whole, tile=16), colors, atol=5e-6)


def test_tiles_overlap_by_what_the_networks_see(model):
    """A pixel that is not a number spoils all that depends on it."""
    reach = 0
    for row in range(48, 56):
        image = torch.rand(1, 3, 104, 104)
        image[0, :, row, 49] = torch.nan
        spoilt = model._alpha(image, torch.rand(1, 3, 3))[0, 0].isnan().any(dim=1).nonzero()
        reach = max(reach, int((spoilt - row).abs().max()))
    assert reach == HALO


def test_odd_sizes_are_padded_by_their_last_row_and_column(model, rng):
    image, palette = photo_and_palette(rng, 21, 30)
    padded = np.pad(image, ((0, 3), (0, 2), (0, 0)), mode="edge")
    found, _ = model.alphas(image, palette)
    np.testing.assert_allclose(found, model.alphas(padded, palette)[0][:21, :30], atol=1e-6)


def test_alphas_and_colours_keep_their_ranges(model, rng):
    image, palette = photo_and_palette(rng, 40, 40)
    alphas, state = model.alphas(image, palette)
    colors = model.colors(image, palette, alphas, state)
    assert alphas.min() >= 0
    np.testing.assert_allclose(alphas.sum(axis=2), 1, atol=1e-6)
    assert colors.min() >= 0
    assert colors.max() <= 1


def test_fewer_colours_repeat_the_palette_and_merge_its_layers(model, rng):
    image, palette = photo_and_palette(rng, 24, 24, n=2)
    repeated = palette[[0, 1, 0]]
    three, _ = model.alphas(image, repeated)
    found, _ = model.alphas(image, palette)
    np.testing.assert_allclose(found[:, :, 0], three[:, :, 0] + three[:, :, 2], atol=1e-6)
    np.testing.assert_allclose(found[:, :, 1], three[:, :, 1], atol=1e-6)
    shared = np.stack([found[:, :, 0] / 2, found[:, :, 1], found[:, :, 0] / 2], axis=2)
    x, p = torch.from_numpy(image.transpose(2, 0, 1).copy())[None], torch.from_numpy(repeated)[None]
    residues = model._residue(x, p, torch.from_numpy(shared.transpose(2, 0, 1).copy())[None])[0].numpy()
    expected = np.stack([(residues[0] + residues[2]) / 2, residues[1]]) + palette[:, :, None, None]
    colors = model.colors(image, palette, found)
    np.testing.assert_allclose(colors, expected.clip(0, 1).transpose(2, 3, 0, 1), atol=1e-5)


def test_progress_ends_with_one(model, rng):
    image, palette = photo_and_palette(rng, 40, 40)
    seen = []
    alphas, _ = model.alphas(image, palette, tile=16, progress=seen.append)
    model.colors(image, palette, alphas, tile=16, progress=seen.append)
    assert len(seen) == 18
    assert seen[8] == seen[17] == 1
    assert seen == sorted(seen[:9]) + sorted(seen[9:])


def test_the_authors_layers(shared, authors_model, authors_photo):
    """Guided filter on, alphas not brought back into [0, 1]: how the stored layers were made."""
    alphas, state = authors_model.alphas(authors_photo, AUTHORS_PALETTE)
    smooth = smooth_alphas(alphas, authors_photo, project=False)
    assert smooth.min() < -0.2
    assert smooth.max() > 1.1
    colors = authors_model.colors(authors_photo, AUTHORS_PALETTE, smooth, state)
    for k in range(7):
        with Image.open(shared / "golden" / "fscs" / f"img-00_layer-{k:02d}.png") as picture:
            stored = np.asarray(picture).astype(np.float64)
        layer = np.concatenate([colors[:, :, k], smooth[:, :, k, None].clip(0, 1)], axis=2)
        difference = np.abs(np.round(layer * 255.0) - stored)
        # The filter's epsilon of 1e-6 amplifies rounding where the photograph is flat.
        assert difference.mean() < 0.2
        assert (difference > 2).mean() < 0.01


def test_the_authors_figures_without_the_filter(authors_model, authors_photo):
    """Against the figures that an independent implementation gave: 30.02 dB and a sparsity of 0.402."""
    alphas, state = authors_model.alphas(authors_photo, AUTHORS_PALETTE)
    colors = authors_model.colors(authors_photo, AUTHORS_PALETTE, alphas, state)
    error = (alphas[:, :, :, None] * colors).sum(axis=2) - authors_photo
    assert -10 * np.log10(np.mean(error.astype(np.float64) ** 2)) == pytest.approx(30.02, abs=0.005)
    assert np.mean(1 / (alphas**2).sum(axis=2) - 1) == pytest.approx(0.402, abs=5e-4)


def test_converted_weights_are_the_authors_bits(shared, authors_weights):
    state, metadata = read_weights(authors_weights)
    assert metadata == {"design": "published", "n_colors": "7"}
    for part, name in (("alpha", "mask_generator"), ("residue", "residue_predictor")):
        original = torch.load(shared / "golden" / "fscs" / f"{name}.pth", map_location="cpu", weights_only=True)
        AlphaPredictor(7).load_state_dict(original) if part == "alpha" else ResiduePredictor(7).load_state_dict(
            original
        )
        for key, value in original.items():
            np.testing.assert_array_equal(state.pop(f"{part}.{key}"), value.numpy())
    assert not state


class _Harm:
    def __reduce__(self):
        return print, ("run",)


def test_what_cannot_be_converted_is_refused(tmp_path, capsys):
    alpha, residue = tmp_path / "alpha.pth", tmp_path / "residue.pth"
    torch.save(AlphaPredictor(3).state_dict(), alpha)
    torch.save(ResiduePredictor(3).state_dict(), residue)
    out = tmp_path / "w.safetensors"
    convert_published_weights(alpha, residue, out)
    assert load_model(out).n_colors == (2, 3)
    out.unlink()
    with pytest.raises(ValueError, match=r"cannot read weights from .*none.pth: no such file"):
        convert_published_weights(tmp_path / "none.pth", residue, out)
    with pytest.raises(
        ValueError, match=r"\(alpha\): conv1.weight must have shape \(60, 30, 3, 3\), got \(30, 15, 3, 3\)"
    ):
        convert_published_weights(residue, alpha, out)
    torch.save({"a": _Harm()}, alpha)
    with pytest.raises(ValueError, match=r"cannot read weights from .*alpha.pth"):
        convert_published_weights(alpha, residue, out)
    assert "run" not in capsys.readouterr().out
    torch.save([1, 2], alpha)
    with pytest.raises(ValueError, match="must be a dictionary of tensors, got list"):
        convert_published_weights(alpha, residue, out)
    torch.save(AlphaPredictor(4).state_dict(), alpha)
    with pytest.raises(ValueError, match=r"\(residue\): conv1.weight must have shape"):
        convert_published_weights(alpha, residue, out)
    incomplete = AlphaPredictor(3).state_dict()
    del incomplete["bn3.bias"]
    torch.save(incomplete, alpha)
    with pytest.raises(ValueError, match=r"must be those of AlphaPredictor, got no bn3.bias"):
        convert_published_weights(alpha, residue, out)
    del incomplete["conv5.weight"]
    torch.save(incomplete, alpha)
    with pytest.raises(ValueError, match=r"must hold both published networks, got no alpha.conv5.weight"):
        convert_published_weights(alpha, residue, out)
    assert not out.exists()


def test_networks_of_different_palettes_do_not_go_together():
    with pytest.raises(ValueError, match="residue must be of as many colours as alpha, 3, got one of 4"):
        PublishedModel(AlphaPredictor(3), ResiduePredictor(4))


def test_any_size_of_a_photograph(shared, authors_model):
    """An uncut photograph: 900x817."""
    image = read_image(shared / "golden" / "fscs" / "apple.jpg")
    alphas, _ = authors_model.alphas(image[:200], AUTHORS_PALETTE)
    assert alphas.shape == (200, 900, 7)


def test_other_files_are_no_models(tmp_path):
    from safetensors.numpy import save_file

    path = tmp_path / "w.safetensors"
    save_file({"a": np.zeros(2, dtype=np.float32)}, path)
    with pytest.raises(ValueError, match=r"must be of colour networks, got a file whose design is None"):
        load_model(path)
    with pytest.raises(ValueError, match=r"must be a .safetensors file, got .*x.pth: fastsoft.color.convert"):
        load_model(tmp_path / "x.pth")
    with pytest.raises(ValueError, match="cannot read weights from"):
        load_model(tmp_path / "none.safetensors")
