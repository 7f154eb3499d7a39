"""What messages take from the ledger, against counts by hand, and from real traffic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from engine.admission.record import CheckRecord
from engine.alerting.actions import add_silence
from engine.alerting.alert_message import AlertMessage, Caller
from engine.alerting.effects import EffectKind, Why
from engine.alerting.messages import message_of
from engine.alerting.messages.waiting_calls import MOST_READ
from engine.alerting.quieting import Matcher
from engine.alerting.rules import Rule
from engine.clock import utc_now
from engine.decision import ReasonCode
from engine.document.load import parse_document, read_document
from engine.ledger.database import Database
from engine.ledger.pending import PendingEvent, keep_pending
from engine.ledger.tables import alerts, budget_usage
from engine.money import format_usd
from tests.integration.alerting.conftest import cut_off
from tests.integration.engine.conftest import Acme
from tests.support.ledger_copies import LedgerCopies
from tests.support.ledger_rows import SeededLedger, seed_ledger
from tests.support.tellings import BUDGET_FACTS, RULES, URL, over, telling

NOW = datetime(2026, 11, 23, 17, 0, 20, tzinfo=UTC)
START = datetime(2026, 11, 1, tzinfo=UTC)
SLOT = datetime(2026, 11, 23, 17, tzinfo=UTC)
HOUR = (NOW - timedelta(minutes=59, seconds=20), SLOT + timedelta(minutes=1))
"""The 60 minutes up to the end of the running one."""
DOCUMENT = parse_document(
    {
        "organization": "acme",
        "agents": {"copilot_hr": {"provider": "copilot_studio", "team": "team-hr"}},
        "budgets": [
            {"id": "agents", "per": "agent", "monthly_budget_usd": "500"},
            {"id": "all", "per": "org", "monthly_budget_usd": "5000"},
            {"id": "users", "per": "user", "monthly_budget_usd": "50"},
            {"id": "hr", "per": "org", "applies_to": {"team": "team-hr"}, "monthly_budget_usd": "500"},
        ],
    },
    "t",
)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


def lived(database: Database) -> SeededLedger:
    return seed_ledger(database, now=NOW, days=3, per_day=150)


@pytest.fixture
def ledger(database_url: str, ledger_copies: LedgerCopies) -> SeededLedger:
    """A few days of a small company, with many calls in the last hour."""
    return ledger_copies.put(database_url, lived)


def say(database: Database, what: Any, document: Any = DOCUMENT) -> AlertMessage:
    with database.read() as connection:
        return message_of(connection, what, document, dashboard_url=URL, mention="@oncall")


def budget(budget_id: str, per: str, scope: str, **facts: Any) -> dict[str, Any]:
    period = {"period_start": START.isoformat(), "period_end": "2026-12-01T00:00:00+00:00"}
    return {**BUDGET_FACTS, **period, "budget_id": budget_id, "per": per, "scope": scope, **facts}


def spent(ledger: SeededLedger, start: datetime, end: datetime, **only: str) -> int:
    return sum(row["spent_micros"] for row in _rows(ledger, start, end, **only))


def steeper(ledger: SeededLedger, **only: str) -> int:
    """An hour at the pace of the last hour, or of its last 5 minutes."""
    newest = spent(ledger, HOUR[1] - timedelta(minutes=5), HOUR[1], **only)
    return max(spent(ledger, HOUR[0], HOUR[1], **only), 12 * newest)


def _rows(ledger: SeededLedger, start: datetime, end: datetime, **only: str) -> list[dict[str, Any]]:
    return [
        row
        for row in ledger.decisions
        if start <= row["at"] < end and all(row[name] == value for name, value in only.items())
    ]


def by_hand(rows: list[dict[str, Any]], name: str, kind: str, amount: str | None = None) -> tuple[Caller, ...]:
    """The three largest, by calls or by an amount."""
    counted: Counter[str] = Counter()
    for row in rows:
        counted[row[name]] += 1 if amount is None else row[amount]
    largest = sorted(((each, number) for each, number in counted.items() if each and number), key=_order)[:3]
    return tuple(
        Caller(kind, each, calls=number) if amount is None else Caller(kind, each, number) for each, number in largest
    )


def _order(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def test_an_agents_budget_burns_what_the_agent_spent_in_the_last_hour_and_names_its_users(
    database: Database, ledger: SeededLedger
) -> None:
    facts = budget("agents", "agent", "copilot_hr", spent_micros=499_999_999)
    told = say(database, telling(facts=facts, labels={}, now=NOW))
    burn = steeper(ledger, agent_id="copilot_hr")
    assert burn > 0
    assert told.cost_of_inaction.startswith(f"{format_usd(burn)}/h, budget gone at 17:00")
    rows = _rows(ledger, START, HOUR[1], agent_id="copilot_hr")
    assert told.callers == by_hand(rows, "user_id", "user", "spent_micros")
    assert len(told.callers) == 3


def test_the_budget_of_all_names_the_agents_that_spent_most_in_its_period(
    database: Database, ledger: SeededLedger
) -> None:
    told = say(database, telling(facts=budget("all", "org", "acme"), labels={}, now=NOW))
    assert told.callers == by_hand(_rows(ledger, START, HOUR[1]), "agent_id", "agent", "spent_micros")
    assert told.cost_of_inaction.startswith(f"{format_usd(steeper(ledger))}/h")
    of_team = say(database, telling(facts=budget("hr", "org", "acme"), labels={}, now=NOW))
    assert of_team.callers == (Caller("agent", "copilot_hr", spent(ledger, START, HOUR[1], team_id="team-hr")),)


def test_a_users_budget_burns_at_the_mean_of_its_period(database: Database, ledger: SeededLedger) -> None:
    hours = (NOW - START) / timedelta(hours=1)
    facts = budget("users", "user", "user-001", spent_micros=round(hours * 1_000_000), limit_micros=10**12)
    told = say(database, telling(facts=facts, labels={}, now=NOW))
    assert told.cost_of_inaction == "$1.00/h on average, lasts to the end of its period"


def test_policy_denials_are_counted_by_agent_reason_hour_and_user(database: Database, ledger: SeededLedger) -> None:
    window = (SLOT - timedelta(minutes=30), SLOT)
    rule = replace(RULES["policy_deny"], window=timedelta(minutes=30))
    facts = {"value": "51", "slot": SLOT.isoformat()}
    told = say(database, telling(rule, facts=facts, labels={}, now=NOW))
    policy = [row for row in ledger.decisions if row["reason"] in ("policy_deny", "policy_no_allow", "policy_error")]
    counted = [row for row in policy if window[0] <= row["at"] < window[1]]
    last_hour = [row for row in policy if HOUR[0] <= row["at"] < HOUR[1]]
    users = {row["user_id"] for row in last_hour if row["user_id"]}
    assert counted
    assert told.callers == by_hand(counted, "agent_id", "agent")
    assert told.cost_of_inaction == (
        f"{len(last_hour)} calls turned away in the last hour, of {len(users)} user{'s' if len(users) > 1 else ''}"
    )
    (sentence,) = [line for line in told.details if line.startswith("Reasons: ")]
    for reason, number in Counter(row["reason"] for row in counted).items():
        assert f"{reason} {number}" in sentence


def test_an_alert_of_one_agent_counts_that_agents_calls(database: Database, ledger: SeededLedger) -> None:
    rule = replace(RULES["rate_limit_exceeded"], group_by=("agent",), window=timedelta(hours=1))
    labels = {"agent": "copilot_hr", "team": "another", "provider": "another"}
    told = say(database, telling(rule, facts={"slot": SLOT.isoformat()}, labels=labels, now=NOW))
    last_hour = _rows(ledger, *HOUR, agent_id="copilot_hr", reason="rate_per_minute")
    assert last_hour
    assert told.cost_of_inaction.startswith(f"{len(last_hour)} call")


def ended(database: Database, rule: Any, facts: dict[str, Any]) -> AlertMessage:
    """The end of an alert that was open from 14:00 to 16:50."""
    alert = over() | {"fired_at": SLOT - timedelta(hours=3), "resolved_at": SLOT - timedelta(minutes=10)}
    return say(database, telling(rule, EffectKind.RESOLVE_LINE, Why.OVER, facts=facts, labels={}, alert=alert, now=NOW))


def test_the_end_of_an_alert_about_denials_counts_those_while_it_was_open_and_speaks_of_no_money(
    database: Database, ledger: SeededLedger
) -> None:
    told = ended(database, "policy_deny", {"value": "3"})
    policy = ("policy_deny", "policy_no_allow", "policy_error")
    open_for = _rows(ledger, SLOT - timedelta(hours=3), SLOT - timedelta(minutes=10))
    counted = sum(row["reason"] in policy for row in open_for)
    assert told.resolved is not None
    assert (told.resolved.cost_micros, told.resolved.turned_away) == (None, counted)
    assert f"{counted} calls were turned away meanwhile." in told.line
    assert "$" not in told.line
    assert told.data_link.count("&to=") == 1


def test_the_end_of_a_budgets_alert_says_what_that_counter_spent_since_it_fired(
    database: Database, ledger: SeededLedger
) -> None:
    assert spent(ledger, SLOT - timedelta(hours=3), SLOT - timedelta(minutes=10)) > 0
    facts = budget("all", "org", "acme", spent_micros=4_800_000_000)
    told = ended(database, "budget_usage_critical", facts | {"fired_spent_micros": 4_750_000_000})
    assert told.line.endswith("$50.00 was spent meanwhile.")
    for unknown in (facts, facts | {"fired_spent_micros": 4_800_000_001}):
        assert "meanwhile" not in ended(database, "budget_usage_critical", unknown).line


@pytest.mark.parametrize("rule", ["governance_check_latency", "fail_open_lasting", "daily_execution_count"])
def test_the_end_of_what_is_not_about_spend_speaks_of_no_money(
    database: Database, ledger: SeededLedger, rule: str
) -> None:
    assert "meanwhile" not in ended(database, rule, {"value": "3"}).line


def test_the_end_of_much_spend_says_how_much(database: Database, ledger: SeededLedger) -> None:
    told = ended(database, Rule("much", "spent_usd", Decimal(1)), {"value": "3"})
    assert told.resolved is not None
    assert told.resolved.cost_micros == spent(ledger, SLOT - timedelta(hours=3), SLOT - timedelta(minutes=10)) > 0


def test_the_first_message_of_what_was_hidden_says_what_hid_it(database: Database, ledger: SeededLedger) -> None:
    began = NOW - timedelta(hours=2)
    silence = add_silence(
        database, "acme", [Matcher("rule", "policy_deny")], start=began, end=NOW, author="ann", reason="load test",
        now=began,
    )  # fmt: skip

    def line(by: str, source: str) -> str:
        facts = {"value": "51", "was_hidden": {"by": by, "source": source}}
        return say(database, telling("policy_deny", why=Why.NO_LONGER_HIDDEN, facts=facts, labels={}, now=NOW)).line

    assert line("silenced", silence.silence_id) == "Until now it was hidden by a silence of ann: load test."
    assert line("silenced", "gone") == "Until now it was hidden by a silence."
    assert line("inhibited", "gone") == "Until now it was hidden by another alert."
    with database.read() as connection:
        other = connection.execute(select(alerts.c.alert_id, alerts.c.title).limit(1)).first()
    assert other is not None
    assert line("inhibited", other.alert_id) == f"Until now it was hidden by another alert: {other.title}."


def test_every_shipped_rule_has_a_message_for_every_effect(database: Database, ledger: SeededLedger) -> None:
    odd = {"agent": "a\x00<!channel>", "team": "x" * 500, "provider": "'; drop table usage", "model": "\x00"}
    effects = [(EffectKind.FIRST_MESSAGE, Why.BREACHED), (EffectKind.PARENT_EDIT, Why.ACKNOWLEDGED),
               (EffectKind.RESOLVE_LINE, Why.OVER), (EffectKind.REPEAT, Why.STILL_FIRING),
               (EffectKind.ESCALATION, Why.NOT_ACKNOWLEDGED),
               *((EffectKind.THREAD_REPLY, why) for why in Why)]  # fmt: skip
    for rule in RULES:
        for kind, why in effects:
            for labels in ({}, odd):
                alert = over() if why is Why.OVER else {}
                told = say(
                    database, telling(rule, kind, why, facts={"value": "3"}, labels=labels, alert=alert, now=NOW)
                )
                assert told.title
                assert (told.kind, told.why) == (kind.value, why.value)


def test_a_ledger_without_calls_has_messages_as_well(database: Database) -> None:
    seed_ledger(database, now=NOW, days=1, per_day=0)
    assert say(database, telling("policy_deny", facts={"value": "51"}, labels={}, now=NOW)).callers == ()
    told = say(database, telling(facts=budget("all", "org", "acme"), labels={}, now=NOW))
    assert told.cost_of_inaction == "$0.00/h, lasts to the end of its period"


def test_calls_that_a_real_gate_turned_away_are_in_the_message(acme_on_each: Acme) -> None:
    acme = acme_on_each
    acme.write(
        budgets=[{"id": "hooks", "per": "agent", "applies_to": {"agent": "hook"}, "monthly_budget_usd": "0.003"}]
    )
    service = acme.service()
    outcomes = [service.check("hook", user_id="ann", estimated_cost="0.001").reason for _ in range(5)]
    acme.store(service)
    (counter,) = [row for row in acme.rows(budget_usage) if row.period == "month"]
    facts = {
        **BUDGET_FACTS, "budget_id": "hooks", "scope": "hook", "by_denial": True, "threshold": "1",
        "limit_micros": counter.limit_micros, "spent_micros": counter.spent_micros,
        "period_start": counter.period_start.isoformat(), "period_end": counter.period_end.isoformat(),
    }  # fmt: skip
    what = telling("budget_exhausted", facts=facts, labels={"agent": "hook"}, now=utc_now())
    told = say(acme.databases[0], what, read_document(acme.document))
    denied = outcomes.count(ReasonCode.BUDGET_MONTHLY_COST)
    assert 0 < denied < 5
    plural = "s" if denied > 1 else ""
    assert told.cost_of_inaction.startswith(f"{denied} call{plural} turned away in the last hour, and more until ")
    acme.write(
        budgets=[
            {"id": "hooks", "per": "agent", "applies_to": {"agent": "hook"}, "monthly_budget_usd": "0.003"},
            {"id": "all", "per": "org", "monthly_budget_usd": "5000"},
        ]
    )
    of_two = say(acme.databases[0], what, read_document(acme.document))
    assert f"{denied} call{plural} turned away in the last hour by this or another budget" in of_two.cost_of_inaction
    assert told.page_link == f"{URL}/budgets?org=acme&budget=hooks&scope=hook&period=month"
    link = f"{URL}/decisions?org=acme&outcome=denied&reason=budget_monthly_cost&agent=hook&from="
    assert told.data_link.startswith(link)


def test_calls_of_an_outage_that_wait_to_be_counted_are_in_the_message(acme_on_each: Acme) -> None:
    acme = acme_on_each
    acme.write(rate_limits=[{"id": "all", "per": "org", "requests_per_day": 1000, "on_outage": "open"}])
    service = acme.service()
    service.check("copilot_hr", estimated_cost=0)
    acme.store(service)
    with cut_off(service):
        passed = [service.check(agent, estimated_cost=0) for agent in ("hook", "coder", "hook")]
    assert all(each.fail_open for each in passed)
    document, now = read_document(acme.document), utc_now()

    def told(**rule: Any) -> AlertMessage:
        what = telling(replace(RULES["fail_open_lasting"], **rule), facts={"value": "60"}, labels={}, now=now)
        return say(acme.databases[0], what, document)

    assert told().cost_of_inaction == "3 calls passed in the last hour without their rate limit"
    assert told().callers == (Caller("agent", "hook", calls=2), Caller("agent", "coder", calls=1))
    only = told(metric="rate_limit_fail_open_count", filter={"agent": "coder"})
    assert only.cost_of_inaction == "1 call passed in the last hour without their rate limit"
    acme.store_everything(service)
    assert told().cost_of_inaction == "3 calls passed in the last hour without their rate limit"


def test_of_many_calls_that_wait_the_newest_are_counted(database: Database) -> None:
    seed_ledger(database, now=NOW, days=1, per_day=0)
    body = CheckRecord("hook", "", "", "webhook", "", "", "standard", "invoke", None, None, 0, 0, 1, "1", 0, "allow",
                       "", (), "", "no route").to_json()  # fmt: skip
    with database.write() as connection:
        keep_pending(
            connection,
            [
                PendingEvent("acme", f"id-{number}", "check", {"allowed": True, "body": body}, NOW)
                for number in range(MOST_READ + 1)
            ],
        )
    told = say(database, telling("fail_open_lasting", facts={"value": "60"}, labels={}, now=NOW))
    assert told.cost_of_inaction == "at least 2,000 calls passed in the last hour without their rate limit"


def test_calls_that_a_limit_of_executions_turned_away_are_counted_by_its_reason(acme_on_each: Acme) -> None:
    acme = acme_on_each
    acme.write(
        budgets=[{"id": "hooks", "per": "agent", "applies_to": {"agent": "hook"}, "daily_execution_limit": 1,
                  "monthly_budget_usd": 5}]
    )  # fmt: skip
    service = acme.service()
    outcomes = [service.check("hook", estimated_cost="0.001").reason for _ in range(4)]
    acme.store(service)
    assert outcomes.count(ReasonCode.BUDGET_DAILY_EXECUTIONS) == 3
    (counter,) = [row for row in acme.rows(budget_usage) if row.period == "day"]
    facts = {
        **BUDGET_FACTS, "budget_id": "hooks", "scope": "hook", "by_denial": True, "threshold": "1", "period": "day",
        "denied_for": "executions", "execution_limit": 1, "limit_micros": None, "spent_micros": counter.spent_micros,
        "period_start": counter.period_start.isoformat(), "period_end": counter.period_end.isoformat(),
    }  # fmt: skip
    what = telling("budget_exhausted", facts=facts, labels={"agent": "hook"}, now=utc_now())
    told = say(acme.databases[0], what, read_document(acme.document))
    assert told.cost_of_inaction.startswith("3 calls turned away in the last hour, and more until ")
    link = f"{URL}/decisions?org=acme&outcome=denied&reason=budget_daily_executions&agent=hook&from="
    assert told.data_link.startswith(link)
