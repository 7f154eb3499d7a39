"""Who looks at the pages, and what they may do. Each role may do what those before it may."""

from __future__ import annotations

import getpass
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from dashboard.reading.base import database, ledger_url
from dashboard.roles import ROLES, account_name, claimed_role, is_meant_for, is_recent, role_of, verified_email
from engine.clock import utc_now
from engine.document.access_spec import Role
from engine.document.store import document_version, live_version
from engine.errors import BursarError, DocumentError
from engine.settings import SignIn, read_settings

__all__ = ["ROLES", "NotPermitted", "Role", "Viewer", "current_viewer", "may", "open_to_viewer", "require"]


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody who looks at the pages. `name` is the account signed in with, or the system's user; it is audited."""

    name: str
    role: Role | None
    signed_in: bool = False


class NotPermitted(BursarError):
    """What was asked for needs another role than the viewer has; the sentence names both."""


def current_viewer(org_id: str | None) -> Viewer:
    """Who looks, with the role they have in this organization now; without one, what counts in every organization."""
    settings = read_settings()
    if settings.sign_in is None:
        return Viewer(local_name(), settings.local_role)
    claims = signed_in_claims(settings.sign_in)
    if claims is None:
        return Viewer("nobody", None)
    claim_name = settings.oidc_role_claim
    by_email: Mapping[str, Role] = {}
    # The document cannot give more than the highest role.
    if org_id is not None and claimed_role(claims, claim_name) != ROLES[-1]:
        by_email = _roles_now(ledger_url(), [org_id])[org_id]
    return Viewer(account_name(claims), role_of(claims, by_email, claim_name), signed_in=True)


def may(viewer: Viewer, needed: Role) -> bool:
    """Whether a viewer's role is enough."""
    return viewer.role is not None and ROLES.index(viewer.role) >= ROLES.index(needed)


def require(org_id: str | None, needed: Role) -> Viewer:
    """The viewer, if their role is enough now. Raises `NotPermitted`, which names the role that is needed."""
    viewer = current_viewer(org_id)
    if not may(viewer, needed):
        raise NotPermitted(f"this needs the role {needed}; {viewer.name} has {viewer.role or 'none'}")
    return viewer


def open_to_viewer(org_ids: Iterable[str]) -> list[str]:
    """Those organizations in which the viewer has a role."""
    asked_for = list(org_ids)
    if current_viewer(None).role is not None:
        return asked_for
    sign_in = read_settings().sign_in
    claims = None if sign_in is None else signed_in_claims(sign_in)
    address = None if claims is None else verified_email(claims)
    if address is None:
        return []
    roles = _roles_now(ledger_url(), asked_for)
    return [org_id for org_id in asked_for if address in roles[org_id]]


def signed_in_claims(sign_in: SignIn) -> dict[str, Any] | None:
    """The claims of the ID token this session was signed in with; None without a recent one for us."""
    claims: dict[str, Any] = dict(st.user.to_dict())
    if claims.get("is_logged_in") is not True or not is_meant_for(claims, sign_in.client_id):
        return None
    return claims if is_recent(claims, utc_now()) else None


def local_name() -> str:
    """The system's user that serves the pages."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "local user"


def _roles_now(url: str, org_ids: Iterable[str]) -> dict[str, Mapping[str, Role]]:
    # Which version is live is asked every time: a role that was taken away is gone at once.
    with database(url).read() as connection:
        versions = {org_id: live_version(connection, org_id) for org_id in org_ids}
    return {
        org_id: {} if version is None else _roles_of_version(url, org_id, version)
        for org_id, version in versions.items()
    }


@st.cache_data(ttl=3600, max_entries=1024, show_spinner=False)
def _roles_of_version(url: str, org_id: str, version: int) -> Mapping[str, Role]:
    with database(url).read() as connection:
        try:
            return document_version(connection, org_id, version).document.access.roles
        except DocumentError:
            # A document that cannot be read gives nobody a role.
            return {}
