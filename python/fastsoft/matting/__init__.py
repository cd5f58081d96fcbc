# SPDX-License-Identifier: MIT
"""Matting: alphas from a photograph and a trimap."""

from __future__ import annotations
