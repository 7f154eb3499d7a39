"""The guide's own snippets run as they are written, with another import line, and decide as their comments promise."""

from __future__ import annotations

import ast
import builtins
import re
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import engine
from engine.policy.context import PolicyContext
from engine.policy.engine import PolicyEngine
from engine.policy.policy import ExternalAgentPolicy, PolicyEffect

GUIDE = Path(__file__).parents[5] / "shared" / "GUIDE.md"
CHAPTER = "Policy-Based Access Control (ABAC)"
NOON = "2026-01-07T12:00-05:00"  # a Wednesday

pytestmark = pytest.mark.skipif(not GUIDE.exists(), reason=f"{GUIDE} is not there")


def text() -> str:
    return GUIDE.read_text(encoding="utf-8") if GUIDE.exists() else ""


def blocks(written: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", written, re.MULTILINE | re.DOTALL)


def chapter(title: str) -> str:
    return next((part for part in text().split("\n## ") if part.startswith(title)), "")


def public() -> dict[str, Any]:
    return {name: getattr(engine, name) for name in engine.__all__}


def names_used(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def can_run(block: str) -> bool:
    tree = ast.parse(block)
    made = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    imported = {a.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for a in node.names}
    return names_used(tree) <= made | imported | set(engine.__all__) | set(dir(builtins))


def run(block: str, **names: Any) -> tuple[list[Any], dict[str, Any]]:
    """Run a block; what its bare expressions are worth, and the names it leaves behind."""
    known = public() | names
    values = []
    for node in ast.parse(block.replace("from kaizen.trust.governance import", "from engine import")).body:
        if isinstance(node, ast.Expr):
            values.append(eval(compile(ast.Expression(node.value), str(GUIDE), "eval"), known))
        else:
            exec(compile(ast.Module([node], []), str(GUIDE), "exec"), known)
    return values, known


def policies() -> dict[str, ExternalAgentPolicy]:
    """The policies of the chapter that stand by themselves, by id."""
    found = [value for block in blocks(chapter(CHAPTER)) for value in run(block)[0]]
    assert all(isinstance(value, ExternalAgentPolicy) for value in found)
    return {policy.policy_id: policy for policy in found}


def allows(*chosen: str | ExternalAgentPolicy, at: str = NOON, **facts: Any) -> bool:
    known = policies()
    used = [known[policy] if isinstance(policy, str) else policy for policy in chosen]
    result = PolicyEngine(used).evaluate(PolicyContext(**facts), datetime.fromisoformat(at))
    return result.effect is PolicyEffect.ALLOW


def denies(policy: str, at: str = NOON, **facts: Any) -> bool:
    """Whether a policy denies what would otherwise be allowed."""
    return not allows(policy, ExternalAgentPolicy("everyone", PolicyEffect.ALLOW), at=at, **facts)


def new_york(day_and_clock: str) -> str:
    return datetime.fromisoformat(day_and_clock).replace(tzinfo=ZoneInfo("America/New_York")).isoformat()


def test_the_chapter_has_the_policies_that_are_tried_here() -> None:
    assert {name: policy.effect.value for name, policy in policies().items()} == {
        "prod_only": "allow",
        "block_dev": "deny",
        "business_hours": "allow",
        "maintenance_block": "deny",
        "north_america_only": "allow",
        "block_restricted_countries": "deny",
        "copilot_only": "allow",
        "block_third_party": "deny",
    }


@pytest.mark.parametrize("block", blocks(chapter(CHAPTER)), ids=lambda block: block.splitlines()[0].strip("# "))
def test_every_block_of_the_chapter_on_policies_runs(block: str) -> None:
    assert names_used(ast.parse(block)) <= set(engine.__all__)
    run(block)


@pytest.mark.parametrize("block", blocks(text()))
def test_every_other_block_that_needs_nothing_but_our_names_runs_too(block: str) -> None:
    if can_run(block):
        run(block)
    for node in ast.walk(ast.parse(block)):
        ours = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in engine.__all__
        if ours and names_used(node) <= set(engine.__all__):
            assert eval(ast.unparse(node), public()) is not None


def test_there_are_blocks_that_can_run_in_the_other_chapters() -> None:
    able = [block for block in blocks(text()) if can_run(block)]
    assert sum("RateLimitConfig(" in block for block in able) == 5
    assert sum("ExternalAgentCostEstimator" in block for block in able) == 1
    assert sum("ExternalAgentPolicy(" in block for block in able) == 5


def test_production_only_allows_production_only() -> None:
    assert allows("prod_only", environment="production")
    for other in ("development", "staging", "Production", None):
        assert not allows("prod_only", environment=other)


def test_block_development_denies_development() -> None:
    assert denies("block_dev", environment="development")
    assert denies("block_dev", environment=None)
    assert not denies("block_dev", environment="production")
    # Of both policies together, only production comes through.
    together = [
        env for env in ("production", "staging", "development") if allows("prod_only", "block_dev", environment=env)
    ]
    assert together == ["production"]


@pytest.mark.parametrize(
    ("day_and_clock", "open_"),
    [
        ("2026-01-05T08:59:59.999999", False),
        ("2026-01-05T09:00", True),  # Monday
        ("2026-01-05T16:59:59.999999", True),
        ("2026-01-05T17:00", False),
        ("2026-01-09T16:59", True),  # Friday
        ("2026-01-10T12:00", False),  # Saturday
        ("2026-01-11T12:00", False),
        ("2026-03-06T09:00", True),  # the last working day of winter time
        ("2026-03-09T08:59", False),
        ("2026-03-09T09:00", True),  # the first of summer time
        ("2026-11-02T09:00", True),  # the first of winter time
        ("2026-11-02T17:00", False),
    ],
)
def test_business_hours_are_monday_to_friday_nine_to_five_in_new_york(day_and_clock: str, open_: bool) -> None:
    assert allows("business_hours", at=new_york(day_and_clock)) is open_


@pytest.mark.parametrize(
    ("at", "blocked"),
    [
        ("2025-12-24T23:59:59.999999+00:00", False),
        ("2025-12-25T00:00:00+00:00", True),
        ("2025-12-25T12:00:00+00:00", True),
        ("2025-12-24T19:00:00-05:00", True),  # the same instant as the start
        ("2025-12-25T23:59:58.999999+00:00", True),
        # The end is not part of a window, so the day's last second, as it is written, is left open.
        ("2025-12-25T23:59:59+00:00", False),
        ("2025-12-25T23:59:59.999999+00:00", False),
        ("2025-12-26T00:00:00+00:00", False),
        ("2026-12-25T12:00:00+00:00", False),
    ],
)
def test_the_maintenance_block_denies_inside_its_window(at: str, blocked: bool) -> None:
    assert denies("maintenance_block", at=at) is blocked


def test_north_america_only_allows_the_united_states_and_canada() -> None:
    answers = {
        country: allows("north_america_only", country=country) for country in ("US", "CA", "us", "MX", "XX", None)
    }
    assert answers == {"US": True, "CA": True, "us": True, "MX": False, "XX": False, None: False}


def test_restricted_countries_are_denied_and_so_is_an_unknown_one() -> None:
    countries = ("CN", "RU", "KP", "kp", "KR", "US", "XX", None)
    blocked = {country for country in countries if denies("block_restricted_countries", country=country)}
    assert blocked == {"CN", "RU", "KP", "kp", "XX", None}


def test_copilot_only_allows_copilot_and_third_party_agents_are_denied() -> None:
    providers = ("copilot_studio", "third_party_agent", "webhook", None)
    assert [allows("copilot_only", provider=provider) for provider in providers] == [True, False, False, False]
    assert [denies("block_third_party", provider=provider) for provider in providers] == [False, True, False, True]


def test_the_priority_example_denies_development_first() -> None:
    (block,) = [block for block in blocks(chapter(CHAPTER)) if "policy_1" in block]
    _, names = run(block)
    first, second = names["policy_1"], names["policy_2"]
    assert (first.priority, second.priority) == (1, 25)
    assert [policy.policy_id for policy in PolicyEngine([second, first]).ordered] == ["block_dev", "allow_prod"]
    for strategy in engine.ConflictResolutionStrategy:
        decide = PolicyEngine([second, first], strategy).evaluate
        assert decide(PolicyContext(environment="production")).effect is PolicyEffect.ALLOW
        assert decide(PolicyContext(environment="development")).reason == "Policy 'block_dev' denies this call"
        assert decide(PolicyContext(environment="staging")).effect is PolicyEffect.DENY


def test_the_strategies_have_the_names_of_the_guide() -> None:
    named = re.findall(r"^\*\*([A-Z_]+)\*\* \(", chapter(CHAPTER), re.MULTILINE)
    assert named == [strategy.name for strategy in engine.ConflictResolutionStrategy]


def test_policies_are_listed_as_the_guide_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = [block for block in blocks(text()) if "# List all policies" in block]
    policy_engine = PolicyEngine(policies().values())
    run(block, governance_service=SimpleNamespace(policy_engine=policy_engine), policies=policy_engine.policies)
    assert "prod_only: allow (enabled=True)" in capsys.readouterr().out


def test_the_estimator_answers_about_six_cents_as_the_guide_says() -> None:
    (block,) = [block for block in blocks(text()) if "ExternalAgentCostEstimator" in block]
    _, names = run(block)
    assert names["copilot_cost"] == Decimal("0.06")
