"""What credentials look like, and what is said about wrong ones."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from typing import Any

import pytest

from engine.errors import InvalidValue
from engine.vault.auth_config import LONGEST_VALUE, Secret, read_auth_config

CANARY = "canary-5f1c"
GOOD: list[dict[str, Any]] = [
    {"type": "api_key", "api_key": CANARY},
    {"type": "api_key", "api_key": CANARY, "header": "X-Key"},
    {"type": "bearer_token", "token": CANARY},
    {"type": "basic", "username": "ada", "password": CANARY},
    {"type": "oauth2", "client_id": "c", "client_secret": CANARY, "token_url": "https://id.example.com", "scope": None},
    {"type": "custom", "tenant": "t", "certificate": CANARY},
]


@pytest.mark.parametrize("auth_config", GOOD)
def test_every_kind_comes_back_as_it_was_given(auth_config: dict[str, Any]) -> None:
    secret = read_auth_config(auth_config)
    given = {name: value for name, value in auth_config.items() if name != "type" and value is not None}
    assert dict(Secret.from_bytes(secret.to_bytes())) == dict(secret) == given
    assert secret.kind == auth_config["type"]


@pytest.mark.parametrize(
    ("auth_config", "said"),
    [
        ({}, "auth_config.type: must be one of api_key, bearer_token, basic, oauth2, custom"),
        ({"type": CANARY}, "auth_config.type: must be one of"),
        ({"type": "basic", "username": CANARY}, "auth_config.password: is missing: basic needs username and password"),
        ({"type": "api_key", "api_key": ""}, "auth_config.api_key: must not be empty"),
        ({"type": "api_key", "api_key": 5}, "auth_config.api_key: must be a text"),
        ({"type": "api_key", "api_key": CANARY * LONGEST_VALUE}, "auth_config.api_key: must have at most 16,384"),
        ({"type": "api_key", "api_key": "k", CANARY: "x"}, "auth_config: has a field that api_key does not have"),
        ({"type": "custom"}, "auth_config: custom needs 1 to 32 fields"),
        ({"type": "custom", f"{CANARY} ": "x"}, "auth_config: names of fields are"),
        ([CANARY], "auth_config: must be a mapping"),
    ],
)
def test_what_is_wrong_is_said_without_a_value(auth_config: Any, said: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        read_auth_config(auth_config)
    assert str(refused.value).startswith(said)
    assert CANARY not in f"{refused.value!r} {refused.value.__cause__!r} {refused.value.__context__!r}"


def test_a_secret_is_not_told_by_accident(caplog: pytest.LogCaptureFixture) -> None:
    secret = read_auth_config(GOOD[3])
    logging.getLogger("test").warning("%s %r", secret, secret)
    told = f"{secret} {secret!r} {secret!s} {[secret]} {caplog.text}"
    assert CANARY not in told
    assert "Secret(basic: password=hidden, username=hidden)" in told
    for keep in (pickle.dumps, copy.deepcopy, json.dumps):
        with pytest.raises(TypeError) as refused:
            keep(secret)
        assert CANARY not in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", CANARY.encode(), b'{"kind": "basic"}'])
def test_what_is_no_credential_says_only_that(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"^not a credential$") as refused:
        Secret.from_bytes(content)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__
