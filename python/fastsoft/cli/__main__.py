# SPDX-License-Identifier: MIT
"""Runs the command line as ``python -m fastsoft.cli``."""

from __future__ import annotations

import sys

from fastsoft.cli import main

if __name__ == "__main__":
    sys.exit(main())
