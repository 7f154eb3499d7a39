"""Conditions on where a call comes from: country and IP address."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from engine.errors import InvalidValue
from engine.policy.applies import Applies
from engine.policy.context import PolicyContext
from engine.policy.countries import country_mistake, known_country

BITS = {4: 32, 6: 128}
"""Bits of an address, by version."""
_OCTETS = {str(number): number for number in range(256)}
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


class Address(NamedTuple):
    """An IP address as a number, IPv4 also when it came mapped into IPv6."""

    version: int
    number: int


class Network(NamedTuple):
    """All addresses of one family that begin with the same `length` bits; `prefix` is these bits as a number."""

    version: int
    length: int
    prefix: int

    def contains(self, address: Address) -> bool:
        """Whether the address lies in this network; never across families."""
        return address.version == self.version and address.number >> (BITS[self.version] - self.length) == self.prefix

    def __str__(self) -> str:
        number = self.prefix << (BITS[self.version] - self.length)
        kind = ipaddress.IPv4Network if self.version == 4 else ipaddress.IPv6Network
        return str(kind((number, self.length)))


class LocationCondition:
    """Applies to calls from one of `countries` or from an address within `ips`; either suffices.

    Countries are ISO 3166 alpha-2 codes in any case, `ips` addresses or CIDR blocks of IPv4 and IPv6 (guide, Geographic
    Restrictions).
    """

    def __init__(self, countries: Iterable[str] | None = None, ips: Iterable[str] | None = None) -> None:
        if countries is None and ips is None:
            raise InvalidValue("countries", "give countries, ips or both")
        codes = () if countries is None else _listed(countries, "countries", "US")
        blocks = () if ips is None else _listed(ips, "ips", "203.0.113.0/24")
        self.countries = frozenset(read_country(code, f"countries.{index}") for index, code in enumerate(codes))
        self.networks = tuple(read_network(block, f"ips.{index}") for index, block in enumerate(blocks))

    def applies(self, context: PolicyContext, at: datetime) -> Applies:
        """Whether the call comes from one of these places."""
        del at
        country = known_country(context.country)
        address = known_address(context.ip)
        if country in self.countries or (address and any(network.contains(address) for network in self.networks)):
            return Applies.YES
        if (self.countries and country is None) or (self.networks and address is None):
            return Applies.UNKNOWN
        return Applies.NO

    def __str__(self) -> str:
        parts = []
        if self.countries:
            parts.append(f"country={' or '.join(sorted(self.countries))}")
        if self.networks:
            parts.append(f"ip in {' or '.join(map(str, self.networks))}")
        return " or ".join(parts)


@lru_cache(maxsize=4096)
def _address(text: str) -> Address | None:
    parts = text.split(".")
    if len(parts) == 4 and all(part in _OCTETS for part in parts):
        first, second, third, fourth = (_OCTETS[part] for part in parts)
        return Address(4, first << 24 | second << 16 | third << 8 | fourth)
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if address.version == 4:
        return Address(4, int(address))
    if address.scope_id is not None:
        return None
    mapped = address.ipv4_mapped
    return Address(6, int(address)) if mapped is None else Address(4, int(mapped))


def known_address(value: object) -> Address | None:
    """An address from its text, `None` when it is missing or malformed."""
    # Longer texts are no addresses; they are not worth remembering.
    return _address(value) if isinstance(value, str) and len(value) <= 64 else None


def read_country(code: str, field: str = "countries") -> str:
    """A country code of a condition, in capitals. Raises `InvalidValue` for what is not one."""
    mistake = country_mistake(code)
    if mistake:
        raise InvalidValue(field, mistake)
    return code.upper()


def _listed(values: Iterable[str], field: str, example: str) -> list[str]:
    if isinstance(values, str):
        raise InvalidValue(field, f"must be a list such as [{values!r}], not a single text")
    try:
        listed = list(values)
    except TypeError:
        listed = []
    if not listed:
        raise InvalidValue(field, f"must be a list of at least one entry, such as {example}")
    return listed


def read_network(text: str, field: str = "ips") -> Network:
    """An address or CIDR block of a condition. Raises `InvalidValue` for what is neither."""
    # Whole numbers would be taken for addresses by the standard library.
    if not isinstance(text, str):
        raise InvalidValue(field, f"must be a text such as 203.0.113.0/24, got {text!r}")
    if "%" in text:
        raise InvalidValue(field, f"{text!r} has a zone id, which means something on one machine only; leave it out")
    address, slash, length = text.partition("/")
    if slash and (not (length.isascii() and length.isdecimal()) or length != str(int(length[:4]))):
        raise InvalidValue(
            field, f"{text!r} needs the number of leading bits after the slash, without leading zeros, such as /24"
        )
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        raise InvalidValue(field, _network_mistake(text, address, slash)) from None
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        mapped = int(network.network_address) & 0xFFFFFFFF
        network = ipaddress.IPv4Network((mapped, network.prefixlen - 96))
    bits = BITS[network.version]
    return Network(network.version, network.prefixlen, int(network.network_address) >> (bits - network.prefixlen))


def _network_mistake(text: str, address: str, slash: str) -> str:
    try:
        inside = ipaddress.ip_network(text, strict=False)
        ipaddress.ip_address(address)
    except ValueError:
        return f"{text!r} is not an IP address or CIDR block such as 203.0.113.0/24 (no spaces, no leading zeros)"
    return f"{text!r} has bits set behind the first {text.partition(slash)[2]}; did you mean {str(inside)!r}?"
