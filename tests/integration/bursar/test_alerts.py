"""`bursar alerts`: what fires and who has it, silences, rules and their tests, a rule tried on the past."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import insert, select, update

from bursar.alerts.backtesting import BacktestOptions, changed
from engine.alerting.announcing import Office as Announcing
from engine.alerting.reading import Measuring
from engine.alerting.shipped import rules_of
from engine.alerting.slot_evaluation import evaluate_slot
from engine.clock import utc_now
from engine.document.load import read_document
from engine.document.schema import AlertsSpec
from engine.errors import InvalidValue
from engine.ids import new_decision_id
from engine.ledger.audit import audit_entries
from engine.ledger.database import Database
from engine.ledger.tables import alerts, outbox, rule_states, usage
from engine.ledger.upsert import insert_or
from tests.integration.bursar.test_governing import Office, refused
from tests.support.ledger_copies import LedgerCopies

MINUTE = timedelta(minutes=1)
DOCUMENT: dict[str, Any] = {
    "organization": "acme",
    "agents": {"coder": {"provider": "webhook", "team": "team-eng"}, "hr": {"provider": "webhook"}},
    "policies": [{"policy_id": "go", "effect": "allow"}],
    "alerts": {
        "channels": {"oncall": {"log": True}, "hook": {"webhook": "http://127.0.0.1:9/alerts"}},
        "routes": {"critical": ["oncall"]},
        "rules": [
            {"id": "by_agent", "metric": "policy_deny_count", "comparison": ">", "threshold": 20, "window": "5m",
             "group_by": ["agent"], "for": "2m"},
            {"id": "watchdog", "enabled": False},
            {"id": "wachdog", "enabled": False},
            {"id": "ledger_lag", "metric": "ledger_lag_seconds", "comparison": ">", "threshold": 120},
        ],
    },
}  # fmt: skip
TESTS = """\
document: bursar.yaml
tests:
- name: a burst pages
  rule: policy_deny
  start: "2026-11-23T09:00:00Z"
  values: 0x2 60x3
  expect:
    alerts: [{at: 2m, state: firing}]
    notifications: [{at: 2m, kind: first_message, to: [CHANNEL]}]
