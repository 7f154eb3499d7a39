"""Conditions on names and tags: what applies, what does not, and what nobody knows."""

from __future__ import annotations

from typing import Any

import pytest

from engine.policy.applies import Applies
from engine.policy.conditions import (
    ActionCondition,
    AgentCondition,
    EnvironmentCondition,
    ProviderCondition,
    TagCondition,
    TeamCondition,
    UserCondition,
)
from engine.policy.context import PolicyContext
from tests.support.asking import answer

KINDS: list[tuple[Any, str, str, str]] = [
    (EnvironmentCondition, "environments", "environment", "environment"),
    (ProviderCondition, "providers", "provider", "provider"),
    (AgentCondition, "agents", "agent_id", "agent"),
    (TeamCondition, "teams", "team_id", "team"),
    (UserCondition, "users", "user_id", "user"),
    (ActionCondition, "actions", "action", "action"),
]
MALFORMED: list[Any] = [None, "", "a ", "a\n", "a b", "ä", "a" * 129, 5, 0, True, b"a", ["a"], ("a",), {"a": 1}, 1.5]

each_kind = pytest.mark.parametrize(("kind", "argument", "fact", "word"), KINDS)


def asked(condition: Any, **facts: Any) -> Applies:
    return answer(condition, PolicyContext(**facts))


@each_kind
def test_a_name_condition_applies_to_the_names_it_lists(kind: Any, argument: str, fact: str, word: str) -> None:
    condition = kind(**{argument: ["a", "b"]})
    assert asked(condition, **{fact: "a"}) is Applies.YES
    assert asked(condition, **{fact: "b"}) is Applies.YES
    for other in ("c", "A", "ab", "a.", "-a"):
        assert asked(condition, **{fact: other}) is Applies.NO


@each_kind
def test_a_name_condition_looks_at_its_own_fact_only(kind: Any, argument: str, fact: str, word: str) -> None:
    facts: dict[str, Any] = dict.fromkeys((other for _, _, other, _ in KINDS), "a")
    assert asked(kind(["a"]), **facts | {"org_id": "a", fact: "b"}) is Applies.NO
    assert asked(kind(["b"]), **facts | {fact: "b"}) is Applies.YES


@each_kind
@pytest.mark.parametrize("value", MALFORMED)
def test_a_name_that_is_missing_or_malformed_is_unknown(
    kind: Any, argument: str, fact: str, word: str, value: Any
) -> None:
    assert asked(kind(["a"]), **{fact: value}) is Applies.UNKNOWN


@each_kind
def test_a_name_condition_says_what_it_asks_for(kind: Any, argument: str, fact: str, word: str) -> None:
    assert str(kind(["b", "a", "b"])) == f"{word}=a or b"


