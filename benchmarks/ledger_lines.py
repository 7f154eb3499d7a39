"""The decisions and events of a made-up day as the lines of a PostgreSQL COPY."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import datetime, timedelta

from benchmarks.ledger_day import STATES, Day
from benchmarks.ledger_world import (
    COMPLEXITIES,
    DAILY_LIMIT,
    ENVIRONMENTS,
    MONTHLY_LIMIT,
    ORG,
    ORG_LIMITS,
    REASONS,
    USER_LIMITS,
    agents,
    user_name,
)
from engine.clock import to_ms

DECISION_COLUMNS = (
    "decision_id", "org_id", "at", "agent_id", "team_id", "user_id", "provider", "model", "environment", "complexity",
    "action", "outcome", "reason", "message", "state", "estimate_micros", "reserve_micros", "spent_micros",
    "actual_micros", "success", "input_tokens", "output_tokens", "expires_at", "closed_at", "document_version",
    "price_book_version", "prepare_us", "fail_open", "tests",
)  # fmt: skip
_HOLD, _CLOSES_AFTER = timedelta(minutes=5), timedelta(seconds=20)


def decision_lines(day: Day) -> Iterator[tuple[str, str]]:
    """The id and the line of each decision, oldest first."""
    facts = [f"{each.agent_id}\t{each.team_id}\t%s\t{each.provider}\t{each.model}\t%s\t%s\tinvoke" for each in agents()]
    tests = _tests(day.start)
    verdicts = [
        f"{'allowed' if reason == 'allowed' else 'denied'}\t{reason}\t{message}" for reason, _, message in REASONS
    ]
    names = ("micros", "agent", "user", "complexity", "environment", "reason", "state", "estimate", "reserve", "spent",
             "actual", "success", "tokens", "prepare_us", "fail_open")  # fmt: skip
    random = os.urandom(10 * len(day.frame)).hex()
    start_ms = to_ms(day.start)
    columns = [day.frame[name].tolist() for name in names]
    for index, row in enumerate(zip(*columns, strict=True)):
        (micros, agent, user, complexity, environment, reason, state, estimate, reserve, spent, actual, success, tokens,
         prepare_us, fail_open) = row  # fmt: skip
        text, dice = f"{start_ms + micros // 1000:012x}", random[index * 20 : index * 20 + 18]
        decision_id = f"{text[:8]}-{text[8:]}-7{dice[:3]}-a{dice[3:6]}-{dice[6:18]}"
        at = day.start + timedelta(microseconds=micros)
        user_id = user_name(user)
        who = facts[agent] % (user_id, ENVIRONMENTS[environment], COMPLEXITIES[complexity])
        settled = state == 0
        yield (
            decision_id,
            "\t".join(
                (
                    decision_id,
                    ORG,
                    at.isoformat(),
                    who,
                    verdicts[reason],
                    STATES[state],
                    f"{estimate}\t{reserve}\t{spent}",
                    f"{actual}\t{'t' if success else 'f'}" if settled else "\\N\t\\N",
                    f"{tokens}\t{tokens // 3 if settled else 0}" if tokens >= 0 else "\\N\t\\N",
                    (at + _HOLD).isoformat() if state != 4 else "\\N",
                    (at + _CLOSES_AFTER).isoformat() if state < 3 else "\\N",
                    f"3\t2026-11-01\t{prepare_us}\t{'t' if fail_open else 'f'}",
                    tests[agent, reason].replace("user-0000", user_id).replace("123456789", str(reserve * 77)),
                )
            ),
        )


def _tests(start: datetime) -> dict[tuple[int, int], str]:
    """What was tested, as the ledger writer keeps it, by agent and reason."""
    month, date = start.date().isoformat()[:7], start.date().isoformat()
    found = {}
    for number, agent in enumerate(agents()):
        for code, (reason, _, _) in enumerate(REASONS):
            by_policy = reason.startswith("policy")
            counters = [
                _counter("org", ORG, "month", month, MONTHLY_LIMIT),
                _counter("org", ORG, "day", date, DAILY_LIMIT),
                _counter("teams", agent.team_id, "month", month, MONTHLY_LIMIT // 8),
            ]
            rates = [
                {"rate_limit_id": "each-user", "per": "user", "scope": "user-0000", "used": [4, 31, 77],
                 "limits": list(USER_LIMITS)},
                {"rate_limit_id": "org-ceiling", "per": "org", "scope": ORG, "used": [81, 2_311, 40_777],
                 "limits": list(ORG_LIMITS)},
            ]  # fmt: skip
            found[number, code] = json.dumps(
                {
                    "policy": {
                        "effect": "deny" if by_policy else "allow",
                        "reason": reason if by_policy else "allowed",
                        "matched": ["block_dev"] if reason == "policy_deny" else [] if by_policy else ["office"],
                        "facts": {"country": "US", "tags": ["approved", "hr"]},
                        "shadow": {"effect": "allow", "matched": []},
                    },
                    "counters": [] if by_policy else counters,
                    "rates": [] if by_policy else rates,
                }
            )
    return found


def _counter(budget_id: str, scope: str, period: str, label: str, limit: int) -> dict[str, object]:
    return {
        "budget_id": budget_id,
        "scope": scope,
        "period": period,
        "period_label": label,
        "limit_micros": limit,
        "execution_limit": None,
        "spent_micros": 123456789,
        "held_micros": 120_000,
        "executions": 900,
        "hard": True,
        "warning_micros": limit * 8 // 10,
        "degradation_micros": limit * 9 // 10,
    }
