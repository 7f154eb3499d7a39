"""The governance document as JSON Schema (2020-12), for editors that check and complete while one types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from engine.document.schema import GovernanceDocument

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SCHEMA_ID = "urn:bursar:governance-document"

_STANDARD_LIMITS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
_NUMBER_AS_TEXT = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"


def document_schema() -> dict[str, Any]:
    """A JSON Schema of the document, as a new dictionary.

    It knows every key, type and limit, but not what ties parts together, such as an id that must be used once.
    """
    schema = _completed(GovernanceDocument.model_json_schema())
    schema["properties"]["based_on"] = {"type": "integer", "minimum": 1}
    # A policy's preset names it and its effect.
    policy = schema["$defs"]["PolicySpec"]
    policy["anyOf"] = [
        {"required": policy.pop("required")},
        {"properties": {"preset": {"type": "string"}}, "required": ["preset"]},
    ]
    for part, words in DESCRIPTIONS.items():
        place = schema if part == "GovernanceDocument" else schema["$defs"].get(part, {})
        for name, description in words.items():
            if name in place.get("properties", {}):
                place["properties"][name]["description"] = description
    return {"$schema": DIALECT, "$id": SCHEMA_ID, "title": "Bursar governance document", **schema}


def known_keys(path: Sequence[int | str], schema: Mapping[str, Any] | None = None) -> tuple[str, ...]:
    """The keys that a document has at `path`; none where people choose the names themselves.

    `schema` is that of another kind of file than the governance document.
    """
    schema = schema or _schema()
    places = [schema]
    for step in path:
        places = [inner for place in places for inner in _below(place, step, schema)]
    names = (name for place in places for way in _ways(place, schema) for name in way.get("properties", {}))
    return tuple(dict.fromkeys(names))


def _completed(place: Any) -> Any:
    """Pydantic's schema in the words of the standard, without the titles it makes of names."""
    if isinstance(place, list):
        return [_completed(inner) for inner in place]
    if not isinstance(place, dict):
        return place
    completed: dict[str, Any] = {}
    for name, inner in place.items():
        if name in ("properties", "$defs", "patternProperties"):
            completed[name] = {key: _completed(value) for key, value in inner.items()}
        elif name in _STANDARD_LIMITS:
            # Limits of decimals come under pydantic's own names, and as text.
            completed[_STANDARD_LIMITS[name]] = float(inner)
        elif name == "description":
            completed[name] = " ".join(inner.split())
        elif name not in ("title", "max_digits", "decimal_places"):
            completed[name] = _completed(inner)
    if "patternProperties" in completed:
        completed.setdefault("additionalProperties", False)
    if completed.get("anyOf", ())[:2] == [{"type": "number"}, {"type": "string"}]:
        completed["anyOf"] = [{"type": "number"}, {"type": "string", "pattern": _NUMBER_AS_TEXT}]
    return completed


@lru_cache(maxsize=1)
def _schema() -> dict[str, Any]:
    return document_schema()


def _below(place: Mapping[str, Any], step: int | str, schema: Mapping[str, Any]) -> Iterator[Any]:
    for way in _ways(place, schema):
        if isinstance(step, int):
            inner = [way.get("items")]
        elif step in way.get("properties", {}):
            inner = [way["properties"][step]]
        else:
            inner = [way.get("additionalProperties"), *way.get("patternProperties", {}).values()]
        yield from (schema for schema in inner if isinstance(schema, dict))


