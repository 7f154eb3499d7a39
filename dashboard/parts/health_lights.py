"""Eight lights: whether each part that the pages rest on works, in a word and with an icon. Judging is pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import streamlit as st

from dashboard.charts.health import ago, failing, silent
from dashboard.head import SILENT_AFTER
from dashboard.reading.health import HealthView
from dashboard.wording import clock_time, count, duration, plain, plural
from engine.ledger.queries.health import JobState
from engine.settings import Settings

State = Literal["works", "look", "broken", "unknown", "off"]
LAG_WORTH_A_LOOK = timedelta(seconds=30)
_WORDS: dict[State, tuple[str, str, str]] = {
    "works": ("green", "check_circle", "Works"),
    "look": ("orange", "warning", "Look at it"),
    "broken": ("red", "error", "Broken"),
    "unknown": ("gray", "help", "Not known"),
    "off": ("gray", "do_not_disturb_on", "Not set up"),
}


@dataclass(frozen=True, slots=True)
class Light:
    """One part: its state, and a note that says why or how well."""

    name: str
    state: State
    note: str


def lights(view: HealthView, settings: Settings) -> list[Light]:
    """All of them, in a fixed order."""
    jobs = {job.job: job for job in view.jobs}
    slack = settings.slack_token is not None or settings.slack_webhook_url is not None
    return [
        _database(view),
        _redis(view, jobs.get("redis")),
        _jobs(view),
        _lag(view),
        _outbox(view),
        _sender("Slack", "slack", slack, view, jobs),
        _sender("SMTP", "email", settings.smtp_url is not None, view, jobs),
        _heartbeat(view, jobs.get("heartbeat"), configured=settings.heartbeat_url is not None),
    ]


def summary(found: Sequence[Light]) -> tuple[str, State]:
    """Whether what the pages show can be trusted, in one sentence, and the worst state."""
    worse: tuple[tuple[State, str], ...] = (
        ("broken", "not working"),
        ("look", "worth a look"),
        ("unknown", "not known"),
    )
    parts = []
    for state, words in worse:
        names = [light.name for light in found if light.state == state]
        if names:
            parts.append((f"{words}: {', '.join(names)}", state))
    if not parts:
        return "Everything that is set up works.", "works"
    sentence = "; ".join(words for words, _ in parts)
    return f"{sentence[:1].upper()}{sentence[1:]}.", parts[0][1]


def show_lights(found: Sequence[Light]) -> None:
    """A card for each, and the sentence above them."""
    sentence, worst = summary(found)
    colour, icon, _ = _WORDS[worst]
    st.markdown(f":{colour}[:material/{icon}:] **{plain(sentence)}**")
    cards = st.grid(4, min_column_width=150)
    for light in found:
        colour, icon, word = _WORDS[light.state]
        with cards.container(border=True, height="stretch"):
            st.markdown(f"{plain(light.name)}  \n:{colour}[:material/{icon}: **{word}**]")
            st.caption(plain(light.note))


def _database(view: HealthView) -> Light:
    kind = "SQLite" if view.is_sqlite else "PostgreSQL"
    if view.older_tables is not None:
        return Light("Database", "look", f"{kind} answers; its tables are of version {view.older_tables}: run bursar "
                     "migrate")  # fmt: skip
    return Light("Database", "works", f"{kind} answers")


def _redis(view: HealthView, job: JobState | None) -> Light:
    reading = view.redis
    if reading is None:
        return Light("Redis", "unknown", "No worker has asked it yet")
    at = f"asked at {clock_time(reading.minute, view.now)}"
    if job is not None and failing(job):
        return Light("Redis", "broken", f"{job.shown_error}; last answered {ago(job.last_success_at, view.now)}")
    if job is None or silent(job, view.now):
        return Light("Redis", "unknown", f"No worker has asked it lately; {at}")
    if reading.maxmemory_policy.startswith("allkeys-"):
        return Light("Redis", "look", f"It may evict counters: maxmemory-policy is {reading.maxmemory_policy}")
    evicted = f", {count(reading.evicted_keys)} keys evicted" if reading.evicted_keys else ""
    return Light("Redis", "works", f"{reading.maxmemory_policy}{evicted}, {at}")


def _jobs(view: HealthView) -> Light:
    if not view.jobs:
        return Light("Jobs", "broken", "No worker has ever run: start bursar worker")
    heard = [job.last_success_at for job in view.jobs if job.last_success_at is not None]
    newest = max(heard, default=None)
    if newest is None or view.now - newest > SILENT_AFTER:
        return Light("Jobs", "broken", f"No worker runs; last heard of {ago(newest, view.now)}")
    bad = [job.job for job in view.jobs if failing(job)]
    late = [job.job for job in view.jobs if silent(job, view.now) and job.job not in bad and job.job != "heartbeat"]
    if bad or late:
        parts = [f"{', '.join(names[:3])} {word}" for names, word in ((bad, "failing"), (late, "silent")) if names]
        return Light("Jobs", "look", f"{'; '.join(parts)}, of {len(view.jobs)}")
    return Light("Jobs", "works", f"All {len(view.jobs)} succeed")


def _lag(view: HealthView) -> Light:
    if view.lag is None:
        return Light("Ledger lag", "unknown", "Nothing has been written yet")
    seen = view.waiting.seen_at if view.waiting is not None else None
    fresh = seen is not None and view.now - seen <= SILENT_AFTER
    events = view.waiting.events if view.waiting is not None and fresh else 0
    waits = f", {plural(events, 'event')} waiting" if events else ""
    refused = view.backlog.refused
    if refused:
        return Light("Ledger lag", "look", f"{plural(refused, 'event')} of an outage cannot be taken in: see Findings")
    state: State = "works" if view.lag <= LAG_WORTH_A_LOOK else "look"
    return Light("Ledger lag", state, f"{duration(view.lag)} behind{waits}")


def _outbox(view: HealthView) -> Light:
    messages = view.backlog.messages
    dead = messages.get("dead", 0)
    waiting = sum(number for state, number in messages.items() if state != "dead")
    troubled = messages.get("retry", 0) + messages.get("unknown", 0)
    note = plural(waiting, "message") + " waiting"
    if troubled:
        return Light("Outbox", "look", f"{note}, {count(troubled)} to be tried again")
    return Light("Outbox", "works", f"{note}{f', {count(dead)} given up so far' if dead else ''}")


def _sender(name: str, kind: str, configured: bool, view: HealthView, jobs: dict[str, JobState]) -> Light:
    job = jobs.get(f"deliver-{kind}")
    places = [state for state in view.channels if state.channel_type == kind]
    broken = [state for state in places if state.broken]
    if broken:
        return Light(name, "broken", f"{plural(len(broken), 'place')} takes no messages: {broken[0].broken_reason}")
    if job is not None and failing(job):
        return Light(name, "broken", f"Sending fails: {job.shown_error}")
    if not configured:
        return Light(name, "off", "Not set up for these pages; messages go to the log")
    if job is None or silent(job, view.now):
        last = None if job is None else job.last_success_at
        return Light(name, "unknown", f"The sender was last heard of {ago(last, view.now)}")
    delivered = max((state.last_delivered_at for state in places if state.last_delivered_at is not None), default=None)
    return Light(name, "works", "Nothing sent lately" if delivered is None else f"Delivered {ago(delivered, view.now)}")


def _heartbeat(view: HealthView, job: JobState | None, *, configured: bool) -> Light:
    if job is None:
        state: State = "unknown" if configured else "off"
        note = "No worker has sent one yet" if configured else "Nobody outside is told when alerting stops"
        return Light("Heartbeat", state, note)
    if failing(job):
        return Light("Heartbeat", "broken", f"{job.shown_error}; last sent {ago(job.last_success_at, view.now)}")
    if silent(job, view.now):
        word: State = "broken" if configured else "off"
        return Light("Heartbeat", word, f"Last sent {ago(job.last_success_at, view.now)}")
    return Light("Heartbeat", "works", f"Sent {ago(job.last_success_at, view.now)}")
