"""What is the same for every call of one caller: worked out at the first, remembered for the next. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any, NamedTuple

from engine.document.schema import GovernanceDocument
from engine.policy.context import PolicyContext
from engine.policy.engine import PolicyEngine
from engine.policy.index import Masks
from engine.pricing.price_list import CallPrices, PriceList
from engine.request import FACT_NAMES, CallFacts, gather_facts

MOST_CALLERS = 4096
"""Callers remembered for one document version; users are many, so when there are more it begins anew."""

_facts_of = itemgetter(*FACT_NAMES)


class Caller(NamedTuple):
    """A call but for its size and its instant. `timeless` is what policies say of it at any time."""

    facts: CallFacts
    context: PolicyContext
    timeless: Masks | None
    prices: CallPrices


class Callers:
    """The callers of one document version. Safe to share between threads."""

    def __init__(self, document: GovernanceDocument, policies: PolicyEngine, prices: PriceList) -> None:
        self._document = document
        self._policies = policies
        self._prices = prices
        self._known: dict[tuple[Any, ...], Caller] = {}

    def of(self, request: Mapping[str, Any]) -> Caller:
        """Who makes a request. Raises `InvalidValue` as `gather_facts` does."""
        try:
            key = _facts_of(request)
            caller = self._known.get(key)
        except (KeyError, TypeError):
            if isinstance(request.get("tags"), list):
                return self.of({**request, "tags": tuple(request["tags"])})
            # Facts left out, or nonsense that cannot be looked up and is refused here.
            return self._gathered({name: request[name] for name in FACT_NAMES if name in request})
        if caller is None:
            caller = self._gathered(dict(zip(FACT_NAMES, key, strict=True)))
            if len(self._known) >= MOST_CALLERS:
                self._known = {}
            self._known[key] = caller
        return caller

    def _gathered(self, request: Mapping[str, Any]) -> Caller:
        facts = gather_facts(self._document, **request)
        context = facts.policy_context()
        prices = self._prices.of(facts.provider, facts.model, facts.complexity, facts.agent_id)
        return Caller(facts, context, self._policies.timeless(context), prices)
