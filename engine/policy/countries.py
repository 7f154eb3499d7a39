"""Countries: ISO 3166-1 alpha-2 codes, as the time zone database lists them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

UNKNOWN_COUNTRIES = frozenset({"XX", "ZZ"})
"""What look-ups answer when they do not know (ISO 3166-1, user-assigned codes)."""

_BY_HABIT = {"XK": "Kosovo"}
"""User-assigned, but what every look-up answers."""
_MISTAKES = {"UK": "GB", "EL": "GR", "SU": "RU", "EN": "GB", "JA": "JP"}


@cache
def countries() -> Mapping[str, str]:
    """Every code, with the country's name."""
    text = files("tzdata").joinpath("zoneinfo", "iso3166.tab").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in text.splitlines() if not line.startswith("#"))
    return MappingProxyType({code: name for code, name, *_ in rows} | _BY_HABIT)


def known_country(value: object) -> str | None:
    """The code in capitals, `None` when it is no country's: missing, unknown or malformed."""
    if not isinstance(value, str) or len(value) != 2:
        return None
    # Not by .upper(): there are letters outside ASCII whose capitals are ASCII.
    code = value.upper() if value.isascii() else ""
    return code if code in countries() else None


def country_mistake(value: object) -> str | None:
    """What is wrong with a country in a condition, as half a sentence; `None` when nothing is."""
    if known_country(value) is not None:
        return None
    if not isinstance(value, str):
        return f"must be two letters such as US, got {value!r}"
    code = value.upper()
    if code in UNKNOWN_COUNTRIES:
        return f"{value!r} stands for an unknown country, which no condition can name"
    if code in _MISTAKES:
        return f"{value!r} is not an ISO 3166 code; did you mean {_MISTAKES[code]!r}?"
    named = [known for known, name in countries().items() if name.casefold() == value.casefold()]
    hint = f"; did you mean {named[0]!r}?" if named else ""
    return f"{value!r} is not an ISO 3166 alpha-2 code{hint or ', such as US or DE'}"
