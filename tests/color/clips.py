# SPDX-License-Identifier: MIT
"""Small clips for tests, written and read by PyAV alone."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from av.video.reformatter import Interpolation

RATE = 24


def pictures(count=8, height=48, width=64, speed=1.0):
    """Three soft-edged discs of different colours that move over a still background: uint8 (H, W, 3)."""
    y, x = np.mgrid[:height, :width]
    found = []
    for t in range(count):
        picture = np.empty((height, width, 3))
        picture[...] = (210, 200, 190)
        for k, color in enumerate([(200, 30, 40), (30, 60, 190), (240, 210, 40)]):
            row = height * (0.3 + 0.2 * k) + 3 * np.sin(speed * t / 3 + k)
            col = width * (0.2 + 0.3 * k) + speed * t
            near = 1 / (1 + np.exp(np.hypot(y - row, x - col) - min(height, width) / 5))
            picture += near[..., None] * (np.array(color) - picture)
        found.append((picture + 0.5).astype(np.uint8))
    return found


def write_clip(
    path,
    frames,
    *,
    codec="libx264rgb",
    pix_fmt="rgb24",
    container=None,
    pts=None,
    time_base=Fraction(1, RATE),
    options=None,
    audio=None,
    rotation=None,
    tags=None,
    faststart=True,
):
    """Write pictures; by default lossless. `audio` is a codec, of which a tone is written."""
    flags = {"movflags": "faststart", "movie_timescale": "90000"} if faststart else {}
    with av.open(str(path), "w", format=container, container_options=flags) as out:
        if options is None:
            options = {"qp": "0"} if codec == "libx264rgb" else {}
        stream = out.add_stream(codec, rate=RATE, options=options)
        first = frames[0]
        size = (first.height, first.width) if isinstance(first, av.VideoFrame) else first.shape[:2]
        (stream.height, stream.width), stream.pix_fmt = size, pix_fmt
        stream.time_base = stream.codec_context.time_base = time_base
        if rotation is not None:
            stream.set_display_rotation(rotation)
        if tags is not None:
            stream.codec_context.colorspace, stream.codec_context.color_range = tags
        sound = None if audio is None else out.add_stream(audio, rate=48000, layout="mono")
        for k, picture in enumerate(frames):
            frame = picture if isinstance(picture, av.VideoFrame) else av.VideoFrame.from_ndarray(picture, "rgb24")
            if frame.format.name != pix_fmt:
                frame = frame.reformat(format=pix_fmt)
            frame.pts, frame.time_base = k if pts is None else pts[k], time_base
            out.mux(stream.encode(frame))
            if sound is not None:
                tone = 8000 * np.sin(np.arange(48000 // RATE) * (0.02 + 0.001 * k))
                part = av.AudioFrame.from_ndarray(tone.astype(np.int16)[None], format="s16", layout="mono")
                part.rate, part.pts, part.time_base = 48000, k * 48000 // RATE, Fraction(1, 48000)
                out.mux(sound.encode(part))
        out.mux(stream.encode())
        if sound is not None:
            out.mux(sound.encode())
    return path


def read_clip(path, pix_fmt="rgb24"):
    """Return the pictures of a clip and their times as fractions of a second."""
    # The fast conversion, which is the default, gives values that are 1.5 levels too low.
    accurate = Interpolation.BICUBIC | Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND
    with av.open(str(path)) as clip:
        stream = clip.streams.video[0]
        found = [
            (frame.to_ndarray(format=pix_fmt, interpolation=accurate), frame.pts * stream.time_base)
            for frame in clip.decode(stream)
        ]
    return [picture for picture, _ in found], [time for _, time in found]


def packets(path, kind):
    """Return times and bytes of the packets of the first stream of a kind."""
    with av.open(str(path)) as clip:
        stream = getattr(clip.streams, kind)[0]
        return [(packet.pts * packet.time_base, bytes(packet)) for packet in clip.demux(stream) if packet.size]