"""


@pytest.fixture
def office(request: pytest.FixtureRequest, bursar: Any) -> Office:
    on_postgres = getattr(request, "param", "sqlite") == "postgres"
    settings = {"BURSAR_DATABASE_URL": request.getfixturevalue("postgres_url")} if on_postgres else {}
    office = Office(bursar, **settings)
    office.file.write_text(yaml.safe_dump(DOCUMENT))
    return office


@pytest.fixture
def database(office: Office, ledger_copies: LedgerCopies) -> Iterator[Database]:
    office.begin(ledger_copies)
    url = office.settings.get("BURSAR_DATABASE_URL", f"sqlite:///{office.bursar.folder / '.bursar' / 'ledger.db'}")
    with closing(Database(url)) as opened:
        yield opened


on_each = pytest.mark.parametrize("office", ["sqlite", "postgres"], indirect=True)


def this_minute() -> datetime:
    return utc_now().replace(second=0, microsecond=0)


def deny(database: Database, minute: datetime, **agents: int) -> None:
    """So many calls of these agents were denied by a policy in that minute."""
    cell = {"org_id": "acme", "team_id": "", "provider": "webhook", "model": "", "complexity": "standard",
            "environment": "", "outcome": "denied", "reason": "policy_deny"}  # fmt: skip
    sums = dict.fromkeys(
        ("estimate_micros", "reserve_micros", "spent_micros", "settled", "settled_estimate_micros", "actual_micros",
         "failed", "cancelled", "expired"), 0
    )  # fmt: skip
    rows = [
        {**cell, **sums, "grain": grain, "bucket": bucket, "agent_id": agent, "decisions": number}
        for agent, number in agents.items()
        for grain, bucket in (("minute", minute), ("hour", minute.replace(minute=0)),
                              ("day", minute.replace(hour=0, minute=0)))
    ]  # fmt: skip
    with database.write() as connection:
        for row in rows:
            more = {"decisions": usage.c.decisions + row["decisions"]}
            key = [column.name for column in usage.primary_key]
            added = insert_or(connection, usage).values(**row).on_conflict_do_update(index_elements=key, set_=more)
            connection.execute(added)


def evaluate(database: Database, rule_id: str, path: Path, *slots: datetime) -> None:
    """As the worker does."""
    document = read_document(path)
    (rule,) = [rule for rule in rules_of(document.alerts) if rule.rule_id == rule_id]
    for slot in slots:
        assert evaluate_slot(
            database, rule, Measuring("acme", document, slot, slot), Announcing(document, "http://bursar.test")
        )


def burst(office: Office, database: Database) -> datetime:
    """Two alerts fire: of the rule on all denials, and of the agent that was denied most. Returns when."""
    slot = this_minute()
    deny(database, slot - 4 * MINUTE, coder=60, hr=3)
    evaluate(database, "policy_deny", office.file, slot - 2 * MINUTE)
    evaluate(database, "by_agent", office.file, slot - 3 * MINUTE, slot - 2 * MINUTE, slot - MINUTE)
    return slot


@pytest.mark.parametrize(
    "command",
    [
        "list", "show", "ack", "rules", "test", "backtest", "send-test", "silence add", "silence list", "silence end"
    ],
)  # fmt: skip
def test_every_command_has_help_with_an_example(bursar: Any, command: str) -> None:
    done = bursar.run("alerts", *command.split(), "--help")
    assert done.returncode == 0
    assert f"Example: bursar alerts {command}" in done.stdout


def test_looking_makes_no_ledger(office: Office) -> None:
    for command in (("list",), ("backtest", "policy_deny"), ("ack", "01234567")):
        refused(office.run("alerts", *command), 2, ".bursar has no ledger yet; `bursar apply FILE` makes one")
    assert not (office.bursar.folder / ".bursar").exists()


@on_each
def test_alerts_are_listed_and_taken_on_by_the_beginning_of_their_ids(office: Office, database: Database) -> None:
    assert office.run("alerts", "list").stdout == "acme has no open alert; --all shows those that are over\n"
    burst(office, database)
    listed = json.loads(office.run("alerts", "list", "--json").stdout)
    assert [(each["rule"], each["severity"], each["state"]) for each in listed] == [
        ("by_agent", "warning", "firing"),
        ("policy_deny", "critical", "firing"),
    ]
    alert_id = listed[1]["id"]
    lines = office.run("alerts", "list").stdout.splitlines()
    columns = ["id", "severity", "state", "fired at", "value", "limit", "seen to by", "what"]
    assert lines[0].split() == " ".join(columns).split()
    assert "63 calls in 5 min  > 50 calls" in lines[2]
    # Shown as far as it takes to tell them apart; that much is enough to name one.
    short = lines[2].split()[0]
    assert alert_id.startswith(short)
    done = office.run("alerts", "ack", short, "--by", "dana")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("dana has acknowledged: Many calls are denied by policies")
    again = office.run("alerts", "ack", alert_id, "--by", "eli")
    assert (again.returncode, again.stdout) == (0, "Nothing changed: dana has acknowledged it already.\n")
    assert "dana" in office.run("alerts", "list").stdout
    with database.read() as connection:
        newest = audit_entries(connection, "acme", below=None, most=1)[0]
    assert (newest.action, newest.subject, newest.author) == ("alert.acknowledge", alert_id, "dana")


def test_an_id_that_names_none_or_several_is_refused(office: Office, database: Database) -> None:
    burst(office, database)
    first, second = (each["id"] for each in json.loads(office.run("alerts", "list", "--json").stdout))
    assert first[:4] == second[:4]
    refused(office.run("alerts", "ack", first[:4]), 2, f"ALERT: several ids begin with {first[:4]}: ", first, second)
    refused(office.run("alerts", "ack", "ffffffff"), 2, "ALERT: organization acme has no alert whose id begins with")
    refused(office.run("alerts", "ack", "%"), 2, "ALERT: must be an id from `bursar alerts list`")
    refused(office.run("alerts", "ack", first, "--by", " "), 2, "--by: must not be empty")
    # One that names none stops all.
    refused(office.run("alerts", "ack", first, "ffffffff"), 2, "ALERT: organization acme has no alert whose id begins")
    listed = json.loads(office.run("alerts", "list", "--json").stdout)
    assert [each["acknowledged_by"] for each in listed] == [None, None]


@on_each
def test_several_alerts_are_taken_on_at_once(office: Office, database: Database) -> None:
    burst(office, database)
    ids = [each["id"] for each in json.loads(office.run("alerts", "list", "--json").stdout)]
    told = json.loads(office.run("alerts", "ack", *ids, "--by", "dana", "--json").stdout)
    assert [(each["id"], each["acknowledged"]) for each in told] == [(alert_id, True) for alert_id in ids]
    assert all(each["message"].startswith("dana has acknowledged: ") for each in told)
    with database.write() as connection:
        over = update(alerts).where(alerts.c.alert_id == ids[0])
        life = {"state": "resolved"}
        connection.execute(over.values(state="resolved", life=life, acknowledged_by=None, acknowledged_at=None))
    done = office.run("alerts", "ack", *ids, "--by", "eli")
    assert (done.returncode, done.stdout) == (2, "Nothing changed: dana has acknowledged it already.\n")
    assert done.stderr == "bursar: the alert is resolved; only one that fires can be acknowledged\n"


@on_each
def test_one_alert_is_shown_with_all_that_is_kept_of_it(office: Office, database: Database) -> None:
    burst(office, database)
    office.run("alerts", "silence", "add", "rule=policy_deny", "--for", "2h", "--reason", "load test", "--by", "dana")
    alert_id = json.loads(office.run("alerts", "list", "--json").stdout)[1]["id"]
    office.run("alerts", "ack", alert_id, "--by", "eli")
    (silence,) = json.loads(office.run("alerts", "silence", "list", "--json").stdout)
    with database.write() as connection:
        hidden = {"hidden_by": "silenced", "hidden_source": silence["id"]}
        connection.execute(update(alerts).where(alerts.c.alert_id == alert_id).values(**hidden))
        sent = {"state": "delivered", "receipt": {"by": "log", "meant_for": "#x"}, "channel_type": "slack",
                "target": "#ops"}  # fmt: skip
        connection.execute(
            update(outbox).where(outbox.c.alert_id == alert_id, outbox.c.action == "post").values(**sent)
        )
    done = office.run("alerts", "show", alert_id)
    assert (done.returncode, done.stderr) == (0, "")
    first, *lines = done.stdout.splitlines()
    assert first.startswith("critical firing: Many calls are denied by policies")
    facts = {line.split(maxsplit=1)[0]: line.split(maxsplit=1)[1] for line in lines if line.startswith("  ")}
    assert (facts["id"], facts["rule"], facts["value"], facts["limit"]) == (
        alert_id, "policy_deny", "63 calls in 5 min", "> 50 calls",
    )  # fmt: skip
    assert facts["acknowledged"].startswith("eli, ")
    assert "of dana until" in done.stdout
    assert "rule=policy_deny (load test)" in done.stdout
    assert "oncall (slack #ops)" in done.stdout
    assert "delivered, to the log" in done.stdout
    told = json.loads(office.run("alerts", "show", alert_id[:18], "--json").stdout)
    assert (told["id"], told["value"], told["acknowledged_by"], told["hidden_by"]) == (
        alert_id, "63", "eli", "silenced",
    )  # fmt: skip
    assert (told["notifications"][0]["action"], told["notifications"][0]["by"]) == ("post", "log")
    refused(office.run("alerts", "show", "ffffffff"), 2, "ALERT: organization acme has no alert whose id begins with")


BUDGET = {"budget_id": "org", "scope": "acme", "period": "month", "period_label": "2026-11",
          "metric": "budget_usage_percentage", "comparison": ">="}  # fmt: skip


def crossed(rule_id: str, state: str, threshold: str, **facts: str) -> dict[str, Any]:
    """A stored alert on the month's budget."""
    now = utc_now()
    life = {} if state == "superseded" else {"state": state, "fired_at": now.isoformat(), "episode": 1}
    key = f"acme|{rule_id}|2026-11|org|acme|month"
    return {"alert_id": new_decision_id(), "org_id": "acme", "rule_id": rule_id, "severity": "warning", "state": state,
            "alert_key": key, "episode": 1, "dedupe_key": f"{key}|1", "title": f"Budget passed {threshold}",
            "labels": {"rule": rule_id, "severity": "warning"}, "facts": {**BUDGET, "threshold": threshold, **facts},
            "life": life, "fired_at": now}  # fmt: skip


