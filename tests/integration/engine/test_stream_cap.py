"""When the ledger cannot keep up, denials alike are counted together; nothing is uncounted, and calls go on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.clock import utc_now
from engine.ledger.rebuilding import rebuild_day
from engine.ledger.tables import events, usage, users
from engine.ledger.verify import verify_events
from engine.service import GovernanceService
from engine.settings import Settings
from tests.integration.engine.child import Child

CAP = 20
CHILDREN, EACH = 4, 60
BUDGETS = [{"id": "each", "per": "agent", "daily_budget_usd": 3}]


def ask_too_much(line: Any, document: Path, settings: Settings) -> None:
    """Call after call at a dollar; say how many were allowed and denied."""
    with GovernanceService.from_document(document, settings=settings) as service:
        said = [service.check("hook", estimated_cost=1).allowed for _ in range(EACH)]
    line.send((said.count(True), said.count(False)))


def denied_with_many(acme: Any) -> tuple[int, int, int]:
    """Allowed, denied with a decision of their own, and denied together."""
    rows = acme.rows()
    allowed = [row for row in rows if row.outcome == "allowed"]
    many = [row.payload for row in acme.rows(events) if row.kind == "denied_many"]
    return len(allowed), len(rows) - len(allowed), sum(int(payload["n"]) for payload in many)


def counted(acme: Any) -> Mapping[str, int]:
    totals = {"decisions": 0, "denied": 0, "estimate_micros": 0}
    for row in acme.rows(usage):
        if row.grain == "day":
            totals["decisions"] += row.decisions
            totals["denied"] += row.decisions if row.outcome == "denied" else 0
            totals["estimate_micros"] += row.estimate_micros
    return totals


def store_everything(acme: Any, service: GovernanceService) -> None:
    """When the second is over, and swept as a worker does each second."""
    time.sleep(1.1)
    service.gate.sweep(acme.org_id)
    acme.store_everything()


def test_past_the_cap_every_denial_is_counted_and_the_stream_stays_short(acme_on_each: Any) -> None:
    acme = acme_on_each
    acme.write(budgets=BUDGETS)
    service = acme.service(stream_cap=CAP)
    callers = [Child(ask_too_much, acme.document, acme.settings(stream_cap=CAP)) for _ in range(CHILDREN)]
    allowed, denied = map(sum, zip(*(caller.hear() for caller in callers), strict=True))
    assert [caller.ending() for caller in callers] == [0] * CHILDREN
    assert (allowed, denied) == (3, CHILDREN * EACH - 3)
    # Nobody has drained the stream: it holds what came before the cap, then one event for each second.
    assert len(acme.events()) < CAP + 10
    # What is allowed, and its end, has an event of its own however long the stream is.
    call = service.check("coder", estimated_cost=1)
    assert call.allowed
    service.settle(call.id, actual_cost="0.25")
    store_everything(acme, service)

    own_allowed, own_denied, together = denied_with_many(acme)
    assert own_allowed == 4
    assert own_denied <= CAP
    assert own_denied + together == denied
    assert counted(acme) == {
        "decisions": denied + 4,
        "denied": denied,
        "estimate_micros": (denied + 4) * 1_000_000,
    }
    assert sum(row.denied for row in acme.rows(users)) == denied
    assert acme.state_of(call.id) == ("settled", 250_000)
    database = acme.open_database()
    now = utc_now()
    assert rebuild_day(database, acme.org_id, now.date(), now, mend=False).drifted == 0
    assert verify_events(database, acme.org_id).finding is None


def test_counted_denials_outlive_a_document_that_counts_other_things(acme: Any) -> None:
    acme.write(budgets=BUDGETS)
    service = acme.service(stream_cap=1)
    for _ in range(3):
        assert service.check("hook", estimated_cost=1).allowed
    denied = [service.check("hook", estimated_cost=2) for _ in range(5)]
    assert not any(decision.allowed for decision in denied)
    acme.write(budgets=[*BUDGETS, {"id": "org", "per": "org", "monthly_budget_usd": 50}])
    acme.service(stream_cap=1)
    acme.store_everything()
    store_everything(acme, service)
    assert denied_with_many(acme) == (3, 0, 5)
    assert counted(acme) == {"decisions": 8, "denied": 5, "estimate_micros": 13_000_000}


def test_dear_denials_are_counted_though_their_estimates_are_too_much_for_a_sum(acme: Any) -> None:
    acme.write(budgets=BUDGETS)
    service = acme.service(stream_cap=1)
    assert service.check("hook", estimated_cost=1).allowed
    for _ in range(30):
        assert not service.check("hook", estimated_cost=1_000_000_000).allowed
    store_everything(acme, service)
    assert denied_with_many(acme) == (1, 0, 30)
    assert (counted(acme)["decisions"], counted(acme)["denied"]) == (31, 30)
    assert {row.kind for row in acme.rows(events)} == {"check", "denied_many"}


def test_denials_are_counted_apart_by_agent_and_reason(acme: Any) -> None:
    policies = [
        {
            "policy_id": "no_copilots",
            "effect": "deny",
            "priority": 1,
            "conditions": [{"providers": ["copilot_studio"]}],
        },
        {"policy_id": "go", "effect": "allow"},
    ]
    acme.write(budgets=BUDGETS, policies=policies)
    service = acme.service(stream_cap=1)
    assert service.check("hook", estimated_cost=3).allowed
    for agent in ("hook", "hook", "coder", "coder", "coder"):
        assert not service.check(agent, estimated_cost=9).allowed
    assert not service.check("copilot_hr", estimated_cost=1).allowed
    store_everything(acme, service)
    told: dict[str, int] = {}
    for row in acme.rows(events):
        if row.kind == "denied_many":
            assert (row.decision_id, int(row.payload["m"]) % int(row.payload["n"])) == ("", 0)
            told[row.payload["a"]] = told.get(row.payload["a"], 0) + int(row.payload["n"])
    assert told == {
        "budget_daily_cost|hook||webhook||standard|": 2,
        "budget_daily_cost|coder|team-eng|azure_openai|gpt-4o|standard|production": 3,
        "policy_deny|copilot_hr|team-hr|copilot_studio||standard|production": 1,
    }
