"""The settings of sign-in: all of them or none, and nothing that is not safe."""

from __future__ import annotations

import pytest

from engine.errors import InvalidValue
from engine.settings import SignIn, is_this_machine, read_settings

RIGHT = {
    "BURSAR_OIDC_ISSUER": "https://login.example.com/tenant/v2.0",
    "BURSAR_OIDC_CLIENT_ID": "bursar",
    "BURSAR_OIDC_CLIENT_SECRET": "the-clients-secret",
    "BURSAR_OIDC_COOKIE_SECRET": "the-secret-for-the-cookies-32-long",
    "BURSAR_DASHBOARD_URL": "https://Bursar.Example.com:443/",
}


def sign_in(monkeypatch: pytest.MonkeyPatch, **changed: str | None) -> SignIn | None:
    """What the right settings come to with these changes."""
    for name, value in (RIGHT | changed).items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    return read_settings().sign_in


def test_the_provider_is_found_by_its_issuer_or_its_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    by_issuer = sign_in(monkeypatch)
    assert by_issuer is not None
    metadata = "https://login.example.com/tenant/v2.0/.well-known/openid-configuration"
    assert by_issuer.metadata_url == metadata
    assert by_issuer.redirect_uri == "https://bursar.example.com/oauth2callback"
    assert sign_in(monkeypatch, BURSAR_OIDC_ISSUER=metadata) == by_issuer
    assert sign_in(monkeypatch, BURSAR_OIDC_ISSUER=RIGHT["BURSAR_OIDC_ISSUER"] + "/") == by_issuer


def test_no_secret_is_written_by_accident(monkeypatch: pytest.MonkeyPatch) -> None:
    found = repr(sign_in(monkeypatch)) + repr(read_settings())
    assert "the-clients-secret" not in found
    assert "the-secret-for-the-cookies" not in found


def test_without_any_of_them_there_is_no_sign_in(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sign_in(monkeypatch, **dict.fromkeys(RIGHT, None)) is None


@pytest.mark.parametrize("missing", [name for name in RIGHT if "OIDC" in name])
def test_a_part_of_them_is_refused_and_the_missing_one_named(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    with pytest.raises(InvalidValue, match=f"^{missing}: is missing: sign-in needs"):
        sign_in(monkeypatch, **{missing: None})


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("BURSAR_OIDC_COOKIE_SECRET", "too-short", "at least 32 characters"),
        ("BURSAR_OIDC_ISSUER", "http://login.example.com", "must begin with https://"),
        ("BURSAR_OIDC_ISSUER", "login.example.com", "must be an address"),
        ("BURSAR_OIDC_ISSUER", "https://user:password@login.example.com", "must be an address"),
        ("BURSAR_OIDC_ISSUER", "https://[", "must be an address"),
        ("BURSAR_DASHBOARD_URL", "http://bursar.example.com", "must begin with https://"),
        ("BURSAR_DASHBOARD_URL", "https://example.com/bursar", "must have no path"),
        ("BURSAR_DASHBOARD_URL", "https://example.com:99999", "must be an address"),
    ],
)
def test_what_would_not_be_safe_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, problem: str
) -> None:
    with pytest.raises(InvalidValue, match=f"^{name}: .*{problem}"):
        sign_in(monkeypatch, **{name: value})


@pytest.mark.parametrize("url", ["http://127.0.0.1:8501", "http://localhost:8501", "http://[::1]:8501"])
def test_on_one_machine_sign_in_works_without_https(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    found = sign_in(monkeypatch, BURSAR_DASHBOARD_URL=url)
    assert found is not None
    assert found.origin == url


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "127.0.0.1.example.com", "", "localhost."])
def test_other_names_are_not_this_machine(host: str) -> None:
    assert not is_this_machine(host)
