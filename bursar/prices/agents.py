"""What calls of one agent are priced by, and an example."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from bursar.governing.screen import say
from bursar.prices.choosing import Chosen
from bursar.prices.telling import Wanted, override_json
from bursar.prices.wording import override_text
from engine.clock import to_ms
from engine.document.schema import AgentSpec
from engine.errors import InvalidValue, UnknownPrice
from engine.money import EXACT, format_usd
from engine.pricing.basis import Estimate, EstimateBasis
from engine.pricing.book import in_effect
from engine.pricing.book_diff import describe, show_factor, show_instant, show_share, show_usd
from engine.pricing.options import Override
from engine.pricing.price_list import PriceList
from engine.pricing.rows import PriceRow, decimal_text
from engine.pricing.usage import NO_USAGE, Usage

EXAMPLE = Usage(input_tokens=1000, output_tokens=500)
COMPLEXITY = "standard"

_BASIS_WORDS = {
    EstimateBasis.BACKDATED: "by the first price there is, which begins later",
    EstimateBasis.ASSUMED: "assumed, for there is no price: the dearest that could be meant",
}


@dataclass(frozen=True)
class AgentPrice:
    """The row and overrides that price calls of an agent, and what an example comes to; else why there is no price."""

    agent: str
    spec: AgentSpec
    model: str | None
    row: PriceRow | None
    overrides: tuple[Override, ...]
    estimate: Estimate | None
    per_token: bool
    problem: str | None

    @property
    def by_credits(self) -> bool:
        """Whether calls are priced by Copilot Credits."""
        return any(each is not None and each.credits_per_call is not None for each in (self.row, *self.overrides))


def credit_usd(chosen: Chosen, at: datetime) -> Decimal:
    """What the organization pays for a Copilot Credit."""
    exact = PriceList(chosen.stored.book, chosen.options).credit_usd(at)
    return EXACT.divide(Decimal(exact.numerator), Decimal(exact.denominator))


def price_of_agent(chosen: Chosen, agent: str, wanted: Wanted) -> AgentPrice:
    """What prices calls of an agent. Raises `InvalidValue` naming the option."""
    if chosen.document is None:
        raise InvalidValue("--agent", "needs a governance document, which names agents; `bursar apply FILE` makes one")
    agents = chosen.document.document.agents
    spec = agents.get(agent)
    if spec is None:
        raise InvalidValue("--agent", f"{agent!r} is not an agent of {chosen.org_id}; see `bursar export`")
    if wanted.provider not in (None, spec.provider):
        raise InvalidValue("--provider", f"{wanted.provider!r} is not {agent}'s, which is {spec.provider}")
    if wanted.model is not None and spec.model not in (None, wanted.model):
        raise InvalidValue("--model", f"{wanted.model!r} is not {agent}'s, which is {spec.model}")
    model = wanted.model or spec.model
    prices = PriceList(chosen.stored.book, chosen.options)
    row = next(iter(in_effect(prices.rows(spec.provider, model), wanted.at).values()), None)
    overrides = tuple(each for each in chosen.options.overrides if each.matches(spec.provider, model, agent))
    of_agent = prices.of(spec.provider, model, COMPLEXITY, agent)
    try:
        estimate = of_agent.estimate(EXAMPLE, to_ms(wanted.at))
    except UnknownPrice as problem:
        return AgentPrice(agent, spec, model, row, overrides, None, per_token=False, problem=str(problem))
    try:
        per_token = of_agent.estimate(NO_USAGE, to_ms(wanted.at)).estimate_micros != estimate.estimate_micros
    except UnknownPrice:
        per_token = True
    return AgentPrice(agent, spec, model, row, overrides, estimate, per_token, problem=None)


def say_agent(price: AgentPrice, chosen: Chosen, wanted: Wanted) -> None:
    """Write what a call of an agent is priced by, for people."""
    model = f", model {price.model}" if price.model else ", without a model"
    say(f"Agent {price.agent}: provider {price.spec.provider}{model}, complexity {COMPLEXITY}")
    if price.row is None:
        say("  price: no row of the book is about it")
    else:
        since = show_instant(price.row.effective_from)
        say(f"  price: {', '.join(describe(price.row))}, since {since} ({price.row.source})")
    for override in price.overrides:
        say(f"  override: {override_text(override, wanted.at)}")
    if price.by_credits:
        off = "" if (discount := chosen.options.discount) is None else f", {show_share(discount)} off pay_as_you_go"
        paid = show_usd(credit_usd(chosen, wanted.at))
        say(f"  Copilot Credits: plan {chosen.options.plan}, {paid} per credit{off}")
    if price.estimate is None:
        use = chosen.options.unknown_price
        say(f"  {price.problem}; such calls are denied (unknown_price: {use})", "red")
        return
    estimate = price.estimate
    correction = "" if estimate.factor == 1 else f", correction {show_factor(estimate.factor)}"
    say(f"  buffer {show_share(estimate.buffer_share)}{correction}")
    basis = _BASIS_WORDS.get(estimate.basis)
    call = f"a call of {EXAMPLE.input_tokens:,} input and {EXAMPLE.output_tokens:,} output tokens"
    say(
        f"  {call if price.per_token else 'a call'} is estimated at "
        f"{format_usd(estimate.estimate_micros, exact=True)}, and {format_usd(estimate.reserve_micros, exact=True)} "
        f"is held until it is settled" + (f"; {basis}" if basis else "")
    )


def agent_json(price: AgentPrice, chosen: Chosen, wanted: Wanted) -> dict[str, Any]:
    """The same for programs."""
    told: dict[str, Any] = {
        "id": price.agent,
        "provider": price.spec.provider,
        "model": price.model,
        "complexity": COMPLEXITY,
        "row": None if price.row is None else price.row.to_json(),
        "overrides": [override_json(override) for override in price.overrides],
        "plan": chosen.options.plan if price.by_credits else None,
        "usd_per_credit": decimal_text(credit_usd(chosen, wanted.at)) if price.by_credits else None,
        "example": None,
        "problem": price.problem,
    }
    if price.estimate is not None:
        told["example"] = {
            "usage": EXAMPLE.told() if price.per_token else {},
            "estimate_usd": decimal_text(price.estimate.estimate),
            "reserve_usd": decimal_text(price.estimate.total),
            "buffer": decimal_text(price.estimate.buffer_share),
            "correction": decimal_text(price.estimate.factor),
            "basis": price.estimate.basis.value,
        }
    return told
