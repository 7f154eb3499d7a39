"""The Settings & health page: lights and jobs against the rows, each tab, who may do what, and no secret anywhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
import streamlit as st
from pydantic import SecretStr
from sqlalchemy import insert, select
from streamlit.testing.v1 import AppTest

from engine.document.load import parse_document
from engine.document.store import live_version, publish_document
from engine.ledger.audit import AuditEntry, record_audit
from engine.ledger.database import Database
from engine.ledger.tables import audit_log, heartbeats, lanes, outbox, redis_readings
from engine.settings import Settings
from tests.support.app_pages import open_page, text_of, with_tables
from tests.support.ledger_rows import SeededLedger, seed_empty_organization, seed_ledger

TABS = ("Channels", "Document", "Roles", "Settings", "Findings", "Audit log")
LIGHTS = ("Database", "Redis", "Jobs", "Ledger lag", "Outbox", "Slack", "SMTP", "Heartbeat")
HOOK = "https://hooks.example.com/CANARY-hook"
DOCUMENT: dict[str, Any] = {
    "organization": "acme",
    "budgets": [{"id": "org", "per": "org", "monthly_budget_usd": 500}],
    "access": {"roles": {"ann@example.com": "admin", "bob@example.com": "operator"}},
    "alerts": {
        "channels": {"ops": {"slack": "#agent-ops"}, "team": {"slack": "#team-leads"}, "hook": {"webhook": HOOK}}
    },
}
AUDITED = 60


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeededLedger]:
    """A small ledger with two document versions, an audit log of several pages, a broken place."""
    folder = tmp_path_factory.mktemp("health")
    url = f"sqlite:///{folder / 'ledger.db'}"
    database = Database(url)
    seeded = seed_ledger(database, now=datetime.now(UTC), days=2, per_day=10)
    publish_document(database, parse_document(DOCUMENT, "test"), author="ann", reason="first")
    raised = DOCUMENT | {"budgets": [{"id": "org", "per": "org", "monthly_budget_usd": 900}]}
    publish_document(database, parse_document(raised, "test"), author="bob", reason="more room")
    now = seeded.now
    with database.write() as connection:
        connection.execute(
            insert(redis_readings).values(minute=now.replace(second=0, microsecond=0), evicted_keys=0,
                                          maxmemory_policy="noeviction")
        )  # fmt: skip
        connection.execute(
            insert(heartbeats),
            [
                {"job": "redis", "last_success_at": now, "last_duration_ms": 12, "last_error": None},
                {"job": "variance", "last_success_at": now, "last_duration_ms": 1_400, "last_error": None},
            ],
        )
        connection.execute(
            insert(lanes).values(channel_type="slack", target="#team-leads", broken_since=now, whole_kind=False,
                                 broken_reason="channel_not_found", last_started_at=now)
        )  # fmt: skip
        for number in range(AUDITED):
            action = "price.set" if number % 3 else "silence.add"
            entry = AuditEntry(now - timedelta(minutes=number), "ann", action, f"thing {number}", "because", {})
            record_audit(connection, "acme", entry)
    database.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BURSAR_DATABASE_URL", url)
        patch.setenv("BURSAR_STATE_DIR", str(folder / "state"))
        yield seeded
    st.cache_data.clear()
    st.cache_resource.clear()


def _table(app: AppTest, column: str) -> Any:
    return next(frame.value for frame in app.dataframe if column in frame.value.columns)


def _lights(app: AppTest) -> dict[str, str]:
    """Name -> word of each light."""
    found = {}
    for block in app.markdown:
        name, _, rest = str(block.value).replace("\\", "").partition("  \n")
        if name in LIGHTS:
            found[name] = rest.split("**")[1]
    return found


def test_eight_lights_say_what_the_rows_say(ledger: SeededLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURSAR_SLACK_TOKEN", "xoxb-test")
    app = open_page("health")
    assert not app.exception
    assert _lights(app) == {
        "Database": "Works",
        "Redis": "Works",
        "Jobs": "Works",
        "Ledger lag": "Works",
        # One message is to be tried again, one was given up.
        "Outbox": "Look at it",
        "Slack": "Broken",
        "SMTP": "Not set up",
        "Heartbeat": "Not set up",
    }
    waiting = [row for row in ledger.outbox if row["state"] not in ("delivered", "dead")]
    text = text_of(app)
    assert f"{len(waiting)} messages waiting, 1 to be tried again" in text
    assert "Not working: Slack; worth a look: Outbox." in text
    assert "The slowest job is variance: its last run took 1.4 s" in text
    app = with_tables(app)
    took = dict(zip(_table(app, "Job")["Job"], _table(app, "Job")["Last run took"], strict=True))
    assert (took["redis"], took["variance"], took["ledger"]) == ("12 ms", "1.4 s", "–")


def test_channels_tell_their_state_and_hide_the_rest_of_a_web_address(ledger: SeededLedger) -> None:
    table = _table(open_page("health"), "Channel").set_index("Channel")
    assert table.loc["team", "State"] == "Broken: channel_not_found"
    assert table.loc["hook", "Goes to"] == "https://hooks.example.com"
    assert table.loc["ops", "Goes to"] == "#agent-ops"


def test_a_link_to_a_version_opens_what_it_changed(ledger: SeededLedger) -> None:
    app = open_page("health", tab="Document", version="2")
    assert list(_table(app, "Version")["Reason"]) == ["more room", "first"]
    text = text_of(app)
    assert "1 difference from version 1 to version 2." in text
    assert "500" in text
    assert "900" in text
    assert "CANARY" not in text_of(open_page("health", tab="Document", version="1", against="0"))


def test_a_viewer_sees_health_and_neither_settings_nor_audit_log(
    ledger: SeededLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BURSAR_LOCAL_ROLE", "viewer")
    for tab, needed in (("Settings", "admin"), ("Audit log", "admin"), ("Findings", "operator")):
        app = open_page("health", tab=tab)
        assert not app.exception
        assert set(_lights(app)) == set(LIGHTS)
        assert f"needs the role {needed}; you have viewer" in text_of(app)
        assert not [frame for frame in app.dataframe if "Variable" in frame.value or "Action" in frame.value]
    app = open_page("health", tab="Roles")
    assert list(_table(app, "Person")["Person"]) == ["ann@example.com"]
    app = open_page("health")
    app = app.button(key="send_test_submit").click().run()
    assert "needs the role admin" in text_of(app)
    assert not _tests()


def test_an_admin_sees_who_has_which_role(ledger: SeededLedger) -> None:
    app = open_page("health", tab="Roles")
    assert list(_table(app, "Person")["Role"]) == ["admin", "operator"]
    assert "Sign-in is not configured" in text_of(app)


def test_the_audit_log_is_newest_first_in_pages_and_by_action(ledger: SeededLedger) -> None:
    app = open_page("health", tab="Audit log", action="silence.add")
    assert set(_table(app, "No.")["Action"]) == {"silence.add"}
    assert len(_table(app, "No.")) == AUDITED // 3
    app = open_page("health", tab="Audit log")
    numbers = list(_table(app, "No.")["No."])
    assert numbers == sorted(numbers, reverse=True)
    app = app.button(key="audit_older").click().run()
    assert _table(app, "No.")["No."].iloc[0] == numbers[-1] - 1


def test_findings_are_those_of_the_doctor(ledger: SeededLedger) -> None:
    text = text_of(open_page("health", tab="Findings"))
    assert ":material/build:" in text
    assert "bursar doctor" in text


# Those of sign-in need a sign-in; a test of the function that hides them has them all.
SECRETS = [
    name
    for name, field in Settings.model_fields.items()
    if SecretStr in get_args(field.annotation) and not name.startswith("oidc_")
]


def test_no_secret_is_anywhere_on_the_page(ledger: SeededLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(SECRETS) >= 7
    for name in SECRETS:
        monkeypatch.setenv(f"BURSAR_{name.upper()}", f"https://CANARY-{name}-0123456789abcdef0123456789.example.com/x")
    monkeypatch.setenv("BURSAR_REDIS_URL", "redis://user:CANARY-password@127.0.0.1:1/0?token=CANARY-option")
    for tab in TABS:
        app = open_page("health", tab=tab)
        assert not app.exception
        everything = _everything(app)
        assert "Settings & health" in everything
        assert "CANARY" not in everything, tab
    settings = _table(open_page("health", tab="Settings"), "Variable").set_index("Variable")["Value"]
    assert settings["BURSAR_SMTP_URL"] == "set, hidden"
    assert settings["BURSAR_REDIS_URL"] == "redis://user:***@127.0.0.1:1/0?***"


def _everything(app: AppTest) -> str:
    parts: list[str] = []

    def walk(node: Any) -> None:
        proto = getattr(node, "proto", None)
        if proto is not None:
            parts.append(str(proto))
        for child in getattr(node, "children", {}).values():
            walk(child)

    walk(app._tree)
    parts += [frame.value.to_csv() for frame in app.dataframe]
    return "\n".join(parts)


@pytest.fixture
def own_ledger(ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """For tests that change something."""
    monkeypatch.setenv("BURSAR_STATE_DIR", str(tmp_path / "state"))
    database = Database(ledger_url)
    seed_empty_organization(database, now=datetime.now(UTC))
    for limit in (500, 900):
        content = DOCUMENT | {"budgets": [{"id": "org", "per": "org", "monthly_budget_usd": limit}]}
        publish_document(database, parse_document(content, "test"), author="ann", reason=f"{limit}")
    yield database
    database.close()


def test_a_test_message_is_queued_audited_and_its_state_shown(own_ledger: Database) -> None:
    app = open_page("health")
    app.selectbox(key="test_channel").set_value("ops")
    app = app.button(key="send_test_submit").click().run()
    assert "A test message for ops is queued" in text_of(app)
    [row] = _tests()
    assert (row.channel, row.channel_type, row.target, row.state) == ("ops", "slack", "#agent-ops", "queued")
    assert row.message["title"] == "Test message from Bursar"
    [entry] = _audited("channel.test")
    assert entry.subject == "ops"
    assert _table(app, "Channel").set_index("Channel").loc["ops", "Last test"].startswith("waiting for the worker, ")


def test_a_rollback_makes_a_new_version_with_its_audit_entry(own_ledger: Database) -> None:
    app = open_page("health", tab="Document")
    app.text_input(key="rollback_reason").input("900 was too much")
    app = app.button(key="rollback_submit").click().run()
    assert "Version 3 has the content of version 1." in text_of(app)
    with own_ledger.read() as connection:
        assert live_version(connection, "acme") == 3
    [entry] = _audited("document.rollback")
    assert (entry.reason, entry.subject) == ("900 was too much", "version 3")
    assert {"content_of": 1, "replaced": 2, "version": 3}.items() <= entry.details.items()


def test_a_version_that_nobody_here_has_seen_is_not_rolled_back(own_ledger: Database) -> None:
    app = open_page("health", tab="Document")
    content = DOCUMENT | {"budgets": [{"id": "org", "per": "org", "monthly_budget_usd": 700}]}
    publish_document(own_ledger, parse_document(content, "test"), author="ben", reason="meanwhile")
    st.cache_data.clear()
    app.text_input(key="rollback_reason").input("900 was too much")
    app = app.button(key="rollback_submit").click().run()
    assert "Version 3 has become live meanwhile" in text_of(app)
    assert _audited("document.rollback") == []
    app = app.button(key="rollback_submit").click().run()
    assert "Version 4 has the content of version" in text_of(app)


def test_an_engineer_cannot_roll_back(own_ledger: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURSAR_LOCAL_ROLE", "engineer")
    app = open_page("health", tab="Document")
    app.text_input(key="rollback_reason").input("please")
    app = app.button(key="rollback_submit").click().run()
    assert "needs the role admin" in text_of(app)
    with own_ledger.read() as connection:
        assert live_version(connection, "acme") == 2


def test_a_silent_worker_and_no_database_are_said(
    ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(ledger_url)
    seed_ledger(database, now=datetime.now(UTC), days=1, per_day=4, silent_for=timedelta(minutes=20))
    database.close()
    app = open_page("health")
    assert _lights(app)["Jobs"] == "Broken"
    assert _lights(app)["Redis"] == "Not known"
    assert "No worker runs; last heard of 20 min ago" in text_of(app)
    assert "has no channel yet" in text_of(app)
    monkeypatch.setenv("BURSAR_DATABASE_URL", f"sqlite:///{tmp_path / 'none' / 'ledger.db'}")
    app = open_page("health")
    assert not app.exception
    assert "Reference" in text_of(app)


def _tests() -> list[Any]:
    with Database(os.environ["BURSAR_DATABASE_URL"]).read() as connection:
        return list(connection.execute(select(outbox).where(outbox.c.dedupe_key.startswith("test|"))))


def _audited(action: str) -> list[Any]:
    with Database(os.environ["BURSAR_DATABASE_URL"]).read() as connection:
        return list(connection.execute(select(audit_log).where(audit_log.c.action == action)))
