"""Thousands of broken documents: each is refused in one line by `DocumentError`, whatever is broken and however."""

from __future__ import annotations

import copy
import json
import random
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from engine.document import yaml_text
from engine.document.load import content_hash, parse_document, parse_text
from engine.document.schema import GovernanceDocument
from engine.document.tree import Unreadable
from engine.document.yaml_text import read_yaml
from engine.errors import DocumentError

GOOD: dict[str, Any] = {
    "organization": "acme",
    "timezone": "America/New_York",
    "combining": "deny_overrides",
    "expired_holds": "charge",
    "agents": {
        "copilot_hr": {
            "provider": "copilot_studio",
            "team": "team-hr",
            "model": "gpt-4o",
            "environment": "production",
            "tags": ["hr"],
            "owner": "hr-leads",
            "value_per_success_usd": 1.5,
        }
    },
    "budgets": [
        {
            "id": "each",
            "per": "agent",
            "applies_to": {"provider": "copilot_studio"},
            "preset": "copilot_studio",
            "monthly_budget_usd": 500,
            "daily_execution_limit": 100,
            "warning_threshold": 0.8,
            "enforcement_mode": "hard",
            "on_outage": "bounded",
        }
    ],
    "rate_limits": [{"id": "users", "per": "user", "requests_per_minute": 10, "burst_multiplier": 1.5}],
    "policies": [
        {
            "policy_id": "office",
            "effect": "allow",
            "priority": 25,
            "enabled": True,
            "shadow": False,
            "conditions": [
                {
                    "environments": ["production"],
                    "tags": {"required": ["hr"]},
                    "countries": ["US"],
                    "ips": ["203.0.113.0/24"],
                    "business_hours": {
                        "days": ["monday"],
                        "start_time": "09:00",
                        "end_time": "17:00",
                        "timezone": "America/New_York",
                    },
                },
                {"maintenance_windows": [{"start": "2026-12-25T00:00:00Z", "end": "2026-12-26T00:00:00Z"}]},
            ],
        }
    ],
    "prices": {
        "unknown_price": "deny",
        "copilot_credits": {"plan": "prepaid", "discount": 0.1},
        "overrides": [
            {
                "provider": "openai",
                "model": "gpt-4o",
                "agent": "coder",
                "effective_from": "2026-12-01",
                "source": "a contract",
                "input_usd_per_million": 2,
                "output_usd_per_million": 8.5,
                "cached_input_usd_per_million": "0.2",
                "cache_write_usd_per_million": 3,
                "terms": ["data_zone"],
                "buffer": 0.1,
            },
            {"provider": "webhook", "per_call_usd": 0.002},
            {"provider": "copilot_studio", "credits_per_call": 7},
        ],
    },
    "alerts": {
        "channels": {
            "ops": {"slack": "#ops"},
            "leads": {"email": ["leads@example.com"]},
            "hook": {"webhook": "https://example.com/alerts"},
        },
        "routes": {"critical": ["ops"]},
        "by_team": {"team-hr": {"warning": ["leads"]}},
        "rules": [
            {"id": "policy_deny", "enabled": False},
            {
                "id": "slow",
                "title": "Checks are slow",
                "metric": "governance_check_latency_ms",
                "quantile": 0.99,
                "filter": {"provider": "openai"},
                "window": "10m",
                "comparison": ">",
                "threshold": 40.5,
                "clear": "30",
                "for": "2m",
                "keep_firing_for": "1h",
                "no_data": "alert",
                "runbook": "https://example.com/slow",
            },
            {"id": "hr", "metric": "budget_usage_percentage", "threshold": "70%", "budget_threshold": "warning"},
        ],
    },
}

