"""What a diagnosis says: findings, each with what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """How bad it is. A `problem` is something that does not work; a `warning` works and is probably not meant so."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check and what came of it, in a sentence.

    `cure` says in one sentence what to do; empty where there is nothing to do. `details` are plain values, such as a
    JSON document has. `org_id` is the organization that it is about; None when it is about all.
    """

    check: str
    level: Level
    sentence: str
    cure: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    org_id: str | None = None


def ok(check: str, sentence: str, **details: Any) -> Finding:
    """All is well."""
    return Finding(check, Level.OK, sentence, "", details)


def warning(check: str, sentence: str, cure: str, **details: Any) -> Finding:
    """Works, and is probably not meant so."""
    return Finding(check, Level.WARNING, sentence, cure, details)


def problem(check: str, sentence: str, cure: str, **details: Any) -> Finding:
    """Does not work."""
    return Finding(check, Level.PROBLEM, sentence, cure, details)


def unknown(check: str, sentence: str, cure: str = "", **details: Any) -> Finding:
    """Could not be looked at."""
    return Finding(check, Level.UNKNOWN, sentence, cure, details)
