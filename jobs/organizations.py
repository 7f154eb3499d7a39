"""Do the same for every organization: one that fails keeps no other back, and still shows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.ledger.database import Database
from engine.ledger.organizations import organization_ids

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Failures:
    """Of how many organizations which failed, and why: a sentence each."""

    organizations: int
    sentences: tuple[str, ...]

    @property
    def share(self) -> str:
        """`1 of 3 organizations`."""
        return f"{len(self.sentences)} of {self.organizations} organizations"


def for_each_organization(
    database: Database, what: str, do: Callable[[str], None], *, among: Sequence[str] | None = None
) -> Failures:
    """Do it for every organization, or for those `among` them; `what` names it in the log when it fails."""
    if among is None:
        with database.read() as connection:
            among = organization_ids(connection)
    sentences = []
    for org_id in among:
        try:
            do(org_id)
        except Exception as error:
            logger.exception("cannot %s %s", what, org_id)
            sentences.append(f"{org_id}: {type(error).__name__}: {error}")
    return Failures(len(among), tuple(sentences))
