"""The text of runbooks, as the page of an alert shows it."""

from __future__ import annotations

import re

import pytest

from engine.alerting.runbooks import runbook_text
from engine.alerting.shipped import shipped_rules


def test_a_link_gives_its_section_and_nothing_of_the_next() -> None:
    text = runbook_text("docs/alerts.md#budget_exhausted")
    assert text is not None
    assert text.startswith("*Rule: `budget_exhausted`")
    assert "**What it means.**" in text
    assert "\n#" not in text
    assert "<!--" not in text


@pytest.mark.parametrize("link", ["", "docs/alerts.md", "docs/alerts.md#nothing", "https://example.com/#policy_deny"])
def test_a_link_that_leads_elsewhere_has_no_text(link: str) -> None:
    assert runbook_text(link) is None


def test_every_shipped_rule_has_one_whose_links_lead_somewhere_from_a_page() -> None:
    for rule in shipped_rules():
        text = runbook_text(rule.runbook or "")
        assert text, rule.id
        assert [link for link in re.findall(r"\]\(([^)]*)\)", text) if not link.startswith("https://")] == [], rule.id
