"""Whatever is changed in a chain is found (promise 9)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.ledger.chain import BEFORE_THE_FIRST, StoredEvent, canonical_json
from engine.ledger.chain_check import Finding, Problem, Section, check_rows

START = datetime(2026, 11, 25, tzinfo=UTC)


def chained(payloads: list[Any], first: int = 1, previous: bytes = BEFORE_THE_FIRST) -> list[StoredEvent]:
    rows = []
    for seq, payload in enumerate(payloads, first):
        at = START + timedelta(seconds=seq)
        row = StoredEvent("acme", seq, f"{seq}-0", "settle", f"d{seq}", at, at, canonical_json(payload), b"")
        previous = row.hash_after(previous)
        rows.append(row._replace(hash=previous))
    return rows


def section(rows: list[StoredEvent]) -> Section:
    return Section("acme", 1, len(rows), BEFORE_THE_FIRST)


def found(section: Section, rows: list[StoredEvent], known: dict[int, bytes] | None = None) -> Finding:
    result = check_rows(section, iter(rows), known)
    assert isinstance(result, Finding)
    return result


payloads = st.lists(
    st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5) | st.booleans(), max_size=4),
    min_size=2,
    max_size=12,
)
instants = st.datetimes(timezones=st.just(UTC))
CHANGED: dict[str, st.SearchStrategy[Any]] = {
    "org_id": st.text(),
    "seq": st.integers(),
    "stream_id": st.text(),
    "kind": st.text(),
    "decision_id": st.text(),
    "at": instants,
    "written_at": instants,
    "payload": st.dictionaries(st.text(), st.integers() | st.text()).map(canonical_json),
    "hash": st.binary(min_size=32, max_size=32),
}


@given(payloads)
def test_a_chain_as_it_was_written_is_right_and_ends_in_its_last_hash(payloads: list[Any]) -> None:
    rows = chained(payloads)
    assert check_rows(section(rows), iter(rows), {row.seq: row.hash for row in rows}) == rows[-1].hash


@given(payloads, st.data())
def test_one_field_changed_is_always_found(payloads: list[Any], data: st.DataObject) -> None:
    rows = chained(payloads)
    index = data.draw(st.integers(0, len(rows) - 1))
    field = data.draw(st.sampled_from(sorted(CHANGED)))
    value = data.draw(CHANGED[field].filter(lambda value: value != getattr(rows[index], field)))
    changed = [row._replace(**{field: value}) if row is rows[index] else row for row in rows]
    assert found(section(rows), sorted(changed, key=lambda row: row.seq)).seq is not None


@given(payloads, st.data())
def test_a_hash_computed_anew_is_found_one_event_later_or_at_the_checkpoint(
    payloads: list[Any], data: st.DataObject
) -> None:
    rows = chained(payloads)
    index = data.draw(st.integers(0, len(rows) - 1))
    previous = rows[index - 1].hash if index else BEFORE_THE_FIRST
    changed = rows[index]._replace(kind="cancel", hash=b"")
    forged = [*rows[:index], changed._replace(hash=changed.hash_after(previous)), *rows[index + 1 :]]
    result = check_rows(section(rows), iter(forged))
    if index == len(rows) - 1:
        assert isinstance(result, bytes)
        assert result != rows[-1].hash
    else:
        assert isinstance(result, Finding)
        assert (result.seq, result.problem) == (index + 2, Problem.EDITED)
        assert f"or event {index + 1} together with its hash" in result.message


@given(payloads, st.data())
def test_a_missing_event_is_named(payloads: list[Any], data: st.DataObject) -> None:
    rows = chained(payloads)
    index = data.draw(st.integers(0, len(rows) - 1))
    finding = found(section(rows), rows[:index] + rows[index + 1 :])
    assert (finding.seq, finding.problem) == (index + 1, Problem.MISSING)


@given(payloads, st.data())
def test_swapped_events_are_named(payloads: list[Any], data: st.DataObject) -> None:
    rows = chained(payloads)
    first = data.draw(st.integers(0, len(rows) - 2))
    second = data.draw(st.integers(first + 1, len(rows) - 1))
    swapped = list(rows)
    swapped[first] = rows[second]._replace(seq=first + 1)
    swapped[second] = rows[first]._replace(seq=second + 1)
    finding = found(section(rows), swapped)
    assert (finding.seq, finding.problem) == (first + 1, Problem.OUT_OF_PLACE)


def test_an_event_that_is_there_twice_is_named() -> None:
    rows = chained([{}] * 4)
    finding = found(section(rows), [*rows[:2], rows[1], *rows[2:]])
    assert (finding.seq, finding.problem) == (2, Problem.ADDED)


def test_a_chain_written_anew_is_found_by_a_hash_kept_elsewhere() -> None:
    rows = chained([{"m": index} for index in range(6)])
    anew = chained([{"m": 1_000 if index == 2 else index} for index in range(6)])
    assert check_rows(section(rows), iter(anew)) == anew[-1].hash
    finding = found(section(rows), anew, {5: rows[4].hash})
    assert (finding.seq, finding.problem) == (5, Problem.HEAD)


@pytest.mark.parametrize("stream_id", ["", "x", "1", "-", "9-x"])
def test_a_stream_id_that_is_none_is_an_edit(stream_id: str) -> None:
    rows = chained([{}] * 3)
    finding = found(section(rows), [rows[0], rows[1]._replace(stream_id=stream_id), rows[2]])
    assert (finding.seq, finding.problem) == (2, Problem.EDITED)
