"""Which role an account has: by the claims of its ID token, and by its e-mail address in a governance document."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, get_args

from engine.document.access_spec import LONGEST_ADDRESS, Role

ROLES: tuple[Role, ...] = get_args(Role)
"""From the least to the most; each may do what those before it may."""
LONGEST_SIGN_IN = timedelta(hours=12)
"""For so long the claims of an ID token are believed. Then the account signs in again, and gets new ones."""
CLOCK_DIFFERENCE = timedelta(minutes=5)
"""So far the provider's clock may be ahead."""

_ROLE_VALUE = re.compile(rf"(?:bursar[-_.:/])?({'|'.join(ROLES)})")


def role_of(claims: Mapping[str, Any], roles_by_email: Mapping[str, Role], claim_name: str) -> Role | None:
    """The higher of the role in the claim and the role of the verified e-mail address; None without either."""
    address = verified_email(claims)
    return highest((claimed_role(claims, claim_name), None if address is None else roles_by_email.get(address)))


def claimed_role(claims: Mapping[str, Any], claim_name: str) -> Role | None:
    """The highest role that a claim names. Its value is a text or a list: `admin`, `bursar-admin` and the like."""
    value = _claim(claims, claim_name)
    values = value if isinstance(value, list | tuple) else (value,)
    found = (_ROLE_VALUE.fullmatch(text.lower()) for text in values if isinstance(text, str) and text.isascii())
    return highest(match[1] for match in found if match)


def highest(roles: Iterable[str | None]) -> Role | None:
    """The one that may do the most."""
    held = set(roles)
    return next((role for role in reversed(ROLES) if role in held), None)


def verified_email(claims: Mapping[str, Any]) -> str | None:
    """The e-mail address, in lower case, unless the provider says that it is not verified."""
    address, verified = claims.get("email"), claims.get("email_verified", True)
    if not isinstance(address, str) or not _is_name(address) or "@" not in address:
        return None
    if verified is not True and verified != "true":
        return None
    # Some letters outside ASCII become ASCII ones in lower case: another account's address must not become this one.
    return address.lower() if address.isascii() else address


def account_name(claims: Mapping[str, Any]) -> str:
    """What an account is called, on pages and in the audit log: nothing that its owner could choose freely."""
    address = verified_email(claims)
    if address is not None:
        return address
    names = ("preferred_username", "sub") if claims.get("email") is None else ("sub",)
    for name in names:
        value = claims.get(name)
        if isinstance(value, str) and _is_name(value):
            return value
    return "an account without a name"


def is_recent(claims: Mapping[str, Any], now: datetime) -> bool:
    """Whether the ID token was issued recently enough for its claims to be believed."""
    issued = claims.get("iat")
    if isinstance(issued, bool) or not isinstance(issued, int | float):
        return False
    seconds = now.timestamp()
    # No subtraction: a number may be too large for it. NaN is not recent.
    return seconds - LONGEST_SIGN_IN.total_seconds() <= issued <= seconds + CLOCK_DIFFERENCE.total_seconds()


def is_meant_for(claims: Mapping[str, Any], client_id: str) -> bool:
    """Whether the ID token was issued to this client. Authlib is content with another audience if `azp` names us."""
    audience = claims.get("aud")
    return client_id in audience if isinstance(audience, list) else audience == client_id


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name; where there is none, dots lead into nested claims."""
    if name in claims:
        return claims[name]
    value: Any = claims
    for step in name.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(step)
    return value


def _is_name(text: str) -> bool:
    return 0 < len(text) <= LONGEST_ADDRESS and text.isprintable() and text == text.strip()
