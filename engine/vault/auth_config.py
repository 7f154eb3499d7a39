"""What an agent is called with: kinds of credentials and their fields. Pure. No message quotes a value."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from engine.errors import InvalidValue

LONGEST_VALUE = 16_384
"""Characters of one field; the longest tokens and private keys have some thousands."""
MOST_FIELDS = 32
_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_HIDDEN = "hidden"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of credential: the fields that it needs and may have, and which of them are no secret."""

    name: str
    needed: tuple[str, ...]
    optional: tuple[str, ...] = ()
    public: frozenset[str] = frozenset()
    """May be seen while they are typed. They are encrypted like the others."""


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("api_key", ("api_key",), ("header",), frozenset({"header"})),
        Kind("bearer_token", ("token",)),
        Kind("basic", ("username", "password"), public=frozenset({"username"})),
        Kind(
            "oauth2",
            ("client_id", "client_secret", "token_url"),
            ("scope",),
            frozenset({"client_id", "token_url", "scope"}),
        ),
        Kind("custom", ()),
    )
}
"""By the `type` of an `auth_config`. `custom` has whatever fields it is given, at least one."""


class Secret(Mapping[str, str]):
    """The fields of a credential in plain. What is printed, logged or formatted of it says only their names."""

    __slots__ = ("_fields", "kind")

    def __init__(self, kind: str, fields: Mapping[str, str]) -> None:
        self.kind = kind
        self._fields = dict(fields)

    def __getitem__(self, name: str) -> str:
        return self._fields[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"Secret({self.kind}: {', '.join(f'{name}={_HIDDEN}' for name in sorted(self._fields))})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled: caches and queues would keep it")

    def to_bytes(self) -> bytes:
        """What is encrypted."""
        return json.dumps({"kind": self.kind, "fields": self._fields}, sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Secret:
        """Read what `to_bytes` wrote. Raises `ValueError` when it is something else."""
        try:
            read = json.loads(content)
            kind, fields = read["kind"], read["fields"]
        except (KeyError, TypeError, ValueError):
            # Neither the text nor where in it the mistake is: both would be of the secret.
            raise ValueError("not a credential") from None
        return cls(kind, fields)


def read_auth_config(auth_config: Mapping[str, Any]) -> Secret:
    """A credential from an `auth_config`: its `type`, and the fields of that type.

    `{"type": "api_key", "api_key": "..."}`. Raises `InvalidValue` that names the field.
    """
    if not isinstance(auth_config, Mapping):
        raise InvalidValue("auth_config", "must be a mapping with a type")
    kind = KINDS.get(str(auth_config.get("type", "")))
    if kind is None:
        raise InvalidValue("auth_config.type", f"must be one of {', '.join(KINDS)}")
    fields = {name: value for name, value in auth_config.items() if name != "type" and value is not None}
    _check_names(kind, fields)
    for name, value in fields.items():
        _check_value(f"auth_config.{name}", value)
    return Secret(kind.name, fields)


def _check_names(kind: Kind, fields: Mapping[Any, Any]) -> None:
    for name in kind.needed:
        if name not in fields:
            raise InvalidValue(f"auth_config.{name}", f"is missing: {kind.name} needs {' and '.join(kind.needed)}")
    if kind.name != "custom":
        known = (*kind.needed, *kind.optional)
        if any(name not in known for name in fields):
            # A field that nobody knows may be a secret that slipped into the place of a name.
            raise InvalidValue("auth_config", f"has a field that {kind.name} does not have; it has {', '.join(known)}")
    elif not fields or len(fields) > MOST_FIELDS:
        raise InvalidValue("auth_config", f"custom needs 1 to {MOST_FIELDS} fields")
    elif not all(isinstance(name, str) and _FIELD.fullmatch(name) for name in fields):
        raise InvalidValue("auth_config", "names of fields are a letter, then at most 63 letters, digits or _ . -")


def _check_value(field: str, value: object) -> None:
    if not isinstance(value, str):
        raise InvalidValue(field, "must be a text")
    if not value.strip():
        raise InvalidValue(field, "must not be empty")
    if len(value) > LONGEST_VALUE:
        raise InvalidValue(field, f"must have at most {LONGEST_VALUE:,} characters")