@each_kind
@pytest.mark.parametrize(
    "names", [[], "production", [""], ["a "], ["a" * 129], [None], None, 5, [["a"]], [1], ["a", ""], b"a", [b"a"]]
)
def test_a_name_condition_needs_at_least_one_name(kind: Any, argument: str, fact: str, word: str, names: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{argument}: must be "):
        kind(names)


def test_a_single_text_instead_of_a_list_is_told_how_to_write_it() -> None:
    with pytest.raises(ValueError, match=r"^environments: must be a list such as \['production'\], not a single text$"):
        EnvironmentCondition("production")
    with pytest.raises(ValueError, match=r"^tags\.any: must be a list such as \['hr'\], not a single text$"):
        TagCondition(any="hr")


def test_names_may_be_given_as_anything_that_can_be_listed() -> None:
    for names in (["a"], ("a",), {"a"}, frozenset("a"), iter(["a"]), {"a": 1}):
        condition = EnvironmentCondition(names)
        assert [asked(condition, environment="a") for _ in range(2)] == [Applies.YES] * 2


def test_a_call_that_does_not_say_its_action_invokes() -> None:
    assert asked(ActionCondition(["invoke"])) is Applies.YES
    assert asked(ActionCondition(["configure"])) is Applies.NO
    assert asked(ActionCondition(["invoke"]), action=None) is Applies.UNKNOWN


@pytest.mark.parametrize(
    ("parts", "fitting", "others"),
    [
        ({"required": ["a", "b"]}, ["ab", "abc"], ["", "a", "b", "ac"]),
        ({"any": ["a", "b"]}, ["a", "b", "ab", "ac"], ["", "c"]),
        ({"blocked": ["a", "b"]}, ["", "c"], ["a", "b", "ab", "ac"]),
        ({"required": ["a"], "any": ["b", "c"]}, ["ab", "ac", "abcd"], ["", "a", "b", "bc", "ad"]),
        ({"required": ["a"], "blocked": ["b"]}, ["a", "ac"], ["", "b", "ab", "c"]),
        ({"any": ["a", "b"], "blocked": ["b"]}, ["a", "ac"], ["", "b", "ab", "c"]),
        ({"required": ["a"], "any": ["a", "b"], "blocked": ["c"]}, ["a", "ab"], ["", "b", "ac", "abc"]),
    ],
)
def test_tags_need_all_required_one_of_any_and_none_blocked(
    parts: dict[str, list[str]], fitting: list[str], others: list[str]
) -> None:
    condition = TagCondition(**parts)
    for tags in fitting:
        assert asked(condition, tags=list(tags)) is Applies.YES, tags
    for tags in others:
        assert asked(condition, tags=list(tags)) is Applies.NO, tags


def test_an_agent_known_to_have_no_tags_is_not_one_of_unknown_tags() -> None:
    assert asked(TagCondition(blocked=["a"]), tags=[]) is Applies.YES
    assert asked(TagCondition(blocked=["a"]), tags=None) is Applies.UNKNOWN
    assert asked(TagCondition(required=["a"]), tags=[]) is Applies.NO
    assert asked(TagCondition(required=["a"]), tags=None) is Applies.UNKNOWN
    assert asked(TagCondition(any=["a"]), tags=[]) is Applies.NO


@pytest.mark.parametrize("tags", [["a"], ("a",), {"a"}, frozenset("a"), ["a", "a"]])
def test_tags_may_come_in_any_collection(tags: Any) -> None:
    assert asked(TagCondition(required=["a"]), tags=tags) is Applies.YES


@pytest.mark.parametrize(
    "tags", [None, "a", b"a", 5, {"a": 1}, [1], ["a", None], ["a", ""], ["a "], [["a"]], ["a", b"b"], iter(["a"])]
)
def test_tags_that_are_malformed_are_unknown_even_where_some_of_them_fit(tags: Any) -> None:
    for condition in (TagCondition(required=["a"]), TagCondition(any=["a"]), TagCondition(blocked=["a"])):
        assert asked(condition, tags=tags) is Applies.UNKNOWN


def test_tags_are_compared_letter_by_letter() -> None:
    assert asked(TagCondition(required=["HR"]), tags=["hr"]) is Applies.NO
    assert asked(TagCondition(blocked=["HR"]), tags=["hr"]) is Applies.YES


@pytest.mark.parametrize("part", ["required", "any", "blocked"])
@pytest.mark.parametrize("value", [[""], [None], [1], "a", None, 5, [["a"]]])
def test_senseless_tags_in_a_condition_are_refused_by_name(part: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^tags\.{part}: must be "):
        TagCondition(**{part: value})


@pytest.mark.parametrize("parts", [{}, {"required": []}, {"required": [], "any": (), "blocked": frozenset()}])
def test_a_tag_condition_needs_at_least_one_tag(parts: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^tags: needs at least one tag in required, any or blocked$"):
        TagCondition(**parts)


@pytest.mark.parametrize(
    "parts",
    [
        {"required": ["a", "b"], "blocked": ["b"]},
        {"any": ["b"], "blocked": ["a", "b"]},
        {"required": ["c"], "any": ["b"], "blocked": ["b"]},
    ],
)
def test_tags_that_no_agent_could_have_are_refused(parts: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^tags: 'b' is asked for and blocked, so no agent could ever fit$"):
        TagCondition(**parts)


def test_a_tag_condition_says_what_it_asks_for() -> None:
    condition = TagCondition(required=["b", "a"], any=["d", "c"], blocked=["f", "e"])
    assert str(condition) == "tags a and b and any tag of c or d and no tag e or f"
    assert str(TagCondition(blocked=["e"])) == "no tag e"
