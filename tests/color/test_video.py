# SPDX-License-Identifier: MIT
"""Clips: what is written is compared with pictures made here, or read back by PyAV without fastsoft."""

from __future__ import annotations

import csv
import fcntl
import gc
import json
import os
import pty
import shutil
import signal
import struct
import subprocess
import sys
import termios
import tracemalloc
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from PIL import Image

import fastsoft
from fastsoft.cli import main
from fastsoft.color import color_palette, load_model
from fastsoft.color.models import convert_published_weights
from fastsoft.color.network import AlphaPredictor, ResiduePredictor
from fastsoft.color.video_files import Frame, open_clip
from tests.color.clips import RATE, packets, pictures, read_clip, write_clip

PALETTE = np.array([[0.8, 0.1, 0.15], [0.1, 0.25, 0.75], [0.85, 0.8, 0.7]])
HEX = ["#cc1a26", "#1a40bf", "#d9ccb3"]
# Times of frames of no constant rate, that do not begin at 0, in units of 1/12000 s.
UNEVEN = [600, 1100, 1101, 3000, 4500, 4501, 9000, 12345]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Both published networks for three colours, untrained."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(2)
    torch.save(AlphaPredictor(3).state_dict(), folder / "a.pth")
    torch.save(ResiduePredictor(3).state_dict(), folder / "r.pth")
    convert_published_weights(folder / "a.pth", folder / "r.pth", folder / "w.safetensors")
    return folder / "w.safetensors"


@pytest.fixture(scope="module")
def model(weights):
    return load_model(weights)


@pytest.fixture
def clip(tmp_path):
    return write_clip(tmp_path / "clip.mp4", pictures())


def rgba(folder, layer, number):
    with Image.open(folder / f"layer_{layer + 1:02d}" / f"frame_{number + 1:06d}.png") as picture:
        assert picture.mode == "RGBA"
        return np.asarray(picture).astype(np.int64)


def recomposed(folder, number, n=3):
    layers = [rgba(folder, k, number) for k in range(n)]
    return np.round(sum(layer[..., :3] * (layer[..., 3:] / 255) for layer in layers))


