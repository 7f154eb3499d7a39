"""What an event's hash covers, and JSON that means the same however a database spells it."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.admission.plan import CallPlan
from engine.admission.record import CheckRecord, HoldRecord
from engine.ids import new_decision_id
from engine.ledger.chain import BEFORE_THE_FIRST, canonical_json, check_storable, event_hash
from engine.ledger.entries import LedgerEvent, read_event
from engine.pricing.basis import Pricing

AT = datetime(2026, 11, 25, 12, 0, 0, 123456, tzinfo=UTC)
EVENT: dict[str, Any] = {
    "org_id": "acme", "seq": 7, "stream_id": "1-0", "kind": "settle", "decision_id": "d", "at": AT,
    "written_at": AT + timedelta(seconds=1), "payload": '{"m":"55000"}',
}  # fmt: skip


def test_the_hash_is_the_one_that_the_guarantee_describes() -> None:
    """Computed anew from its description, so that a change of the format cannot go unnoticed."""
    content = (
        b"bursar event 1\n" + bytes(32) + b'["acme",7,"1-0","settle","d",1795608000123456,1795608001123456,'
        b'{"m":"55000"}]'
    )
    assert event_hash(BEFORE_THE_FIRST, **EVENT) == hashlib.sha256(content).digest()


@pytest.mark.parametrize(
    ("field", "other"),
    [
        ("org_id", "acne"),
        ("seq", 8),
        ("stream_id", "1-1"),
        ("kind", "cancel"),
        ("decision_id", "e"),
        ("at", AT + timedelta(microseconds=1)),
        ("written_at", AT),
        ("payload", '{"m":"55001"}'),
        ("previous", b"\1" * 32),
    ],
)
def test_every_column_and_the_hash_before_count(field: str, other: Any) -> None:
    event = {"previous": BEFORE_THE_FIRST, **EVENT}
    assert event_hash(**{**event, field: other}) != event_hash(**event)


def test_an_instant_is_the_same_in_every_zone() -> None:
    elsewhere = AT.astimezone(timezone(timedelta(hours=5, minutes=45)))
    assert event_hash(BEFORE_THE_FIRST, **{**EVENT, "at": elsewhere}) == event_hash(BEFORE_THE_FIRST, **EVENT)


def test_columns_cannot_borrow_from_each_other() -> None:
    one = event_hash(BEFORE_THE_FIRST, **{**EVENT, "kind": 'a","b', "decision_id": "c"})
    assert one != event_hash(BEFORE_THE_FIRST, **{**EVENT, "kind": "a", "decision_id": 'b","c'})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [True, None]}, '{"a":[true,null],"b":1}'),
        (1e3, "1000"),
        (-0.0, "0"),
        (1e23, "1" + "0" * 23),
        (0.1, "0.1"),
        (5e-324, "5e-324"),
        (2**80, str(2**80)),
        ("𝄞 ü \t", '"𝄞 ü \\t"'),
    ],
)
def test_numbers_and_letters_have_one_spelling(value: Any, text: str) -> None:
    assert canonical_json(value) == text


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda parts: st.lists(parts, max_size=4) | st.dictionaries(st.text(), parts, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_reading_it_back_changes_nothing(value: Any) -> None:
    text = canonical_json(value)
    assert canonical_json(json.loads(text)) == text
    assert canonical_json(json.loads(json.dumps(value))) == text


@given(json_values)
def test_what_the_database_is_given_can_be_kept(value: Any) -> None:
    check_storable(value)


def settle_with(body: str) -> LedgerEvent:
    hold = HoldRecord("H", 1, 0, Pricing("webhook", None, "standard", "hook", 1), ())
    fields = {"k": "settle", "d": new_decision_id(), "t": "1", "m": "1", "h": hold.to_text(), "b": body}
    return read_event("1-0", fields, lambda record, at_ms: CallPlan("acme"))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400"])
@pytest.mark.parametrize("place", ['{{"x": {}}}', '{{"x": [0, [{}]]}}'])
def test_a_number_that_no_database_keeps_makes_an_event_unreadable(number: str, place: str) -> None:
    assert settle_with(place.format("1e300")).kind == "settle"
    event = settle_with(place.format(number))
    assert (event.kind, event.payload["b"]) == ("unreadable", place.format(number))


def test_nesting_has_an_end() -> None:
    check_storable(json.loads("[" * 20 + "]" * 20))
    with pytest.raises(ValueError, match="nested too deep"):
        check_storable(json.loads("[" * 900 + "]" * 900))


def test_a_check_record_is_as_the_gate_wrote_it() -> None:
    names = ("a", "t", "u", "p", "m", "e", "standard", "invoke")
    record = CheckRecord(*names, 1, 2, 3, 4, 5, "v", 6, "allow", "r", ("x",), "", "")
    assert canonical_json(json.loads(record.to_json())) == record.to_json()
