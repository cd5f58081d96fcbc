# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import fastsoft
from fastsoft.cli import main
from fastsoft.matting.models import load_network
from fastsoft.matting.network import MattingNetwork, save_network

NARROW = {"decoder_channels": (8, 8, 8, 8, 8), "final_channels": (4, 4)}


@pytest.fixture
def composition(rng):
    """A blurred disc of one smooth colour over another, with the trimap of its border."""
    row, col = np.mgrid[:60, :72]
    distance = np.hypot(row - 30, col - 36)
    alpha = np.clip((26 - distance) / 10, 0, 1)
    shade = (col / 72)[:, :, None]
    foreground = 0.1 * shade + np.array([0.8, 0.3, 0.1])
    background = 0.2 * (1 - shade) + np.array([0.1, 0.3, 0.6])
    image = alpha[:, :, None] * foreground + (1 - alpha[:, :, None]) * background
    trimap = np.full(alpha.shape, 128, dtype=np.uint8)
    trimap[distance < 14], trimap[distance > 28] = 255, 0
    return image, trimap, alpha, foreground, background


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "matting.safetensors"
    network = MattingNetwork("mobilenet_v2", **NARROW, extra_channels=("closed_form",), residual=True)
    save_network(path, network, network.state_dict())
    return path


def test_foreground_and_background_of_a_composition(composition):
    image, trimap, alpha, foreground, background = composition
    layers = fastsoft.matte(image, trimap, method="closed_form")
    assert np.abs(layers.alphas[:, :, 0] - alpha).mean() < 5e-3
    # Where there is enough of it to be told.
    for colors, truth, share in zip(
        layers.colors.transpose(2, 0, 1, 3), (foreground, background), (alpha, 1 - alpha), strict=True
    ):
        assert np.abs(colors - truth)[share > 0.3].mean() < 0.02
    np.testing.assert_allclose(layers.recomposed(), image, atol=1e-6)
    assert list(layers.timings) == ["closed_form", "colors"]
    assert layers.settings["method"] == "closed_form"


def test_the_closed_form_alpha_reaches_a_network_that_wants_it(composition, weights):
    """An untrained residual network adds nothing to it."""
    image, trimap, *_ = composition
    image = image.astype(np.float32)
    plain = fastsoft.matte(image, trimap, method="closed_form")
    layers = fastsoft.matte(image, trimap, weights=weights)
    np.testing.assert_allclose(layers.alphas, plain.alphas, atol=1e-5)
    assert layers.alphas.dtype == layers.colors.dtype == np.float32
    assert list(layers.timings) == ["closed_form", "network", "colors"]
    assert layers.settings["weights"] == str(weights)


def test_stages_are_reported_and_end_a_run(composition, weights):
    image, trimap, *_ = composition
    seen = []
    fastsoft.matte(image, trimap, weights=weights, progress=lambda *call: seen.append(call))
    assert list(dict.fromkeys(name for name, _ in seen)) == ["closed_form", "network", "colors"]
    assert all(0 <= fraction <= 1 for _, fraction in seen)

    def cancel(stage, fraction):
        raise fastsoft.Cancelled

    with pytest.raises(fastsoft.Cancelled):
        fastsoft.matte(image, trimap, method="closed_form", progress=cancel)


@pytest.mark.parametrize("value", [0, 128, 255])
@pytest.mark.parametrize("method", ["closed_form", "network"])
@pytest.mark.filterwarnings("ignore:trimap")
def test_any_trimap_and_size(rng, weights, value, method):
    for shape in [(1, 1), (1, 30), (40, 1), (33, 20)]:
        trimap = np.full(shape, value, dtype=np.uint8)
        image = rng.random((*shape, 3)).astype(np.float32)
        layers = fastsoft.matte(image, trimap, method=method, weights=weights if method == "network" else None)
        assert layers.alphas.shape == (*shape, 2)
        if value != 128:
            assert (layers.alphas[:, :, 0] == value / 255).all()


