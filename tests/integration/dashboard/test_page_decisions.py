"""The Decisions page: its list and filters against the rows, one decision explained and proved, the export."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update
from streamlit.testing.v1 import AppTest

from dashboard.parts import decisions_export
from dashboard.wording import money, reason_label
from engine.document.load import parse_document
from engine.document.store import publish_document
from engine.ledger.database import Database
from engine.ledger.tables import alerts, audit_log, crossings, events
from engine.money import format_usd
from tests.support.app_pages import open_page, pages_of, text_of
from tests.support.ledger_rows import Row, SeededLedger, seed_empty_organization, seed_ledger

DOCUMENT = {
    "organization": "acme",
    "agents": {"copilot_hr": {"provider": "copilot_studio", "team": "team-hr", "environment": "production"}},
    "policies": [
        {"policy_id": "block_dev", "effect": "deny", "priority": 1, "conditions": [{"environments": ["development"]}]},
        {"policy_id": "office", "effect": "allow", "priority": 60, "conditions": [{"environments": ["production"]}]},
    ],
}


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeededLedger]:
    """Ten days of a small company."""
    url = f"sqlite:///{tmp_path_factory.mktemp('decisions') / 'ledger.db'}"
    database = Database(url)
    seeded = seed_ledger(database, now=datetime.now(UTC), days=10, per_day=40)
    # Decisions name version 3.
    for number in range(3):
        publish_document(
            database, parse_document({**DOCUMENT, "timezone": ("UTC", "Europe/Paris", "Asia/Tokyo")[number]}, "test"),
            author="test", reason="test",
        )  # fmt: skip
    _set_off_an_alert(database, _settled(seeded))
    database.close()
    with pages_of(url):
        yield seeded


def _settled(ledger: SeededLedger) -> Row:
    return next(row for row in ledger.decisions if row["state"] == "settled")


def _set_off_an_alert(database: Database, row: Row) -> None:
    """As the ledger writer and the rules leave it when a settle fills a budget."""
    counter = {name: row["tests"]["counters"][0][name] for name in ("budget_id", "scope", "period", "period_label")}
    about = {"org_id": "acme", "severity": "warning", "state": "firing", "episode": 1, "labels": {}, "life": {}}
    with database.write() as connection:
        connection.execute(
            insert(crossings).values(
                org_id="acme", **counter, threshold=8000, at=row["closed_at"], written_at=row["closed_at"],
                spent_micros=1,
            )
        )  # fmt: skip
        for threshold, key in (("0.80", "crossed"), ("0.90", "not-crossed")):
            connection.execute(
                insert(alerts).values(
                    **about, alert_id=key, alert_key=key, dedupe_key=key, rule_id=f"r-{key}", title=f"Alert {key}",
                    facts={**counter, "threshold": threshold}, fired_at=row["closed_at"] + timedelta(seconds=1),
                )
            )  # fmt: skip


def _newest(ledger: SeededLedger, **wanted: str) -> list[Row]:
    rows = [row for row in ledger.decisions if all(row[name] == value for name, value in wanted.items())]
    return sorted(rows, key=lambda row: (row["at"], row["decision_id"]), reverse=True)


def _shown(app: AppTest) -> list[tuple[str, ...]]:
    table = next(frame for frame in app.dataframe if "Spent" in frame.value.columns).value
    names = ("Time (UTC)", "Outcome", "Reason", "Agent", "Estimate", "Spent")
    return list(zip(*(table[name] for name in names), strict=True))


def _line(row: Row) -> tuple[str, ...]:
    spent = money(row["spent_micros"]) if row["state"] in ("settled", "expired") else "–"
    reason = "–" if row["outcome"] == "allowed" else reason_label(row["reason"])
    return f"{row['at']:%d %b %H:%M:%S}", row["outcome"], reason, row["agent_id"], money(row["estimate_micros"]), spent


def test_every_line_and_number_is_that_of_the_rows(ledger: SeededLedger) -> None:
    app = open_page("decisions")
    assert not app.exception
    assert _shown(app) == [_line(row) for row in _newest(ledger)[:50]]


@pytest.mark.parametrize(
    ("parameters", "columns"),
    [
        ({"outcome": "denied", "reason": "policy_deny"}, {"outcome": "denied", "reason": "policy_deny"}),
        ({"team": "team-hr", "environment": "production"}, {"team_id": "team-hr", "environment": "production"}),
        ({"provider": "azure_openai", "model": "gpt-4o", "user": "user-003"},
         {"provider": "azure_openai", "model": "gpt-4o", "user_id": "user-003"}),
    ],
)  # fmt: skip
def test_every_filter_of_a_link_is_applied_and_shown(
    ledger: SeededLedger, parameters: dict[str, str], columns: dict[str, str]
) -> None:
    app = open_page("decisions", **parameters)
    rows = _newest(ledger, **columns)
    # Of rare matches a page may be shorter, and has an older one.
    seen = _shown(app)
    assert seen == [_line(row) for row in rows[: len(seen)]]
    assert seen
    widgets = {element.key: element.value for element in (*app.selectbox, *app.text_input)}
    assert {name: widgets[name] for name in parameters} == parameters


@pytest.mark.parametrize("name", ["team", "model", "agent", "user", "policy"])
def test_a_filter_that_cannot_be_a_name_matches_nothing(ledger: SeededLedger, name: str) -> None:
    app = open_page("decisions", **{name: "x" * 3000 + "\x00"})
    assert not app.exception
    assert "No decision matches these filters" in text_of(app)
    assert not [frame for frame in app.dataframe if "Spent" in frame.value.columns]
    assert "Clear filters" in [button.label for button in app.button]


def test_a_span_of_time_in_the_address_is_in_both_inputs_and_applied(ledger: SeededLedger) -> None:
    end = ledger.now.replace(minute=0, second=0, microsecond=0) - timedelta(days=2)
    start = end - timedelta(days=1)
    app = open_page("decisions", **{"from": start.isoformat(), "to": end.isoformat()})
    inputs = {element.key: element.value for element in app.datetime_input}
    assert inputs == {"from_at": start.replace(tzinfo=None), "to_at": end.replace(tzinfo=None)}
    assert _shown(app) == [_line(row) for row in _newest(ledger) if start <= row["at"] < end][:50]


def test_choosing_a_reason_puts_its_code_into_the_address_and_begins_at_the_newest(ledger: SeededLedger) -> None:
    app = open_page("decisions", before=f"{int(ledger.now.timestamp() * 1e6) - 86_400_000_000}.0")
    app = app.selectbox(key="reason").set_value("rate_per_minute").run()
    assert app.query_params["reason"] == "rate_per_minute"
    assert "before" not in app.query_params
    assert _shown(app) == [_line(row) for row in _newest(ledger, reason="rate_per_minute")[: len(_shown(app))]]


def test_back_closes_the_decision_and_keeps_the_filters(ledger: SeededLedger) -> None:
    row = _newest(ledger, reason="policy_deny")[0]
    app = open_page("decisions", reason="policy_deny", outcome="denied", decision=row["decision_id"])
    assert "block_dev" in text_of(app)
    app = app.button(key="back").click().run()
    assert "decision" not in app.query_params
    assert (app.selectbox(key="reason").value, app.selectbox(key="outcome").value) == ("policy_deny", "denied")
    assert app.query_params["reason"] == "policy_deny"


def test_a_settled_decision_tells_its_money_its_alert_and_its_proof(ledger: SeededLedger) -> None:
    row = _settled(ledger)
    app = open_page("decisions", decision=row["decision_id"])
    assert not app.exception
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown == {
        "Estimate": format_usd(row["estimate_micros"]),
        "Hold": format_usd(row["reserve_micros"]),
        "Settlement": format_usd(row["actual_micros"]),
    }
    text = text_of(app)
    assert f"→ settled {format_usd(row['actual_micros'])} after 20 s" in text
    assert "Proved: 2 hashes recomputed just now" in text
    links = [link.proto.label for link in app.get("page_link")]
    assert "It set off an alert: Alert crossed" in links
    assert "It set off an alert: Alert not\\-crossed" not in links
    assert "What document version 3 changed" in links
    around = next(frame for frame in app.dataframe if "When (UTC)" in frame.value.columns).value
    of_agent = sorted(_newest(ledger, agent_id=row["agent_id"]), key=lambda each: (each["at"], each["decision_id"]))
    place = of_agent.index(row)
    expected = [*of_agent[max(place - 5, 0) : place], *of_agent[place + 1 : place + 6]]
    assert list(around["When (UTC)"]) == [f"{each['at']:%d %b %H:%M:%S}" for each in reversed(expected)]


@pytest.mark.parametrize(
    ("reason", "cure"),
    [
        ("budget_daily_cost", "- Raise daily budget 'copilots' of"),
        ("rate_per_minute", "- Wait until 'each-user' of 'user-001' has room in its minute, at most 60 s."),
    ],
)
def test_a_denied_decision_says_what_would_have_made_it_allowed(ledger: SeededLedger, reason: str, cure: str) -> None:
    row = _newest(ledger, reason=reason)[0]
    text = text_of(open_page("decisions", decision=row["decision_id"]))
    assert "What would have made it allowed" in text
    assert cure in text
    if reason == "budget_daily_cost":
        # Seeded as 40,000 micro-dollars too many.
        assert "by $0.04." in text


def test_policies_of_then_explain_a_denial_condition_by_condition(ledger: SeededLedger) -> None:
    row = next(row for row in _newest(ledger, reason="policy_deny") if row["environment"] == "development")
    app = open_page("decisions", decision=row["decision_id"])
    lines = [line for line in text_of(app).splitlines() if "asks for" in line]
    assert ["applies" in line and "does not" not in line for line in lines] == [True, False]
    assert "**block_dev** asks for environment=development; the call brought environment=development" in lines[0]
    assert "**office** asks for environment=production; the call brought environment=development" in lines[1]
    assert "Policy 'block_dev' denies environment=development: change the call or the policy." in text_of(app)


def test_an_event_that_was_changed_is_not_proved(ledger_url: str) -> None:
    database = Database(ledger_url)
    seeded = seed_ledger(database, now=datetime.now(UTC), days=2, per_day=20)
    row = _settled(seeded)
    with database.write() as connection:
        connection.execute(
            update(events).where(events.c.decision_id == row["decision_id"], events.c.kind == "settle")
            .values(payload={"state": "settled", "spent_micros": 1})
        )  # fmt: skip
    database.close()
    app = open_page("decisions", decision=row["decision_id"])
    assert [box.value for box in app.error if "does not have the hash of its content" in box.value]
    assert "Proved" not in text_of(app)


def test_the_export_has_the_filtered_rows_and_is_audited_with_its_reason(ledger: SeededLedger) -> None:
    app = open_page("decisions", reason="rate_per_minute")
    app.text_input(key="export_reason").input("audit of October")
    app = app.button(key="export_submit").click().run()
    assert "The file is ready" in text_of(app)
    made = app.session_state["decisions_file"]
    rows = list(csv.DictReader(StringIO(made.data.decode())))
    assert [row["decision_id"] for row in rows] == [
        row["decision_id"] for row in reversed(_newest(ledger, reason="rate_per_minute"))
    ]
    with Database(_url()).read() as connection:
        entry = connection.execute(select(audit_log).where(audit_log.c.reason == "audit of October")).one()
    assert (entry.reason, entry.subject) == ("audit of October", made.name)
    assert entry.details["rows"] == len(rows)
    assert entry.details["reason"] == "rate_per_minute"
    # What is offered is what is seen.
    app = app.selectbox(key="reason").set_value(None).run()
    assert "decisions_file" not in app.session_state


def test_a_file_that_would_be_too_long_is_cut_and_says_so(
    ledger: SeededLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decisions_export, "MOST_ROWS", 5)
    app = open_page("decisions", team="team-hr")
    app.text_input(key="export_reason").input("a sample")
    app = app.button(key="export_submit").click().run()
    assert "More decisions match: the file has the oldest 5." in text_of(app)
    rows = list(csv.DictReader(StringIO(app.session_state["decisions_file"].data.decode())))
    oldest = list(reversed(_newest(ledger, team_id="team-hr")))[:5]
    assert [row["decision_id"] for row in rows] == [row["decision_id"] for row in oldest]
    with Database(_url()).read() as connection:
        entries = connection.execute(select(audit_log).where(audit_log.c.reason == "a sample")).one()
    assert (entries.details["rows"], entries.details["cut"]) == (5, True)


def test_an_export_without_a_reason_makes_nothing(ledger: SeededLedger) -> None:
    app = open_page("decisions", reason="budget_daily_cost")
    app = app.button(key="export_submit").click().run()
    assert [box.value for box in app.error if "say why" in box.value]
    assert "decisions_file" not in app.session_state


def test_a_viewer_may_look_and_not_export(ledger: SeededLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURSAR_LOCAL_ROLE", "viewer")
    app = open_page("decisions", outcome="denied")
    assert not app.exception
    assert _shown(app)
    app.text_input(key="export_reason").input("curious")
    app = app.button(key="export_submit").click().run()
    # The form of a button that is disabled in the browser refuses, too.
    assert [box.value for box in app.error if "needs the role engineer" in box.value.replace("\\", "")]
    assert "decisions_file" not in app.session_state


def test_no_decisions_and_no_database_are_said(
    ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(ledger_url)
    seed_empty_organization(database, now=datetime.now(UTC))
    database.close()
    assert "make a first check" in text_of(open_page("decisions"))
    monkeypatch.setenv("BURSAR_DATABASE_URL", f"sqlite:///{tmp_path / 'none' / 'ledger.db'}")
    app = open_page("decisions")
    assert not app.exception
    assert "Reference" in text_of(app)


def _url() -> str:
    return os.environ["BURSAR_DATABASE_URL"]
