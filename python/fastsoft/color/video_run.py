# SPDX-License-Identifier: MIT
"""The folder that a clip's layers are written to, and how an interrupted run goes on."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoft._files import atomic_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

__all__ = ["VideoRun"]

# Settings of a complete result; what a run was started with, while it lasts; and a line for every finished frame.
_SETTINGS, _STARTED, _FRAMES = "settings.json", "run.json", "frames.csv"
_OWN = re.compile(r"layer_\d\d(\.mov)?|frames\.csv|overview\.png|settings\.json|run\.json")
_OWN_FRAME = re.compile(r"frame_\d{6,}\.png")
_LEFT_OVER = ".*.tmp"
_WORDS = {"clip": "clip", "fastsoft": "version of fastsoft", "weights": "file of weights"}


class VideoRun:
    """A folder of layers in the making.

    Parameters
    ----------
    folder : Path
    identity : mapping
        What the frames depend on, as JSON knows it: runs that go on must agree in all of it.
    pictures : bool
        Whether frames are files of their own, which stay when the run is interrupted.

    Attributes
    ----------
    palette : ndarray or None
        Of the run that this one goes on with.
    total : int or None
        Its number of frames.
    rows : list of list of int
        For every finished frame the time stamp and what the meter counted.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any], pictures: bool) -> None:
        self.folder, self.identity, self.pictures = folder, dict(identity), pictures
        self.palette: Any = None
        self.total: int | None = None
        self.rows: list[list[int]] = []
        self._journal: TextIO | None = None

    def find(self, restart: bool) -> None:
        """Look for frames of an earlier run; with `restart`, remove them.

        Raises
        ------
        ValueError
            If the folder holds something else.
        """
        if restart:
            self.remove()
        for name in (_SETTINGS, _STARTED):
            try:
                earlier = json.loads((self.folder / name).read_text(encoding="utf-8"))
            except FileNotFoundError:
                continue
            except (OSError, ValueError):
                earlier = {}
            break
        else:
            return
        if "run" not in earlier:
            raise ValueError(f"{self.folder} must be new or hold layers of this clip, got the {name} of something else")
        for key, ours in self.identity.items():
            theirs = earlier["run"].get(key)
            if theirs != ours:
                raise ValueError(
                    f"{self.folder} holds layers of another {_WORDS.get(key, key)}{_difference(theirs, ours)}: give "
                    "another folder, or begin anew (restart)"
                )
        if self.pictures:
            self.palette = np.array(earlier["palette"], dtype=np.float64)
            self.total = earlier["frames"]
            self.rows = self._finished()

    def _finished(self) -> list[list[int]]:
        """Return the rows of the frames whose pictures are there."""
        try:
            lines = (self.folder / _FRAMES).read_text(encoding="utf-8").split("\n")
        except OSError:
            return []
        rows: list[list[int]] = []
        width = 4 + 2 * len(self.palette)
        # The last line may be cut off: what follows the last line feed is not one.
        for line in lines[1:-1]:
            cells = line.split(",")
            number = len(rows)
            if len(cells) != width or cells[0] != str(number + 1):
                break
            if not all(self.picture(k, number).is_file() for k in range(len(self.palette))):
                break
            rows.append([int(cell) for k, cell in enumerate(cells) if k not in (0, 2)])
        return rows

    def start(self, palette: Any, total: int | None, time_base: Any) -> None:
        """Make the folder ready for the next frame."""
        self.palette, self.total, self._time_base = palette, total, time_base
        n = len(palette)
        for k in range(n if self.pictures else 0):
            layer = self.picture(k, 0).parent
            layer.mkdir(parents=True, exist_ok=True)
            for left_over in layer.glob(_LEFT_OVER):
                left_over.unlink()
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_file(self.folder / _STARTED) as file:
            started = {"run": self.identity, "palette": palette.tolist(), "frames": total}
            file.write((json.dumps(started, indent=2) + "\n").encode())
        header = ["frame", "pts", "seconds", "still"]
        header += [f"{name}_{k + 1:02d}" for name in ("change", "alpha") for k in range(n)]
        with atomic_file(self.folder / _FRAMES) as file:
            file.write((",".join(header) + "\n").encode())
            for number, row in enumerate(self.rows):
                file.write(self._line(number, row).encode())
        self._journal = open(self.folder / _FRAMES, "a", encoding="utf-8")  # noqa: SIM115

    def _line(self, number: int, row: list[int]) -> str:
        seconds = f"{float(row[0] * self._time_base):.6f}"
        return ",".join(map(str, [number + 1, row[0], seconds, *row[1:]])) + "\n"

    def picture(self, layer: int, number: int) -> Path:
        """Return the file of a layer of a frame, both counted from 0 here and from 1 in names."""
        return self.folder / f"layer_{layer + 1:02d}" / f"frame_{number + 1:06d}.png"

    def movie(self, layer: int) -> Path:
        """Return the file of a layer in all frames."""
        return self.folder / f"layer_{layer + 1:02d}.mov"

    def overview(self) -> Path:
        """Return the file of the overview."""
        return self.folder / "overview.png"

    def alphas(self, number: int) -> Any:
        """Read the alphas (n, H, W), uint8, of a finished frame."""
        from PIL import Image

        found = []
        for k in range(len(self.palette)):
            with Image.open(self.picture(k, number)) as picture:
                found.append(np.asarray(picture.getchannel("A")))
        return np.stack(found)

    def note(self, number: int, row: list[int]) -> None:
        """Note that a frame is finished."""
        assert self._journal is not None
        self.rows.append(row)
        self._journal.write(self._line(number, row))
        self._journal.flush()

    def finish(self, settings: Mapping[str, Any]) -> None:
        """Declare the result complete."""
        self.close()
        with atomic_file(self.folder / _SETTINGS) as file:
            file.write((json.dumps({**settings, "run": self.identity}, indent=2) + "\n").encode())
        (self.folder / _STARTED).unlink(missing_ok=True)

    def close(self) -> None:
        """Close the list of frames."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def abandon(self) -> None:
        """After an exception: remove what no later run can go on with."""
        self.close()
        if not (self.pictures and self.rows):
            self.remove()

    def remove(self) -> None:
        """Remove the files of this run or an earlier one, and folders that become empty; leave all others alone."""
        if not self.folder.is_dir():
            return
        for path in self.folder.iterdir():
            if not _OWN.fullmatch(path.name):
                continue
            if path.is_dir():
                for frame in path.iterdir():
                    if _OWN_FRAME.fullmatch(frame.name) or frame.match(_LEFT_OVER):
                        frame.unlink()
                with contextlib.suppress(OSError):
                    path.rmdir()
            else:
                path.unlink()
        with contextlib.suppress(OSError):
            self.folder.rmdir()


def _difference(theirs: Any, ours: Any) -> str:
    """Return two values in brackets, unless they are checksums or lists that say nothing to a reader."""
    if any(isinstance(value, list) or (isinstance(value, str) and len(value) == 64) for value in (theirs, ours)):
        return ""
    return f" ({theirs}, now {ours})"
