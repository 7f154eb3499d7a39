"""What lint has to say: findings, each with a call that shows it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from engine.policy.conditions import known_tags
from engine.policy.context import PolicyContext


class FindingCode(StrEnum):
    """What is wrong with a policy, an agent, or all policies together."""

    NEVER_APPLICABLE = "never_applicable"
    SHADOWED = "shadowed"
    ALLOW_CANNOT_WIN = "allow_cannot_win"
    UNCOVERED_AGENT = "uncovered_agent"
    NO_ALLOW = "no_allow"
    ONE_SECOND_HOLE = "one_second_hole"
    BAND = "band"
    UNDECIDED = "undecided"


_SHOWN = (
    ("environment", "environment"),
    ("provider", "provider"),
    ("team_id", "team"),
    ("user_id", "user"),
    ("action", "action"),
    ("tags", "tags"),
    ("country", "country"),
    ("ip", "ip"),
)


@dataclass(frozen=True, slots=True)
class Example:
    """A call that can happen: its facts and its instant. `asked` are the facts that some policy looks at."""

    request: PolicyContext
    at: datetime
    asked: frozenset[str] = frozenset()

    def __str__(self) -> str:
        parts = [f"agent={self.request.agent_id}"]
        parts += [f"{word}={_text(getattr(self.request, name))}" for name, word in _SHOWN if name in self.asked]
        return " ".join([*parts, f"time={self.at.isoformat()}"])


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to mend, in a sentence that names the fix; `policy_id` is `None` when it is about no single policy."""

    code: StrEnum
    policy_id: str | None
    message: str
    example: Example | None = None

    def __str__(self) -> str:
        about = "" if self.policy_id is None else f" {self.policy_id}"
        shown = "" if self.example is None else f" For example: {self.example}"
        return f"{self.code}{about}: {self.message}{shown}"


def _text(value: object) -> str:
    if value is None:
        return "unknown"
    tags = known_tags(value)
    return str(value) if tags is None else ",".join(sorted(tags)) or "none"
