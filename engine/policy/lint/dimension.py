"""What one attribute of a call can be, as far as policies tell: a finite number of atoms, and sets of them as bits.

Two values belong to one atom when every condition answers the same for both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from engine.policy.applies import Condition


class Sets(NamedTuple):
    """The atoms at which conditions surely apply, and those at which they apply or it is unknown."""

    yes: int
    maybe: int


class Dimension(Protocol):
    """One attribute, or several that conditions ask for together."""

    @property
    def word(self) -> str:
        """What people call it."""
        ...

    @property
    def everything(self) -> int:
        """All atoms."""
        ...

    @property
    def fields(self) -> frozenset[str]:
        """The fields of a call that this is about, if any policy looks at them."""
        ...

    def sets(self, conditions: Sequence[Condition]) -> Sets:
        """Where conditions apply, and where they may; those of other kinds are passed over."""
        ...


def meet(sets: Iterable[Sets], everything: int) -> Sets:
    """Where all of them apply, and where all may: NO wins, then UNKNOWN."""
    yes = maybe = everything
    for each in sets:
        yes &= each.yes
        maybe &= each.maybe
    return Sets(yes, maybe)
