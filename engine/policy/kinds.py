"""The kinds of conditions that are known through and through: compiled into masks, and looked into by lint."""

from __future__ import annotations

from engine.policy.conditions import (
    ActionCondition,
    AgentCondition,
    EnvironmentCondition,
    ProviderCondition,
    TagCondition,
    TeamCondition,
    UserCondition,
)
from engine.policy.location import LocationCondition
from engine.policy.time_window import TimeWindowCondition

NAME_CONDITIONS = (
    AgentCondition,
    EnvironmentCondition,
    ProviderCondition,
    TeamCondition,
    UserCondition,
    ActionCondition,
)
KNOWN_CONDITIONS = (*NAME_CONDITIONS, TagCondition, LocationCondition, TimeWindowCondition)
"""Exactly these: a subclass may answer in its own way."""
