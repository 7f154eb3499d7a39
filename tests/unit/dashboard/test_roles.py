"""Which role an account has, whatever its provider puts into a token."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.roles import ROLES, account_name, is_meant_for, is_recent, role_of
from engine.document.access_spec import Role

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
BY_EMAIL: dict[str, Role] = {"ann@example.com": "operator", "kim@example.com": "admin"}


@pytest.mark.parametrize(
    ("value", "role"),
    [
        ("admin", "admin"),
        ("bursar-admin", "admin"),
        ("bursar:engineer", "engineer"),
        ("bursar.operator", "operator"),
        ("Bursar_Viewer", "viewer"),
        (["viewer", "bursar-engineer", "something else"], "engineer"),
        (["Bursar.Admin", "viewer"], "admin"),
        ([], None),
        ("", None),
        (None, None),
        ("administrator", None),
        ("not-admin", None),
        ("admin ", None),
        ("admin\n", None),
        ("viewer admin", None),
        ("adm\u0131n", None),
        ("bur\u017far-admin", None),
        (True, None),
        (3, None),
        (math.nan, None),
        ({"admin": True}, None),
        ({"roles": ["admin"]}, None),
        ([["admin"]], None),
        ([{"name": "admin"}, None, 7], None),
        ("admin" * 1_000_000, None),
        (["x" * 1_000_000, "viewer"], "viewer"),
    ],
)
def test_the_claim_gives_the_highest_role_that_it_names(value: Any, role: Role | None) -> None:
    assert role_of({"roles": value}, {}, "roles") == role


@pytest.mark.parametrize(
    ("claims", "role"),
    [
        ({"email": "ann@example.com"}, "operator"),
        ({"email": "Ann@Example.com", "email_verified": True}, "operator"),
        ({"email": "ann@example.com", "email_verified": "true"}, "operator"),
        ({"email": "ann@example.com", "email_verified": False}, None),
        ({"email": "ann@example.com", "email_verified": "false"}, None),
        ({"email": "ann@example.com", "email_verified": None}, None),
        ({"email": "ann@example.com", "email_verified": 1}, None),
        ({"email": "ann@example.com "}, None),
        ({"email": "ann@example.com\x00"}, None),
        ({"email": "\u212aim@example.com"}, None),
        ({"email": ["ann@example.com"]}, None),
        ({"email": {"ann@example.com": 1}}, None),
        ({"email": 7}, None),
        ({"email": "a" * 10_000_000}, None),
        ({"preferred_username": "ann@example.com"}, None),
        ({"email": "ann@example.com", "roles": "viewer"}, "operator"),
        ({"email": "ann@example.com", "roles": "admin"}, "admin"),
        ({}, None),
    ],
)
def test_the_verified_address_gives_the_documents_role_and_the_higher_one_wins(
    claims: dict[str, Any], role: Role | None
) -> None:
    assert role_of(claims, BY_EMAIL, "roles") == role


@pytest.mark.parametrize(
    ("claims", "name", "role"),
    [
        ({"realm_access": {"roles": ["admin"]}}, "realm_access.roles", "admin"),
        ({"https://example.com/roles": "viewer"}, "https://example.com/roles", "viewer"),
        ({"realm_access.roles": "viewer", "realm_access": {"roles": "admin"}}, "realm_access.roles", "viewer"),
        ({"realm_access": ["roles"]}, "realm_access.roles", None),
        ({"realm_access": "roles"}, "realm_access.roles", None),
        ({}, "realm_access.roles", None),
        ({"roles": "admin"}, "groups", None),
    ],
)
def test_dots_lead_into_nested_claims_when_no_claim_has_that_name(
    claims: dict[str, Any], name: str, role: Role | None
) -> None:
    assert role_of(claims, {}, name) == role


LETTERS = "ab@. \n\x00\u017f\u212a"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(LETTERS, max_size=9) | st.sampled_from(ROLES),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(LETTERS, max_size=4), inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["roles", "email", "email_verified", "sub", "iat", "groups"]), JSON))
def test_no_token_breaks_the_pages_or_gives_a_role_it_does_not_name(claims: dict[str, Any]) -> None:
    role = role_of(claims, {}, "roles")
    named = claims.get("roles")
    assert role is None or role in (named if isinstance(named, list) else [named])
    assert account_name(claims).isprintable()
    assert is_recent(claims, NOW) in {True, False}


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"email": "Ann@Example.com", "sub": "1"}, "ann@example.com"),
        ({"email": "ann@example.com", "email_verified": False, "preferred_username": "kim", "sub": "1"}, "1"),
        ({"preferred_username": "ann", "sub": "1"}, "ann"),
        ({"sub": "1"}, "1"),
        ({"sub": "a\nb"}, "an account without a name"),
        ({"sub": "x" * 1000}, "an account without a name"),
    ],
)
def test_an_account_is_called_by_what_its_owner_cannot_choose(claims: dict[str, Any], name: str) -> None:
    assert account_name(claims) == name


@pytest.mark.parametrize(
    ("hours_ago", "recent"), [(0, True), (11.9, True), (12.1, False), (-0.05, True), (-0.2, False), (1e6, False)]
)
def test_claims_are_believed_for_twelve_hours(hours_ago: float, recent: bool) -> None:
    assert is_recent({"iat": NOW.timestamp() - hours_ago * 3600}, NOW) is recent


@pytest.mark.parametrize("issued", [None, True, "1764158400", math.nan, math.inf, 10**400, -(10**400), [], {}])
def test_a_time_of_issue_that_is_none_is_not_believed(issued: Any) -> None:
    assert not is_recent({"iat": issued}, NOW)


@pytest.mark.parametrize(
    ("audience", "ours"),
    [
        ("bursar", True),
        (["other", "bursar"], True),
        ("bursar-2", False),
        ("xbursarx", False),
        (None, False),
        ({"bursar": 1}, False),
    ],
)
def test_a_token_for_another_client_is_not_ours(audience: Any, ours: bool) -> None:
    assert is_meant_for({"aud": audience, "azp": "bursar"}, "bursar") is ours
