"""What is asked of the gate, validated before anything is written."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from engine.document.schema import AgentSpec, GovernanceDocument
from engine.errors import InvalidValue
from engine.ids import check_id, check_model
from engine.money import Micros, to_micros
from engine.policy.context import PolicyContext
from engine.pricing.rows import check_complexity
from engine.pricing.usage import USAGE_NAMES, Usage, read_usage

MOST_TAGS = 100
_PLACE = re.compile(r"[A-Za-z0-9 .:/%_-]{0,64}")


@dataclass(frozen=True, slots=True)
class Request:
    """One call as its caller describes it: the arguments of `check`, and the caller's own name for the call."""

    facts: Mapping[str, Any]
    idempotency_key: str | None = None

    def __post_init__(self) -> None:
        if self.idempotency_key is not None:
            check_id(self.idempotency_key, "idempotency_key")


_ADDED = ("cached_input_tokens", "cache_write_tokens", "credits")


def request_hash(request: Request) -> str:
    """What tells a call from another one under the same idempotency key: 32 hexadecimal digits."""
    # Arguments that came later count for nothing when left out: a key used before an upgrade fits after it.
    facts = {name: value for name, value in request.facts.items() if value is not None or name not in _ADDED}
    if isinstance(facts.get("tags"), list | tuple | set | frozenset):
        facts["tags"] = sorted(map(str, facts["tags"]))
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def read_requests(requests: Iterable[Mapping[str, Any]]) -> list[Request]:
    """Type mappings of `check`'s arguments. Raises `InvalidValue` naming what is not one of them."""
    read = []
    for request in requests:
        if not isinstance(request, Mapping):
            raise InvalidValue("requests", f"must be mappings of the arguments of check, got {type(request).__name__}")
        facts = dict(request)
        key = facts.pop("idempotency_key", None)
        unknown = sorted(set(facts) - REQUEST_NAMES)
        if unknown:
            raise InvalidValue(str(unknown[0]), "is not an argument of check")
        if "agent_id" not in facts:
            raise InvalidValue("agent_id", "is missing")
        read.append(Request(facts, key))
    return read


class CallSize(NamedTuple):
    """How large a call will be, as far as its caller knows: what it uses, or what it will cost in micro-dollars."""

    usage: Usage
    estimated_cost: Micros | None


class CallFacts(NamedTuple):
    """Who calls what, in which way and from where, from the request and from the agent's registration."""

    org_id: str
    agent_id: str
    provider: str
    team_id: str | None
    user_id: str | None
    model: str | None
    environment: str | None
    complexity: str
    action: str
    tags: tuple[str, ...] | None = None
    country: str | None = None
    ip: str | None = None

    def scope_value(self, per: str) -> str | None:
        """Whose counter this call belongs to, for `per` org, team, user, agent or provider."""
        values: dict[str, str | None] = {
            "org": self.org_id,
            "team": self.team_id,
            "user": self.user_id,
            "agent": self.agent_id,
            "provider": self.provider,
        }
        return values[per]

    def policy_context(self) -> PolicyContext:
        """What policies look at."""
        return PolicyContext(
            org_id=self.org_id,
            team_id=self.team_id,
            user_id=self.user_id,
            agent_id=self.agent_id,
            provider=self.provider,
            environment=self.environment,
            tags=self.tags,
            country=self.country,
            ip=self.ip,
            action=self.action,
        )


def check_organization(governed: str, org_id: str | None) -> None:
    """Refuse another organization's name than the one governed; none is fine."""
    if org_id is not None and org_id != governed:
        raise InvalidValue("org_id", f"this service governs {governed!r}, not {org_id!r}")


def gather_facts(
    document: GovernanceDocument,
    *,
    agent_id: str,
    org_id: str | None = None,
    team_id: str | None = None,
    user_id: str | None = None,
    action: str = "invoke",
    environment: str | None = None,
    country: str | None = None,
    ip: str | None = None,
    tags: Iterable[str] | None = None,
    complexity: str = "standard",
    model: str | None = None,
) -> CallFacts:
    """Join a request with what the document says of its agent.

    Raises `InvalidValue` (a `ValueError`) naming the field: for an agent the document does not have, a fact that
    contradicts the document, an unknown complexity, bad ids. A country or address that is none is
    no error: it comes from look-ups, and policies take it for unknown.
    """
    check_organization(document.organization, org_id)
    agent = document.agents.get(check_id(agent_id, "agent_id"))
    if agent is None:
        raise InvalidValue("agent_id", f"{agent_id!r} is not registered; {_registered(document)}")
    check_complexity(complexity)
    return CallFacts(
        org_id=document.organization,
        agent_id=agent_id,
        provider=agent.provider,
        team_id=_fact(agent, "team", team_id, "team_id"),
        user_id=None if user_id is None else check_id(user_id, "user_id"),
        model=_fact(agent, "model", model, "model"),
        environment=_fact(agent, "environment", environment, "environment"),
        complexity=complexity,
        action=check_id(action, "action"),
        tags=_tags(agent, tags),
        country=None if country is None else _place(country, "country"),
        ip=None if ip is None else _place(ip, "ip"),
    )


def read_size(request: Mapping[str, Any]) -> CallSize:
    """How large a request says it will be. Raises `InvalidValue` naming a field that is no such number."""
    cost = request.get("estimated_cost")
    return CallSize(read_usage(request), None if cost is None else to_micros(cost, "estimated_cost"))


def _tags(agent: AgentSpec, requested: Iterable[str] | None) -> tuple[str, ...] | None:
    if requested is None:
        return None if agent.tags is None else tuple(agent.tags)
    # Nothing that can be read only once: a call may be prepared several times.
    if not isinstance(requested, list | tuple | set | frozenset):
        raise InvalidValue("tags", f"must be a list of tags, got {requested!r}")
    tags = tuple(requested)
    if len(tags) > MOST_TAGS:
        raise InvalidValue("tags", f"must be at most {MOST_TAGS}, got {len(tags)}")
    for tag in tags:
        check_id(tag, "tags")
    if agent.tags is not None and set(tags) != set(agent.tags):
        raise InvalidValue("tags", f"are {sorted(tags)}, but the agent is registered with {sorted(agent.tags)}")
    return tags


def _place(value: str, field: str) -> str:
    if not isinstance(value, str) or _PLACE.fullmatch(value) is None:
        raise InvalidValue(field, "must be at most 64 letters, digits, spaces or . : / % _ -")
    return value


def _fact(agent: AgentSpec, name: str, requested: str | None, field: str) -> str | None:
    registered: str | None = getattr(agent, name)
    if requested is None:
        return registered
    check_model(requested) if field == "model" else check_id(requested, field)
    if registered is not None and requested != registered:
        raise InvalidValue(field, f"is {requested!r}, but the agent is registered with {registered!r}")
    return requested


def _registered(document: GovernanceDocument) -> str:
    if not document.agents:
        return f"the document of {document.organization!r} has no agents"
    names = sorted(document.agents)
    shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    return f"the agents of {document.organization!r} are {shown}"


FACT_NAMES = tuple(name for name in inspect.signature(gather_facts).parameters if name != "document")
"""The arguments of `check` that say who calls what, in which way and from where."""
REQUEST_NAMES = frozenset({*FACT_NAMES, *USAGE_NAMES, "estimated_cost"})
"""The arguments of `check` that describe the call."""