@on_each
def test_an_alert_told_with_a_higher_threshold_names_the_one_to_take_on(office: Office, database: Database) -> None:
    lower, higher = (
        crossed("budget_usage_warning", "superseded", "0.80"),
        crossed("budget_usage_degraded", "firing", "0.90"),
    )
    half = crossed("budget_usage_half", "firing", "0.50")
    with database.write() as connection:
        connection.execute(insert(alerts), [lower, higher, half])
    assert {each["id"] for each in json.loads(office.run("alerts", "list", "--json").stdout)} == {
        higher["alert_id"], half["alert_id"],
    }  # fmt: skip
    assert lower["alert_id"] in office.run("alerts", "list", "--all", "--json").stdout
    done = office.run("alerts", "ack", lower["alert_id"], "--by", "dana")
    assert done.returncode == 2
    assert done.stderr.startswith("bursar: Budget passed 0.80: was told with a higher threshold; acknowledge ")
    assert done.stderr.endswith(" instead: Budget passed 0.90\n")
    (told,) = json.loads(office.run("alerts", "ack", lower["alert_id"], "--json").stdout)
    assert (told["acknowledged"], told["instead"]) == (False, higher["alert_id"])
    assert f"alert {higher['alert_id']}: Budget passed 0.90" in office.run("alerts", "show", lower["alert_id"]).stdout
    with database.write() as connection:
        connection.execute(update(alerts).where(alerts.c.alert_id == higher["alert_id"]).values(
            state="resolved", life={"state": "resolved"}))  # fmt: skip
    refused(office.run("alerts", "ack", lower["alert_id"]), 2, "higher threshold, whose alert is over")


