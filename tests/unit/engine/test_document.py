"""The governance document: one sentence for every mistake, and nothing taken for something else."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.document.live import LiveDocument
from engine.document.load import content_hash, document_content, parse_document, parse_text, read_document, read_source
from engine.document.yaml_text import read_yaml
from engine.errors import DocumentError
from engine.policy.context import PolicyContext
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
        ("budget: []", "budget", "is not a known key; did you mean 'budgets'?"),
        ("organization: a b", "organization", "letters, digits"),
        ("organization: 5", "organization", "must be text, got 5; put it in quotes"),
        ('organization: "a\\n"', "organization", "letters, digits"),
        ("timezone: Mars/Olympus", "timezone", "no such time zone"),
        ("timezone: ../../etc/passwd", "timezone", "no such time zone"),
        ("timezone: America", "timezone", "no such time zone"),
        ("combining: first_aplicable", "combining", "did you mean 'first_applicable'?"),
        ("agents: {a: {}}", "agents.a.provider", "required"),
        ("agents: {a: {provider: x, teem: y}}", "agents.a.teem", "is not a known key; did you mean 'team'?"),
        ("agents: {a b: {provider: x}}", "agents.a b", "the key must be 1 to 128 letters, digits"),
        ('agents: {a: {provider: x, owner: "a\\0b"}}', "agents.a.owner", "control"),
        (
            "budgets: [{id: x, per: agent, monthly_budget_usd: -1}]",
            "budgets.0.monthly_budget_usd",
            "at least 0, got -1",
        ),
        ("budgets: [{id: x, per: agent, monthly_budget_usd: .nan}]", "budgets.0.monthly_budget_usd", "finite"),
        ("budgets: [{id: x, per: agent, monthly_budget_usd: .inf}]", "budgets.0.monthly_budget_usd", "finite"),
        (
            "budgets: [{id: x, per: agent, monthly_budget_usd: true}]",
            "budgets.0.monthly_budget_usd",
            "a number, got true",
        ),
        (
            "budgets: [{id: x, per: agent, monthly_budget_usd: 1e10}]",
            "budgets.0.monthly_budget_usd",
            "must be at most 1000000000",
        ),
        (
            "budgets: [{id: x, per: agent, daily_execution_limit: 1.5}]",
            "budgets.0.daily_execution_limit",
            "a whole number, got 1.5",
        ),
        ("budgets: [{id: x, per: galaxy}]", "budgets.0.per", "'org'"),
        (
            "budgets: [{id: x, per: org}, {id: x, per: org}]",
            "budgets.1.id",
            "'x' is used more than once, first on line 2",
        ),
        (
            "rate_limits: [{id: x, per: org, requests_per_day: -1}]",
            "rate_limits.0.requests_per_day",
            "at least 0, got -1",
        ),
        (
            "rate_limits: [{id: x, per: org, burst_multiplier: 0.5}]",
            "rate_limits.0.burst_multiplier",
            "at least 1, got 0.5",
        ),
        ("policies: [{policy_id: x, effect: perhaps}]", "policies.0.effect", "'allow' or 'deny'"),
        (
            "policies: [{policy_id: x, effect: deny, conditions: [{}]}]",
            "policies.0.conditions.0",
            "needs at least one of environ",
        ),
        ("policies: [{policy_id: x, effect: deny, priority: 0}]", "policies.0.priority", "at least 1, got 0"),
        ("alerts: {channels: {a: {}}}", "alerts.channels.a", "needs either"),
        ("alerts: {routes: {critical: [a]}}", "alerts.routes.critical", "does not have"),
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
        ("organization: &name a\ntimezone: *name\n", "line 1: is not readable YAML: anchors (&name)"),
        ("organization: a\n---\norganization: b\n", "line 2: is not readable YAML: a second document"),
        ("organization: !!python/object/apply:os.system [id]\n", "not readable YAML"),
        ("organization: a\ntimezone: *name\n", "line 2: is not readable YAML: aliases (*name)"),
        ('organization: "\\ud800"\n', "line 1: is not readable YAML"),
        ("organization: a\n<<: {timezone: UTC}\n", "line 2: is not readable YAML: merge keys"),
        ("organization: a\n? \n: x\n", "a key is missing"),
        ("[" * 100_000, "not readable YAML"),
        ("x: " + "9" * 5000, "not readable YAML"),
        ("organization: a\n? [1, 2]\n: x\n", "not readable YAML"),
        (b"organization: x\n\xff\xfe\n", "line 2: is not UTF-8 text"),
        (b"\x7fELF\x00\x00\x00", "not readable YAML"),
        ("#" * 5_000_001, "larger than 5 MB"),
    ],
    ids=range(19),
)
def test_a_file_that_is_no_document_is_refused_in_one_sentence(file: Path, content: str | bytes, problem: str) -> None:
    assert problem in refusal(file, content)


def test_a_billion_laughs_are_not_laughed(file: Path) -> None:
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert "line 1: is not readable YAML: anchors" in refusal(file, "\n".join(lines))


def test_a_missing_file_and_a_directory_are_refused_in_one_sentence(tmp_path: Path) -> None:
    for path, problem in ((tmp_path / "none.yaml", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(DocumentError, match=rf"^{path}: cannot be read: {problem}$"):
            read_document(path)


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(DocumentError, match=rf"^{path}: cannot be read: it is a pipe or device, not a file$"):
            read_document(path)
    with pytest.raises(DocumentError, match="cannot be read: no file can have this name"):
        read_document("a\0b")


def test_a_file_that_is_too_large_is_not_even_read(file: Path) -> None:
    with file.open("wb") as sparse:
        sparse.truncate(100_000_000)
    with pytest.raises(DocumentError, match="larger than 5 MB"):
        read_document(file)


def test_a_byte_order_mark_is_no_mistake(file: Path) -> None:
    file.write_text("\ufefforganization: acme\n", encoding="utf-8")
    assert read_document(file).organization == "acme"


@pytest.mark.parametrize("content", [{}, [], None, "x", {None: 1}, {"organization": None}, {1: 2}])
def test_parsed_content_of_any_shape_is_refused_in_one_sentence(content: Any) -> None:
    with pytest.raises(DocumentError, match=r"^here: [^\n]+$"):
        parse_document(content, "here")


MISTAKES = """\
organization: acme
agents:
  copilot_hr:
    provider: copilot_studio
    teem: team-hr
  coder: {owner: me}
