"""`bursar policies explain`: what policies say of one request, condition by condition."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.text import Text

from bursar.governing.ledger import chosen_organization, needed_ledger
from bursar.policies.showing import as_json, console, nearest, show_conditions
from engine.document.live import LiveDocument
from engine.document.load import read_document
from engine.document.policy_cases import context_of
from engine.document.store import live_document
from engine.policy.cures import PolicyView, policy_cures
from engine.policy.engine import PolicyEngine
from engine.policy.policy import PolicyEffect
from engine.settings import read_settings

MOST_SHOWN = 30
"""Policies shown in full; of more, those that apply or nearly do."""


@dataclass(frozen=True)
class ExplainOptions:
    """What `bursar policies explain` was asked."""

    request: Mapping[str, Any]
    at: datetime
    show_all: bool
    as_json: bool


def chosen_document(path: Path | None, org: str | None) -> LiveDocument:
    """The document at `path`, or the live one of the ledger."""
    if path is not None:
        return LiveDocument(0, read_document(path))
    with needed_ledger(read_settings()) as database:
        org_id = chosen_organization(database, org)
        with database.read() as connection:
            return live_document(connection, org_id)


def explain_request(live: LiveDocument, options: ExplainOptions) -> None:
    """Print the answer to one request and how it came about."""
    policies, context = live.policies, context_of(live, options.request)
    result = policies.evaluate(context, options.at)
    view = PolicyView(policies, context, options.at, result)
    cures = list(policy_cures(view))
    if options.as_json:
        print(json.dumps({"at": options.at.isoformat(), **as_json(result), "to_be_allowed": cures}, indent=2))
        return
    out = console()
    allowed = result.effect is PolicyEffect.ALLOW
    out.print(Text("ALLOW" if allowed else "DENY", "bold green" if allowed else "bold red"), Text(result.reason))
    out.print(
        Text(f"At {options.at.isoformat(timespec='seconds')}, by {policies.strategy.value}, {_counted(policies)}"),
        soft_wrap=True,
    )
    if result.matched_policies:
        out.print(Text(f"Applied: {', '.join(result.matched_policies)}"), soft_wrap=True)
    if result.shadow_effect is not None:
        in_shadow = ", ".join(result.shadow_policies)
        out.print(
            Text(f"In shadow: {in_shadow}; enforced, the answer would be {result.shadow_effect.value}", "yellow"),
            soft_wrap=True,
        )
    for cure in cures:
        out.print(Text(f"To be allowed: {cure}"), soft_wrap=True)
    shown = list(result.conditions)
    if len(policies.ordered) > MOST_SHOWN and not options.show_all:
        shown = list(nearest(shown, 1))
        out.print(
            Text(f"Policies that apply or lack one condition (--all for all {len(policies.ordered)}):"), soft_wrap=True
        )
    out.print()
    show_conditions(out, policies, shown)


def _counted(policies: PolicyEngine) -> str:
    count = len(policies.ordered)
    return f"{count} {'policy' if count == 1 else 'policies'}"
