"""Whose a body is whose JWT is refused: its claim gets the stricter stage, wherever the JWT stands."""

from __future__ import annotations

import json
from typing import Any

import pytest
from plans import A, plan
from rollouts import engine, forged, good, rollout

from rapidjws.middleware import BodyDigest, FormField, JSONMember, SignedBody
from rapidjws.middleware.requests import RequestContext

FORM_TYPE = b"application/x-www-form-urlencoded"
STRICT = {("", ""): "detection", ("a", ""): "enforcement"}
MILD = {("", ""): "enforcement", ("a", ""): "detection"}
SHAPES = {
    "body": ({"signature_header": None}, b"application/jwt", "{}"),
    "member": ({"part": JSONMember(pointer="/signed")}, b"application/json", json.dumps({"signed": "{}"})),
    "field": ({"part": FormField(name="logout_token")}, FORM_TYPE, "logout_token={}"),
    "digest": ({"digest": BodyDigest(claim="/request_body_sha256")}, None, "content"),
}


def refused(shape: str, token: str, stages: Any, *, own: bool) -> tuple[Any, Any]:
    """Return the decision on a body of this shape, and the rollout."""
    how, kind, text = SHAPES[shape]
    policy = rollout(A, state=plan(stages), unattributed="default")
    of = engine(None if own else policy)
    signed = SignedBody(verifier=of, rollout=policy if own else None, **how)  # type: ignore[arg-type]
    values = [token.encode() if kind is None else kind]
    context = RequestContext(
        values=values,
        query=b"",
        partner=None,
        route=None,
        scopes=(),
        headers=lambda name: [],
        method="POST",
        target="/hook",
    )
    return signed.decide(context, text.replace("{}", token).encode()), policy


@pytest.mark.parametrize("own", [False, True], ids=["engine", "body"])
@pytest.mark.parametrize("shape", SHAPES)
def test_S4_a_claim_of_a_body_gets_the_stricter_stage_and_counts_apart(shape: str, own: bool) -> None:
    """A forged JWT that names a partner's issuer, or only its kid, gets the stricter stage of both."""
    kid = good().partition(".")[0] + "." + good(iss=None).split(".")[1] + ".AAAA"
    for token in (forged(), kid):
        decision, policy = refused(shape, token, STRICT, own=own)
        assert (decision.partner, decision.attributed_by, decision.outcome) == (None, "claim", "deny")
        assert policy.evidence.rows()["a", ""].claims[decision.code][0] == 1
        assert refused(shape, token, MILD, own=own)[0].outcome == "deny"


@pytest.mark.parametrize("shape", ["member", "field"])
def test_part_that_cannot_be_read_names_nobody(shape: str) -> None:
    """A body without its JWT names no issuer, and gets the default stage."""
    assert refused(shape, "", STRICT, own=False)[0].attributed_by != "claim"
