"""Change one thing about a budget in the text of a document, and leave every comment where it is. Pure.

Each change is an edit of the text at the place where the thing is written, or where it would be. The result is read
again: a text in which the edit does not come out as meant is given up, and the caller has none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import yaml

from engine.document.json_text import begins_as_json
from engine.document.load import parse_text
from engine.document.raise_spec import RaiseSpec
from engine.document.schema import GovernanceDocument
from engine.errors import DocumentError

Edit = Callable[["BudgetText"], str]
"""Makes the changed text. May raise `LookupError` where the text does not have what it looks for."""


class BudgetText:
    """One budget in a text, with the places of its keys."""

    def __init__(self, text: str, budget: yaml.MappingNode) -> None:
        self.text = text
        self._budget = budget
        self._as_json = begins_as_json(text)
        self._newline = "\r\n" if "\r\n" in text else "\n"

    def with_amount(self, field: str, usd: Decimal) -> str:
        """With another amount in `field`, which may not be there yet: a preset fills it in."""
        at = _value(self._budget, field)
        amount = format(usd, "f")
        return self._with_key(field, amount) if at is None else self._replaced(at, amount)

    def with_raise(self, added: RaiseSpec) -> str:
        """With one raise more."""
        at, item = _value(self._budget, "raises"), self._written(added)
        if at is None:
            return self._with_key("raises", f"[{item}]")
        raises = _sequence(at)
        if raises.flow_style:
            return self._inserted(_end(raises) - 1, f"{', ' if raises.value else ''}{item}")
        return self._with_line(_end(raises), raises.start_mark.column, f"- {item}")

    def with_raise_until(self, index: int, until: str) -> str:
        """With another end of a raise."""
        at = _value(_mapping(self._raise(index)), "until")
        if at is None:
            raise LookupError("until")
        return self._replaced(at, json.dumps(until))

    def without_raise(self, index: int) -> str:
        """Without a raise; nothing is left of the list when it was the only one of it."""
        gone, raises = self._raise(index), _sequence(_value(self._budget, "raises"))
        only = len(raises.value) == 1
        if only and raises.flow_style:
            return self._replaced(raises, "[]")
        if not raises.flow_style:
            start = self.text.rfind("\n", 0, gone.start_mark.index) + 1
            before, behind = self.text[:start], self.text[self._line_end(_end(gone)) :].removeprefix(self._newline)
            if only:
                key = next(key for key, _ in self._budget.value if key.value == "raises")
                colon = before.index(":", key.end_mark.index) + 1
                before = f"{before[:colon]} []{before[colon:]}"
            return before + behind
        if index:
            return self.text[: _end(raises.value[index - 1])] + self.text[_end(gone) :]
        return self.text[: gone.start_mark.index] + self.text[raises.value[1].start_mark.index :]

    def _raise(self, index: int) -> yaml.Node:
        raises: list[yaml.Node] = _sequence(_value(self._budget, "raises")).value
        return raises[index]

    def _written(self, each: RaiseSpec) -> str:
        facts: Mapping[str, Any] = each.model_dump(exclude_unset=True)
        return "{" + ", ".join(f"{self._key(name)}: {_scalar(value)}" for name, value in facts.items()) + "}"

    def _key(self, name: str) -> str:
        return json.dumps(name) if self._as_json else name

    def _with_key(self, name: str, value: str) -> str:
        entry = f"{self._key(name)}: {value}"
        if self._budget.flow_style:
            return self._inserted(_end(self._budget) - 1, f", {entry}")
        return self._with_line(_end(self._budget), self._budget.start_mark.column, entry)

    def _with_line(self, after: int, column: int, line: str) -> str:
        return self._inserted(self._line_end(after), f"{self._newline}{' ' * column}{line}")

    def _line_end(self, at: int) -> int:
        end = self.text.find(self._newline, at)
        return len(self.text) if end < 0 else end

    def _inserted(self, at: int, more: str) -> str:
        return self.text[:at] + more + self.text[at:]

    def _replaced(self, node: yaml.Node, written: str) -> str:
        return self.text[: node.start_mark.index] + written + self.text[_end(node) :]


def edited_text(text: str | None, budget_id: str, edit: Edit, after: GovernanceDocument) -> str | None:
    """The text after the edit of a budget, if it then says what `after` does; else, or without a text, `None`."""
    if text is None:
        return None
    mark, body = text[: text.startswith("\ufeff")], text.removeprefix("\ufeff")
    try:
        changed = edit(BudgetText(body, _budget(body, budget_id)))
        same = parse_text(changed, "the document").document == after
    except (DocumentError, LookupError, yaml.YAMLError):
        return None
    return mark + changed if same else None


def _budget(text: str, budget_id: str) -> yaml.MappingNode:
    root = _mapping(yaml.compose(text, Loader=yaml.SafeLoader))
    for each in _sequence(_value(root, "budgets")).value:
        identifier = _value(_mapping(each), "id")
        if identifier is not None and identifier.value == budget_id:
            return _mapping(each)
    raise LookupError(budget_id)


def _value(mapping: yaml.MappingNode, name: str) -> yaml.Node | None:
    return next((value for key, value in mapping.value if key.value == name), None)


def _mapping(node: Any) -> yaml.MappingNode:
    if isinstance(node, yaml.MappingNode):
        return node
    raise LookupError("not a mapping")


def _sequence(node: Any) -> yaml.SequenceNode:
    if isinstance(node, yaml.SequenceNode):
        return node
    raise LookupError("not a list")


def _scalar(value: Any) -> str:
    return format(value, "f") if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False)


def _end(node: yaml.Node) -> int:
    """Where a node's text ends. What PyYAML calls the end of one without brackets is the start of what follows it."""
    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    return int(node.end_mark.index)
