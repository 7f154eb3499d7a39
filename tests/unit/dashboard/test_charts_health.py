from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dashboard.charts.health import durations_note, job_durations
from dashboard.palette import palette_for
from engine.ledger.queries.health import JobState

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
JOBS = [
    JobState("evaluate", NOW - timedelta(seconds=3), None, None, 21),
    JobState("ledger", NOW, None, None, None),
    JobState("redis", NOW - timedelta(hours=1), NOW, "TimeoutError: no answer", 250),
    JobState("variance", NOW - timedelta(minutes=1), None, None, 1_400),
]


@pytest.mark.parametrize("appearance", ["light", "dark"])
def test_the_slowest_job_is_the_title_and_the_topmost_bar(appearance: str) -> None:
    chart = job_durations(JOBS, NOW, palette_for(appearance))
    assert chart.title == "The slowest job is variance: its last run took 1.4 s"
    [bars] = chart.figure.data
    assert list(zip(bars.y, bars.x, strict=True)) == [("evaluate", 0.021), ("redis", 0.25), ("variance", 1.4)]
    assert chart.figure.layout.xaxis.range[0] == 0
    assert bars.marker.color == palette_for(appearance).series[0]


def test_the_table_has_every_job_with_its_state_and_error() -> None:
    rows = {row["Job"]: row for row in job_durations(JOBS, NOW, palette_for("light")).rows}
    assert {job: row["State"] for job, row in rows.items()} == {
        "evaluate": "works", "ledger": "works", "redis": "failing", "variance": "works",
    }  # fmt: skip
    assert rows["redis"]["Last error"] == "TimeoutError: no answer"
    assert rows["ledger"]["Last run took"] == "–"


def test_without_durations_the_ages_of_the_last_successes_are_shown() -> None:
    jobs = [JobState("evaluate", NOW - timedelta(seconds=5), None, None), JobState("redis", NOW, None, None)]
    chart = job_durations(jobs, NOW, palette_for("light"))
    assert chart.title == "evaluate has been quiet longest: 5 s"
    assert list(chart.figure.data[0].x) == [0, 5]
    assert "since each job last succeeded" in durations_note(jobs)
    assert "run of each job took" in durations_note(JOBS)


def test_a_job_that_never_succeeded_is_silent() -> None:
    [row] = job_durations([JobState("redis", None, None, None)], NOW, palette_for("light")).rows
    assert (row["State"], row["Last success"]) == ("silent", "never")
