"""What can be asked of the gate: each question is one script, its keys and its arguments. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from engine.admission.keys import idempotency_key, state_keys
from engine.admission.plan import CallPlan

Argument = str | int | bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """A script's reply: its `status` word, Redis' own time, and the whole as the script's header documents it."""

    status: str
    now_ms: int
    raw: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A caller's own name for a call, and the hash of what it asked."""

    key: str
    request_hash: str


class Question(Protocol):
    """One script to run. With `expires`, an instant after which it must do nothing goes in front of its arguments."""

    script: ClassVar[str]
    expires: ClassVar[bool]

    @property
    def keys(self) -> Sequence[str]:
        """KEYS of the script."""
        ...

    @property
    def arguments(self) -> Sequence[Argument]:
        """ARGV of the script, without the not-after instant."""
        ...


@dataclass(slots=True)
class Check:
    """May this call happen? `denied` is the reason code of a denial decided before, or empty.

    `not_before_ms` is the instant for which policies and plan were made, by a clock that may have jumped: should Redis'
    be earlier, the question is to be put anew.

    While `stream_cap` events wait in the stream (0: any number may), a denial is counted with those that are `alike`
    and fall in the same second, and so is its estimate.
    """

    script: ClassVar[str] = "check"
    expires: ClassVar[bool] = True

    plan: CallPlan
    document_version: int
    decision_id: str
    reserve_micros: int
    hold_ms: int
    denied: str
    body: str
    pricing: str
    idempotency: Idempotency | None = None
    not_before_ms: int = 0
    stream_cap: int = 0
    estimate_micros: int = 0
    alike: str = ""

    @property
    def keys(self) -> Sequence[str]:
        """State, rings, and the idempotency key."""
        return _with_idempotency(self.plan, self.idempotency)

    @property
    def arguments(self) -> Sequence[Argument]:
        """As check.lua lists them."""
        return (
            self.document_version,
            self.decision_id,
            self.reserve_micros,
            self.hold_ms,
            self.denied,
            self.body,
            self.pricing,
            self.idempotency.request_hash if self.idempotency else "",
            self.plan.numbers,
            self.not_before_ms,
            f"{self.stream_cap} {self.estimate_micros} {self.alike}",
            *self.plan.counter_names,
        )


@dataclass(frozen=True, slots=True)
class _OfState:
    """What is about one organization's state, and no rate scope."""

    org_id: str

    @property
    def keys(self) -> Sequence[str]:
        """State."""
        return state_keys(self.org_id)


@dataclass(frozen=True, slots=True)
class Settle(_OfState):
    """What a call really cost. `record` is the hold as the ledger knows it, for when Redis has forgotten it."""

    script: ClassVar[str] = "settle"
    expires: ClassVar[bool] = True

    decision_id: str
    actual_micros: int
    success: bool
    body: str
    record: str = ""
    waited: bool = False

    @property
    def arguments(self) -> Sequence[Argument]:
        """As settle.lua lists them."""
        return (
            self.decision_id,
            self.actual_micros,
            int(self.success),
            self.body,
            self.record,
            "1" if self.waited else "",
        )


@dataclass(frozen=True, slots=True)
class Cancel(_OfState):
    """The call never left. `record` as in `Settle`."""

    script: ClassVar[str] = "cancel"
    expires: ClassVar[bool] = True

    decision_id: str
    record: str = ""
    waited: bool = False

    @property
    def arguments(self) -> Sequence[Argument]:
        """As cancel.lua lists them."""
        return (self.decision_id, self.record, "1" if self.waited else "")


@dataclass(frozen=True, slots=True)
class Fold:
    """Take over a decision that was made while Redis was away.

    `answer` is what `check.lua` would have said, `record` its hold when it was allowed. `asked_id` is the id under
    which the gate was asked, when the decision has another one: it may have decided, and its answer was lost.
    """

    script: ClassVar[str] = "fold"
    expires: ClassVar[bool] = False

    plan: CallPlan
    decision_id: str
    allowed: bool
    decided_ms: int
    expires_ms: int
    answer: str
    body: str
    record: str
    idempotency: Idempotency | None = None
    asked_id: str = ""

    @property
    def keys(self) -> Sequence[str]:
        """State, rings, and the idempotency key."""
        return _with_idempotency(self.plan, self.idempotency)

    @property
    def arguments(self) -> Sequence[Argument]:
        """As fold.lua lists them."""
        return (
            self.decision_id,
            int(self.allowed),
            self.decided_ms,
            self.expires_ms,
            self.answer,
            self.body,
            self.record,
            len(self.plan.rates),
            self.idempotency.request_hash if self.idempotency else "",
            self.asked_id,
            *(counter.period.end_ms for counter in self.plan.counters),
        )


@dataclass(frozen=True, slots=True)
class Peek:
    """How counters and rate scopes stand."""

    script: ClassVar[str] = "peek"
    expires: ClassVar[bool] = False

    plan: CallPlan

    @property
    def keys(self) -> Sequence[str]:
        """State and rings."""
        return self.plan.keys

    @property
    def arguments(self) -> Sequence[Argument]:
        """As peek.lua lists them."""
        return (self.plan.numbers, *self.plan.counter_names)


@dataclass(frozen=True, slots=True)
class Hold(_OfState):
    """The hold of a decision, open or closed within the last hour."""

    script: ClassVar[str] = "hold"
    expires: ClassVar[bool] = False

    decision_id: str

    @property
    def arguments(self) -> Sequence[Argument]:
        """As hold.lua lists them."""
        return (self.decision_id,)


@dataclass(frozen=True, slots=True)
class Sweep(_OfState):
    """Expire holds that are due, at most `most`."""

    script: ClassVar[str] = "sweep"
    expires: ClassVar[bool] = False

    most: int = 1000

    @property
    def arguments(self) -> Sequence[Argument]:
        """As sweep.lua lists them."""
        return (self.most,)


@dataclass(frozen=True, slots=True)
class InstalledCounter:
    """A counter as it must stand after an install."""

    name: str
    spent_micros: int
    held_micros: int
    executions: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class InstalledHold:
    """An open hold as it must stand after an install."""

    decision_id: str
    record: str
    expires_ms: int


@dataclass(frozen=True, slots=True)
class Install(_OfState):
    """Put an organization's state in place, worked out from the ledger, under a new epoch."""

    script: ClassVar[str] = "install"
    expires: ClassVar[bool] = False

    cursor: tuple[int, int]
    epoch: int
    document_version: int
    expired_holds: str
    counters: Sequence[InstalledCounter] = ()
    holds: Sequence[InstalledHold] = ()

    @property
    def arguments(self) -> Sequence[Argument]:
        """As install.lua lists them."""
        arguments: list[Argument] = [
            *self.cursor, self.epoch, self.document_version, self.expired_holds, len(self.counters),
        ]  # fmt: skip
        for counter in self.counters:
            arguments += [
                counter.name, counter.spent_micros, counter.held_micros, counter.executions, counter.end_ms,
            ]  # fmt: skip
        for hold in self.holds:
            arguments += [hold.decision_id, hold.record, hold.expires_ms]
        return arguments


def _with_idempotency(plan: CallPlan, idempotency: Idempotency | None) -> Sequence[str]:
    if idempotency is None:
        return plan.keys
    return (*plan.keys, idempotency_key(plan.org_id, idempotency.key))