@on_each
def test_a_silence_says_what_it_hides_and_can_be_ended(office: Office, database: Database) -> None:
    burst(office, database)
    done = office.run("alerts", "silence", "add", "agent=coder", "severity!=critical", "--for", "2h",
                      "--reason", "load test", "--by", "dana")  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    first, *hidden = done.stdout.splitlines()
    assert "hides agent=coder severity!=critical until" in first
    assert len(hidden) == 1
    assert "coder" in hidden[0]
    (told,) = json.loads(office.run("alerts", "silence", "list", "--json").stdout)
    assert (told["author"], told["reason"], len(told["hides"])) == ("dana", "load test", 1)
    length = datetime.fromisoformat(told["to"]) - datetime.fromisoformat(told["from"])
    assert length == timedelta(hours=2)
    # Another one of the same minute has a like id.
    other = office.run("alerts", "silence", "add", "agent=hr", "--for", "1h", "--reason", "load test", "--json")
    short = office.run("alerts", "silence", "list").stdout.splitlines()[2].split()[0]
    ended = office.run("alerts", "silence", "end", short, "--by", "dana")
    assert ended.stdout.startswith(f"acme: silence {told['id']} is over")
    third = office.run("alerts", "silence", "add", "agent=hr", "--for", "1h", "--reason", "load test").stdout.split()[2]
    assert (
        json.loads(office.run("alerts", "silence", "end", third, "--by", "eli", "--json").stdout)["ended_by"] == "eli"
    )
    second = json.loads(other.stdout)["id"]
    assert json.loads(office.run("alerts", "silence", "end", second, "--json").stdout)["id"] == second
    assert office.run("alerts", "silence", "list").stdout == "acme has no silence; every alert is told\n"
    over = json.loads(office.run("alerts", "silence", "list", "--over", "--json").stdout)
    assert told["id"] in {each["id"] for each in over}


def test_a_silence_that_cannot_be_is_refused_in_one_sentence(office: Office, database: Database) -> None:
    for how, words in (
        (["agent", "--for", "2h"], "MATCHER: must be such as agent=coder or severity!=critical, got 'agent'"),
        (["agent=a", "--for", "31d"], "--for: must be more than 0s and at most 30d, got 31d"),
        (["agent=", "--for", "2h"], "MATCHER: agent= needs a value, such as agent=NAME"),
        (["agent!=", "--for", "2h"], "MATCHER: agent!= needs a value"),
        (["rule=polcy_deny", "--for", "2h"], "MATCHER: rule=polcy_deny: no rule is called 'polcy_deny'; did you mean"),
        (["severity=high", "--for", "2h"], "MATCHER: severity=high: severity is one of info, warning, critical"),
        (["per=galaxy", "--for", "2h"], "MATCHER: per=galaxy: per is one of org, team, user, agent, provider"),
        (["period=week", "--for", "2h"], "MATCHER: period=week: period is one of day, month"),
        (["reason=mood", "--for", "2h"], "MATCHER: reason=mood: reason is one of allowed, policy_deny"),
    ):
        refused(office.run("alerts", "silence", "add", *how, "--reason", "r"), 2, words)
    with database.read() as connection:
        assert audit_entries(connection, "acme", action="alert.silence") == []


