"""The alert rules that Bursar ships, and one of a document laid over the shipped one of its id."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import files
from typing import Any, Literal

from pydantic import ValidationError

from engine.document.alert_rules import RuleEntry, RuleSpec
from engine.document.yaml_text import read_yaml


@lru_cache(maxsize=1)
def shipped_rules() -> tuple[RuleSpec, ...]:
    """The rules of `engine/alerting/default_rules.yaml`, in its order."""
    text = files("engine.alerting").joinpath("default_rules.yaml").read_text(encoding="utf-8")
    content, _ = read_yaml(text)
    return tuple(RuleSpec.model_validate(entry) for entry in content["rules"])


def shipped_rule(rule_id: str) -> RuleSpec | None:
    """The shipped rule of this id, if there is one."""
    return next((spec for spec in shipped_rules() if spec.id == rule_id), None)


def laid_over(shipped: RuleSpec | None, entry: RuleEntry) -> RuleSpec:
    """The rule that an entry means: what it writes, and everything else as the shipped one of its id has it. Pure.

    Raises `ValueError` with a sentence that begins with the field, when the two together are no rule.
    """
    written = entry.written()
    inherited = {} if shipped is None else shipped.written()
    try:
        return RuleSpec.model_validate(inherited | written)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
    field = problem.partition(":")[0]
    if field in inherited and field not in written:
        problem += f" ({field} {_plain(inherited[field])} is the shipped rule's; write your own)"
    raise ValueError(problem)


def checked(entry: RuleEntry) -> RuleEntry:
    """The entry as it is, when it is a rule together with the shipped one of its id. Raises `ValueError`."""
    shipped = shipped_rule(entry.id)
    if shipped is None and entry.enabled:
        for field in ("metric", "threshold"):
            if getattr(entry, field) is None:
                raise ValueError(f"{field}: is required, for no shipped rule is called {entry.id!r}{_meant(entry.id)}")
    laid_over(shipped, entry)
    return entry


def meaning_of(entry: RuleEntry, mode: Literal["json", "python"] = "json") -> dict[str, Any]:
    """What an entry says, in a form that is the same for the same meaning.

    What is as usual says nothing, except where it takes the place of what the shipped rule has.
    """
    as_usual = shipped_rule(entry.id) is None
    return entry.model_dump(mode=mode, by_alias=True, exclude_unset=True, exclude_defaults=as_usual)


def closest(rule_id: str, known: Iterable[str]) -> str:
    """`; did you mean 'policy_deny'?`, or nothing where no known id is like it."""
    close = difflib.get_close_matches(rule_id, list(known), n=1, cutoff=0.7)
    return f"; did you mean {close[0]!r}?" if close else ""


def _meant(rule_id: str) -> str:
    return closest(rule_id, (spec.id for spec in shipped_rules()))


def _plain(value: object) -> str:
    return str(value) if not isinstance(value, list) else ", ".join(map(str, value))