def test_bad_arguments_are_refused(composition, weights, tmp_path):
    image, trimap, *_ = composition
    for options, message in [
        ({"trimap": trimap[1:]}, "trimap must have the size of the image, 60x72, got 59x72"),
        ({"method": "knn"}, "method must be one of 'network', 'closed_form', got 'knn'"),
        ({"method": "closed_form", "weights": weights}, "weights must not be given with method 'closed_form'"),
        ({"method": "closed_form", "refine": True}, "refine must not be given with method 'closed_form'"),
        ({"weights": tmp_path / "none.safetensors"}, "cannot read weights from"),
    ]:
        with pytest.raises(ValueError, match=message):
            fastsoft.matte(**{"image": image, "trimap": trimap, **options})
    odd = MattingNetwork("mobilenet_v2", **NARROW, extra_channels=("depth",))
    save_network(tmp_path / "odd.safetensors", odd, odd.state_dict())
    with pytest.raises(ValueError, match="extra channels must be of closed_form, color_posterior, got depth"):
        fastsoft.matte(image, trimap, weights=load_network(tmp_path / "odd.safetensors"))


@pytest.fixture
def files(composition, tmp_path):
    image, trimap, *_ = composition
    fastsoft.write_png(tmp_path / "photo.png", image)
    fastsoft.write_png(tmp_path / "trimap.png", trimap)
    return [str(tmp_path / "photo.png"), str(tmp_path / "trimap.png")]


def test_the_command_writes_cutout_alpha_and_composite(files, composition, tmp_path, capsys):
    _, _, alpha, foreground, _ = composition
    out = tmp_path / "new" / "cut.png"
    arguments = ["matte", *files, "-o", str(out), "--method", "closed-form", "--over", "#2080ff"]
    assert main(arguments) == 0
    assert "cut.png" in capsys.readouterr().out
    cut, grey, over = (
        np.asarray(Image.open(out.with_name(name))) / 255 for name in ("cut.png", "cut_alpha.png", "cut_over.png")
    )
    assert cut.shape == (60, 72, 4)
    np.testing.assert_array_equal(cut[:, :, 3], grey)
    assert np.abs(grey - alpha).mean() < 6e-3
    blue = np.array([0x20, 0x80, 0xFF]) / 255
    expected = alpha[:, :, None] * foreground + (1 - alpha[:, :, None]) * blue
    assert np.abs(over - expected).mean() < 0.01
    assert sorted(path.name for path in out.parent.iterdir()) == ["cut.png", "cut_alpha.png", "cut_over.png"]


def test_a_picture_behind_is_scaled_to_cover(files, tmp_path, weights):
    """Twice as wide as needed: its middle half is seen."""
    behind = np.zeros((30, 72, 3))
    behind[:, 18:54, 1] = 1
    fastsoft.write_png(tmp_path / "behind.png", behind)
    out = tmp_path / "cut.png"
    arguments = ["matte", *files, "-o", str(out), "--weights", str(weights), "--over", str(tmp_path / "behind.png")]
    assert main([*arguments, "-q"]) == 0
    over = np.asarray(Image.open(tmp_path / "cut_over.png"))
    assert over.shape == (60, 72, 3)
    assert (over[:4] == [0, 255, 0]).all(axis=2).mean() > 0.9


def test_the_command_reports_errors(files, tmp_path, capsys):
    arguments = ["matte", *files, "-o", str(tmp_path / "cut.png"), "--method", "closed-form", "-q"]
    assert main(["matte", *files, "-o", files[0], *arguments[5:]]) == 1
    assert "is what is to be read: choose another name" in capsys.readouterr().err
    fastsoft.write_png(tmp_path / "small.png", np.zeros((10, 10)))
    assert main(["matte", files[0], str(tmp_path / "small.png"), *arguments[3:]]) == 1
    assert "must have the size of the photo, 72x60, got 10x10" in capsys.readouterr().err
    assert main([*arguments, "--over", str(tmp_path / "none.png")]) == 1
    assert "none.png: no such file" in capsys.readouterr().err
    assert main([*arguments, "--over", "#12"]) == 1
    assert "#12" in capsys.readouterr().err
    assert main([*arguments, "--refine"]) == 1
    assert "refine must not be given with method 'closed_form'" in capsys.readouterr().err
    assert not (tmp_path / "cut.png").exists()
