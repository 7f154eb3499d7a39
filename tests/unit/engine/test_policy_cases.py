"""Policy tests that administrators write: they say what a check would, and a mistake in them is one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.document.live import LiveDocument
from engine.document.load import parse_document
from engine.document.policy_cases import CasesSpec, run_case, untested
from engine.document.read_cases import read_cases
from engine.errors import DocumentError

HOURS = {"days": ["wednesday"], "start_time": "09:00", "end_time": "17:00", "timezone": "America/New_York"}
LIVE = LiveDocument(
    1,
    parse_document(
        {
            "organization": "acme",
            "agents": {"hr": {"provider": "copilot_studio", "environment": "production", "tags": ["hr"]}},
            "policies": [
                {"policy_id": "office", "effect": "allow", "priority": 25, "conditions": [{"business_hours": HOURS}]},
                {"preset": "block_dev"},
                {"policy_id": "trial", "effect": "deny", "shadow": True, "conditions": [{"countries": ["DE"]}]},
                {"policy_id": "unused", "effect": "deny", "conditions": [{"actions": ["delete"]}]},
                {"policy_id": "off", "effect": "deny", "enabled": False},
            ],
        },
        "here",
    ),
)
NOON = "2026-11-25T12:00:00-05:00"


def case(expect: Any, at: str = NOON, **request: Any) -> Any:
    content = {"tests": [{"name": "t", "request": {"agent_id": "hr", **request}, "at": at, "expect": expect}]}
    return CasesSpec.model_validate(content).tests[0]


@pytest.mark.parametrize(
    ("expect", "more"),
    [
        ("allow", {"country": "US"}),
        ({"effect": "allow", "policies": ["office"], "shadow": []}, {"country": "US"}),
        ({"effect": "allow", "policies": ["office"], "shadow": ["trial"]}, {"country": "DE"}),
        # An unknown country counts for a DENY, in shadow too.
        ({"effect": "allow", "shadow": ["trial"]}, {}),
        ({"effect": "deny", "policies": []}, {"at": "2026-11-25T17:00:00-05:00"}),
        ({"effect": "deny", "policies": ["office", "unused"]}, {"action": "delete"}),
    ],
)
def test_a_test_passes_when_a_check_would_answer_so(expect: Any, more: dict[str, Any]) -> None:
    done = run_case(LIVE, case(expect, **more))
    assert done.problems == ()
    assert done.passed


@pytest.mark.parametrize(
    ("expect", "more", "problem"),
    [
        ("deny", {}, "expected deny, got allow: Policy 'office' allows this call"),
        ({"effect": "allow", "policies": []}, {}, "expected policies none, got office"),
        (
            {"effect": "allow", "policies": ["block_dev", "office"]},
            {},
            "expected policies block_dev, office, got office",
        ),
        ({"effect": "allow", "shadow": []}, {"country": "DE"}, "expected shadow policies none, got trial"),
        ("allow", {"environment": "development"}, "the request is refused: environment: is 'development', but the"),
        ("allow", {"tags": ["x"]}, "the request is refused: tags: are ['x'], but the agent is registered with ['hr']"),
    ],
)
def test_a_test_that_fails_says_what_came_instead(expect: Any, more: dict[str, Any], problem: str) -> None:
    done = run_case(LIVE, case(expect, **more))
    assert not done.passed
    assert done.problems[0].startswith(problem)


def test_policies_that_no_test_made_apply_are_listed() -> None:
    done = [run_case(LIVE, case("allow", country="DE")), run_case(LIVE, case("allow", tags=["refused"]))]
    assert untested(LIVE, done) == ["block_dev", "unused"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tests: [", "line 2: is not readable YAML"),
        ("[]", "is not a file of policy tests: it needs at least `tests:`"),
        ("document: x\n", "tests: is required"),
        ("tests: []\n", "line 1: tests: must have at least 1 entry, got 0"),
        (
            "tests:\n- {name: a, request: {agent: hr}, at: x, expect: allow}\n",
            "line 2: tests.0.request.agent_id: is req",
        ),
        (
            "tests:\n- name: a\n  request: {agent_id: hr, agnt: 1}\n  at: '2026-11-25T12:00:00Z'\n  expect: allow\n",
            "line 3: tests.0.request.agnt: is not a known key",
        ),
        (
            "tests:\n- name: a\n  request: {agent_id: hr}\n  at: 2026-11-25T12:00:00\n  expect: allow\n",
            "line 4: tests.0.at: needs an offset from UTC",
        ),
        (
            "tests:\n- name: a\n  request: {agent_id: hr}\n  at: noon\n  expect: allow\n",
            "line 4: tests.0.at: must be a time such as",
        ),
        (
            "tests:\n- name: a\n  request: {agent_id: hr}\n  at: '2026-11-25T12:00:00Z'\n  expect: maybe\n",
            "line 5: tests.0.expect.effect: must be 'allow' or 'deny'",
        ),
    ],
    ids=range(9),
)
def test_a_mistake_in_a_file_of_tests_is_one_sentence_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "policies.test.yaml"
    file.write_text(text)
    with pytest.raises(DocumentError) as refused:
        read_cases(file)
    sentence = str(refused.value)
    assert sentence.startswith(str(file))
    assert said in sentence
    assert "\n" not in sentence
