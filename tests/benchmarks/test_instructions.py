# SPDX-License-Identifier: MIT
"""The guard of instruction counts: sorting of changes, reading of callgrind's files, and that nothing is left out."""

from __future__ import annotations

import json
import shutil

import pytest

from benchmarks import instructions
from benchmarks.instructions import Comparison, compare_counts, instructions_by_object, report
from benchmarks.small_calls import small_calls
from fastsoft import _native

# What callgrind wrote, cut down: `square` of a library is called twice by the program and calls `exp` once each time.
CALLGRIND = """\
# callgrind format
version: 1
positions: line
events: Ir
summary: 1170

ob=(1) /usr/bin/program
fl=(1) main.c
fn=(1) main
10 20
+2 30
cob=(2) /opt/fastsoft/_cpu_v1.cpython-311-x86_64-linux-gnu.so
cfi=(2) square.cpp
cfn=(2) square
calls=2 40
* 1100
-1 5

ob=(2)
fl=(2)
fn=(2)
40 600
cob=(3) /lib/libm.so.6
cfn=(3) exp
calls=2 0
+3 500
* 15

ob=(3)
fn=(3)
0 500
"""


def test_instructions_are_added_where_they_are_spent():
    found = instructions_by_object(CALLGRIND.splitlines(keepends=True))
    assert found == {
        "/usr/bin/program": 55,
        "/opt/fastsoft/_cpu_v1.cpython-311-x86_64-linux-gnu.so": 615,
        "/lib/libm.so.6": 500,
    }
    assert found.total() == 1170


def test_only_native_code_counts(tmp_path):
    path = tmp_path / "counts.2"
    path.write_text(CALLGRIND)
    assert instructions.counted_instructions(path) == 615
    for name in ("/usr/bin/python3.11", "/x/numpy/_core/_multiarray_umath.so", "/lib/libm.so.6", "???"):
        assert not instructions.COUNTED.search(name)


def test_changes_are_sorted_at_five_percent():
    committed = {"same": 1000, "at the limit": 1000, "slower": 1000, "faster": 1000, "barely faster": 1000, "left": 7}
    counted = {"same": 1000, "at the limit": 1050, "slower": 1051, "faster": 949, "barely faster": 950, "new": 3}
    assert compare_counts(committed, counted) == Comparison(
        grown=["slower"], shrunk=["faster"], missing=["new"], gone=["left"]
    )


@pytest.mark.parametrize(
    ("counted", "status", "said"),
    [
        ({"slic": 200}, 0, "none changed"),
        ({"slic": 400}, 1, "  slic: 200 -> 400 (+100.0 %)"),
        ({"slic": 100}, 0, "  slic: 200 -> 100 (-50.0 %)"),
        (
            {"slic": 200, "pcg": 5},
            1,
            f"have no committed count:\n  pcg\nRun: {instructions.UPDATE}",
        ),
        ({}, 0, "no longer exist"),
    ],
)
def test_what_is_reported(counted, status, said):
    committed = {"slic": 200}
    lines, found = report(compare_counts(committed, counted), counted, committed)
    assert found == status
    assert said in "\n".join(lines)


def test_every_native_operation_is_called(monkeypatch):
    called = set()

    def recorded(name, function):
        def run(*arguments):
            called.add(name)
            return function(*arguments)

        return run

    runs = small_calls()
    functions = {name for name in dir(_native.cpu) if callable(getattr(_native.cpu, name)) and name[0] != "_"}
    for name in functions:
        monkeypatch.setattr(_native.cpu, name, recorded(name, getattr(_native.cpu, name)))
    for run in runs.values():
        run()
    # The last one is what sparsify_segments is for arrays on a device.
    assert functions - called == {"num_threads", "set_num_threads", "sparsify_segments_elsewhere"}


def test_every_operation_has_a_committed_count():
    stored = json.loads(instructions.RESULTS.read_text(encoding="utf-8"))
    assert set(stored["counts"]) == set(small_calls()), f"run {instructions.UPDATE}"
    assert all(count > 1000 for count in stored["counts"].values())


def test_without_valgrind_nothing_is_compared(monkeypatch, capsys):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert instructions.main(["--check"]) == 0
    assert capsys.readouterr().out == "instructions not compared: valgrind is not installed\n"
    assert instructions.main([]) == 1


def test_counts_of_another_compiler_are_not_compared(monkeypatch, capsys, tmp_path):
    facts = {"compiler": "GNU 13.1.0", "isa_level": "v1"}
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(instructions, "build_facts", lambda: facts)
    monkeypatch.setattr(instructions, "RESULTS", tmp_path / "instructions.json")
    stored = {"build": facts | {"compiler": "GNU 12.2.0"}, "counts": {"slic": 1}}
    instructions.RESULTS.write_text(json.dumps(stored))
    assert instructions.main(["--check"]) == 0
    expected = "instructions not compared: counts are of GNU 12.2.0, v1, this build is GNU 13.1.0, v1\n"
    assert capsys.readouterr().out == expected


def test_growth_ends_with_status_one_and_update_takes_it(monkeypatch, capsys, tmp_path):
    facts = {"compiler": "GNU 12.2.0", "isa_level": "v1"}
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(instructions, "build_facts", lambda: facts)
    monkeypatch.setattr(instructions, "count_instructions", lambda only: {"slic": 1100, "pcg": 500})
    monkeypatch.setattr(instructions, "RESULTS", tmp_path / "instructions.json")
    instructions.RESULTS.write_text(json.dumps({"build": facts, "counts": {"slic": 1000, "pcg": 500}}))
    assert instructions.main(["--check"]) == 1
    assert "slic: 1000 -> 1100 (+10.0 %)" in capsys.readouterr().out
    assert instructions.main(["--update"]) == 0
    assert json.loads(instructions.RESULTS.read_text()) == {"build": facts, "counts": {"slic": 1100, "pcg": 500}}
    assert instructions.main(["--check"]) == 0
