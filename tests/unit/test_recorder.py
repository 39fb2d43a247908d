"""What is counted beside tokens: fetches, rotations, uses, bodies, signatures, revocations, attacks."""

from __future__ import annotations

import logging

import pytest
import tokens

import rapidjws
from rapidjws.errors import error_for
from rapidjws.middleware import SignedBody
from rapidjws.middleware.requests import RequestContext
from rapidjws.observe import EngineMetrics, MeasuredSigner
from rapidjws.observe.log_counters import LogCounter
from rapidjws.observe.log_formats import ATTRIBUTE
from rapidjws.observe.recorder import MetricRecorder
from rapidjws.signing import LocalSigner
from rapidjws.stores import MemoryReplayStore
from rapidjws.verify.protocols import Event

URL = "https://issuer.example/jwks"


def engine(**options: object) -> rapidjws.Engine:
    """Return an engine of one issuer."""
    issuer = rapidjws.Issuer(
        tokens.ISS, keys=[tokens.key("HS256")], algorithms=["HS256"], audience=tokens.AUD, **options
    )
    return rapidjws.Engine(issuer)


@pytest.fixture(name="metrics")
def _metrics() -> EngineMetrics:
    return EngineMetrics(engine(), issuer_of=lambda: {URL: tokens.ISS})


def test_fetches_are_counted_under_their_issuer(metrics: EngineMetrics) -> None:
    """A fetch counts under the issuer whose keys it brings, with a closed set of reasons, and its time."""
    for detail in (None, None, "timeout", "a text\nfrom outside"):
        metrics(Event(name="fetch_ended", issuer=URL, value=0.003, detail=detail))
    metrics(Event(name="fetch_ended", issuer="https://unknown.example", value=1.0))
    reading = metrics.reading()
    name = "rapidjws_jwks_fetches_total"
    assert reading.total(name, issuer=tokens.ISS, result="ok", reason="") == 2
    assert reading.total(name, issuer=tokens.ISS, result="failed", reason="timeout") == 1
    assert reading.total(name, issuer=tokens.ISS, result="failed", reason="other") == 1
    assert reading.total(name, issuer="") == 1
    assert reading.total(name) == reading.total("rapidjws_jwks_fetch_duration_seconds") == 5
    p50 = reading.quantile("rapidjws_jwks_fetch_duration_seconds", 0.5, issuer=tokens.ISS)
    assert p50 is not None
    assert 0.001 < p50 < 0.004


def test_events_from_before_the_memory_are_counted() -> None:
    """A key source fetches before its engine is made: what happened then is counted when there is memory."""
    metrics = EngineMetrics(issuer_of=lambda: {URL: tokens.ISS})
    metrics(Event(name="fetch_ended", issuer=URL, value=0.003))
    metrics.attach(engine())
    assert metrics.reading().total("rapidjws_jwks_fetches_total") == 1


def test_rotation_lag_and_floods(metrics: EngineMetrics) -> None:
    """A new key's first use, a store that does not answer and a flood are counted once each."""
    metrics(Event(name="rotation_lag", issuer=tokens.ISS, kid="k", value=12.0))
    metrics(Event(name="replay_store_failed", detail="timeout"))
    metrics(Event(name="unknown_kid_flood", issuer=URL))
    metrics(Event(name="something_else", issuer=URL))
    reading = metrics.reading()
    assert reading.total("rapidjws_key_first_use_lag_seconds", issuer=tokens.ISS) == 1
    assert reading.total("rapidjws_replay_store_errors_total") == 1
    assert reading.total("rapidjws_unknown_kid_floods_total", issuer=tokens.ISS) == 1


def test_uses_are_counted() -> None:
    """The first use of a token, and its replays, one by one and in a batch."""
    one = engine(replay=rapidjws.Replay(store=MemoryReplayStore()))
    metrics = EngineMetrics(one)
    good = tokens.token("HS256", iat=None, jti="once")
    one.verify(good)
    with pytest.raises(rapidjws.PolicyRefused):
        one.verify(good)
    one.verify_many([good, tokens.token("HS256", iat=None, jti="other")])
    name, reading = "rapidjws_replay_checks_total", metrics.reading()
    assert reading.total(name, issuer=tokens.ISS, result="first") == 2
    assert reading.total(name, issuer=tokens.ISS, result="replayed") == 2
    assert len(reading.samples(name, issuer=tokens.ISS)) == 2


def test_bodies_are_counted(metrics: EngineMetrics) -> None:
    """A signed body is good, was changed, or is no signature; a request without one is none of them."""
    key = tokens.key("ES256")
    verifier = rapidjws.Verifier([key.public()], algorithms=["ES256"])
    body = SignedBody(verifier=verifier, recorder=metrics.recorder)
    detached = tokens.sign(key, {"alg": "ES256", "kid": key.kid}, b"{}", alg="ES256").split(".")
    signature = f"{detached[0]}..{detached[2]}".encode()
    for values, octets in (
        ([signature], b"{}"),
        ([signature], b"[]"),
        ([b"a.b"], b"{}"),
        ([], b"{}"),
    ):
        body.decide(RequestContext(values=values, query=b"", partner="whoever", route=None), octets)
    name, reading = "rapidjws_detached_verifications_total", metrics.reading()
    results = {one.named["result"]: one.value for one in reading.samples(name, partner="")}
    assert results == {"ok": 1, "mismatch": 1, "refused": 1}
    assert reading.total(name) == 3


