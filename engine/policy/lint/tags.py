"""The sets of tags that policies tell apart: the truth table of the tag conditions.

Conditions that share no tag, not even through others, do not depend on each other and have tables of their own:
thirty conditions on thirty tags are thirty tables of two rows, not one of a billion.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine.policy.applies import Condition
from engine.policy.conditions import TagCondition
from engine.policy.lint.dimension import Sets, meet
from engine.policy.lint.search import TooHard

MOST_ROWS = 20_000
"""Rows of one table; with more the question is given up."""

_Parts = tuple[frozenset[str], frozenset[str], frozenset[str]]


class Tags:
    """Conditions that hang together by their tags. The atoms: the rows of their truth table, and unknown."""

    word = "tags"

    def __init__(self, conditions: Sequence[TagCondition], registered: Iterable[frozenset[str]], *, free: bool) -> None:
        self._conditions = list(dict.fromkeys(map(_parts, conditions)))
        # Rows that no set of tags makes are not in the table: only sets that can occur count.
        self._rows: dict[int, frozenset[str]] = {}
        # Others' tags stay out of a row's example, for rows of several tables are joined to one set.
        ours = frozenset(tag for parts in self._conditions for part in parts for tag in part)
        for tags in registered:
            self._rows.setdefault(self._row(tags), tags & ours)
        if free:
            for row, tags in _truth_table(self._conditions).items():
                self._rows.setdefault(row, tags)
        self._atoms = {row: 1 << number for number, row in enumerate(self._rows)}
        self.unknown = 1 << len(self._rows)
        self.everything = (self.unknown << 1) - 1
        self.fields = frozenset({"tags"})

    def sets(self, conditions: Sequence[Condition]) -> Sets:
        """Where conditions apply, and where they may."""
        ours = [_parts(c) for c in conditions if type(c) is TagCondition]
        return meet((self._of(parts) for parts in ours if parts in self._conditions), self.everything)

    def of(self, tags: frozenset[str]) -> int:
        """The atom of a set of tags that is registered."""
        return self._atoms[self._row(tags)]

    def value(self, atom: int) -> frozenset[str]:
        """Tags that stand for a known atom."""
        return next(tags for row, tags in self._rows.items() if self._atoms[row] == atom)

    def _row(self, tags: frozenset[str]) -> int:
        row = 0
        for number, (required, some, blocked) in enumerate(self._conditions):
            if required <= tags and not blocked & tags and (not some or some & tags):
                row |= 1 << number
        return row

    def _of(self, parts: _Parts) -> Sets:
        number = self._conditions.index(parts)
        yes = sum(atom for row, atom in self._atoms.items() if row >> number & 1)
        return Sets(yes, yes | self.unknown)


def tag_dimensions(conditions: Iterable[Condition], registered: Sequence[frozenset[str]], *, free: bool) -> list[Tags]:
    """A dimension for each group of conditions that hang together. `free`: some agent's tags may be anything."""
    groups: list[tuple[set[str], list[TagCondition]]] = []
    for condition in conditions:
        if type(condition) is not TagCondition:
            continue
        tags = set(condition.required | condition.any | condition.blocked)
        together = [condition]
        apart = []
        for group in groups:
            if group[0] & tags:
                tags |= group[0]
                together = [*group[1], *together]
            else:
                apart.append(group)
        groups = [*apart, (tags, together)]
    return [Tags(together, registered, free=free) for _, together in groups]


def _parts(condition: TagCondition) -> _Parts:
    return condition.required, condition.any, condition.blocked


def _truth_table(conditions: Sequence[_Parts]) -> dict[int, frozenset[str]]:
    """Every row that some set of tags makes, with such a set.

    1. Take the tags one by one, each left out or in; what counts so far is which conditions can no longer be met, and
       of which one of `any` was seen.
    2. Sets that are alike in that stay alike, so one of them is kept.
    """
    everyone = (1 << len(conditions)) - 1
    without_any = sum(1 << n for n, (_, some, _) in enumerate(conditions) if not some)
    found: dict[tuple[int, int], frozenset[str]] = {(0, without_any): frozenset()}
    for tag in sorted({tag for parts in conditions for part in parts for tag in part}):
        asked, wanted, refused = (
            sum(1 << n for n, parts in enumerate(conditions) if tag in parts[which]) for which in range(3)
        )
        following: dict[tuple[int, int], frozenset[str]] = {}
        for (lost, seen), tags in found.items():
            left_out = lost | asked
            following.setdefault((left_out, seen & ~left_out), tags)
            put_in = lost | refused
            following.setdefault((put_in, (seen | wanted) & ~put_in), tags | {tag})
        if len(following) > MOST_ROWS:
            raise TooHard
        found = following
    table: dict[int, frozenset[str]] = {}
    for (lost, seen), tags in found.items():
        table.setdefault(everyone & ~lost & seen, tags)
    return table
