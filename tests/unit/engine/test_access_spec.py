"""Who may do what on the pages, as the governance document says it."""

from __future__ import annotations

from typing import Any

import pytest

from engine.document.diff import diff_documents
from engine.document.json_schema import document_schema
from engine.document.load import content_hash, parse_document, parse_text
from engine.document.schema import GovernanceDocument
from engine.errors import DocumentError


def document(**roles: str) -> GovernanceDocument:
    content: dict[str, Any] = {"organization": "acme"}
    if roles:
        content["access"] = {"roles": roles}
    return parse_document(content, "test")


def test_an_address_names_the_same_person_in_any_case() -> None:
    written = document(**{"Alice@Example.com": "admin"})
    assert written.access.roles == {"alice@example.com": "admin"}
    assert content_hash(written) == content_hash(document(**{"alice@example.com": "admin"}))


def test_a_document_without_access_means_what_it_meant_before() -> None:
    assert document().access.roles == {}
    assert content_hash(document()) == content_hash(parse_document({"organization": "acme", "access": {}}, "test"))


@pytest.mark.parametrize(
    ("roles", "problem"),
    [
        ("{alice@example.com: boss}", "must be 'viewer', 'operator', 'engineer' or 'admin', got 'boss'"),
        ("{alice: viewer}", "must be an e-mail address such as alice@example.com, got 'alice'"),
        ("{a@b.c: viewer, A@B.C: admin}", "'A@B.C' is 'a@b.c' again: addresses are the same in any case"),
        ("{" + "a" * 320 + "@b.c: viewer}", "the key must have at most 320 characters, got 324"),
    ],
)
def test_what_names_nobody_or_no_role_is_refused_in_one_sentence(roles: str, problem: str) -> None:
    with pytest.raises(DocumentError, match=r"^bursar\.yaml, line 3: access\.roles") as refused:
        parse_text(f"organization: acme\naccess:\n  roles: {roles}\n", "bursar.yaml")
    assert problem in str(refused.value)


def test_a_change_of_access_is_told_person_by_person() -> None:
    before = document(**{"alice@example.com": "viewer", "bob@example.com": "operator"})
    after = document(**{"alice@example.com": "admin", "carol@example.com": "engineer"})
    assert [str(change) for change in diff_documents(before, after)] == [
        "access of alice@example.com role viewer -> admin",
        "access of bob@example.com removed (it was: role operator)",
        "access of carol@example.com added: role engineer",
    ]


def test_editors_know_the_roles() -> None:
    roles = document_schema()["$defs"]["AccessSpec"]["properties"]["roles"]
    (role,) = roles["patternProperties"].values()
    assert role["enum"] == ["viewer", "operator", "engineer", "admin"]