def table(folder):
    with open(folder / "frames.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def contents(folder):
    """Return all files of a folder by name; of the settings what does not depend on the run."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    settings = json.loads(found.pop("settings.json"))
    del settings["peak_memory_bytes"]
    return found, settings


def test_png_sequences_recompose_every_frame(tmp_path, model):
    frames = pictures(len(UNEVEN), 45, 63)
    clip = write_clip(tmp_path / "clip.mp4", frames, pts=UNEVEN, time_base=Fraction(1, 12000))
    out = tmp_path / "out"
    result = fastsoft.decompose_video(clip, out, PALETTE, weights=model)
    assert sorted(path.name for path in out.iterdir()) == [
        "frames.csv", "layer_01", "layer_02", "layer_03", "overview.png", "settings.json",
    ]  # fmt: skip
    for number, frame in enumerate(frames):
        assert np.abs(recomposed(out, number) - frame).max() <= 1
        assert (sum(rgba(out, k, number)[..., 3] for k in range(3)) == 255).all()
    assert len(list((out / "layer_01").iterdir())) == len(frames)
    settings = json.loads((out / "settings.json").read_text())
    # The file's own unit of time may be a finer one.
    unit = Fraction(settings["time_base"])
    assert [int(row["pts"]) * unit for row in table(out)] == [Fraction(pts, 12000) for pts in UNEVEN]
    assert [row["seconds"] for row in table(out)] == [f"{pts / 12000:.6f}" for pts in UNEVEN]
    assert settings["frames"] == result.n_frames == len(frames)
    assert settings["palette"] == PALETTE.tolist()
    np.testing.assert_allclose(
        result.shares, [np.mean([rgba(out, k, t)[..., 3] / 255 for t in range(8)]) for k in range(3)], atol=1e-12
    )
    # Frame by frame it is what a photograph would give.
    alone = fastsoft.decompose_colors(frames[3].astype(np.float32) / np.float32(255), PALETTE, weights=model)
    pictures_of_it = fastsoft.layers.quantized_rgba(alone)
    for k in range(3):
        np.testing.assert_array_equal(rgba(out, k, 3), pictures_of_it[k])


def test_flicker_is_the_change_of_alphas_where_the_clip_is_still(tmp_path, clip, model):
    result = fastsoft.decompose_video(clip, tmp_path / "out", PALETTE, weights=model)
    frames = [frame.astype(int) for frame in pictures()]
    change, still, pixels = np.zeros(3), 0, 0
    for number in range(1, len(frames)):
        same = (np.abs(frames[number] - frames[number - 1]) <= 1).all(axis=2)
        still, pixels = still + same.sum(), pixels + same.size
        for k in range(3):
            before, after = (rgba(tmp_path / "out", k, t)[..., 3] for t in (number - 1, number))
            change[k] += np.abs(after - before)[same].sum()
    assert 0.05 < result.flicker.still < 0.95
    assert result.flicker.still == pytest.approx(still / pixels)
    np.testing.assert_allclose(result.flicker.layers, change / still)
    assert result.flicker.mean == pytest.approx(np.mean(change / still))
    assert result.flicker.mean > 0
    settings = json.loads((tmp_path / "out" / "settings.json").read_text())
    assert settings["flicker"]["layers"] == list(result.flicker.layers)


def test_no_flicker_without_change_and_no_figure_without_stillness(tmp_path, model):
    frame = pictures(1)[0]
    still = write_clip(tmp_path / "still.mp4", [frame] * 3)
    flicker = fastsoft.decompose_video(still, tmp_path / "a", PALETTE, weights=model).flicker
    assert (flicker.layers, flicker.mean, flicker.still) == ((0.0, 0.0, 0.0), 0.0, 1.0)
    light = write_clip(tmp_path / "light.mp4", [frame // 2, frame // 2 + 2, frame // 2 + 4])
    assert fastsoft.decompose_video(light, tmp_path / "b", PALETTE, weights=model).flicker is None


def test_one_palette_for_the_whole_clip(tmp_path, model):
    """Colours that appear in a few frames late in the clip are found, too, and always the same ones."""
    colors = np.array([[250, 10, 20], [20, 10, 250], [40, 240, 30]], dtype=np.uint8)
    frames = [np.full((24, 32, 3), colors[0]) for _ in range(100)]
    for k, frame in enumerate(frames):
        frame[:, 20:] = colors[1]
        if k >= 80:
            frame[:, :10] = colors[2]
    clip = write_clip(tmp_path / "clip.mp4", frames)
    seen = []

    class Enough(Exception):
        pass

    def stop(stage, done, total):
        seen.append((stage, done, total))
        if stage == "frames" and done == 1:
            raise Enough

    found = []
    for _ in range(2):
        with pytest.raises(Enough):
            fastsoft.decompose_video(clip, tmp_path / "out", 3, weights=model, progress=stop)
        found.append(json.loads((tmp_path / "out" / "run.json").read_text())["palette"])
        shutil.rmtree(tmp_path / "out")
    assert found[0] == found[1]
    # In order of what they cover: 50, 37.5 and 12.5 per cent of all pixels.
    share = [(frame == color).all(axis=2).mean() for color in colors for frame in [np.concatenate(frames)]]
    np.testing.assert_allclose(found[0], colors[np.argsort(share)[::-1]] / 255, atol=1e-6)
    assert [done for stage, done, _ in seen if stage == "palette"][:102] == [*range(101), 100]


def test_palette_is_that_of_k_means_on_a_short_clip(tmp_path, model):
    frames = pictures(3, 24, 32)
    clip = write_clip(tmp_path / "clip.mp4", frames)
    result = fastsoft.decompose_video(clip, tmp_path / "out", 3, weights=model, seed=4)
    pixels = np.concatenate(frames).astype(np.float32) / np.float32(255)
    np.testing.assert_allclose(result.palette, color_palette(pixels, 3, seed=4), atol=1e-7)


@pytest.mark.parametrize("shape", [(48, 64), (45, 63), (2, 3)])
def test_prores_has_the_alphas_colours_and_times_of_the_pictures(tmp_path, model, shape):
    clip = write_clip(tmp_path / "clip.mp4", pictures(8, *shape), pts=UNEVEN, time_base=Fraction(1, 12000))
    fastsoft.decompose_video(clip, tmp_path / "png", PALETTE, weights=model)
    fastsoft.decompose_video(clip, tmp_path / "mov", PALETTE, weights=model, format="prores")
    assert sorted(path.name for path in (tmp_path / "mov").iterdir()) == [
        "frames.csv", "layer_01.mov", "layer_02.mov", "layer_03.mov", "overview.png", "settings.json",
    ]  # fmt: skip
    total = 0.0
    for k in range(3):
        path = tmp_path / "mov" / f"layer_{k + 1:02d}.mov"
        with av.open(str(path)) as movie:
            stream = movie.streams.video[0]
            assert (stream.codec_context.name, stream.profile) == ("prores", "4444")
            assert (stream.height, stream.width) == shape
            assert "yuva444p" in stream.pix_fmt
        found, times = read_clip(path, "rgba")
        assert times == [Fraction(pts, 12000) for pts in UNEVEN]
        for number, picture in enumerate(found):
            written = rgba(tmp_path / "png", k, number)
            assert np.abs(picture[..., 3].astype(int) - written[..., 3]).max() <= 1
            # What the codec loses of the colours, where they are seen.
            seen = written[..., 3] > 8
            assert np.abs(picture.astype(int) - written)[..., :3][seen].mean() < 2.5
            if number == 2:
                total = total + picture[..., :3] * (picture[..., 3:] / 255)
    if shape != (2, 3):
        assert np.abs(total - pictures(8, *shape)[2]).mean() < 1.5


@pytest.mark.parametrize(("shape", "pix_fmt"), [((48, 64), "yuv420p"), ((45, 64), "yuv444p"), ((45, 63), "yuv444p")])
def test_recoloured_clip_keeps_size_and_times(tmp_path, model, shape, pix_fmt):
    frames = pictures(8, *shape)
    clip = write_clip(tmp_path / "clip.mp4", frames, pts=UNEVEN, time_base=Fraction(1, 12000))
    out = tmp_path / "new.mp4"
    result = fastsoft.recolor_video(clip, out, [PALETTE[0]], [(0.1, 0.9, 0.2)], n_colors=3, weights=model)
    assert result.palette[np.flatnonzero((result.palette == PALETTE[0]).all(axis=1))].shape == (1, 3)
    place = int(np.flatnonzero((result.palette == PALETTE[0]).all(axis=1))[0])
    found, times = read_clip(out)
    assert times == [Fraction(pts, 12000) for pts in UNEVEN]
    for frame, picture in zip(frames, found, strict=True):
        layers = fastsoft.decompose_colors(frame.astype(np.float32) / np.float32(255), result.palette, weights=model)
        expected = fastsoft.recolor(layers, {place: (0.1, 0.9, 0.2)}).image * 255
        # 4:2:0 chroma and compression.
        assert np.abs(picture - expected).mean() < 2.5
        assert np.abs(picture - frame.astype(float)).mean() > 5
    with av.open(str(out)) as movie:
        stream = movie.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", pix_fmt)
        assert (stream.height, stream.width) == shape
        # The time during which the last frame is seen is kept, too.
        with av.open(str(clip)) as source:
            assert abs(movie.duration - source.duration) <= 1000
    assert os.listdir(tmp_path).count("new.mp4") == 1
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]


def test_matroska_keeps_times_to_a_millisecond(tmp_path, model):
    clip = write_clip(tmp_path / "clip.mp4", pictures(8), pts=UNEVEN, time_base=Fraction(1, 12000))
    fastsoft.recolor_video(clip, tmp_path / "new.mkv", [PALETTE[0]], [(0, 0.5, 0)], n_colors=2, weights=model)
    _, times = read_clip(tmp_path / "new.mkv")
    np.testing.assert_allclose([float(time) for time in times], np.array(UNEVEN) / 12000, atol=1e-3)


def test_audio_is_copied(tmp_path, model):
    clip = write_clip(tmp_path / "clip.mp4", pictures(6), audio="aac")
    fastsoft.recolor_video(clip, tmp_path / "new.mov", [PALETTE[0]], [(0, 0.5, 0)], n_colors=2, weights=model)
    assert packets(tmp_path / "new.mov", "audio") == packets(clip, "audio")
    assert len(packets(clip, "audio")) > 4


def test_audio_that_the_format_cannot_hold_is_left_out(tmp_path, model):
    clip = write_clip(tmp_path / "clip.mkv", pictures(2), audio="flac", pix_fmt="yuv444p", codec="ffv1")
    with pytest.warns(RuntimeWarning, match=r"the audio \(flac\) is left out: mov cannot hold it"):
        fastsoft.recolor_video(clip, tmp_path / "new.mov", [PALETTE[0]], [(0, 0.5, 0)], n_colors=2, weights=model)
    with av.open(str(tmp_path / "new.mov")) as movie:
        assert [stream.type for stream in movie.streams] == ["video"]


SLICES = {"crf": "4", "slices": "4"}
TRUNCATED = [
    ("clip.mp4", {"codec": "libx264", "pix_fmt": "yuv420p", "options": {"g": "4"}}, "ends in the middle of a packet"),
    ("clip.avi", {"codec": "ffv1", "pix_fmt": "yuv420p"}, "ends in the middle of a packet"),
    # In slices: a frame of which some are missing is one that the decoder fills up and takes for whole.
    ("clip.ts", {"codec": "libx264", "pix_fmt": "yuv420p", "options": SLICES}, "ends in the middle of a packet"),
    (
        "clip.mkv",
        {"codec": "libx264", "pix_fmt": "yuv420p", "options": {"g": "4"}},
        r"ends before the 1\.\d+ s that its header says",
    ),
]


@pytest.mark.parametrize(("name", "options", "message"), TRUNCATED)
def test_truncated_clips_give_the_frames_up_to_there(tmp_path, model, name, options, message):
    whole = write_clip(tmp_path / f"whole-{name}", pictures(30, 96, 128), **options)
    expected, times = read_clip(whole)
    content = whole.read_bytes()
    clip = tmp_path / name
    clip.write_bytes(content[: len(content) // 2])
    with pytest.warns(RuntimeWarning, match=message) as caught:
        result = fastsoft.decompose_video(clip, tmp_path / "out", PALETTE, weights=model)
    n = result.n_frames
    assert 5 < n < 29
    # The times say which ones they are: where frames are stored out of order, one before the last may be missing.
    settings = json.loads((tmp_path / "out" / "settings.json").read_text())
    unit = Fraction(settings["time_base"])
    numbers = [times.index(int(row["pts"]) * unit) for row in table(tmp_path / "out")]
    assert numbers[: n - 2] == list(range(n - 2))
    for number, original in enumerate(numbers):
        assert np.abs(recomposed(tmp_path / "out", number) - expected[original]).max() <= 1
    said = str(caught[0].message)
    assert f"{n} frames are whole, the last at {float(times[numbers[-1]]):.3f} s" in said
    assert settings["warning"] == said


def test_damage_in_the_middle_is_told_and_left_out(tmp_path, model):
    # Every frame by itself, so that one that is damaged spoils no other.
    clip = write_clip(tmp_path / "clip.avi", pictures(12, 96, 128), codec="mjpeg", pix_fmt="yuvj420p")
    content = bytearray(clip.read_bytes())
    with av.open(str(clip)) as opened:
        packet = [packet for packet in opened.demux() if packet.size][5]
        size = packet.size
        where = content.index(bytes(packet))
    content[where : where + size] = bytes(size)
    clip.write_bytes(content)
    with pytest.warns(RuntimeWarning, match=r"^1 damaged frames are left out, the first at 0\.208 s$"):
        result = fastsoft.decompose_video(clip, tmp_path / "out", PALETTE, weights=model)
    assert result.n_frames == 11
    assert [row["seconds"] for row in table(tmp_path / "out")] == [f"{k / RATE:.6f}" for k in range(12) if k != 5]


class Stop(Exception):
    pass


def stop_after(count):
    def progress(stage, done, total):
        if stage == "frames" and done == count:
            raise Stop

    return progress


@pytest.mark.parametrize("count", [1, 5, 7])
def test_a_run_that_goes_on_ends_with_the_same_files(tmp_path, clip, model, count):
    fastsoft.decompose_video(clip, tmp_path / "once", 3, weights=model)
    out = tmp_path / "twice"
    with pytest.raises(Stop):
        fastsoft.decompose_video(clip, out, 3, weights=model, progress=stop_after(count))
    assert not (out / "settings.json").exists()
    assert len(table(out)) == count
    # What a run that is killed may leave: a line cut off, pictures without a line, a temporary file.
    with open(out / "frames.csv", "a", encoding="utf-8") as file:
        file.write(f"{count + 1},9")
    (out / "layer_01" / f"frame_{count + 1:06d}.png").write_bytes(b"not complete")
    (out / "layer_02" / f".frame_{count + 1:06d}.png.0123456789ab.tmp").touch()
    steps = []
    result = fastsoft.decompose_video(clip, out, 3, weights=model, progress=lambda *step: steps.append(step))
    assert result.n_resumed == count
    assert {stage for stage, *_ in steps} == {"frames"}
    assert [done for _, done, _ in steps] == [*range(count, 9), 8]
    assert contents(out) == contents(tmp_path / "once")
    assert result.flicker == json_flicker(tmp_path / "once")


def json_flicker(folder):
    stored = json.loads((folder / "settings.json").read_text())["flicker"]
    return fastsoft.color.Flicker(tuple(stored["layers"]), stored["mean"], stored["still"])


def test_a_frame_whose_picture_is_gone_is_made_again(tmp_path, clip, model):
    out = tmp_path / "out"
    fastsoft.decompose_video(clip, out, PALETTE, weights=model)
    before = contents(out)
    (out / "layer_02" / "frame_000004.png").unlink()
    assert fastsoft.decompose_video(clip, out, PALETTE, weights=model).n_resumed == 3
    assert contents(out) == before
    assert fastsoft.decompose_video(clip, out, PALETTE, weights=model).n_resumed == 8
    assert contents(out) == before


def test_another_clip_palette_or_setting_is_refused(tmp_path, clip, weights, model):
    out = tmp_path / "out"
    with pytest.raises(Stop):
        fastsoft.decompose_video(clip, out, PALETTE, weights=model, progress=stop_after(2))

    def refused(match, source=clip, palette=PALETTE, **options):
        before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
        with pytest.raises(ValueError, match=match):
            fastsoft.decompose_video(source, out, palette, **{"weights": model, **options})
        assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before

    refused("out holds layers of another palette: give another folder, or begin anew", palette=PALETTE[::-1])
    refused("layers of another palette", palette=3)
    refused(r"layers of another smooth \(0, now 2\)", smooth=2)
    refused(r"layers of another exact \(True, now False\)", exact=False)
    refused(r"layers of another format \(png, now prores\)", format="prores")
    other = write_clip(tmp_path / "other.mp4", pictures(3))
    refused("layers of another clip: ", source=other)
    torch.manual_seed(3)
    folder = tmp_path / "w"
    folder.mkdir()
    torch.save(AlphaPredictor(3).state_dict(), folder / "a.pth")
    torch.save(ResiduePredictor(3).state_dict(), folder / "r.pth")
    convert_published_weights(folder / "a.pth", folder / "r.pth", folder / "w.safetensors")
    refused("layers of another file of weights: ", weights=folder / "w.safetensors")
    # The same file by another name is the same.
    shutil.copy(weights, folder / "same.safetensors")
    shutil.copy(clip, tmp_path / "same.mp4")
    result = fastsoft.decompose_video(tmp_path / "same.mp4", out, PALETTE, weights=folder / "same.safetensors")
    assert result.n_resumed == 2
    refused("layers of another clip: ", source=other)
    # Anew, with fewer layers than before, and what else is in the folder stays.
    (out / "notes.txt").write_text("mine")
    result = fastsoft.decompose_video(other, out, PALETTE[:2], weights=model, restart=True)
    assert (result.n_resumed, result.n_frames) == (0, 3)
    assert sorted(path.name for path in out.iterdir()) == [
        "frames.csv", "layer_01", "layer_02", "notes.txt", "overview.png", "settings.json",
    ]  # fmt: skip
    assert len(list((out / "layer_01").iterdir())) == 3


def test_the_folder_of_a_photograph_is_refused(tmp_path, clip, model):
    image = pictures(1)[0].astype(np.float32) / np.float32(255)
    fastsoft.decompose_colors(image, PALETTE, weights=model).save(tmp_path / "out")
    with pytest.raises(ValueError, match=r"out must be new or hold layers of this clip, got the settings\.json of"):
        fastsoft.decompose_video(clip, tmp_path / "out", PALETTE, weights=model)


def test_an_interrupted_movie_leaves_nothing(tmp_path, clip, model):
    with pytest.raises(Stop):
        fastsoft.decompose_video(
            clip, tmp_path / "out", PALETTE, weights=model, format="prores", progress=stop_after(3)
        )
    assert not (tmp_path / "out").exists()
    (tmp_path / "new.mp4").write_text("what was there before")
    with pytest.raises(Stop):
        fastsoft.recolor_video(
            clip, tmp_path / "new.mp4", [PALETTE[0]], [PALETTE[1]], n_colors=3, weights=model, progress=stop_after(3)
        )
    assert sorted(os.listdir(tmp_path)) == ["clip.mp4", "new.mp4"]
    assert (tmp_path / "new.mp4").read_text() == "what was there before"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "it is a folder"),
        (lambda path: path.touch(), "the file is empty"),
        (lambda path: path.write_text("no clip" * 99), "not a clip, or damaged at its beginning or in its index"),
    ],
)
def test_what_is_no_clip_is_refused(tmp_path, model, make, message):
    path = tmp_path / "clip.mp4"
    make(path)
    with pytest.raises(fastsoft.VideoReadError, match=rf"cannot read .*clip\.mp4: {message}"):
        fastsoft.decompose_video(path, tmp_path / "out", 3, weights=model)
    with pytest.raises(fastsoft.VideoReadError, match=message):
        fastsoft.recolor_video(path, tmp_path / "new.mp4", [PALETTE[0]], [PALETTE[1]], weights=model)
    assert not (tmp_path / "out").exists()


def test_clips_without_video_or_index_or_frames(tmp_path, model):
    sound = tmp_path / "sound.mp4"
    with av.open(str(sound), "w") as out:
        stream = out.add_stream("aac", rate=48000, layout="mono")
        part = av.AudioFrame.from_ndarray(np.zeros((1, 2048), dtype=np.int16), format="s16", layout="mono")
        part.rate = 48000
        out.mux([*stream.encode(part), *stream.encode()])
    with pytest.raises(fastsoft.VideoReadError, match=r"sound\.mp4: it holds no video"):
        fastsoft.decompose_video(sound, tmp_path / "out", 3, weights=model)
    # The index is at the end, where it is missing if the end is.
    clip = write_clip(tmp_path / "clip.mov", pictures(), faststart=False)
    clip.write_bytes(clip.read_bytes()[:-200])
    with pytest.raises(fastsoft.VideoReadError, match="damaged at its beginning or in its index"):
        fastsoft.decompose_video(clip, tmp_path / "out", 3, weights=model)
    clip = write_clip(tmp_path / "clip.avi", pictures(), codec="mjpeg", pix_fmt="yuvj420p")
    content = clip.read_bytes()
    for _, packet in packets(clip, "video"):
        content = content.replace(packet, bytes(len(packet)))
    clip.write_bytes(content)
    with pytest.raises(fastsoft.VideoReadError, match="no frame of it can be decoded"):
        fastsoft.decompose_video(clip, tmp_path / "out", PALETTE, weights=model)
    assert not (tmp_path / "out").exists()


def test_frames_of_another_size_end_the_run(tmp_path, model):
    clip = tmp_path / "clip.mkv"
    with av.open(str(clip), "w") as out:
        stream = out.add_stream("mjpeg", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        other = av.CodecContext.create("mjpeg", "w")
        other.width, other.height, other.pix_fmt, other.time_base = 64, 64, "yuvj420p", Fraction(1, RATE)
        for k in range(6):
            picture = pictures(1, 48 if k < 3 else 64, 64)[0]
            frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format="yuvj420p")
            frame.pts, frame.time_base = k, Fraction(1, RATE)
            for packet in (stream if k < 3 else other).encode(frame):
                packet.stream = stream
                out.mux(packet)
    match = r"cannot read .*clip\.mkv beyond frame 3: the next one has 64x64 pixels, those before 64x48"
    with pytest.raises(fastsoft.VideoReadError, match=match):
        fastsoft.decompose_video(clip, tmp_path / "out", PALETTE, weights=model)
    assert len(table(tmp_path / "out")) == 3


def test_large_frames_and_wrong_arguments_are_refused(tmp_path, clip, model):
    out = tmp_path / "out"
    with pytest.raises(fastsoft.VideoReadError, match="64x48 pixels are more than the limit of 3000"):
        fastsoft.decompose_video(clip, out, 3, weights=model, max_pixels=3000)
    for options, error, message in [
        ({"format": "gif"}, ValueError, "format must be one of 'png', 'prores', got 'gif'"),
        ({"palette": 4}, ValueError, r"palette must be in 2\.\.3, got 4"),
        ({"palette": PALETTE[:1]}, ValueError, "at least 2 colours, got 1"),
        ({"smooth": -1}, ValueError, "smooth must be at least 0"),
        ({"smooth_epsilon": 0}, ValueError, "smooth_epsilon must be above 0"),
        ({"exact": 1}, TypeError, "exact must be True or False, got 1"),
        ({"seed": 0.5}, TypeError, "seed must be an integer"),
    ]:
        with pytest.raises(error, match=message):
            fastsoft.decompose_video(clip, out, **{"weights": model, **options})
    red = [(1.0, 0.0, 0.0)]
    for arguments, message in [
        ((tmp_path / "new.gif", red, red), r"the ending of output must be one of '\.mp4', .* got '\.gif'"),
        ((tmp_path / "new.mp4", red, []), "old and new must be as many colours, at least one, got 1 and 0"),
        ((clip, red, red), r"output must not be the clip itself, got .*clip\.mp4"),
        ((tmp_path / "new.mp4", np.eye(4)[:, :3], np.eye(4)[:, :3]), r"number of colours must be at most 3, got 4"),
        ((tmp_path / "new.mp4", [(2.0, 0, 0)], red), r"palette must lie in \[0, 1\]"),
        ((tmp_path / "new.mp4", red, [(0, 0, 1.5)]), r"a colour must lie in \[0, 1\]"),
    ]:
        with pytest.raises(ValueError, match=message):
            fastsoft.recolor_video(clip, *arguments, weights=model)
    assert os.listdir(tmp_path) == ["clip.mp4"]


def test_without_pyav_it_says_what_to_install(tmp_path, clip, weights, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "av", None)
    match = r"clips need the PyAV package: pip install 'fastsoft\[video\]'"
    with pytest.raises(ImportError, match=match):
        fastsoft.decompose_video(clip, tmp_path / "out", 3, weights=weights)
    photo = tmp_path / "photo.png"
    fastsoft.write_png(photo, pictures(1)[0])
    out = tmp_path / "out"
    assert main(["colors", str(clip), str(photo), "-o", str(out), "--weights", str(weights), "-q"]) == 1
    err = capsys.readouterr().err.splitlines()
    assert err == [
        f"fastsoft: {clip}: clips need the PyAV package: pip install 'fastsoft[video]'",
        "fastsoft: 1 of 2 photos failed",
    ]
    assert os.listdir(out) == ["photo"]


def decoded(path):
    with open_clip(path) as clip:
        return [frame.image() for frame in clip.frames()]


@pytest.mark.parametrize("degrees", [0, 90, 180, -90])
def test_turned_clips_are_shown_upright(tmp_path, degrees):
    picture = pictures(1)[0]
    clip = write_clip(tmp_path / "clip.mp4", [picture], rotation=degrees)
    expected = np.rot90(picture, {0: 0, 90: 1, 180: 2, -90: 3}[degrees])
    np.testing.assert_allclose(decoded(clip)[0] * 255, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "tags", "coefficients", "full"),
    [
        ((48, 64), None, (0.299, 0.114), False),
        ((48, 64), (1, 1), (0.2126, 0.0722), False),
        ((720, 64), None, (0.2126, 0.0722), False),
        ((720, 64), (6, 2), (0.299, 0.114), True),
        ((48, 64), (9, 1), (0.2627, 0.0593), False),
    ],
    ids=["sd", "tagged 709", "hd", "tagged 601, full range", "tagged 2020"],
)
def test_matrix_and_range_are_those_that_the_clip_says(tmp_path, rng, shape, tags, coefficients, full):
    """Y'CbCr of a still picture, computed here by the definition, comes back as its RGB."""
    height, width = shape
    rgb = np.kron(rng.random((height // 8, width // 8, 3)), np.ones((8, 8, 1)))
    red, blue = coefficients
    luma = rgb @ [red, 1 - red - blue, blue]
    chroma = np.stack([(rgb[..., 2] - luma) / (2 - 2 * blue), (rgb[..., 0] - luma) / (2 - 2 * red)])
    planes = np.concatenate(
        [255 * luma[None], 128 + 255 * chroma] if full else [16 + 219 * luma[None], 128 + 224 * chroma]
    )
    frame = av.VideoFrame.from_ndarray(np.round(planes).clip(0, 255).astype(np.uint8), "yuv444p")
    if tags is not None:
        frame.colorspace, frame.color_range = tags
    clip = write_clip(tmp_path / "c.mp4", [frame], codec="libx264", pix_fmt="yuv444p", options={"qp": "0"}, tags=tags)
    # Rounding of three channels, then of the result.
    assert np.abs(decoded(clip)[0] - rgb).max() < 2.5 / 255


def test_deep_clips_keep_their_precision(tmp_path):
    ramp = np.linspace(0.2, 0.4, 256)
    levels = np.broadcast_to(np.round(65535 * ramp)[:, None], (16, 256, 3)).astype(np.uint16)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(levels), "rgb48le")
    clip = write_clip(tmp_path / "clip.mov", [frame], codec="png", pix_fmt="rgb48be")
    np.testing.assert_allclose(decoded(clip)[0], np.broadcast_to(ramp[:, None], (16, 256, 3)), atol=1e-5)


def test_memory_does_not_grow_with_the_clip(tmp_path, model, threads):
    threads(1)
    peaks = []
    for number in (4, 40):
        clip = write_clip(tmp_path / f"{number}.mp4", pictures(number, 96, 128))
        tracemalloc.start()
        fastsoft.decompose_video(clip, tmp_path / str(number), PALETTE, weights=model)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # A frame as floats is 147 kB, its layers four times that: of 36 frames more, not four are kept.
    assert peaks[1] < peaks[0] + 4 * 147_456


def test_frames_are_not_gathered(tmp_path, clip, model):
    """Decoded pictures are memory of FFmpeg, which Python does not count."""
    alive = []

    def count(stage, done, _):
        if stage == "frames" and done == 4:
            alive.append(sum(type(value) in (Frame, av.VideoFrame) for value in gc.get_objects()))

    fastsoft.decompose_video(clip, tmp_path / "out", PALETTE, weights=model, progress=count)
    # The frame that has been worked on, and the decoded picture that it is made of.
    assert len(alive) == 1
    assert 1 <= alive[0] <= 4


def command(*arguments):
    return main([str(argument) for argument in arguments])


def test_the_command(tmp_path, clip, weights, capsys):
    out = tmp_path / "out"
    photo = tmp_path / "photo.png"
    fastsoft.write_png(photo, pictures(1)[0])
    options = ("--weights", weights, "--threads", 1)
    assert command("colors", clip, photo, "-o", out, "--palette", *HEX, *options) == 0
    assert sorted(os.listdir(out)) == ["clip", "photo"]
    assert np.abs(recomposed(out / "clip", 7) - pictures()[7]).max() <= 1
    told, err = capsys.readouterr()
    lines = told.splitlines()
    assert lines[0].startswith(f"{clip}: 3 layers of 8 frames in {out / 'clip'} (")
    assert lines[1].startswith(f"{clip}: flicker ")
    assert f"{clip}: frames 8 of 8, " in err
    assert command("colors", clip, "-o", out, "--palette", *HEX, *options) == 0
    assert "8 of them from before" in capsys.readouterr().out
    assert command("colors", clip, "-o", out, "--colors", 2, *options) == 1
    assert f"fastsoft: {clip}: {out / 'clip'} holds layers of another palette: " in capsys.readouterr().err
    assert command("colors", clip, "-o", out, "--colors", 2, "--format", "prores", "--restart", "-q", *options) == 0
    assert capsys.readouterr() == ("", "")
    assert sorted(os.listdir(out / "clip")) == [
        "frames.csv", "layer_01.mov", "layer_02.mov", "overview.png", "settings.json",
    ]  # fmt: skip
    with pytest.raises(SystemExit):
        command("colors", clip, "-o", out, "--mask", photo, 1, 2, *options)
    assert "argument --mask: not for clips" in capsys.readouterr().err


def test_the_command_recolours(tmp_path, clip, weights, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    change = ("--from", HEX[0], "--to", "#10a030", "--colors", 3, "--weights", weights, "--threads", 1)
    assert command("recolor", clip, *change) == 0
    assert "8 frames in recolored/clip.mp4, " in capsys.readouterr().out
    assert command("recolor", clip, *change, "-o", "deep/er/new.mkv", "-q") == 0
    first, _ = read_clip("recolored/clip.mp4")
    second, _ = read_clip("deep/er/new.mkv")
    np.testing.assert_array_equal(first, second)
    assert np.abs(first[0].astype(int) - pictures()[0]).mean() > 3
    assert command("recolor", clip, *change, "-o", "clip.mp4") == 1
    assert "output must not be the clip itself, got clip.mp4" in capsys.readouterr().err
    photo = tmp_path / "photo.png"
    fastsoft.write_png(photo, pictures(1)[0])
    for inputs in ([photo], [clip, photo]):
        with pytest.raises(SystemExit):
            command("recolor", *inputs, *change, "-o", "x.mp4")
        assert "-o/--output: must be a folder, except for one clip" in capsys.readouterr().err


def test_a_disk_that_is_full_stops_the_command(tmp_path, clip, weights):
    """The limit on the size of files is met by the encoders, too; the error names the file."""
    limit = "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))\n"
    limit += "from fastsoft.cli import main; sys.exit(main(sys.argv[1:]))"
    photo = tmp_path / "photo.png"
    fastsoft.write_png(photo, pictures(1)[0])
    base = [sys.executable, "-c", limit]
    common = ["--weights", str(weights), "--threads", "1", "-q"]
    new = tmp_path / "new.mp4"
    for arguments, path in [
        (["recolor", str(clip), "--from", HEX[0], "--to", HEX[1], "-o", str(new)], new),
        (["colors", str(clip), str(photo), "-o", str(tmp_path / "a"), "--format", "prores"], tmp_path / "a" / "clip"),
        (["colors", str(clip), str(photo), "-o", str(tmp_path / "b")], tmp_path / "b" / "clip"),
    ]:
        done = subprocess.run([*base, *arguments, *common], capture_output=True, text=True, check=False)
        lines = done.stderr.splitlines()
        assert done.returncode == 1, done.stderr
        assert lines[0].startswith(f"fastsoft: cannot write {path}: "), done.stderr
        assert "Traceback" not in done.stderr
        assert not path.exists()


@pytest.fixture
def interruptible():
    """Started in the background by a shell, this process ignores Ctrl-C, and so would the ones that it starts."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_leaves_finished_frames_and_the_same_command_goes_on(tmp_path, weights, number, code):
    clip = write_clip(tmp_path / "clip.mp4", pictures(20, 96, 128))
    out = tmp_path / "out"
    line = [sys.executable, "-m", "fastsoft.cli", "colors", str(clip), "-o", str(out), "--weights", str(weights)]
    line += ["--threads", "1"]
    third = out / "clip" / "layer_03" / "frame_000003.png"
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True) as process:
        while not third.exists():
            assert process.poll() is None
        process.send_signal(number)
        said = process.stderr.read()
        assert process.wait(timeout=30) == code
    assert "Traceback" not in said
    folder = out / "clip"
    rows = table(folder)
    assert 2 <= len(rows) < 20
    assert f"{len(rows)} frames are in {folder}; the same command goes on behind them" in said
    for number_of_frame in range(len(rows)):
        assert recomposed(folder, number_of_frame).shape == (96, 128, 3)
    assert not list(folder.rglob("*.tmp"))
    assert not (folder / "settings.json").exists()
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert f"{len(rows)} of them from before" in done.stdout
    assert len(table(folder)) == 20


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_leaves_no_half_movie(tmp_path, weights):
    clip = write_clip(tmp_path / "clip.mp4", pictures(40, 96, 128))
    line = [sys.executable, "-m", "fastsoft.cli", "recolor", str(clip), "-o", str(tmp_path / "new.mp4")]
    line += ["--from", HEX[0], "--to", HEX[1], "--weights", str(weights), "--threads", "1"]
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True) as process:
        while not list(tmp_path.glob(".new.mp4.*.tmp")):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert "Traceback" not in process.stderr.read()
        assert process.wait(timeout=30) == 130
    assert os.listdir(tmp_path) == ["clip.mp4"]


def test_frames_are_counted_in_a_bar_on_a_terminal(tmp_path, clip, weights):
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))  # a bar needs a width
    line = [sys.executable, "-m", "fastsoft.cli", "colors", str(clip), "-o", str(tmp_path / "out")]
    process = subprocess.Popen([*line, "--weights", str(weights)], stdout=subprocess.DEVNULL, stderr=slave)
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
    assert b"clip.mp4: palette: " in shown
    assert b"clip.mp4: frames: " in shown
    assert b"/8 [" in shown
