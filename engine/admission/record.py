"""The part of a check that is known before the gate is asked; travels in the event as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

from engine.pricing.basis import EstimateBasis, Pricing
from engine.pricing.usage import Usage

_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


class CheckRecord(NamedTuple):
    """Facts, price and policy result of one check.

    Absent names are empty texts; `prepare_us` is microseconds. `outage` says why the gate did not decide; empty when
    it did. `tags` are `None` when nobody knows them. `shadow_policies` would have applied were they not in shadow, and
    `shadow_effect` is what policies would then have answered. Counters and rate scopes are not in it: the document
    version and the facts say which they were. `microcredits` are millionths of a Copilot Credit.
    """

    agent_id: str
    team_id: str
    user_id: str
    provider: str
    model: str
    environment: str
    complexity: str
    action: str
    input_tokens: int | None
    output_tokens: int | None
    estimate_micros: int
    reserve_micros: int
    document_version: int
    price_book_version: str
    prepare_us: int
    policy_effect: str
    policy_reason: str
    matched_policies: tuple[str, ...]
    denial: str
    outage: str
    country: str = ""
    ip: str = ""
    tags: tuple[str, ...] | None = None
    shadow_policies: tuple[str, ...] = ()
    shadow_effect: str = ""
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    microcredits: int | None = None
    estimate_basis: str = EstimateBasis.PRICED

    @property
    def usage(self) -> Usage:
        """What the estimate was made from."""
        return Usage(
            self.input_tokens, self.output_tokens, self.cached_input_tokens, self.cache_write_tokens, self.microcredits
        )

    @property
    def alike(self) -> str:
        """What denials without events of their own have in common, besides reason and second. No name holds a `|`."""
        return "|".join((self.agent_id, self.team_id, self.provider, self.model, self.complexity, self.environment))

    def to_json(self) -> str:
        """The record as compact JSON: a list of its values."""
        return _ENCODER.encode(self)

    @classmethod
    def from_json(cls, text: str) -> CheckRecord:
        """Read back what `to_json` wrote."""
        return cls.of(json.loads(text))

    @classmethod
    def of(cls, values: list[Any]) -> CheckRecord:
        """The record with these values, as `to_json` lists them."""
        # Records of earlier versions end sooner.
        typed: list[Any] = [tuple(value) if isinstance(value, list) else value for value in values]
        return cls(*typed)


@dataclass(frozen=True, slots=True)
class HoldRecord:
    """A hold as the gate keeps it: `<state> <reserve> <charged> <pricing> <counter name> ...`."""

    state: str
    reserve_micros: int
    charged_micros: int
    pricing: Pricing
    counters: tuple[str, ...]

    @classmethod
    def of_call(cls, text: str) -> HoldRecord | None:
        """Read the gate's text; `None` when there is none, or only the mark of a call that was denied in an outage."""
        return None if not text or text.startswith("D ") else cls.from_text(text)

    @classmethod
    def from_text(cls, text: str) -> HoldRecord:
        """Read the gate's text."""
        state, reserve, charged, pricing, *counters = text.split()
        return cls(state, int(reserve), int(charged), Pricing.from_text(pricing), tuple(counters))

    def to_text(self) -> str:
        """Write the gate's text."""
        return " ".join(
            (self.state, str(self.reserve_micros), str(self.charged_micros), self.pricing.to_text(), *self.counters)
        )
