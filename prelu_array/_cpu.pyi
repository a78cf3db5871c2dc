from typing import Any

def instruction_set() -> str: ...
def select_instruction_set(name: Any) -> bool: ...
def fit_alpha(
    x_shape: tuple[int, ...], alpha_shape: tuple[int, ...], axis: Any
) -> tuple[int, ...] | None: ...
def forward(x: Any, alpha: Any, axis: Any, out: Any) -> Any: ...
def backward(
    dy: Any,
    x: Any,
    alpha: Any,
    axis: Any,
    at_one: Any,
    need_dx: Any,
    need_dalpha: Any,
    out: Any,
) -> tuple[Any, Any]: ...