def _ways(place: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What `place` may be, with references followed."""
    if "$ref" in place:
        yield from _ways(schema["$defs"][str(place["$ref"]).rpartition("/")[2]], schema)
        return
    yield place
    for choice in (*place.get("anyOf", ()), *place.get("oneOf", ()), *place.get("allOf", ())):
        yield from _ways(choice, schema)


_NAME = "Its name in decisions, alerts and pages. Use it once."
_PRESET = "Fills in what is left out below with the guide's values; what is given here wins."
_LIMIT = "Left out is unlimited, 0 allows nothing."

# What an editor shows beside a key.
DESCRIPTIONS: Mapping[str, Mapping[str, str]] = {
    "GovernanceDocument": {
        "organization": "The name under which everything is recorded. Another name is another organization.",
        "based_on": "The version this file was made from. Applying it is refused when others changed it since.",
        "timezone": "Where the days and months of budgets begin, as an IANA name such as America/New_York.",
        "combining": "Which policy wins when several apply. With deny_overrides any DENY does.",
        "expired_holds": "What becomes of a call that nobody settled: its reserve is charged, or released.",
        "agents": "The agents you call, by name.",
        "budgets": "Limits on cost and executions by calendar month and day. A call must fit into all that apply.",
        "rate_limits": "Limits on requests in any minute, hour and day. A call must fit into all that apply.",
        "policies": "Who may call what, when and from where. A call that no policy allows is denied.",
        "prices": "How calls are priced.",
        "alerts": "Who is told what.",
        "access": "Who may use the pages, and for what.",
    },
    "AgentSpec": {
        "provider": "Who runs the agent: copilot_studio, custom_rest_api, third_party_agent, webhook, power_automate, "
        "azure_openai, openai, anthropic, or a name of your own.",
        "team": "The team that owns the agent.",
        "model": "The model, for providers that charge for tokens.",
        "environment": "Where the agent runs, such as production.",
        "tags": "Words that policies can ask for. Left out is unknown; an empty list says there are none.",
        "owner": "Whom to ask about the agent.",
        "value_per_success_usd": "What one successful call is worth, to compare with what it costs.",
    },
    "AppliesTo": {
        "provider": "Only calls of this provider's agents.",
        "team": "Only calls of this team.",
        "agent": "Only calls of this agent.",
    },
    "BudgetSpec": {
        "id": _NAME,
        "per": "One total for the organization, or one for each team, user, agent or provider.",
        "applies_to": "Which calls count. Left out, all do.",
        "preset": _PRESET,
        "monthly_budget_usd": f"US dollars in a calendar month. {_LIMIT}",
        "daily_budget_usd": f"US dollars in a calendar day. {_LIMIT}",
        "monthly_execution_limit": f"Calls in a calendar month. {_LIMIT}",
        "daily_execution_limit": f"Calls in a calendar day. {_LIMIT}",
        "warning_threshold": "The share of a cost limit from which decisions carry a warning.",
        "degradation_threshold": "The share of a cost limit from which callers are asked to take their cheaper way.",
        "enforcement_mode": "hard denies calls beyond the limit, soft marks them and lets them pass.",
        "on_outage": "While Redis is away: bounded lets each process spend outage_allowance, closed nothing.",
        "outage_allowance": "The share of the limit that each process may spend while Redis is away.",
        "raises": "Raises of its money limits for a while. Each begins and ends by itself.",
    },
    "RateLimitSpec": {
        "id": _NAME,
        "per": "One limit for the organization, or one for each team, user, agent or provider.",
        "applies_to": "Which calls count. Left out, all do.",
        "preset": _PRESET,
        "requests_per_minute": f"Requests in any 60 seconds. {_LIMIT}",
        "requests_per_hour": f"Requests in any 60 minutes. {_LIMIT}",
        "requests_per_day": f"Requests in any 24 hours. {_LIMIT}",
        "burst_multiplier": "Raises the limit of a minute for bursts; 1.5 lets 15 pass instead of 10.",
        "burst_scope": "Whether bursts raise the minute's limit only, or those of hour and day too.",
        "fail_open_on_error": "Whether calls may pass while Redis is away.",
        "on_outage": "While Redis is away: local limits within each process, open lets all calls pass, closed none.",
    },
    "PolicySpec": {
        "policy_id": _NAME,
        "effect": "What the policy does when all its conditions apply.",
        "priority": "A lower number comes first: 1 to 10 security, 11 to 50 compliance, 51 to 100 operations.",
        "enabled": "Whether the policy is looked at.",
        "shadow": "Evaluated and recorded, without deciding anything. For trying out a policy.",
        "preset": _PRESET,
        "conditions": "All must apply. Without any, the policy applies to every call.",
    },
    "ConditionSpec": {
        "environments": "The agent runs in one of these.",
        "providers": "The agent is one of these providers'.",
        "agents": "The agent is one of these.",
        "teams": "The call is one of these teams'.",
        "users": "The call is one of these users'.",
        "actions": "What is asked of the agent is one of these; invoke unless the call says otherwise.",
        "tags": "What the agent's tags must be.",
        "countries": "The call comes from one of these, as ISO 3166 codes of two letters such as US.",
        "ips": "The call comes from one of these addresses or networks, such as 203.0.113.0/24.",
        "business_hours": "The call is made at these hours of these days.",
        "maintenance_windows": "The call is made in one of these windows.",
    },
    "TagsSpec": {
        "required": "The agent has all of these.",
        "any": "The agent has at least one of these.",
        "blocked": "The agent has none of these.",
    },
    "BusinessHoursSpec": {
        "days": "Days of the week in English. Hours over midnight belong to the day on which they start.",
        "start_time": "From this time on, such as 09:00.",
        "end_time": "Until just before this time, such as 17:00; 24:00 is the end of the day.",
        "timezone": "Whose clock is meant, as an IANA name such as America/New_York.",
    },
    "MaintenanceWindowSpec": {
        "start": "From this instant on, with its offset, such as 2026-12-25T00:00:00Z.",
        "end": "Until just before this instant, with its offset.",
    },
    "PricesSpec": {
        "unknown_price": "A call whose price nobody knows is denied, or assumed to cost what the dearest price says.",
        "copilot_credits": "How Copilot Credits are bought.",
        "overrides": "Prices of your own, where the price book's are not what you pay.",
    },
    "CopilotCreditsSpec": {
        "plan": "pay_as_you_go is $0.01 a credit, pack $200 for 25,000 a month, prepaid the former less a discount.",
        "discount": "The share taken off under the prepaid plan: 0.15 for 15 %. Left out, the price book's.",
    },
    "PriceOverrideSpec": {
        "provider": "Only calls of this provider's agents.",
        "model": "Only calls of this model.",
        "agent": "Only calls of this agent. The narrowest override counts.",
        "effective_from": "From this day on, which begins at midnight UTC, or from a time with its offset.",
        "source": "Who says so, such as the contract's number.",
        "per_call_usd": "US dollars for a call of standard complexity.",
        "credits_per_call": "Copilot Credits for a call of standard complexity that does not tell how many it takes.",
        "input_usd_per_million": "US dollars for a million input tokens, without those read from a cache.",
        "output_usd_per_million": "US dollars for a million output tokens.",
        "cached_input_usd_per_million": "US dollars for a million tokens read from a prompt cache.",
        "cache_write_usd_per_million": "US dollars for a million tokens written to a prompt cache.",
        "terms": "Terms that multiply token prices: data_zone is 10 % more, batch half.",
        "buffer": "The share held on top of an estimate: 0.2 for 20 %.",
    },
    "ChannelSpec": {
        "slack": "A Slack channel, such as #agent-ops.",
        "mention": "Who is mentioned there, such as @oncall.",
        "log": "Notifications are kept for the pages and sent nowhere.",
    },
    "AlertsSpec": {
        "channels": "Where notifications can go, by names of your own.",
        "routes": "Which severity goes to which channels.",
    },
}
