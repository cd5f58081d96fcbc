# SPDX-License-Identifier: MIT
"""Weights that come with the package, and the tool that puts them there."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from fastsoft import weights
from fastsoft.color import decompose_colors
from fastsoft.color.models import default_model
from fastsoft.matting import load_network as load_matting_network
from fastsoft.semantic import compute_features
from fastsoft.semantic.network_features import load_network
from fastsoft.weights import embedded_weights, read_weights

ROOT = Path(__file__).resolve().parents[1]
TOOL = ROOT / "tools" / "ship_weights.py"


@pytest.fixture
def installation(tmp_path, monkeypatch):
    """A copy of the weights of this installation, which a test may spoil."""
    folder = tmp_path / "weights"
    shutil.copytree(Path(weights.__file__).parent, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(weights, "_FOLDER", folder)
    return folder


def test_the_embedded_weights_are_what_the_package_promises():
    path, checksum = embedded_weights("features", "")
    content = path.read_bytes()
    assert hashlib.sha256(content).hexdigest() == checksum
    assert len(content) <= 12_000_000
    state, metadata = read_weights(path)
    assert metadata == {"backbone": "mobilenetv2-deeplab", "n_features": "128"}
    assert {value.dtype.name for value in state.values()} == {"float16"}
    assert load_network(state, metadata).feature.out_features == 128
    assert path.with_suffix(".md").is_file()


def test_altered_truncated_and_missing_weights_are_refused(installation, rng):
    image = rng.random((8, 9, 3))
    path = installation / "features.safetensors"
    good = path.read_bytes()
    for content in (good[:-1] + bytes([good[-1] ^ 1]), good[: len(good) // 2], b""):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"features.safetensors must have the SHA-256 checksum .*install fastsoft"):
            compute_features(image)
    path.unlink()
    with pytest.raises(ValueError, match=r"installation of fastsoft lacks .*features.safetensors: install fastsoft"):
        compute_features(image)
    assert compute_features(image, "lowlevel").values.shape == (8, 9, 3)
    for content in ("[1]", "{", "3"):
        (installation / "checksums.json").write_text(content)
        with pytest.raises(ValueError, match=r"checksums.json is damaged: install fastsoft"):
            compute_features(image)
    (installation / "checksums.json").unlink()
    with pytest.raises(ValueError, match=r"installation of fastsoft lacks .*checksums.json: install fastsoft"):
        compute_features(image)


def test_unknown_weights_are_refused():
    with pytest.raises(
        ValueError, match=r"weights that come with fastsoft are .*features.safetensors.*, got none.safe"
    ):
        embedded_weights("none", "")


def ship(*arguments):
    return subprocess.run(
        [sys.executable, str(TOOL), *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False
    )


def test_shipping_rounds_orders_and_records(tmp_path, rng):
    state = {
        "b.bias": rng.standard_normal(3).astype(np.float32),
        "a.weight": rng.standard_normal((4, 3, 1, 1)).astype(np.float32),
        "n": np.array(7, dtype=np.int64),
    }
    metadata = {"n_features": "128", "backbone": "x", "more": "y"}
    contents = []
    for k, order in enumerate((list(state), list(state)[::-1])):
        save_file({key: state[key] for key in order}, tmp_path / "w.safetensors", {m: metadata[m] for m in metadata})
        folder = tmp_path / str(k)
        folder.mkdir()
        (folder / "checksums.json").write_text('{"z.safetensors": "1"}')
        result = ship(tmp_path / "w.safetensors", "features", "--folder", folder)
        assert result.returncode == 0, result.stderr
        contents.append((folder / "features.safetensors").read_bytes())
        record = json.loads((folder / "checksums.json").read_text())
        assert record == {
            "features.safetensors": hashlib.sha256(contents[-1]).hexdigest(), "z.safetensors": "1",
        }  # fmt: skip
        # The library's reader finds what was put in, each number rounded to half precision.
        found = load_file(folder / "features.safetensors")
        assert set(found) == set(state)
        for key, value in state.items():
            expected = value.astype(np.float16) if value.dtype == np.float32 else value
            assert found[key].dtype == expected.dtype
            np.testing.assert_array_equal(found[key], expected)
        assert read_weights(folder / "features.safetensors")[1] == metadata
    assert contents[0] == contents[1]
    start = 8 + int.from_bytes(contents[0][:8], "little")
    assert start % 8 == 0


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.full(3, 1e6, dtype=np.float32), "w must lie within half precision, got values up to 1e+06"),
        (np.zeros(6_100_000, dtype=np.float32), "weights must be at most 12000000 bytes, got 122000"),
    ],
)
def test_what_cannot_be_shipped_leaves_nothing(tmp_path, value, message):
    save_file({"w": value}, tmp_path / "w.safetensors")
    folder = tmp_path / "out"
    folder.mkdir()
    result = ship(tmp_path / "w.safetensors", "features", "--folder", folder)
    assert result.returncode == 1
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert list(folder.iterdir()) == []


def test_shipping_with_other_metadata(tmp_path):
    save_file({"a": np.ones(3, np.float32)}, tmp_path / "a.safetensors", metadata={"gain": "1.0", "design": "layers"})
    assert ship(tmp_path / "a.safetensors", "b", "--folder", tmp_path, "--metadata", "gain=0.5").returncode == 0
    assert read_weights(tmp_path / "b.safetensors")[1] == {"gain": "0.5", "design": "layers"}
    refused = ship(tmp_path / "a.safetensors", "c", "--folder", tmp_path, "--metadata", "gian=0.5")
    assert refused.returncode == 1
    assert "--metadata must change one of design, gain, got gian=0.5" in refused.stderr
    assert not (tmp_path / "c.safetensors").exists()


def test_shipping_a_missing_file_is_an_error(tmp_path):
    result = ship(tmp_path / "none.safetensors", "features", "--folder", tmp_path)
    assert result.returncode == 1
    assert "cannot read weights from" in result.stderr


def test_the_embedded_color_weights_are_what_the_package_promises():
    path, checksum = embedded_weights("colors", "")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == checksum
    assert path.stat().st_size <= 8_000_000
    state, metadata = read_weights(path)
    assert metadata["design"] == "layers"
    assert {value.dtype.name for value in state.values()} == {"float16"}
    assert path.with_suffix(".md").is_file()
    assert default_model().source == f"embedded, SHA-256 {checksum}"


def test_altered_color_weights_are_refused(installation, rng):
    path = installation / "colors.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ValueError, match=r"colors.safetensors must have the SHA-256 .*'fastsoft train colors'"):
        decompose_colors(rng.random((20, 30, 3)))


def test_the_embedded_matting_weights_are_what_the_package_promises():
    path, checksum = embedded_weights("matting", "")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == checksum
    assert path.stat().st_size <= 12_000_000
    state, metadata = read_weights(path)
    assert metadata["design"] == "matting"
    assert {value.dtype.name for value in state.values()} <= {"float16", "int64"}
    assert path.with_suffix(".md").is_file()
    assert load_matting_network().source == f"embedded, SHA-256 {checksum}"
