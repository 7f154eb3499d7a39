"""Alert rules as a governance document writes them: what is watched, from when on it is an alert, who is told."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from engine.document.parts import Count, Id, Part, Text

Severity = Literal["critical", "warning", "info"]
RouteName = Literal["critical", "warning", "info", "management", "escalation"]
Kind = Literal["latched", "level"]
Comparison = Literal[">=", ">", "<=", "<"]
NoDataPolicy = Literal["hold", "zero", "alert"]
GroupName = Literal["team", "agent", "provider", "model", "environment", "reason"]

CountMetric = Literal[
    "budget_overspend_count",
    "rate_limit_exceeded_count",
    "rate_limit_fail_open_count",
    "policy_deny_count",
    "daily_execution_count",
    "decision_count",
]
LatencyMetric = Literal["governance_check_latency_ms", "policy_evaluation_time_ms"]
BudgetMetric = Literal[
    "budget_usage_percentage",
    "budget_remaining_usd",
    "budget_forecast_percentage",
    "budget_days_uncovered",
]
ShareMetric = Literal["rate_limit_remaining", "cost_variance_percentage", "unsettled_percentage"]
OtherMetric = Literal[
    "spent_usd",
    "spend_anomaly_usd",
    "fail_open_seconds",
    "ledger_lag_seconds",
    "redis_evicted_keys",
    "redis_evicting_policy",
    "credential_age_days",
    "watchdog",
]
Metric = Literal[CountMetric, LatencyMetric, BudgetMetric, ShareMetric, OtherMetric]

COUNT_METRICS: frozenset[str] = frozenset(get_args(CountMetric))
LATENCY_METRICS: frozenset[str] = frozenset(get_args(LatencyMetric))
BUDGET_METRICS: frozenset[str] = frozenset(get_args(BudgetMetric))
SHARE_METRICS: frozenset[str] = frozenset(
    (
        "budget_usage_percentage",
        "budget_forecast_percentage",
        *get_args(ShareMetric),
    )
)
"""Their values are shares: 0.95 is 95 %."""
ALWAYS_LATCHED = frozenset(("budget_usage_percentage", "budget_forecast_percentage", "budget_days_uncovered"))
LATCHED_WINDOWS: Mapping[str, str] = {
    "daily_execution_count": "day",
    "spend_anomaly_usd": "day",
    "budget_forecast_percentage": "month",
    "budget_days_uncovered": "month",
}
"""The calendar's own time of what a latched rule watches: in it the rule fires once."""
MAY_LATCH = ALWAYS_LATCHED | LATCHED_WINDOWS.keys()
LARGEST_SHARE = 10

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DURATION = re.compile(r"(?:0|[1-9][0-9]{0,6})[smhd]", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,12})?%?", re.ASCII)
LONGEST = timedelta(days=31)


def length_of(duration: str) -> timedelta:
    """How long `90s`, `5m`, `24h` or `7d` is."""
    return timedelta(seconds=int(duration[:-1]) * _UNITS[duration[-1]])


def _known_metric(value: Any) -> Any:
    """All names would not fit into one sentence: those that may be meant are enough."""
    known = get_args(Metric)
    if isinstance(value, str) and value in known:
        return value
    close = _closest(value[:128], known) if isinstance(value, str) else []
    guess = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
    raise ValueError(f"is no metric that is kept, got {_shortly(value)}{guess}")


def _closest(metric: str, known: Sequence[str]) -> list[str]:
    """At most three that are written alike, or else share a word."""
    words = set(metric.lower().split("_"))
    close = difflib.get_close_matches(metric, known, n=3, cutoff=0.6)
    return close or [name for name in known if words & set(name.split("_"))][:3]


def _shortly(value: Any) -> str:
    if isinstance(value, str | int | float):
        return repr(value[:60]) if isinstance(value, str) else str(value).lower()
    return "nothing" if value is None else "a list or a mapping"


def _read_duration(value: Any) -> str:
    if not isinstance(value, str) or _DURATION.fullmatch(value) is None:
        raise ValueError("must be a length of time such as 90s, 5m, 24h or 7d")
    if length_of(value) > LONGEST:
        raise ValueError(f"must be at most {LONGEST.days}d")
    seconds = int(length_of(value).total_seconds())
    # One spelling for one meaning: 60s and 1m are no difference between two versions.
    unit = next((unit for unit in "dhm" if seconds and seconds % _UNITS[unit] == 0), "s")
    return f"{seconds // _UNITS[unit]}{unit}"