def test_a_silence_of_what_the_document_does_not_have_is_made_with_a_warning(
    office: Office, database: Database
) -> None:
    done = office.run("alerts", "silence", "add", "agent=codr", "team!=sales", "rule=watchdog", "--for", "2h",
                      "--reason", "r")  # fmt: skip
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        "warning: no agent is called 'codr' in the document; did you mean 'coder'?",
        "warning: no team of an agent is called 'sales' in the document",
    ]
    assert "hides agent=codr team!=sales rule=watchdog" in done.stdout


def test_rules_say_who_else_is_told_and_what_is_judged_at_once(office: Office, database: Database) -> None:
    content = {**DOCUMENT, "alerts": {**DOCUMENT["alerts"], "by_team": {"team-eng": {"critical": ["hook"]}}}}
    office.file.write_text(yaml.safe_dump(content))
    office.apply("--base", "1")
    lines = {line.split()[0]: line for line in office.run("alerts", "rules").stdout.splitlines()}
    assert "  oncall; team-eng: hook  " in lines["policy_deny"]
    assert "team-eng" not in lines["rate_limit_exceeded"]
    assert lines["budget_usage_half"].endswith("  at once")
    assert lines["rate_limit_exceeded"].endswith("  not yet")
    rules = {each["id"]: each for each in json.loads(office.run("alerts", "rules", "--json").stdout)}
    assert rules["policy_deny"]["elsewhere"] == [{"team": "team-eng", "channels": ["hook"]}]
    assert (rules["budget_usage_half"]["at_once"], rules["policy_deny"]["at_once"]) == (True, False)


def test_rules_are_listed_with_where_they_go_and_how_evaluation_goes(office: Office, database: Database) -> None:
    slot = this_minute()
    evaluate(database, "policy_deny", office.file, slot)
    with database.write() as connection:
        row = {"org_id": "acme", "rule_id": "by_agent", "slot": slot, "failures": 2, "failing_since": slot,
               "error": "OperationalError: no such table"}  # fmt: skip
        connection.execute(insert(rule_states).values(**row))
    done = office.run("alerts", "rules")
    assert "no shipped rule is called 'wachdog', so there is nothing to turn off" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout.splitlines()[-1].endswith("UTC: OperationalError: no such table")
    rules = {each["id"]: each for each in json.loads(office.run("alerts", "rules", "--json").stdout)}
    assert rules["by_agent"]["condition"] == "policy_deny_count > 20 calls in 5 min, for 2 min, by agent"
    assert (rules["by_agent"]["from"], rules["by_agent"]["state"], rules["by_agent"]["failures"]) == ("own", "error", 2)
    denials = rules["policy_deny"]
    assert (denials["channels"], denials["from"], denials["state"]) == (["oncall"], "shipped", "ok")
    assert datetime.fromisoformat(denials["evaluated_through"]) == slot
    assert rules["ledger_lag"]["from"] == "shipped, changed"
    assert rules["watchdog"] == {"id": "watchdog", "from": "off", "enabled": False}


def test_rules_of_a_file_need_no_ledger(office: Office) -> None:
    done = office.run("alerts", "rules", "--document", "bursar.yaml")
    assert done.returncode == 0
    assert "evaluated through" not in done.stdout
    line = next(line for line in done.stdout.splitlines() if "budget_usage_warning" in line)
    assert "budget_usage_percentage >= 80 %, or the budget's own warning threshold" in line
    assert not (office.bursar.folder / ".bursar").exists()


def test_tests_of_rules_end_with_0_1_or_2(office: Office) -> None:
    for name, text in (
        ("good.test.yaml", TESTS.replace("CHANNEL", "oncall")),
        ("bad.test.yaml", TESTS.replace("CHANNEL", "hook")),
        ("wrong.test.yaml", TESTS.replace("60x3", "60x")),
    ):
        (office.bursar.folder / name).write_text(text)
    good = office.run("alerts", "test", "good.test.yaml")
    assert (good.returncode, good.stdout) == (0, "✓ passed a burst pages\n1 test, 0 failed\n")
    both = office.run("alerts", "test", "good.test.yaml", "bad.test.yaml")
    assert both.returncode == 1
    assert both.stdout.splitlines() == [
        "good.test.yaml:",
        "✓ passed a burst pages",
        "bad.test.yaml:",
        "✗ failed a burst pages",
        "    expected, did not come: 2m first_message to hook",
        "    came, not expected:     2m first_message of policy_deny to oncall (critical, breached)",
        "2 tests, 1 failed",
    ]
    told = json.loads(office.run("alerts", "test", "bad.test.yaml", "--json").stdout)
    assert (told["failed"], told["tests"][0]["notifications"][0]["to"]) == (1, ["oncall"])
    refused(
        office.run("alerts", "test", "good.test.yaml", "wrong.test.yaml"),
        2,
        "wrong.test.yaml, line 6: tests.0.values: must be values such as 0x5 60x10 _ ! 95%, got '60x'",
    )
    refused(office.run("alerts", "test", "none.yaml"), 2, "none.yaml: cannot be read: No such file")


