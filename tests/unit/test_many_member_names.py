"""Objects with so many members that names are sorted: a duplicate is found wherever it stands."""

from __future__ import annotations

import json

import pytest

from rapidjws.errors import RapidJWSError
from rapidjws.jose.json_text import loads


def code_of(text: str) -> str:
    """Return the code that the strict reader gives."""
    try:
        loads(text.encode(), max_bytes=65536, max_depth=8, max_members=1000, place="test")
    except RapidJWSError as refused:
        return refused.code
    return "ok"


@pytest.mark.parametrize("count", range(62, 71))
def test_T3_each_name_doubled_in_turn(count: int) -> None:
    """Of 62 to 70 members each in turn comes a second time, at the end, at the start and beside itself."""
    names = [f"member-{number}" for number in range(count)]
    assert code_of(json.dumps(dict.fromkeys(names, 1))) == "ok"
    for at, name in enumerate(names):
        for place in (0, at, count):
            doubled = [*names[:place], name, *names[place:]]
            text = "{" + ",".join(f'"{one}":1' for one in doubled) + "}"
            assert code_of(text) == "duplicate_member", (at, place)
