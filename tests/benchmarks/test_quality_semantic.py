# SPDX-License-Identifier: MIT
"""The measures of the quality benchmark against slow double loops and cases worked by hand, and its bookkeeping."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import fastsoft
from benchmarks import quality_semantic as quality
from benchmarks.report import commit


def slow_auc(distances, same):
    """Count over all pairs of a pair within a region and one of two regions, ties half."""
    wins = 0.0
    count = 0
    for near in distances[same]:
        for far in distances[~same]:
            wins += 1.0 if near < far else 0.5 if near == far else 0.0
            count += 1
    return wins / count


@pytest.mark.parametrize("seed", range(3))
def test_area_under_roc_counts_ordered_pairs(seed):
    rng = np.random.default_rng(seed)
    same = rng.random(60) < 0.3
    distances = rng.integers(0, 12, 60) / 4 + ~same  # many ties
    assert quality.area_under_roc(distances, same) == pytest.approx(slow_auc(distances, same), abs=1e-12)


def test_area_under_roc_by_hand():
    same = np.array([True, True, False, False])
    assert quality.area_under_roc(np.array([0.1, 0.2, 0.3, 0.4]), same) == 1
    assert quality.area_under_roc(np.array([0.3, 0.4, 0.1, 0.2]), same) == 0
    assert quality.area_under_roc(np.ones(4), same) == 0.5
    # (1, 2) (1, 3) ordered, (2, 2) tied, (2, 3) ordered
    assert quality.area_under_roc(np.array([1.0, 2.0, 2.0, 3.0]), same) == 3.5 / 4


def test_pair_auc_samples_what_all_pairs_give():
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 4, (9, 11))
    features = (labels[:, :, None] + rng.normal(0, 1.2, (9, 11, 3))).astype(np.float32)
    known = np.flatnonzero(labels.ravel())
    values = features.reshape(-1, 3)[known]
    pairs = [(i, j) for i in range(len(known)) for j in range(len(known))]  # drawn with replacement
    distances = np.array([np.linalg.norm(values[i] - values[j]) for i, j in pairs])
    same = np.array([labels.ravel()[known[i]] == labels.ravel()[known[j]] for i, j in pairs])
    expected = quality.area_under_roc(distances, same)
    assert 0.6 < expected < 0.95
    # The deviation over samples of 6000 pairs is below sqrt(1 / (12 * 2000)) = 0.0065.
    assert quality.pair_auc(features, labels) == pytest.approx(expected, abs=0.03)


def test_pair_auc_leaves_out_pixels_without_a_region():
    labels = np.zeros((8, 8), dtype=np.int64)
    labels[:4, :4], labels[4:, 4:] = 1, 2
    features = labels[:, :, None].astype(np.float32)
    features[labels == 0] = np.nan
    assert quality.pair_auc(features, labels) == 1
    labels[labels == 2] = 1
    assert quality.pair_auc(features, labels) is None


def slow_covering(alphas, labels):
    height, width, n = alphas.shape
    regions = sorted(set(labels.ravel().tolist()) - {0})
    total = 0.0
    area = 0
    for region in regions:
        best = 0.0
        for chosen in range(1, 2**n):
            least = most = 0.0
            for row in range(height):
                for col in range(width):
                    if labels[row, col] == 0:
                        continue
                    union = sum(float(alphas[row, col, k]) for k in range(n) if chosen >> k & 1)
                    inside = 1.0 if labels[row, col] == region else 0.0
                    least += min(union, inside)
                    most += max(union, inside)
            best = max(best, least / most)
        count = int((labels == region).sum())
        total += count * best
        area += count
    return total / area


@pytest.mark.parametrize("seed", range(3))
def test_covering_is_that_of_the_double_loop(seed):
    rng = np.random.default_rng(seed)
    labels = rng.choice([0, 3, 4, 9, 11], (6, 7))
    alphas = rng.dirichlet((0.3, 0.3, 0.3, 0.3), (6, 7))
    assert quality.covering(alphas, labels) == pytest.approx(slow_covering(alphas, labels), abs=1e-12)


def test_covering_by_hand():
    labels = np.array([[1, 1, 1, 2]])
    # Two halves everywhere: the union of both covers 3 of 4 and 1 of 4 pixels, better than 1.5 / 3.5 and 0.5 / 2.5.
    assert quality.covering(np.full((1, 4, 2), 0.5), labels) == pytest.approx((3 * 0.75 + 0.25) / 4, abs=1e-15)
    # A region of two layers is covered by their union.
    exact = np.array([[[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]]], dtype=np.float32)
    assert quality.covering(exact, labels) == 1
    # What lies where no region is counts neither way.
    beside = np.concatenate([exact, exact[:, ::-1]], axis=0)
    assert quality.covering(beside, np.concatenate([labels, np.zeros_like(labels)])) == 1


def test_matte_errors_are_those_of_the_double_loop():
    rng = np.random.default_rng(3)
    alphas = rng.dirichlet((0.4, 0.4, 0.4), (5, 6))
    truth = np.clip(alphas[:, :, 0] + alphas[:, :, 2] + rng.normal(0, 0.05, (5, 6)), 0, 1)
    errors = []
    for chosen in range(1, 8):
        difference = [
            abs(sum(alphas[r, c, k] for k in range(3) if chosen >> k & 1) - truth[r, c])
            for r in range(5)
            for c in range(6)
        ]
        errors.append((sum(difference) / 1000, sum(d * d for d in difference) / 30))
    sad, mse = quality.matte_errors(alphas, truth)
    assert (sad, mse) == pytest.approx(min(errors), abs=1e-12)
    assert min(errors) == errors[0b101 - 1]


def test_matte_errors_by_hand():
    alphas = np.array([[[0.75, 0.25], [0.0, 1.0]]])
    # The first layer alone is off by 0.25 and 0.125, the second by 0.75 and 0.875, both together by 0 and 0.875.
    assert quality.matte_errors(alphas, np.array([[1.0, 0.125]])) == (0.375 / 1000, (1 / 16 + 1 / 64) / 2)


@pytest.fixture
def data(tmp_path):
    """Three small pictures of three regions in the folders that the benchmark reads, and a matte."""
    rng = np.random.default_rng(0)
    for folder in ("images", "labels"):
        (tmp_path / "data" / "segmentation" / "val" / folder).mkdir(parents=True)
    for k, name in enumerate(("bsds_1", "bsds_2", "coco_3")):
        labels = np.ones((24, 32), dtype=np.uint8)
        labels[4:20, 6 + k : 16] = 2
        labels[10:, 22:] = 3
        colors = np.array([(0, 0, 0), (220, 40, 40), (40, 200, 60), (50, 60, 220)], dtype=np.float64)
        image = np.clip(colors[labels] + rng.normal(0, 6, (24, 32, 3)), 0, 255).astype(np.uint8)
        validation = tmp_path / "data" / "segmentation" / "val"
        Image.fromarray(image).save(validation / "images" / f"{name}.jpg", quality=95)
        Image.fromarray(labels).save(validation / "labels" / f"{name}.png")
    for folder in ("image", "alpha"):
        (tmp_path / "data" / "matting" / folder).mkdir(parents=True)
    Image.fromarray(image).save(tmp_path / "data" / "matting" / "image" / "GT01.png")
    Image.fromarray((labels == 2).astype(np.uint8) * 255).save(tmp_path / "data" / "matting" / "alpha" / "GT01.png")
    return tmp_path / "data"


def run(data, output, *arguments):
    return quality.main([str(data), "--output", str(output), "--threads", "1", *arguments])


def values(output, part, name):
    runs = json.loads(output.with_suffix(".json").read_text())[part][name]
    return {image: value for entry in runs for image, value in entry["values"].items()}


@pytest.fixture(autouse=True)
def restored_threads():
    before = fastsoft.num_threads()
    yield
    fastsoft.set_num_threads(before)


def test_values_of_other_systems_are_kept(data, tmp_path, capsys):
    output = tmp_path / "out" / "page.md"
    assert run(data, output, "--systems", "lowlevel", "spectral matting", "--parts", "auc", "regions", "mattes") == 0
    assert set(values(output, "auc", "lowlevel")) == {"bsds_1", "bsds_2", "coco_3"}
    assert set(values(output, "regions", "lowlevel")) == {"bsds_1", "bsds_2"}
    assert "spectral matting" not in json.loads(output.with_suffix(".json").read_text())["auc"]
    (found,) = json.loads(output.with_suffix(".json").read_text())["mattes"]["lowlevel"]
    assert found["commit"] == commit()
    assert "--systems lowlevel 'spectral matting'" in found["command"]
    assert str(tmp_path) not in output.with_suffix(".json").read_text()

    before = json.loads(output.with_suffix(".json").read_text())
    before["regions"]["lowlevel"][0]["values"]["bsds_1"] = [0.125]
    before["regions"]["lowlevel"][0]["commit"] = "earlier"
    output.with_suffix(".json").write_text(json.dumps(before))
    assert run(data, output, "--systems", "human regions", "--parts", "regions") == 0
    after = json.loads(output.with_suffix(".json").read_text())
    assert after["regions"].pop("human regions")[0]["values"]["bsds_2"][0] > 0.9
    assert after == before
    text = output.read_text()
    assert "## auc: 3 images" in text
    assert "commit earlier" in text
    assert f"| lowlevel | {(0.125 + values(output, 'regions', 'lowlevel')['bsds_2'][0]) / 2:.4f} |" in text


def test_continuing_measures_only_what_is_missing(data, tmp_path):
    output = tmp_path / "page.md"
    arguments = ("--systems", "lowlevel", "--parts", "regions")
    run(data, output, *arguments)
    complete = values(output, "regions", "lowlevel")
    spoilt = json.loads(output.with_suffix(".json").read_text())
    spoilt["regions"]["lowlevel"][0]["values"] = {"bsds_2": [0.125]}
    output.with_suffix(".json").write_text(json.dumps(spoilt))
    run(data, output, *arguments, "--continue")
    assert values(output, "regions", "lowlevel") == {"bsds_1": complete["bsds_1"], "bsds_2": [0.125]}
    assert len(json.loads(output.with_suffix(".json").read_text())["regions"]["lowlevel"]) == 2
    run(data, output, *arguments)
    assert values(output, "regions", "lowlevel") == complete

    spoilt["regions"]["lowlevel"][0]["features"] = "others"
    output.with_suffix(".json").write_text(json.dumps(spoilt))
    with pytest.raises(SystemExit, match="must find values of lowlevel of the features lowlevel, got others"):
        run(data, output, *arguments, "--continue")


def test_interrupted_run_keeps_what_it_has(data, tmp_path, monkeypatch):
    output = tmp_path / "page.md"
    arguments = ("--systems", "lowlevel", "--parts", "auc")
    run(data, output, *arguments)
    complete = values(output, "auc", "lowlevel")
    real = quality.measure
    calls = []

    def interrupted(*given):
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(given)
        return real(*given)

    monkeypatch.setattr(quality, "measure", interrupted)
    assert run(data, output, *arguments) == 130
    assert values(output, "auc", "lowlevel") == {name: complete[name] for name in ("bsds_1", "bsds_2")}
    assert "## auc: 2 images" in output.read_text()
    monkeypatch.setattr(quality, "measure", real)
    assert run(data, output, *arguments, "--continue") == 0
    assert values(output, "auc", "lowlevel") == complete


def one_run(values, features="x"):
    return [{"commit": "c", "command": "m", "features": features, "values": values}]


def test_table_compares_on_common_images():
    lines = quality.table(
        "regions",
        {
            "lowlevel": one_run({"bsds_a": [0.2], "bsds_b": [0.5], "bsds_c": [0.9]}),
            "human regions": one_run({"bsds_a": [0.6], "bsds_b": [0.7]}),
        },
    )
    assert lines[0] == "## regions: 2 images"
    assert "lowlevel 3, human regions 2" in lines[2]
    # Differences 0.4 and 0.2: mean 0.3, deviation 0.1 sqrt(2), interval 1.96 * 0.1.
    assert "| lowlevel | 0.3500 | 0.3000 ± 0.1960 |" in lines
    assert "| human regions | 0.6500 |  |" in lines


def test_systems_stand_in_one_order():
    runs = one_run({"bsds_a": [0.5]})
    lines = quality.table("regions", dict.fromkeys(("human regions", "lowlevel", "embedded"), runs))
    rows = [line.split(" | ")[0] for line in lines if line.startswith("| ")]
    assert rows == ["| system", "| ---", "| embedded", "| lowlevel", "| human regions"]


def test_table_has_a_column_for_every_source():
    runs = one_run({"bsds_a": [0.5], "bsds_b": [0.7], "coco_a": [0.9], "coco_b": None})
    assert "| lowlevel | 0.7000 | 0.6000 | 0.9000 |" in quality.table("auc", {"lowlevel": runs})


def test_matte_distance_is_the_error_above_that_of_human_regions():
    runs = {"lowlevel": one_run({"GT01": [9.5, 0.02]}), "human regions": one_run({"GT01": [4.0, 0.01]})}
    assert "| lowlevel | 9.50 | 0.02000 | 5.50 |" in quality.table("mattes", runs)


def test_worst_images_come_first():
    own = {f"bsds_{k}": [k / 20] for k in range(12)}
    human = {f"bsds_{k}": [0.6] for k in range(11)}
    rows = quality.worst_images({"embedded": one_run(own), "human regions": one_run(human)}, "embedded")
    assert [row[0] for row in rows] == [f"bsds_{k}" for k in range(10)]
    assert rows[2] == ("bsds_2", 0.1, 0.6)


def test_worst_sheet_is_drawn(data, tmp_path):
    output = tmp_path / "page.md"
    sheet = tmp_path / "sheet.jpg"
    arguments = ("--systems", "lowlevel", "human regions", "--parts", "regions")
    run(data, output, *arguments, "--worst-of", "lowlevel", "--worst-sheet", str(sheet))
    with Image.open(sheet) as picture:
        # Two rows of a caption and panels of 304 x 228, six apart.
        assert picture.size == (4 * 304 + 3 * 6, 2 * (20 + 6 + 228) + 6)
    assert "## The 2 images on which lowlevel is farthest below human regions" in output.read_text()


def test_untrained_backbone_is_the_pretrained_one_with_a_fresh_head(tmp_path):
    import torch
    from safetensors.torch import save_file

    from fastsoft.semantic.network import HypercolumnNetwork
    from fastsoft.weights import read_weights

    torch.manual_seed(7)
    base = {key: value.contiguous() for key, value in HypercolumnNetwork().base.state_dict().items()}
    save_file(base, tmp_path / "backbone.safetensors")
    state, metadata = read_weights(quality.write_untrained(tmp_path / "backbone.safetensors", tmp_path))
    assert metadata["backbone"] == "mobilenetv2-deeplab"
    for key, value in base.items():
        np.testing.assert_array_equal(state[f"base.{key}"], value.numpy())
    again, _ = read_weights(quality.write_untrained(tmp_path / "backbone.safetensors", tmp_path))
    np.testing.assert_array_equal(state["feature.weight"], again["feature.weight"])
    assert state["feature.weight"].std() > 0.01


def test_wrong_use_is_told_at_once(data, tmp_path, capsys):
    output = tmp_path / "page.md"
    with pytest.raises(SystemExit):
        run(data, output, "--systems", "hypercolumn")
    assert "needs --weights" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run(tmp_path, output, "--systems", "lowlevel")
    assert "must hold pictures for auc" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="cannot read weights from gone: No such file"):
        run(data, output, "--systems", "hypercolumn", "--weights", "gone")
    (tmp_path / "damaged").write_bytes(b"123")
    with pytest.raises(SystemExit):
        run(data, output, "--systems", "hypercolumn", "--weights", str(tmp_path / "damaged"))
    assert "cannot read weights" in capsys.readouterr().err
    assert not output.exists()
    output.with_suffix(".json").write_text("[]")
    with pytest.raises(SystemExit, match="must be a file of this benchmark"):
        run(data, output, "--systems", "lowlevel")
