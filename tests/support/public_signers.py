"""Good arguments for the public callables that measure an issuer and its queue; see ``public_recipes``."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from issuing_world import START_S, TIMING, life_cycle, pair
from public_callables import exported
from scratch import new_folder
from stub_kms import StubKms

from rapidjws._native import b64url_encode
from rapidjws.issuing import Confirmations, EmergencyReport, SigningKey
from rapidjws.issuing.remote_signer import RemoteSigner
from rapidjws.signing import LocalSigner
from rapidjws.signing.backend import BackendSigner, SignerLimits
from rapidjws.signing.compact import signing_input
from rapidjws.testing import FakeClock

P = exported()
Recipe = dict[str, Any]


def issuer() -> Any:
    """Return an issuer with an active key."""
    clock = FakeClock(START_S)
    made = life_cycle(clock)
    made.tick()
    clock.advance(TIMING.before_s)
    made.tick()
    return made


def report() -> EmergencyReport:
    """Return what an emergency did."""
    nobody = Confirmations(confirmed={}, missing={})
    return EmergencyReport(kid="k", successor="n", stages=(), confirmations=nobody)


def log() -> Any:
    """Return a log of emergencies."""
    return P["EmergencyLog"](new_folder() / "emergencies.jsonl")


def metrics() -> Any:
    """Return the metrics of an issuer."""
    return P["IssuerMetrics"]("https://issuer.example", issuer())


class MadeByKms(StubKms):
    """A client of a KMS that makes one key."""

    def create_key(self, **_: Any) -> dict[str, Any]:
        """Return the key."""
        return {"KeyMetadata": {"KeyId": "k"}}

    def schedule_key_deletion(self, **_: Any) -> dict[str, Any]:
        """Do nothing."""
        return {}


def key_maker() -> Any:
    """Return a maker of keys in that KMS."""
    return P["AwsKmsKeyMaker"](["a"], client_for=lambda region: MadeByKms())


class NoToken:
    """A PKCS#11 library whose token is away."""

    turn = nullcontext
    generation = 0

    def restart(self, seen: int) -> bool:
        """Fail as well."""
        return False

    @property
    def loaded(self) -> Any:
        """Fail as a library does."""
        raise OSError("no token")


def token_maker() -> Any:
    """Return a maker of keys in a token that is away."""
    from rapidjws.signing.pkcs11 import _REFUSALS

    made = object.__new__(P["Pkcs11KeyMaker"])
    names = (*_REFUSALS, "NoSuchToken", "UserAlreadyLoggedIn")
    faults = SimpleNamespace(PKCS11Error=OSError, **dict.fromkeys(names, KeyError))
    given = {"_library": NoToken(), "_module": "/nonexistent.so", "_pin": "1234", "_rsa_bits": 2048,
             "_pkcs11": SimpleNamespace(exceptions=faults), "_sessions": 1, "_token_label": "t",
             "_unfinished": {}}  # fmt: skip
    for name, value in given.items():
        setattr(made, name, value)
    return made


def token_key() -> SigningKey:
    """Return a key of that token."""
    return replace(kms_key(), reference="rapidjws-0")


def kms_key() -> SigningKey:
    """Return a key of that KMS."""
    made = key_maker().make("ES256")
    return SigningKey(kid=made.public.kid, alg="ES256", stage="next", jwk=made.public.as_dict(),
                      reference=made.reference, published_at_s=1.0)  # fmt: skip


def remote_settings() -> Recipe:
    """Return the arguments of a signer by a service that is away."""
    return {
        "url": "https://127.0.0.1:1/sign",
        "alg": "ES256",
        "client_id": "a",
        "client_key": LocalSigner(pair("ES256", 0)),
        "timeout_s": 0.05,
    }


def remote_input() -> bytes:
    """Return octets for its key."""
    return signing_input(b'{"alg":"ES256","kid":"es256-0","typ":"a"}', b"{}", b64=True)


def remote_signer() -> Any:
    """Return a signer whose service answers with a signature."""
    made = object.__new__(RemoteSigner)
    key = pair("ES256", 0)
    BackendSigner.__init__(made, alg="ES256", public=key.public(), kid=key.kid, check="always",
                           limits=SignerLimits())  # fmt: skip
    signature = b64url_encode(LocalSigner(key).sign(remote_input())).decode()
    answer = json.dumps({"alg": "ES256", "kid": key.kid, "signature": signature}).encode()
    given = {"_keys": {key.kid: key.public()}, "_url": "https://issuer.example/sign", "_client_id": "a",
             "_audience": "https://issuer.example/sign", "_client_key": LocalSigner(key),
             "_post": lambda *_: (200, answer)}  # fmt: skip
    for name, value in given.items():
        setattr(made, name, value)
    return made


