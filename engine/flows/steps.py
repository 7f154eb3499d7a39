"""What a flow yields: the steps that somebody else takes for it.

A flow is sent the answer of each step, or has its error raised. `GovernanceService` answers by blocking a thread,
`AsyncGovernanceService` by suspending a task.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from engine.admission.questions import Question
from engine.errors import BursarError


class NotInTime(BursarError):
    """What was waited for has not come."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Put a question to the gate; the answer is its `Reply`, or `GateUnavailable` is raised."""

    question: Question


@dataclass(frozen=True, slots=True)
class AskMany:
    """Put questions to the gate together; the answer is a list of replies and `GateUnavailable` objects."""

    questions: Sequence[Question]


@dataclass(frozen=True, slots=True)
class Await:
    """Wait for a future, at most so long; `NotInTime` is raised then, and the future goes on."""

    future: Future[Any]
    seconds: float


T = TypeVar("T")
Flow = Generator[Ask | AskMany | Await, Any, T]


def wait(future: Future[Any], seconds: float) -> Flow[None]:
    """Wait; whatever comes of it shows in the next answer of the gate."""
    try:
        yield Await(future, seconds)
    except BursarError:
        return
