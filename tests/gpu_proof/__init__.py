"""What it takes to prove the GPU kernels on a machine without a GPU.

`device` stands in for CuPy's memory and launches, `ptx_*` interpret what NVRTC makes of a kernel,
`host` runs the same CUDA text as C++, `sass` reads machine code.
"""
