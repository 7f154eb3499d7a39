"""What differs between two price books, row by row. Pure.

Rows are the same when they are about the same and hold from the same instant. A row that is new is compared with what
held until then, so that a price which changes next month reads as the change that it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

from engine.money import EXACT
from engine.pricing.book import PriceBook, in_effect
from engine.pricing.rows import (
    PRICE_NAMES,
    Correction,
    DatedRow,
    FeatureRow,
    PriceRow,
    Row,
    decimal_text,
    show_effective,
)

Kind = Literal["added", "removed", "changed"]
Part = Literal["prices", "credits", "features", "terms", "complexity", "buffer", "corrections"]

PRICE_WORDS = {
    "per_call_usd": "per call",
    "credits_per_call": "per call",
    "input_usd_per_million": "input",
    "output_usd_per_million": "output",
    "cached_input_usd_per_million": "cached input",
    "cache_write_usd_per_million": "cache write",
}
"""How people call the prices of a row."""

_LIKE_INPUT = ("cached_input_usd_per_million", "cache_write_usd_per_million")
_ABOUT = {"provider", "model", "agent_id", "feature", "plan", "term", "effective_from"}
_MOST_DECIMALS = 20
"""Of a percentage: a price falls from a million to a millionth of a millionth at most."""
TOO_FAR = Decimal(10)
"""A price that rises or falls by more than this factor is probably a typing error."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One value of a row, before and after; `None` is not given."""

    name: str
    old: Any
    new: Any
    percent: Decimal | None = None
    """By how much a number rises, as `percent` has it; `None` where nothing was to compare with."""


@dataclass(frozen=True, slots=True)
class BookChange:
    """One difference.

    `old` held at `effective_from` before, `new` holds then. A row that is removed leaves what held before it, if
    anything did. Without a date: corrections, complexity multipliers, the buffer.
    """

    kind: Kind
    part: Part
    key: tuple[str, ...]
    effective_from: datetime | None
    old: Row | Decimal | None
    new: Row | Decimal | None
    fields: tuple[FieldChange, ...]

    @property
    def what(self) -> str:
        """Names it for people: `openai gpt-4o`."""
        named = " ".join(part for part in self.key if part)
        words = {"credits": "Copilot Credits by plan", "features": "feature", "terms": "term"}
        words |= {"complexity": "complexity", "corrections": "correction of", "buffer": "buffer"}
        return f"{words.get(self.part, '')} {named}".strip()

    @property
    def text(self) -> str:
        """The difference as a sentence: `openai gpt-4o from 2026-12-01: input $2.50 -> $2.00 (-20 %)`."""
        since = "" if self.effective_from is None else f" from {show_instant(self.effective_from)}"
        if self.kind == "removed" and self.new is None:
            return f"{self.what}{since} removed"
        removed = " removed" if self.kind == "removed" else ""
        return f"{self.what}{since}{removed}: {', '.join(_said(self)) or 'as before'}"

    def __str__(self) -> str:
        """The difference as a sentence."""
        return self.text

    def as_json(self) -> dict[str, Any]:
        """The difference for programs."""
        return {
            "kind": self.kind,
            "part": self.part,
            "key": list(self.key),
            "effective_from": None if self.effective_from is None else show_effective(self.effective_from),
            "old": _plain(self.old),
            "new": _plain(self.new),
            "fields": [
                {"name": each.name, "old": _plain(each.old), "new": _plain(each.new), "percent": _plain(each.percent)}
                for each in self.fields
            ],
            "text": self.text,
        }


def diff_books(before: PriceBook, after: PriceBook) -> list[BookChange]:
    """The changes that turn one book into another, in a fixed order."""
    return [
        *_dated("prices", before.prices, after.prices),
        *_dated("credits", before.credits, after.credits),
        *_dated("features", before.features, after.features),
        *_dated("terms", before.terms, after.terms),
        *_numbers("complexity", dict(before.complexity), dict(after.complexity)),
        *_numbers("buffer", {"": before.buffer}, {"": after.buffer}),
        *_corrections(before.corrections, after.corrections),
    ]


def held(rows: Iterable[DatedRow], key: tuple[str, str], at: datetime) -> Any:
    """The row of a key that holds at an instant, `None` before its first: unlike `in_effect` nothing is backdated."""
    found = [row for row in rows if row.key == key and row.effective_from <= at]
    return max(found, key=lambda row: row.effective_from, default=None)


