# SPDX-License-Identifier: MIT
"""The default source of features: the network that comes with the package."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.quality_semantic import pair_auc, read_labels
from fastsoft import read_image, segment, spectral_matting
from fastsoft.semantic import compute_features
from fastsoft.semantic.network_features import enlarge
from fastsoft.weights import embedded_weights
from tests.subprocesses import run_python


@pytest.fixture
def torch_threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_the_default_is_the_shipped_network(rng):
    image = rng.random((50, 71, 3), dtype=np.float32)
    path, checksum = embedded_weights("features", "")
    found = compute_features(image, dtype=np.float32)
    assert (found.provider, found.size, found.weights) == ("embedded", 640, checksum)
    assert found.values.shape == (50, 71, 3)
    assert found.values.dtype == np.float32
    assert found.values.min() == 0
    assert found.values.max() == 1
    other = compute_features(image, f"hypercolumn:{path}", dtype=np.float32)
    assert (other.provider, other.weights) == (f"hypercolumn:{path}", checksum)
    np.testing.assert_array_equal(other.values, found.values)


# 37x50: torch takes another algorithm there for three threads than for two; 120x160: for two than for one.
@pytest.mark.parametrize("shape", [(37, 50), (120, 160)])
def test_same_bits_for_any_number_of_threads(rng, shape, torch_threads, threads):
    image = rng.random((*shape, 3), dtype=np.float32)
    found = []
    for count in (1, 2, 3, 2):
        torch_threads(count)
        threads(count)
        found.append(compute_features(image, "embedded", size=100).values)
        assert torch.get_num_threads() == count
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


def test_random_numbers_of_the_caller_are_left_alone(rng):
    before = torch.random.get_rng_state()
    compute_features(rng.random((20, 20, 3)))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_photograph_is_scaled_down_for_the_network_but_never_up(rng):
    image = rng.random((60, 80, 3), dtype=np.float32)
    whole = compute_features(image, size=80).values
    np.testing.assert_array_equal(compute_features(image, size=5000).values, whole)
    smaller = compute_features(image, size=40)
    assert smaller.size == 40
    assert smaller.values.shape == (60, 80, 3)
    assert np.abs(smaller.values - whole).max() > 0.05
    for size, error, message in [
        (31, ValueError, "size must be at least 32, got 31"),
        (2.5, TypeError, "size must be an integer, got 2.5"),
        (None, TypeError, "size must be an integer, got None"),
        (True, TypeError, "size must be an integer, got True"),
    ]:
        with pytest.raises(error, match=message):
            compute_features(image, size=size)


@pytest.mark.parametrize(("shape", "step"), [((13, 18), 4), ((16, 20), 4), ((13, 18), None), ((3, 2), None)])
def test_enlarging_is_bilinear_interpolation(rng, shape, step):
    height, width = shape
    h, w = (4, 5) if step else (2, 2)
    coarse = rng.standard_normal((h, w, 3)).astype(np.float32)
    found = enlarge(coarse, shape, step=step)
    rows = (np.arange(height) + 0.5) * ((1 / step) if step else h / height) - 0.5
    cols = (np.arange(width) + 0.5) * ((1 / step) if step else w / width) - 0.5
    # np.interp keeps the end values outside.
    tall = np.stack([[np.interp(rows, np.arange(h), coarse[:, c, k]) for c in range(w)] for k in range(3)])
    expected = np.stack([[np.interp(cols, np.arange(w), tall[k, :, r]) for r in range(height)] for k in range(3)])
    np.testing.assert_allclose(found, expected.transpose(1, 2, 0), atol=8 * np.finfo(np.float32).eps * 4)


def test_settings_record_network_weights_and_size(scene):
    options = {"n_layers": 2, "n_eigenvectors": 20, "n_segments": 6}
    _, checksum = embedded_weights("features", "")
    layers = segment(scene[0], feature_size=48, **options)
    chosen = {key: value for key, value in layers.settings.items() if key.startswith("feature")}
    assert chosen == {"features": "embedded", "feature_size": 48, "feature_weights": checksum}
    # The comparison method keeps to colours unless told otherwise.
    for features, expected in (({}, "lowlevel"), ({"features": "embedded"}, "embedded")):
        layers = spectral_matting(scene[0], **options, **features)
        assert layers.settings["features"] == expected
        assert layers.settings["feature_weights"] == (checksum if expected == "embedded" else None)


BLOCKED = """
    import socket, time
    time.sleep = lambda seconds: None  # the hub's library tries again and again
    def refuse(*arguments, **options):
        raise OSError("the network is unreachable")
    socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = socket.create_connection = refuse
    import numpy as np
    from fastsoft.semantic import compute_features
    image = np.random.default_rng(0).random((40, 50, 3))
"""


def test_the_default_needs_no_connection():
    assert run_python(BLOCKED, "print(compute_features(image).provider)") == "embedded"


def test_a_transformer_without_a_connection_is_a_clear_error(tmp_path):
    code = """
        try:
            compute_features(image, "transformers:some/model")
        except ValueError as error:
            print(error)
    """
    # An empty cache, whatever this machine holds.
    message = run_python(BLOCKED, code, HF_HOME=str(tmp_path)).splitlines()[-1]
    assert message.startswith(
        "cannot load the model 'some/model': it is no local folder, and the hub has no such model"
    )
    assert "give a folder, or use features='embedded'" in message


def test_memory_of_the_network_stays_below_a_gigabyte():
    """A photograph of 640x480, torch and the interpreter included."""
    code = """
        import numpy as np
        from fastsoft._environment import peak_memory
        from fastsoft.semantic import compute_features
        compute_features(np.random.default_rng(0).random((480, 640, 3), dtype=np.float32), dtype=np.float32)
        print(peak_memory())
    """
    assert int(run_python(code)) < 1e9


def test_the_network_tells_regions_apart_that_people_drew(shared):
    """On photographs that it was not trained on; the exact figures are in the model card."""
    folder = shared / "data" / "segmentation" / "val"
    paths = sorted((folder / "images").glob("*.jpg"))[::32]
    areas = {"embedded": [], "lowlevel": []}
    for path in paths:
        image = read_image(path).astype(np.float32)
        labels = read_labels(folder / "labels" / f"{path.stem}.png")
        for name, values in areas.items():
            values.append(pair_auc(compute_features(image, name).values, labels))
    assert np.mean(areas["embedded"]) > 0.8
    assert np.mean(areas["embedded"]) > np.mean(areas["lowlevel"]) + 0.05