budgets:
- id: org
  per: org
  monthly_budget_usd: -1
- id: org
  per: galaxy
alerts:
  routes:
    warning: []
    crtical: [ops]
"""


def test_every_problem_is_a_sentence_with_its_line_in_the_order_of_the_file(file: Path) -> None:
    file.write_text(MISTAKES)
    with pytest.raises(DocumentError) as refused:
        read_document(file)
    assert refused.value.problems == (
        "line 5: agents.copilot_hr.teem: is not a known key; did you mean 'team'?",
        "line 6: agents.coder.provider: is required",
        "line 10: budgets.0.monthly_budget_usd: must be at least 0, got -1",
        "line 11: budgets.1.id: 'org' is used more than once, first on line 8",
        "line 12: budgets.1.per: must be 'org', 'team', 'user', 'agent' or 'provider', got 'galaxy'",
        (
            "line 16: alerts.routes.crtical: the key must be 'critical', 'warning', 'info', 'management' or "
            "'escalation', got 'crtical'; did you mean 'critical'?"
        ),
    )
    assert str(refused.value) == f"{file}, {refused.value.problems[0]} (and 5 more)"


def test_json_has_the_same_lines_problems_and_words(file: Path) -> None:
    content = {"organization": "acme", "budgets": [{"id": "x", "per": "org", "daily_budget_usd": -0.5}]}
    text = json.dumps(content, indent="\t")
    with pytest.raises(DocumentError) as refused:
        parse_text(text, file)
    assert refused.value.problems == ("line 7: budgets.0.daily_budget_usd: must be at least 0, got -0.5",)


def test_problems_without_a_text_have_no_line() -> None:
    with pytest.raises(DocumentError) as refused:
        parse_document({"organization": "acme", "policies": [{"policy_id": "x"}]}, "version 3 of acme")
    assert refused.value.problems == ("policies.0.effect: is required",)
    assert DocumentError("one sentence").problems == ("one sentence",)


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ("alerts:\n  routes:\n    warning: []\n    critical: [a]\n", 5, "alerts.routes.critical: names channel"),
        (
            "rate_limits:\n- id: x\n  per: org\n  on_outage: open\n  fail_open_on_error: false\n",
            5,
            "rate_limits.0.on_outage: open contradicts",
        ),
        ("policies:\n- preset: block_dev\n- preset: block_dev\n", 4, "policies.1.policy_id: 'block_dev' is used more"),
        (
            "policies:\n- policy_id: x\n  effect: deny\n  conditions:\n  - teams: [a]\n    countries: [USA]\n",
            7,
            "policies.0.conditions.0.countries.0: ",
        ),
    ],
    ids=["route", "outage", "preset twice", "country"],
)
def test_a_rule_between_parts_points_at_the_part_that_breaks_it(text: str, line: int, part: str) -> None:
    with pytest.raises(DocumentError, match=rf"^f.yaml, line {line}: {part}"):
        parse_text(f"organization: a\n{text}", "f.yaml")


def test_the_version_a_file_was_made_from_is_no_part_of_the_document(file: Path) -> None:
    file.write_text(f"based_on: 7\n{GOOD}")
    source = read_source(file)
    assert (source.path, source.based_on, source.text) == (file, 7, f"based_on: 7\n{GOOD}")
    plain = parse_text(GOOD, file)
    assert plain.based_on is None
    assert source.document == plain.document
    assert content_hash(source.document) == content_hash(plain.document)
    assert "based_on" not in document_content(source.document)


@pytest.mark.parametrize("version", ["0", "-1", "true", "null", "1.0", "'7'", "[7]"])
def test_the_version_must_be_a_whole_number(file: Path, version: str) -> None:
    sentence = refusal(file, f"organization: a\nbased_on: {version}\n")
    assert ", line 2: based_on: must be the number of a version, a whole number of at least 1, got " in sentence


def test_words_mean_what_yaml_1_2_says() -> None:
    names = ["NO", "on", "yes", "17:00", "2025-12-25", "010", "0x1F", "1_000", "12e03x"]
    document = parse_text(
        f"organization: acme\nagents: {{x: {{provider: NO, tags: [{names[0]}, on, yes]}}}}", "f"
    ).document
    assert document.agents["x"].provider == "NO"
    assert document.agents["x"].tags == ["NO", "on", "yes"]
    for name in names:
        assert read_yaml(f"a: {name}\n")[0] == {"a": name}
    assert read_yaml("[true, False, ~, null, 12, -3, 1e3, .5, '12', \"no\", 2025-12-25T00:00:00Z]")[0] == [
        *(True, False, None, None, 12, -3, 1000.0, 0.5, "12", "no", "2025-12-25T00:00:00Z")
    ]


def test_a_key_is_its_own_text() -> None:
    document = parse_text("organization: acme\nagents: {2026: {provider: x}, true: {provider: x}}", "f").document
    assert list(document.agents) == ["2026", "true"]


def test_no_digit_of_an_amount_is_lost() -> None:
    text = "organization: a\nbudgets: [{id: x, per: org, monthly_budget_usd: 123456789.1234567}]"
    assert parse_text(text, "f").document.budgets[0].monthly_budget_usd == Decimal("123456789.1234567")
    assert read_yaml("0.12345678901234567890")[0] == Decimal("0.12345678901234567890")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            '{"organization": "a",\n"organization": "b"}',
            "line 2: is not readable JSON: the key 'organization' is given",
        ),
        ('{"organization": "a", "x": NaN}', "line 1: is not readable JSON: 'NaN' is neither"),
        ('{"organization": "a", "x": -Infinity}', "line 1: is not readable JSON: '-Infinity' is neither"),
        ('{"organization": "a",\n}', "line 2: is not readable JSON: a key must be in double quotes"),
        ('{"organization":\n"a', "line 2: is not readable JSON: a quote is opened"),
        ('{"organization": "a"} x', "line 1: is not readable JSON: something follows"),
        ('{"organization": "\\ud800"}', "line 1: is not readable JSON: half of a character"),
        ('{"organization" "a"}', "line 1: is not readable JSON: expected a colon"),
        ('{"a": [1, 2}', "line 1: is not readable JSON: expected a comma or ]"),
        ('{"a":' * 100_000, "line 1: is not readable JSON: nested deeper than 50"),
        ('{"a": ' + "9" * 5000 + "}", "line 1: is not readable JSON: a number of more than 40"),
    ],
    ids=range(11),
)
def test_broken_json_is_refused_with_its_line(file: Path, text: str, problem: str) -> None:
    assert problem in refusal(file, text)


def test_a_mapping_in_braces_without_quotes_is_yaml() -> None:
    assert parse_text("{organization: acme}", "f.yaml").document.organization == "acme"
    with pytest.raises(DocumentError, match="is not readable JSON: a key must be in double quotes"):
        parse_text("{organization: acme}", "f.json")
