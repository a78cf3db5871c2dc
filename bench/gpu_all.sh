#!/bin/sh
# Builds, tests and measures the GPU backend in one call, on a machine with a GPU, a C compiler,
# CuPy, Cython, NumPy and, for comparison, PyTorch; no network is needed where the tests' packages
# are there. Most valuable first, each step under its own limit. Results go to stdout, figures to
# gpu.jsonl in the folder it is called from. It goes on after a failure and says at the end whether
# there was one.
set -u
figures=$PWD/gpu.jsonl
cd "$(dirname "$0")/.." || exit 1
failed=""
attempt() { # what it is, seconds at most, command
    echo "== $1"
    limit=$2
    shift 2
    timeout "$limit" "$@" || failed="$failed
  $*"
}

echo "== machine"
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
timeout 300 python setup.py -q build_ext --inplace || exit 1
for package in cupy ml_dtypes pytest hypothesis torch; do
    python -c "import $package" 2>/dev/null || echo "not installed: $package"
done

attempt "the package's own check" 120 python -m prelu_array
attempt "kernels on the device, against the exact reference" 300 \
    python -m pytest -q tests/gpu/test_gpu_device.py
for what in table host sizes data peers; do
    attempt "figures: $what" 300 python bench/gpu.py "$what" "$figures"
done
if python -c "import torch" 2>/dev/null; then
    attempt "tensors on the device, against those on the CPU" 300 \
        python -m pytest -q tests/for_torch/test_torch_cuda.py
    attempt "figures: PyTorch's layer beside ours" 300 \
        python bench/frameworks.py error cuda "$figures"
fi
if command -v compute-sanitizer >/dev/null; then
    for tool in memcheck racecheck initcheck; do
        CUPY_CACHE_IN_MEMORY=1 attempt "compute-sanitizer, $tool" 600 \
            compute-sanitizer --tool "$tool" --error-exitcode 9 \
            python -m pytest -q tests/gpu/test_gpu_device.py -k "sanitizer and float32"
    done
else
    echo "compute-sanitizer is not installed"
fi
attempt "all tests on CuPy arrays" 1800 python -m pytest -q tests -k cupy
test -z "$failed" || { echo "== failed:$failed"; exit 1; }
