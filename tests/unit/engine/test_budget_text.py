"""A budget is changed in a document's text, whatever its style, and every comment stays."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
import yaml

from engine.document.budget_text import Edit, edited_text
from engine.document.load import parse_document, parse_text
from engine.document.raise_spec import RaiseSpec
from engine.document.schema import GovernanceDocument

WHEN = {"from": "2026-11-26T12:00:00Z", "until": "2026-11-26T13:00:00Z"}
ADDED = RaiseSpec.model_validate({"scope": "hook", "monthly_usd": "5.25", **WHEN, "reason": 'Q4 "end" 🙂'})

BLOCK = """\
# who pays
organization: acme
budgets:
  # the whole company
  - id: all
    per: org   # one total
    monthly_budget_usd: 500   # agreed in June

  - id: other   # not this one
    per: org
    monthly_budget_usd: 9
# the end
"""
BLOCK_LIST = """\
organization: acme
budgets:
- per: org
  id: all
  monthly_budget_usd: 500
  raises:   # asked for by finance
  - monthly_usd: 1   # first
    from: 2026-11-01T00:00:00Z
    until: 2026-11-02T00:00:00Z
  # the second
  - {monthly_usd: 2, from: 2026-11-03T00:00:00Z, until: 2026-11-04T00:00:00Z}   # was short
  warning_threshold: 0.7
"""
FLOW = """\
organization: acme
budgets:
  - {id: all, per: org, monthly_budget_usd: 500}  # agreed
  - {id: other, per: org, monthly_budget_usd: 9, raises: [{monthly_usd: 3, from: 2026-11-01T00:00:00Z,
     until: 2026-11-02T00:00:00Z}]}
"""
FLOW_LIST = """\
organization: acme
budgets:
  - {id: all, per: org, monthly_budget_usd: 500, raises: [{monthly_usd: 1, from: "2026-11-01T00:00:00Z", until: 2026-11-02T00:00:00Z}, {monthly_usd: 2, from: 2026-11-03T00:00:00Z, until: 2026-11-04T00:00:00Z}]}
"""  # noqa: E501
PRESET = "organization: acme # ours\nbudgets:\n  - id: all\n    per: org\n    preset: webhook\n"
NO_NEWLINE_AT_THE_END = "organization: acme # ours\nbudgets:\n  - id: all\n    per: org\n    monthly_budget_usd: 500"
JSON = json.dumps(
    {"organization": "acme", "budgets": [{"id": "all", "per": "org", "monthly_budget_usd": 500}]}, indent=2
)
TEXTS = {
    "block": BLOCK,
    "block list": BLOCK_LIST,
    "flow": FLOW,
    "flow list": FLOW_LIST,
    "preset": PRESET,
    "no newline": NO_NEWLINE_AT_THE_END,
    "json": JSON,
    "windows": BLOCK.replace("\n", "\r\n"),
    "windows list": BLOCK_LIST.replace("\n", "\r\n"),
    "marked": "\ufeff" + BLOCK,
}


def content_of(text: str) -> dict[str, Any]:
    return parse_text(text, "test").document.model_dump(mode="json", exclude_unset=True)


def after(text: str, **fields: Any) -> GovernanceDocument:
    content = content_of(text)
    _budget(content).update(fields)
    return parse_document(content, "test")


def comments(text: str) -> list[str]:
    return [line.partition("#")[2].strip() for line in text.splitlines() if "#" in line]


def edited(text: str, edit: Edit, **fields: Any) -> str:
    changed = edited_text(text, "all", edit, after(text, **fields))
    assert changed is not None
    assert comments(changed) == comments(text)
    assert ("\r\n" in changed) == ("\r\n" in text)
    assert changed.startswith("\ufeff") == text.startswith("\ufeff")
    return changed


def raises_of(text: str) -> list[dict[str, Any]]:
    raises: list[dict[str, Any]] = _budget(content_of(text)).get("raises", [])
    return raises


def _budget(content: dict[str, Any]) -> Any:
    return next(each for each in content["budgets"] if each["id"] == "all")


@pytest.mark.parametrize("style", TEXTS)
def test_a_limit_is_changed_where_it_stands(style: str) -> None:
    text = TEXTS[style]
    changed = edited(text, lambda each: each.with_amount("monthly_budget_usd", Decimal("612.5")),
                     monthly_budget_usd="612.5")  # fmt: skip
    if style != "preset":
        assert changed == text.replace("500", "612.5")


@pytest.mark.parametrize("style", TEXTS)
def test_a_raise_is_added_behind_the_others(style: str) -> None:
    text = TEXTS[style]
    added = ADDED.model_dump(mode="json", exclude_unset=True)
    changed = edited(text, lambda each: each.with_raise(ADDED), raises=[*raises_of(text), added])
    assert len(changed.splitlines()) - len(text.splitlines()) in (0, 1)
    twice = edited(changed, lambda each: each.with_raise(ADDED), raises=[*raises_of(changed), added])
    assert raises_of(twice)[-2:] == [added, added]


@pytest.mark.parametrize("style", [style for style in TEXTS if style.endswith("list")])
@pytest.mark.parametrize("index", [0, 1])
def test_a_raise_is_ended_where_it_stands(style: str, index: int) -> None:
    text, until = TEXTS[style], "2026-11-03T12:00:00Z"
    raises = raises_of(text)
    raises[index]["until"] = until
    changed = edited(text, lambda each: each.with_raise_until(index, until), raises=raises)
    assert changed.count("\n") == text.count("\n")


@pytest.mark.parametrize("style", TEXTS)
@pytest.mark.parametrize("from_the_end", [0, 1])
def test_a_raise_is_taken_out_again(style: str, from_the_end: int) -> None:
    text = TEXTS[style]
    raises = raises_of(text)
    for _ in range(2):
        raises.append(ADDED.model_dump(mode="json", exclude_unset=True))
        text = edited(text, lambda each: each.with_raise(ADDED), raises=raises)
    index = len(raises) - 1 - from_the_end
    del raises[index]
    text = edited(text, lambda each: each.without_raise(index), raises=raises)
    assert raises_of(text) == raises


@pytest.mark.parametrize("style", TEXTS)
def test_the_only_raise_leaves_nothing_that_counts(style: str) -> None:
    text = TEXTS[style]
    while raises := raises_of(text):
        text = edited_text(text, "all", lambda each: each.without_raise(0), after(text, raises=raises[1:])) or ""
    assert after(text, raises=[]) == after(TEXTS[style], raises=[])


@pytest.mark.parametrize(
    "unusual",
    [
        None,
        "organization: acme\nbudgets: []\n",
        yaml.safe_dump(content_of(BLOCK)).replace("id: all", "id: none"),
    ],
)
def test_a_text_in_which_the_budget_is_not_found_is_given_up(unusual: str | None) -> None:
    assert edited_text(unusual, "all", lambda each: each.with_raise(ADDED), after(BLOCK)) is None


def test_an_edit_that_does_not_come_out_as_meant_is_given_up() -> None:
    assert edited_text(BLOCK, "all", lambda each: each.with_raise(ADDED), after(BLOCK)) is None
    assert edited_text(BLOCK, "all", lambda each: each.text + "}", after(BLOCK)) is None
