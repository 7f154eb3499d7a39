"""What the replay command takes for a pace, and how it reports bad rows."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from bursar.replay import MOST_BAD_ROWS_SHOWN, _BadRows, _speed
from engine.errors import InvalidValue
from engine.replay.traces import BadRow


@pytest.mark.parametrize(("text", "speed"), [("max", None), ("1", 1.0), ("0.5", 0.5), ("1e3", 1000.0)])
def test_a_pace_is_a_number_above_nought_or_max(text: str, speed: float | None) -> None:
    assert _speed(text) == speed


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "1e9", "", "fast", "MAX"])
def test_any_other_pace_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidValue, match=r"^--speed: must be a number above 0 or max"):
        _speed(text)


def test_only_the_first_bad_rows_are_shown_and_the_rest_are_counted() -> None:
    out = io.StringIO()
    rows = _BadRows(Console(file=out, width=200))
    for line in range(2, 2 + MOST_BAD_ROWS_SHOWN + 1500):
        rows.show(BadRow(line, "has [red]2[/red] columns"))
    rows.finish()
    said = out.getvalue().splitlines()
    assert len(said) == MOST_BAD_ROWS_SHOWN + 1
    assert said[0] == "line 2: has [red]2[/red] columns; skipped"
    assert said[-1] == "and 1,500 more bad rows, skipped"
