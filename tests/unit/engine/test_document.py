"""The governance document: one sentence for every mistake, and nothing taken for something else."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.document.live import LiveDocument
from engine.document.load import content_hash, document_content, parse_document, read_document
from engine.errors import DocumentError
from engine.policy.conditions import PolicyContext
from engine.policy.policy import PolicyEffect

GOOD = """\
organization: acme
timezone: America/New_York
agents:
  copilot_hr: {provider: copilot_studio, team: team-hr, environment: production, tags: [hr], owner: hr-leads}
  coder: {provider: azure_openai, model: gpt-4o, team: team-eng, environment: production}
budgets:
  - {id: org, per: org, monthly_budget_usd: 5000, daily_budget_usd: 0.1}
  - {id: copilots, per: agent, applies_to: {provider: copilot_studio}, monthly_execution_limit: 10000}
rate_limits:
  - {id: each-user, per: user, requests_per_minute: 10, burst_multiplier: 1.55}
policies:
  - {policy_id: block_dev, effect: deny, priority: 1, conditions: [{environments: [development]}]}
  - {policy_id: go, effect: allow}
alerts:
  channels: {ops: {slack: "#ops"}, here: {log: true}}
  routes: {critical: [ops, here]}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "bursar.yaml"


def refusal(file: Path, content: str | bytes) -> str:
    file.write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)
    with pytest.raises(DocumentError) as refused:
        read_document(file)
    sentence = str(refused.value)
    assert sentence.startswith(str(file))
    assert "\n" not in sentence
    assert len(sentence) < 400
    return sentence.removeprefix(str(file))


def test_a_good_file_is_read_exactly(file: Path) -> None:
    file.write_text(GOOD)
    document = read_document(file)
    assert document.budgets[0].daily_budget_usd == Decimal("0.1")
    assert document.rate_limits[0].limits == (15, None, None)
    assert document.agents["coder"].model == "gpt-4o"


def test_json_is_read_like_yaml(file: Path) -> None:
    file.write_text(GOOD)
    document = read_document(file)
    file.write_text(json.dumps(document_content(document)))
    assert content_hash(read_document(file)) == content_hash(document)


def test_the_stored_form_means_the_same_as_the_file(file: Path) -> None:
    file.write_text(GOOD)
    document = read_document(file)
    stored = json.loads(json.dumps(document_content(document)))
    again = parse_document(stored, "version 1")
    assert again == document
    assert content_hash(again) == content_hash(document)


def test_a_documents_policies_decide(file: Path) -> None:
    file.write_text(GOOD)
    policies = LiveDocument(1, read_document(file)).policies
    assert policies.evaluate(PolicyContext(environment="production")).effect is PolicyEffect.ALLOW
    assert policies.evaluate(PolicyContext(environment="development")).effect is PolicyEffect.DENY
    assert policies.evaluate(PolicyContext()).effect is PolicyEffect.DENY


