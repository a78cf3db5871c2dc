#!/bin/sh
# Builds, tests and measures the GPU backend in one call, on a machine with a GPU, a C compiler,
# CuPy, Cython, NumPy and, for comparison, PyTorch. Run it anywhere; results go to stdout. It goes
# on after a failure and says at the end whether there was one.
set -u
cd "$(dirname "$0")/.." || exit 1
failed=""
attempt() {
    echo "== $1"
    shift
    "$@" || failed="$failed
  $*"
}

echo "== machine"
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
# the tests' packages, where there is a network; else with what is there
python -m pip install --quiet --editable ".[test]" ||
    python -m pip install --quiet --no-build-isolation --no-deps --editable . ||
    { python setup.py -q build_ext --inplace && export PYTHONPATH="$PWD"; } || exit 1
for package in cupy ml_dtypes pytest hypothesis torch; do
    python -c "import $package" 2>/dev/null || echo "not installed: $package"
done

attempt "the package's own check" python -m prelu_array
attempt "kernels on the device, against the exact reference" \
    python -m pytest -q tests/test_gpu_device.py
if command -v compute-sanitizer >/dev/null; then
    for tool in memcheck racecheck; do
        CUPY_CACHE_IN_MEMORY=1 attempt "compute-sanitizer, $tool" \
            compute-sanitizer --tool "$tool" --error-exitcode 9 \
            python -m pytest -q tests/test_gpu_device.py -k sanitizer
    done
else
    echo "compute-sanitizer is not installed"
fi
attempt "figures" python bench/gpu.py time
attempt "whole test suite" python -m pytest -q tests
test -z "$failed" || { echo "== failed:$failed"; exit 1; }
