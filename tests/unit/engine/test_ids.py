"""Names and decision ids."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from engine.ids import check_decision_id, check_id, check_model, new_decision_id

DECISION_ID = "01a20a05-dc85-750a-8fc9-7308856cd813"


@pytest.mark.parametrize("value", ["", "a b", "a\n", "a" * 129, "é", "a|b", "a{b}", "a:b", None, 5, True, ["a"], b"a"])
def test_a_name_outside_the_alphabet_is_refused_by_field(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^team_id: "):
        check_id(value, "team_id")


def test_vendors_may_use_colons_and_slashes_in_models_only() -> None:
    assert check_model("ft:gpt-4o/acme@1") == "ft:gpt-4o/acme@1"
    for bad in ("a,b", "a b", "", None, 3):
        with pytest.raises(ValueError, match=r"^model: "):
            check_model(bad)  # type: ignore[arg-type]


def test_decision_ids_are_uuids_of_version_7_and_sort_by_time() -> None:
    ids = [new_decision_id(at_ms) for at_ms in (1, 2, 1_763_000_000_000, 2**48 - 1)]
    assert ids == sorted(ids)
    for text in [*ids, *(new_decision_id() for _ in range(100))]:
        assert check_decision_id(text) == text
        parsed = UUID(text)
        assert (parsed.version, parsed.variant) == (7, "specified in RFC 4122")
    assert UUID(ids[2]).int >> 80 == 1_763_000_000_000


@pytest.mark.parametrize("value", ["epoch", "", None, 7, "0190", f"{DECISION_ID.upper()}", f"{DECISION_ID} "])
def test_what_is_no_decision_id_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^decision_id: "):
        check_decision_id(value)
