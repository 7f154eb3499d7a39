"""Matchers of silences as people write them: `agent=coder`, `severity!=critical`. Pure."""

from __future__ import annotations

import re

from engine.alerting.quieting import Matcher
from engine.errors import InvalidValue

KNOWN_LABELS = (
    "rule", "severity", "team", "agent", "provider", "model", "environment", "reason", "owner", "budget", "per",
    "scope", "period",
)  # fmt: skip
_WRITTEN = re.compile(r"(?P<label>[a-z_]{1,32})(?P<comparison>!=|=)(?P<value>[^\x00-\x1f\x7f]{0,256})")


def read_matcher(text: str, field: str = "matcher") -> Matcher:
    """The matcher that is written. Raises `InvalidValue` naming `field`."""
    found = _WRITTEN.fullmatch(text.strip())
    if found is None:
        raise InvalidValue(field, f"must be such as agent=coder or severity!=critical, got {text[:60]!r}")
    if found["label"] not in KNOWN_LABELS:
        raise InvalidValue(field, f"alerts have no label {found['label']!r}; they have {', '.join(KNOWN_LABELS)}")
    return Matcher(found["label"], found["value"], "!=" if found["comparison"] == "!=" else "=")


def shown_matcher(matcher: Matcher) -> str:
    """`agent=coder`."""
    return f"{matcher.label}{matcher.comparison}{matcher.value}"
