"""Count the vector instructions for a group of 16 numbers in the compiled backward.

    python bench/instructions.py

The loop over a segment, for AVX-512. Needs objdump, and a processor of that family.
"""

import re
import subprocess

from prelu_array import _cpu


def loops(code):
    """Yield the vector instructions of each innermost loop of a function."""
    lines = re.findall(r"^ *([0-9a-f]+):\t(\S+) *(.*)$", code, re.MULTILINE)
    places = {address: k for k, (address, _, _) in enumerate(lines)}
    jumps = [k for k, (_, word, _) in enumerate(lines) if word.startswith("j")]
    for k in jumps:
        start = places.get(lines[k][2].partition(" ")[0], k)
        if start < k and not any(start <= other < k for other in jumps):
            yield [(word, rest) for _, word, rest in lines[start:k] if word.startswith("v")]


def main():
    """Print a line for each dtype."""
    command = ["objdump", "-d", "--no-show-raw-insn", _cpu.__file__]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for dtype, size in (("f16", 2), ("bf16", 2), ("f32", 4), ("f64", 8)):
        pattern = rf"^[0-9a-f]+ <segments_sums_{dtype}>:\n(.*?)\n\n"
        functions = re.findall(pattern, text, re.MULTILINE | re.DOTALL)
        bodies = [body for code in functions for body in loops(code)]
        counts = [len(body) for body in bodies if any("%zmm" in rest for _, rest in body)]
        if not counts:
            raise SystemExit(f"{_cpu.__file__} has no AVX-512 loop for {dtype}")
        print(f"{dtype:5} {max(counts):3} vector instructions, {16 * 3 * size:4} bytes moved")


if __name__ == "__main__":
    main()
