"""Good arguments for every public callable.

A public callable without a recipe fails ``tests/unit/test_public_arguments.py``: add one here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import public_bulk
import public_issuing
import public_objects
import public_registry
from public_objects import (
    ALGS,
    DECIDING,
    FETCHED,
    LISTENER,
    REDIS,
    TEMPLATE,
    URL,
    P,
    application,
    authority,
    detached,
    engine,
    folder,
    plan,
    rollout,
    signer,
    verifier,
)  # fmt: skip
from tokens import AUD, ISS, NOW_S, key, public, token

Recipe = dict[str, Any]


def _signing() -> Iterator[tuple[str, Callable[[], Recipe]]]:
    yield "LocalSigner", lambda: {"key": key("ES256")}
    yield "LocalSigner.sign", lambda: {"signing_input": b"x"}
    yield "JWTBuilder", lambda: {"signer": signer(), "iss": "x"}
    yield "JWTBuilder.claims", dict
    yield "JWTBuilder.sign", dict
    yield "Signature", lambda: {"signer": signer()}
    yield "sign_compact", lambda: {"payload": b"x", "signer": signer()}
    yield "sign_flattened", lambda: {"payload": b"x", "signer": signer()}
    yield "sign_general", lambda: {"payload": b"x", "signatures": [P["Signature"](signer=signer())]}


def _jose() -> Iterator[tuple[str, Callable[[], Recipe]]]:
    yield "JWK.as_dict", dict
    yield "JWK.from_der", lambda: {"data": b"x"}
    yield "JWK.from_json", lambda: {"data": public("ES256").as_dict()}
    yield "JWK.from_pem", lambda: {"text": "x"}
    yield "JWK.from_secret", lambda: {"secret": "x" * 40}
    yield "JWKSet", dict
    yield "JWKSet.from_json", lambda: {"data": {"keys": []}}
    yield "JWKSet.get", lambda: {"kid": "k"}
    yield "JWKSet.given", lambda: {"keys": [public("ES256")]}
    yield "JWKSet.select", lambda: {"alg": "ES256", "kid": "k1-es256"}
    yield "Algorithm.fits", lambda: {"kty": "EC", "crv": "P-256"}
    yield "ClaimsPolicy", dict
    yield "algorithms_for_key", lambda: {"kty": "EC", "crv": "P-256", "alg": None}
    yield "check_claims", lambda: {
        "claims_json": b'{"exp":1900000000}', "policy": P["ClaimsPolicy"](audience_checked=False),
        "now": NOW_S,
    }  # fmt: skip
    yield (
        "check_typ",
        lambda: {"header": P["parse_header"](b'{"alg":"ES256","typ":"JWT"}'), "expected": "JWT"},
    )
    yield "parse_header", lambda: {"data": b'{"alg":"ES256"}'}


def _engine() -> Iterator[tuple[str, Callable[[], Recipe]]]:
    issuer = functools.partial(P["Issuer"], ISS, keys=public("ES256"), algorithms=ALGS)
    yield "Engine", lambda: {"issuers": issuer()}
    yield "Engine.count_in", lambda: {"counters": engine().counters}
    for name in ("decide", "adecide", "averify", "verify"):
        yield f"Engine.{name}", lambda: {"token": token("ES256"), "now": NOW_S}
    yield "Engine.verify_id_token", lambda: {"token": token("ES256"), "nonce": None, "now": NOW_S}
    yield "Engine.decide_many", lambda: {"requests": [(token("ES256"), None, None)]}
    yield "Engine.verify_many", lambda: {"tokens": [token("ES256")], "now": NOW_S}
    yield "Engine.expect_retries", lambda: {"policy": rollout()}
    for name in ("key_state", "skew", "source_of"):
        yield f"Engine.{name}", lambda: {"issuer": ISS}
    yield "Engine.replace_issuers", lambda: {"issuers": issuer()}
    yield "Engine.replace_keys", lambda: {"issuer": ISS, "keys": public("ES256")}
    yield "Engine.revoke", lambda: {"kid": "other"}
    yield "Engine.unrevoke", lambda: {"revocation": P["Revocation"](kid="other")}
    for name in ("Engine.await_ready", "Engine.wait_ready", "CachedJWKSVerifier.wait_ready"):
        yield name, lambda: {"timeout_s": 0.1}
    for owner in ("Engine", "Verifier"):
        for name in ("aprecompute", "precompute"):
            yield f"{owner}.{name}", dict
        yield f"{owner}.precompute_in_background", lambda: {"most": 1}
    yield "Issuer", lambda: {"iss": ISS, "keys": public("ES256"), "algorithms": ALGS}
    yield "Issuer.profile", lambda: {"profile": "access_token", "iss": ISS, "keys": public("ES256"),
                                     "algorithms": ALGS, "audience": AUD}  # fmt: skip
    for name in ("Contains", "ContainsAny", "ContainsOnly", "OneOf", "Prefix"):
        yield name, lambda: {"values": "a"}
    yield "Pattern", lambda: {"pattern": "a+"}
    yield "Replay", lambda: {"store": P["MemoryReplayStore"]()}
    yield "Revocation", lambda: {"kid": "k"}
    yield "TokenCache", dict


def _verifier() -> Iterator[tuple[str, Callable[[], Recipe]]]:
    yield "Verifier", lambda: {"keys": public("ES256"), "algorithms": ALGS}
    yield "Verifier.verify", lambda: {"token": token("ES256")}
    yield "Verifier.verify_many", lambda: {"tokens": [token("ES256")]}
    for name in ("averify_detached", "verify_detached"):
        yield f"Verifier.{name}", lambda: {"token": detached(), "payload": b"x"}
    for name in ("all_of", "any_of"):
        yield name, dict
    yield "at_least", lambda: {"count": 1}
    yield "signers", lambda: {"names": ["k"]}
    yield "verify_raw", lambda: {
        "alg": "ES256", "key": public("ES256"), "signing_input": b"x", "signature": signer().sign(b"x"),
    }  # fmt: skip
    yield "diagnose", lambda: {"token": token("ES256"), "using": engine()}
    yield "Report.to_json", dict
    yield "Report.to_terminal", dict


def _keys() -> Iterator[tuple[str, Callable[[], Recipe]]]:
    for name in ("Freshness", "Transport", "UnknownKids"):
        yield name, dict
    yield "Freshness.clamp", lambda: {"stated_s": 100}
    yield "Transport.check_url", lambda: {"url": URL}
    yield "Answer", lambda: {"status": 200, "headers": {}, "body": b""}
    yield "FetchFailed", lambda: {"reason": "refused"}
    yield "RemoteJWKS", lambda: {"url": URL}
    for name in FETCHED:
        yield f"{name}.refresh", lambda: {"wait_s": 0.0}
    for name in ("RemoteCertificates", "SpiffeBundle"):
        yield name, lambda: {"url": URL}
    yield "DiscoveredJWKS", lambda: {"issuer": ISS}
    yield "RemotePEM", lambda: {"template": TEMPLATE}
    yield "RemotePEM.url_of", lambda: {"kid": "k"}
    yield "X5CPolicy", dict
    yield "X5CPolicy.named", lambda: {"name": "jades"}
    yield "X5CKeys", lambda: {"roots": authority()}
    yield "PEMFiles", lambda: {"path": folder() / "absent.pem"}
    yield "Issuer.discover", lambda: {"issuer": ISS}
    yield "Issuer.spiffe", lambda: {"trust_domain": "a.example", "audience": AUD, "keys": public("ES256")}
    yield "FileJWKS", lambda: {"path": folder() / "absent.json"}
    yield "CachedJWKSVerifier", lambda: {"url": URL, "cache_file": folder() / "k.json", "algorithms": ALGS}
    yield "CachedJWKSVerifier.verify", lambda: {"token": token("ES256")}
    yield "RotatedHook", lambda: {"sources": {}, "secret": "x" * 40}
    yield "RotatedHook.handle", lambda: {"method": "POST", "authorization": None}
    yield "RevocationFile", lambda: {"path": folder() / "revoked.json"}
    yield "RedisRevocations", lambda: {"url": REDIS}
    for owner in ("RevocationFile", "RedisRevocations"):
        yield f"{owner}.subscribe", lambda: {"changed": LISTENER.heed}
        for name in ("add", "remove"):
            yield f"{owner}.{name}", lambda: {"revocation": P["Revocation"](kid="k")}


def _policy() -> Iterator[tuple[str, Callable[[], Recipe]]]:
    yield "GuardRails", dict
    yield "MemoryReplayStore", dict
    yield "RedisReplayStore", lambda: {"url": REDIS}
    yield "MemoryState", lambda: {"initial": plan()}
    yield "StateFolder", lambda: {"path": folder() / "state", "initial": plan()}
    yield "Partner", lambda: {"name": "acme"}
    yield "Rollout", dict
    for name in ("freeze", "thaw"):
        yield f"Rollout.{name}", lambda: {"by": "ann"}
    yield "Rollout.left_behind", dict
    yield "Rollout.objections", dict
    yield "Rollout.promote", lambda: {"by": "ann", "force": True}
    yield "Rollout.rollback", lambda: {"by": "ann"}
    yield "Shadow", lambda: {"incumbent": lambda token: True}
    yield "Shadow.wait_idle", lambda: {"wait_s": 0.0}
    yield "Stage", lambda: {"phase": "warning", "before": "detection"}


def _middleware() -> Iterator[tuple[str, Callable[[], Recipe]]]:
    from aiohttp import web

    yield "Authenticator", lambda: {"engine": engine()}
    for name in ("await_keys", "startup_wait", "wait_for_keys"):
        yield f"Authenticator.{name}", lambda: {"timeout_s": 0.1}
    yield "SignedBody", lambda: {"verifier": verifier()}
    yield "TokenLocation", dict
    yield "JSONMember", lambda: {"pointer": "/signedPayload"}
    yield "FormField", lambda: {"name": "logout_token"}
    yield "BodyDigest", lambda: {"claim": "/digest"}
    yield "BodyReplay", lambda: {"store": P["MemoryReplayStore"]()}
    yield "RequestNonces", lambda: {"secrets": [b"s" * 32], "store": P["MemoryReplayStore"]()}
    yield from (("RequestLines", dict), ("SignedData", dict))
    for name in ("JWSMiddleware", "WSGIMiddleware"):
        yield name, lambda: {"app": application(), "engine": engine()}
    yield "answer_for", lambda: {"decision": engine().decide(None)}
    yield "trusted_headers", lambda: {"decision": engine().decide(None)}
    yield "verify_webhook", lambda: {"verifier": verifier(), "body": b"x"}
    yield "setup", lambda: {"app": web.Application(), "engine": engine()}
    yield "JWSSecurity", lambda: {"claims": dict, "engine": engine()}
    for name in DECIDING:
        yield name, lambda: {"engine": engine()}
    waits = ("JWSInterceptor.await_ready", "JWSInterceptor.wait_ready", "WSGIMiddleware.wait_ready")
    for name in (*waits, "JWSBackend.await_keys", "JWSGuard.await_keys", "JWSRequired.wait_ready"):
        yield name, lambda: {"timeout_s": 0.1}


def _observe() -> Iterator[tuple[str, Callable[[], Recipe]]]:
    from rapidjws.observe.exposition import TEXT
    from rapidjws.observe.tracing import NO_TRACER

    yield "Collector", lambda: {"engine": engine()}
    yield "DecisionLog", dict
    yield "EngineMetrics", dict
    yield "EngineMetrics.attach", lambda: {"engine": engine()}
    yield "EventLog", dict
    yield "LogHandler", lambda: {"destination": str(folder() / "log")}
    yield "Exposition.write", lambda: {"reading": P["EngineMetrics"](engine()).reading(), "one": TEXT}
    yield "LogSettings", dict
    yield "MeasuredSigner", lambda: {"signer": signer(), "recorder": P["EngineMetrics"]().recorder}
    yield "MeasuredSigner.sign", lambda: {"signing_input": b"a.b"}
    yield "OTelMetrics", lambda: {"engine": engine()}
    yield "OpenTelemetryTracer", dict
    yield "TraceEvents", lambda: {"tracer": NO_TRACER}
    yield "TracedSigner", lambda: {"signer": signer(), "tracer": NO_TRACER}
    yield "TracedSigner.sign", lambda: {"signing_input": b"a.b"}


def _testing() -> Iterator[tuple[str, Callable[[], Recipe]]]:
    yield "FakeClock", dict
    for name in ("advance", "step"):
        yield f"FakeClock.{name}", lambda: {"seconds": 1.0}
    yield "FakeIssuer", lambda: {"iss": ISS, "algorithms": "ES256"}
    yield "FaultyIssuerServer", lambda: {"algorithms": "ES256", "plain": True}
    for owner in ("FakeIssuer", "FaultyIssuerServer"):
        yield f"{owner}.claims", lambda: {"now_s": NOW_S}
        yield f"{owner}.token", lambda: {"claims": {}}
    yield "FaultyIssuerServer.rotate", dict
    yield "Fault", dict
    yield "TestServer", lambda: {"answer": lambda: (b"{}", {}), "plain": True}
    for owner in ("TestServer", "FaultyIssuerServer"):
        yield f"{owner}.always", lambda: {"fault": None}
        yield f"{owner}.script", lambda: {"faults": None}
    rejected = {"code": "malformed_token", "token": "x", "now": NOW_S}
    yield "assert_rejected", lambda: {"verifier": engine(), **rejected}
    yield "make_key", lambda: {"alg": "ES256"}
    yield "workload", lambda: {"count": 2, "refused": 1}


GROUPS = (_signing, _jose, _engine, _verifier, _keys, _policy, _middleware, _observe, _testing)
RECIPES: dict[str, Callable[[], Recipe]] = {name: make for group in GROUPS for name, make in group()}
RECIPES |= public_issuing.RECIPES | public_bulk.RECIPES | public_registry.recipes(RECIPES)
OWNERS = public_objects.OWNERS | public_issuing.OWNERS | public_bulk.OWNERS | public_registry.OWNERS
