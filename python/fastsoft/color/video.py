# SPDX-License-Identifier: MIT
"""Clips in layers of homogeneous colour, and clips in other colours: one palette, frame by frame."""

from __future__ import annotations

import contextlib
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoft._checks import check_choice, check_int, check_number
from fastsoft._device import check_precision, find_device
from fastsoft._environment import environment, peak_memory
from fastsoft.color.editing import recolor
from fastsoft.color.models import default_model, load_model
from fastsoft.color.palette import (
    MAX_SAMPLES,
    check_palette,
    color_palette,
    format_color,
    replace_nearest,
    sample_pixels,
)
from fastsoft.color.pipeline import N_COLORS, decompose_colors
from fastsoft.color.video_files import MOVIE_FORMATS, open_clip, write_movie
from fastsoft.color.video_run import VideoRun
from fastsoft.image import DEFAULT_MAX_PIXELS, write_png
from fastsoft.layers.overview import overview_picture
from fastsoft.layers.quantization import quantize_alphas, quantized_rgba
from fastsoft.threads import num_threads
from fastsoft.weights import file_checksum

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fastsoft.color.models import ColorModel
    from fastsoft.color.video_files import Clip, Frame
    from fastsoft.layers.result import Layers

    Progress = Callable[[str, int, int | None], None]

__all__ = ["FORMATS", "Flicker", "VideoResult", "decompose_video", "recolor_video"]

FORMATS = ("png", "prores")

# Frames that a palette is found on: at least half as many, evenly spread, where the clip has so many.
_SAMPLED_FRAMES = 64
# Pixels kept of each of them until it is known how many there are.
_KEPT_PIXELS = 1 << 14
# How much a channel of a pixel that stands still may change, in levels of 255: compression and rounding.
_STILL = 1


@dataclass(frozen=True)
class Flicker:
    """How much alphas change where the clip does not.

    Attributes
    ----------
    layers : tuple of float
        For every layer the mean absolute change of its 8-bit alpha from one frame to the next, in levels of 255, over
        the pixels of which no channel changes by more than one level.
    mean : float
        Over the layers.
    still : float
        Share of such pixels in all frames but the first.
    """

    layers: tuple[float, ...]
    mean: float
    still: float


@dataclass(frozen=True)
class VideoResult:
    """What has been written.

    Attributes
    ----------
    path : pathlib.Path
        Folder of the layers, or the recoloured clip.
    palette : ndarray, shape (n, 3), float64
    shares : tuple of float
        Mean alpha of every layer.
    n_frames : int
    n_resumed : int
        How many of them an earlier, interrupted run had finished.
    flicker : Flicker or None
        None if no pixel of the clip stands still.
    warning : str or None
        What is wrong with the clip, and where.
    """

    path: Path
    palette: Any
    shares: tuple[float, ...]
    n_frames: int
    n_resumed: int
    flicker: Flicker | None
    warning: str | None


