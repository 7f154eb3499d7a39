"""What a webhook posts: the fields that programs decide by, as the documentation shows them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.alerting.alert_message import AlertMessage
from jobs.delivery.channel import Delivery
from jobs.delivery.webhook import webhook_body
from tests.support import tellings
from tests.support.alert_messages import BARE

OPERATIONS = Path(__file__).parents[3] / "docs" / "operations.md"
DELIVERY = "0193a7c0-0000-7000-8000-0000000000aa"
CRITICAL = replace(tellings.message(tellings.BUDGET_CRITICAL), mention=None)


def body(message: AlertMessage) -> dict[str, Any]:
    posted: dict[str, Any] = json.loads(webhook_body(Delivery(DELIVERY, "https://example.com/page", message)))
    return posted


def test_the_example_in_the_documentation_is_what_is_posted() -> None:
    text = OPERATIONS.read_text(encoding="utf-8")
    examples = [block.split("```")[0] for block in text.split("```json\n")[1:]]
    (example,) = [json.loads(block) for block in examples if '"version"' in block]
    assert example == body(CRITICAL)


def test_programs_need_to_read_no_words() -> None:
    over = body(tellings.message(tellings.RESOLVE_LINE, tellings.OVER_FOUND))
    assert (over["state"], over["alert_id"], over["id"]) == ("resolved", tellings.ALERT_ID, DELIVERY)
    denials = body(tellings.message(tellings.POLICY_DENY, tellings.POLICY_FOUND))
    assert (denials["organization"], denials["rule"], denials["severity"]) == ("acme", "policy_deny", "critical")
    assert (denials["value"], denials["threshold"], denials["state"]) == (73, 50, "firing")


def test_a_message_about_no_alert_says_so() -> None:
    posted = body(BARE)
    for name in ("organization", "alert_id", "rule", "state", "value", "threshold"):
        assert posted[name] is None, name
    assert posted["labels"] == {}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "many", "1E+99999"])
def test_what_is_no_number_in_json_is_null(number: str) -> None:
    assert body(replace(BARE, value_number=number))["value"] is None
