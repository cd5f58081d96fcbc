# SPDX-License-Identifier: MIT
"""The measures of the benchmark of colour layers against slow loops, scikit-image and cases worked by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

import fastsoft
from benchmarks import quality_color as quality
from benchmarks.report import commit
from fastsoft.color import color_palette, load_model
from fastsoft.color.network import AlphaPredictor, ResiduePredictor
from fastsoft.color.network_layers import LayerNetwork, save_network

# Values are kept to six digits.
KEPT = 1e-5


def two_pictures(rng, height, width):
    """Return a picture with structure, and another that differs by noise, both in [0, 1]."""
    truth = rng.random((height, width, 3))
    truth = (truth + np.linspace(0, 1, width)[:, None]) / 2
    return np.clip(truth + rng.normal(0, 0.1, truth.shape), 0, 1), truth


def random_layers(rng, height, width, n):
    alphas = rng.random((height, width, n)) ** 3
    return alphas / alphas.sum(axis=2, keepdims=True), rng.random((height, width, n, 3)), rng.random((n, 3))


def test_mean_squared_error_and_psnr(rng, monkeypatch):
    picture, truth = two_pictures(rng, 7, 5)
    monkeypatch.setattr(quality, "_ROWS", 3)
    slow = sum((picture[i] - truth[i]) ** 2 for i in np.ndindex(picture.shape)) / picture.size
    error = quality.mean_squared_error(picture, truth)
    assert error == pytest.approx(slow, rel=1e-12)
    # The signal's peak is 1: 10 log10(1^2 / MSE).
    assert quality.peak_signal_to_noise(error) == pytest.approx(10 * math.log10(1 / slow), rel=1e-12)
    assert quality.peak_signal_to_noise(0.01) == pytest.approx(20)
    assert quality.peak_signal_to_noise(0.0) == math.inf


def slow_similarity(x, y):
    """Return the mean of Eq. (13) of Wang et al. over all 11x11 windows inside, from weighted moments of each."""
    place = np.arange(11) - 5
    weights = np.exp(-(place[:, None] ** 2 + place**2) / (2 * 1.5**2))
    weights /= weights.sum()
    found = []
    for row in range(x.shape[0] - 10):
        for col in range(x.shape[1] - 10):
            a, b = x[row : row + 11, col : col + 11], y[row : row + 11, col : col + 11]
            mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
            variance_a, variance_b = (weights * (a - mean_a) ** 2).sum(), (weights * (b - mean_b) ** 2).sum()
            covariance = (weights * (a - mean_a) * (b - mean_b)).sum()
            luminance = (2 * mean_a * mean_b + 0.01**2) / (mean_a**2 + mean_b**2 + 0.01**2)
            found.append(luminance * (2 * covariance + 0.03**2) / (variance_a + variance_b + 0.03**2))
    return np.mean(found)


@pytest.mark.parametrize("shape", [(11, 11), (14, 19)])
def test_structural_similarity_equals_loops(rng, shape):
    picture, truth = two_pictures(rng, *shape)
    slow = np.mean([slow_similarity(picture[:, :, c], truth[:, :, c]) for c in range(3)])
    assert 0.2 < slow < 0.99
    assert quality.structural_similarity(picture, truth) == pytest.approx(slow, abs=1e-12)
    assert quality.structural_similarity(truth, truth) == pytest.approx(1, abs=1e-12)


def test_structural_similarity_equals_that_of_scikit_image(rng):
    metrics = pytest.importorskip("skimage.metrics")
    picture, truth = two_pictures(rng, 64, 49)
    # With these settings it is the original paper's, says its documentation.
    theirs = metrics.structural_similarity(
        picture, truth, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0, channel_axis=2
    )
    assert quality.structural_similarity(picture, truth) == pytest.approx(theirs, abs=1e-12)


def test_sparsity(rng, monkeypatch):
    alphas, _, _ = random_layers(rng, 7, 5, 4)
    monkeypatch.setattr(quality, "_ROWS", 3)
    slow = np.mean([sum(a) / sum(x * x for x in a) - 1 for a in alphas.reshape(-1, 4)])
    assert quality.sparsity(alphas) == pytest.approx(slow, rel=1e-12)
    # One opaque layer has 0, n equal ones n - 1.
    assert quality.sparsity(np.array([[[0.0, 1.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]]])) == 1.5


def test_color_variance(rng):
    alphas, colors, _ = random_layers(rng, 6, 5, 3)
    pixels = colors.reshape(-1, 3, 3)
    slow = np.mean([np.trace(np.cov(pixels[:, k], rowvar=False, bias=True)) for k in range(3)])
    assert quality.color_variance(colors) == pytest.approx(slow, rel=1e-12)
    weights = alphas.reshape(-1, 3)
    slow = np.mean([np.trace(np.cov(pixels[:, k], rowvar=False, ddof=0, aweights=weights[:, k])) for k in range(3)])
    assert quality.color_variance(colors, alphas) == pytest.approx(slow, rel=1e-12)


def test_color_variance_by_hand():
    # The first layer is red of 0 and 1 in equal shares of alpha, variance 0.25, and the third pixel is not seen.
    colors = np.zeros((1, 3, 2, 3))
    colors[0, :, 0, 0] = 0.0, 1.0, 1.0
    alphas = np.array([[[0.5, 0.0], [0.5, 0.0], [0.0, 0.0]]])
    assert quality.color_variance(colors, alphas) == 0.25
    # Unweighted, the red has a variance of 2/9, and the second layer, of one colour, counts.
    assert quality.color_variance(colors) == pytest.approx(1 / 9, rel=1e-12)


def test_color_distance(rng, monkeypatch):
    alphas, colors, palette = random_layers(rng, 7, 5, 3)
    monkeypatch.setattr(quality, "_ROWS", 3)
    slow = 0.0
    for row, col, k in np.ndindex(7, 5, 3):
        slow += alphas[row, col, k] * math.dist(colors[row, col, k], palette[k]) / 35
    assert quality.color_distance(colors, alphas, palette) == pytest.approx(slow, rel=1e-12)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three small pictures, one of them of five colours, and two photographs, of which one has a megapixel."""
    rng = np.random.default_rng(3)
    folder = tmp_path_factory.mktemp("data")
    (folder / "segmentation" / "val" / "images").mkdir(parents=True)
    (folder / "photos" / "kodak").mkdir(parents=True)
    for name in ("a", "b", "few"):
        image = rng.integers(0, 256, (5, 7, 3)).astype(np.uint8)
        picture = Image.fromarray(image).resize((29, 21), Image.Resampling.BICUBIC)
        if name == "few":
            colors = rng.integers(0, 256, (5, 3)).astype(np.uint8)
            picture = Image.fromarray(colors[rng.integers(0, 5, (21, 29))])
        picture.save(folder / "segmentation" / "val" / "images" / f"{name}.png")
    for name, size in (("large_1001x1000", (1001, 1000)), ("small_999x1000", (999, 1000))):
        Image.fromarray(np.zeros((*size[::-1], 3), dtype=np.uint8)).save(folder / "photos" / f"{name}.png")
    return folder


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """Folder with networks of random weights: own.safetensors and the two .pth files, of seven colours."""
    folder = tmp_path_factory.mktemp("networks")
    torch.manual_seed(2)
    torch.save(AlphaPredictor(7).state_dict(), folder / "mask_generator.pth")
    torch.save(ResiduePredictor(7).state_dict(), folder / "residue_predictor.pth")
    network = LayerNetwork((8, 8, 8))
    torch.nn.init.normal_(network.head.weight, std=0.5)
    save_network(network, folder / "own.safetensors")
    return folder


