"""Why no call can meet a policy's conditions, in words."""

from __future__ import annotations

from collections.abc import Iterable

from engine.policy.conditions import NameCondition
from engine.policy.explain import condition_text
from engine.policy.lint.room import Judged
from engine.policy.lint.space import Space
from engine.policy.lint.tags import Tags
from engine.policy.time_window import TimeWindowCondition

TAGS = Tags.word


def why_never(judged: Judged, space: Space) -> str:
    """A sentence for a policy that applies to no call: what empties it, if one attribute alone does, and the fix."""
    for number, sets in judged.sets.items():
        atoms = sets.maybe if judged.denies else sets.yes
        if any(profile.base[number] & atoms for profile in space.profiles):
            continue
        word = space.dimensions[number].word
        if number == space.time_dimension:
            return _times(judged, space)
        # Of tags only sets that can occur have an atom, so none left does not mean that they contradict each other.
        if not atoms and word != TAGS:
            return f"Its conditions on {word} contradict each other, so it never applies; keep those that are meant."
        wanted = " and ".join(_asked(judged, word))
        return f"No registered agent fits {wanted}, so it never applies; correct it, or register such an agent."
    return "No call meets all its conditions together, so it never applies; correct or remove those that exclude."


def _times(judged: Judged, space: Space) -> str:
    windows = [c for c in judged.policy.conditions if type(c) is TimeWindowCondition]
    times = space.dimensions[space.time_dimension]
    if any(not times.sets([window]).yes for window in windows):
        return "Its maintenance windows are all over, so it never applies again; remove it, or give it new windows."
    return "Its time windows never meet, so it never applies; change one of them, or make two policies of it."


def _asked(judged: Judged, word: str) -> Iterable[str]:
    for condition in judged.policy.conditions:
        if (condition.word if isinstance(condition, NameCondition) else TAGS) == word:
            yield condition_text(condition)
