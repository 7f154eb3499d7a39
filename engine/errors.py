"""What can go wrong, by name. Every message is one sentence that names the field and the fix."""

from __future__ import annotations

from collections.abc import Sequence


class BursarError(Exception):
    """Base of errors that are Bursar's own."""


class InvalidValue(BursarError, ValueError):
    """A value handed in is refused before anything is written. `field` names it, `problem` is what is wrong."""

    def __init__(self, field: str, problem: str) -> None:
        self.field = field
        self.problem = problem
        super().__init__(f"{field}: {problem}")


class DocumentError(BursarError, ValueError):
    """The governance document cannot be used. Nothing was changed.

    `problems` has every problem as its own sentence, with its line where there is one and without the file's name.
    """

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        self.problems: tuple[str, ...] = tuple(problems) or (message,)
        super().__init__(message)


class UnknownPrice(BursarError, ValueError):
    """The price book has no price for this call; it is never treated as free (promise 10)."""


class UnknownDecision(BursarError, ValueError):
    """No open or recently closed hold has this decision id."""


class SettleConflict(BursarError, ValueError):
    """The decision was already settled with another amount, or cancelled."""


class GateUnavailable(BursarError):
    """Redis did not answer within the deadline."""


class PoolExhausted(GateUnavailable):
    """Redis was not asked: every connection of this process was busy until the deadline."""


class KeyReused(BursarError, ValueError):
    """The idempotency key was used before, for a call with other arguments."""

    def __init__(self) -> None:
        super().__init__("idempotency_key: was used for a call with other arguments; use a new key for a new call")


class DatabaseError(BursarError):
    """The ledger database cannot be reached or used; the message says which and why."""


class SpoolError(BursarError):
    """The file that keeps events while Redis and SQL are away cannot be written."""


class VaultError(BursarError):
    """The vault refuses, or cannot be used. No message of it holds a secret, or a part of one."""


class VaultKeyMissing(VaultError):
    """There is no key to encrypt with, or not the one that a credential needs."""


class CredentialDamaged(VaultError):
    """What is stored does not decrypt: it was changed, moved to another row, or its key is not the right one."""


class UnknownCredential(VaultError, ValueError):
    """The agent has no credential of this name."""
