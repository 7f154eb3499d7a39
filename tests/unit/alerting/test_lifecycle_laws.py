"""What holds for every history of an alert, however its values, gaps, silences and acknowledgements fall."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.alerting.alert import Alert, Ending, Failed, Measured, NoData, Observation, State
from engine.alerting.attention import NotAcknowledged, acknowledge
from engine.alerting.effects import EffectKind, Step
from engine.alerting.lifecycle import advance, end
from engine.alerting.rules import Rule
from engine.document.alert_rules import Comparison
from tests.unit.alerting.life import RULE, SILENCED, START

SECONDS = st.sampled_from([0, 1, 59, 60, 61, 299, 300, 901, 1_801, 14_400, 86_400, 90_000])
OBSERVATIONS: st.SearchStrategy[Observation | None] = st.one_of(
    st.none(),
    st.just(NoData()),
    st.just(Failed("no such table")),
    st.builds(
        Measured,
        st.sampled_from([Decimal(value) for value in ("0", "40", "40.5", "50", "51", "90")]),
        st.sampled_from([None, 5, 10]),
        st.sampled_from([None, "info", "warning", "critical"]),
    ),
)
EVENTS = st.one_of(
    st.tuples(st.just("observe"), OBSERVATIONS, st.booleans()),
    st.tuples(st.just("ack"), st.none(), st.just(False)),
    st.tuples(st.just("end"), st.sampled_from(list(Ending)), st.just(False)),
)
HISTORIES = st.lists(st.tuples(SECONDS, EVENTS), max_size=40)
RULES = st.builds(
    lambda **values: replace(RULE, **values),
    hold=st.sampled_from([timedelta(0), timedelta(seconds=60)]),
    keep_firing_for=st.sampled_from([timedelta(0), timedelta(seconds=60), timedelta(seconds=300)]),
    comparison=st.sampled_from([">", ">="]),
    kind=st.sampled_from(["level", "latched"]),
    no_data=st.sampled_from(["hold", "zero", "alert"]),
    severity=st.sampled_from(["info", "warning", "critical"]),
    min_samples=st.sampled_from([0, 10]),
    update_every=st.sampled_from([None, timedelta(minutes=5)]),
)

History = list[tuple[int, tuple[str, Any, bool]]]


def lived(rule: Rule, history: History) -> list[tuple[Alert, Step]]:
    """Each step of a history, with the alert before it."""
    steps, alert, now = [], Alert(), START
    for seconds, (event, what, hidden) in history:
        now += timedelta(seconds=seconds)
        if event == "observe":
            step = advance(alert, what, now, rule, SILENCED if hidden else None)
        elif event == "end":
            step = end(alert, now, what)
        else:
            answer = acknowledge(alert, "ann", now)
            step = Step(alert) if isinstance(answer, NotAcknowledged) else answer
        steps.append((alert, step))
        alert = step.alert
    return steps


@given(RULES, HISTORIES)
@settings(max_examples=400)
def test_never_two_open_alerts_of_one_key(rule: Rule, history: History) -> None:
    for before, (after, _) in lived(rule, history):
        assert after.episode - before.episode in (0, 1)
        if after.episode > before.episode:
            assert not before.is_open, "an episode begins only when the one before is over"
            assert after.state is State.FIRING


@given(RULES, HISTORIES)
@settings(max_examples=400)
def test_one_first_message_for_each_firing_and_before_every_other(rule: Rule, history: History) -> None:
    told: dict[int, list[EffectKind]] = {}
    for _, (_, effects) in lived(rule, history):
        for effect in effects:
            if effect.tells:
                told.setdefault(effect.episode, []).append(effect.kind)
    for kinds in told.values():
        assert kinds[0] is EffectKind.FIRST_MESSAGE
        assert kinds.count(EffectKind.FIRST_MESSAGE) == 1
        assert kinds.count(EffectKind.RESOLVE_LINE) <= 1
        if EffectKind.RESOLVE_LINE in kinds:
            assert kinds[-1] is EffectKind.RESOLVE_LINE, "nothing is said of an episode after its end"


@given(RULES, HISTORIES)
@settings(max_examples=400)
def test_every_firing_that_nobody_hides_is_told_at_once(rule: Rule, history: History) -> None:
    for (before, (after, effects)), (_, (event, _, hidden)) in zip(lived(rule, history), history, strict=True):
        if event == "observe" and after.state is State.FIRING and not hidden:
            assert after.told
            told_now = any(effect.kind is EffectKind.FIRST_MESSAGE for effect in effects)
            assert told_now == (not before.told or after.episode > before.episode)


@given(RULES, HISTORIES)
@settings(max_examples=400)
def test_resolved_only_after_firing_and_told_only_to_whom_was_told(rule: Rule, history: History) -> None:
    for before, (after, effects) in lived(rule, history):
        if after.state is State.RESOLVED and before.state is not State.RESOLVED:
            assert before.is_open
            assert any(effect.kind is EffectKind.RESOLVE_LINE for effect in effects) == before.told
        elif any(effect.kind is EffectKind.RESOLVE_LINE for effect in effects):
            raise AssertionError("a resolve line without an end")


@given(RULES, HISTORIES)
@settings(max_examples=200)
def test_effects_have_names_of_their_own(rule: Rule, history: History) -> None:
    names = [(effect.episode, effect.number) for _, (_, effects) in lived(rule, history) for effect in effects]
    assert names == sorted(set(names))


@given(RULES, HISTORIES)
@settings(max_examples=200)
def test_an_evaluation_made_twice_is_as_one(rule: Rule, history: History) -> None:
    now = START
    for (_, (alert, _)), (seconds, (event, what, hidden)) in zip(lived(rule, history), history, strict=True):
        now += timedelta(seconds=seconds)
        if event == "observe" and what is not None:
            assert advance(alert, what, now, rule, SILENCED if hidden else None) == (alert, ())


@given(RULES, HISTORIES)
@settings(max_examples=200)
def test_nothing_that_is_hidden_or_acknowledged_calls_anybody(rule: Rule, history: History) -> None:
    calling = {EffectKind.REPEAT, EffectKind.ESCALATION}
    for (_, (after, effects)), (_, (event, _, hidden)) in zip(lived(rule, history), history, strict=True):
        calls = [effect for effect in effects if effect.kind in calling and effect.tells]
        if event == "observe" and (hidden or after.ack is not None):
            assert calls == []
        assert not calls or after.state is State.FIRING


@given(st.sampled_from([">", ">="]), st.integers(0, 10**6), st.integers(0, 10**6))
def test_it_fires_exactly_when_the_comparison_holds(comparison: Comparison, threshold: int, value: int) -> None:
    rule = replace(RULE, comparison=comparison, threshold=Decimal(threshold))
    step = advance(Alert(), Measured(Decimal(value)), START, rule)
    assert step.alert.is_open == (value > threshold or (comparison == ">=" and value == threshold))
