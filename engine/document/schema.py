"""The governance document: the one YAML or JSON file that configures an organization."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from engine.document.access_spec import AccessSpec
from engine.document.alert_channels import ChannelSpec, ResponderSpec, TimeOfDay
from engine.document.alert_rules import RouteName, RuleEntry
from engine.document.parts import (
    Count,
    Effective,
    Id,
    Part,
    Price,
    Scope,
    Share,
    Text,
    Usd,
    checked_by,
    decimal_of_float,
    with_preset,
)
from engine.document.policy_spec import PolicySpec
from engine.document.presets import BUDGET_PRESETS, RATE_PRESETS, BudgetPreset, RatePreset
from engine.document.raise_spec import MOST_RAISES, RaiseSpec
from engine.document.shipped_rules import checked
from engine.ids import MODEL_PATTERN
from engine.money import LARGEST_AMOUNT_USD
from engine.policy.time_window import zone
from engine.pricing.options import Override, PriceOptions
from engine.pricing.rows import PRICE_NAMES, read_effective, show_effective

Routes = dict[RouteName, list[Id]]


class AgentSpec(Part):
    """One agent the organization calls. Facts given here cannot be contradicted by a request.

    `tags` left out are unknown until a request names them; an empty list says that the agent has none.
    """

    provider: Id
    team: Id | None = None
    model: Annotated[str, StringConstraints(pattern=MODEL_PATTERN)] | None = None
    environment: Id | None = None
    tags: list[Id] | None = None
    owner: Text | None = None
    value_per_success_usd: Usd | None = None


class AppliesTo(Part):
    """Which calls a budget or rate limit is about. What is left out matches every call."""

    provider: Id | None = None
    team: Id | None = None
    agent: Id | None = None


class ExternalAgentBudget(Part):
    """The limits of a budget (guide, Setting Budget Limits). `None` is unlimited, 0 allows nothing.

    `warning_threshold` and `degradation_threshold` are shares of a cost limit, compared with what would be used if the
    call went ahead. A `soft` budget marks calls beyond it and lets them pass.
    """

    monthly_budget_usd: Usd | None = None
    daily_budget_usd: Usd | None = None
    monthly_execution_limit: Count | None = None
    daily_execution_limit: Count | None = None
    warning_threshold: Share = Decimal("0.80")
    degradation_threshold: Share = Decimal("0.90")
    enforcement_mode: Literal["hard", "soft"] = "hard"


class BudgetSpec(ExternalAgentBudget):
    """A limit on cost and executions, one running total for each `per` value.

    `preset` fills in what is left out (guide, Budget by Provider). `on_outage` says what a hard budget does while Redis
    is away: `bounded` lets each process spend `outage_allowance` of the limit, `closed` nothing. `raises` lift its
    money limits for a while.
    """

    id: Id
    per: Scope
    applies_to: AppliesTo = AppliesTo()
    preset: BudgetPreset | None = None
    on_outage: Literal["bounded", "closed"] = "bounded"
    outage_allowance: Annotated[Decimal, BeforeValidator(decimal_of_float), Field(ge=0, le=1)] = Decimal("0.01")
    raises: Annotated[list[RaiseSpec], Field(max_length=MOST_RAISES)] = []

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: Any) -> Any:
        return with_preset(values, BUDGET_PRESETS)

    @model_validator(mode="after")
    def _raises_fit(self) -> BudgetSpec:
        for raised, limited, limit in (
            ("monthly_usd", "monthly_budget_usd", self.monthly_budget_usd),
            ("daily_usd", "daily_budget_usd", self.daily_budget_usd),
        ):
            amounts = [(index, more) for index, each in enumerate(self.raises) if (more := getattr(each, raised))]
            if amounts and limit is None:
                raise ValueError(
                    f"raises.{amounts[0][0]}.{raised}: there is no {limited} to raise, which is unlimited already; "
                    f"leave {raised} out, or give {limited}"
                )
            if amounts and limit is not None and limit + sum(more for _, more in amounts) > LARGEST_AMOUNT_USD:
                raise ValueError(
                    f"raises: with all of them {limited} would be more than ${LARGEST_AMOUNT_USD:,}; remove those that "
                    "have ended"
                )
        return self


class RateLimits(Part):
    """Requests per rolling minute, hour and day (guide, Rate Limits by Use Case). `None` is unlimited.

    Bursts raise the minute's limit to floor(limit x `burst_multiplier`), with `burst_scope: all` every window's.
    `fail_open_on_error` says whether calls may pass while Redis is away, within a limiter of their own process.
    """

    requests_per_minute: Count | None = None
    requests_per_hour: Count | None = None
    requests_per_day: Count | None = None
    burst_multiplier: Annotated[
        Decimal, BeforeValidator(decimal_of_float), Field(ge=1, le=100, allow_inf_nan=False)
    ] = Decimal(1)
    burst_scope: Literal["minute", "all"] = "minute"
    fail_open_on_error: Annotated[bool, Field(strict=True)] = True

    @property
    def limits(self) -> tuple[int | None, int | None, int | None]:
        """Limits of the rolling minute, hour and day, bursts included."""
        return (
            self._raised(self.requests_per_minute, bursts=True),
            self._raised(self.requests_per_hour, bursts=self.burst_scope == "all"),
            self._raised(self.requests_per_day, bursts=self.burst_scope == "all"),
        )

    def _raised(self, limit: int | None, *, bursts: bool) -> int | None:
        return int(limit * self.burst_multiplier) if bursts and limit is not None else limit


class RateLimitConfig(RateLimits):
    """Rate limits, and how a process reaches Redis to keep them (guide, Connection Pooling).

    What concerns Redis is a process's own and not in the document: `Settings.connecting_by` takes it over.
    """

    redis_max_connections: Annotated[int, Field(ge=1, le=10_000, strict=True)] | None = None
    redis_timeout_seconds: Annotated[float, Field(gt=0, le=60)] | None = None


class RateLimitSpec(RateLimits):
    """A limit on requests, one for each `per` value; `preset` fills in what is left out.

    `on_outage` says what happens while Redis is away: `local` (each process limits its own calls), `open` or `closed`.
    Left out, it follows `fail_open_on_error`: local, or closed.
    """

    id: Id
    per: Scope
    applies_to: AppliesTo = AppliesTo()
    preset: RatePreset | None = None
    on_outage: Literal["local", "open", "closed"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: Any) -> Any:
        return with_preset(values, RATE_PRESETS)

    @model_validator(mode="after")
    def _outage_fits(self) -> RateLimitSpec:
        if not self.fail_open_on_error and self.on_outage in ("local", "open"):
            raise ValueError(f"on_outage: {self.on_outage} contradicts fail_open_on_error: false; leave one out")
        return self

    @property
    def outage_mode(self) -> Literal["local", "open", "closed"]:
        """What happens while Redis is away."""
        return self.on_outage or ("local" if self.fail_open_on_error else "closed")


class CopilotCreditsSpec(Part):
    """How the organization buys Copilot Credits. `discount` is a share of the pay-as-you-go price."""

    plan: Literal["pay_as_you_go", "pack", "prepaid"] = "pay_as_you_go"
    discount: Annotated[Decimal, BeforeValidator(decimal_of_float), Field(ge=0, le=0.5)] | None = None

    @model_validator(mode="after")
    def _discount_fits(self) -> CopilotCreditsSpec:
        if self.discount is not None and self.plan != "prepaid":
            raise ValueError("discount: only the prepaid plan has one; leave it out or set plan: prepaid")
        return self

    def __str__(self) -> str:
        return self.plan if self.discount is None else f"{self.plan} less {self.discount.normalize():%}"


class PriceOverrideSpec(Part):
    """The organization's own price for calls that match all of provider, model and agent that are given.

    Prices left out stay the price book's. A date is midnight UTC; left out, the override always holds.
    """

    provider: Id | None = None
    model: Annotated[str, StringConstraints(pattern=MODEL_PATTERN)] | None = None
    agent: Id | None = None
    effective_from: Effective | None = None
    source: Text = "governance document"
    per_call_usd: Price | None = None
    credits_per_call: Price | None = None
    input_usd_per_million: Price | None = None
    output_usd_per_million: Price | None = None
    cached_input_usd_per_million: Price | None = None
    cache_write_usd_per_million: Price | None = None
    terms: list[Literal["data_zone", "batch"]] = []
    buffer: Annotated[Decimal, BeforeValidator(decimal_of_float), Field(ge=0, le=10)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> PriceOverrideSpec:
        if self.provider is None and self.model is None and self.agent is None:
            raise ValueError("an override needs provider, model or agent: which calls does it price?")
        override = self.override()
        if not override.prices and not override.terms and override.buffer is None:
            raise ValueError("an override needs a price, terms or a buffer")
        if self.per_call_usd is not None and self.credits_per_call is not None:
            raise ValueError("credits_per_call: contradicts per_call_usd; give one of them")
        return self

    def __str__(self) -> str:
        calls = ", ".join(
            f"{name} {value}" for name in ("agent", "model", "provider") if (value := getattr(self, name)) is not None
        )
        at = self.override().effective_from
        return calls if at is None else f"{calls} from {show_effective(at)}"

    def override(self) -> Override:
        """As the price list takes it."""
        at = None if self.effective_from is None else read_effective(self.effective_from)
        same = ("provider", "model", "agent", "source", "buffer", *PRICE_NAMES)
        return Override(effective_from=at, terms=tuple(self.terms), **{name: getattr(self, name) for name in same})


class PricesSpec(Part):
    """How the organization uses the price book.

    A call without a price is denied, or assumed to cost what the dearest that could be meant does.
    """

    unknown_price: Literal["deny", "assume"] = "deny"
    copilot_credits: CopilotCreditsSpec = CopilotCreditsSpec()
    overrides: list[PriceOverrideSpec] = []

    @model_validator(mode="after")
    def _overrides_differ(self) -> PricesSpec:
        calls = [str(override) for override in self.overrides]
        if len(set(calls)) < len(calls):
            twice = next(each for each in calls if calls.count(each) > 1)
            raise ValueError(f"overrides: two are for {twice}; join them")
        return self

    def options(self) -> PriceOptions:
        """As the price list takes them."""
        return PriceOptions(
            unknown_price=self.unknown_price,
            plan=self.copilot_credits.plan,
            discount=self.copilot_credits.discount,
            overrides=tuple(spec.override() for spec in self.overrides),
        )


class ReviewsSpec(Part):
    """Who gets the daily, weekly and monthly reviews, and at what time of day in the organization's zone.

    An empty list sends them to nobody; pages show them all the same.
    """

    model_config = ConfigDict(use_attribute_docstrings=True)

    daily: list[Id] | None = None
    """Channels of the daily review. Left out, those of the route warning."""
    weekly: list[Id] | None = None
    """Channels of the weekly review, sent on Mondays. Left out, those of the route warning."""
    monthly: list[Id] | None = None
    """Channels of the monthly review, sent on the first. Left out, those of the route management."""
    at: TimeOfDay = "08:00"
    """When they are sent, such as 08:00, in the organization's time zone."""


