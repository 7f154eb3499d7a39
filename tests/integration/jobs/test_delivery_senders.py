"""Sender processes that die or compete: each message once, or marked, and no place more than one in a second."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from apscheduler.executors.pool import ThreadPoolExecutor  # type: ignore[import-untyped]
from apscheduler.schedulers.background import BackgroundScheduler  # type: ignore[import-untyped]

from engine.alerting.outbox import Receiver
from engine.clock import utc_now
from jobs.delivery.sender import LEASE, delivery_jobs
from tests.support.fake_slack import FakeSlack, Slow
from tests.support.ledger_copies import LedgerCopies
from tests.support.post_room import OPS, PostRoom

REPOSITORY = Path(__file__).resolve().parents[3]

# Arguments: the clock ("" for the real one), and when to die: before or after the message is sent, or never.
SENDER = """
import os, signal, sys, time
from datetime import datetime
from engine.clock import utc_now
from engine.ledger.database import Database
from engine.settings import read_settings
from jobs.delivery.sender import build_channels, deliver_due

at, dies = sys.argv[1:]
clock = (lambda: datetime.fromisoformat(at)) if at else utc_now
channels = build_channels(read_settings())

class Dying:
    paced = True
    def send(self, delivery):
        if dies == "after":
            channels["slack"].send(delivery)
        os.kill(os.getpid(), signal.SIGKILL)

database = Database(read_settings().ledger_url)
chosen = channels if dies == "never" else {**channels, "slack": Dying()}
print("ready", flush=True)
sys.stdin.readline()
while True:
    deliver_due(database, chosen, clock=clock)
    time.sleep(0.05)
"""


@pytest.fixture
def room(database_url: str, fake_slack: FakeSlack, ledger_copies: LedgerCopies) -> Iterator[PostRoom]:
    made = PostRoom(database_url, fake_slack, ledger_copies)
    yield made
    made.database.close()


def sender(room: PostRoom, *, at: str = "", dies: str = "never") -> subprocess.Popen[str]:
    """A process that begins to send when it is told to."""
    url = room.database.url.render_as_string(hide_password=False)
    named = {"DATABASE_URL": url, "SLACK_TOKEN": room.slack.token, "SLACK_BASE_URL": room.slack.base_url}
    process = subprocess.Popen(
        [sys.executable, "-c", SENDER, at, dies],
        cwd=REPOSITORY,
        env=os.environ | {f"BURSAR_{name}": value for name, value in named.items()},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def begin(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


@pytest.mark.parametrize(("dies", "posts"), [("before", [True]), ("after", [False, True])])
def test_a_sender_killed_around_sending_leaves_a_message_that_is_sent_again_and_says_so(
    room: PostRoom, dies: str, posts: list[bool]
) -> None:
    first = room.put()
    process = sender(room, at=room.now.isoformat(), dies=dies)
    begin(process)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert room.row(first).state == "sending"
    room.later(seconds=LEASE.total_seconds() - 1)
    assert room.deliver() == 0, "the lease still runs"
    room.later(seconds=1)
    assert room.deliver() == 1
    assert ["possible repeat" in text for text in room.posted()] == posts
    assert (room.row(first).state, room.row(first).attempts) == ("delivered", 2)


def test_three_senders_deliver_sixty_messages_once_and_never_two_to_one_place_within_a_second(room: PostRoom) -> None:
    room.now = utc_now()
    places = [Receiver(f"place-{n}", "slack", f"#place-{n}") for n in range(20)]
    for number in range(60):
        room.put(f"message {number}", to=places[number % len(places)], alert_id=room.alert())
    processes = [sender(room) for _ in range(3)]
    try:
        for process in processes:
            begin(process)
        room.slack.wait_for_requests(60, timeout=120)
        # The last answers are still being written down.
        for _ in range(200):
            if all(row.state == "delivered" for row in room.rows()):
                break
            threading.Event().wait(0.1)
        assert {row.state for row in room.rows()} == {"delivered"}
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    titles = Counter(text.split(": ")[-1] for text in room.posted())
    assert titles == Counter(f"message {number}" for number in range(60))
    assert {row.attempts for row in room.rows()} == {1}
    arrivals = defaultdict(list)
    for request in room.slack.requests:
        arrivals[request.body["channel"]].append(request.arrived_at)
    assert len(arrivals) == len(places)
    gaps = [later - earlier for times in arrivals.values() for earlier, later in pairwise(times)]
    assert len(gaps) == 40
    assert min(gaps) >= 1


def test_a_stop_waits_for_what_is_being_sent_and_leaves_nothing_half_done(room: PostRoom) -> None:
    room.now = utc_now() - timedelta(seconds=1)
    first, second = room.put(), room.put(to=Receiver("else", "slack", "#else"), alert_id=room.alert())
    room.slack.answer_next(Slow(1), Slow(1))
    scheduler = BackgroundScheduler(timezone=UTC, executors={"default": ThreadPoolExecutor(4)})
    for name, job in delivery_jobs(room.database, room.channels).items():
        scheduler.add_job(job, "interval", seconds=0.25, id=name, max_instances=1, next_run_time=utc_now())
    scheduler.start()
    room.slack.wait_for_requests(2, timeout=60)
    scheduler.shutdown()
    assert [room.row(each).state for each in (first, second)] == ["delivered", "delivered"]
    assert len(room.slack.messages) == 2


def test_what_is_queued_while_senders_run_leaves_at_the_next_look(room: PostRoom) -> None:
    process = sender(room)
    begin(process)
    try:
        room.now = utc_now()
        first = room.put(to=OPS)
        room.slack.wait_for_requests(1, timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert room.row(first).attempts == 1
