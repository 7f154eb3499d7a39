"""What a test of a rule writes in short: times since its start, and series of values. Pure.

A series is values with spaces between them. `60x10` is ten times 60, `95%` the share 0.95, `_` a time at which there
was nothing to measure, `!` one at which the rule could not be evaluated.
"""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator

from engine.document.alert_rules import length_of

MOST_VALUES = 50_000
"""A month of minutes has 44,640."""
LONGEST = timedelta(days=62)

_OFFSET = re.compile(r"(?:(?:0|[1-9][0-9]{0,6})[dhms])+", re.ASCII)
_PART = re.compile(r"[0-9]+[dhms]", re.ASCII)
_VALUE = re.compile(r"(?P<value>_|!|[0-9]{1,20}(?:\.[0-9]{1,12})?%?)(?:x(?P<times>[1-9][0-9]{0,5}))?", re.ASCII)
_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


class Fails:
    """A value that stands for an evaluation that failed."""


FAILS = Fails()
Value = Decimal | Fails | None
"""None: there was nothing to measure."""


def offset_of(written: str) -> timedelta:
    """How long after the start `5m30s` is."""
    return sum((length_of(part) for part in _PART.findall(written)), timedelta())


def shown_offset(offset: timedelta) -> str:
    """`5m30s`, as it would be written."""
    rest = int(offset.total_seconds())
    parts = []
    for unit, seconds in _SECONDS.items():
        number, rest = divmod(rest, seconds)
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0m"


def values_of(written: str) -> tuple[Value, ...]:
    """The values of a series, one for each evaluation. Raises `ValueError` with what is wrong."""
    values: list[Value] = []
    for word in written.split():
        found = _VALUE.fullmatch(word)
        if found is None:
            raise ValueError(f"must be values such as 0x5 60x10 _ ! 95%, got {word[:40]!r}")
        times = int(found["times"] or 1)
        if len(values) + times > MOST_VALUES:
            raise ValueError(f"must be at most {MOST_VALUES:,} values")
        values += [_value(found["value"])] * times
    if not values:
        raise ValueError("must have one value at least, such as 0x5 60x10")
    return tuple(values)


def _value(word: str) -> Value:
    if word == "_":
        return None
    if word == "!":
        return FAILS
    return Decimal(word[:-1]).scaleb(-2) if word.endswith("%") else Decimal(word)


def _read_offset(value: Any) -> str:
    if not isinstance(value, str) or _OFFSET.fullmatch(value) is None:
        raise ValueError("must be a time since the start such as 0m, 90s, 5m30s or 2h")
    if offset_of(value) > LONGEST:
        raise ValueError(f"must be at most {LONGEST.days}d after the start")
    return value


def _read_series(value: Any) -> str:
    # One value alone is a number to YAML.
    written = str(value) if isinstance(value, int | float | Decimal) and not isinstance(value, bool) else value
    if not isinstance(written, str):
        raise ValueError("must be a text of values such as 0x5 60x10 _ ! 95%")  # noqa: TRY004 - pydantic wants it
    values_of(written)
    return written


Offset = Annotated[str, BeforeValidator(_read_offset)]
Series = Annotated[str, BeforeValidator(_read_series)]
