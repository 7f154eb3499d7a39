"""The compiled form of a set of policies: which of them apply to a call, without asking each.

A set of policies is a whole number, one bit for each. Every attribute of a call leaves some policies possible and makes
some unknown; both are looked up by the attribute's value, and the masks of all attributes are combined. Wall clocks are
asked once for each time zone, addresses once for each length of network, and only if a policy that is still possible
needs it. Built once for a document version. Pure.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Generic, NamedTuple, TypeVar

from engine.ids import is_id
from engine.policy.applies import Applies
from engine.policy.conditions import NameCondition, TagCondition, known_tags
from engine.policy.context import PolicyContext
from engine.policy.countries import known_country
from engine.policy.kinds import KNOWN_CONDITIONS, NAME_CONDITIONS
from engine.policy.location import BITS, LocationCondition, known_address
from engine.policy.policy import ExternalAgentPolicy, asked
from engine.policy.time_window import TimeWindowCondition, week_second

MOST_TAG_SETS = 4096
"""Sets of tags remembered; requests may bring their own, so there is a bound."""

NEVER = datetime.min.replace(tzinfo=UTC)
"""For conditions that do not look at the time."""

C = TypeVar("C")
K = TypeVar("K", bound=Hashable)
P = TypeVar("P", int, datetime)


class Masks(NamedTuple):
    """Policies that a call's attribute leaves possible, and those of them of which it is unknown."""

    possible: int
    unknown: int


class PolicyIndex:
    """Answers for every policy at once. Safe to share between threads."""

    def __init__(self, policies: Sequence[ExternalAgentPolicy]) -> None:
        self._all = (1 << len(policies)) - 1
        self.shadow = _union(1 << number for number, policy in enumerate(policies) if policy.shadow)
        conditions = [(1 << number, c) for number, policy in enumerate(policies) for c in policy.conditions]
        self._names = [
            _Names(kind.attribute, named, self._all)
            for kind in NAME_CONDITIONS
            if (named := _of_kind(kind, conditions))
        ]
        tags = _of_kind(TagCondition, conditions)
        self._tags = _Tags(tags, self._all) if tags else None
        self._places = [_Places(turn, self._all) for turn in _turns(_of_kind(LocationCondition, conditions))]
        self._times = [_Times(turn) for turn in _turns(_of_kind(TimeWindowCondition, conditions))]
        self._others = [(bit, condition) for bit, condition in conditions if type(condition) not in KNOWN_CONDITIONS]

    def timeless(self, context: PolicyContext) -> Masks:
        """The policies that may apply to this call at some time, as far as only facts are looked at."""
        possible, unknown = self._all, 0
        for names in self._names:
            named = names.masks(context)
            possible &= named.possible
            unknown |= named.unknown
        if self._tags is not None:
            tagged = self._tags.masks(context)
            possible &= tagged.possible
            unknown |= tagged.unknown
        for places in self._places:
            if possible & places.asking:
                placed = places.masks(context, possible)
                possible &= placed.possible
                unknown |= placed.unknown
        return Masks(possible, unknown)

    def applying(self, context: PolicyContext, at: datetime, timeless: Masks | None = None) -> Masks:
        """The policies that may apply to this call, and those of them of which it is unknown. `at` is in UTC.

        `timeless`, when given, is this call's. Raises whatever an enforced condition that is not ours raises.
        """
        possible, unknown = timeless or self.timeless(context)
        for times in self._times:
            if possible & times.asking:
                possible &= ~times.asking | times.inside(at, possible)
        for bit, condition in self._others:
            if possible & bit:
                try:
                    answer = asked(condition, context, at)
                except Exception:
                    if not bit & self.shadow:
                        raise
                    # Even broken, a policy in shadow decides nothing.
                    answer = Applies.NO
                if answer is Applies.NO:
                    possible &= ~bit
                elif answer is Applies.UNKNOWN:
                    unknown |= bit
        return Masks(possible, possible & unknown)


class _Names:
    """Conditions on one name, such as the environment."""

    def __init__(self, attribute: str, conditions: Iterable[tuple[int, NameCondition]], everyone: int) -> None:
        self.attribute = attribute
        listed: dict[int, frozenset[str]] = {}
        for bit, condition in conditions:
            listed[bit] = listed.get(bit, condition.names) & condition.names
        asking = _union(listed)
        self._missing = Masks(everyone, asking)
        # Every name that nobody mentions looks the same.
        self._unmentioned = Masks(everyone & ~asking, 0)
        mentioned = _collect((name, bit) for bit, names in listed.items() for name in names)
        self._masks = {name: Masks(everyone & ~asking | mask, 0) for name, mask in mentioned.items()}

    def masks(self, context: PolicyContext) -> Masks:
        value = getattr(context, self.attribute)
        mentioned = self._masks.get(value) if isinstance(value, str) else None
        if mentioned is not None:
            return mentioned
        return self._unmentioned if is_id(value) else self._missing


