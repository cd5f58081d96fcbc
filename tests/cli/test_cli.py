# SPDX-License-Identifier: MIT
from __future__ import annotations

import errno
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time

import numpy as np
import pytest
from PIL import Image

import fastsoft
from fastsoft.cli import main


def photo(path, height=32, width=40, seed=0):
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), 60, dtype=np.uint8)
    image[height // 2 :] = (30, 150, 40)
    image[: height // 3, width // 2 :] = (200, 120, 30)
    Image.fromarray((image + rng.integers(0, 6, image.shape)).astype(np.uint8)).save(path)
    return str(path)


FEW = ("--eigenvectors", "20", "--segments", "8", "--layers", "3")
# Colours and texture do where features are only a means.
FAST = (*FEW, "--features", "lowlevel")


def run(*arguments):
    return main(["segment", *map(str, arguments)])


def test_one_photo(tmp_path, capfd):
    assert run(photo(tmp_path / "cat.png"), "-o", tmp_path / "out", "--seed", "4", *FAST) == 0
    folder = tmp_path / "out" / "cat"
    assert sorted(os.listdir(folder)) == [
        "alphas.npz", "layer_01.png", "layer_02.png", "layer_03.png", "overview.png", "settings.json",
    ]  # fmt: skip
    assert os.listdir(tmp_path / "out") == ["cat"]
    with np.load(folder / "alphas.npz") as archive:
        assert archive["alphas"].shape == (32, 40, 3)
        np.testing.assert_allclose(archive["alphas"].sum(axis=2), 1, atol=8 * np.finfo(np.float32).eps)
    layer = np.asarray(Image.open(folder / "layer_01.png"))
    assert layer.shape == (32, 40, 4)
    np.testing.assert_array_equal(layer[:, :, :3], np.asarray(Image.open(tmp_path / "cat.png")))
    settings = json.loads((folder / "settings.json").read_text())
    assert settings["source"] == str(tmp_path / "cat.png")
    assert settings["settings"]["seed"] == 4
    assert settings["settings"]["n_eigenvectors"] == 20
    out, err = capfd.readouterr()
    assert re.fullmatch(r".*cat\.png: 3 layers in .*cat \(\d+\.\d s, \d+\.\d\d GB\)\n", out)
    # Not a terminal: a plain line per stage, and no bar.
    assert [line.split(": ")[1].split()[0] for line in err.splitlines()] == [
        "features", "affinities", "laplacian", "eigenvectors", "soft_segments", "relaxation",
    ]  # fmt: skip
    assert "\r" not in err


def test_bad_files_do_not_stop_the_others(tmp_path, capfd):
    (tmp_path / "text.jpg").write_text("not a picture")
    Image.fromarray(np.zeros((2, 2), dtype=np.uint8)).save(tmp_path / "tiny.png")
    (tmp_path / "a").mkdir()
    photos = [
        tmp_path / "missing.jpg", photo(tmp_path / "x.png"), tmp_path / "text.jpg", tmp_path / "tiny.png",
        photo(tmp_path / "a" / "x.png", seed=1),
    ]  # fmt: skip
    assert run(*photos, "-o", tmp_path / "out", "-q", *FAST) == 1
    assert sorted(os.listdir(tmp_path / "out")) == ["x", "x-2"]
    out, err = capfd.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 4
    assert "missing.jpg: no such file" in lines[0]
    assert "text.jpg: not an image" in lines[1]
    assert "tiny.png: image must be at least 3x3 pixels, got 2x2" in lines[2]
    assert lines[3] == "fastsoft: 3 of 5 photos failed"
    first = json.loads((tmp_path / "out" / "x" / "settings.json").read_text())
    second = json.loads((tmp_path / "out" / "x-2" / "settings.json").read_text())
    assert first["source"] == photos[1]
    assert second["source"] == photos[4]


def test_layers_with_colours_of_their_own(tmp_path, capfd):
    picture = photo(tmp_path / "p.png")
    assert run(picture, "-o", tmp_path / "out", "--foregrounds", *FAST) == 0
    assert "foregrounds" in capfd.readouterr().err
    folder = tmp_path / "out" / "p"
    layers = np.stack([np.asarray(Image.open(folder / f"layer_0{i}.png")) for i in (1, 2, 3)]) / 255.0
    original = np.asarray(Image.open(picture)) / 255.0
    assert np.abs(layers[:, :, :, :3] - original).max() > 0.2
    mixed = (layers[:, :, :, 3:] * layers[:, :, :, :3]).sum(axis=0)
    assert np.abs(mixed - original).max() <= 1.01 / 255


def test_memory_and_what_a_long_run_takes(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr("fastsoft.cli.segment.LONG", 0.0)
    picture = photo(tmp_path / "p.png", 48, 64)
    assert run(picture, "-o", tmp_path / "out", "--memory", "0.0025", *FAST) == 0
    assert "64x48 pixels will take about 0 s and 0.0 GB, eigenvectors at " in capfd.readouterr().err
    settings = json.loads((tmp_path / "out" / "p" / "settings.json").read_text())["settings"]
    assert settings["spectral_height"] < 48
    with np.load(tmp_path / "out" / "p" / "alphas.npz") as archive:
        assert archive["alphas"].shape == (48, 64, 3)
    assert run(picture, "-o", tmp_path / "two", "--memory", "0.0001", *FAST) == 1
    assert "memory must be at least" in capfd.readouterr().err
    for wrong in ("0", "much"):
        with pytest.raises(SystemExit):
            run(picture, "-o", tmp_path / "three", "--memory", wrong)
    with pytest.raises(SystemExit):
        run(picture, "-o", tmp_path / "three", "--memory", "4", "--method", "spectral")
    assert "argument --memory: not used by --method spectral" in capfd.readouterr().err


def test_features_from_files(tmp_path, capfd):
    picture = photo(tmp_path / "p.png")
    features = np.zeros((32, 40, 2))
    features[16:, :, 0] = features[:10, 20:, 1] = 1
    np.save(tmp_path / "f.npy", features)
    assert run(picture, "-o", tmp_path / "out", "--features", tmp_path / "f.npy", "--keep-stages", "-q", *FEW) == 0
    with np.load(tmp_path / "out" / "p" / "stages" / "features.npz") as archive:
        np.testing.assert_array_equal(archive["values"], features)
    # Several photos take a folder.
    (tmp_path / "features").mkdir()
    np.savez(tmp_path / "features" / "p.npz", features=features)
    second = photo(tmp_path / "q.png")
    assert run(picture, second, "-o", tmp_path / "two", "--features", tmp_path / "features", "-q", *FEW) == 1
    assert os.listdir(tmp_path / "two") == ["p"]
    assert "holds no features called q.npy, q.npz or q.mat" in capfd.readouterr().err
    np.save(tmp_path / "f.npy", features[:-1])
    assert run(picture, "-o", tmp_path / "three", "--features", tmp_path / "f.npy", "-q", *FEW) == 1
    assert "features must have the image's height and width 32x40, got 31x40" in capfd.readouterr().err
    assert not (tmp_path / "three").exists()


def test_spectral_method(tmp_path, capfd):
    picture = photo(tmp_path / "p.png")
    assert run(picture, "-o", tmp_path / "out", "--method", "spectral", "--eigenvectors", 20, "--segments", 6) == 0
    settings = json.loads((tmp_path / "out" / "p" / "settings.json").read_text())
    assert settings["settings"]["method"] == "spectral"
    assert settings["n_layers"] >= 2
    assert "laplacian" in capfd.readouterr().err


def test_the_default_is_the_embedded_network(tmp_path):
    from fastsoft.weights import embedded_weights

    picture = photo(tmp_path / "p.png")
    found = []
    for count in (1, 2):
        arguments = ("-o", tmp_path / str(count), "--feature-size", 36, "--threads", count, "-q", *FEW)
        assert run(picture, *arguments) == 0
        settings = json.loads((tmp_path / str(count) / "p" / "settings.json").read_text())["settings"]
        assert settings["features"] == "embedded"
        assert settings["feature_size"] == 36
        assert settings["feature_weights"] == embedded_weights("features", "")[1]
        with np.load(tmp_path / str(count) / "p" / "alphas.npz") as archive:
            found.append(archive["alphas"])
    np.testing.assert_array_equal(found[0], found[1])


def test_wrong_weights_are_one_line(tmp_path, capfd):
    (tmp_path / "w.safetensors").write_bytes(b"damaged")
    picture = photo(tmp_path / "p.png")
    weights = f"hypercolumn:{tmp_path / 'w.safetensors'}"
    assert run(picture, "-o", tmp_path / "out", "--features", weights, "-q", *FEW) == 1
    err = capfd.readouterr().err
    assert err.startswith(f"fastsoft: {picture}: cannot read weights from {tmp_path / 'w.safetensors'}")
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_threads_option_is_recorded_and_changes_no_bits(tmp_path, threads):
    picture = photo(tmp_path / "p.png")
    alphas = []
    for count in (1, 2):
        assert run(picture, "-o", tmp_path / str(count), "--threads", count, "-q", *FAST) == 0
        settings = json.loads((tmp_path / str(count) / "p" / "settings.json").read_text())
        assert settings["threads"] == count
        with np.load(tmp_path / str(count) / "p" / "alphas.npz") as archive:
            alphas.append(archive["alphas"])
    np.testing.assert_array_equal(alphas[0], alphas[1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "required"),
        (("p.png",), "-o/--output"),
        (("p.png", "-o", "out", "--layers", "0"), "--layers: must be at least 1, got 0"),
        (("p.png", "-o", "out", "--layers", "many"), "--layers: must be an integer, got 'many'"),
        (("p.png", "-o", "out", "--seed", "-1"), "--seed: must be at least 0, got -1"),
        (("p.png", "-o", "out", "--threads", "0"), "--threads: must be at least 1"),
        (("p.png", "-o", "out", "--method", "magic"), "--method: invalid choice: 'magic'"),
        (("p.png", "q.png", "-o", "out", "--features", "f.npy"), "--features: must be a folder"),
        (("p.png", "-o", "out", "--method", "spectral", "--superpixels", "9"), "not used by --method spectral"),
        (("p.png", "-o", "out", "--method", "spectral", "--features", "f.npy"), "give --layers too"),
        (("p.png", "-o", "out", "--feature-size", "31"), "--feature-size: must be at least 32, got 31"),
        (("p.png", "-o", "out", "--features", "lowlevel", "--feature-size", "64"), "used by networks only"),
        (("p.png", "-o", "out", "--features", "f.npy", "--feature-size", "64"), "used by networks only"),
        (("p.png", "-o", "out", "--method", "spectral", "--feature-size", "64"), "used by networks only"),
        (("p.png", "-o", "out", "--speed", "9"), "unrecognized arguments: --speed 9"),
    ],
)
def test_usage_errors(tmp_path, monkeypatch, capfd, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit_info:
        run(*arguments)
    assert exit_info.value.code == 2
    assert message in capfd.readouterr().err
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("below", ["", "deeper"])
def test_unwritable_output_is_found_before_the_work(tmp_path, monkeypatch, capfd, below):
    (tmp_path / "file").touch()
    monkeypatch.setattr("fastsoft.image.read_image", lambda *_, **__: pytest.fail("read a photo"))
    target = tmp_path / "file" / below if below else tmp_path / "file"
    assert run(photo(tmp_path / "p.png"), "-o", target) == 1
    err = capfd.readouterr().err
    assert err.startswith(f"fastsoft: cannot write to {target}: ")
    assert err.count("\n") == 1


def test_read_only_output_folder(tmp_path, capfd):
    if os.geteuid() == 0:
        # Permissions do not stop root; the kernel's own folders do.
        target = "/proc/fastsoft"
    else:
        target = tmp_path / "locked"
        target.mkdir(mode=0o500)
    assert run(photo(tmp_path / "p.png"), "-o", target, "-q", *FAST) == 1
    assert "cannot write to" in capfd.readouterr().err


def test_full_disk_leaves_nothing_and_stops(tmp_path, monkeypatch, capfd):
    calls = 0

    def full(_):
        nonlocal calls
        calls += 1
        if calls > 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    photos = [photo(tmp_path / f"{name}.png", seed=k) for k, name in enumerate("ab")]
    assert run(*photos, "-o", tmp_path / "out", "-q", *FAST) == 1
    assert not (tmp_path / "out").exists()
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[0].endswith("a: No space left on device")


def test_too_many_layers_for_this_image(tmp_path, capfd):
    Image.new("RGB", (20, 16), (40, 50, 60)).save(tmp_path / "flat.png")
    features = np.zeros((16, 20, 1))
    np.save(tmp_path / "f.npy", features)
    assert run(tmp_path / "flat.png", "-o", tmp_path / "out", "--features", tmp_path / "f.npy", "-q") == 0
    assert "flat.png: the image gave 1 segments, so there are 1 layers instead of 5" in capfd.readouterr().err


@pytest.fixture
def interruptible():
    """Started in the background by a shell, this process ignores Ctrl-C, and so would the ones that it starts."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupt_leaves_no_half_written_result(tmp_path, number, code):
    """Whatever is running when the signal comes, the process ends soon, with nothing in the output folder."""
    picture = photo(tmp_path / "p.png", 800, 1000)
    for wait_for in ("features", "affinities"):
        command = [sys.executable, "-m", "fastsoft.cli", "segment", picture, "-o", str(tmp_path / "out"), *FAST[-2:]]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            line = process.stderr.readline()
            while wait_for not in line:
                assert line, "ended early"
                line = process.stderr.readline()
            time.sleep(0.1)
            process.send_signal(number)
            sent = time.monotonic()
            rest = process.stderr.read()
            assert process.wait(timeout=30) == code
        assert time.monotonic() - sent < 5
        assert "Traceback" not in rest
        assert not (tmp_path / "out").exists()


def test_progress_bar_on_a_terminal(tmp_path):
    picture = photo(tmp_path / "p.png")
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))  # a bar needs a width
    command = [sys.executable, "-m", "fastsoft.cli", "segment", picture, "-o", str(tmp_path / "out"), *FAST]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=slave)
    os.close(slave)
    shown = b""
    with os.fdopen(master, "rb", buffering=0) as stream:
        while True:
            try:
                part = stream.read(4096)
            except OSError:  # Linux reports the closed end so
                break
            if not part:
                break
            shown += part
    assert process.wait() == 0
    assert b"p.png: " in shown
    assert b"%|" in shown


def test_help_and_version_are_quick():
    """Neither NumPy nor SciPy is loaded for the help."""
    code = (
        "import sys\nfrom fastsoft.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "heavy = {'numpy', 'scipy', 'PIL', 'tqdm'} & set(sys.modules)\nassert not heavy, heavy\n"
    )
    for arguments in (["--help"], ["segment", "--help"]):
        out = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
        ).stdout
        assert "usage: " in out


def test_version(capsys):
    with pytest.raises(SystemExit) as exit_info:
        main(["--version"])
    assert exit_info.value.code == 0
    assert capsys.readouterr().out == f"fastsoft {fastsoft.__version__}\n"


def test_info(capsys):
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    assert f"fastsoft: {fastsoft.__version__}\n" in out
    assert f"threads: {fastsoft.num_threads()}\n" in out
    for name in ("device", "instruction set", "numpy", "scipy", "pillow"):
        assert re.search(rf"^{name}: \S+$", out, re.M)
    assert re.search(r"^compiler: \S+ [\d.]+, \w+$", out, re.M)


def test_no_command_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as exit_info:
        main([])
    assert exit_info.value.code == 2
    assert "COMMAND" in capsys.readouterr().err