class AlertsSpec(Part):
    """Channels by name, which route goes to which channels, and rules beside the shipped ones.

    An alert about an owner's, a team's or a provider's calls takes their route instead where they have one of that
    name; the owner comes first, the provider last.
    """

    model_config = ConfigDict(use_attribute_docstrings=True)

    channels: dict[Id, ChannelSpec] = {}
    routes: Routes = {}
    by_owner: dict[Text, Routes] = {}
    """Routes for alerts about the agents of an owner, by the owner's name."""
    by_team: dict[Id, Routes] = {}
    """Routes for alerts about a team or its agents, by the team's name."""
    by_provider: dict[Id, Routes] = {}
    """Routes for alerts about a provider's agents, by the provider's name."""
    fallback: list[Id] = []
    """Channels that take the messages of one that cannot be reached any more. Left out, the others of its route."""
    responders: dict[Id, ResponderSpec] = {}
    """Who may acknowledge and silence alerts, by the name that audit entries show."""
    reviews: ReviewsSpec = ReviewsSpec()
    """Who gets the daily, weekly and monthly reviews, and when."""
    rules: Annotated[list[Annotated[RuleEntry, AfterValidator(checked)]], Field(max_length=500)] = []
    """Rules of your own. One with the id of a shipped rule changes that one, or turns it off."""

    @model_validator(mode="after")
    def _routes_exist(self) -> AlertsSpec:
        for path, routes in self._routes():
            for name, channels in routes.items():
                for channel in channels:
                    if channel not in self.channels:
                        raise ValueError(f"{path}.{name}: names channel {channel!r}, which channels does not have")
        for channel in self.fallback:
            if channel not in self.channels:
                raise ValueError(f"fallback: names channel {channel!r}, which channels does not have")
        for kind in ("daily", "weekly", "monthly"):
            for channel in getattr(self.reviews, kind) or ():
                if channel not in self.channels:
                    raise ValueError(f"reviews.{kind}: names channel {channel!r}, which channels does not have")
        return self

    def review_channels(self, kind: Literal["daily", "weekly", "monthly"]) -> list[str]:
        """The channels of a kind of review, each once; none where neither it nor its route is configured."""
        own: list[str] | None = getattr(self.reviews, kind)
        route: RouteName = "management" if kind == "monthly" else "warning"
        return list(dict.fromkeys(self.routes.get(route, []) if own is None else own))

    @model_validator(mode="after")
    def _rule_ids_are_unique(self) -> AlertsSpec:
        ids = [rule.id for rule in self.rules]
        if len(set(ids)) < len(ids):
            twice = next(rule_id for rule_id in ids if ids.count(rule_id) > 1)
            raise ValueError(f"rules: the id {twice!r} is used more than once")
        return self

    def _routes(self) -> Iterator[tuple[str, Routes]]:
        yield "routes", self.routes
        for field in ("by_owner", "by_team", "by_provider"):
            yield from ((f"{field}.{name}", routes) for name, routes in getattr(self, field).items())


class GovernanceDocument(Part):
    """Everything that governs one organization.

    `expired_holds` says what becomes of a hold that nobody settled: its reserve is charged, or released.
    """

    organization: Id
    timezone: Annotated[str, checked_by(zone)] = "UTC"
    combining: Literal["deny_overrides", "allow_overrides", "first_applicable"] = "deny_overrides"
    expired_holds: Literal["charge", "release"] = "charge"
    agents: dict[Id, AgentSpec] = {}
    budgets: list[BudgetSpec] = []
    rate_limits: list[RateLimitSpec] = []
    policies: list[PolicySpec] = []
    prices: PricesSpec = PricesSpec()
    alerts: AlertsSpec = AlertsSpec()
    access: AccessSpec = AccessSpec()

    @model_validator(mode="after")
    def _ids_are_unique(self) -> GovernanceDocument:
        for part, ids in (
            ("budgets", [budget.id for budget in self.budgets]),
            ("rate_limits", [limit.id for limit in self.rate_limits]),
            ("policies", [policy.policy_id for policy in self.policies]),
        ):
            if len(set(ids)) < len(ids):
                twice = next(identifier for identifier in ids if ids.count(identifier) > 1)
                raise ValueError(f"{part}: the id {twice!r} is used more than once")
        return self
