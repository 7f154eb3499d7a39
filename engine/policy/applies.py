"""The three answers of a condition, and what every condition can do."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Protocol

from engine.policy.context import PolicyContext


class Applies(Enum):
    """Whether a condition applies; `UNKNOWN` when the fact it needs is missing or malformed."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class Condition(Protocol):
    """Anything that can be asked whether it applies to a call. `at` is aware."""

    def applies(self, context: PolicyContext, at: datetime) -> Applies:
        """Answer for this call at this instant."""
        ...