def decompose_video(
    clip: str | os.PathLike[str],
    directory: str | os.PathLike[str],
    palette: Any = None,
    *,
    format: str = "png",
    weights: str | os.PathLike[str] | ColorModel | None = None,
    exact: bool = True,
    smooth: int = 0,
    smooth_epsilon: float = 1e-6,
    seed: int = 0,
    device: str | None = None,
    precision: str = "float32",
    restart: bool = False,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    progress: Progress | None = None,
) -> VideoResult:
    """Decompose a clip into layers of homogeneous colour, with one palette for all frames.

    Parameters
    ----------
    clip : path
        Read by PyAV, which ``pip install fastsoft[video]`` brings.
    directory : path
        Made if it does not exist. Receives ``layer_01/frame_000001.png`` and so on, 8-bit RGBA, not premultiplied, or
        ``layer_01.mov`` and so on; ``frames.csv`` with the time of every frame, ``overview.png`` of the first one and,
        when all is complete, ``settings.json``.
    palette : int or ndarray, shape (n, 3), floating point, optional
        The colours, in [0, 1]; or their number, 7 by default, and k-means finds them in pixels of 32 to 64 frames that
        are spread evenly over the clip. For this the clip is decoded twice.
    format : {"png", "prores"}
        PNG sequences, or ProRes 4444 with alpha in QuickTime files with the clip's time stamps.
    weights, exact, smooth, smooth_epsilon, seed, device, precision
        As for `fastsoft.decompose_colors`. An interrupted run may go on on another device.
    restart : bool, default False
        Remove the result that the folder holds, instead of going on with it.
    max_pixels : int
        Clips with larger frames are refused.
    progress : callable, optional
        Called as ``progress(stage, done, total)`` with numbers of frames. Stages are "palette", if it is to be found,
        and "frames"; `total` is None where it is not known. An exception raised in it ends the run.

    Returns
    -------
    VideoResult

    Raises
    ------
    ImportError
        If PyAV is not installed.
    VideoReadError
        If the clip cannot be read.
    TypeError, ValueError
        If an argument has another type, shape or range, or the folder holds layers of another clip, palette or
        setting.
    OSError
        If something cannot be written.

    Warns
    -----
    RuntimeWarning
        If the clip is damaged, or ends in the middle of a packet. The frames that are whole are written.

    Notes
    -----
    One frame is in memory at a time. An interrupted run leaves the frames that are finished, and the same call goes on
    behind them and ends with the same files; QuickTime files appear only when they are complete, and are begun anew.
    """
    check_choice(format, "format", FORMATS)
    options = _Options.checked(palette, weights, exact, smooth, smooth_epsilon, seed, device, precision, max_pixels)
    with open_clip(clip, max_pixels=max_pixels):
        pass  # nothing is made for what is no clip
    run = VideoRun(Path(directory), {**options.identity(clip), "format": format}, pictures=format == "png")
    run.find(restart)
    n_resumed = len(run.rows)
    found, total = run.palette, run.total
    if found is None:
        found, total = options.find_palette(clip, progress)
    meter = _Meter(len(found), run.rows)
    try:
        with contextlib.ExitStack() as stack:
            opened = stack.enter_context(open_clip(clip, max_pixels=max_pixels))
            pool = stack.enter_context(ThreadPoolExecutor(num_threads(), "fastsoft"))
            run.start(found, total, opened.time_base)
            movies: list[Any] = []
            for frame in _reported(opened, progress, n_resumed, total):
                if frame.number < n_resumed:
                    if frame.number == n_resumed - 1:
                        meter.look_back(frame.image(), run.alphas(frame.number))
                    continue
                layers = options.decompose(frame, found)
                pictures = quantized_rgba(layers)
                if not movies and format == "prores":
                    movies = [
                        stack.enter_context(write_movie(run.movie(k), "prores", opened, pictures.shape[1:3]))
                        for k in range(len(found))
                    ]
                if movies:
                    for movie, picture in zip(movies, pictures, strict=True):
                        movie.write(picture, frame)
                else:
                    # The library that compresses lets other threads run.
                    paths = [run.picture(k, frame.number) for k in range(len(found))]
                    list(pool.map(write_png, paths, pictures))
                if frame.number == 0:
                    write_png(run.overview(), overview_picture(layers))
                run.note(frame.number, [frame.pts, *meter.add(layers.image, pictures[..., 3])])
                # Before the next one is there.
                del layers, pictures
        result = VideoResult(
            run.folder, found, meter.shares(), opened.n_frames or 0, n_resumed, meter.flicker(), opened.warning
        )
        run.finish(_settings(result, opened, meter, options))
    except BaseException:
        run.abandon()
        raise
    return _warned(result)