@pytest.fixture(autouse=True)
def restored_threads(threads):
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def run(data, networks, output, *arguments):
    fixed = ["--published", str(networks), "--weights", str(networks / "own.safetensors"), "--threads", "1"]
    return quality.main([str(data), *fixed, "--output", str(output), "--parts", "val", *arguments])


def content(output):
    return json.loads(output.with_suffix(".json").read_text())


def test_values_are_those_of_the_layers_of_one_palette(data, networks, tmp_path):
    output = tmp_path / "out" / "page.md"
    assert run(data, networks, output, "--colors", "3", "7", "8") == 0
    found = content(output)
    (entry,) = found["runs"]
    assert entry["commit"] == commit()
    assert "--colors 3 7 8" in entry["command"]
    assert str(tmp_path) not in output.with_suffix(".json").read_text() + output.read_text()
    assert found["systems"]["fastsoft"].startswith("own.safetensors (SHA-256 ")
    values = found["values"]["val"]
    assert set(values["8"]) == {"fastsoft"}, "the published networks take seven"
    assert set(values["7"]["published"]) == {"a", "b"}, "the third has five colours"
    assert set(values["3"]["published"]) == {"a", "b", "few"}

    published = tmp_path / "published.safetensors"
    names = [networks / f"{name}.pth" for name in ("mask_generator", "residue_predictor")]
    fastsoft.color.convert_published_weights(*names, published)
    image = fastsoft.read_image(data / "segmentation" / "val" / "images" / "b.png").astype(np.float32)
    for count in (3, 7):
        palette = color_palette(image, count)
        for system, path in (("fastsoft", networks / "own.safetensors"), ("published", published)):
            kept = values[str(count)][system]["b"]
            assert len(kept) == 12
            for exact, part in ((False, kept[:6]), (True, kept[6:])):
                layers = fastsoft.decompose_colors(image, palette, weights=path, exact=exact)
                sums = (layers.alphas[..., None].astype(np.float64) * layers.colors).sum(axis=2)
                squares = (layers.alphas.astype(np.float64) ** 2).sum(axis=2)
                assert part[2] == pytest.approx((1 / squares - 1).mean(), rel=1e-5)
                assert part[3] == pytest.approx(
                    layers.colors.var(axis=(0, 1), dtype=np.float64).sum() / count, rel=1e-5
                )
                if not exact:
                    assert part[0] == pytest.approx(((sums - image) ** 2).mean(), rel=1e-4)
            # float32 keeps 150 dB, but 1e-5 leaves room for hardware.
            assert kept[0] > 1e-6
            assert kept[6] < 1e-10
    assert values["7"]["fastsoft"]["b"] != values["7"]["published"]["b"]


