"""The objects that the methods of public callables are called on, and what the recipes are made of."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from certified import CertifiedKey
from public_callables import exported
from scratch import new_folder
from tokens import AUD, ISS, NOW_S, key, public, token

from rapidjws.jose.jwa import ALGORITHM_TABLE
from rapidjws.rollout.plan import Plan

P = exported()
URL = "https://issuer.example/jwks.json"
TEMPLATE = "https://issuer.example/{kid}"
FETCHED = {
    "RemoteJWKS": URL, "RemoteCertificates": URL, "SpiffeBundle": URL, "DiscoveredJWKS": ISS,
    "RemotePEM": TEMPLATE,
}  # fmt: skip
REDIS, ALGS = "redis://127.0.0.1:1/0", ["ES256"]


@functools.cache
def folder() -> Path:
    """Return a folder for what is written."""
    return new_folder()


@functools.cache
def signer() -> Any:
    """Return a signer."""
    return P["LocalSigner"](key("ES256"))


@functools.cache
def engine() -> Any:
    """Return an engine that knows one issuer."""
    issuer = P["Issuer"](ISS, keys=public("ES256"), algorithms=ALGS, audience=AUD)
    return P["Engine"](issuer, cache=P["TokenCache"](), workers=1)


@functools.cache
def verifier() -> Any:
    """Return a verifier of the same key."""
    return P["Verifier"](public("ES256"), algorithms=ALGS, workers=1)


@functools.cache
def verified() -> Any:
    """Return a verified token."""
    return engine().verify(token("ES256"), NOW_S)


@functools.cache
def source(name: str = "RemoteJWKS") -> Any:
    """Return a source that never fetched."""

    def refuse(*_: Any) -> Any:
        raise P["FetchFailed"]("refused")

    return P[name](FETCHED[name], fetch=refuse)


@functools.cache
def authority() -> str:
    """Return a root certificate in PEM."""
    return CertifiedKey("root", is_ca=True).pem


def detached() -> str:
    """Return a token without its payload."""
    return str(P["sign_compact"](b"x", signer(), detached=True))


def plan() -> Any:
    """Return a first plan."""
    return Plan(stages={("", ""): P["Stage"](phase="detection", before="detection")})


def rollout() -> Any:
    """Return a rollout that is promoted by force or not at all."""
    return P["Rollout"]([P["Partner"](name="acme", issuers=[ISS])], unattributed="default")


@functools.cache
def revocation_file() -> Any:
    """Return a file of revocations."""
    return P["RevocationFile"](folder() / "revoked.json")


@functools.cache
def issuer_server() -> Any:
    """Return an issuer that serves."""
    return P["FaultyIssuerServer"](ISS, "ES256", plain=True)


@functools.cache
def trial_server() -> Any:
    """Return a server."""
    return P["TestServer"](lambda: (b"{}", {}), plain=True)


@functools.cache
def authenticator() -> Any:
    """Return a middleware."""
    return P["Authenticator"](engine=engine())


def traced_signer() -> Any:
    """Return a signer whose spans nobody records."""
    from rapidjws.observe.tracing import NO_TRACER

    return P["TracedSigner"](signer(), NO_TRACER)


def no_change(*_: Any) -> None:
    """Heed nothing."""


class Listener:
    """Something with a bound method."""

    def heed(self) -> None:
        """Heed nothing."""


LISTENER = Listener()


def application() -> Any:
    """Return what middlewares may stand before."""
    return object.__new__(type("App", (), {"__call__": no_change}))


DECIDING = ("JWSInterceptor", "JWSBackend", "JWSGuard", "JWSRequired")
OWNERS: dict[str, Callable[[], Any]] = {
    "Algorithm": lambda: ALGORITHM_TABLE["ES256"],
    "Authenticator": authenticator,
    "Engine": engine.__wrapped__,
    "EngineMetrics": lambda: P["EngineMetrics"](),
    "Exposition": lambda: P["Exposition"](),
    "FakeClock": lambda: P["FakeClock"](),
    "FakeIssuer": lambda: P["FakeIssuer"](ISS, "ES256"),
    "Freshness": lambda: P["Freshness"](),
    "Issuer": lambda: P["Issuer"],
    "JWK": lambda: key("ES256"),
    "JWKSet": lambda: P["JWKSet"]([public("ES256")]),
    "JWTBuilder": lambda: P["JWTBuilder"](signer(), iss=ISS),
    "CachedJWKSVerifier": lambda: P["CachedJWKSVerifier"](
        URL, cache_file=folder() / "kept.json", algorithms=ALGS,
        fetch=lambda *_: P["Answer"](status=200, headers={}, body=b'{"keys":[]}'),
    ),
    "LocalSigner": signer,
    "MeasuredSigner": lambda: P["MeasuredSigner"](signer(), P["EngineMetrics"]().recorder),
    "RedisRevocations": lambda: P["RedisRevocations"](REDIS, timeout_s=0.01),
    **{name: functools.partial(source, name) for name in FETCHED},
    "X5CKeys": lambda: P["X5CKeys"](authority()),
    "PEMFiles": lambda: P["PEMFiles"](folder() / "absent.pem"),
    "Report": lambda: P["diagnose"](token("ES256"), engine(), now=NOW_S),
    "RevocationFile": revocation_file,
    "Rollout": rollout,
    "RotatedHook": lambda: P["RotatedHook"]({"a": source()}, secret="x" * 40),
    "Shadow": lambda: P["Shadow"](lambda token: True),
    "TracedSigner": traced_signer,
    "Transport": lambda: P["Transport"](),
    "TestServer": trial_server,
    "Verifier": verifier,
    "WSGIMiddleware": lambda: P["WSGIMiddleware"](application(), engine=engine()),
    "FaultyIssuerServer": issuer_server,
}  # fmt: skip
OWNERS |= {name: lambda name=name: P[name](engine=engine()) for name in DECIDING}  # type: ignore[misc]
