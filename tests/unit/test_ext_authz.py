"""ext_authz over gRPC: our wire format against Google's own, refusals of what is no check, and answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rollouts import ISSUER, NOW_S, ask, engine, good, rollout

from rapidjws._native import check_denied, check_request
from rapidjws._protobuf import field, number_field, spans, varint
from rapidjws.middleware.response import trusted_headers
from rapidjws.sidecar.settings import ServerSettings

pytest.importorskip("httptools", reason="the extra `server` is not installed")

if TYPE_CHECKING:
    from rapidjws.jwt.decision import Decision

external_auth = pytest.importorskip("envoy.service.auth.v3.external_auth_pb2", reason="xds-protos is absent")
CheckRequest, CheckResponse = external_auth.CheckRequest, external_auth.CheckResponse
NAMES = st.text(st.characters(codec="ascii", categories=["Ll", "Nd"]), min_size=1, max_size=20)
VALUES = st.text(st.characters(codec="utf-8"), max_size=200)


def read_check(octets: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return headers and path of a CheckRequest."""
    found = check_request(octets, 0, None, (), False)
    if found is None:
        raise ValueError
    return found[:2]


def reply(decision: Decision, removed: list[str] | None = None) -> Any:
    """Return the CheckResponse to a decision, read."""
    from rapidjws.sidecar.check_responses import CheckResponses

    return CheckResponse.FromString(CheckResponses(ServerSettings()).reply(decision, removed or []))


def message(headers: dict[str, str], path: str, **more: str) -> bytes:
    """Return a CheckRequest as Envoy sends it, with much that is not read."""
    asked = CheckRequest()
    asked.attributes.source.address.socket_address.address = "127.0.0.1"
    asked.attributes.source.address.socket_address.port_value = 65000
    asked.attributes.request.time.seconds = NOW_S
    http = asked.attributes.request.http
    http.id, http.method, http.path, http.host, http.size = "17", "GET", path, "api.example", -1
    http.headers.update(headers)
    asked.attributes.context_extensions.update(more)
    return bytes(asked.SerializeToString())


@given(headers=st.dictionaries(NAMES, VALUES, max_size=8), path=VALUES)
def test_reads_what_google_writes(headers: dict[str, str], path: str) -> None:
    """Headers and path are those that were written, whatever stands around them."""
    found, target = read_check(message(headers, path, a="b"))
    assert {name.decode(): value.decode() for name, value in found} == headers
    assert target.decode() == path


def test_raw_headers_are_read_each_by_itself() -> None:
    """With encode_raw_headers two headers of one name stay two, octets and all."""
    asked = CheckRequest()
    entries = asked.attributes.request.http.header_map.headers
    entries.add(key="Authorization", raw_value=b"Bearer a")
    entries.add(key="authorization", raw_value=b"Bearer \xff")
    assert read_check(asked.SerializeToString())[0] == [
        (b"authorization", b"Bearer a"),
        (b"authorization", b"Bearer \xff"),
    ]


@given(cut=st.integers(0, 10_000), put=st.integers(0, 255))
def test_damaged_messages_are_refused_or_read(cut: int, put: int) -> None:
    """A message cut off or changed in one octet raises ValueError or is read; nothing else happens."""
    whole = message({"authorization": "Bearer x", ":path": "/a"}, "/a")
    at = cut % len(whole)
    for damaged in (whole[:at], whole[:at] + bytes([put]) + whole[at + 1 :]):
        try:
            headers, target = read_check(damaged)
        except ValueError:
            continue
        assert all(isinstance(name, bytes) and isinstance(value, bytes) for name, value in headers)
        assert isinstance(target, bytes)


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\x0a",
        b"\x0a\x7f",
        b"\x80" * 11,
        b"\x0b\x0c",
        b"\x09\x00",
        message({}, "/a") + message({}, "/b"),
    ],
    ids=[
        "empty",
        "no length",
        "length past the end",
        "endless varint",
        "group",
        "short fixed64",
        "two requests",
    ],
)
def test_what_is_no_check_is_refused(octets: bytes) -> None:
    """Nothing, broken fields, groups and a request in two pieces are no check."""
    with pytest.raises(ValueError):
        read_check(octets)


