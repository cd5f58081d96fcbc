# SPDX-License-Identifier: MIT
"""What the generators of committed files share."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path


def write_or_check(path: Path, text: str, *, check: bool) -> int:
    """Write `text` to `path`; with `check` print how the file differs from it instead, and return 1 if it does."""
    if not check:
        path.write_text(text, encoding="utf-8")
        return 0
    committed = path.read_text(encoding="utf-8") if path.exists() else ""
    if committed == text:
        return 0
    lines = difflib.unified_diff(committed.splitlines(True), text.splitlines(True), f"{path} (committed)", "generated")
    sys.stderr.writelines(lines)
    print(f"{path.name} is out of date: run the generator without --check", file=sys.stderr)
    return 1