def signing_client() -> Any:
    """Return what a client may have signed."""
    return P["SigningClient"](client_id="a", typ=("order+jwt",))


OWNERS: dict[str, Callable[[], Any]] = {
    "AwsKmsKeyMaker": key_maker,
    "Pkcs11KeyMaker": token_maker,
    "EmergencyLog": log,
    "IssuerMetrics": metrics,
    "QueueMetrics": lambda: P["QueueMetrics"](metrics().recorder, ["kms"]),
    "RedisRotations": lambda: P["RedisRotations"]("redis://127.0.0.1:1/0", timeout_s=0.01),
    "RemoteSigner": remote_signer,
}
RECIPES: dict[str, Callable[[], Recipe]] = {
    "AwsKmsKeyMaker": lambda: {"regions": ["a"], "client_for": lambda region: MadeByKms()},
    "AwsKmsKeyMaker.make": lambda: {"alg": "ES256"},
    "AwsKmsKeyMaker.remove": lambda: {"key": kms_key()},
    "AwsKmsKeyMaker.signer": lambda: {"key": kms_key()},
    "Pkcs11KeyMaker": lambda: {"module": "/nonexistent.so", "token_label": "t", "pin": "1234"},
    "Pkcs11KeyMaker.make": lambda: {"alg": "ES256"},
    "Pkcs11KeyMaker.remove": lambda: {"key": token_key()},
    "Pkcs11KeyMaker.signer": lambda: {"key": token_key()},
    "RemoteSigner": remote_settings,
    "RemoteSigner.asign": lambda: {"signing_input": remote_input()},
    "RemoteSigner.sign": lambda: {"signing_input": remote_input()},
    "SigningClient": lambda: {"client_id": "a", "typ": ("order+jwt",)},
    "SigningQueue.sign_for": lambda: {"signing_input": b"a.b", "caller": "a"},
    "MeasuredSigner.sign_for": lambda: {"signing_input": b"a.b", "caller": "a"},
    "EmergencyLog": lambda: {"path": "emergencies.jsonl"},
    "EmergencyLog.last": lambda: {"issuer": "https://issuer.example"},
    "EmergencyLog.write": lambda: {
        "report": report(),
        "why": "drill",
        "issuer": "https://issuer.example",
        "decided_at_s": START_S,
    },
    "EmergencyRecord": lambda: {"stages": {"replaced": 0.1}, "drill": False},
    "IssuerMetrics": lambda: {"issuer": "https://issuer.example", "life_cycle": issuer()},
    "IssuerMetrics.announced": lambda: {"confirmations": Confirmations(confirmed={}, missing={})},
    "IssuerMetrics.measured": lambda: _measured(),
    "IssuerMetrics.queue": lambda: {"backends": ["kms"]},
    "IssuerMetrics.token_requested": lambda: {"client": "orders", "result": "ok"},
    "Announcer.announce_newest": lambda: {
        "life_cycle": issuer(),
        "signer_for": lambda key: _measured()["signer"],
    },
    "RedisRotations": lambda: {"url": "redis://127.0.0.1:1/0"},
    "RedisRotations.announce": lambda: {"issuer": "https://issuer.example", "kid": "k"},
    "RedisRotations.confirmed": lambda: {"issuer": "https://issuer.example", "kid": "k"},
    "RedisRotations.follow": lambda: {"sources": dict},
    "QueueMetrics": lambda: {"recorder": metrics().recorder, "backends": ["kms"]},
    "QueueMetrics.called": lambda: {"number": 0, "result": "ok", "is_open": False},
    "QueueMetrics.depth": lambda: {"waiting": 1},
    "QueueMetrics.rate": lambda: {"number": 0, "per_second": 10.0},
    "QueueMetrics.refused": lambda: {"code": "signing_late"},
    "QueueMetrics.waited": lambda: {"seconds": 0.1},
}


def _measured() -> Recipe:
    """Return a signer and its key."""
    return {"signer": LocalSigner(pair("ES256", 0), "ES256"), "key": issuer().signing_key()}
