#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds fastsoft with CUDA and checks it on the GPU of this machine: tests, memory and race checker, benchmarks. Fetches
# nothing: nvcc, a C++20 compiler and, in $PYTHON's environment, torch, cupy, numpy, scipy, pillow, tqdm, safetensors,
# pybind11, scikit-build-core, cmake, ninja, pytest and hypothesis must be there.
# Usage: [PYTHON=python3] [CUDA_ARCHITECTURES=native] tools/gpu_check.sh [RESULTS]
# RESULTS (default benchmarks/results/gpu.md) tells what passed, with the commit and the device. Exits with 1 if
# anything failed.
set -uo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
results=${1:-benchmarks/results/gpu.md}
folder=$PWD/build/gpu_check
site=$folder/site
mkdir -p "$folder" "$(dirname "$results")"
export PYTHONPATH=$site PYTHONUNBUFFERED=1
# The driver's compiler for PTX would otherwise be part of the first times.
export CUDA_CACHE_DISABLE=0

status=0
summary=()
# step NAME COMMAND...: runs it, keeps what it prints in NAME.log, goes on whatever comes of it.
step() {
    local name=$1 started=$SECONDS outcome
    shift
    printf '\n=== %s\n' "$name"
    if "$@" 2>&1 | tee "$folder/$name.log"; then
        outcome=passed
    else
        outcome="**failed**"
        status=1
    fi
    local last
    last=$(grep -v '^[[:space:]]*$' "$folder/$name.log" | tail -n 1 | tr '|' '/' | cut -c 1-160)
    summary+=("| $name | $outcome | $((SECONDS - started)) | $last |")
}

build() {
    rm -rf "$site"
    "$python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps --no-build-isolation \
        --target "$site" . -Cbuild-dir="$folder/cmake" -Ccmake.define.FASTSOFT_CUDA=ON \
        -Ccmake.define.FASTSOFT_ISA=native -Ccmake.define.FASTSOFT_WERROR=ON -Ccmake.define.FASTSOFT_BUILD_TESTS=ON \
        -Ccmake.define.CMAKE_CUDA_ARCHITECTURES="${CUDA_ARCHITECTURES:-native}" &&
        "$python" -c "from fastsoft import _native; print(_native._cuda_module().__file__)"
}

device() { "$python" -c "from fastsoft import _native; print(_native.cuda().installation()['devices'])"; }

info() { "$python" -m fastsoft.cli info; }

host_tests() { "$folder/cmake/fastsoft_tests"; }

# The tests that take arrays on a device.
readarray -t tests < <(grep -rlwE "backend|device_backend" tests --include='test_*.py' | sort)

device_tests() { "$python" -m pytest -q -p no:cacheprovider --require-cuda "${tests[@]}"; }

# check TOOL: the tests of CuPy's arrays, whose sizes are small, under a tool of compute-sanitizer.
check() {
    local sanitizer
    sanitizer=$(command -v compute-sanitizer || ls "${CUDA_HOME:-/usr/local/cuda}"/bin/compute-sanitizer) || {
        echo "compute-sanitizer was not found"
        return 1
    }
    "$sanitizer" --tool "$1" --error-exitcode 3 --target-processes all "$python" -m pytest -q -p no:cacheprovider \
        --require-cuda -k "cupy and (agree or strided)" "${tests[@]}"
}

benchmark() { "$python" -m benchmarks.gpu --output "$folder/benchmarks.md"; }

rm -f "$folder"/*.log "$folder/benchmarks.md"
step build build
if [ "$status" -eq 0 ]; then
    step info info
    step host_tests host_tests
    step device device
fi
if [ "$status" -eq 0 ]; then
    step device_tests device_tests
    step memcheck check memcheck
    step racecheck check racecheck
    step initcheck check initcheck
    step benchmarks benchmark
fi

{
    echo "# Checks on a GPU"
    echo
    echo "Written by \`tools/gpu_check.sh\` on commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown)$(
        git diff --quiet HEAD 2>/dev/null || echo -dirty
    ), $(date -u +%Y-%m-%d)."
    echo
    if [ -f "$folder/info.log" ]; then
        echo '```'
        cat "$folder/info.log"
        echo '```'
        echo
    fi
    echo "| step | outcome | seconds | last line |"
    echo "| --- | --- | --- | --- |"
    printf '%s\n' "${summary[@]}"
    if [ -f "$folder/benchmarks.md" ]; then
        echo
        cat "$folder/benchmarks.md"
    fi
} >"$results.partial"
mv "$results.partial" "$results"
printf '\nwritten: %s\n' "$results"
exit "$status"
