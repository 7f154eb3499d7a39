"""What is tuned together: the calls of one provider, model, complexity and agent. Pure."""

from __future__ import annotations

from typing import NamedTuple


class Segment(NamedTuple):
    """Provider, model (empty without one), complexity, agent: what a correction is for."""

    provider: str
    model: str
    complexity: str
    agent_id: str

    @property
    def key(self) -> tuple[str, str | None, str, str]:
        """As a price list takes it."""
        return self.provider, self.model or None, self.complexity, self.agent_id

    def __str__(self) -> str:
        named = (self.agent_id, self.provider, self.model, self.complexity if self.complexity != "standard" else "")
        return " ".join(name for name in named if name)
