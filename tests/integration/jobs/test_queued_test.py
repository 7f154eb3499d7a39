"""A test message that a page queues goes the way of all messages, and mends a channel that was noted as broken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from engine.alerting.channel_test import TITLE, queue_test
from engine.alerting.lane_rows import break_lane
from engine.errors import InvalidValue
from engine.ledger.audit import audit_entries
from engine.ledger.queries.channels import last_tests
from tests.support.fake_slack import FakeSlack
from tests.support.ledger_copies import LedgerCopies
from tests.support.post_room import OPS, ORG, PostRoom


@pytest.fixture
def room(database_url: str, fake_slack: FakeSlack, ledger_copies: LedgerCopies) -> Iterator[PostRoom]:
    made = PostRoom(database_url, fake_slack, ledger_copies)
    made.publish()
    yield made
    made.database.close()


def _queue(room: PostRoom, name: str = "ops") -> str:
    return queue_test(
        room.database, ORG, name, author="ann", now=room.now, dashboard_url="https://bursar.example.com"
    )  # fmt: skip


def test_it_arrives_and_says_so(room: PostRoom) -> None:
    _queue(room)
    room.deliver_all(3)
    assert [TITLE in text for text in room.posted()] == [True]
    with room.database.read() as connection:
        [told] = last_tests(connection, ORG, room.now)
        [entry] = audit_entries(connection, ORG, action="channel.test")
    assert (told.channel, told.state, told.by) == ("ops", "delivered", "slack")
    assert (entry.author, entry.subject) == ("ann", "ops")


def test_it_finds_out_whether_a_broken_channel_was_mended(room: PostRoom) -> None:
    with room.database.write() as connection:
        break_lane(connection, OPS.kind, OPS.target, "channel_not_found", room.now)
    room.later(minutes=1)
    _queue(room)
    room.deliver_all(3)
    assert len(room.posted()) == 1
    assert room.lane(replace(OPS, mention=None)).broken_since is None


def test_the_newest_test_of_a_channel_is_the_one_that_is_told(room: PostRoom) -> None:
    _queue(room)
    room.later(minutes=5)
    _queue(room)
    with room.database.read() as connection:
        [told] = last_tests(connection, ORG, room.now)
    assert told.created_at == room.now


def test_an_unknown_channel_is_refused_with_those_there_are(room: PostRoom) -> None:
    with pytest.raises(InvalidValue, match=r"must be one of alerts\.channels: leads, ops, spare"):
        _queue(room, "nobody")
    with room.database.read() as connection:
        assert last_tests(connection, ORG, room.now) == []
        assert audit_entries(connection, ORG) == []
