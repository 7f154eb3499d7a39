"""The jobs: whether each works, and how long its last run took. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import plotly.graph_objects as go  # type: ignore[import-untyped]

from dashboard.charts.base import Chart, escape, looks
from dashboard.palette import Palette
from dashboard.wording import duration
from engine.doctor.judging_worker import JOB_PATIENCE
from engine.ledger.queries.health import JobState

BAR_PIXELS = 21
_FEWEST_PIXELS = 140
OTHERS_PATIENCE = timedelta(hours=3)
"""Of a job that only a newer worker runs nothing is known."""


def silent(job: JobState, now: datetime) -> bool:
    """Whether a job has not succeeded for longer than several of its turns take."""
    last = job.last_success_at
    return last is None or now - last > JOB_PATIENCE.get(job.job, OTHERS_PATIENCE)


def failing(job: JobState) -> bool:
    """Whether it failed after it last succeeded."""
    bad, good = job.last_error_at, job.last_success_at
    return bad is not None and (good is None or bad > good)


def ago(instant: datetime | None, now: datetime) -> str:
    """`12 s ago`, or `never`."""
    return "never" if instant is None else f"{duration(now - instant)} ago"


def took(milliseconds: int | None) -> str:
    """`12 ms`, `1.4 s`, `3 min`; a dash for a job that never ends."""
    if milliseconds is None:
        return "–"
    if milliseconds < 1_000:
        return f"{milliseconds} ms"
    return f"{milliseconds / 1_000:.1f} s" if milliseconds < 120_000 else duration(timedelta(milliseconds=milliseconds))


def job_rows(jobs: Sequence[JobState], now: datetime) -> Iterator[dict[str, str]]:
    """The jobs for a table."""
    for job in jobs:
        yield {
            "Job": job.job,
            "State": "failing" if failing(job) else "silent" if silent(job, now) else "works",
            "Last success": ago(job.last_success_at, now),
            "Last run took": took(job.last_duration_ms),
            "Last error": job.shown_error or "–",
        }


def job_durations(jobs: Sequence[JobState], now: datetime, palette: Palette) -> Chart:
    """How long each job's last good run took; where no job has said, how long ago each last succeeded."""
    rows = list(job_rows(jobs, now))
    timed = sorted((job for job in jobs if job.last_duration_ms is not None), key=lambda job: job.last_duration_ms or 0)
    if not timed:
        return _ages(jobs, now, rows, palette)
    slowest = timed[-1]
    title = f"The slowest job is {slowest.job}: its last run took {took(slowest.last_duration_ms)}"
    figure = _bars(
        [job.job for job in timed],
        [(job.last_duration_ms or 0) / 1_000 for job in timed],
        [took(job.last_duration_ms) for job in timed],
        palette,
    )
    return Chart(figure, title, f"{title}. {len(timed)} jobs, longest run first.", rows)


def durations_note(jobs: Sequence[JobState]) -> str:
    """What the bars of `job_durations` are."""
    if any(job.last_duration_ms is not None for job in jobs):
        return "Seconds that the last good run of each job took. The ledger writer never ends and has no bar."
    return "Seconds since each job last succeeded: no job has said yet how long its runs take."


def _ages(jobs: Sequence[JobState], now: datetime, rows: list[dict[str, str]], palette: Palette) -> Chart:
    heard = sorted(
        ((job.job, now - job.last_success_at) for job in jobs if job.last_success_at is not None),
        key=lambda pair: pair[1],
    )
    title = f"{heard[-1][0]} has been quiet longest: {duration(heard[-1][1])}" if heard else "No job has succeeded yet"
    figure = _bars(
        [name for name, _ in heard],
        [max(age.total_seconds(), 0) for _, age in heard],
        [duration(age) for _, age in heard],
        palette,
    )
    return Chart(figure, title, f"{title}. Seconds since each job last succeeded.", rows)


def _bars(names: list[str], seconds: list[float], words: list[str], palette: Palette) -> go.Figure:
    figure = go.Figure()
    figure.add_bar(
        y=[escape(name) for name in names],
        x=seconds,
        orientation="h",
        text=words,
        textposition="outside",
        cliponaxis=False,
        hovertext=[f"{escape(name)}: {word}" for name, word in zip(names, words, strict=True)],
        hoverinfo="text",
        marker={"color": palette.series[0], "line": {"width": 0}},
        showlegend=False,
    )
    figure.update_layout(height=max(_FEWEST_PIXELS, 60 + BAR_PIXELS * len(names)), bargap=0.35)
    looks(figure, palette)
    # Room for the words beside the longest bar.
    figure.update_xaxes(
        range=[0, max([*seconds, 0.001]) * 1.2], ticksuffix=" s", gridcolor=palette.grid, zeroline=False,
        fixedrange=True, nticks=5,
    )  # fmt: skip
    figure.update_yaxes(fixedrange=True, ticksuffix="  ")
    return figure