def recolor_video(
    clip: str | os.PathLike[str],
    output: str | os.PathLike[str],
    old: Sequence[Any],
    new: Sequence[Any],
    *,
    n_colors: int | None = None,
    weights: str | os.PathLike[str] | ColorModel | None = None,
    exact: bool = True,
    smooth: int = 0,
    smooth_epsilon: float = 1e-6,
    seed: int = 0,
    device: str | None = None,
    precision: str = "float32",
    max_pixels: int = DEFAULT_MAX_PIXELS,
    progress: Progress | None = None,
) -> VideoResult:
    """Give a clip other colours.

    A palette is found for the whole clip, the colours to replace take the places of those nearest to them, and in every
    frame the layers of these are moved to the new colours (`fastsoft.recolor`).

    Parameters
    ----------
    clip : path
    output : path
        ``.mp4``, ``.m4v``, ``.mov`` or ``.mkv``: H.264 with the clip's time stamps (in ``.mkv`` rounded to
        milliseconds) and its audio as it is. Chroma is 4:2:0; 4:4:4 where height or width is odd.
    old, new : sequence of colours in [0, 1]
        As many of one as of the other.
    n_colors : int, optional
        Colours of the palette; 7 by default.
    weights, exact, smooth, smooth_epsilon, seed, device, precision, max_pixels, progress
        As for `decompose_video`.

    Returns
    -------
    VideoResult
        `flicker` is that of the layers.

    Raises
    ------
    ImportError, VideoReadError, TypeError, ValueError, OSError
        As `decompose_video`; also if `output` is the clip itself.

    Warns
    -----
    RuntimeWarning
        If the clip is damaged or ends early, or its audio cannot be taken over.

    Notes
    -----
    The file appears when it is complete. An interrupted run leaves nothing, and begins anew.
    """
    target = Path(output)
    check_choice(target.suffix.lower(), "the ending of output", tuple(MOVIE_FORMATS))
    if len(old) != len(new) or not len(old):
        raise ValueError(f"old and new must be as many colours, at least one, got {len(old)} and {len(new)}")
    options = _Options.checked(n_colors, weights, exact, smooth, smooth_epsilon, seed, device, precision, max_pixels)
    with open_clip(clip, max_pixels=max_pixels):
        pass
    if target.exists() and target.samefile(clip):
        raise ValueError(f"output must not be the clip itself, got {target}")
    found, total = options.with_at_least(len(old)).find_palette(clip, progress)
    palette, places = replace_nearest(found, old)
    palette = check_palette(palette)
    changes = dict(zip(places, new, strict=True))
    meter = _Meter(len(palette), [])
    with contextlib.ExitStack() as stack:
        opened = stack.enter_context(open_clip(clip, max_pixels=max_pixels))
        movie: Any = None
        # Audio comes between the frames, and before the first one.
        waiting: list[Any] = []
        for frame in _reported(opened, progress, 0, total, waiting.append):
            layers = options.decompose(frame, palette)
            meter.add(layers.image, np.moveaxis(quantize_alphas(layers.alphas), 2, 0))
            changed = recolor(layers, changes).image
            if movie is None:
                movie = stack.enter_context(write_movie(target, "h264", opened, changed.shape[:2], audio=True))
            movie.write((changed * 255 + 0.5).astype(np.uint8), frame)
            del layers, changed
            for packet in waiting:
                movie.copy(packet)
            waiting.clear()
        for packet in waiting:
            movie.copy(packet)
    return _warned(
        VideoResult(target, palette, meter.shares(), opened.n_frames or 0, 0, meter.flicker(), opened.warning)
    )