def net_changes(before: PriceBook, after: PriceBook, at: datetime) -> list[BookChange]:
    """What differs between two books for a call at an instant, whatever the dates and sources of their rows."""
    parts: tuple[Part, ...] = ("prices", "credits", "features", "terms")
    found: list[BookChange] = []
    for part in parts:
        was, becomes = in_effect(getattr(before, part), at), in_effect(getattr(after, part), at)
        for key in sorted(was.keys() | becomes.keys()):
            old, new = was.get(key), becomes.get(key)
            changed = _compare(old, new, same_date=False)
            if changed:
                kind: Kind = "added" if old is None else "removed" if new is None else "changed"
                found.append(BookChange(kind, part, key, None, old, new, changed))
    return [*found, *(change for change in diff_books(before, after) if change.part not in parts)]


def far_changes(changes: Iterable[BookChange]) -> Iterator[str]:
    """Prices that become 0, or more than ten times as much or as little: `openai gpt-4o input $2.50 -> $0.00`."""
    for change in changes:
        if change.part not in ("prices", "credits"):
            continue
        for each in change.fields:
            old, new = _paid(change.old, each.name), _paid(change.new, each.name)
            if isinstance(new, Decimal) and old != new and (not new or _is_far(old, new)):
                yield f"{change.what} {_field_text(change, each)}"


def _is_far(old: Any, new: Decimal) -> bool:
    if not isinstance(old, Decimal) or not old:
        return False
    return new > EXACT.multiply(old, TOO_FAR) or old > EXACT.multiply(new, TOO_FAR)


def _dated(part: Part, before: Iterable[DatedRow], after: Iterable[DatedRow]) -> Iterator[BookChange]:
    was = {(row.key, row.effective_from): row for row in before}
    becomes = {(row.key, row.effective_from): row for row in after}
    timelines = (_timelines(was.values()), _timelines(becomes.values()))
    for key, since in sorted(was.keys() | becomes.keys()):
        there, now = was.get((key, since)), becomes.get((key, since))
        if there == now:
            continue
        old = there or held(timelines[0].get(key, ()), key, since)
        new = now or held(timelines[1].get(key, ()), key, since)
        kind: Kind = "removed" if now is None else "added" if old is None else "changed"
        yield BookChange(kind, part, key, since, old, new, _compare(old, new, same_date=there is not None))


def _timelines(rows: Iterable[DatedRow]) -> dict[tuple[str, str], list[DatedRow]]:
    found: dict[tuple[str, str], list[DatedRow]] = {}
    for row in rows:
        found.setdefault(row.key, []).append(row)
    return found


def _corrections(before: Iterable[Correction], after: Iterable[Correction]) -> Iterator[BookChange]:
    was = {row.segment: row for row in before}
    becomes = {row.segment: row for row in after}
    for segment in sorted(was.keys() | becomes.keys()):
        old, new = was.get(segment), becomes.get(segment)
        if old != new:
            kind: Kind = "added" if old is None else "removed" if new is None else "changed"
            yield BookChange(kind, "corrections", segment, None, old, new, _compare(old, new, same_date=True))


def _numbers(part: Part, before: dict[str, Decimal], after: dict[str, Decimal]) -> Iterator[BookChange]:
    for name, new in after.items():
        old = before[name]
        if old != new:
            change = FieldChange(part, old, new, percent(old, new))
            yield BookChange("changed", part, (name,) if name else (), None, old, new, (change,))


def _compare(old: Row | None, new: Row | None, *, same_date: bool) -> tuple[FieldChange, ...]:
    known = old or new
    assert known is not None
    # A newer row has a source of its own; the same row with another one was corrected.
    left_out = _ABOUT if same_date else {*_ABOUT, "source"}
    changes = []
    for name in (field.name for field in fields(known)):
        was, becomes = _value(old, name), _value(new, name)
        if name not in left_out and was != becomes:
            changes.append(FieldChange(name, was, becomes, percent(_paid(old, name), _paid(new, name))))
    return tuple(sorted(changes, key=lambda change: _place(change.name)))


def _place(name: str) -> tuple[int, str]:
    return (PRICE_NAMES.index(name) if name in PRICE_NAMES else len(PRICE_NAMES), name)


def _value(row: Row | None, name: str) -> Any:
    return None if row is None else getattr(row, name)


def _paid(row: Row | Decimal | None, name: str) -> Any:
    """What a value comes to: cached tokens without a price of their own cost what input does."""
    value = getattr(row, name, None)
    return row.input_usd_per_million if value is None and name in _LIKE_INPUT and isinstance(row, PriceRow) else value


