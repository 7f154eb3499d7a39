"""The names that policies tell apart: those they mention, any other, and unknown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine.policy.applies import Condition
from engine.policy.conditions import NameCondition
from engine.policy.lint.dimension import Sets, meet


class Names:
    """One attribute that is a name, such as the environment. The atoms: the mentioned names, any other, unknown."""

    def __init__(self, kind: type[NameCondition], conditions: Iterable[Condition], usual: str | None = None) -> None:
        self.kind = kind
        self.word = kind.word
        mentioned = sorted({name for c in conditions if type(c) is kind for name in c.names})
        self._atoms = {name: 1 << number for number, name in enumerate(mentioned)}
        self._other_name = unmentioned(usual or f"other-{kind.word}", self._atoms)
        self._other = 1 << len(mentioned)
        self.unknown = self._other << 1
        self.everything = (self.unknown << 1) - 1

    @property
    def fields(self) -> frozenset[str]:
        """The fields of a call that this is about, if any policy looks at them."""
        return frozenset({self.kind.attribute}) if self._atoms else frozenset()

    def sets(self, conditions: Sequence[Condition]) -> Sets:
        """Where conditions apply, and where they may."""
        return meet((self._of(c) for c in conditions if type(c) is self.kind), self.everything)

    def of(self, name: str | None, *, may_be_unknown: bool = True) -> int:
        """The atoms of a registered name, or all that are possible when none is registered."""
        if name is not None:
            return self._atoms.get(name, self._other)
        return self.everything if may_be_unknown else self.everything & ~self.unknown

    def value(self, atom: int) -> str | None:
        """A name that stands for an atom."""
        if atom == self.unknown:
            return None
        return next((name for name, known in self._atoms.items() if known == atom), self._other_name)

    def _of(self, condition: NameCondition) -> Sets:
        yes = 0
        for name in condition.names:
            yes |= self._atoms[name]
        return Sets(yes, yes | self.unknown)


def unmentioned(wish: str, taken: Iterable[str]) -> str:
    """A name that is not taken, as near to the wish as can be."""
    names = set(taken)
    number = 1
    name = wish
    while name in names:
        number += 1
        name = f"{wish}-{number}"
    return name
