"""What is found in facts: that nothing is where all is well, and each thing that may be wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.admission.diagnosis import RedisState
from engine.alerting.rule_health import RuleHealth
from engine.doctor.facts import Facts, LedgerFacts, OrganizationFacts, RedisFacts, Unanswered
from engine.doctor.finding import Finding, Level
from engine.doctor.findings import findings
from engine.document.live import LiveDocument
from engine.document.load import parse_document
from engine.ledger.queries.channels import ChannelState
from engine.ledger.queries.diagnosis import OutdatedDecisions, Undelivered
from engine.ledger.queries.health import Backlog, JobState, WaitingEvents
from engine.ledger.queries.measures import Measures
from engine.settings import Settings

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
SOUND: dict[str, Any] = {
    "organization": "acme",
    "agents": {
        "copilot_hr": {"provider": "copilot_studio", "team": "hr"},
        "coder": {"provider": "azure_openai", "model": "gpt-4o", "team": "eng"},
    },
    "budgets": [{"id": "org", "per": "org", "monthly_budget_usd": 500}],
    "rate_limits": [{"id": "each", "per": "agent", "preset": "user_facing"}],
    "policies": [{"policy_id": "go", "effect": "allow"}],
    "alerts": {
        "channels": {"ops": {"log": True}},
        "routes": {name: ["ops"] for name in ("critical", "warning", "management", "escalation")},
    },
}
REDIS = RedisState(
    version="8.1.3",
    is_old=False,
    append_only=True,
    last_write_failed=False,
    maxmemory_policy="noeviction",
    maxmemory_bytes=0,
    used_memory_bytes=1_000_000,
    evicted_keys=0,
    loading=False,
    ahead=timedelta(milliseconds=3),
    round_trip=timedelta(milliseconds=1),
)
JOBS = tuple(JobState(name, NOW - timedelta(seconds=1), None, None) for name in ("ledger", "evaluate", "retention"))


def document(**parts: Any) -> LiveDocument:
    return LiveDocument(3, parse_document({**SOUND, **parts}, "here"))


WELL = OrganizationFacts(
    "acme",
    live=document(),
    live_since=NOW - timedelta(days=1),
    drained_through=NOW - timedelta(seconds=1),
    waiting=WaitingEvents(0, None, NOW),
    reasons={"allowed": Measures(decisions=90), "policy_no_allow": Measures(decisions=10, denied=10)},
    called=frozenset({"coder"}),
)
FACTS = Facts(
    now=NOW,
    settings=Settings(state_dir=Path("state"), redis_url="redis://here"),
    redis=RedisFacts("redis://here", is_private=False, said=REDIS),
    database_place="sqlite:///ledger.db",
    ledger=LedgerFacts(newest_tables="0006", jobs=JOBS, organizations=(WELL,)),
)


def ledger(**changes: Any) -> Facts:
    assert isinstance(FACTS.ledger, LedgerFacts)
    return replace(FACTS, ledger=replace(FACTS.ledger, **changes))


def organization(**changes: Any) -> Facts:
    return ledger(organizations=(replace(WELL, **changes),))


def governed(**parts: Any) -> Facts:
    return organization(live=document(**parts))


def told(**changes: Any) -> Facts:
    return replace(FACTS, redis=replace(FACTS.redis, said=replace(REDIS, **changes)))


def job(*, good: float | None = None, bad: float | None = None) -> Facts:
    """Another job, that many seconds ago."""
    times = [None if each is None else NOW - timedelta(seconds=each) for each in (good, bad)]
    return ledger(
        jobs=(*JOBS, JobState("deliver-slack", times[0], times[1], "TimeoutError: too slow" if bad else None))
    )


def policies(**changes: Any) -> Facts:
    return governed(policies=[{"policy_id": "go", "effect": "allow", **changes}])


def calls(**reasons: int) -> Facts:
    return organization(reasons={name: Measures(decisions=number, denied=number) for name, number in reasons.items()})


def slept(facts: Facts) -> Facts:
    """Nobody was heard of for an hour."""
    assert isinstance(facts.ledger, LedgerFacts)
    jobs = tuple(replace(each, last_success_at=NOW - timedelta(hours=1)) for each in JOBS)
    return replace(facts, ledger=replace(facts.ledger, jobs=jobs))


def channel(broken: bool) -> ChannelState:
    since = NOW - timedelta(hours=1) if broken else None
    return ChannelState("slack", "#ops", NOW, NOW, None, since, "channel_not_found" if broken else None)


def bad(facts: Facts) -> list[Finding]:
    return [each for each in findings(facts) if each.level is not Level.OK]


def test_where_all_is_well_every_check_says_so_and_none_has_a_cure() -> None:
    found = findings(FACTS)
    assert [each for each in found if each.level is not Level.OK or each.cure] == []
    assert {each.check for each in found} >= {
        "database.reachable", "database.tables", "redis.reachable", "redis.version", "redis.persistence",
        "redis.eviction", "redis.speed", "clock.redis", "worker.running", "worker.jobs", "document.live", "ledger.lag",
        "ledger.pending", "rates.outage", "document.outdated", "policies.allow", "policies.denials", "policies.agents",
        "agents.registered", "budgets.agents", "rates.agents", "prices.agents", "channels.routes", "outbox.overdue",
    }  # fmt: skip
    assert {each.org_id for each in found} == {None, "acme"}


AWAY = Unanswered("connection refused")
OLD = timedelta(minutes=10)
CASES: dict[str, tuple[Callable[[], Facts], str, str, str]] = {
    "no database answers": (lambda: replace(FACTS, ledger=AWAY), "database.reachable", "problem", "connection refused"),
    "no ledger yet": (lambda: replace(FACTS, ledger=None), "database.reachable", "problem", "no ledger at"),
    "an empty database": (lambda: ledger(has_ledger=False), "database.reachable", "problem", "no ledger at"),
    "old tables": (lambda: ledger(tables="0004"), "database.tables", "problem", "version 0004"),
    "newer tables": (lambda: ledger(tables="0099"), "database.tables", "problem", "does not know"),
    "no Redis": (
        lambda: replace(FACTS, redis=replace(FACTS.redis, said=AWAY)), "redis.reachable", "problem", "redis://here",
    ),
    "a busy Redis": (lambda: told(round_trip=timedelta(seconds=0.03)), "redis.speed", "warning", "30.0 ms of the 50"),
    "a Redis that loads": (lambda: told(loading=True), "redis.reachable", "warning", "still loading"),
    "an old Redis": (lambda: told(version="5.0.14", is_old=True), "redis.version", "problem", "5.0.14"),
    "no persistence": (lambda: told(append_only=False), "redis.persistence", "warning", "no append-only file"),
    "a full disk": (lambda: told(last_write_failed=True), "redis.persistence", "problem", "could not write"),
    "eviction": (
        lambda: told(maxmemory_policy="allkeys-lru", evicted_keys=1234), "redis.eviction", "problem", "1,234 keys",
    ),
    "eviction of what expires": (
        lambda: told(maxmemory_policy="volatile-ttl"), "redis.eviction", "warning", "volatile-ttl",
    ),
    "a clock ahead": (lambda: told(ahead=timedelta(seconds=5)), "clock.redis", "warning", "5.0 s ahead of"),
    "a clock far behind": (lambda: told(ahead=-timedelta(seconds=90)), "clock.redis", "problem", "90.0 s behind"),
    "a database clock ahead": (
        lambda: ledger(ahead=timedelta(seconds=2)), "clock.database", "warning", "2.0 s ahead of",
    ),
    "no worker": (lambda: slept(FACTS), "worker.running", "problem", "heard of since 1 h ago"),
    "never a worker": (lambda: ledger(jobs=()), "worker.running", "problem", "has ever run"),
    "a job that fails": (lambda: job(good=600, bad=1), "worker.jobs", "problem", "TimeoutError: too slow."),
    "a job that failed once": (lambda: job(good=2, bad=1), "worker.jobs", "warning", "failed 1 s ago"),
    "a job that fails in part": (lambda: job(good=1, bad=2), "worker.jobs", "warning", "failed in part"),
    "a job that stopped": (lambda: job(good=900), "worker.jobs", "warning", "last succeeded 15 min ago"),
    "no organization": (lambda: ledger(organizations=()), "organizations", "warning", "no organization"),
    "too many organizations": (lambda: ledger(left_out=3), "organizations", "warning", "3 more"),
    "no document": (lambda: organization(live=None), "document.live", "problem", "no governance document"),
    "a document of the future": (
        lambda: organization(live=Unanswered("unknown field")), "document.live", "problem", "unknown field",
    ),
    "a ledger behind": (lambda: organization(drained_through=NOW - OLD), "ledger.lag", "problem", "10 min behind"),
    "refused events": (
        lambda: organization(backlog=Backlog({}, 0, 2)), "ledger.pending", "warning", "2 events contradict",
    ),
    "stale caches": (
        lambda: organization(outdated=OutdatedDecisions(7, NOW - timedelta(seconds=9), 1)),
        "document.outdated", "problem", "7 calls of the last hour, the newest 9 s ago, had an older document version",
    ),
    "caches that were stale": (
        lambda: organization(outdated=OutdatedDecisions(1, NOW - OLD, 2)), "document.outdated", "warning", "1 call of",
    ),
    "fail-open": (
        lambda: organization(reasons={"allowed": Measures(decisions=9, fail_open=4)}),
        "rates.outage", "warning", "4 passed all the same (fail-open)",
    ),
    "no ALLOW": (lambda: policies(effect="deny"), "policies.allow", "problem", "no ALLOW policy"),
    "ALLOWs disabled": (lambda: policies(enabled=False), "policies.allow", "problem", "are disabled (go)"),
    "ALLOWs in shadow": (lambda: policies(shadow=True), "policies.allow", "problem", "in shadow"),
    "nothing allowed": (lambda: calls(policy_no_allow=12), "policies.denials", "problem", "100 % were denied"),
    "all denied": (lambda: calls(policy_no_allow=2, policy_deny=3), "policies.denials", "problem", "100 % of the 5"),
    "an agent never allowed": (
        lambda: policies(conditions=[{"agents": ["coder"]}]), "policies.agents", "warning", "1 agent: copilot_hr",
    ),
    "no agents": (lambda: governed(agents={}), "agents.registered", "warning", "no agents"),
    "strangers": (
        lambda: organization(called=frozenset({"coder", "old_bot"})), "agents.registered", "warning", "old_bot",
    ),
    "no budget": (lambda: governed(budgets=[]), "budgets.agents", "warning", "about any agent"),
    "a soft budget": (
        lambda: governed(budgets=[{**SOUND["budgets"][0], "enforcement_mode": "soft"}]),
        "budgets.agents", "warning", "No hard budget",
    ),
    "an agent without a budget": (
        lambda: governed(budgets=[{"id": "hr", "per": "team", "applies_to": {"team": "hr"}, "monthly_budget_usd": 1}]),
        "budgets.agents", "warning", "about 1 agent: coder",
    ),
    "an agent without a rate limit": (
        lambda: governed(rate_limits=[{"id": "hr", "per": "user", "applies_to": {"agent": "copilot_hr"},
                                       "requests_per_minute": 5}]),
        "rates.agents", "warning", "about 1 agent: coder",
    ),
    "an unknown price": (
        lambda: governed(agents={"coder": {"provider": "azure_openai", "model": "gpt-99"}}),
        "prices.agents", "warning", "gpt-99",
    ),
    "no channel": (lambda: governed(alerts={}), "channels.routes", "warning", "has no channel"),
    "an empty route": (
        lambda: governed(alerts={"channels": {"ops": {"log": True}}, "routes": {"critical": ["ops"]}}),
        "channels.routes", "warning", "2 routes have no channel (warning, escalation)",
    ),
    "no token": (
        lambda: governed(alerts={**SOUND["alerts"], "channels": {"ops": {"slack": "#ops"}}}),
        "channels.slack", "warning", "BURSAR_SLACK_TOKEN is not set here",
    ),
    "a broken channel": (
        lambda: organization(channels=(channel(broken=True),)), "channels.broken", "problem", "channel_not_found",
    ),
    "messages given up": (
        lambda: organization(undelivered=Undelivered(None, 2)), "outbox.dead", "problem", "2 messages were given up",
    ),
    "a late message": (
        lambda: organization(undelivered=Undelivered(NOW - OLD, 0)), "outbox.overdue", "problem", "10 min longer",
    ),
    "a broken rule": (
        lambda: organization(rules={"spike": RuleHealth(3, NOW, "no such table")}),
        "alerts.rules", "problem", "spike: no such table",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_found_once_with_its_cure(case: str) -> None:
    make, check, level, words = CASES[case]
    found = [each for each in bad(make()) if each.check == check]
    assert [(each.level.value, words in each.sentence, bool(each.cure)) for each in found] == [(level, True, True)], (
        found
    )


@pytest.mark.parametrize("case", CASES)
def test_nothing_else_is_called_a_problem(case: str) -> None:
    make, check, _, _ = CASES[case]
    assert {each.check for each in bad(make()) if each.level is Level.PROBLEM} <= {check}


def test_events_of_an_outage_that_wait_are_no_trouble_while_a_worker_runs() -> None:
    waits = organization(backlog=Backlog({}, 5, 0))
    assert bad(waits) == []
    assert "ledger.pending" in {each.check for each in bad(slept(waits))}


def test_a_single_machine_on_which_nothing_runs_has_warnings_but_no_problem() -> None:
    private = replace(
        FACTS, redis=RedisFacts("state", is_private=True, said=None), settings=Settings(state_dir="state")
    )
    found = bad(slept(private))
    assert {each.check: each.level.value for each in found} == {
        "redis.reachable": "warning",
        "worker.running": "warning",
    }
    assert all(each.sentence.startswith("No worker or demo is running") for each in found)


def test_a_private_server_that_answers_without_a_worker_is_a_problem() -> None:
    private = replace(FACTS, redis=replace(FACTS.redis, is_private=True))
    assert [(each.check, each.level) for each in bad(slept(private))] == [("worker.running", Level.PROBLEM)]


def test_an_unregistered_agent_is_named_with_the_one_that_was_meant_and_with_what_holds_it_all_the_same() -> None:
    facts = replace(
        governed(
            budgets=[*SOUND["budgets"], {"id": "eng", "per": "team", "applies_to": {"team": "eng"}}],
            policies=[
                *SOUND["policies"],
                {"policy_id": "hr", "effect": "allow", "conditions": [{"agents": ["copilot_hr"]}]},
                {"policy_id": "off", "effect": "allow", "enabled": False},
            ],
        ),
        agent_id="copilot_hrr",
    )
    found = {each.check: each for each in findings(facts) if each.check.startswith("agent.")}
    assert set(found) == {"agent.registered", "agent.would_apply"}
    assert found["agent.registered"].level is Level.PROBLEM
    assert "did you mean 'copilot_hr'?" in found["agent.registered"].sentence
    assert "caches of all services outdated at once" in found["agent.registered"].cure
    assert found["agent.would_apply"].details == {"budgets": ["org"], "rate_limits": ["each"], "policies": ["go"]}


def test_an_agent_that_a_newer_version_removed_is_said_to_have_called() -> None:
    facts = replace(organization(called=frozenset({"zebra"})), agent_id="zebra")
    (found,) = [each for each in findings(facts) if each.check == "agent.registered"]
    assert "a newer version has removed it" in found.sentence
    assert found.details["meant"] is None


def test_a_registered_agent_is_told_what_holds_it_and_what_its_calls_met() -> None:
    facts = replace(
        organization(
            live=document(rate_limits=[], policies=[{"policy_id": "hr", "effect": "allow",
                                                     "conditions": [{"agents": ["copilot_hr"]}]}]),
            agent_reasons={"policy_no_allow": Measures(decisions=4, denied=4)},
        ),
        agent_id="coder",
    )  # fmt: skip
    found = {each.check: each for each in findings(facts) if each.check.startswith("agent.")}
    assert {name: each.level.value for name, each in found.items()} == {
        "agent.registered": "ok",
        "agent.policies": "problem",
        "agent.budgets": "ok",
        "agent.rates": "warning",
        "agent.denials": "problem",
    }
    assert "4 calls of agent 'coder'" in found["agent.denials"].sentence


def test_the_agents_own_findings_come_last() -> None:
    checks = [each.check for each in findings(replace(FACTS, agent_id="coder"))]
    first = checks.index("agent.registered")
    assert all(check.startswith("agent.") for check in checks[first:])
    assert not any(check.startswith("agent.") for check in checks[:first])
