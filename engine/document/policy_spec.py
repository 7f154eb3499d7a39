"""Policies as the governance document has them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from engine.document.parts import Id, Part, checked_by, with_preset
from engine.document.presets import POLICY_PRESETS, PolicyPreset
from engine.policy.applies import Condition
from engine.policy.conditions import (
    ActionCondition,
    AgentCondition,
    EnvironmentCondition,
    ProviderCondition,
    TagCondition,
    TeamCondition,
    UserCondition,
)
from engine.policy.instants import read_instant
from engine.policy.location import LocationCondition, read_country, read_network
from engine.policy.time_window import TimeWindowCondition, read_clock, read_day, zone


class BusinessHoursSpec(Part):
    """Hours of some days of the week on the wall clock of `timezone`: from `start_time` until just before `end_time`.

    With a start after the end the window runs into the next day, and `days` name the day on which it starts.
    """

    days: Annotated[list[Annotated[str, checked_by(read_day)]], Field(min_length=1)]
    start_time: Annotated[str, checked_by(read_clock)]
    end_time: Annotated[str, checked_by(read_clock)]
    timezone: Annotated[str, checked_by(zone)]


class MaintenanceWindowSpec(Part):
    """From `start` until just before `end`, both ISO 8601 with an offset such as 2026-12-25T00:00:00Z."""

    start: Annotated[str, checked_by(read_instant)]
    end: Annotated[str, checked_by(read_instant)]


class TagsSpec(Part):
    """Agents with all `required` tags, at least one of `any`, and none of `blocked`."""

    required: list[Id] = []
    any: list[Id] = []
    blocked: list[Id] = []


class ConditionSpec(Part):
    """When a policy applies. All parts given must hold, except that of countries and ips either suffices."""

    environments: Annotated[list[Id], Field(min_length=1)] | None = None
    providers: Annotated[list[Id], Field(min_length=1)] | None = None
    agents: Annotated[list[Id], Field(min_length=1)] | None = None
    teams: Annotated[list[Id], Field(min_length=1)] | None = None
    users: Annotated[list[Id], Field(min_length=1)] | None = None
    actions: Annotated[list[Id], Field(min_length=1)] | None = None
    tags: TagsSpec | None = None
    countries: Annotated[list[Annotated[str, checked_by(read_country)]], Field(min_length=1)] | None = None
    ips: Annotated[list[Annotated[str, checked_by(read_network)]], Field(min_length=1)] | None = None
    business_hours: BusinessHoursSpec | None = None
    maintenance_windows: Annotated[list[MaintenanceWindowSpec], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> ConditionSpec:
        self.conditions()
        return self

    def conditions(self) -> list[Condition]:
        """The conditions to evaluate. Raises `ValueError` for what no condition can be made of."""
        made: list[Condition] = [
            kind(names)
            for kind, names in (
                (EnvironmentCondition, self.environments),
                (ProviderCondition, self.providers),
                (AgentCondition, self.agents),
                (TeamCondition, self.teams),
                (UserCondition, self.users),
                (ActionCondition, self.actions),
            )
            if names is not None
        ]
        if self.tags is not None:
            made.append(TagCondition(self.tags.required, self.tags.any, self.tags.blocked))
        if self.countries is not None or self.ips is not None:
            made.append(LocationCondition(self.countries, self.ips))
        if self.business_hours is not None or self.maintenance_windows is not None:
            windows = self.maintenance_windows
            made.append(
                TimeWindowCondition(
                    None if self.business_hours is None else self.business_hours.model_dump(),
                    None if windows is None else [window.model_dump() for window in windows],
                )
            )
        if not made:
            raise ValueError(f"needs at least one of {', '.join(type(self).model_fields)}")
        return made


class PolicySpec(Part):
    """ALLOW or DENY when all conditions apply; without conditions, for every call.

    A lower priority number comes first. A `shadow` policy is evaluated and recorded, and decides nothing. `preset`
    fills in what is left out (guide, Policy Design Patterns).
    """

    policy_id: Id
    effect: Literal["allow", "deny"]
    priority: Annotated[int, Field(ge=1, le=1000, strict=True)] = 50
    enabled: Annotated[bool, Field(strict=True)] = True
    shadow: Annotated[bool, Field(strict=True)] = False
    preset: PolicyPreset | None = None
    conditions: list[ConditionSpec] = []

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: Any) -> Any:
        return with_preset(values, POLICY_PRESETS)

    @model_validator(mode="after")
    def _window_is_given(self) -> PolicySpec:
        if self.preset == "maintenance_block" and all(c.maintenance_windows is None for c in self.conditions):
            raise ValueError("preset: maintenance_block needs conditions with the maintenance_windows to block")
        return self
