from __future__ import annotations

from typing import Any, get_args

import pytest
from pydantic import SecretStr

from engine.addresses import masked_address
from engine.settings import Settings
from engine.shown_settings import HIDDEN, shown_settings

SECRETS = [name for name, field in Settings.model_fields.items() if SecretStr in get_args(field.annotation)]


def test_no_secret_is_in_what_is_shown() -> None:
    secrets: dict[str, Any] = dict.fromkeys(SECRETS, SecretStr("CANARY-0123456789abcdef0123456789abcdef"))
    urls: dict[str, Any] = {
        "database_url": "postgresql://bursar:CANARY@db.example.com/ledger?sslpassword=CANARY",
        "redis_url": "rediss://:CANARY@redis.example.com:6379/0",
    }
    shown = {each.name: each for each in shown_settings(Settings(**secrets, **urls))}
    assert len(SECRETS) >= 9
    assert not [each for each in shown.values() if "CANARY" in str(each)]
    assert {shown[f"BURSAR_{name.upper()}"].value for name in SECRETS} == {HIDDEN}
    assert shown["BURSAR_DATABASE_URL"].value == "postgresql://bursar:***@db.example.com/ledger?***"
    assert len(shown) == len(Settings.model_fields)


def test_what_is_set_is_told_from_what_is_usual() -> None:
    shown = {each.name: each for each in shown_settings(Settings(hold_seconds=60, smtp_allow_unencrypted=True))}
    assert (shown["BURSAR_HOLD_SECONDS"].value, shown["BURSAR_HOLD_SECONDS"].is_usual) == ("60", False)
    assert shown["BURSAR_SMTP_ALLOW_UNENCRYPTED"].value == "yes"
    assert (shown["BURSAR_LEASE_SECONDS"].value, shown["BURSAR_LEASE_SECONDS"].is_usual) == ("10", True)
    assert shown["BURSAR_SLACK_TOKEN"].value == "not set"


@pytest.mark.parametrize(
    "address",
    [
        "redis://CANARY@host:1/0", "redis://u:CANARY@host", "redis://u:CAN/CANARY@host/0", "redis://u:a?CANARY@host",
        "redis://u:a#CANARY@host", "https://host/path#CANARY", "https://host/path?key=CANARY", "redis://[CANARY",
    ],
)  # fmt: skip
def test_an_address_is_shown_without_password_and_options(address: str) -> None:
    assert "CANARY" not in masked_address(address)


def test_an_address_without_secrets_is_shown_whole() -> None:
    assert masked_address("https://slack.com/api/") == "https://slack.com/api/"