def test_page_compares_on_common_photographs(data, networks, tmp_path):
    output = tmp_path / "page.md"
    assert run(data, networks, output, "--colors", "7", "8") == 0
    values = content(output)["values"]["val"]["7"]
    text = output.read_text()
    assert "### 7 colours, 2 photographs" in text
    for system, rows in values.items():
        psnr = np.mean([-10 * math.log10(row[0]) for row in rows.values()])
        sparse = np.mean([row[2] for row in rows.values()])
        (line,) = [x for x in text.splitlines() if x.startswith(f"| {system} | no |")]
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[3] == f"{psnr:.2f}"
        assert cells[5] == f"{sparse:.4f}"
        assert f"| 7 | {system} | {psnr:.2f} |" in text
    assert "| 8 | fastsoft |" in text
    assert "| 8 | published |" not in text


def row_of(mse, sparse):
    return [mse, 0.5, sparse, 0.1, 0.2, 0.3, mse / 1e6, 1.0, sparse, 0.1, 0.2, 0.3]


def test_differences_and_worst_by_hand():
    ours = {"a": row_of(1e-4, 0.5), "b": row_of(1e-3, 0.7)}
    theirs = {"a": row_of(1e-3, 0.8), "b": row_of(1e-3, 0.6)}
    found = {"fastsoft": ours, "published": theirs}
    lines = quality.comparison(found, ["a", "b"])
    # 40 and 30 dB, their mean 35; against 30. Differences 10 and 0: mean 5, interval 1.96 * 5 sqrt(2) / sqrt(2).
    assert "| fastsoft | no | 0.000550 | 35.00 | 0.5000 | 0.6000 | 0.10000 | 0.20000 | 0.3000 | 30.00 |" in lines
    assert "| fastsoft | yes | 5.5e-10 | 95.00 | 1.0000 | 0.6000 | 0.10000 | 0.20000 | 0.3000 | 90.00 |" in lines
    (line,) = [x for x in lines if x.startswith("| no |")]
    assert line.split(" | ")[1] == "5.00 ± 9.80 (0)"
    assert line.split(" | ")[3] == "-0.1000 ± 0.3920 (1)"
    rows = quality.worst(found, ["a", "b"])
    sparse = [x for x in rows if x.startswith("| sparsity |")]
    assert sparse[0] == "| sparsity | b | 0.7000 | 0.6000 | +0.1000 |"
    assert next(x for x in rows if x.startswith("| PSNR |")) == "| PSNR | b | 30.00 | 30.00 | +0.00 |"


