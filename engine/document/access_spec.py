"""Who may do what on the pages: people by their e-mail address, each with one role."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, StringConstraints, WithJsonSchema

from engine.document.parts import Part

Role = Literal["viewer", "operator", "engineer", "admin"]
"""What a person may do, from the least to the most."""

LONGEST_ADDRESS = 320
_ADDRESS = re.compile(r"[^\s@]+@[^\s@]+")


def _is_address(text: str) -> str:
    if _ADDRESS.fullmatch(text) is None or not text.isprintable():
        raise ValueError(f"must be an e-mail address such as alice@example.com, got {text[:60]!r}")
    return text


def _each_once(people: Any) -> Any:
    """Refuses two spellings of one address, of which the second would silently win."""
    first: dict[str, str] = {}
    for address in people if isinstance(people, dict) else ():
        before = first.setdefault(str(address).lower(), str(address))
        if before != address:
            raise ValueError(f"{str(address)[:60]!r} is {before[:60]!r} again: addresses are the same in any case")
    return people


PersonAddress = Annotated[
    str,
    StringConstraints(to_lower=True, max_length=LONGEST_ADDRESS),
    AfterValidator(_is_address),
    WithJsonSchema({"type": "string", "maxLength": LONGEST_ADDRESS, "pattern": f"^{_ADDRESS.pattern}$"}),
]
"""An e-mail address, in lower case: it names a person however it is written."""


class AccessSpec(Part):
    """Who may use the pages, and for what."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    roles: Annotated[dict[PersonAddress, Role], BeforeValidator(_each_once)] = {}
    """People by e-mail address: viewer, operator, engineer or admin."""
