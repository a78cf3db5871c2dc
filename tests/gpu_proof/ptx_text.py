"""PTX text to a list of instructions."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

WIDTH = {"pred": 0, "8": 1, "16": 2, "32": 4, "64": 8}


def width(kind: str) -> int:
    """Bytes of a type such as u32, b64 or pred."""
    return WIDTH[kind if kind == "pred" else kind.lstrip("usbf")]


@dataclass(frozen=True)
class Instruction:
    text: str
    guard: str | None  # a predicate register
    negated: bool
    parts: tuple[str, ...]  # the opcode, split at its dots
    operands: tuple[str, ...]


@dataclass
class Kernel:
    name: str
    params: dict[str, tuple[int, int]] = field(default_factory=dict)  # offset, size
    param_bytes: int = 0
    registers: dict[str, int] = field(default_factory=dict)  # prefix or name -> width
    shared: dict[str, int] = field(default_factory=dict)  # name -> offset
    shared_bytes: int = 0
    code: list[Instruction] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)

    def width_of(self, register: str) -> int:
        found = self.registers.get(register)
        return self.registers[register.rstrip("0123456789")] if found is None else found


_PARAM = re.compile(
    r"\.param\s+(?:\.align\s+(\d+)\s+)?\.(\w+)\s+(?:\.ptr\s+.*?\s)?(\w+)(?:\[(\d+)\])?$"
)
_SHARED = re.compile(r"\.shared\s+\.align\s+(\d+)\s+\.(\w+)\s+(\w+)(?:\[(\d+)\])?$")
_CODE = re.compile(r"(?:@(!?)([%\w]+)\s+)?([a-z][\w.:]*)\s*(.*)$", re.S)
_OPERAND = re.compile(r"\{[^}]*\}|\[[^\]]*\]|[^,\s][^,]*")


def parse(text: str) -> dict[str, Kernel]:
    """Every kernel of a PTX module."""
    text = re.sub(r"//[^\n]*", "", text)
    kernels = {}
    for match in re.finditer(r"\.entry\s+(\w+)\s*\(([^)]*)\)[^{]*\{", text):
        kernel = Kernel(match[1])
        _read_params(kernel, match[2])
        end, depth = match.end(), 1
        while depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        _read_body(kernel, text[match.end() : end - 1])
        kernels[kernel.name] = kernel
    return kernels


def _read_params(kernel: Kernel, text: str) -> None:
    offset = 0
    for declaration in filter(None, (part.strip() for part in text.split(","))):
        found = _PARAM.match(re.sub(r"\s+", " ", declaration))
        if found is None:
            raise ValueError(f"unknown parameter {declaration!r}")
        align, kind, name, count = found.groups()
        size = width(kind) * int(count or 1)
        step = int(align or width(kind))
        offset = -(-offset // step) * step
        kernel.params[name] = (offset, size)
        offset += size
    kernel.param_bytes = offset


def _statements(body: str) -> list[str]:
    # Inline assembly opens a scope: its braces hold statements, those of operands hold none.
    body = re.sub(r"\{(?=[^}]*;)", ";", body)
    body = re.sub(r";\s*\}", ";", body)
    body = re.sub(r"(\$\w+):", r";\1:;", body)
    return [s.strip() for s in body.split(";") if s.strip()]


def _read_body(kernel: Kernel, body: str) -> None:
    for statement in _statements(body):
        if statement.startswith("$"):
            kernel.labels[statement[:-1]] = len(kernel.code)
        elif statement.startswith(".reg"):
            kind, names = re.match(r"\.reg\s+\.(\w+)\s+(.*)$", statement, re.S).groups()
            for name in names.split(","):
                kernel.registers[name.strip().partition("<")[0]] = width(kind)
        elif statement.startswith(".shared"):
            align, kind, name, count = _SHARED.match(statement).groups()
            step = int(align)
            start = -(-kernel.shared_bytes // step) * step
            kernel.shared[name] = start
            kernel.shared_bytes = start + width(kind) * int(count or 1)
        elif not statement.startswith("."):
            not_, guard, opcode, rest = _CODE.match(statement).groups()
            operands = tuple(o.strip() for o in _OPERAND.findall(rest))
            kernel.code.append(
                Instruction(statement, guard, not_ == "!", tuple(opcode.split(".")), operands)
            )
