"""The document's JSON Schema: it accepts what we ship, refuses what is wrong, and explains each key to an editor."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from engine.document.examples import EXAMPLES, example
from engine.document.json_schema import DIALECT, document_schema, known_keys
from engine.document.yaml_text import read_yaml


@pytest.fixture(scope="module")
def validator() -> Any:
    jsonschema = pytest.importorskip("jsonschema")
    schema = document_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_are_valid(validator: Any, name: str) -> None:
    content, _ = read_yaml(example(name))
    assert [error.message for error in validator.iter_errors(content)] == []
    assert [error.message for error in validator.iter_errors({**content, "based_on": 3})] == []


@pytest.mark.parametrize(
    "wrong",
    [
        "{}",
        "[]",
        "organization: a b",
        "organization: 5",
        "{organization: a, based_on: 0}",
        "{organization: a, budget: []}",
        "{organization: a, combining: first}",
        "{organization: a, agents: {x: {}}}",
        "{organization: a, agents: {x: {provider: y, teem: z}}}",
        "{organization: a, agents: {a b: {provider: y}}}",
        "{organization: a, budgets: [{id: x, per: galaxy}]}",
        "{organization: a, budgets: [{id: x, per: org, monthly_budget_usd: -1}]}",
        "{organization: a, budgets: [{id: x, per: org, monthly_budget_usd: 1e10}]}",
        "{organization: a, budgets: [{id: x, per: org, monthly_budget_usd: much}]}",
        "{organization: a, budgets: [{id: x, per: org, warning_threshold: 0}]}",
        "{organization: a, budgets: [{id: x, per: org, preset: big}]}",
        "{organization: a, rate_limits: [{id: x, per: user, requests_per_minute: 1.5}]}",
        "{organization: a, rate_limits: [{id: x, per: user, burst_multiplier: 0.5}]}",
        "{organization: a, policies: [{policy_id: x}]}",
        "{organization: a, policies: [{policy_id: x, effect: perhaps}]}",
        "{organization: a, policies: [{policy_id: x, effect: deny, priority: 1001}]}",
        "{organization: a, policies: [{policy_id: x, effect: deny, conditions: [{environments: []}]}]}",
        "{organization: a, alerts: {routes: {loud: []}}}",
    ],
)
def test_a_wrong_document_is_not_valid(validator: Any, wrong: str) -> None:
    content, _ = read_yaml(wrong)
    assert not validator.is_valid(content)


def test_a_policy_preset_alone_is_a_policy(validator: Any) -> None:
    assert validator.is_valid({"organization": "a", "policies": [{"preset": "block_dev"}]})


def test_every_key_is_explained() -> None:
    schema = document_schema()
    unexplained = [
        f"{name}.{key}"
        for name, part in [("GovernanceDocument", schema), *schema["$defs"].items()]
        for key, value in part["properties"].items()
        if not value.get("description")
    ]
    assert unexplained == []


def test_the_schema_names_its_dialect_and_is_plain_json() -> None:
    schema = document_schema()
    assert schema["$schema"] == DIALECT
    assert schema["$id"] == "urn:bursar:governance-document"
    assert json.loads(json.dumps(schema)) == schema
    assert not [name for name in _names(schema) if name in ("ge", "gt", "le", "lt", "max_digits")]


def test_the_known_keys_of_a_place_are_found() -> None:
    assert "organization" in known_keys(())
    assert "provider" in known_keys(("agents", "any-name"))
    assert "per" in known_keys(("budgets", 0))
    assert "slack" in known_keys(("alerts", "channels", "any-name"))
    assert "timezone" in known_keys(("policies", 3, "conditions", 0, "business_hours"))
    assert known_keys(("nowhere", 1)) == ()


def _names(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        yield from part
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _names(inner)
