"""What the core takes from requests, against plain Python; and copies of values, member by member."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapidjws._native import batch_senders, bearer_request, copy_maker, header_text
from rapidjws.jwt.decision import Decision

Fields = list[tuple[bytes, bytes]]
NAMES = st.sampled_from([b"authorization", b"x-partner", b"x-original-uri", b"x-forwarded-uri", b"accept"])
VALUES = st.one_of(
    st.sampled_from(
        [b"", b"Bearer a.b.c", b"Bearer ", b"Bearer", b"bearer a.b.c", b"Bearer a b", b"Bearer a,b",
         b"Bearer  a", b"Bearer a\tb", b"DPoP a.b.c", b"/a", b"/a?b", b"one", b"\xe9", b"x y.z.w"]
    ),
    st.binary(max_size=12),
)  # fmt: skip
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=6)
ROUTES = (b"x-original-uri", b"x-forwarded-uri")


def found(headers: Fields, partner_field: bytes | None, target: bytes | None) -> Any:
    """Return what a request says where it says each thing once, by the words of RFC 6750."""
    tokens = [value for name, value in headers if name == b"authorization"]
    partners = [value for name, value in headers if name == partner_field]
    routes = [value for name, value in headers if name in ROUTES] if target is None else [target]
    if len(tokens) != 1 or len(partners) > 1 or len(routes) > 1:
        return None
    scheme, token = tokens[0][:7], tokens[0][7:]
    if scheme != b"Bearer " or not token or set(token) & set(b" ,\t") or any(b"?" in one for one in routes):
        return None
    partner, route = (one[0].decode("latin-1") if one else None for one in (partners, routes))
    return token, partner, route


@given(FIELDS, st.sampled_from([None, b"x-partner"]), st.sampled_from([None, b"/t", b"/t?q", b""]))
def test_a_plain_request_is_found_or_left(
    headers: Fields, partner: bytes | None, target: bytes | None
) -> None:
    """A request has its token, partner and route, or is left to the slower way; never something else."""
    given_to = (headers, b"authorization", partner, ROUTES, target)
    assert bearer_request(*given_to) == found(headers, partner, target)


@given(st.lists(FIELDS, max_size=4), st.sampled_from([None, b"x-partner"]))
def test_senders_of_a_batch(batch: list[Fields], partner: bytes | None) -> None:
    """A sender is what the field of the partner holds, else the header of the first token."""

    def sender(headers: Fields) -> bytes:
        if partner is not None:
            return b",".join([value for name, value in headers if name == partner])
        values = [value for name, value in headers if name == b"authorization"]
        return values[0].partition(b".")[0].rpartition(b" ")[2] if values else b""

    entries: list[Any] = [(None, b"", (b"/", headers, b"GET")) for headers in batch]
    assert batch_senders(entries, b"authorization", partner) == [sender(headers) for headers in batch]


def test_a_batch_of_something_else_is_an_error() -> None:
    """What is no request names no sender."""
    for entry in (None, (None, b""), (None, b"", None), (None, b"", (b"/", ()))):
        with pytest.raises(TypeError):
            batch_senders([entry], b"authorization", None)


@given(st.one_of(st.text(max_size=8), st.none(), st.integers(), st.just("a" * 9)))
def test_text_of_a_header(value: object) -> None:
    """Text stands in a header as it is, or not at all."""
    is_plain = (
        isinstance(value, str)
        and len(value) <= 8
        and value == value.strip(" ")
        and value.isascii()
        and value.isprintable()
    )
    assert header_text(value, 8) == (value if is_plain else "")


def test_a_lone_surrogate_is_no_text_of_a_header() -> None:
    """What has no octets in UTF-8 is left out, and nothing is raised."""
    assert header_text("\ud800", 8) == ""


def test_copies_have_two_members_of_their_own() -> None:
    """A copy is equal to what the class itself makes, and its template stays as it was."""
    template = Decision(outcome="deny", code="expired", partner="acme", warnings=("soon",), place="exp")
    make = copy_maker(template, "route", "rule")
    assert make is not None
    made = make("/a", "r1")
    assert made == dataclasses.replace(template, route="/a", rule="r1")
    assert template.route is template.rule is None
    assert type(made) is Decision
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.route = "/b"  # type: ignore[misc]
    with pytest.raises(TypeError):
        make("/a")  # type: ignore[call-arg]


class _Loose:
    """A class whose objects have a dictionary."""


class _Weak:
    """A class with slots, and one that holds no value of theirs."""

    __slots__ = ("__weakref__", "first", "second")


class _Derived(_Weak):
    """A class whose members are not all its own."""

    __slots__ = ("third",)


@pytest.mark.parametrize("kind", [_Loose, _Weak, _Derived])
def test_what_is_laid_out_otherwise_is_not_copied(kind: type) -> None:
    """Objects that hold anything beside their class's own slots have no maker of copies."""
    assert copy_maker(kind(), "first", "second") is None


def test_names_that_are_no_members_are_not_copied() -> None:
    """A maker needs both of its members."""
    template = Decision(outcome="deny", code="expired")
    assert copy_maker(template, "route", "nothing") is None
    assert copy_maker(1, "real", "imag") is None
