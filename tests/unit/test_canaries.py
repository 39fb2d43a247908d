"""Opaque tokens, proofs, their claims and our secrets are shown as little as tokens are.

Each is decided, refused and left undecided with a canary in all that a client or a server wrote; then every
log line at DEBUG, every metric in every format, and every repr is searched for it.
"""

from __future__ import annotations

import logging

import dpop
import introspected
import pytest

from rapidjws import Engine
from rapidjws.jwt.decision import Decision
from rapidjws.observe import DecisionLog, EngineMetrics, EventLog, Exposition
from rapidjws.observe.exposition import FORMATS

CANARY = "canary9d41"
OPAQUE = f"{CANARY}-2YotnFZFEjr1zCsicMWpAA"
ANSWERS = (
    {"active": True, "sub": CANARY, "username": CANARY, "scope": CANARY, "iss": introspected.ISSUER.iss,
     "aud": "https://api.example", "exp": 4_102_444_800},
    {"active": False, "sub": CANARY},
    {"active": "yes", "sub": CANARY},
    b'{"active": true, "sub": "canary9d41"',
    (500, b"canary9d41"),
    OSError("canary9d41"),
)  # fmt: skip


def searched(engine: Engine, decisions: list[tuple[Decision, str]], caplog: pytest.LogCaptureFixture) -> str:
    """Return all that is written and shown of decisions."""
    log, reading = DecisionLog(lines_per_minute=1000), EngineMetrics(engine).reading()
    for decision, token in decisions:
        log.note(decision, token=token, headers=lambda _, sent=token: [sent.encode()], duration_ns=1)
    assert log.faults == 0
    shown = [repr(decision) + repr(decision.verified) for decision, _ in decisions]
    lines = [record.getMessage() + repr(vars(record)) for record in caplog.records]
    octets = [Exposition().write(reading, one).decode("latin-1") for one in FORMATS]
    return "\n".join([*shown, *lines, *octets])


def test_opaque_tokens_and_answers(caplog: pytest.LogCaptureFixture) -> None:
    """Neither the token, nor our secret, nor a word of the answer is anywhere, whatever the server says."""
    caplog.set_level(logging.DEBUG, "rapidjws")
    for answer in ANSWERS:
        server = introspected.Server(answer)
        engine = introspected.opaque_engine(
            server,
            audience="https://api.example",
            client={"client_id": "gw", "client_secret": CANARY},
            events=EventLog(),
        )
        decisions = [(engine.decide(OPAQUE), OPAQUE) for _ in range(2)]
        assert (decisions[0][0].code == "ok") is (answer is ANSWERS[0])
        whole = searched(engine, decisions, caplog)
        assert "rapidjws_verifications" in whole
        assert CANARY not in whole, answer


@pytest.mark.parametrize("spoiled", ["", "jti", "htu", "ath", "signature"])
def test_proofs(spoiled: str, caplog: pytest.LogCaptureFixture) -> None:
    """No claim of a proof and no piece of it is shown, whether it is good, wrong or used twice."""
    caplog.set_level(logging.DEBUG, "rapidjws")
    token = dpop.bound_token(sub=CANARY, jti=CANARY)
    changes = {spoiled: f"https://{CANARY}.example"} if spoiled in ("htu", "ath") else {}
    proof = dpop.proof(token, **{"jti": CANARY if spoiled != "jti" else [CANARY], **changes})
    if spoiled == "signature":
        proof = proof.rpartition(".")[0] + "." + token.rpartition(".")[2]
    engine, checks = dpop.engine(), dpop.constraints()
    decisions = []
    for _ in range(2):  # the second use of a proof is a replay
        check = checks.check(dpop.sent(token, proof))
        decisions.append((engine.decide(token, now=dpop.NOW_S, sender=check), token))
    assert (decisions[0][0].code == "ok") is (not spoiled)
    whole = searched(engine, decisions, caplog)
    for piece in (CANARY, *proof.split(".")[1:], *token.split(".")[1:]):
        assert piece not in whole
