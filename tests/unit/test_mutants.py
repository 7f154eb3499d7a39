"""What `make mutants` changes in the gate's scripts, and what it leaves alone."""

from __future__ import annotations

from collections import Counter

import pytest

from scripts.mutants import EQUIVALENT, LUA, ROOT, NotUnderstood, find_mutants

SAMPLE = """\
-- A comment with redis.call('SET', 'not', 'code') and a > b
local function keep(key, now)
  redis.call('ZADD', key, 'NX', now + 1,
    'p:' .. key)
end
local function only_reads(key)
  return redis.call('GET', key)
end
if not only_reads(KEYS[1]) or (ARGV[1] ~= '' and #KEYS >= 2) then
  keep(KEYS[1], -5)
end
local known = only_reads(KEYS[2]) or '0'
return { keep(KEYS[2], 0), known }
"""


def told(text: str) -> list[str]:
    return [f"{mutant.line} {mutant.function}: {mutant.told}" for mutant in find_mutants({"sample.lua": text})]


def test_each_write_condition_comparison_and_sign_is_changed_by_itself() -> None:
    assert told(SAMPLE) == [
        "3 keep: «redis.call('ZADD', key, 'NX', now + 1, 'p:' .. key) -> nothing»",
        "3 keep: redis.call('ZADD', key«, 'NX' -> nothing», now + 1,",
        "3 keep: redis.call('ZADD', key, 'NX', now «+ 1 -> - 1»,",
        "3 keep: redis.call('ZADD', key, 'NX', now «+ 1 -> + 0»,",
        "9 : if not «only_reads(KEYS[1]) -> true» or (ARGV[1] ~= '' and #KEYS >= 2) then",
        "9 : if not «only_reads(KEYS[1]) -> false» or (ARGV[1] ~= '' and #KEYS >= 2) then",
        "9 : if not only_reads(KEYS[1]) or («ARGV[1] ~= '' -> true» and #KEYS >= 2) then",
        "9 : if not only_reads(KEYS[1]) or («ARGV[1] ~= '' -> false» and #KEYS >= 2) then",
        "9 : if not only_reads(KEYS[1]) or (ARGV[1] «~= -> ==» '' and #KEYS >= 2) then",
        "9 : if not only_reads(KEYS[1]) or (ARGV[1] ~= '' and «#KEYS >= 2 -> true») then",
        "9 : if not only_reads(KEYS[1]) or (ARGV[1] ~= '' and «#KEYS >= 2 -> false») then",
        "9 : if not only_reads(KEYS[1]) or (ARGV[1] ~= '' and #KEYS «>= -> >» 2) then",
        "10 : «keep(KEYS[1], -5) -> nothing»",
        "10 : keep(KEYS[1], «- -> nothing»5)",
        "12 : local known = «only_reads(KEYS[2]) -> true» or '0'",
        "12 : local known = «only_reads(KEYS[2]) -> false» or '0'",
        "13 : return { «keep(KEYS[2], 0) -> 0», known }",
    ]


@pytest.mark.parametrize(
    ("write", "left"),
    [
        ("'DEL', a, b", ["'DEL', b", "'DEL', a"]),
        ("'HSET', k, 'a', 1, 'b', 2", ["'HSET', k, 'b', 2", "'HSET', k, 'a', 1"]),
        ("'SET', k, v, 'PX', ttl, 'NX'", ["'SET', k, v, 'NX'", "'SET', k, v, 'PX', ttl"]),
        ("'XADD', k, '*', 'a', 1", []),
    ],
)
def test_a_write_of_several_things_is_also_left_out_in_part(write: str, left: list[str]) -> None:
    call = f"redis.call({write})"
    changed = [mutant.apply(call) for mutant in find_mutants({"sample.lua": call})]
    assert changed == ["", *(f"redis.call({part})" for part in left)]


def test_a_change_leaves_every_later_line_where_it_was() -> None:
    for mutant in find_mutants({"sample.lua": SAMPLE}):
        changed = mutant.apply(SAMPLE)
        assert changed != SAMPLE
        assert changed.count("\n") == SAMPLE.count("\n")


@pytest.mark.parametrize("text", ['a = "double"', "a = b; c = d", "if a then b()"])
def test_what_is_not_understood_is_refused_and_never_passed_over(text: str) -> None:
    with pytest.raises(NotUnderstood, match=r"^sample\.lua"):
        find_mutants({"sample.lua": text})


def test_every_change_that_counts_as_equivalent_is_one_of_the_gates_scripts() -> None:
    mutants = find_mutants({path.name: path.read_text() for path in (ROOT / LUA).glob("*.lua")})
    found = Counter((mutant.file, mutant.function, mutant.told) for mutant in mutants)
    assert [key for key in EQUIVALENT if found[key] != 1] == []
    assert len(mutants) > 500