@dataclass(frozen=True)
class _Options:
    """How frames are decomposed."""

    palette: Any
    model: ColorModel
    exact: bool
    smooth: int
    smooth_epsilon: float
    seed: int
    device: str | None
    precision: str
    max_pixels: int

    @classmethod
    def checked(
        cls,
        palette: Any,
        weights: Any,
        exact: bool,
        smooth: int,
        smooth_epsilon: float,
        seed: int,
        device: str | None,
        precision: str,
        max_pixels: int,
    ) -> _Options:
        """Check what a clip of hours should not fail for at its end."""
        precision = check_precision(precision, find_device(device))
        if not isinstance(exact, (bool, np.bool_)):
            raise TypeError(f"exact must be True or False, got {exact!r}")
        if weights is None:
            model = default_model()
        else:
            model = load_model(weights) if isinstance(weights, (str, os.PathLike)) else weights
        if palette is None:
            palette = min(N_COLORS, model.n_colors[1])
        elif np.ndim(palette) == 0:
            palette = check_int(palette, "palette", low=model.n_colors[0], high=model.n_colors[1])
        else:
            palette = check_palette(palette, model.n_colors)
        return cls(
            palette,
            model,
            bool(exact),
            check_int(smooth, "smooth", low=0),
            check_number(smooth_epsilon, "smooth_epsilon", low=0, exclusive=True),
            check_int(seed, "seed", low=0),
            device,
            precision,
            check_int(max_pixels, "max_pixels", low=1),
        )

    def with_at_least(self, n_colors: int) -> _Options:
        """Return the same options with a palette of so many colours or more."""
        number = check_int(max(self.palette, n_colors), "the number of colours", high=self.model.n_colors[1])
        return replace(self, palette=number)

    def identity(self, clip: str | os.PathLike[str]) -> dict[str, Any]:
        """Return what the frames depend on, as JSON knows it."""
        given = np.ndim(self.palette) > 0
        source = self.model.source
        return {
            "clip": file_checksum(clip),
            "fastsoft": environment()["fastsoft"],
            "weights": file_checksum(source) if Path(source).is_file() else source,
            "palette": self.palette.tolist() if given else self.palette,
            "seed": None if given else self.seed,
            "exact": self.exact,
            "smooth": self.smooth,
            "smooth_epsilon": self.smooth_epsilon if self.smooth else None,
            **({} if self.precision == "float32" else {"precision": self.precision}),
        }

    def find_palette(self, clip: str | os.PathLike[str], progress: Progress | None) -> tuple[Any, int | None]:
        """Return the palette of a clip, and its number of frames if that is known now."""
        if np.ndim(self.palette) > 0:
            return self.palette, None
        with open_clip(clip, max_pixels=self.max_pixels) as opened:
            pixels = _spread_pixels(opened, progress)
        return color_palette(pixels[None], self.palette, seed=self.seed), opened.n_frames

    def decompose(self, frame: Frame, palette: Any) -> Layers:
        """Return the layers of one frame."""
        return decompose_colors(
            frame.image(),
            palette,
            weights=self.model,
            exact=self.exact,
            smooth=self.smooth,
            smooth_epsilon=self.smooth_epsilon,
            device=self.device,
            precision=self.precision,
        )


