"""Files of tests of alert rules: what they say passes, what they get wrong is told with its line."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.alerting.rule_tests.reading import read_rule_tests
from engine.alerting.rule_tests.running import RuleCaseResult
from engine.alerting.rule_tests.series import FAILS, offset_of, shown_offset, values_of
from engine.errors import DocumentError

ALERTS = {
    "channels": {
        "oncall": {"slack": "#oncall"},
        "leads": {"slack": "#leads"},
        "mail": {"email": ["leads@example.com"]},
        "boss": {"webhook": "https://example.com/boss"},
    },
    "routes": {"critical": ["oncall"], "warning": ["leads", "mail"], "escalation": ["boss"]},
    "by_team": {"team-eng": {"warning": ["oncall"]}},
}
START = "2026-11-23T09:00:00Z"
DENIALS = {"name": "t", "rule": "policy_deny", "start": START}


@pytest.fixture
def run(tmp_path: Path) -> Any:
    def run_case(case: dict[str, Any], **parts: Any) -> RuleCaseResult:
        path = tmp_path / "rules.test.yaml"
        path.write_text(yaml.safe_dump({"alerts": ALERTS, **parts, "tests": [case]}, sort_keys=False))
        (result,) = read_rule_tests(path).run()
        return result

    return run_case


def told(result: RuleCaseResult) -> list[str]:
    return [
        f"{shown_offset(each.at - result.start)} {each.kind} {each.why} {','.join(each.to)}" for each in result.told
    ]


def expects(*notifications: dict[str, Any], alerts: Any = ()) -> dict[str, Any]:
    return {"notifications": list(notifications), "alerts": list(alerts)}


def test_a_series_is_values_and_how_often() -> None:
    zero = Decimal(0)
    assert values_of("0x2 60 95% _x2 !") == (zero, zero, Decimal(60), Decimal("0.95"), None, None, FAILS)
    for wrong in ("", "x5", "5x0", "60x", "-1", "a", "1x999999"):
        with pytest.raises(ValueError, match=r"must (be|have)"):
            values_of(wrong)


@pytest.mark.parametrize("written", ["0m", "30s", "5m30s", "2h", "1d2h3m4s"])
def test_a_time_is_shown_as_it_is_written(written: str) -> None:
    assert shown_offset(offset_of(written)) == written


def test_the_shipped_example_passes() -> None:
    with as_file(files("engine.document.examples")) as folder:
        results = read_rule_tests(folder / "organization.test.yaml").run()
    assert [(result.name, result.problems) for result in results if result.problems] == []
    assert len(results) == 6


def test_an_unacknowledged_critical_alert_escalates_and_then_is_repeated(run: Any) -> None:
    result = run({**DENIALS, "values": "60x300", "expect": expects()})
    assert told(result) == [
        "0m first_message breached oncall",
        "15m escalation not_acknowledged oncall",
        "30m escalation not_acknowledged boss",
        # Four hours after the last call.
        "4h30m repeat still_firing oncall,boss",
    ]


def test_what_differs_is_told_line_by_line(run: Any) -> None:
    expect = expects(
        {"at": "1m", "kind": "first_message", "to": ["leads"]},
        {"at": "9m", "kind": "resolve_line"},
        alerts=[{"at": "1m", "state": "pending"}, {"at": "3m", "state": "firing", "severity": "warning"}],
    )
    assert run({**DENIALS, "values": "0 60x9", "expect": expect}).problems == (
        "alert at 1m: expected pending, was firing since 1m",
        "alert at 3m: expected severity warning, was critical",
        "expected, did not come: 1m first_message to leads",
        "came, not expected:     1m first_message of policy_deny to oncall (critical, breached)",
        "expected, did not come: 9m resolve_line",
    )


def test_an_acknowledgement_of_nothing_fails_the_test(run: Any) -> None:
    events = [{"at": "1m", "acknowledge": "dana"}]
    result = run({**DENIALS, "values": "0x3", "events": events, "expect": expects()})
    assert result.problems == ("dana cannot acknowledge at 1m: there is no open alert to acknowledge",)


def test_a_silence_hides_what_it_matches_until_it_ends(run: Any) -> None:
    case = {**DENIALS, "values": "60x10", "expect": expects()}
    hidden = run({**case, "events": [{"at": "0m", "silence": {"for": "4m", "match": ["severity=critical"]}}]})
    assert told(hidden) == ["4m first_message no_longer_hidden oncall"]
    other = run({**case, "events": [{"at": "0m", "silence": {"for": "4m", "match": ["severity!=critical"]}}]})
    assert told(other) == ["0m first_message breached oncall"]


def test_three_failures_in_a_row_are_told_and_leave_the_alert_as_it_was(run: Any) -> None:
    alerts = [{"at": "5m", "state": "firing"}]
    result = run({**DENIALS, "values": "60x2 !x4 60", "expect": {"alerts": alerts}})
    assert result.passed
    assert [line.partition(" (")[0].split()[:2] for line in told(result)] == [
        ["0m", "first_message"],
        ["4m", "cannot_be_evaluated"],
        ["6m", "works_again"],
    ]


def own_rule(**rule: Any) -> dict[str, Any]:
    mine = {"id": "mine", "metric": "policy_deny_count", "comparison": ">", "threshold": 20, "group_by": ["agent"]}
    return {"alerts": {**ALERTS, "rules": [{**mine, **rule}]}}


def series(number: int, values: str) -> list[dict[str, Any]]:
    return [{"group": {"agent": f"a{index}"}, "values": values} for index in range(number)]


def test_groups_wait_for_each_other_and_many_leave_as_one(run: Any) -> None:
    case = {"name": "t", "rule": "mine", "start": START, "expect": expects()}
    few = run({**case, "series": series(2, "30x2")}, **own_rule())
    assert told(few) == ["30s first_message breached leads,mail"] * 2
    many = run({**case, "series": series(11, "30x2")}, **own_rule())
    assert told(many) == ["30s digest breached leads", "30s digest breached mail"]
    assert many.told[0].number == 11


def test_a_teams_agents_are_told_of_by_the_teams_route(run: Any) -> None:
    agents = {"coder": {"provider": "webhook", "team": "team-eng"}}
    case = {"name": "t", "rule": "mine", "start": START, "expect": expects()}
    rows = [{"group": {"agent": "coder"}, "values": "30x2"}]
    assert told(run({**case, "series": rows}, agents=agents, **own_rule())) == ["30s first_message breached oncall"]


def test_a_group_that_is_not_measured_cannot_be_expected(run: Any) -> None:
    case = {"name": "t", "rule": "mine", "start": START, "series": series(2, "30x2")}
    wanted = {"at": "1m", "group": {"agent": "a1"}, "state": "firing"}
    assert run({**case, "expect": expects({"at": "30s", "kind": "first_message"}, {"at": "30s", "kind":
               "first_message"}, alerts=[wanted])}, **own_rule()).passed  # fmt: skip
    wrong = {"at": "1m", "group": {"agent": "a7"}, "state": "inactive"}
    with pytest.raises(DocumentError, match=r"expect\.alerts\.0\.group: is none of the groups of series"):
        run({**case, "expect": {"alerts": [wrong]}}, **own_rule())


@pytest.mark.parametrize("rule", ["policy_deny", "budget_usage_hlf"])
def test_only_rules_on_budget_usage_can_be_expected_of_a_budget(run: Any, rule: str) -> None:
    case = {"name": "t", "budget": "org", "start": START, "spent": "10x3",
            "expect": {"alerts": [{"at": "1m", "rule": rule, "state": "inactive"}]}}  # fmt: skip
    with pytest.raises(DocumentError, match=f"and no rule '{rule}'"):
        run(case, budgets=BUDGETS)


def test_a_near_miss_and_mail_that_is_spared_what_calls_nobody(run: Any) -> None:
    rule = own_rule(group_by=[], **{"for": "2m", "keep_firing_for": "0s"})
    case = {"name": "t", "rule": "mine", "start": START, "expect": expects()}
    events = [{"at": "6m", "acknowledge": "dana"}]
    result = run({**case, "values": "30 0 30x5 0", "events": events}, **rule)
    assert told(result) == [
        "4m30s first_message breached leads,mail",
        "6m thread_reply acknowledged leads",
        "7m resolve_line over leads,mail",
    ]
    assert result.subjects[0].alert.near_misses == 1


def test_what_is_latched_begins_anew_with_the_day(run: Any) -> None:
    case = {"name": "t", "rule": "daily_execution_count", "start": "2026-11-23T23:58:00Z", "values": "500x3 3x2 500",
            "expect": {"alerts": [{"at": "2m", "state": "firing"}, {"at": "3m", "state": "firing"},
                                  {"at": "5m", "state": "firing"}]}}  # fmt: skip
    result = run(case)
    # The slot that ends at midnight is the last of its day; at 3m the new day has its own alert, with its own count.
    assert [subject.history[-1][1] for subject in result.subjects] == ["resolved", "firing"]
    first, second = result.subjects
    assert [at - result.start for at, _, _ in first.history] == [timedelta(0), timedelta(minutes=3)]
    assert [at - result.start for at, _, _ in second.history] == [timedelta(minutes=5)]


def test_what_was_pending_in_a_day_is_not_in_the_next(run: Any) -> None:
    rule = {"id": "mine", "kind": "latched", "metric": "daily_execution_count", "threshold": 500, "for": "5m"}
    case = {"name": "t", "rule": "mine", "start": "2026-11-24T04:58:00Z", "values": "500x3 3x9 500x3",
            "expect": {"alerts": [{"at": "2m", "state": "pending"}, {"at": "3m", "state": "inactive"},
                                  {"at": "11m", "state": "inactive"}, {"at": "14m", "state": "pending"}],
                       "notifications": []}}  # fmt: skip
    # The day ends at midnight in New York, 05:00 UTC.
    result = run(case, timezone="America/New_York", alerts={**ALERTS, "rules": [rule]})
    assert result.problems == ()


BUDGETS = [{"id": "org", "per": "org", "monthly_budget_usd": 100}]


def test_a_first_denial_is_as_good_as_all_of_the_budget(run: Any) -> None:
    case = {"name": "t", "budget": "org", "start": START, "spent": "10 99.5x3", "expect": expects()}
    events = [{"at": "2m", "denied": True}]
    result = run({**case, "events": events}, budgets=BUDGETS)
    assert [(each.rule_id, shown_offset(each.at - result.start)) for each in result.told] == [
        ("budget_usage_critical", "1m"),
        ("budget_exhausted", "2m"),
    ]


def test_one_rule_of_a_budget_can_be_tested_alone(run: Any) -> None:
    case = {"name": "t", "rule": "budget_usage_half", "budget": "org", "start": START, "spent": "49.999999 50",
            "expect": {"alerts": [{"at": "0m", "state": "inactive"}, {"at": "1m", "state": "firing"}]}}  # fmt: skip
    result = run(case, budgets=BUDGETS)
    assert result.passed
    # For information, pages are enough.
    assert told(result) == []


NO_NEWS = "expect: {notifications: []}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tests: []", "line 1: tests: must have at least 1 entry"),
        ("nothing: 1\ntests: [{}]", "line 1: nothing: is not a known key"),
    ],
)
def test_a_file_that_is_none_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "x.test.yaml"
    path.write_text(text)
    with pytest.raises(DocumentError) as refused:
        read_rule_tests(path).run()
    assert str(refused.value).startswith(f"{path}, {said}")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["values: 1 2z", NO_NEWS], "line 5: tests.0.values: must be values such as"),
        (["values: 1", "expect: {}"], "line 6: tests.0.expect: needs alerts or notifications"),
        (["values: 1", "events: [{at: 1m}]", NO_NEWS], "line 6: tests.0.events.0: an event is one of"),
        (["values: 1", "every: 30s", NO_NEWS], "line 6: tests.0.every: must be whole minutes"),
        (["series:", "- {group: {agent: x}, values: 1}", NO_NEWS], "line 6: tests.0.series.0.group: policy_deny is"),
        (["values: 1 2", "samples: 5", NO_NEWS], "line 6: tests.0.samples: must be as many as the values, 2, got 1"),
        (["spent: 1", "budget: none", NO_NEWS], "line 6: tests.0.budget: there is no budget 'none'"),
        (["spent: 1", NO_NEWS], "line 2: tests.0: budget: is required with spent"),
        ([NO_NEWS], "line 2: tests.0: a test needs either values: of a rule"),
        (
            ["values: 60x5", "expect: {alerts: [{at: 4m, rule: polcy_deny, state: inactive}]}"],
            "line 6: tests.0.expect.alerts.0.rule: the test evaluates policy_deny and no rule 'polcy_deny'",
        ),
        (
            ["values: 60x5", "expect: {alerts: [{at: 4m, rule: rate_limit_fail_open, state: inactive}]}"],
            "line 6: tests.0.expect.alerts.0.rule: the test evaluates policy_deny and no rule 'rate_limit_fail_open'",
        ),
        (
            ["values: 60x5", "expect: {alerts: [{at: 4m, group: {agent: a}, state: inactive}]}"],
            "line 6: tests.0.expect.alerts.0.group: is none of the groups of series",
        ),
        (
            ["values: 60x5", "expect: {alerts: [{at: 4m, state: firing}, {at: 5m, state: firing}]}"],
            "line 6: tests.0.expect.alerts.1.at: the test ends at 4m: give more values, or an earlier time",
        ),
        (
            ["values: 60x5", "expect: {notifications: [{at: 15m, kind: escalation}]}"],
            "line 6: tests.0.expect.notifications.0.at: the test ends at 4m",
        ),
        (
            ["values: 60x5", "expect: {notifications: [{at: 0m, kind: first_message, rule: policy}]}"],
            "line 6: tests.0.expect.notifications.0.rule: the test evaluates policy_deny and no rule 'policy'",
        ),
        (
            ["values: 0x5", "expect: {alerts: [{at: 3m, state: inactive, severity: info}]}"],
            "line 6: tests.0.expect.alerts.0.severity: an inactive alert has none; leave it out",
        ),
    ],
)
def test_a_mistake_is_told_with_file_and_line(tmp_path: Path, lines: list[str], said: str) -> None:
    path = tmp_path / "x.test.yaml"
    given = ["- name: a", "  rule: policy_deny", f"  start: '{START}'", *(f"  {line}" for line in lines)]
    path.write_text("\n".join(["tests:", *given]))
    with pytest.raises(DocumentError) as refused:
        read_rule_tests(path).run()
    assert str(refused.value).startswith(f"{path}, {said}")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (START, "2026-11-23T09:00:00", "line 4: tests.0.start: needs an offset from UTC"),
        ("policy_deny", "policy_denied", "line 3: tests.0.rule: no rule 'policy_denied' is in force"),
    ],
)
def test_a_rule_or_start_that_is_none_is_told(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "x.test.yaml"
    text = f"tests:\n- name: a\n  rule: policy_deny\n  start: '{START}'\n  values: 1\n  {NO_NEWS}\n"
    path.write_text(text.replace(old, new))
    with pytest.raises(DocumentError) as refused:
        read_rule_tests(path).run()
    assert str(refused.value).startswith(f"{path}, {said}")


def test_the_files_parts_take_the_place_of_the_documents(tmp_path: Path) -> None:
    (tmp_path / "doc.yaml").write_text(
        yaml.safe_dump(
            {
                "organization": "acme",
                "alerts": {
                    **ALERTS,
                    "rules": [
                        {"id": "mine", "metric": "decision_count", "threshold": 5},
                        {"id": "policy_deny", "enabled": False},
                    ],
                },
            }
        )
    )
    case = {"name": "t", "start": START, "values": "9x2", "expect": expects()}
    path = tmp_path / "x.test.yaml"
    content = {"document": "doc.yaml", "tests": [{**case, "rule": "mine"}]}
    path.write_text(yaml.safe_dump(content))
    assert told(read_rule_tests(path).run()[0]) == ["30s first_message breached leads,mail"]
    path.write_text(yaml.safe_dump({**content, "alerts": {"routes": {}, "channels": {}}}))
    assert told(read_rule_tests(path).run()[0]) == ["30s first_message breached log"]
    path.write_text(yaml.safe_dump({**content, "tests": [{**case, "rule": "policy_deny"}]}))
    with pytest.raises(DocumentError, match="no rule 'policy_deny' is in force"):
        read_rule_tests(path).run()
