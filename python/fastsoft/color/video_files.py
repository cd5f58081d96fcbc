# SPDX-License-Identifier: MIT
"""Clips: read frame by frame and written, by PyAV, which is loaded only when a clip is opened."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastsoft._files import atomic_path
from fastsoft.errors import VideoReadError
from fastsoft.image import DEFAULT_MAX_PIXELS, to_float
from fastsoft.threads import num_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["CLIP_SUFFIXES", "MOVIE_FORMATS", "Clip", "Frame", "Movie", "open_clip", "write_movie"]

# Names that are taken for clips; anything else is taken for a photograph.
_CLIP_NAMES = ".3gp .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .mxf .ogv .ts .webm .wmv .y4m"
CLIP_SUFFIXES = frozenset(_CLIP_NAMES.split())
# Endings of clips that are written, and the names that FFmpeg has for the formats.
MOVIE_FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}

# Containers whose header says how long the clip is, so that one that ends before can be told.
_KNOWN_DURATION = ("mov,", "matroska")
# How much earlier a clip may end, in seconds and in frames: audio and rounding make such differences.
_SLACK, _SLACK_FRAMES = 0.1, 2
# Sizes of the packets of an MPEG transport stream: plain, with time stamps, with error correction.
_TRANSPORT_PACKETS = (188, 192, 204)

# Numbers of ITU-T H.273.
_BT709, _BT601, _LIMITED_RANGE = 1, 6, 1
# Matrix of a clip -> the number that swscale has for it.
_SWSCALE = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9}
# Where no tag says the matrix, players take that of BT.601 up to these sizes and that of BT.709 above.
_SD_WIDTH, _SD_HEIGHT = 1024, 576
# Least resolution of the times at which tracks begin in .mp4 and .mov.
_LEAST_TIMESCALE = 10000


def _pyav() -> Any:
    try:
        import av
    except ImportError:
        raise ImportError("clips need the PyAV package: pip install 'fastsoft[video]'") from None
    return av


class Tags(NamedTuple):
    """How the colours of a clip are meant: numbers of ITU-T H.273. The matrix is never unspecified."""

    matrix: int
    primaries: int
    transfer: int


@dataclass(frozen=True)
class Frame:
    """One frame: its number from 0, its time stamp and duration in units of the clip's time base, and its picture."""

    number: int
    pts: int
    duration: int
    image: Callable[[], Any]
    """Returns the picture, float32 (H, W, 3) in [0, 1], upright; only until the next frame is asked for."""


