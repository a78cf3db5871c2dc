from typing import Any

def instruction_set() -> str: ...
def select_instruction_set(name: Any) -> bool: ...
def threads_worth(nbytes: int) -> int: ...
def set_thread_bytes(nbytes: int) -> None: ...
def fit_alpha(
    x_shape: tuple[int, ...], alpha_shape: tuple[int, ...], axis: Any
) -> tuple[int, ...] | None: ...
def forward(x: Any, alpha: Any, axis: Any, out: Any) -> Any: ...
def backward(
    dy: Any,
    x: Any,
    alpha: Any,
    axis: Any,
    at_one: bool,
    need_dx: bool,
    need_dalpha: bool,
    out: Any,
) -> tuple[Any, Any]: ...
def backward_partial(
    dy: Any, x: Any, alpha: Any, axis: Any, at_one: bool, need_dx: bool, out: Any
) -> tuple[Any, Any]: ...
def round_partial(state: Any, dtype: Any) -> Any: ...
def jvp(
    x: Any, alpha: Any, x_dot: Any, alpha_dot: Any, axis: Any, at_one: bool, out: Any
) -> Any: ...
def double_backward(
    ddx: Any, ddalpha: Any, dy: Any, x: Any, alpha: Any, axis: Any, at_one: bool, out: Any
) -> tuple[Any, Any, Any]: ...
def start(
    x_dtype: Any,
    alpha_dtype: Any,
    at_one: bool,
    shape: Any,
    alpha_shape: Any,
    axis: Any,
    addresses: tuple[int, ...],
    strides: tuple[Any, ...],
    most_threads: Any,
) -> None: ...
