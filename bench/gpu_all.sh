#!/bin/sh
# Builds, tests and measures the GPU backend in one call, on a machine with a GPU, nvcc, CuPy,
# Cython, ml_dtypes, pytest and, for comparison, PyTorch. Run it anywhere; results go to stdout.
set -eu
cd "$(dirname "$0")/.."

echo "== machine"
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
python -m pip install --quiet --no-build-isolation --editable .
python -m prelu_array || true

echo "== kernels on the device, against the exact reference"
python -m pytest -q tests/test_gpu_device.py

echo "== sanitizer"
if command -v compute-sanitizer >/dev/null; then
    for tool in memcheck racecheck; do
        CUPY_CACHE_IN_MEMORY=1 compute-sanitizer --tool "$tool" --error-exitcode 9 \
            python -m pytest -q tests/test_gpu_device.py -k "sanitizer"
    done
else
    echo "compute-sanitizer is not installed"
fi

echo "== whole test suite"
python -m pytest -q tests

echo "== figures"
python bench/gpu.py time