class Clip:
    """A clip whose frames are decoded one after another, once.

    Attributes
    ----------
    name : str
    time_base : Fraction
        Seconds of one unit of time stamps.
    rate : Fraction
        Frames per second, on average.
    n_frames : int or None
        As its header says or lets expect; after `frames`, how many there were.
    pixel_aspect : Fraction
        Width of a pixel divided by its height.
    tags : Tags
    warning : str or None
        After `frames`: what is wrong with the clip, and where.
    """

    def __init__(self, name: str, container: Any, stream: Any, max_pixels: int) -> None:
        self.name = name
        self.warning: str | None = None
        self._av, self._container, self._stream, self._max_pixels = _pyav(), container, stream, max_pixels
        self.time_base = Fraction(stream.time_base or Fraction(1, 1000))
        self.rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
        self.pixel_aspect = Fraction(stream.sample_aspect_ratio or 1)
        self.n_frames: int | None = stream.frames or None
        if self.n_frames is None and container.duration:
            self.n_frames = round(container.duration * self.rate / 1_000_000) or None
        self.tags = _tags(stream.codec_context)
        self._shape: tuple[int, int] | None = None
        self._check_size(stream.width, stream.height)
        self._reformatter = self._av.video.reformatter.VideoReformatter()
        # Time stamps of what is damaged, of the last whole frame, and of the last packet.
        self._lost: set[int] = set()
        self._last: int | None = None
        self._last_packet: int | None = None
        # Seconds at which the last packet of any stream ends, and why reading ended before.
        self._end = 0.0
        self._unreadable: str | None = None
        self._step = max(1, round(1 / (self.rate * self.time_base)))

    @property
    def audio(self) -> Any:
        """The audio stream that a player would choose, or None."""
        return self._container.streams.best("audio", related=self._stream)

    def frames(self, on_audio: Callable[[Any], None] | None = None) -> Iterator[Frame]:
        """Decode all frames.

        Parameters
        ----------
        on_audio : callable, optional
            Called with the packets of `audio` as they come.

        Raises
        ------
        VideoReadError
            If there is not one frame that can be decoded, or their size changes.
        """
        number = 0
        for packet in self._packets(on_audio):
            for frame in self._decode(packet):
                yield self._frame(frame, number)
                number += 1
        if self._last is None:
            raise VideoReadError(f"cannot read {self.name}: no frame of it can be decoded")
        self.n_frames = number
        self.warning = self._verdict(number)

    def _packets(self, on_audio: Callable[[Any], None] | None) -> Iterator[Any]:
        """Yield the packets of the video, and None at the end, for what the decoder still holds then."""
        audio = self.audio if on_audio else None
        # One behind, so that the last one is known as such before it is decoded.
        pending = None
        try:
            # Of all streams: the one that lasts longest says whether the clip ends before its time.
            for packet in self._container.demux():
                if not packet.size:
                    continue
                if packet.pts is not None:
                    self._end = max(self._end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                if on_audio is not None and packet.stream is audio and not packet.is_corrupt:
                    on_audio(packet)
                if packet.stream is self._stream:
                    if pending is not None:
                        yield pending
                    pending = packet
        except self._av.FFmpegError as error:
            self._unreadable = error.strerror or str(error)
        if pending is not None:
            if self._cut_inside_a_packet():
                self._lose(pending)
            yield pending
        yield None

    def _decode(self, packet: Any) -> Iterator[Any]:
        """Yield the whole frames that a packet gives, or, for None, that the decoder still holds."""
        if packet is not None:
            self._last_packet = packet.pts
            if packet.is_corrupt:
                self._lose(packet)
        try:
            frames = self._stream.codec_context.decode(packet)
        except self._av.FFmpegError:
            frames = []
            if packet is not None:
                self._lose(packet)
        for frame in frames:
            if frame.is_corrupt:
                self._lose(frame)
            elif frame.pts is None or frame.pts not in self._lost:
                yield frame

    def _lose(self, damaged: Any) -> None:
        """Note that the frame of a packet is not whole, even if the decoder makes something of it."""
        self._lost.add((0 if self._last is None else self._last + 1) if damaged.pts is None else damaged.pts)

    def _frame(self, frame: Any, number: int) -> Frame:
        shape = (frame.height, frame.width)
        self._check_size(frame.width, frame.height)
        if self._shape is None:
            self._shape, self.tags = shape, _tags(frame)
            if _quarter_turns(frame) % 2:
                self.pixel_aspect = 1 / self.pixel_aspect
        elif shape != self._shape:
            raise VideoReadError(
                f"cannot read {self.name} beyond frame {number}: the next one has {shape[1]}x{shape[0]} pixels, those "
                f"before {self._shape[1]}x{self._shape[0]}"
            )
        # Every frame has a time of its own, later than the one before, whatever the file says.
        last, pts = self._last, frame.pts
        if pts is None:
            pts = 0 if last is None else last + self._step
        elif last is not None and pts <= last:
            pts = last + 1
        self._last = pts
        return Frame(number, pts, int(frame.duration or self._step), lambda: self._convert(frame))

    def _check_size(self, width: int, height: int) -> None:
        if width * height > self._max_pixels:
            raise VideoReadError(
                f"cannot read {self.name}: {width}x{height} pixels are more than the limit of {self._max_pixels}"
            )

    def _convert(self, frame: Any) -> Any:
        deep = max(component.bits for component in frame.format.components) > 8
        flags = self._av.video.reformatter.Interpolation
        rgb = self._reformatter.reformat(
            frame,
            format="rgb48le" if deep else "rgb24",
            src_colorspace=None if frame.format.is_rgb else _SWSCALE.get(self.tags.matrix),
            # Without these flags chroma is repeated rather than interpolated.
            interpolation=flags.BICUBIC | flags.FULL_CHR_H_INT | flags.ACCURATE_RND,
            threads=1,
        )
        return np.ascontiguousarray(np.rot90(to_float(rgb.to_ndarray()), _quarter_turns(frame)))

    def _cut_inside_a_packet(self) -> bool:
        """Tell whether the file ends within a packet of its container, as far as that shows from its size."""
        if not self._container.format.name.startswith("mpegts"):
            return False
        size = os.stat(self.name).st_size
        return all(size % packet for packet in _TRANSPORT_PACKETS)

    def _verdict(self, number: int) -> str | None:
        """Say what is wrong with the clip."""
        assert self._last is not None
        found = f"{number} frames are whole, the last at {float(self._last * self.time_base):.3f} s"
        inside = {pts for pts in self._lost if pts < self._last and pts != self._last_packet}
        said = []
        if self._unreadable is not None:
            said.append(f"the clip cannot be read to its end ({self._unreadable}): {found}")
        elif self._lost - inside:
            said.append(f"the clip ends in the middle of a packet: {found}")
        elif self._container.duration and self._container.format.name.startswith(_KNOWN_DURATION):
            declared = self._container.duration / 1_000_000
            before_zero = min(0.0, (self._container.start_time or 0) / 1_000_000)
            if declared - (self._end - before_zero) > max(_SLACK, _SLACK_FRAMES / float(self.rate)):
                said.append(f"the clip ends before the {declared:.3f} s that its header says: {found}")
        if inside:
            first = float(min(inside) * self.time_base)
            said.append(f"{len(inside)} damaged frames are left out, the first at {first:.3f} s")
        return "; ".join(said) or None


def _quarter_turns(frame: Any) -> int:
    """Return by how many quarters a frame is to be turned counter-clockwise to be upright."""
    return int(round(frame.rotation / 90) % 4)


def _tags(source: Any) -> Tags:
    """Return the tags of a frame or a codec; a matrix that is not tagged, or not known, is chosen by the size."""
    matrix = int(source.colorspace)
    if matrix not in _SWSCALE:
        matrix = _BT709 if source.width > _SD_WIDTH or source.height > _SD_HEIGHT else _BT601
    return Tags(matrix, int(source.color_primaries), int(source.color_trc))


@contextlib.contextmanager
def open_clip(path: str | os.PathLike[str], *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Iterator[Clip]:
    """Open a clip for reading.

    Parameters
    ----------
    path : path
        A file in a format that FFmpeg reads; only files are opened, nothing is fetched.
    max_pixels : int
        Frames with more are refused before they are decoded.

    Raises
    ------
    ImportError
        If PyAV is not installed.
    VideoReadError
        If the file is missing, empty, no clip, damaged from the start, without video, or its frames are too large.
    """
    av = _pyav()
    name = os.fspath(path)
    try:
        with open(name, "rb") as file:
            if not file.read(1):
                raise VideoReadError(f"cannot read {name}: the file is empty")
        # The prefix keeps a name with a colon from being taken for an address.
        container = av.open(f"file:{name}", container_options={"protocol_whitelist": "file"})
    except FileNotFoundError:
        raise VideoReadError(f"cannot read {name}: no such file") from None
    except IsADirectoryError:
        raise VideoReadError(f"cannot read {name}: it is a folder") from None
    except VideoReadError:
        raise
    except av.error.InvalidDataError:
        raise VideoReadError(f"cannot read {name}: not a clip, or damaged at its beginning or in its index") from None
    except (OSError, av.FFmpegError) as error:
        raise VideoReadError(f"cannot read {name}: {error.strerror or error}") from error
    with container:
        stream = container.streams.best("video")
        if stream is None or stream.disposition & av.stream.Disposition.attached_pic:
            raise VideoReadError(f"cannot read {name}: it holds no video")
        if stream.codec_context is None:
            raise VideoReadError(f"cannot read {name}: its video is in a format that cannot be decoded")
        yield Clip(name, container, stream, max_pixels)


class Movie:
    """A clip that is being written."""

    def __init__(self, clip: Clip, container: Any, stream: Any, audio: Any, kind: _Kind, path: Path) -> None:
        self._av = _pyav()
        self._clip, self._container, self._stream, self._audio = clip, container, stream, audio
        self._kind, self._path = kind, path
        self._durations: dict[int, int] = {}

    def write(self, picture: Any, frame: Frame) -> None:
        """Add a picture, uint8 (H, W, 3) or (H, W, 4) as the format has an alpha channel or not, at a frame's time."""
        av = self._av
        shown = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgba" if self._kind.alpha else "rgb24")
        flags = av.video.reformatter.Interpolation
        shown = shown.reformat(
            format=self._stream.pix_fmt,
            dst_colorspace=_SWSCALE[self._clip.tags.matrix],
            dst_color_range=_LIMITED_RANGE,
            interpolation=flags.BICUBIC | flags.FULL_CHR_H_INP | flags.ACCURATE_RND,
            threads=1,
        )
        shown.pts, shown.time_base = frame.pts, self._clip.time_base
        self._durations[frame.pts] = frame.duration
        self._mux(shown)

    def copy(self, packet: Any) -> None:
        """Add a packet of the clip's audio as it is."""
        if self._audio is not None and packet.dts is not None:
            packet.stream = self._audio
            with self._errors():
                self._container.mux(packet)

    def finish(self) -> None:
        """Write what is still held back, and the index."""
        self._mux(None)
        with self._errors():
            self._container.close()

    def _mux(self, frame: Any) -> None:
        with self._errors():
            for packet in self._stream.encode(frame):
                packet.duration = self._durations.pop(packet.pts, 0) or packet.duration
                self._container.mux(packet)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn errors of FFmpeg to OSError that names the file."""
        try:
            yield
        except self._av.FFmpegError as error:
            raise OSError(error.errno, error.strerror or str(error), os.fspath(self._path)) from error


@dataclass(frozen=True)
class _Kind:
    """How a clip is written."""

    codec: str
    options: dict[str, str]
    threads: str
    alpha: bool
    even: str
    """Pixel format of frames whose height and width are even."""
    odd: str


_KINDS = {
    "prores": _Kind(
        "prores_ks", {"profile": "4444", "alpha_bits": "16"}, "SLICE", True, "yuva444p10le", "yuva444p10le"
    ),
    # Without frames that refer to later ones, times are in the file as given. A short look ahead keeps memory small.
    "h264": _Kind("libx264", {"crf": "16", "bf": "0", "rc-lookahead": "10"}, "FRAME", False, "yuv420p", "yuv444p"),
}


@contextlib.contextmanager
def write_movie(
    path: str | os.PathLike[str], kind: str, clip: Clip, shape: tuple[int, int], *, audio: bool = False
) -> Iterator[Movie]:
    """Write a clip with the times of another one; it appears under its name only when it is complete.

    Parameters
    ----------
    path : path
        Ends in one of `MOVIE_FORMATS`.
    kind : {"prores", "h264"}
        ProRes 4444 with alpha, or H.264.
    clip : Clip
        From which times, shape of the pixels and tags are taken.
    shape : tuple of int
        Height and width of the pictures. H.264 has 4:2:0 chroma if both are even, else 4:4:4.
    audio : bool
        Make place for the clip's audio; if the format cannot hold it, that is a RuntimeWarning.
    """
    av = _pyav()
    target = Path(path)
    how = _KINDS[kind]
    height, width = shape
    form = MOVIE_FORMATS[target.suffix.lower()]
    options = {}
    if form != "matroska":
        # In the default of milliseconds a first frame that is not at 0 would be moved.
        denominator = clip.time_base.denominator
        options = {"movie_timescale": str(denominator * -(-_LEAST_TIMESCALE // denominator)), "movflags": "faststart"}
    with atomic_path(target) as temporary:
        try:
            container = av.open(f"file:{temporary}", "w", format=form, container_options=options)
        except av.FFmpegError as error:
            raise OSError(error.errno, error.strerror or str(error), os.fspath(target)) from error
        try:
            stream = container.add_stream(how.codec, rate=clip.rate, options=dict(how.options))
            stream.width, stream.height = width, height
            stream.pix_fmt = how.odd if height % 2 or width % 2 else how.even
            context = stream.codec_context
            context.time_base = stream.time_base = clip.time_base
            context.sample_aspect_ratio = clip.pixel_aspect
            context.color_range, context.colorspace = _LIMITED_RANGE, clip.tags.matrix
            context.color_primaries, context.color_trc = clip.tags.primaries, clip.tags.transfer
            context.thread_count, context.thread_type = num_threads(), how.threads
            movie = Movie(clip, container, stream, _add_audio(container, clip) if audio else None, how, target)
            yield movie
            movie.finish()
        finally:
            # After an exception the file is incomplete anyway, and so is its index.
            with contextlib.suppress(Exception):
                container.close()


def _add_audio(container: Any, clip: Clip) -> Any:
    """Make place for the audio of a clip, if it has any and the format can hold it."""
    av, audio = _pyav(), clip.audio
    if audio is None:
        return None
    # Whether a format can hold it shows only when the header is written, which here is tried in memory.
    trial = av.open(io.BytesIO(), "w", format=container.format.name)
    try:
        trial.add_stream_from_template(audio)
        trial.start_encoding()
    except (ValueError, av.FFmpegError):
        form = container.format.name
        warnings.warn(f"the audio ({audio.name}) is left out: {form} cannot hold it", RuntimeWarning, stacklevel=2)
        return None
    finally:
        with contextlib.suppress(Exception):
            trial.close()
    return container.add_stream_from_template(audio)
