"""Which agents a bill is compared with, and what is left out."""

from __future__ import annotations

from engine.pricing.billing.scope import Scope, providers_of, scope_of

RECORDED = {
    "coder": {"openai": 5},
    "writer": {"openai": 7},
    "copilot": {"copilot_studio": 9},
    "mover": {"openai": 1, "webhook": 2},
    "denied": {"": 0},
}
REGISTERED = {"coder": "azure_openai", "idle": "openai", "copilot": "copilot_studio"}


def test_without_providers_all_are_compared() -> None:
    scope = scope_of(["coder"], ["elsewhere"], RECORDED, REGISTERED, None)
    assert scope == Scope(frozenset({*RECORDED, "elsewhere"}))


def test_agents_of_other_providers_are_left_out_with_what_they_spent() -> None:
    scope = scope_of(["coder", "stranger"], ["idle", "copilot"], RECORDED, REGISTERED, {"openai"})
    assert scope.agents == {"coder", "stranger", "writer", "mover", "idle"}
    assert scope.left_out == {"copilot_studio": 9}


def test_agents_that_the_bill_names_are_compared_whatever_is_wanted() -> None:
    scope = scope_of(["copilot"], [], RECORDED, REGISTERED, {"webhook"})
    assert scope.agents == {"copilot", "mover"}
    assert scope.left_out == {"openai": 12}


def test_the_providers_of_a_bill_are_those_of_its_agents_in_the_ledger_or_else_in_the_document() -> None:
    assert providers_of(["coder"], RECORDED, REGISTERED) == {"openai"}
    assert providers_of(["idle", "mover"], RECORDED, REGISTERED) == {"openai", "webhook"}
    assert providers_of(["stranger", "denied"], RECORDED, REGISTERED) == frozenset()