def test_signatures_are_timed(metrics: EngineMetrics) -> None:
    """Signatures are timed under backend, algorithm and result, also those that fail; none waits after."""
    signer = MeasuredSigner(LocalSigner(tokens.key("ES256")), metrics.recorder, backend="kms")
    assert (signer.alg, signer.kid) == ("ES256", tokens.key("ES256").kid)
    signer.sign(b"octets")

    class Failing:
        """A signer whose key cannot be reached."""

        alg, kid = "ES256", None

        def sign(self, signing_input: bytes) -> bytes:
            """Fail."""
            raise error_for("internal_error", "kms")

    with pytest.raises(rapidjws.InternalError):
        MeasuredSigner(Failing(), metrics.recorder, backend="kms").sign(b"octets")
    name, reading = "rapidjws_signing_duration_seconds", metrics.reading()
    assert reading.total(name, backend="kms", alg="ES256", result="ok") == 1
    assert reading.total(name, backend="kms", alg="ES256", result="failed") == 1
    assert reading.largest("rapidjws_signing_queue_depth", backend="kms") == 0


def test_revocations_and_signs_of_attack_name_configured_issuers_only(metrics: EngineMetrics) -> None:
    """What a caller or a token names is a label only where it is configured."""
    metrics.recorder.revoked(tokens.ISS, 0.25)
    metrics.recorder.revoked("https://stranger.example", 0.5)
    reading = metrics.reading()
    name = "rapidjws_emergency_rotation_seconds"
    assert reading.largest(name, issuer=tokens.ISS, stage="in_force", drill="false") == 0.25
    assert reading.largest(name, issuer="") == 0.5
    assert {one.labels[0] for one in reading.samples(name)} == {tokens.ISS, ""}

    metrics(Event(name="kid_rebound", issuer=URL))
    metrics(Event(name="kid_rebound", issuer="https://stranger.example"))
    name = "rapidjws_security_events_total"
    assert {one.labels: one.value for one in metrics.reading().samples(name)} == {
        ("kid_rebound", tokens.ISS): 1,
        ("kid_rebound", ""): 1,
    }

    counter = LogCounter(metrics.recorder)
    for fields in (
        {"event": "lines_left_out", "left_out": 7},
        {"event": "no such event"},
    ):
        record = logging.LogRecord("rapidjws.security", logging.WARNING, "", 0, "", (), None)
        setattr(record, ATTRIBUTE, fields)
        counter.handle(record)
    counter.handle(logging.LogRecord("rapidjws.x", logging.WARNING, "", 0, "plain", (), None))
    reading = metrics.reading()
    assert reading.total("rapidjws_log_lines_dropped_total") == 7


def test_an_emergency_rotation_has_its_stages() -> None:
    """After a revocation: a new key, and its first token; drills stand apart, what is late does not count."""
    clock = [100.0]
    metrics = EngineMetrics(engine(), issuer_of=lambda: {URL: tokens.ISS})
    recorder = MetricRecorder(lambda: {URL: tokens.ISS}, clock=lambda: clock[0])
    recorder.attach(metrics.recorder._region)
    name = "rapidjws_emergency_rotation_seconds"

    def stages() -> dict[tuple[str, ...], object]:
        return {one.labels[1:]: one.value for one in metrics.reading().samples(name, issuer=tokens.ISS)}

    recorder(Event(name="key_added", issuer=URL, kid="before"))
    recorder.revoked(tokens.ISS, 0.5, drill=True)
    clock[0] += 60
    recorder(Event(name="key_added", issuer=URL, kid="new"))
    clock[0] += 30
    recorder(Event(name="rotation_lag", issuer=tokens.ISS, kid="new", value=30.0))
    clock[0] += 30
    recorder(Event(name="rotation_lag", issuer=tokens.ISS, kid="newer", value=30.0))
    expected = {("in_force", "true"): 0.5, ("replaced", "true"): 60.5, ("first_use", "true"): 90.5}
    assert stages() == expected
    recorder.revoked(tokens.ISS, 0.25)
    clock[0] += 7 * 3600
    recorder(Event(name="key_added", issuer=URL, kid="much later"))
    assert stages() == {**expected, ("in_force", "false"): 0.25}


def test_signs_of_attack_follow_from_verdicts() -> None:
    """Confused algorithms, revoked keys and replays are signs by their codes, whatever is logged."""
    keys = [tokens.public("ES256"), tokens.public("EdDSA")]
    issuer = rapidjws.Issuer(
        tokens.ISS, keys=keys, algorithms=["ES256", "EdDSA"], audience=tokens.AUD,
        replay=rapidjws.Replay(store=MemoryReplayStore()),
    )  # fmt: skip
    one = rapidjws.Engine(issuer)
    metrics = EngineMetrics(one)
    once = tokens.token("ES256", iat=None, jti="once")
    one.decide(once)
    one.decide(once)
    confused = {"alg": "EdDSA", "kid": tokens.key("ES256").kid}
    one.decide(tokens.sign(tokens.key("EdDSA"), confused, b"{}"))
    one.revoke(kid=tokens.key("ES256").kid)
    one.decide(tokens.token("ES256", iat=None, jti="more"))
    metrics(Event(name="kid_rebound", issuer=tokens.ISS))
    found = {one.labels: one.value for one in metrics.reading().samples("rapidjws_security_events_total")}
    assert found == {
        ("algorithm_confusion", tokens.ISS): 1,
        ("replay_detected", tokens.ISS): 1,
        ("revoked_key_used", tokens.ISS): 1,
        ("kid_rebound", ""): 1,
    }
