"""Plain content built piece by piece from a text, with the line on which each piece was written.

Nothing here calls itself: a text of any depth costs at most the depth that is allowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

DEEPEST = 50
MOST_VALUES = 300_000
"""Far above any document of the largest size that is meant well, and bounded in memory."""


class Unreadable(Exception):
    """The text cannot be read as content. `problem` is a clause, `line` counts from 1."""

    def __init__(self, problem: str, line: int | None = None) -> None:
        self.problem = problem
        self.line = line
        super().__init__(problem)


class Lines:
    """Where each key and each entry of a list was written."""

    def __init__(self, root: Any, by_container: dict[int, dict[Any, int]]) -> None:
        self._root = root
        # By identity of the container, which `root` keeps alive.
        self._by_container = by_container

    def of(self, path: Sequence[int | str]) -> int | None:
        """The line of what `path` leads to, or of the nearest part around it that was written."""
        container = self._root
        line: int | None = None
        for step in path:
            lines = self._by_container.get(id(container))
            if lines is None or step not in lines:
                break
            line = lines[step]
            container = container[step]
        return line


class TreeBuilder:
    """Collects keys, values and containers in the order in which they are written."""

    def __init__(self) -> None:
        self.root: Any = None
        self._open: list[dict[str, Any] | list[Any]] = []
        self._key: str | None = None
        self._lines: dict[int, dict[Any, int]] = {}
        self._key_line = 1
        self._values = 0

    @property
    def lines(self) -> Lines:
        """The lines of everything built so far."""
        return Lines(self.root, self._lines)

    @property
    def expects_key(self) -> bool:
        """Whether the next piece is the key of a mapping."""
        return bool(self._open) and self._key is None and isinstance(self._open[-1], dict)

    def key(self, name: str, line: int) -> None:
        """A key of the innermost mapping. Refused when the mapping has it already."""
        first = self._lines[id(self._open[-1])].get(name)
        if first is not None:
            shown = name if len(name) <= 60 else f"{name[:60]}..."
            raise Unreadable(f"the key {shown!r} is given twice, first on line {first}", line)
        self._key = name
        self._key_line = line

    def value(self, value: Any, line: int) -> None:
        """A value of the innermost container, or the whole content."""
        self._values += 1
        if self._values > MOST_VALUES:
            raise Unreadable(f"more than {MOST_VALUES:,} values; is this the right file?", line)
        if not self._open:
            self.root = value
            return
        container = self._open[-1]
        lines = self._lines[id(container)]
        if isinstance(container, list):
            lines[len(container)] = line
            container.append(value)
        else:
            assert self._key is not None
            lines[self._key] = self._key_line
            container[self._key] = value
            self._key = None

    def open(self, container: dict[str, Any] | list[Any], line: int) -> None:
        """An empty container begins; what follows goes into it until `close`."""
        if len(self._open) >= DEEPEST:
            raise Unreadable(f"nested deeper than {DEEPEST} levels", line)
        self.value(container, line)
        self._open.append(container)
        self._lines[id(container)] = {}

    def close(self) -> None:
        """The innermost container ends."""
        self._open.pop()
