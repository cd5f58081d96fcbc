#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds fastsoft with a sanitizer into an environment below build/ and runs the C++ and the Python tests under it.
# Usage: tools/run_sanitizers.sh asan|tsan [pytest arguments]
set -euo pipefail
cd "$(dirname "$0")/.."

name=${1:-}
case $name in
    asan) sanitizers="address;undefined"; runtime=libasan.so ;;
    tsan) sanitizers="thread"; runtime=libtsan.so ;;
    *) echo "usage: $0 asan|tsan [pytest arguments]" >&2; exit 2 ;;
esac
shift

folder=$PWD/build/sanitize-$name
python3 -m venv "$folder/venv"
# Without build isolation, whose folder is another one each time: a second run compiles what has changed only.
"$folder/venv/bin/pip" install --quiet -c constraints.txt scikit-build-core pybind11 cmake ninja
"$folder/venv/bin/pip" install --quiet -c constraints.txt --no-build-isolation ".[test]" \
    -Cbuild-dir="$folder/cmake" -Ccmake.build-type=RelWithDebInfo -Ccmake.define.FASTSOFT_ISA=v3 \
    -Ccmake.define.FASTSOFT_SANITIZE="$sanitizers" -Ccmake.define.FASTSOFT_BUILD_TESTS=ON \
    -Ccmake.define.FASTSOFT_CUDA=OFF

# Reports go to files, since pytest captures what is printed.
rm -f "$folder"/report.*
trap 'cat "$folder"/report.* 2>/dev/null || true' EXIT

# The interpreter keeps memory until it exits, so leaks cannot be told apart. Python's own allocator would hide
# overflows of small objects from the address sanitizer.
export ASAN_OPTIONS="detect_leaks=0:allocator_may_return_null=1:detect_stack_use_after_return=1:log_path=$folder/report"
export UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1:log_path=$folder/report"
# Forked children go on, since fork with a running pool is one of the tests.
export TSAN_OPTIONS="suppressions=$PWD/tools/tsan.supp:die_after_fork=0:halt_on_error=1:second_deadlock_stack=1:log_path=$folder/report"
export PYTHONMALLOC=malloc

# The thread sanitizer wants its shadow memory at fixed addresses, which randomised layouts may occupy.
run=(setarch --addr-no-randomize)
"${run[@]}" "$folder/cmake/fastsoft_tests"

# The kernels on the host, with the sanitizer as well.
export FASTSOFT_REQUIRE_ON_HOST=1
FASTSOFT_ON_HOST=$(ls "$folder"/cmake/on_host/_cuda*.so)
export FASTSOFT_ON_HOST

# The runtime must come before everything in the uninstrumented interpreter; libstdc++ with it, for it to find
# the function that throws exceptions.
compiler=${CXX:-g++}
LD_PRELOAD="$("$compiler" -print-file-name=$runtime) $("$compiler" -print-file-name=libstdc++.so)" \
    "${run[@]}" "$folder/venv/bin/python" -m pytest -p no:cacheprovider "$@"
