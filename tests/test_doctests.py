# SPDX-License-Identifier: MIT
"""Runs the examples of all docstrings."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import fastsoft

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(fastsoft.__path__, "fastsoft.")
    if not module.name.startswith(("fastsoft._cpu", "fastsoft._isa"))
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0