@pytest.mark.parametrize("number", [0, 1, 127, 128, 300, 16_384, 2**32, 2**63])
def test_numbers_are_written_as_varints(number: int) -> None:
    """A number is written so that it is skipped whole when it is read."""
    octets = number_field(1, number) + field(2, "x")
    assert list(spans(octets, 0, len(octets))) == [(2, len(octets) - 1, len(octets))]
    assert varint(300) == b"\xac\x02"


def test_permit_overwrites_and_removes() -> None:
    """A permit sets the trusted headers, each overwriting, and removes what a client sent under our names."""
    decision = ask(engine(), good(sub="ann"))
    answer = reply(decision, ["x-jws-role", "x_jws_subject", "x-jws-subject"])
    assert answer.status.code == 0
    given = {one.header.key: one.header.value for one in answer.ok_response.headers}
    assert (given["x-jws-subject"], given["x-jws-issuer"]) == ("ann", ISSUER.iss)
    assert all(one.HasField("append") and not one.append.value for one in answer.ok_response.headers)
    assert list(answer.ok_response.headers_to_remove) == ["x-jws-role", "x_jws_subject"]


def test_permit_without_a_token_takes_trusted_names_away() -> None:
    """What is let through unverified keeps no trusted name that a client made up, and carries its warning."""
    decision = ask(engine(rollout(phase="warning")), None)
    answer = reply(decision, ["x-jws-subject"])
    assert answer.WhichOneof("http_response") == "ok_response"
    assert list(answer.ok_response.headers_to_remove) == ["x-jws-subject"]
    extra = {one.header.key for one in answer.ok_response.response_headers_to_add}
    assert {"warning", "deprecation"} <= extra


@pytest.mark.parametrize(
    ("token", "status", "code"), [(None, 401, 16), ("a.b.c", 401, 16)], ids=["missing", "malformed"]
)
def test_refusal_is_whole(token: str | None, status: int, code: int) -> None:
    """A refusal has its status, its challenge and its problem document."""
    answer = reply(ask(engine(), token))
    assert (answer.status.code, answer.denied_response.status.code) == (code, status)
    given = {one.header.key: one.header.value for one in answer.denied_response.headers}
    assert given["www-authenticate"].startswith("Bearer realm=")
    assert '"code"' in answer.denied_response.body


def test_permits_of_one_key_share_their_beginning_only() -> None:
    """After other answers, a permit names its own token's subject and scopes, and removes others."""
    from rapidjws.sidecar.check_responses import CheckResponses

    replies, of = CheckResponses(ServerSettings()), engine()
    for claims in ({"sub": "ann", "scope": "b a"}, {}, {"sub": "\u00e9"}, {"sub": "bob"}):
        decision = ask(of, good(**claims))
        octets = replies.reply(decision, ["x-jws-subject", "x-jws-scope", "x-jws-subject-encoded"])
        answer = CheckResponse.FromString(octets).ok_response
        given = {one.header.key: one.header.value for one in answer.headers}
        made = {name: value for name, value in trusted_headers(decision) if value}
        assert given == made
        assert len(answer.headers) == len(made)
        assert set(answer.headers_to_remove) == {
            "x-jws-subject", "x-jws-scope", "x-jws-subject-encoded",
        } - given.keys()  # fmt: skip


@pytest.mark.parametrize(("code", "status"), [(0, 401), (7, 0), (-1, 401), (2**70, 401)])
def test_a_refusal_without_a_code_is_never_written(code: int, status: int) -> None:
    """Code 0 is a permit: a refusal that has it is an error, and no answer."""
    with pytest.raises((ValueError, OverflowError)):
        check_denied(code, status, (), b"")


def test_a_check_has_its_own_path() -> None:
    """Headers that name a path elsewhere become no objects here; those that bodies or rules read stay."""
    from grpc_world import World

    from rapidjws.sidecar.ext_authz import CheckReader

    world = World()
    octets = message({"x-original-uri": "/b", "authorization": "Bearer x", "x-other": "1"}, "/a")
    found = CheckReader(world.public).read(octets)
    assert (found.path, found.headers) == (b"/a", [(b"authorization", b"Bearer x")])
    assert repr(found) == "<Check>"
    with pytest.raises(ValueError, match="CheckRequest"):
        CheckReader(world.public).read(octets[:-1])
    world.close()