ODD: list[Any] = [
    *(None, True, False, 0, -1, 1.5, -0.0, 10**30, -(10**39), 1e308, float("inf"), float("nan")),
    *(
        "",
        " ",
        "x" * 10_000,
        "a b",
        "\n",
        "\x00",
        "\x1b[2J",
        "\u2028",
        "\U0001f600",
        "0",
        "-1",
        "NaN",
        "1e999",
        "../..",
        "%s{}",
    ),
    *([], [[]], [None], {}, {"": ""}, {"x": {"y": {}}}, ["x"] * 50, [{}], {"id": []}),
]

Path = tuple[int | str, ...]


def places(part: Any, path: Path = ()) -> Iterator[Path]:
    """Every place below the top of a document."""
    steps: list[int | str] = (
        list(part) if isinstance(part, dict) else list(range(len(part))) if isinstance(part, list) else []
    )
    for step in steps:
        yield (*path, step)
        yield from places(part[step], (*path, step))


def changed(path: Path, new: Any) -> dict[str, Any]:
    document = copy.deepcopy(GOOD)
    part: Any = document
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = new
    return document


def without(path: Path, renamed: str | None = None) -> dict[str, Any]:
    document = copy.deepcopy(GOOD)
    part: Any = document
    for step in path[:-1]:
        part = part[step]
    value = part.pop(path[-1])
    if renamed is not None:
        part[renamed] = value
    return document


def outcome(text: str | dict[str, Any]) -> GovernanceDocument | None:
    """The document, or `None` after a proper refusal. Anything else that is raised fails the test."""
    try:
        return parse_text(text, "f.yaml").document if isinstance(text, str) else parse_document(text, "version 1")
    except DocumentError as refused:
        check_refusal(refused)
        return None


def check_refusal(refused: DocumentError) -> None:
    sentence = str(refused)
    assert sentence.isprintable(), sentence
    assert len(sentence) < 500
    assert sentence.startswith(("f.yaml", "version 1"))
    assert refused.problems
    assert all(problem.isprintable() for problem in refused.problems)


def count(texts: Iterator[str | dict[str, Any]]) -> tuple[int, int]:
    """How many are refused and how many are documents; those mean the same when they are read again."""
    refused = valid = 0
    for text in texts:
        document = outcome(text)
        if document is None:
            refused += 1
            continue
        valid += 1
        again = outcome(text)
        assert again == document
        assert again is not None
        assert content_hash(again) == content_hash(document)
    return refused, valid


def test_the_good_document_is_good() -> None:
    assert outcome(json.dumps(GOOD)) == outcome(yaml.safe_dump(GOOD)) == outcome(GOOD)
    assert outcome(GOOD) is not None


def test_an_odd_value_in_any_place() -> None:
    documents = [changed(path, odd) for path in places(GOOD) for odd in ODD]
    refused, valid = count(iter(documents))
    assert refused >= 1_500
    assert refused + valid == len(documents)
    # As text, numbers and control characters take another way in.
    assert count(yaml.dump(document, Dumper=_Dumper) for document in documents[::7])[0] >= 200
    assert count(json.dumps(document) for document in documents[3::7])[0] >= 200


def test_a_key_left_out_or_misspelled_anywhere() -> None:
    paths = [path for path in places(GOOD) if isinstance(path[-1], str)]
    refused, _ = count(
        without(path, renamed) for path in paths for renamed in (None, f"{path[-1]}s", "a b", "", "\n", "\x00")
    )
    assert refused >= 150


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_a_text_cut_off_or_damaged_at_many_places(form: str) -> None:
    text = yaml.safe_dump(GOOD, sort_keys=False) if form == "yaml" else json.dumps(GOOD, indent=1)
    random_ = random.Random(form)
    damage = [
        *"{}[]\"':,-#&*!|>%@`?\t\n \\\x00\x7f\ufeff\ud800\u2028",
        "<<: ",
        "---\n",
        "...\n",
        "\r\n",
        "!!python/name:os.system ",
    ]

    def damaged() -> Iterator[str]:
        for at in range(0, len(text), 5):
            yield text[:at]
            yield text[:at] + random_.choice(damage) + text[at:]
            yield text[:at] + random_.choice(damage) + text[at + 1 :]
            yield text[:at] + text[at + random_.randint(1, 30) :]

    refused, valid = count(damaged())
    assert refused >= 700
    assert valid >= 1