def _spread_pixels(clip: Clip, progress: Progress | None) -> Any:
    """Return pixels (N, 3) of frames that are spread evenly over the clip."""
    kept: list[Any] = []
    step = 1
    # How many frames there are is known for certain only at the end: one in `step` is kept, and half of them are
    # given up whenever they have become too many.
    for frame in _reported(clip, progress, 0, None, stage="palette"):
        if frame.number % step:
            continue
        kept.append(sample_pixels(frame.image(), _KEPT_PIXELS))
        if len(kept) > _SAMPLED_FRAMES:
            kept, step = kept[::2], 2 * step
    share = min(_KEPT_PIXELS, MAX_SAMPLES // len(kept))
    return np.concatenate([pixels[_even(len(pixels), share)] for pixels in kept])


def _even(size: int, count: int) -> Any:
    """Return `count` indices that are spread evenly over `size`, or all of them."""
    return np.arange(min(size, count)) * size // min(size, count)


def _reported(
    clip: Clip,
    progress: Progress | None,
    first: int,
    total: int | None,
    on_audio: Callable[[Any], None] | None = None,
    stage: str = "frames",
) -> Iterator[Frame]:
    """Yield the frames of a clip and report each that has been worked on, from the first that is to do."""
    total = total or clip.n_frames
    if progress is not None:
        progress(stage, first, total)
    for frame in clip.frames(on_audio):
        yield frame
        if progress is not None and frame.number >= first:
            progress(stage, frame.number + 1, max(total or 0, frame.number + 1))
    if progress is not None:
        progress(stage, clip.n_frames or 0, clip.n_frames)


class _Meter:
    """Adds up what changes from frame to frame, and how much of the clip every layer covers.

    All is counted in whole numbers on 8-bit values, as they are in the files, so that a run that was interrupted finds
    the same figures.
    """

    def __init__(self, n_layers: int, rows: list[list[int]]) -> None:
        self._n, self._frames, self._pixels = n_layers, len(rows), 0
        self._sums = np.zeros(1 + 2 * n_layers, dtype=np.int64)
        for row in rows:
            self._sums += row[1:]
        self._before: tuple[Any, Any] | None = None

    def look_back(self, image: Any, alphas: Any) -> None:
        """Take the frame that the next one is compared with."""
        self._pixels = image[..., 0].size
        self._before = (image * 255 + 0.5).astype(np.uint8), alphas.copy()

    def add(self, image: Any, alphas: Any) -> list[int]:
        """Count a frame: photograph (H, W, 3), in [0, 1], and alphas (n, H, W), uint8.

        Returns the number of still pixels, the sums over them of the change of every alpha, and the sums of the alphas.
        """
        before = self._before
        self.look_back(image, alphas)
        assert self._before is not None
        counts = np.zeros_like(self._sums)
        if before is not None:
            still = (_distance(before[0], self._before[0]) <= _STILL).all(axis=2)
            counts[0] = still.sum()
            for k in range(self._n):
                counts[1 + k] = _distance(before[1][k], alphas[k])[still].sum(dtype=np.int64)
        counts[1 + self._n :] = alphas.sum(axis=(1, 2), dtype=np.int64)
        self._sums += counts
        self._frames += 1
        return [int(value) for value in counts]

    def flicker(self) -> Flicker | None:
        """Return the changes of alphas where the clip stands still."""
        still = int(self._sums[0])
        if not still:
            return None
        layers = tuple(float(value) / still for value in self._sums[1 : 1 + self._n])
        return Flicker(layers, sum(layers) / self._n, still / (self._pixels * (self._frames - 1)))

    def shares(self) -> tuple[float, ...]:
        """Return the mean alpha of every layer."""
        whole = 255 * self._pixels * self._frames
        return tuple(float(value) / whole for value in self._sums[1 + self._n :])


def _distance(a: Any, b: Any) -> Any:
    """Return the absolute difference of two uint8 arrays."""
    return np.maximum(a, b) - np.minimum(a, b)


def _settings(result: VideoResult, clip: Clip, meter: _Meter, options: _Options) -> dict[str, Any]:
    flicker = result.flicker
    return {
        **environment(),
        "source": clip.name,
        "frames": result.n_frames,
        "time_base": str(clip.time_base),
        "pixel_aspect": str(clip.pixel_aspect),
        "n_layers": len(result.palette),
        "palette": result.palette.tolist(),
        "settings": {
            "method": "colors",
            "design": options.model.design,
            "weights": options.model.source,
            "palette": " ".join(format_color(color) for color in result.palette),
            "exact": options.exact,
            "smooth": options.smooth,
            "smooth_epsilon": options.smooth_epsilon if options.smooth else None,
            "seed": None if np.ndim(options.palette) else options.seed,
        },
        "shares": list(result.shares),
        "flicker": None if flicker is None else asdict(flicker),
        "warning": result.warning,
        "peak_memory_bytes": peak_memory(),
    }


def _warned(result: VideoResult) -> VideoResult:
    if result.warning:
        warnings.warn(result.warning, RuntimeWarning, stacklevel=3)
    return result
