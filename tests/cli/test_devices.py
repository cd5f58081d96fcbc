# SPDX-License-Identifier: MIT
"""``--device`` and ``--precision`` of the commands."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from fastsoft import CudaError, _native
from fastsoft.cli import main

SIZE = (18, 24)


@pytest.fixture
def photo(tmp_path, rng):
    Image.fromarray(rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)).save(tmp_path / "photo.png")
    trimap = np.full(SIZE, 128, dtype=np.uint8)
    trimap[:4], trimap[-4:] = 0, 255
    Image.fromarray(trimap).save(tmp_path / "trimap.png")
    return tmp_path / "photo.png"


def commands(photo):
    """Every command that takes ``--device``, on a photo."""
    name, folder = str(photo), str(photo.parent / "out")
    return {
        "segment": ["segment", name, "-o", folder, "--features", "lowlevel", *FEW],
        "colors": ["colors", name, "-o", folder, "--colors", "3"],
        "recolor": ["recolor", name, "-o", folder, "--from", "#202020", "--to", "#0000ff", "--colors", "3"],
        "matte": ["matte", name, str(photo.parent / "trimap.png"), "-o", str(photo.parent / "out" / "cut.png")],
    }


# For a photo of a few pixels.
FEW = ("--eigenvectors", "8", "--segments", "4", "--layers", "2")
NAMES = ("segment", "colors", "recolor", "matte")


@pytest.mark.parametrize("name", NAMES)
def test_a_device_that_is_not_there_is_one_line_and_status_1(photo, capsys, monkeypatch, name):
    def cuda():
        raise CudaError("CUDA cannot be used: no CUDA driver is installed")

    monkeypatch.setattr(_native, "cuda", cuda)
    assert main([*commands(photo)[name], "--device", "cuda"]) == 1
    message = "fastsoft: device='cuda' cannot be used: no CUDA driver is installed\n"
    assert capsys.readouterr().err == message
    assert not (photo.parent / "out").exists()


@pytest.mark.parametrize("name", NAMES)
def test_other_words_are_status_2(photo, capsys, name):
    with pytest.raises(SystemExit) as status:
        main([*commands(photo)[name], "--device", "gpu"])
    assert status.value.code == 2
    assert "argument --device: must be cpu, cuda, cuda:N or auto, got 'gpu'" in capsys.readouterr().err


@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_the_cpu_is_taken_where_there_is_no_device(photo, capsys, monkeypatch, device):
    def cuda():
        raise CudaError("none")

    monkeypatch.setattr(_native, "cuda", cuda)
    for name, command in commands(photo).items():
        assert main([*command, "--device", device, "-q"]) == 0
        assert capsys.readouterr().err == ""
        if name in ("segment", "colors"):
            settings = json.loads((photo.parent / "out" / "photo" / "settings.json").read_text())
            assert settings["device"] == settings["settings"]["device"] == "cpu"


@pytest.mark.parametrize("name", ["colors", "recolor", "matte"])
def test_on_a_device(photo, capsys, device_backend, name):
    if device_backend.name == "cupy":
        pytest.skip("files become arrays of NumPy whatever is installed")
    command = commands(photo)[name]
    pictures = []
    for device in ("cpu", "cuda"):
        assert main([*command, "--device", device]) == 0
        out = capsys.readouterr().out
        assert (", on cuda:0)" in out) == (device == "cuda" and name != "recolor")
        folder = photo.parent / "out"
        pictures.append({path.name: np.asarray(Image.open(path)).astype(int) for path in folder.rglob("*.png")})
    assert pictures[0].keys() == pictures[1].keys()
    for key, picture in pictures[0].items():
        if picture.shape[-1] == 4:
            # Colours where nothing is are anything.
            picture, other = (x[..., :3] * x[..., 3:] / 255 for x in (picture, pictures[1][key]))
        else:
            other = pictures[1][key]
        assert np.abs(picture - other).max() <= 2
    if name == "colors":
        assert json.loads((photo.parent / "out" / "photo" / "settings.json").read_text())["device"] == "cuda:0"


@pytest.mark.parametrize("name", ["colors", "matte"])
def test_lack_of_memory_on_a_device_says_what_is_needed(photo, capsys, device_backend, monkeypatch, name):
    if device_backend.name == "cupy":
        pytest.skip("files become arrays of NumPy whatever is installed")
    monkeypatch.setattr("fastsoft.network_device.free_bytes", lambda _: 1_000_000)
    assert main([*commands(photo)[name], "--device", "cuda", "-q"]) == 1
    err = capsys.readouterr().err
    assert "of memory on cuda:0, of which 0.00 GB are free" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", ["colors", "recolor", "matte"])
def test_precision(photo, capsys, name):
    assert main([*commands(photo)[name], "--precision", "bfloat16", "-q"]) == 0
    assert main([*commands(photo)[name], "--precision", "float16", "-q"]) == 1
    assert "precision must be 'float32' or 'bfloat16' on the CPU, got 'float16'" in capsys.readouterr().err
