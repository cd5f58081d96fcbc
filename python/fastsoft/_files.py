# SPDX-License-Identifier: MIT
"""Writing files so that a reader never sees a half-written one."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["atomic_file", "atomic_path", "sync_folder", "temporary_name"]


def temporary_name(path: Path) -> Path:
    """Return an unused hidden name beside `path`, on the same file system."""
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")


def sync_folder(folder: Path) -> None:
    """Ask the system to put the names in a folder on disk, where it can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file for writing that appears under its name only once it is complete and on disk.

    The content goes to a temporary file in the same folder. It is removed on any exception, Ctrl-C included, and
    what stood at `path` before stays as it was.
    """
    target = Path(path)
    temporary = temporary_name(target)
    try:
        # Not tempfile: its files can be read by their owner only, whatever the user's umask says.
        with open(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o666), "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`, for libraries that open files themselves; otherwise as `atomic_file`."""
    target = Path(path)
    temporary = temporary_name(target)
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)