def test_bytes_from_nowhere() -> None:
    random_ = random.Random(7)
    alphabet = "ab:- \n\t{}[]\"'#&*!|>%,0.~?"
    texts = ["".join(random_.choices(alphabet, k=random_.randint(1, 60))) for _ in range(500)]
    texts += [random_.randbytes(random_.randint(1, 200)).decode("latin-1") for _ in range(300)]
    texts += [f"organization: acme\n{text}" for text in texts[:300]]
    refused, _ = count(iter(texts))
    assert refused >= 1_000


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "{a: " * 100_000,
        "- " * 100_000,
        "\n".join(f"{' ' * depth}a:" for depth in range(2_000)),
        '{"a":' * 100_000,
        '{"a": ' + "[" * 100_000,
        "a: &a [" + "x, " * 100_000 + "]\nb: [" + "*a, " * 1_000 + "]",
        "organization: a\ntimezone: " + "x" * 4_000_000,
        "organization: " + "9" * 4_000_000,
        '{"organization": ' + "9" * 4_000_000 + "}",
        "organization: a\npolicies: [" + "[], " * 1_000_000 + "]",
        "organization: a\n" + "? " * 1_000_000,
        "!" * 4_000_000,
        "organization: 1e" + "9" * 30,
        "organization: a\nbudgets: [{id: x, per: org, monthly_budget_usd: 1e9999999}]",
        "organization: a\nbudgets: [{id: x, per: org, daily_execution_limit: 1e999}]",
        "organization: a\nrate_limits: [{id: x, per: org, burst_multiplier: 1e999, requests_per_minute: 1}]",
    ],
    ids=range(17),
)
def test_a_bomb_is_refused_quickly(text: str) -> None:
    started = time.monotonic()
    assert outcome(text) is None
    # Seconds on a busy machine; a bomb that goes off takes minutes or all memory.
    assert time.monotonic() - started < 10


def test_a_large_good_document_is_read_in_seconds() -> None:
    policy = (
        "- {{policy_id: p{0}, effect: allow, priority: 60,\n"
        "   conditions: [{{environments: [production, staging], teams: [team-{0}]}}]}}\n"
    )
    text = "organization: acme\npolicies:\n" + "".join(policy.format(n) for n in range(18_000))
    assert len(text) > 2_000_000
    started = time.monotonic()
    assert outcome(text) is not None
    assert time.monotonic() - started < 10


def test_both_parsers_agree_on_what_is_good_and_what_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    if yaml_text.PARSER is yaml.SafeLoader:
        pytest.skip("PyYAML was built without libyaml")
    text = yaml.safe_dump(GOOD, sort_keys=False)
    random_ = random.Random(11)
    texts = [
        text,
        "a: '\\ud800'",
        'a: "\\ud800"',
        "a: NO",
        "[" * 1000,
        "a: &x 1",
        "a: *x",
        "a: !!str 1",
        "<<: {}",
        "a: 1\na: 2",
    ]
    for _ in range(150):
        at = random_.randrange(len(text))
        texts.append(text[:at] + random_.choice("{}[]\"':,-#&*!|>%@`?\n \\") + text[at:])

    def read(text: str) -> Any:
        try:
            return read_yaml(text)[0]
        except Unreadable:
            return Unreadable

    fast = [read(text) for text in texts]
    monkeypatch.setattr(yaml_text, "PARSER", yaml.SafeLoader)
    assert [text for text, content in zip(texts, fast, strict=True) if read(text) != content] == []


class _Dumper(yaml.SafeDumper):
    """Writes a part again instead of an alias to it."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
