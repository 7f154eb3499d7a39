"""A watch outside hears from us while rules are evaluated, and not when they are not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from engine.alerting.heartbeats import record_success
from engine.errors import InvalidValue
from engine.settings import Settings
from jobs.heartbeat import HeartbeatNotSent, ping_watch
from jobs.schedule import build_scheduler
from tests.support.fake_webhook import Drops, FakeWebhook, Says

if TYPE_CHECKING:
    from tests.integration.jobs.conftest import Office


@pytest.fixture
def watch() -> Iterator[FakeWebhook]:
    with FakeWebhook() as found:
        yield found


def evaluated(office: Office) -> None:
    with office.database.write() as connection:
        record_success(connection, "evaluate", office.now)


def test_the_watch_is_told_while_rules_are_evaluated(office: Office, watch: FakeWebhook) -> None:
    with pytest.raises(HeartbeatNotSent, match="not being evaluated"):
        ping_watch(office.database, watch.url, office.now)
    evaluated(office)
    office.later(minutes=2)
    ping_watch(office.database, watch.url, office.now)
    assert len(watch.received) == 1
    office.later(seconds=1)
    with pytest.raises(HeartbeatNotSent, match="not being evaluated"):
        ping_watch(office.database, watch.url, office.now)
    assert len(watch.received) == 1


@pytest.mark.parametrize(("twist", "words"), [(Says(500), "answered 500"), (Drops(), "did not answer")])
def test_a_watch_that_does_not_hear_is_said(office: Office, watch: FakeWebhook, twist: object, words: str) -> None:
    evaluated(office)
    watch.script.append(twist)  # type: ignore[arg-type]  # the parameters are twists
    with pytest.raises(HeartbeatNotSent, match=words):
        ping_watch(office.database, watch.url, office.now)


def test_the_worker_tells_it(office: Office, watch: FakeWebhook) -> None:
    evaluated(office)
    settings = Settings(heartbeat_url=SecretStr(watch.url))
    scheduler = build_scheduler(office.database, settings, clock=office.clock)
    scheduler.start()
    try:
        deadline = time.monotonic() + 20
        while not watch.received:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        scheduler.shutdown()


def test_an_address_that_cannot_be_is_refused_by_the_settings_name(office: Office) -> None:
    settings = Settings(heartbeat_url=SecretStr("http://elsewhere.example.com/ping"))
    with pytest.raises(InvalidValue, match="BURSAR_HEARTBEAT_URL: the address is not https"):
        build_scheduler(office.database, settings)
