"""What the gate keeps of one organization, in the words of the specification. Pure."""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field, replace

from engine.admission.windows import RollingWindows

HELD, SETTLED, EXPIRED, CANCELLED, DENIED = "H", "S", "X", "C", "D"
"""States of a hold. DENIED: no hold at all, but a denial taken over from an outage, so that it is taken over once."""

EXPIRE_HOLD, FORGET_HOLD, FORGET_COUNTER, TELL_DENIALS, FORGET_ANSWER = "o", "c", "p", "d", "answer"
"""Kinds of things to do on an agenda."""

SECOND_MS = 1000
LARGEST_SUM = 2**53

CLOSED_HOLD_MS = 3_600_000
"""A closed hold is remembered for an hour: a repeated settle is then the same settle."""
ENDED_COUNTER_MS = 172_800_000
"""A counter is remembered for two days after its period, for calls that end late."""
ANSWER_MS = 86_400_000
"""What an idempotency key was answered is remembered for a day."""

EventId = tuple[int, int]
"""Milliseconds and sequence number; every event's is greater than that of the event before."""


@dataclass(slots=True)
class Total:
    """The running total of one counter."""

    spent_micros: int = 0
    held_micros: int = 0
    executions: int = 0

    def __str__(self) -> str:
        return f"{self.spent_micros}:{self.held_micros}:{self.executions}"


@dataclass(slots=True)
class Denials:
    """Denials of one second that are alike and have no events of their own."""

    calls: int = 0
    estimate_micros: int = 0


@dataclass(frozen=True, slots=True)
class HeldCall:
    """What is kept of an allowed call. `pricing` is passed through unread."""

    state: str
    reserve_micros: int
    charged_micros: int
    pricing: str
    counters: tuple[str, ...]

    @classmethod
    def from_text(cls, text: str) -> HeldCall:
        """Read what `__str__` writes."""
        state, reserve, charged, pricing, *counters = text.split()
        return cls(state, int(reserve), int(charged), pricing, tuple(counters))

    def __str__(self) -> str:
        return " ".join((self.state, str(self.reserve_micros), str(self.charged_micros), self.pricing, *self.counters))


@dataclass(frozen=True, slots=True)
class Answered:
    """The decision that a caller's idempotency key led to."""

    request_hash: str
    decision_id: str
    decided_ms: int
    expires_ms: int


@dataclass(frozen=True, slots=True)
class Event:
    """One appended fact. The fields have the short names under which they travel."""

    event_id: EventId
    fields: dict[str, str]


class Agenda:
    """Things to do once their time has come, each a kind and a name.

    What is due is done in the order of its time; at one time by kind, then by name.
    """

    def __init__(self, epoch: int | None = None) -> None:
        self.epoch = epoch
        self.times: dict[tuple[str, str], int] = {}
        self._in_order: list[tuple[int, tuple[str, str]]] = []

    def put(self, kind: str, name: str, at_ms: int) -> None:
        """Plan something, anew if it was planned before."""
        self.drop(kind, name)
        self.times[kind, name] = at_ms
        insort(self._in_order, (at_ms, (kind, name)))

    def put_if_absent(self, kind: str, name: str, at_ms: int) -> None:
        """Plan something unless it is planned already."""
        if (kind, name) not in self.times:
            self.put(kind, name, at_ms)

    def drop(self, kind: str, name: str) -> None:
        """Plan it no longer."""
        at_ms = self.times.pop((kind, name), None)
        if at_ms is not None:
            del self._in_order[bisect_left(self._in_order, (at_ms, (kind, name)))]

    def due(self, now_ms: int, most: int) -> list[tuple[str, str]]:
        """The first things whose time has come, at most so many."""
        return [entry for at_ms, entry in self._in_order[:most] if at_ms <= now_ms]


@dataclass(slots=True)
class Counters:
    """The totals, and what they were installed for: `epoch` is `None` when they are not."""

    epoch: int | None = None
    document_version: int = 0
    expired_holds: str = "charge"
    totals: dict[str, Total] = field(default_factory=dict)
    denials: dict[str, Denials] = field(default_factory=dict)
    """By `<second (ms)>|<reason>|<what they are alike in>`."""

    def read(self, name: str) -> Total:
        """A total as it stands; one that is not kept is nought."""
        return self.totals.get(name) or Total()

    def change(self, name: str) -> Total:
        """A total to be changed."""
        total = self.totals.get(name)
        if total is None:
            total = self.totals[name] = Total()
        return total


@dataclass(slots=True)
class Holds:
    """Open holds and lately closed ones, by decision id."""

    epoch: int | None = None
    calls: dict[str, HeldCall] = field(default_factory=dict)


@dataclass(slots=True)
class Events:
    """What the ledger has still to read. Trimming does not set ids back."""

    kept: list[Event] = field(default_factory=list)
    last_id: EventId = (0, 0)

    def append(self, now_ms: int, **fields: str | int) -> None:
        """Append one fact."""
        self.last_id = max((now_ms, 0), (self.last_id[0], self.last_id[1] + 1))
        self.kept.append(Event(self.last_id, {name: str(value) for name, value in fields.items()}))

    def trim(self, through: EventId) -> None:
        """Forget events up to and including this one: the ledger has them."""
        self.kept = [event for event in self.kept if event.event_id > through]

    def go_on_after(self, cursor: EventId) -> None:
        """Give out only ids after the ledger's cursor from now on, even if the clock is behind it."""
        if (0, 0) < cursor >= self.last_id:
            self.kept = []
            self.last_id = (cursor[0], cursor[1] + 1)


