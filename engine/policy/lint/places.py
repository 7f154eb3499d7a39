"""The places that policies tell apart: countries and addresses, taken together, for one of the two can suffice."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

from engine.policy.applies import Condition
from engine.policy.countries import countries
from engine.policy.lint.dimension import Sets, meet
from engine.policy.location import BITS, Address, LocationCondition, Network

_EXAMPLES = {4: int(ipaddress.IPv4Address("192.0.2.1")), 6: int(ipaddress.IPv6Address("2001:db8::1"))}
"""Addresses for documentation, where nobody names them (RFC 5737, RFC 3849)."""
_MAPPED = (0xFFFF00000000, 0xFFFFFFFFFFFF)
"""IPv6 addresses that stand for IPv4 ones; a call never comes from them."""


class Places:
    """Groups of countries that all policies treat alike, times groups of addresses; the last of each is unknown.

    A row holds the groups of addresses of one group of countries. Rows are padded to whole bytes.
    """

    word = "place"

    def __init__(self, conditions: Iterable[Condition]) -> None:
        ours = [c for c in conditions if type(c) is LocationCondition]
        listed = list(dict.fromkeys(c.countries for c in ours if c.countries))
        named = list(dict.fromkeys(frozenset(c.networks) for c in ours if c.networks))
        self._countries = _country_groups(listed)
        self._numbers = {networks: number for number, networks in enumerate(named)}
        groups = _address_groups(named)
        # Unknown is last, and has no signature.
        self._signatures = list(groups)
        self._addresses: list[Address | None] = [*groups.values(), None]
        self._bytes = (len(self._addresses) + 7) // 8
        self._whole_row = (1 << len(self._addresses)) - 1
        self._known: dict[tuple[frozenset[str], frozenset[Network]], Sets] = {}
        self.everything = self._mask([self._whole_row] * len(self._countries))
        self.fields = frozenset(["country"] * bool(listed) + ["ip"] * bool(named))

    def sets(self, conditions: Sequence[Condition]) -> Sets:
        """Where conditions apply, and where they may."""
        return meet((self._of(c) for c in conditions if type(c) is LocationCondition), self.everything)

    def value(self, atom: int) -> tuple[str | None, str | None]:
        """A country and an address that stand for an atom."""
        row, column = divmod(atom.bit_length() - 1, self._bytes * 8)
        return self._countries[row], _text(self._addresses[column])

    def _of(self, condition: LocationCondition) -> Sets:
        key = (condition.countries, frozenset(condition.networks))
        if key not in self._known:
            self._known[key] = self._sets(*key)
        return self._known[key]

    def _sets(self, listed: frozenset[str], networks: frozenset[Network]) -> Sets:
        inside = unknown = 0
        if networks:
            number = self._numbers[networks]
            inside = sum(1 << column for column, who in enumerate(self._signatures) if who >> number & 1)
            unknown = 1 << len(self._signatures)
        yes = []
        maybe = []
        for country in self._countries:
            here = bool(listed) and country in listed
            yes.append(self._whole_row if here else inside)
            maybe.append(self._whole_row if here or (listed and country is None) else inside | unknown)
        return Sets(self._mask(yes), self._mask(maybe))

    def _mask(self, rows: Iterable[int]) -> int:
        return int.from_bytes(b"".join(row.to_bytes(self._bytes, "little") for row in rows), "little")


def _country_groups(listed: Sequence[frozenset[str]]) -> list[str | None]:
    """A country for each group, those that somebody lists first; `None` for unknown."""
    groups: dict[tuple[bool, ...], str] = {}
    if listed:
        for code in sorted(countries()):
            groups.setdefault(tuple(code in codes for codes in listed), code)
    return [*sorted(groups.values(), key=lambda code: not any(code in codes for codes in listed)), None]


def _address_groups(named: Sequence[frozenset[Network]]) -> dict[int, Address]:
    """An address for each group, by who names it; those that somebody names first."""
    users: dict[Network, int] = defaultdict(int)
    for number, networks in enumerate(named):
        for network in networks:
            users[network] |= 1 << number
    groups: dict[int, Address] = {}
    unnamed: list[Address] = []
    for version in BITS if named else ():
        for signature, begins, ends in _pieces(version, users):
            if signature:
                groups.setdefault(signature, Address(version, begins))
            elif begins <= _EXAMPLES[version] <= ends:
                unnamed.insert(0, Address(version, _EXAMPLES[version]))
            else:
                unnamed.append(Address(version, begins))
    return groups | {0: unnamed[0]} if unnamed else groups


def _pieces(version: int, users: dict[Network, int]) -> Iterable[tuple[int, int, int]]:
    """The family's addresses cut at every network's ends: who names a piece, its first and its last address."""
    networks = [network for network in users if network.version == version]
    # A network is one bit here: networks of one condition may lie inside each other.
    changes: dict[int, int] = defaultdict(int)
    for number, network in enumerate(networks):
        bits = BITS[version] - network.length
        changes[network.prefix << bits] ^= 1 << number
        changes[(network.prefix + 1) << bits] ^= 1 << number
    cuts = {0, 1 << BITS[version], *changes, *((_MAPPED[0], _MAPPED[1] + 1) if version == 6 else ())}
    points = sorted(cuts)
    inside = 0
    for begins, following in pairwise(points):
        inside ^= changes.get(begins, 0)
        if version == 6 and begins == _MAPPED[0]:
            continue
        signature = 0
        left = inside
        while left:
            lowest = left & -left
            signature |= users[networks[lowest.bit_length() - 1]]
            left ^= lowest
        yield signature, begins, following - 1


def _text(address: Address | None) -> str | None:
    if address is None:
        return None
    kind = ipaddress.IPv4Address if address.version == 4 else ipaddress.IPv6Address
    return str(kind(address.number))
