"""Countries and networks: what is inside, what is not, and what nobody knows."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.policy.applies import Applies
from engine.policy.context import PolicyContext
from engine.policy.countries import countries, known_country
from engine.policy.location import Address, LocationCondition, known_address
from tests.support.asking import answer

MALFORMED: list[Any] = [None, "", 5, 0, True, b"US", ["US"], {"US": 1}, 1.5]
UNKNOWN_COUNTRIES = [
    *MALFORMED, "XX", "xx", "ZZ", "zZ", "UK", "EL", "USA", "United States", "U", "AA", "QQ", " US", "US ", "U S", "ſs",
    "ÜS",
]  # fmt: skip
UNKNOWN_ADDRESSES = [
    *MALFORMED, "10.1.2", "10.1.2.3.4", "010.1.2.3", "10.1.2.03", "10.1.2.256", " 10.1.2.3", "10.1.2.3 ", "10.1.2.3\n",
    "10.1.2.3/32", "10.1. 2.3", "0x0a.1.2.3", "١٠.1.2.3", "10.1.2.3:80", "[::1]", "fe80::1%eth0", "fe80::1%", ":::",
    "::g", "1::2::3", "::ffff:10.1.2.256", "::ffff:010.1.2.3", "localhost", "167838211", 167838211, "1" * 5000,
]  # fmt: skip
ODD_OCTETS = ["0", "1", "9", "10", "99", "100", "199", "249", "255", "256", "260", "300", "1000", "00", "01", "010"]
ODD_OCTETS += ["", " 1", "1 ", "+1", "-0", "0x1", "1_0", "1e1", "１", "²", "٣", "a", "1\n", "%"]


def asked(condition: LocationCondition, country: Any = None, ip: Any = None) -> Applies:
    return answer(condition, PolicyContext(country=country, ip=ip))


def within(network: str, ip: str) -> bool:
    found = asked(LocationCondition(ips=[network]), ip=ip)
    assert found is not Applies.UNKNOWN
    return found is Applies.YES


@pytest.mark.parametrize("written", ["US", "us", "Us", "uS"])
@pytest.mark.parametrize("brought", ["US", "us", "Us", "uS"])
def test_countries_are_the_same_in_capitals_and_small_letters(written: str, brought: str) -> None:
    condition = LocationCondition(countries=[written, "CA"])
    assert asked(condition, country=brought) is Applies.YES
    assert asked(condition, country="MX") is Applies.NO


@pytest.mark.parametrize("country", UNKNOWN_COUNTRIES)
def test_a_country_that_is_unknown_or_malformed_is_unknown(country: Any) -> None:
    assert asked(LocationCondition(countries=["US", "SS"]), country=country) is Applies.UNKNOWN


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("UK", "did you mean 'GB'?"),
        ("uk", "did you mean 'GB'?"),
        ("EL", "did you mean 'GR'?"),
        ("SU", "did you mean 'RU'?"),
        ("Germany", "did you mean 'DE'?"),
        ("united states", "did you mean 'US'?"),
        ("XX", "stands for an unknown country"),
        ("zz", "stands for an unknown country"),
        *((code, "alpha-2 code, such as US or DE") for code in ("USA", "GBR", "QQ", "EU", "U", "", "us ", "ſs", "12")),
        *((code, "must be two letters such as US") for code in (None, 5, b"US", ["US"])),
    ],
)  # fmt: skip
def test_what_is_no_country_cannot_be_written_into_a_condition(code: Any, hint: str) -> None:
    with pytest.raises(ValueError, match=r"^countries\.1: ") as refused:
        LocationCondition(countries=["DE", code])
    assert hint in str(refused.value)


def test_every_country_with_a_code_can_be_asked_for() -> None:
    assert len(countries()) == 250  # 249 of the standard, and Kosovo
    assert LocationCondition(countries=countries()).countries == set(countries())
    assert all(known_country(code.lower()) == code for code in countries())
    assert not {"XX", "ZZ", "UK", "EL", "EU", "AA", "QM"} & set(countries())


@pytest.mark.parametrize(
    ("network", "inside", "outside"),
    [
        ("10.0.0.0/8", ["10.0.0.0", "10.255.255.255"], ["9.255.255.255", "11.0.0.0"]),
        ("203.0.113.128/25", ["203.0.113.128", "203.0.113.255"], ["203.0.113.127", "203.0.114.0"]),
        ("10.1.2.2/31", ["10.1.2.2", "10.1.2.3"], ["10.1.2.1", "10.1.2.4"]),
        ("10.1.2.3/32", ["10.1.2.3"], ["10.1.2.2", "10.1.2.4"]),
        ("10.1.2.3", ["10.1.2.3"], ["10.1.2.2", "10.1.2.4"]),
        ("0.0.0.0/0", ["0.0.0.0", "255.255.255.255"], ["::", "::1", "2001:db8::"]),
        ("2001:db8::/33", ["2001:db8::", "2001:db8:7fff:ffff::"], ["2001:db8:8000::", "2001:db7::", "32.1.13.184"]),
        ("2001:db8::1", ["2001:db8::1", "2001:DB8:0:0::0001"], ["2001:db8::", "2001:db8::2"]),
        ("::/0", ["::", "::1", "ffff::", "::fffe:10.1.2.3"], ["0.0.0.0", "10.1.2.3", "::ffff:10.1.2.3"]),
        ("::/96", ["::1", "::10.1.2.3"], ["10.1.2.3", "::ffff:10.1.2.3"]),
    ],
)  # fmt: skip
def test_a_network_holds_its_own_addresses_and_none_of_the_other_family(
    network: str, inside: list[str], outside: list[str]
) -> None:
    assert [ip for ip in (*inside, *outside) if within(network, ip)] == inside


@pytest.mark.parametrize(
    "network", ["10.1.0.0/16", "::ffff:10.1.0.0/112", "::FFFF:A01:0/112", "0:0:0:0:0:ffff:a01:0/112"]
)
@pytest.mark.parametrize("written", ["{}", "::ffff:{}", "0:0:0:0:0:FFFF:{}"])
def test_an_ipv4_address_mapped_into_ipv6_is_the_ipv4_address(network: str, written: str) -> None:
    assert within(network, written.format("10.1.255.255"))
    assert not within(network, written.format("10.2.0.0"))
    assert str(LocationCondition(ips=[network])) == "ip in 10.1.0.0/16"


def test_the_network_of_all_mapped_addresses_is_all_of_ipv4() -> None:
    assert str(LocationCondition(ips=["::ffff:0:0/96"])) == "ip in 0.0.0.0/0"
    assert within("::ffff:0:0/96", "203.0.113.9")
    assert not within("::ffff:0:0/96", "::ffff:1")
    assert within("::ffff:10.1.2.3", "10.1.2.3")


@pytest.mark.parametrize("ip", UNKNOWN_ADDRESSES)
def test_an_address_that_is_malformed_is_unknown(ip: Any) -> None:
    assert asked(LocationCondition(ips=["0.0.0.0/0", "::/0"]), ip=ip) is Applies.UNKNOWN


@pytest.mark.parametrize(
    ("network", "problem"),
    [
        ("10.0.0.1/24", "did you mean '10.0.0.0/24'?"),
        ("203.0.113.200/25", "did you mean '203.0.113.128/25'?"),
        ("2001:db8::1/32", "did you mean '2001:db8::/32'?"),
        ("::ffff:0:0/95", "did you mean '::fffe:0:0/95'?"),
        *((text, "no spaces, no leading zeros") for text in (
            "010.0.0.1", "10.0.0.01/32", " 10.0.0.0/8", "10.0.0.0 /8", "10.0. 0.0/8", "", "/8", "1.2.3", "10.0.0.0/33",
            "::/129", "::ffff:010.0.0.0/104", "10.0.0.0-10.0.0.9", "10.0.0.*", "localhost",
        )),
        *((text, "leading bits after the slash") for text in (
            "10.0.0.0/", "10.0.0.0/ 8", "10.0.0.0/8 ", "10.0.0.0/255.0.0.0", "10.0.0.0/0.255.255.255", "10.0.0.0/-1",
            "10.0.0.0/+8", "10.0.0.0/٨", "10.0.0.0/8/8",
        )),
        *((text, "zone id") for text in ("fe80::1%eth0", "fe80::%1/64", "fe80::/64%eth0")),
        *((value, "must be a text such as") for value in (None, 5, 167772160, b"\x0a\x00\x00\x00", ["10.0.0.0/8"])),
    ],
)  # fmt: skip
def test_what_is_no_network_cannot_be_written_into_a_condition(network: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=r"^ips\.1: ") as refused:
        LocationCondition(ips=["10.0.0.0/8", network])
    assert problem in str(refused.value)


@pytest.mark.parametrize("network", ["10.0.0.0/08", "10.0.0.0/008", "2001:db8::/032", "::1/0128"])
def test_leading_zeros_of_a_length_are_refused_too(network: str) -> None:
    with pytest.raises(ValueError, match=r"^ips\.0: "):
        LocationCondition(ips=[network])


@given(st.ip_addresses(), st.integers(0, 128))
def test_the_block_that_a_refusal_suggests_is_the_one_around_the_address(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, length: int
) -> None:
    length %= address.max_prefixlen + 1
    block = ipaddress.ip_network((address, length), strict=False)
    if block.network_address == address:
        assert LocationCondition(ips=[f"{address}/{length}"]).networks == LocationCondition(ips=[str(block)]).networks
        return
    with pytest.raises(ValueError, match="did you mean") as refused:
        LocationCondition(ips=[f"{address}/{length}"])
    assert f"did you mean '{block}'?" in str(refused.value)
    LocationCondition(ips=[str(block)])


@pytest.mark.parametrize("field", ["countries", "ips"])
@pytest.mark.parametrize("values", [[], (), {}, 5, "US", "10.0.0.1", iter([])])
def test_places_are_lists_of_at_least_one(field: str, values: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{field}: must be a list "):
        LocationCondition(**{field: values})


def test_a_location_needs_countries_or_networks() -> None:
    with pytest.raises(ValueError, match=r"^countries: give countries, ips or both$"):
        LocationCondition()


@pytest.mark.parametrize(
    ("country", "ip", "expected"),
    [
        ("US", "10.1.2.3", Applies.YES),
        ("US", "11.0.0.0", Applies.YES),
        ("US", None, Applies.YES),
        ("US", "10.1.2", Applies.YES),
        ("CA", "10.1.2.3", Applies.YES),
        (None, "10.1.2.3", Applies.YES),
        ("XX", "::ffff:10.1.2.3", Applies.YES),
        ("CA", "11.0.0.0", Applies.NO),
        ("CA", "::1", Applies.NO),
        ("CA", None, Applies.UNKNOWN),
        ("CA", "nonsense", Applies.UNKNOWN),
        (None, "11.0.0.0", Applies.UNKNOWN),
        ("XX", "11.0.0.0", Applies.UNKNOWN),
        ("UK", "11.0.0.0", Applies.UNKNOWN),
        (None, None, Applies.UNKNOWN),
        ("ZZ", "", Applies.UNKNOWN),
    ],
)
def test_of_a_country_and_a_network_either_suffices(country: Any, ip: Any, expected: Applies) -> None:
    assert asked(LocationCondition(countries=["US"], ips=["10.0.0.0/8"]), country, ip) is expected


def test_only_the_fact_that_a_condition_asks_for_can_be_missing() -> None:
    assert asked(LocationCondition(countries=["US"]), country="CA", ip="nonsense") is Applies.NO
    assert asked(LocationCondition(ips=["10.0.0.0/8"]), country="nonsense", ip="11.0.0.0") is Applies.NO


def test_a_location_says_what_it_asks_for() -> None:
    condition = LocationCondition(countries=["us", "CA"], ips=["10.0.0.0/8", "::1"])
    assert str(condition) == "country=CA or US or ip in 10.0.0.0/8 or ::1/128"


def by_the_standard_library(text: str) -> Address | None:
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


@settings(max_examples=1500)
@given(
    st.lists(st.sampled_from(ODD_OCTETS), min_size=3, max_size=5).map(".".join)
    | st.lists(st.integers(0, 300).map(str), min_size=4, max_size=4).map(".".join)
    | st.text("0123456789.:abfF% /-+", max_size=20)
    | st.text(max_size=20)
    | st.ip_addresses().map(str)
)
@example("1.2.3.4\x00")
@example("255.255.255.255")
@example("0.0.0.0")
def test_an_address_is_read_as_the_standard_library_reads_it(text: str) -> None:
    assert known_address(text) == by_the_standard_library(text)
    assert known_address(f"::ffff:{text}") == by_the_standard_library(f"::ffff:{text}")


@given(st.ip_addresses())
def test_every_address_is_read_in_all_its_spellings(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    for text in (str(address), address.exploded, address.exploded.upper()):
        assert known_address(text) == by_the_standard_library(str(address))
