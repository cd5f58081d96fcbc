# SPDX-License-Identifier: MIT
"""Loads the native module built for the best instruction set that this processor runs.

The environment variable ``FASTSOFT_ISA`` (``v1``, ``v3`` or ``v4``) asks for a lower one, for tests and
for comparing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["cpu"]

if TYPE_CHECKING:
    from fastsoft import _cpu as cpu
else:
    import importlib
    import importlib.util
    import os

    from fastsoft import _isa

    def _load():
        names = ["native", *(f"v{level}" for level in (4, 3, 1) if level <= _isa.level())]
        wanted = os.environ.get("FASTSOFT_ISA")
        if wanted:
            if wanted not in names:
                raise ImportError(f"FASTSOFT_ISA must be one of {', '.join(names)} on this machine, got {wanted!r}")
            names = [wanted]
        for name in names:
            if importlib.util.find_spec(f"fastsoft._cpu_{name}") is not None:
                return importlib.import_module(f"fastsoft._cpu_{name}")
        raise ImportError(f"fastsoft has no native module among {', '.join(names)}: it was not built or not installed")

    cpu = _load()