def percent(old: Any, new: Any) -> Decimal | None:
    """By how many percent a number rises, to a tenth; `None` from 0, or when one of them is no number.

    More digits where a tenth would say -100, which is for what becomes 0.
    """
    if not isinstance(old, Decimal) or not isinstance(new, Decimal) or not old:
        return None
    exact = EXACT.divide(EXACT.multiply(EXACT.subtract(new, old), Decimal(100)), old)
    rounded = (EXACT.quantize(exact, Decimal(1).scaleb(-places)) for places in range(1, _MOST_DECIMALS + 1))
    return next(each for each in rounded if each != -100 or not new)


def _plain(value: Any) -> Any:
    if isinstance(value, Row):
        return value.to_json()
    return decimal_text(value) if isinstance(value, Decimal) else value


# How a difference reads.


def _said(change: BookChange) -> Iterator[str]:
    if isinstance(change.old, Decimal) and isinstance(change.new, Decimal):
        show = show_share if change.part == "buffer" else show_factor
        # A buffer is a share already; percent of percent would be read as points.
        risen = "" if change.part == "buffer" else _by(change.fields[0].percent)
        yield f"{show(change.old)} -> {show(change.new)}{risen}"
        return
    if change.kind == "added" and isinstance(change.new, Row):
        yield from describe(change.new)
        return
    names = {each.name for each in change.fields}
    for each in change.fields:
        # Dollars per call took the place of credits per call, or the other way round: said once.
        if each.name != "credits_per_call" or "per_call_usd" not in names:
            yield _field_text(change, each)


def _field_text(change: BookChange, each: FieldChange) -> str:
    values = f"{_shown(change.old, each.name)} -> {_shown(change.new, each.name)}{_by(each.percent)}"
    return f"{_word(each.name)} {values}".strip()


def describe(row: Row) -> Iterator[str]:
    """What a row says, value by value: `input $2.50`, `output $10.00`."""
    if isinstance(row, FeatureRow):
        units = "" if row.units == 1 else f" per {row.units:,}"
        yield f"{show_number(row.credits)} {'credit' if row.credits == 1 else 'credits'}{units}"
        return
    for field in fields(row):
        value = getattr(row, field.name)
        if field.name not in {*_ABOUT, "source", "complexity"} and value is not None:
            yield f"{_word(field.name)} {_shown(row, field.name)}".strip()


def _word(name: str) -> str:
    return PRICE_WORDS.get(name, "" if name in ("usd", "credits", "factor") else name.replace("_", " "))


def _shown(row: Row | Decimal | None, name: str) -> str:
    value = getattr(row, name, None)
    if value is None and name in ("per_call_usd", "credits_per_call"):
        name = "credits_per_call" if name == "per_call_usd" else "per_call_usd"
        value = getattr(row, name, None)
    if value is None:
        paid = _paid(row, name) if isinstance(row, Row) else None
        return "none" if paid is None else f"{show_usd(paid)} (as input)"
    if name == "credits_per_call" or (name == "credits" and isinstance(value, Decimal)):
        return f"{show_number(value)} {'credit' if value == 1 else 'credits'}"
    if name == "factor":
        return show_factor(value)
    if name == "buffer":
        return show_share(value)
    return show_usd(value) if isinstance(value, Decimal) else f'"{value}"' if name == "source" else str(value)


def _by(risen: Decimal | None) -> str:
    return "" if risen is None or not risen else f" ({'+' if risen > 0 else ''}{show_number(risen)} %)"


def show_usd(value: Decimal) -> str:
    """Every digit, cents at least: `$2.50`, `$0.075`."""
    plain = show_number(value)
    whole, _, digits = plain.partition(".")
    return f"${whole}.{digits.ljust(2, '0')}"


def show_number(value: Decimal) -> str:
    """Every digit and no more: `5`, `0.1`."""
    return f"{EXACT.normalize(value):,f}"


def show_factor(value: Decimal) -> str:
    """`x0.5`."""
    return f"x{show_number(value)}"


def show_share(value: Decimal) -> str:
    """`20 %`."""
    return f"{show_number(EXACT.multiply(value, Decimal(100)))} %"


def show_instant(at: datetime) -> str:
    """The date alone at midnight UTC, else `2026-11-25 14:05:12 UTC`."""
    text = show_effective(at)
    return text if len(text) == len("2026-12-01") else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
