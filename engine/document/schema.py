"""The governance document: the one YAML or JSON file that configures an organization."""

from __future__ import annotations

import unicodedata
from decimal import Decimal
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from engine.ids import ID_PATTERN, MODEL_PATTERN
from engine.money import LARGEST_AMOUNT_USD

Id = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
Scope = Literal["org", "team", "user", "agent", "provider"]


def _decimal_of_float(value: Any) -> Any:
    return str(value) if isinstance(value, float) else value


Usd = Annotated[Decimal, BeforeValidator(_decimal_of_float), Field(ge=0, le=LARGEST_AMOUNT_USD, max_digits=16)]
Count = Annotated[int, Field(ge=0, le=1_000_000_000, strict=True)]


def _plain(text: str) -> str:
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise ValueError("must be one line of text without control characters")
    return text


Text = Annotated[str, StringConstraints(max_length=256), AfterValidator(_plain)]
"""Words for people: a database or a Slack message can hold them."""


class Part(BaseModel):
    """A part of the document: unknown keys are refused, nothing can be changed after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class AgentSpec(Part):
    """One agent the organization calls. Facts given here cannot be contradicted by a request."""

    provider: Id
    team: Id | None = None
    model: Annotated[str, StringConstraints(pattern=MODEL_PATTERN)] | None = None
    environment: Id | None = None
    tags: list[Id] = []
    owner: Text | None = None
    value_per_success_usd: Usd | None = None


class AppliesTo(Part):
    """Which calls a budget or rate limit is about. What is left out matches every call."""

    provider: Id | None = None
    team: Id | None = None
    agent: Id | None = None


class BudgetSpec(Part):
    """A limit on cost and executions, one running total for each `per` value."""

    id: Id
    per: Scope
    applies_to: AppliesTo = AppliesTo()
    monthly_budget_usd: Usd | None = None
    daily_budget_usd: Usd | None = None
    monthly_execution_limit: Count | None = None
    daily_execution_limit: Count | None = None
    warning_threshold: Annotated[Decimal, BeforeValidator(_decimal_of_float), Field(gt=0, le=1)] = Decimal("0.80")
    enforcement_mode: Literal["hard"] = "hard"


class RateLimitSpec(Part):
    """A limit on requests per rolling minute, hour and day, one for each `per` value."""

    id: Id
    per: Scope
    applies_to: AppliesTo = AppliesTo()
    requests_per_minute: Count | None = None
    requests_per_hour: Count | None = None
    requests_per_day: Count | None = None
    burst_multiplier: Annotated[
        Decimal, BeforeValidator(_decimal_of_float), Field(ge=1, le=100, allow_inf_nan=False)
    ] = Decimal(1)

    @property
    def limits(self) -> tuple[int | None, int | None, int | None]:
        """Limits of the rolling minute (raised by the burst multiplier, rounded down), hour and day."""
        minute = self.requests_per_minute
        return (
            None if minute is None else int(minute * self.burst_multiplier),
            self.requests_per_hour,
            self.requests_per_day,
        )


class ConditionSpec(Part):
    """When a policy applies. All parts given must hold."""

    environments: Annotated[list[Id], Field(min_length=1)] | None = None
    providers: Annotated[list[Id], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _names_something(self) -> ConditionSpec:
        if self.environments is None and self.providers is None:
            raise ValueError("a condition needs environments or providers")
        return self


class PolicySpec(Part):
    """ALLOW or DENY when all conditions apply; without conditions, for every call."""

    policy_id: Id
    effect: Literal["allow", "deny"]
    priority: Annotated[int, Field(ge=1, le=1000, strict=True)] = 50
    enabled: bool = True
    conditions: list[ConditionSpec] = []


class PricesSpec(Part):
    """How calls are priced."""

    unknown_price: Literal["deny"] = "deny"


class ChannelSpec(Part):
    """Where notifications go: a Slack channel, or the `log` that pages show."""

    slack: Text | None = None
    mention: Text | None = None
    log: bool = False

    @model_validator(mode="after")
    def _goes_somewhere(self) -> ChannelSpec:
        if (self.slack is None) == (not self.log):
            raise ValueError("a channel needs either slack: '#channel' or log: true")
        return self


class AlertsSpec(Part):
    """Channels by name, and which severity goes to which channels."""

    channels: dict[Id, ChannelSpec] = {}
    routes: dict[Literal["critical", "warning"], list[Id]] = {}

    @model_validator(mode="after")
    def _routes_exist(self) -> AlertsSpec:
        for severity, names in self.routes.items():
            for name in names:
                if name not in self.channels:
                    raise ValueError(f"routes.{severity} names channel {name!r}, which channels does not have")
        return self


class GovernanceDocument(Part):
    """Everything that governs one organization."""

    organization: Id
    timezone: str = "UTC"
    combining: Literal["deny_overrides"] = "deny_overrides"
    agents: dict[Id, AgentSpec] = {}
    budgets: list[BudgetSpec] = []
    rate_limits: list[RateLimitSpec] = []
    policies: list[PolicySpec] = []
    prices: PricesSpec = PricesSpec()
    alerts: AlertsSpec = AlertsSpec()

    @field_validator("timezone")
    @classmethod
    def _zone_exists(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (OSError, ValueError, KeyError):
            raise ValueError(f"no such time zone {name!r}; use an IANA name such as America/New_York") from None
        return name

    @model_validator(mode="after")
    def _ids_are_unique(self) -> GovernanceDocument:
        for part, ids in (
            ("budgets", [budget.id for budget in self.budgets]),
            ("rate_limits", [limit.id for limit in self.rate_limits]),
            ("policies", [policy.policy_id for policy in self.policies]),
        ):
            for identifier in ids:
                if ids.count(identifier) > 1:
                    raise ValueError(f"{part}: the id {identifier!r} is used more than once")
        return self
