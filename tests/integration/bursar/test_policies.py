"""`bursar policies`: tests that pass and fail by exit code, and one request explained."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from bursar.policies.showing import show_conditions
from engine.document.live import LiveDocument
from engine.document.load import parse_text
from engine.policy.context import PolicyContext

DOCUMENT = """\
organization: acme
agents:
  hr: {provider: copilot_studio, environment: production}
policies:
  - {preset: block_dev}
  - policy_id: office
    effect: allow
    priority: 25
    conditions:
      - business_hours: {days: [wednesday], start_time: "09:00", end_time: "17:00", timezone: America/New_York}
      - countries: [US]
"""
TESTS = """\
document: bursar.yaml
tests:
  - name: office hours
    request: {agent_id: hr, country: US}
    at: "2026-11-25T12:00:00-05:00"
    expect: {effect: allow, policies: [office]}
  - name: at night
    request: {agent_id: hr, country: US}
    at: "2026-11-25T23:00:00-05:00"
    expect: EXPECTED
"""


@pytest.fixture
def policies(bursar: Any) -> Any:
    (bursar.folder / "bursar.yaml").write_text(DOCUMENT)
    (bursar.folder / "good.yaml").write_text(TESTS.replace("EXPECTED", "deny"))
    (bursar.folder / "bad.yaml").write_text(TESTS.replace("EXPECTED", "allow"))
    return bursar


def test_passed_tests_end_with_0_and_name_the_policies_they_leave_out(policies: Any) -> None:
    done = policies.run("policies", "test", "good.yaml")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "✓ passed office hours",
        "✓ passed at night",
        "2 tests, 0 failed",
        "No test made these policies apply: block_dev",
    ]


def test_a_failed_test_ends_with_1_and_says_what_came_instead(policies: Any) -> None:
    done = policies.run("policies", "test", "bad.yaml")
    assert done.returncode == 1
    assert "✗ failed at night\n    expected allow, got deny: No policy allows this call" in done.stdout
    told = json.loads(policies.run("policies", "test", "bad.yaml", "--json").stdout)
    assert (told["failed"], told["untested_policies"]) == (1, ["block_dev"])
    assert [test["passed"] for test in told["tests"]] == [True, False]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.yaml"], "none.yaml: cannot be read"),
        (["good.yaml", "--document", "none.yaml"], "none.yaml: cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_ends_with_2_and_one_sentence(
    policies: Any, arguments: list[str], said: str
) -> None:
    done = policies.run("policies", "test", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"bursar: {said}")
    assert done.stderr.count("\n") == 1


def test_every_mistake_in_a_file_of_tests_is_listed(policies: Any) -> None:
    done = policies.run("policies", "test", "bursar.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "bursar: bursar.yaml: tests: is required (and 3 more)",
        "  line 1: organization: is not a known key; known here: document, tests",
        "  line 2: agents: is not a known key; known here: document, tests",
        "  line 4: policies: is not a known key; known here: document, tests",
    ]


def test_a_terminal_without_ticks_gets_something_else(policies: Any) -> None:
    done = policies.run("policies", "test", "good.yaml", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "? passed office hours")


def test_on_a_narrow_terminal_conditions_stand_below_each_other(policies: Any) -> None:
    out = Console(file=io.StringIO(), width=60)
    live = LiveDocument(0, parse_text(DOCUMENT, "bursar.yaml").document)
    at = datetime(2026, 11, 26, 4, tzinfo=UTC)
    show_conditions(out, live.policies, live.policies.conditions(PolicyContext(environment="production"), at))
    assert isinstance(out.file, io.StringIO)
    assert out.file.getvalue().splitlines()[:4] == [
        "block_dev: deny, priority 1",
        "  ✗ environment=development",
        "      environment=production",
        "office: allow, priority 25",
    ]


def test_a_request_is_explained_condition_by_condition(policies: Any) -> None:
    request = ["--document", "bursar.yaml", "--agent", "hr", "--at", "2026-11-25T23:00:00-05:00"]
    done = policies.run("policies", "explain", *request)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "DENY No policy allows this call"
    assert lines[1] == "At 2026-11-26T04:00:00+00:00, by deny_overrides, 2 policies"
    assert lines[2] == ("To be allowed: policy 'office' needs time in wed 09:00-17:00 America/New_York and country=US")
    shown = " ".join(done.stdout.split())
    assert "office allow 25 time in wed 09:00-17:00 America/New_York time Wed 2026-11-25 23:00:00" in shown
    assert "country=US country unknown ? unknown" in shown
    told = json.loads(policies.run("policies", "explain", *request, "--country", "us", "--json").stdout)
    assert told["effect"] == "deny"
    assert [condition["result"] for condition in told["conditions"]] == ["no", "no", "yes"]


def test_a_request_that_a_check_would_refuse_is_refused(policies: Any) -> None:
    for arguments, said in (
        (["--agent", "nobody"], "agent_id: 'nobody' is not registered"),
        (["--agent", "hr", "--environment", "staging"], "environment: is 'staging', but the agent is"),
        (["--agent", "hr", "--at", "2026-11-25T12:00:00"], "--at: needs an offset from UTC"),
    ):
        done = policies.run("policies", "explain", "--document", "bursar.yaml", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"bursar: {said}")


def test_without_a_file_the_live_document_explains(policies: Any) -> None:
    missing = policies.run("policies", "explain", "--agent", "hr")
    assert missing.returncode == 2
    assert "has no ledger yet" in missing.stderr
    assert policies.run("apply", "bursar.yaml", "--reason", "first").returncode == 0
    done = policies.run("policies", "explain", "--agent", "hr", "--country", "US", "--at", "2026-11-25T12:00:00-05:00")
    assert done.stdout.startswith("ALLOW Policy 'office' allows this call")
