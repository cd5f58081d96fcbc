# SPDX-License-Identifier: MIT
"""Layers on disk: a folder of pictures, arrays and settings that appears complete or not at all."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsoft._environment import environment, peak_memory
from fastsoft._files import atomic_file, sync_folder, temporary_name
from fastsoft.image import write_png
from fastsoft.layers.overview import overview_picture
from fastsoft.layers.quantization import quantized_rgba
from fastsoft.threads import num_threads

if TYPE_CHECKING:
    from fastsoft.layers.result import Layers

__all__ = ["check_folder_writable", "save_layers"]

_SETTINGS = "settings.json"


def save_layers(layers: Layers, directory: str | os.PathLike[str], *, source: str | None = None) -> Path:
    """Write layers to a folder.

    ===================  ===============================================================================
    ``layer_01.png`` ..  8-bit RGBA: the colours of one layer, or the photograph's, with its alpha, not premultiplied
    ``overview.png``     the photograph beside its layers in solid colours
    ``alphas.npz``       array ``alphas`` (H, W, n) at full precision
    ``settings.json``    settings, times per stage, sizes, versions, largest correction, list of files
    ``stages/*.npz``     the output of every stage, if `layers` has them
    ===================  ===============================================================================

    Parameters
    ----------
    layers : Layers
    directory : str or path-like
        Made if it does not exist. Files of an earlier result in it are replaced or removed, others are left alone.
    source : str, optional
        Where the photograph came from, noted in ``settings.json``.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    OSError
        If something cannot be written, e.g. because the disk is full. What was in the folder before is still there, and
        nothing else.

    Notes
    -----
    Everything is first written to a hidden folder beside `directory`, which is removed on any exception, Ctrl-C
    included. ``settings.json`` is moved in place last: where it stands, the result is complete.

    Alphas of layers with colours of their own are rounded so that they sum to 255, and if the layers recompose the
    photograph exactly (``settings["exact"]``), their colours are first adapted to the rounded alphas: the sum over the
    files of alpha times colour is then the 8-bit photograph within one level.

    Examples
    --------
    >>> import os, tempfile, numpy as np
    >>> from fastsoft.layers import Layers, save_layers
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = save_layers(Layers(np.full((8, 9, 2), 0.5), np.zeros((8, 9, 3))), folder + "/result")
    ...     print(sorted(os.listdir(path)))
    ['alphas.npz', 'layer_01.png', 'layer_02.png', 'overview.png', 'settings.json']
    """
    target = Path(directory).absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(target)
    try:
        temporary.mkdir()
        names = _write_all(layers, temporary, source)
        _move_in_place(temporary, target, names)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    sync_folder(target.parent)
    return target


def check_folder_writable(directory: str | os.PathLike[str]) -> None:
    """Raise OSError if a folder cannot be made or written to; leave nothing behind but the folder."""
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    probe = temporary_name(folder / "probe")
    try:
        probe.mkdir()
    finally:
        with contextlib.suppress(OSError):
            probe.rmdir()


def _write_all(layers: Layers, folder: Path, source: str | None) -> list[str]:
    names = [f"layer_{k + 1:02d}.png" for k in range(layers.n_layers)] + ["alphas.npz", "overview.png"]
    # Before the pictures are made, which take memory, too.
    write_png(folder / names[-1], overview_picture(layers))
    pictures = None if layers.colors is None else quantized_rgba(layers)

    def write(k: int) -> None:
        path = folder / names[k]
        if k < layers.n_layers:
            write_png(path, layers.rgba(k) if pictures is None else pictures[k])
        else:
            # Alphas of homogeneous colours are full of digits: to compress those of 3840x2160 pixels would take 25 s
            # and save half the space.
            save = np.savez_compressed if layers.colors is None else np.savez
            with atomic_file(path) as file:
                save(file, alphas=layers.alphas)

    # The libraries that compress let other threads run.
    pool = ThreadPoolExecutor(num_threads(), "fastsoft")
    try:
        for done in [pool.submit(write, k) for k in reversed(range(layers.n_layers + 1))]:
            done.result()
    finally:
        pool.shutdown(cancel_futures=True)
    if layers.stages:
        (folder / "stages").mkdir()
        for stage, result in layers.stages.items():
            names.append(f"stages/{stage}.npz")
            with atomic_file(folder / names[-1]) as file:
                np.savez(file, **stage_arrays(result))
    names.append(_SETTINGS)
    with atomic_file(folder / _SETTINGS) as file:
        file.write((json.dumps(_settings(layers, source, names), indent=2) + "\n").encode())
    return names


def _settings(layers: Layers, source: str | None, names: list[str]) -> dict[str, Any]:
    height, width, n = layers.alphas.shape
    return {
        **environment(),
        "device": layers.settings.get("device", "cpu"),
        "source": source,
        "image": {"width": width, "height": height},
        "n_layers": n,
        **({} if layers.palette is None else {"palette": np.asarray(layers.palette).tolist()}),
        "settings": dict(layers.settings),
        "largest_correction": float(layers.largest_correction),
        "seconds": {stage: round(seconds, 4) for stage, seconds in layers.timings.items()},
        "seconds_total": round(sum(layers.timings.values()), 4),
        "peak_memory_bytes": peak_memory(),
        "files": names,
    }


def stage_arrays(result: Any, prefix: str = "") -> dict[str, Any]:
    """Return a stage result as named arrays: dataclasses field by field, sparse matrices as their CSR triples."""
    from fastsoft.operators import OperatorSum, StencilMatrix

    arrays: dict[str, Any] = {}
    if dataclasses.is_dataclass(result):
        for entry in dataclasses.fields(result):
            arrays |= stage_arrays(getattr(result, entry.name), f"{prefix}{entry.name}.")
        return arrays
    name = prefix.removesuffix(".")
    if isinstance(result, StencilMatrix):
        return {f"{name}.weights": result.weights}
    if isinstance(result, OperatorSum):
        for k, term in enumerate(result.terms):
            arrays |= stage_arrays(term, f"{name}.{k}.")
        return arrays
    if hasattr(result, "tocsr"):
        matrix = result.tocsr()
        return {f"{name}.{part}": getattr(matrix, part) for part in ("data", "indices", "indptr")}
    return {} if result is None else {name: np.asarray(result)}


def _move_in_place(temporary: Path, target: Path, names: list[str]) -> None:
    if not target.exists():
        os.rename(temporary, target)
        return
    stale = _files_of_earlier_result(target) - set(names)
    for name in names:
        (target / name).parent.mkdir(exist_ok=True)
        os.replace(temporary / name, target / name)
    for name in stale:
        (target / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        if any(name.startswith("stages/") for name in stale):
            (target / "stages").rmdir()


def _files_of_earlier_result(target: Path) -> set[str]:
    """Return the files that an earlier result in this folder is known to consist of, by names that we give."""
    try:
        names = json.loads((target / _SETTINGS).read_text())["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    own = [name for name in names if isinstance(name, str)]
    return {
        name
        for name in own
        if Path(name).name == name.removeprefix("stages/")
        and (name.startswith("layer_") or name.startswith("stages/") or name in ("overview.png", "alphas.npz"))
    }