@pytest.mark.parametrize(
    ("line", "field", "problem"),
    [
        ("budget: []", "budget", "is not a known key"),
        ("organization: a b", "organization", "letters, digits"),
        ("organization: 5", "organization", "string"),
        ('organization: "a\\n"', "organization", "letters, digits"),
        ("timezone: Mars/Olympus", "timezone", "no such time zone"),
        ("timezone: ../../etc/passwd", "timezone", "no such time zone"),
        ("timezone: America", "timezone", "no such time zone"),
        ("combining: first_applicable", "combining", "deny_overrides"),
        ("agents: {a: {}}", "agents.a.provider", "required"),
        ("agents: {a: {provider: x, teem: y}}", "agents.a.teem", "is not a known key"),
        ("agents: {a b: {provider: x}}", "agents.a b.[key]", "letters, digits"),
        ("agents: {true: {provider: x}}", "agents.1.[key]", "string"),
        ('agents: {a: {provider: x, owner: "a\\0b"}}', "agents.a.owner", "control"),
        ('agents: {a: {provider: x, owner: "\\ud800"}}', "agents.a.owner", "unicode"),
        ("budgets: [{id: x, per: agent, monthly_budget_usd: -1}]", "budgets.0.monthly_budget_usd", "greater"),
        ("budgets: [{id: x, per: agent, monthly_budget_usd: .nan}]", "budgets.0.monthly_budget_usd", "finite"),
        ("budgets: [{id: x, per: agent, monthly_budget_usd: .inf}]", "budgets.0.monthly_budget_usd", "finite"),
        ("budgets: [{id: x, per: agent, monthly_budget_usd: true}]", "budgets.0.monthly_budget_usd", "decimal"),
        ("budgets: [{id: x, per: agent, monthly_budget_usd: 1e10}]", "budgets.0.monthly_budget_usd", "less"),
        ("budgets: [{id: x, per: agent, daily_execution_limit: 1.5}]", "budgets.0.daily_execution_limit", "integer"),
        ("budgets: [{id: x, per: galaxy}]", "budgets.0.per", "'org'"),
        ("budgets: [{id: x, per: org}, {id: x, per: org}]", "document", "'x' is used more than once"),
        ("rate_limits: [{id: x, per: org, requests_per_day: -1}]", "rate_limits.0.requests_per_day", "greater"),
        ("rate_limits: [{id: x, per: org, burst_multiplier: 0.5}]", "rate_limits.0.burst_multiplier", "greater"),
        ("policies: [{policy_id: x, effect: perhaps}]", "policies.0.effect", "'allow' or 'deny'"),
        ("policies: [{policy_id: x, effect: deny, conditions: [{}]}]", "policies.0.conditions.0", "needs environ"),
        ("policies: [{policy_id: x, effect: deny, priority: 0}]", "policies.0.priority", "greater"),
        ("alerts: {channels: {a: {}}}", "alerts.channels.a", "needs either"),
        ("alerts: {routes: {critical: [a]}}", "alerts", "does not have"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_the_field(file: Path, line: str, field: str, problem: str) -> None:
    start = "" if line.startswith("organization") else "organization: acme\n"
    sentence = refusal(file, f"{start}{line}\n")
    assert f": {field}: " in sentence
    assert problem in sentence


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "needs at least `organization:`"),
        ("- a\n- b\n", "needs at least `organization:`"),
        ("just words", "needs at least `organization:`"),
        ("organization: a\nagents: {a: [", "not readable YAML"),
        ("organization: a\norganization: b\n", "the key 'organization' is given twice"),
        ("organization: a\nagents: {x: {provider: w, provider: w}}\n", "line 2: is not readable YAML: the key 'prov"),
        ("organization: &name a\ntimezone: *name\n", "aliases (*name) are not supported"),
        ("organization: a\n---\norganization: b\n", "not readable YAML"),
        ("organization: !!python/object/apply:os.system [id]\n", "not readable YAML"),
        ("organization: a\nx: 2026-99-99\n", "not readable YAML"),
        ("[" * 100_000, "not readable YAML"),
        ("x: " + "9" * 5000, "not readable YAML"),
        ("organization: a\n? [1, 2]\n: x\n", "not readable YAML"),
        (b"organization: \xff\xfe\n", "is not UTF-8 text"),
        (b"\x7fELF\x00\x00\x00", "not readable YAML"),
        ("#" * 5_000_001, "larger than 5 MB"),
    ],
    ids=range(16),
)
def test_a_file_that_is_no_document_is_refused_in_one_sentence(file: Path, content: str | bytes, problem: str) -> None:
    assert problem in refusal(file, content)


def test_a_billion_laughs_are_not_laughed(file: Path) -> None:
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert "aliases" in refusal(file, "\n".join(lines))


def test_a_missing_file_and_a_directory_are_refused_in_one_sentence(tmp_path: Path) -> None:
    for path, problem in ((tmp_path / "none.yaml", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(DocumentError, match=rf"^{path}: cannot be read: {problem}$"):
            read_document(path)


def test_a_byte_order_mark_is_no_mistake(file: Path) -> None:
    file.write_text("\ufefforganization: acme\n", encoding="utf-8")
    assert read_document(file).organization == "acme"


@pytest.mark.parametrize("content", [{}, [], None, "x", {None: 1}, {"organization": None}, {1: 2}])
def test_parsed_content_of_any_shape_is_refused_in_one_sentence(content: Any) -> None:
    with pytest.raises(DocumentError, match=r"^here: [^\n]+$"):
        parse_document(content, "here")
