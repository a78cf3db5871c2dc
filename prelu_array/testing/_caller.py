"""Foreign code is called here: what it raises is a finding about it."""

from __future__ import annotations

from types import TracebackType


class Caught:
    """Records any exception of foreign code: here an exception is a finding, not a failure."""

    def __init__(self, errors: list[str], name: str) -> None:
        self.errors, self.name = errors, name

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if not isinstance(error, Exception):
            return False  # KeyboardInterrupt and its like are the user's
        self.errors.append(f"{self.name}: {type(error).__name__}: {error}")
        return True
