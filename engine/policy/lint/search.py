"""Find a call inside one region and outside of others, or prove that there is none.

A region is a box: for each attribute a set of atoms. Outside of a box is a clause: at least one attribute lies outside
its set. So this is a search for a solution of clauses over a dozen variables with finite domains, and it is complete.
"""

from __future__ import annotations

from collections.abc import Sequence

Box = tuple[int, ...]
Clause = tuple[tuple[int, int], ...]
"""Of some dimensions, the atoms outside; one of them is to be met. Without any, nothing is outside."""


class TooHard(Exception):
    """The step limit was hit, so the question stays open."""


class Search:
    """Answers questions within one limit of steps; a step looks at one clause once."""

    def __init__(self, limit: int) -> None:
        self.left = limit

    def find(self, box: Box, clauses: Sequence[Clause]) -> Box | None:
        """A part of the box that is outside of all the others' regions, `None` when there is none.

        Raises `TooHard` when the steps are used up.

        1. Clauses that hold everywhere in the box are dropped; one that can be met by a single attribute narrows it.
        2. Of those left, take the one with the fewest attributes, and split the box into parts that meet it.
        """
        waiting: list[tuple[list[int], Sequence[Clause]]] = [(list(box), clauses)]
        while waiting:
            part, left = waiting.pop()
            narrowed = self._narrow(part, left)
            if narrowed is None:
                continue
            if not narrowed:
                return tuple(part)
            chosen = min(narrowed, key=len)
            others = [clause for clause in narrowed if clause is not chosen]
            parts = []
            for dimension, outside in chosen:
                met = part.copy()
                met[dimension] &= outside
                parts.append((met, others))
                # What follows is disjoint from it.
                part[dimension] &= ~outside
            waiting.extend(reversed(parts))
        return None

    def _narrow(self, box: list[int], clauses: Sequence[Clause]) -> list[Clause] | None:
        """Narrow the box in place; the clauses that still split it, `None` when one cannot be met."""
        changed = True
        while changed:
            changed = False
            kept: list[Clause] = []
            looked_at = 0
            for looked_at, clause in enumerate(clauses, 1):
                open_ = []
                for literal in clause:
                    here = box[literal[0]]
                    outside = here & literal[1]
                    if outside == here:
                        break
                    if outside:
                        open_.append(literal)
                else:
                    if not open_:
                        self._spend(looked_at)
                        return None
                    if len(open_) == 1:
                        box[open_[0][0]] &= open_[0][1]
                        changed = True
                    else:
                        kept.append(clause if len(open_) == len(clause) else tuple(open_))
            self._spend(looked_at)
            clauses = kept
        return list(clauses)

    def _spend(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise TooHard