def _read_window(value: Any) -> str:
    if value in ("day", "month"):
        return str(value)
    window = _read_duration(value)
    length = length_of(window)
    if not length or length % timedelta(minutes=1):
        raise ValueError("must be whole minutes: calls are counted by the minute")
    if length > timedelta(days=2) and length % timedelta(hours=1):
        raise ValueError("must be whole hours when it is longer than 2d: minutes are kept for two days")
    return window


def _read_threshold(value: Any) -> Any:
    """A number, or a percentage as the share that it is: exactly."""
    if not isinstance(value, str):
        return str(value) if isinstance(value, float) else value
    if _NUMBER.fullmatch(value) is None:
        raise ValueError("must be a number such as 20, or a percentage such as 95%")
    try:
        return Decimal(value[:-1]).scaleb(-2) if value.endswith("%") else Decimal(value)
    except InvalidOperation:
        raise ValueError("must be a number such as 20, or a percentage such as 95%") from None


def _linked(text: str) -> str:
    if not text.startswith(("https://", "http://", "docs/")):
        raise ValueError("must be a link that starts with https://")
    return text


Duration = Annotated[
    str, BeforeValidator(_read_duration), WithJsonSchema({"type": "string", "pattern": "^(0|[1-9][0-9]{0,6})[smhd]$"})
]
Window = Annotated[
    str,
    BeforeValidator(_read_window),
    WithJsonSchema({"type": "string", "pattern": "^(day|month|[1-9][0-9]{0,6}[smhd])$"}),
]
Threshold = Annotated[
    Decimal,
    BeforeValidator(_read_threshold),
    Field(ge=0, le=10**12, max_digits=24),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": 10**12},
                {"type": "string", "pattern": r"^[0-9]{1,20}(\.[0-9]{1,12})?%?$"},
            ]
        }
    ),
]
Quantile = Annotated[Decimal, BeforeValidator(_read_threshold), Field(gt=0, lt=1)]
Link = Annotated[Text, AfterValidator(_linked)]


class RuleFilter(Part):
    """What a rule is about. What is left out matches everything."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    provider: Id | None = None
    """Only what concerns this provider's agents."""
    team: Id | None = None
    """Only what concerns this team."""
    agent: Id | None = None
    """Only what concerns this agent."""
    budget: Id | None = None
    """Only the counters of this budget, for rules about budgets."""


class RuleEntry(Part):
    """One alert rule as a document writes it.

    With the id of a shipped rule, everything that is not written is as in that one; `enabled: false` turns it off. Of
    another id it needs a metric and a threshold.
    """

    # `for` is a word of Python's own.
    model_config = ConfigDict(use_attribute_docstrings=True, serialize_by_alias=True)

    id: Id
    """Its name in alerts and pages. That of a shipped rule changes what is written here of the shipped one."""
    enabled: Annotated[bool, Field(strict=True)] = True
    """false turns the rule off; nothing else is needed then."""
    title: Text | None = None
    """What is the matter when it fires, in a few words."""
    kind: Kind | None = None
    """latched fires once in a period, level fires and clears with the value. Left out, by the metric."""
    metric: Annotated[Metric, BeforeValidator(_known_metric)] | None = None
    """What is watched."""
    quantile: Quantile = Decimal("0.95")
    """Which quantile of a latency: 0.95 is the time that 95 % of the calls keep to."""
    filter: RuleFilter = RuleFilter()
    """What the rule is about. Left out, everything."""
    group_by: list[GroupName] = []
    """Watched for each of these apart, each with alerts of its own."""
    window: Window = "5m"
    """The time that is looked at: a length such as 5m, or the calendar's day or month. A latched rule has its own."""
    comparison: Comparison = ">="
    """How the value compares with the threshold for an alert. >= fires at the value itself, > does not."""
    threshold: Threshold | None = None
    """From which value on it is an alert: a number, or a percentage such as 95%."""
    clear: Threshold | None = None
    """The value at which the alert begins to be over. Left out, 0.8 x the threshold."""
    for_: Duration = Field("0s", alias="for")
    """How long it must hold before the alert fires."""
    keep_firing_for: Duration = "5m"
    """How long it must be clear before the alert is over."""
    min_samples: Count = 0
    """With fewer calls (or days) than this there is nothing to judge."""
    no_data: NoDataPolicy | None = None
    """Without data: hold what was, take it for zero, or alert. Left out, counts are zero and the rest holds."""
    severity: Severity = "warning"
    """How bad it is. critical pages the on-call."""
    route: RouteName | None = None
    """Which route the messages take. Left out, that of the severity."""
    runbook: Link | None = None
    """A link to what to do about it."""
    budget_threshold: Literal["warning", "degradation"] | None = None
    """A budget's own threshold of this name takes the place of the rule's."""
    update_every: Duration | None = None
    """How often the thread of an open alert is told the latest value, as long as that changes."""

    @model_validator(mode="before")
    @classmethod
    def _with_its_window(cls, values: Any) -> Any:
        """A latched rule that gives no window has that of its metric."""
        if not isinstance(values, dict) or "window" in values:
            return values
        metric = str(values.get("metric"))
        window = LATCHED_WINDOWS.get(metric)
        latched = values.get("kind") == "latched" or metric in ALWAYS_LATCHED
        return {**values, "window": window} if window is not None and latched else values

    def written(self) -> dict[str, Any]:
        """What the document says of it, by the document's own keys. Nothing that is only as usual."""
        return self.model_dump(by_alias=True, exclude_unset=True)