@on_each
def test_a_rule_is_tried_on_the_past(office: Office, database: Database) -> None:
    minute = this_minute() - 60 * MINUTE
    deny(database, minute, coder=60, hr=30)
    deny(database, minute + 30 * MINUTE, coder=30)
    done = office.run("alerts", "backtest", "policy_deny")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "policy_deny: policy_deny_count > 50 calls in 5 min"
    assert "  would have fired 1 time, 0 of them shorter than 5 min" in done.stdout.splitlines()
    told = json.loads(office.run("alerts", "backtest", "policy_deny", "--threshold", "20", "--json").stdout)
    assert (told["fired"], [each["peak"] for each in told["episodes"]]) == (2, ["90", "30"])
    assert datetime.fromisoformat(told["episodes"][0]["fired_at"]) == minute + MINUTE
    # Each is told when it begins and when it is over.
    assert told["notifications"] == 4
    held = json.loads(
        office.run("alerts", "backtest", "by_agent", "--for", "10m", "--days", "3", "--json").stdout
    )  # fmt: skip
    assert (held["fired"], held["near_misses"]) == (0, 3)
    assert (held["before"]["hours"], held["before"]["may_have_fired"]) == (24, 0)


def test_what_the_past_cannot_answer_is_refused(office: Office, database: Database) -> None:
    for how, words in (
        (["ledger_lag"], "RULE: ledger_lag is about ledger_lag_seconds, whose past values are not kept"),
        (["governance_check_latency", "--days", "30"], "--days: must be at most 2 for governance_check_latency"),
        (["policy_deny", "--threshold", "1.5"], "--threshold: policy_deny_count is a whole number, got 1.5"),
    ):
        refused(office.run("alerts", "backtest", *how), 2, words)
    with database.read() as connection:
        assert connection.execute(select(rule_states)).all() == []


def test_what_is_given_instead_of_a_rules_own_is_checked_as_the_documents() -> None:
    rules = {rule.rule_id: rule for rule in rules_of(AlertsSpec())}
    half = changed(rules["budget_usage_degraded"], BacktestOptions("r", threshold="50%"))
    # A budget's own threshold no longer takes its place.
    assert (half.threshold, half.budget_threshold) == (Decimal("0.5"), None)
    assert changed(rules["policy_deny"], BacktestOptions("r", hold="5m")).hold == 5 * MINUTE
    # The level at which it is over moves along.
    assert changed(rules["credential_age"], BacktestOptions("r", threshold="60")).clear_level == 60
    for rule_id, options, said in (
        ("policy_deny", BacktestOptions("r", hold="long"), "--for: must be a length of time such as 90s"),
        ("budget_exhausted", BacktestOptions("r", hold="5m"), "--for: budget usage is told at once"),
        ("budget_exhausted", BacktestOptions("r", threshold="95"), "--threshold: budget_usage_percentage is a share"),
        ("policy_deny", BacktestOptions("r", threshold="many"), "--threshold: must be a number such as 20"),
    ):
        with pytest.raises(InvalidValue, match=said):
            changed(rules[rule_id], options)


def test_a_test_message_says_whether_it_arrived(office: Office, database: Database) -> None:
    sent = office.run("alerts", "send-test", "oncall")
    assert (sent.returncode, "arrived" in sent.stdout) == (0, True)
    missed = office.run("alerts", "send-test", "hook")
    assert missed.returncode == 1
    assert missed.stdout.startswith("hook (webhook http://127.0.0.1): no webhook secret is configured")
    refused(office.run("alerts", "send-test", "none"), 2, "channel: must be one of alerts.channels: ", "oncall")