def test_interrupted_run_goes_on(data, networks, tmp_path, monkeypatch):
    output = tmp_path / "page.md"
    assert run(data, networks, output, "--colors", "2") == 0
    complete = content(output)
    real, calls = quality.measure_model, []

    def interrupted(*given):
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(given)
        return real(*given)

    monkeypatch.setattr(quality, "measure_model", interrupted)
    assert run(data, networks, output, "--colors", "2") == 130
    assert {name: set(v) for name, v in content(output)["values"]["val"]["2"].items()} == {
        "fastsoft": {"a", "b"},
        "published": {"a"},
    }
    assert "| 2 | published |" in output.read_text()
    calls.clear()
    monkeypatch.setattr(quality, "measure_model", lambda *given: calls.append(given) or real(*given))
    assert run(data, networks, output, "--colors", "2", "--continue") == 0
    assert len(calls) == 3
    assert content(output)["values"] == complete["values"]
    assert len(content(output)["runs"]) == 2

    with pytest.raises(SystemExit, match=r"--continue must find values of .* with smooth 3, got .* with smooth 0"):
        run(data, networks, output, "--colors", "2", "--continue", "--smooth", "3")
    output.with_suffix(".json").write_text("[]")
    with pytest.raises(SystemExit, match="must be a file of this benchmark"):
        run(data, networks, output, "--colors", "2", "--continue")


def test_smoothing_reaches_both(data, networks, tmp_path):
    for name, arguments in (("plain", ()), ("smooth", ("--smooth", "2"))):
        run(data, networks, tmp_path / name, "--colors", "3", "--photos", "1", *arguments)
    plain, smooth = (content(tmp_path / name)["values"]["val"]["3"] for name in ("plain", "smooth"))
    for system in ("fastsoft", "published"):
        assert set(plain[system]) == {"a"}
        assert plain[system]["a"] != smooth[system]["a"]


def test_photographs_are_those_of_a_megapixel(data):
    assert [path.stem for path in quality.pictures(data, "photos")] == ["large_1001x1000"]
    assert [path.stem for path in quality.pictures(data, "val", 2)] == ["a", "b"]


def test_wrong_use_is_told_at_once(data, networks, tmp_path, capsys):
    output = tmp_path / "page.md"
    for arguments, message in (
        (("--colors", "1"), "--colors must lie in 2..10, got 1..1"),
        (("--colors", "3", "11"), "--colors must lie in 2..10, got 3..11"),
        (("--photos", "0"), "--photos must be at least 1, got 0"),
        (("--smooth", "-1"), "--smooth must be at least 0, got -1"),
        (("--weights", str(tmp_path / "gone.safetensors")), "cannot read weights from"),
        (("--published", str(tmp_path)), "cannot read weights from"),
    ):
        with pytest.raises(SystemExit):
            run(data, networks, output, *arguments)
        assert message in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run(tmp_path, networks, output)
    assert "data must hold images of segmentation/val (see --help), got none" in capsys.readouterr().err
    assert not output.exists()


def test_authors_photo_has_the_psnr_and_sparsity_of_the_notes(shared, authors_values):
    # Measured with an independent implementation, without the guided filter: 30.02 dB and 0.402.
    assert quality.peak_signal_to_noise(authors_values[0]) == pytest.approx(30.02, abs=0.01)
    assert authors_values[2] == pytest.approx(0.402, abs=0.001)


@pytest.fixture(scope="module")
def authors_values(shared, tmp_path_factory):
    """Values of the authors' networks on their photograph with their palette."""
    from tests.color.conftest import AUTHORS_PALETTE

    folder = shared / "golden" / "fscs"
    path = tmp_path_factory.mktemp("weights") / "published.safetensors"
    fastsoft.color.convert_published_weights(folder / "mask_generator.pth", folder / "residue_predictor.pth", path)
    image = fastsoft.read_image(folder / "apple.jpg")[:816, :896].astype(np.float32)
    return quality.measure_model(load_model(path), image, AUTHORS_PALETTE, 0)