class RuleSpec(RuleEntry):
    """One whole alert rule: it names what it watches, and its fields fit together."""

    @model_validator(mode="after")
    def _is_whole(self) -> RuleSpec:
        if self.enabled:
            self._names_what_it_watches()
            self._fits_its_kind()
            self._fits_its_metric()
            self._clears_on_the_right_side()
        return self

    @property
    def latched(self) -> bool:
        """Whether it fires once in a period."""
        return self.kind == "latched" or (self.kind is None and self.metric in ALWAYS_LATCHED)

    @property
    def rises(self) -> bool:
        """Whether high values are the bad ones."""
        return self.comparison in (">=", ">")

    def _names_what_it_watches(self) -> None:
        for field in ("metric", "threshold"):
            if getattr(self, field) is None:
                raise ValueError(f"{field}: is required; only a rule with enabled: false does without")

    def _fits_its_kind(self) -> None:
        if self.kind == "latched" and self.metric not in MAY_LATCH:
            raise ValueError(f"kind: latched is for what a calendar period adds up, which {self.metric} is not")
        if self.kind == "level" and self.metric in ALWAYS_LATCHED:
            raise ValueError(f"kind: {self.metric} is told once in a period; make it latched or leave kind out")
        if not self.latched:
            return
        if not self.rises:
            raise ValueError(f"comparison: a latched rule waits for high values; use >= or >, not {self.comparison}")
        for field in ("clear", "keep_firing_for"):
            if field in self.model_fields_set:
                raise ValueError(f"{field}: a latched rule has none; its alert ends with the period or the budget")
        window = LATCHED_WINDOWS.get(self.metric or "", self.window)
        if self.window != window:
            raise ValueError(
                f"window: {self.metric} of a latched rule is of the calendar's {window}; write {window} or leave it out"
            )

    def _fits_its_metric(self) -> None:
        assert self.threshold is not None
        if self.metric in SHARE_METRICS and self.threshold > LARGEST_SHARE:
            raise ValueError(f"threshold: {self.metric} is a share; write 95% or 0.95, got {self.threshold}")
        if self.metric in COUNT_METRICS and self.threshold % 1:
            raise ValueError(f"threshold: {self.metric} is a whole number, got {self.threshold}")
        if self.group_by and self.metric not in COUNT_METRICS:
            raise ValueError(f"group_by: only counts of calls can be grouped, which {self.metric} is not")
        if len(set(self.group_by)) < len(self.group_by):
            raise ValueError("group_by: names the same twice")
        if self.group_by and self.no_data == "alert":
            raise ValueError(
                "no_data: alert is for rules without group_by: a group without calls is one like any other"
            )
        if self.filter.budget is not None and self.metric not in BUDGET_METRICS:
            raise ValueError(f"filter.budget: {self.metric} is not about budgets")
        if self.budget_threshold is not None and self.metric != "budget_usage_percentage":
            raise ValueError("budget_threshold: is for rules about budget_usage_percentage")

    def _clears_on_the_right_side(self) -> None:
        clear, threshold = self.clear, self.threshold
        if clear is None or threshold is None:
            return
        if clear == threshold and self.comparison in (">=", "<="):
            raise ValueError(f"clear: at {clear} the alert would fire and be over at once")
        if (clear > threshold) if self.rises else (clear < threshold):
            side = "above" if self.rises else "below"
            raise ValueError(f"clear: must not be {side} the threshold, where the alert fires")