class Organization:
    """The state of one organization.

    Its parts may be lost one by one, when a server is emptied or drops what it should not. Three of them carry the
    epoch of the install that made them, and the state counts only while these agree. Windows and answers carry none:
    losing them forgets requests, never money. The real gate drops windows 25 hours after their newest sub-bucket of
    the day was begun; all of it has left by then, so only a clock that is wrong by an hour or more could tell that they
    are kept here.
    """

    def __init__(self) -> None:
        self.counters = Counters()
        self.holds = Holds()
        self.agenda = Agenda()
        self.events = Events()
        self.windows: dict[str, RollingWindows] = {}
        self.answers: dict[str, Answered] = {}
        self._ends_of_answers = Agenda()

    @property
    def is_cold(self) -> bool:
        """Whether nothing can be said of this organization before its state is installed."""
        epoch = self.counters.epoch
        return epoch is None or epoch != self.holds.epoch or epoch != self.agenda.epoch

    def close(self, decision_id: str, hold: HeldCall, state: str, amount_micros: int, now_ms: int) -> None:
        """Close a hold: release what it still holds, charge `amount_micros`, remember it for an hour.

        One that was cancelled is remembered for as long as an idempotency key may name it.

        A hold that was closed before, by expiry, is charged the difference. A call that never left is no execution.
        """
        for name in hold.counters:
            if hold.state == HELD:
                self.counters.change(name).held_micros -= hold.reserve_micros
            if amount_micros != hold.charged_micros:
                self.counters.change(name).spent_micros += amount_micros - hold.charged_micros
            if state == CANCELLED:
                self.counters.change(name).executions -= 1
        self.holds.calls[decision_id] = replace(hold, state=state, charged_micros=amount_micros)
        self.agenda.drop(EXPIRE_HOLD, decision_id)
        self.agenda.put(FORGET_HOLD, decision_id, now_ms + (ANSWER_MS if state == CANCELLED else CLOSED_HOLD_MS))

    def keep_a_while(self, hold: HeldCall, now_ms: int) -> None:
        """Forget the hold's counters in two days unless that is planned: those long over came back for one change."""
        for name in hold.counters:
            self.agenda.put_if_absent(FORGET_COUNTER, name, now_ms + ENDED_COUNTER_MS)

    def do_what_is_due(self, now_ms: int, most: int) -> int:
        """Expire holds and forget what is over, at most so many things; how many were due."""
        due = self.agenda.due(now_ms, most)
        for kind, name in due:
            if kind == EXPIRE_HOLD and name in self.holds.calls:
                self._expire(name, self.holds.calls[name], now_ms)
            elif kind == FORGET_HOLD:
                self.holds.calls.pop(name, None)
            elif kind == FORGET_COUNTER:
                self.counters.totals.pop(name, None)
            elif kind == TELL_DENIALS:
                self.tell_denials(now_ms, name, self.counters.denials.pop(name))
            self.agenda.drop(kind, name)
        return len(due)

    def count_denial(self, now_ms: int, reason: str, alike: str, estimate_micros: int) -> None:
        """Count a denial with those like it in its second; the count becomes one event when the second is over."""
        second = now_ms // SECOND_MS * SECOND_MS
        name = f"{second}|{reason}|{alike}"
        denials = self.counters.denials.setdefault(name, Denials())
        denials.calls += 1
        # Beyond what a double has exactly, estimates stay where they are: the denials must be counted all the same.
        if denials.estimate_micros + estimate_micros <= LARGEST_SUM:
            denials.estimate_micros += estimate_micros
        self.agenda.put(TELL_DENIALS, name, second + SECOND_MS)

    def tell_denials(self, now_ms: int, name: str, denials: Denials) -> None:
        """Append the one event of all these."""
        second, _, rest = name.partition("|")
        self.events.append(
            now_ms, k="denied_many", d="", t=second, n=denials.calls, m=denials.estimate_micros, a=rest,
        )  # fmt: skip

    def _expire(self, decision_id: str, hold: HeldCall, now_ms: int) -> None:
        # Nobody said what the call cost: its reserve is charged, or released where the document says so.
        amount = 0 if self.counters.expired_holds == "release" else hold.reserve_micros
        self.events.append(now_ms, k="expired", d=decision_id, t=now_ms, m=amount, h=str(hold))
        self.close(decision_id, hold, EXPIRED, amount, now_ms)

    def windows_of(self, scope: str) -> RollingWindows:
        """The windows of a rate scope, for reading."""
        return self.windows.get(scope) or RollingWindows()

    def windows_to_count_in(self, scope: str) -> RollingWindows:
        """The windows of a rate scope, for counting."""
        windows = self.windows.get(scope)
        if windows is None:
            windows = self.windows[scope] = RollingWindows()
        return windows

    def remember_answer(self, key: str, answered: Answered, now_ms: int, *, instead: bool = False) -> None:
        """Remember for a day what an idempotency key was answered; the first answer stands unless `instead`."""
        if instead or key not in self.answers:
            self.answers[key] = answered
            self._ends_of_answers.put(FORGET_ANSWER, key, now_ms + ANSWER_MS + 1)

    def forget_old_answers(self, now_ms: int) -> None:
        """Forget answers of more than a day ago."""
        if not self.answers:
            return
        for kind, key in self._ends_of_answers.due(now_ms, len(self.answers)):
            self._ends_of_answers.drop(kind, key)
            del self.answers[key]
