"""A bill that cannot be used: every bad line counted, the first ones said."""

from __future__ import annotations

from engine.errors import BursarError, InvalidValue

MOST_SHOWN = 10
LONGEST_PROBLEM = 300


class BillError(BursarError, ValueError):
    """A bill is refused as a whole. `problems` are the first `MOST_SHOWN` sentences, `count` is how many there are."""

    def __init__(self, name: str, problems: list[str], count: int) -> None:
        self.problems = tuple(problems)
        self.count = count
        if count == 1:
            message = f"{name}: nothing was imported: {problems[0]}"
        else:
            lines = [f"{name}: nothing was imported: {count:,} problems", *(f"  {problem}" for problem in problems)]
            if count > len(problems):
                lines.append(f"  ... and {count - len(problems):,} more")
            message = "\n".join(lines)
        super().__init__(message)


class Problems:
    """What is wrong with the bill called `name`. Keeps the first sentences and counts the others."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._first: list[str] = []
        self._count = 0

    def add(self, problem: InvalidValue | str, *, line: int | None = None) -> None:
        """One more problem: of a cell, named by its column, or of a whole line."""
        self._count += 1
        if len(self._first) < MOST_SHOWN:
            text = str(problem) if line is None else f"line {line:,}: {problem}"
            # A header may have anything in it, and this is written on terminals.
            text = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
            self._first.append(text if len(text) <= LONGEST_PROBLEM else f"{text[:LONGEST_PROBLEM]}...")

    def refuse(self) -> None:
        """Raise `BillError` when anything was added."""
        if self._count:
            raise self.error()

    def error(self) -> BillError:
        """The refusal with everything added so far."""
        return BillError(self._name, self._first, self._count)