class _Tags:
    """Conditions on tags: each set of tags is looked at once."""

    def __init__(self, conditions: Sequence[tuple[int, TagCondition]], everyone: int) -> None:
        self._conditions = conditions
        self._everyone = everyone
        self._missing = Masks(everyone, _union(bit for bit, _ in self._conditions))
        self._mentioned = frozenset().union(*(c.required | c.any | c.blocked for _, c in conditions))
        self._seen: dict[frozenset[str], Masks] = {}

    def masks(self, context: PolicyContext) -> Masks:
        tags = known_tags(context.tags)
        if tags is None:
            return self._missing
        # Others tell nothing apart, and a request may bring any.
        tags &= self._mentioned
        masks = self._seen.get(tags)
        if masks is None:
            if len(self._seen) >= MOST_TAG_SETS:
                self._seen = {}
            not_fitting = (
                bit for bit, condition in self._conditions if condition.applies(context, NEVER) is Applies.NO
            )
            masks = self._seen[tags] = Masks(self._everyone & ~_union(not_fitting), 0)
        return masks


class _Times:
    """Time windows, at most one condition of each policy."""

    def __init__(self, conditions: Sequence[tuple[int, TimeWindowCondition]]) -> None:
        self.asking = _union(bit for bit, _ in conditions)
        weekly: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
        absolute: list[tuple[int, datetime, datetime]] = []
        for bit, condition in conditions:
            hours = condition.business_hours
            if hours is not None:
                weekly[hours.timezone] += [(bit, begins, ends) for begins, ends in hours.spans]
            absolute += [(bit, window.start, window.end) for window in condition.maintenance_windows]
        self._clocks = [
            (_union(bit for bit, _, _ in spans), timezone, _Steps(spans)) for timezone, spans in weekly.items()
        ]
        self._absolute = _union(bit for bit, _, _ in absolute)
        self._windows = _Steps(absolute)

    def inside(self, at: datetime, possible: int) -> int:
        """Those of the `possible` policies whose windows are open; others may be in it too or not."""
        inside = 0
        for asking, timezone, steps in self._clocks:
            if possible & asking:
                inside |= steps.at(week_second(at, timezone))
        if possible & self._absolute:
            inside |= self._windows.at(at)
        return inside


class _Steps(Generic[P]):
    """What lies inside half-open spans, for every point: one look-up in a sorted list."""

    def __init__(self, spans: Iterable[tuple[int, P, P]]) -> None:
        changes: dict[P, list[tuple[int, int]]] = defaultdict(list)
        for bit, begins, ends in spans:
            changes[begins].append((bit, 1))
            changes[ends].append((bit, -1))
        self._points: list[P] = sorted(changes)
        self._masks = [0]
        # Spans of one policy may overlap.
        depth: dict[int, int] = defaultdict(int)
        for point in self._points:
            for bit, change in changes[point]:
                depth[bit] += change
            self._masks.append(_union(bit for bit, deep in depth.items() if deep))

    def at(self, point: P) -> int:
        return self._masks[bisect_right(self._points, point)]


class _Places:
    """Locations, at most one condition of each policy."""

    def __init__(self, conditions: Sequence[tuple[int, LocationCondition]], everyone: int) -> None:
        self.asking = _union(bit for bit, _ in conditions)
        self._not_asking = everyone & ~self.asking
        self._by_country = _union(bit for bit, condition in conditions if condition.countries)
        self._by_address = _union(bit for bit, condition in conditions if condition.networks)
        self._countries = _collect((country, bit) for bit, condition in conditions for country in condition.countries)
        networks = [(network, bit) for bit, condition in conditions for network in condition.networks]
        # For each family and length of network, those of the prefixes that somebody names.
        self._networks: dict[int, list[tuple[int, dict[int, int]]]] = {4: [], 6: []}
        for version, length in sorted({(network.version, network.length) for network, _ in networks}):
            named = [(n.prefix, bit) for n, bit in networks if (n.version, n.length) == (version, length)]
            self._networks[version].append((BITS[version] - length, _collect(named)))

    def masks(self, context: PolicyContext, possible: int) -> Masks:
        """For the `possible` policies; of others nothing is said."""
        here = unknown = 0
        if possible & self._by_country:
            country = known_country(context.country)
            if country is None:
                unknown = self._by_country
            else:
                here = self._countries.get(country, 0)
        if possible & self._by_address:
            address = known_address(context.ip)
            if address is None:
                unknown |= self._by_address
            else:
                for shift, prefixes in self._networks[address.version]:
                    here |= prefixes.get(address.number >> shift, 0)
        # Country and address in one condition: either suffices.
        unknown &= ~here
        return Masks(self._not_asking | here | unknown, unknown)


def _of_kind(kind: type[C], conditions: Iterable[tuple[int, object]]) -> list[tuple[int, C]]:
    """The conditions of one kind, of exactly that: a subclass may answer in its own way."""
    return [(bit, condition) for bit, condition in conditions if type(condition) is kind]


def _turns(conditions: Iterable[tuple[int, C]]) -> list[list[tuple[int, C]]]:
    """Split so that no policy has two conditions in one list."""
    turns: list[list[tuple[int, C]]] = []
    had: dict[int, int] = defaultdict(int)
    for bit, condition in conditions:
        turn = had[bit]
        had[bit] += 1
        if turn == len(turns):
            turns.append([])
        turns[turn].append((bit, condition))
    return turns


def _collect(pairs: Iterable[tuple[K, int]]) -> dict[K, int]:
    masks: dict[K, int] = defaultdict(int)
    for key, bit in pairs:
        masks[key] |= bit
    return dict(masks)


def _union(bits: Iterable[int]) -> int:
    mask = 0
    for bit in bits:
        mask |= bit
    return mask
