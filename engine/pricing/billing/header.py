"""The first line of a bill: which columns it has, and what is between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

MOST_NAMED = 12


class Header:
    """Columns by name. Upper and lower case are the same; columns without a name are there and never asked for."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(name.strip() for name in names)
        self._places = {name.lower(): place for place, name in reversed(list(enumerate(self.names))) if name}

    def __len__(self) -> int:
        return len(self.names)

    def repeated(self) -> list[str]:
        """The names that are there more than once."""
        counts = Counter(name.lower() for name in self.names if name)
        return [self.names[self._places[name]] for name, count in counts.items() if count > 1]

    def place(self, name: str) -> int | None:
        """Where the column is, counted from 0; `None` when there is none of this name."""
        return self._places.get(name.lower())

    def known(self, names: Sequence[str]) -> list[str]:
        """Those of `names` that are there, as the file writes them."""
        return [self.names[self._places[name.lower()]] for name in names if name.lower() in self._places]

    def listed(self) -> str:
        """The names for a sentence, of many the first."""
        named = [f"{name[:40]}..." if len(name) > 40 else name for name in self.names if name]
        more = len(named) - MOST_NAMED
        listed = ", ".join(named[:MOST_NAMED]) or "none"
        return f"{listed} and {more:,} more" if more > 0 else listed


def delimiter_of(line: str) -> str:
    """What is between the columns, by the header alone: amounts and texts further down may have both."""
    return ";" if line.count(";") > line.count(",") else ","
