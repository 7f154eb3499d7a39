"""Which agents a bill is compared with. A bill of one provider says nothing about agents of another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

ByProvider = Mapping[str, Mapping[str, int]]
"""What the ledger has by agent and provider, in micro-dollars; 0 where calls cost nothing."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The agents of a comparison. `providers` is `None` when nobody is left out for their provider's sake."""

    agents: frozenset[str]
    providers: frozenset[str] | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)
    """What the ledger has of agents that are not compared, by their provider; none is 0."""


def scope_of(
    named: Collection[str],
    others: Collection[str],
    recorded: ByProvider,
    registered: Mapping[str, str],
    providers: Collection[str] | None,
) -> Scope:
    """Those the bill names are always compared, with all they spent; else an agent is when its provider is wanted.

    `others` are agents that only other bills name, `registered` the providers of the live document's agents, and
    `providers` those that are wanted, `None` for all.
    """
    everyone = frozenset({*named, *others, *recorded})
    if providers is None:
        return Scope(everyone)
    wanted = frozenset(providers)
    agents = frozenset(named) | {each for each in everyone if wanted & _providers_of(each, recorded, registered)}
    left_out: dict[str, int] = defaultdict(int)
    for agent_id in recorded.keys() - agents:
        for provider, micros in recorded[agent_id].items():
            left_out[provider] += micros
    return Scope(agents, wanted, {provider: micros for provider, micros in left_out.items() if micros})


def providers_of(named: Collection[str], recorded: ByProvider, registered: Mapping[str, str]) -> frozenset[str]:
    """The providers that a bill which names these agents can be about."""
    return frozenset().union(*(_providers_of(each, recorded, registered) for each in named))


def _providers_of(agent_id: str, recorded: ByProvider, registered: Mapping[str, str]) -> frozenset[str]:
    """By the ledger, which knows what was; an agent without calls is what the document says."""
    known = frozenset(provider for provider in recorded.get(agent_id, ()) if provider)
    if not known and agent_id in registered:
        return frozenset({registered[agent_id]})
    return known
