"""How an agent is called, and what its calls come to. Pure: seeded, no clock."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from engine.document.schema import AgentSpec, GovernanceDocument
from engine.pricing.book import PriceBook
from engine.pricing.usage import LARGEST_TOKEN_COUNT
from engine.replay.synthetic import CODING, CONVERSATION, LARGEST_CALL_TOKENS, TrafficShape

USUAL_MODELS = ("gpt-4o", "gpt-4o-mini", "claude-sonnet-5-5")
"""For agents whose calls name their model themselves."""

_MACHINE_PROVIDERS = ("webhook", "power_automate")
_QUIET = {"staging": 0.08, "development": 0.05, "test": 0.05}


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """One agent's calls. Shares are of its calls, `seconds` is the median time a call takes.

    `weight` says how often it is called beside other agents. An agent priced by the call costs its estimate, spread by
    `price_ln_sd`; one priced by tokens costs those. `level` is what the provider really bills of that: 1 is the price
    book's price, 1.3 a third more than anybody has told it.
    """

    agent_id: str
    shape: TrafficShape = CONVERSATION
    by_tokens: bool = False
    by_machine: bool = False
    model: str | None = None
    weight: float = 1.0
    tokens_factor: float = 1.0
    price_ln_sd: float = 0.15
    level: float = 1.0
    seconds: float = 2.5
    failed: float = 0.03
    cancelled: float = 0.01
    never_settled: float = 0.004
    settled_late: float = 0.002

    @property
    def usual_output_tokens(self) -> int:
        """What callers plan with before they know the answer: the mean."""
        return max(1, round(self.shape.output_median * math.exp(self.shape.output_ln_sd**2 / 2) * self.tokens_factor))

    def input_tokens(self, random_source: random.Random) -> int:
        """Tokens of one question."""
        return _tokens(random_source, self.shape.input_median * self.tokens_factor, self.shape.input_ln_sd)

    def output_tokens(self, random_source: random.Random) -> int:
        """Tokens of one answer."""
        return _tokens(random_source, self.shape.output_median * self.tokens_factor, self.shape.output_ln_sd)

    def billed(self, micros: int, random_source: random.Random) -> int:
        """What the provider bills for a call that costs `micros` by the price book."""
        if self.by_tokens:
            return round(micros * self.level)
        spread = self.price_ln_sd
        # With a mean of one: the spread alone makes no price wrong.
        return round(micros * self.level * random_source.lognormvariate(-spread * spread / 2, spread))


def habits_of(
    document: GovernanceDocument, book: PriceBook, random_source: random.Random, *, wrong_level: float = 1.34
) -> list[Habit]:
    """Plausible habits for every agent of a document; one provider bills `wrong_level` of what the book says."""
    models = {provider: model for provider, model in sorted(book.price_keys) if model}
    known = {provider: {model for name, model in book.price_keys if name == provider} for provider in models}
    wrong = _wrong_provider(document)
    habits = []
    for agent_id, agent in sorted(document.agents.items()):
        by_tokens = agent.provider in models
        model = None
        if by_tokens and agent.model is None:
            model = next((name for name in USUAL_MODELS if name in known[agent.provider]), models[agent.provider])
        tags = agent.tags or []
        spread = random_source.lognormvariate(0, 0.6)
        habits.append(
            Habit(
                agent_id=agent_id,
                shape=CODING if "eng" in tags or "code" in agent_id else CONVERSATION,
                by_tokens=by_tokens,
                by_machine="batch" in tags or agent.provider in _MACHINE_PROVIDERS,
                model=model,
                weight=spread * _QUIET.get(agent.environment or "", 1.0) * (0.03 if "deprecated" in tags else 1.0),
                tokens_factor=random_source.lognormvariate(0, 0.4),
                price_ln_sd=0.1 + 0.15 * random_source.random(),
                level=wrong_level if agent.provider == wrong else 1.0,
                seconds=random_source.lognormvariate(0.9, 0.4),
                failed=min(0.2, random_source.lognormvariate(-3.6, 0.5)),
            )
        )
    return habits


def _wrong_provider(document: GovernanceDocument) -> str:
    """A provider paid by the call, of whose prices nobody has a list, else any."""
    present = sorted({agent.provider for agent in _in_use(document)})
    for provider in ("third_party_agent", "custom_rest_api"):
        if provider in present:
            return provider
    return present[0] if present else ""


def _in_use(document: GovernanceDocument) -> list[AgentSpec]:
    return [agent for agent in document.agents.values() if agent.environment not in _QUIET]


def _tokens(random_source: random.Random, median: float, ln_sd: float) -> int:
    drawn = round(random_source.lognormvariate(math.log(max(median, 1.0)), ln_sd))
    return max(1, min(LARGEST_CALL_TOKENS, LARGEST_TOKEN_COUNT, drawn))
