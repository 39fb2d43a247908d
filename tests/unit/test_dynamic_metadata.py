"""Claims for Envoy over gRPC: headers that overwrite or go, and dynamic metadata, read by Google's code."""

from __future__ import annotations

import time
from typing import Any

import pytest
from grpc_calls import SERVERS, checked
from hypothesis import given, settings
from hypothesis import strategies as st
from rollouts import ISSUER, engine, rollout

from rapidjws.jwt.decision import Decision
from rapidjws.sidecar.dynamic_metadata import metadata_of
from rapidjws.sidecar.settings import ServerSettings

pytest.importorskip("httptools", reason="the extra `server` is not installed")
external_auth = pytest.importorskip("envoy.service.auth.v3.external_auth_pb2", reason="xds-protos is absent")
json_format = pytest.importorskip("google.protobuf.json_format", reason="xds-protos is absent")
CheckRequest, CheckResponse = external_auth.CheckRequest, external_auth.CheckResponse

CLAIMS = {"tid": "X-Tenant", "/a/roles": {"header": "X-Roles", "encoding": "base64url"}, "no": "X-No"}


def decided(**claims: Any) -> Decision:
    """Return the decision about a good token."""
    return engine().decide(ISSUER.token(ISSUER.claims(int(time.time()), **claims)))


def answered(decision: Decision, *sent: str) -> Any:
    """Return the CheckResponse of a permit, read."""
    from rapidjws.sidecar.check_responses import CheckResponses

    replies = CheckResponses(ServerSettings(claim_headers=CLAIMS))
    return CheckResponse.FromString(replies.reply(decision, list(sent)))


def metadata(octets: bytes) -> Any:
    """Return the dynamic metadata of an answer as JSON has it."""
    return json_format.MessageToDict(CheckResponse.FromString(octets).dynamic_metadata)


def test_headers_overwrite_and_those_without_a_value_are_removed() -> None:
    """A claim's header overwrites; one without a value is removed though Envoy shows no such header."""
    answer = answered(decided(tid="acme", a={"roles": ["x"]}), "x_tenant", "x-tenant", "x-no")
    found = {one.header.key: one.header.value for one in answer.ok_response.headers}
    assert (found["x-tenant"], found["x-roles"]) == ("acme", "WyJ4Il0")
    assert all(one.HasField("append") and not one.append.value for one in answer.ok_response.headers)
    assert list(answer.ok_response.headers_to_remove) == ["x-no", "x_tenant"]


def test_a_request_without_a_token_has_neither_headers_nor_metadata() -> None:
    """What is let through unverified loses every name of ours, and has no claims."""
    passed = engine(rollout(phase="detection")).decide(None)
    answer = answered(passed)
    assert list(answer.ok_response.headers_to_remove) == ["x-no", "x-roles", "x-tenant"]
    assert not answer.HasField("dynamic_metadata")


def test_metadata_holds_the_claims_with_their_types() -> None:
    """Each configured claim stands under our name as JSON has it; no other one does."""
    answer = answered(decided(tid="acme", a={"roles": ["x", 1, None, {"b": True}]}, other="secret"))
    found = json_format.MessageToDict(answer.dynamic_metadata)
    assert found == {"rapidjws": {"tid": "acme", "/a/roles": ["x", 1.0, None, {"b": True}]}}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters(codec="utf-8"), max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=4), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(value=JSON)
def test_google_reads_what_was_written(value: Any) -> None:
    """Any JSON value is read back as it is."""
    assert metadata(metadata_of({"c": value})) == {"rapidjws": {"c": value}}


def test_what_a_struct_cannot_hold_is_text_or_left_out() -> None:
    """A number that a double would change is its digits; what is too long or no text is not there."""
    claims = {
        "big": 2**53 + 1,
        "long": "a" * 4095,
        "lone": "\ud800",
        "inf": [float("inf")],
        "digits": 10**1100,
    }
    assert metadata(metadata_of(claims)) == {"rapidjws": {"big": "9007199254740993"}}
    assert metadata_of({"long": "a" * 4095}) == b""
    assert metadata_of({}) == b""


@pytest.mark.parametrize("server", SERVERS)
def test_a_check_removes_every_spelling_that_was_sent(server: str) -> None:
    """A whole check: what the client made up under a claim's header is removed, in each spelling."""
    from rapidjws.sidecar.app import SidecarApp
    from rapidjws.sidecar.change_bus import ChangeBus
    from rapidjws.sidecar.protocol import PublicListener

    asked = CheckRequest()
    http = asked.attributes.request.http
    http.path = "/a"
    good = ISSUER.token(ISSUER.claims(int(time.time()), tid="acme"))
    http.headers.update(
        {
            "authorization": f"Bearer {good}",
            "x-tenant": "evil",
            "x_tenant": "evil",
            "x.roles": "evil",
            "x-ok": "1",
        }
    )
    given_settings = ServerSettings(claim_headers={"tid": "X-Tenant", "/a/roles": "X-Roles"})
    policy, bus = rollout(), ChangeBus(1)
    app = SidecarApp(engine=engine(policy), rollout=policy)
    state = PublicListener(app, given_settings, bus, index=0, seen=bus.counters())
    octets = checked(server, state, asked.SerializeToString())
    answer = CheckResponse.FromString(octets)
    assert {one.header.value for one in answer.ok_response.headers if one.header.key == "x-tenant"} == {
        "acme"
    }
    assert list(answer.ok_response.headers_to_remove) == ["x-roles", "x.roles", "x_tenant"]
    assert metadata(octets) == {"rapidjws": {"tid": "acme"}}
    bus.close()
