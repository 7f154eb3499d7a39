"""What a rule would have done: its real steps over what was measured in the past, and what came of them. Pure.

Told is who would be told by today's routes. Nobody acknowledged, and nothing was silenced.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from engine.alerting.alert import Observation, State
from engine.alerting.effects import EffectKind
from engine.alerting.grouping import WAIT
from engine.alerting.rule_tests.levels import Group, LevelRehearsal
from engine.alerting.rule_tests.rehearsal import Rehearsal, Subject
from engine.alerting.rules import Rule
from engine.document.schema import GovernanceDocument

SHORT = timedelta(minutes=5)
Slots = Iterable[tuple[datetime, Mapping[Group, Observation]]]


@dataclass(frozen=True, slots=True)
class Episode:
    """One time that it would have fired. `clear_at` is when the value was good again for the last time."""

    group: Mapping[str, str]
    fired_at: datetime
    clear_at: datetime | None
    resolved_at: datetime | None
    peak: Decimal | None

    @property
    def lasted(self) -> timedelta | None:
        """Until the value was good again; None while it is not."""
        over = self.clear_at or self.resolved_at
        return None if over is None else over - self.fired_at


@dataclass(frozen=True, slots=True)
class Hours:
    """What hours can say of a rule that looks at minutes. `surely` is None where nothing is sure."""

    start: datetime
    end: datetime
    hours: int
    perhaps: int
    surely: int | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it. `step` is how far apart the evaluations were."""

    start: datetime
    end: datetime
    step: timedelta
    episodes: tuple[Episode, ...]
    near_misses: int
    flaps: int
    notifications: int
    before: Hours | None = None
    left_out: tuple[str, ...] = ()
    """Sentences about what was not looked at."""

    @property
    def short(self) -> int:
        """How many episodes were shorter than 5 minutes."""
        return sum(episode.lasted is not None and episode.lasted < SHORT for episode in self.episodes)


def replay(rule: Rule, document: GovernanceDocument, slots: Slots) -> Rehearsal:
    """Evaluate slot after slot, the oldest first."""
    rehearsal = Rehearsal(document)
    level = LevelRehearsal(rehearsal, rule)
    slot = None
    for slot, observations in slots:
        level.evaluate(observations, slot)
        rehearsal.time_passes(slot)
    if slot is not None:
        rehearsal.depart(slot + WAIT)
    return rehearsal


def outcome_of(
    rehearsal: Rehearsal,
    start: datetime,
    end: datetime,
    step: timedelta,
    *,
    before: Hours | None = None,
    left_out: tuple[str, ...] = (),
) -> Outcome:
    """What the alerts of a rehearsal went through, the oldest first."""
    subjects = list(rehearsal.subjects.values())
    found = (episode for subject in subjects for episode in _episodes(subject) if episode.fired_at >= start)
    effects = [effect.kind for subject in subjects for effect in subject.effects if effect.at >= start]
    return Outcome(
        start,
        end,
        step,
        tuple(sorted(found, key=lambda episode: episode.fired_at)),
        effects.count(EffectKind.NEAR_MISS),
        effects.count(EffectKind.FLAP),
        sum(len(told.to) for told in rehearsal.told if told.at >= start),
        before,
        left_out,
    )


def _episodes(subject: Subject) -> Iterator[Episode]:
    fired_at: datetime | None = None
    clear_at: datetime | None = None
    number = 0
    for at, state, _ in subject.history:
        if state == State.FIRING:
            if fired_at is None:
                fired_at, number = at, number + 1
            clear_at = None
        elif state == State.RECOVERING:
            clear_at = at
        elif state == State.RESOLVED and fired_at is not None:
            yield Episode(subject.group, fired_at, clear_at, at, subject.peaks.get(number))
            fired_at = clear_at = None
    if fired_at is not None:
        yield Episode(subject.group, fired_at, clear_at, None, subject.peaks.get(number))
