"""Good arguments for the public callables of the keys of an issuer; see ``public_recipes``."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import public_audit
import public_authz
import public_introspection
import public_sender
import public_signals
import public_signers
import public_statuslist
from issuing_world import START_S, TIMING, CountingMaker, life_cycle, pair
from public_callables import exported
from scratch import new_folder
from stub_kms import StubKms

from rapidjws.issuing import IssuingState, KeyLifeCycle, SigningKey
from rapidjws.signing.aws_kms import AwsKmsSigner
from rapidjws.testing import FakeClock

P = exported()
Recipe = dict[str, Any]


@functools.cache
def folder() -> Path:
    """Return a folder for what is written."""
    return new_folder()


def issuer() -> KeyLifeCycle:
    """Return an issuer with an active key and a next one that is ready."""
    clock = FakeClock(START_S)
    made = life_cycle(clock)
    for _ in range(3):
        made.tick()
        clock.advance(TIMING.before_s)
    return made


@functools.cache
def state() -> IssuingState:
    """Return a state."""
    return issuer().state()


def local_key() -> SigningKey:
    """Return a key of a maker in a folder."""
    made = P["LocalKeyMaker"](folder()).make("ES256")
    return SigningKey(kid=made.public.kid, alg="ES256", stage="next", jwk=made.public.as_dict(),
                      reference=made.reference, published_at_s=1.0)  # fmt: skip


def swap() -> Recipe:
    """Return a swap of a new store."""
    return {"before": IssuingState(), "after": IssuingState(revision=1)}


def kms() -> dict[str, Any]:
    """Return the arguments of a signer by that client."""
    return {"key_id": "k", "alg": "ES256", "regions": ["a"], "client_for": lambda region: StubKms()}


def kms_signer() -> Any:
    """Return a signer by that client."""
    return AwsKmsSigner(**kms())


def announcer() -> Any:
    """Return an announcer without consumers."""
    return P["Announcer"]("https://issuer.example", [], lambda *_: (200, b"{}"))


def token_client() -> Any:
    """Return a client with a key."""
    return P["TokenClient"](client_id="a", audiences=["b"], keys=pair("ES256", 0).public())


def active_signer() -> Any:
    """Return the signer of an issuer's active key."""
    clock = FakeClock(START_S)
    maker = CountingMaker()
    made = life_cycle(clock, maker=maker)
    for _ in range(3):
        made.tick()
        clock.advance(TIMING.before_s)
    return P["ActiveSigner"](made, maker)


def token_settings() -> Recipe:
    """Return the arguments of a token service."""
    return {
        "signer": active_signer(),
        "issuer": "https://issuer.example",
        "token_endpoint": "https://issuer.example/token",
        "clients": [token_client()],
        "replay": P["MemoryReplayStore"](),
    }


def signing_settings() -> Recipe:
    """Return the arguments of a signing service."""
    given = {name: value for name, value in token_settings().items() if name != "token_endpoint"}
    allowed = [public_signers.signing_client()]
    return {**given, "endpoint": "https://issuer.example/sign", "allowed": allowed}


def gateway() -> Any:
    """Return a gateway's header."""
    return P["GatewayCertificate"](header="client-cert", form="rfc9440", gateways=["unix"])


def key_file() -> str:
    """Return a file with a private key."""
    path = folder() / "file-signer.jwk"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(json.dumps(pair("ES256", 0).as_dict(private=True)))
    return str(path)


OWNERS: dict[str, Callable[[], Any]] = {
    "ActiveSigner": active_signer,
    "Announcer": announcer,
    "FileSigner": lambda: P["FileSigner"](key_file(), alg="ES256"),
    "GatewayCertificate": gateway,
    "SignatureLog": lambda: P["SignatureLog"](folder() / "signatures.jsonl"),
    "TokenService": lambda: P["TokenService"](**token_settings()),
    "SigningService": lambda: P["SigningService"](**signing_settings()),
    "AwsKmsSigner": kms_signer,
    "Pkcs11Signer": kms_signer,  # what they inherit
    "VaultSigner": kms_signer,
    "PresignedPool": lambda: P["PresignedPool"](kms_signer()),
    "SigningQueue": lambda: P["SigningQueue"]([kms_signer()]),
    "Publication": lambda: P["Publication"](issuer(), "https://issuer.example"),
    "S3Copy": lambda: P["S3Copy"](OWNERS["Publication"](), "keys", client=Aws()),
    "CloudFrontInvalidation": lambda: P["CloudFrontInvalidation"]("E1", client=Aws()),
    "FileStateStore": lambda: P["FileStateStore"](new_folder() / "keys.json"),
    "FreezeWindow": lambda: P["FreezeWindow"]("fri 16:00 - mon 08:00 UTC"),
    "IssuingState": state,
    "KeyLifeCycle": issuer,
    "LocalKeyMaker": lambda: P["LocalKeyMaker"](folder()),
    "MemoryStateStore": lambda: P["MemoryStateStore"](),
    "RedisStateStore": lambda: P["RedisStateStore"]("redis://127.0.0.1:1/0", timeout_s=0.01),
    "Schedule": lambda: P["Schedule"]("every 1 hour"),
}


class Aws:
    """A client of AWS that takes everything."""

    def put_object(self, **_: Any) -> None:
        """Take an object."""

    def create_invalidation(self, **_: Any) -> None:
        """Take an invalidation."""


def issuing_file() -> Path:
    """Return the file of an issuer."""
    place = new_folder()
    (place / "keys").mkdir()
    path = place / "issuing.toml"
    path.write_text(
        '[issuing]\nissuer = "https://issuer.example"\nstate_file = "keys.json"\nkey_folder = "keys"\n'
        'schedule = "every 30 days at 03:00 UTC"\n'
    )
    return path


RECIPES: dict[str, Callable[[], Recipe]] = {
    "load_issuing": lambda: {"path": issuing_file()},
    "ActiveSigner": lambda: {"life_cycle": active_signer().life_cycle, "maker": CountingMaker()},
    "ActiveSigner.signer": dict,
    "FileSigner": lambda: {"path": key_file(), "alg": "ES256"},
    "FileSigner.sign": lambda: {"signing_input": b"a.b"},
    "FileSigner.asign": lambda: {"signing_input": b"a.b"},
    "signer_from_environment": lambda: {
        "name": "KEY",
        "alg": "ES256",
        "environment": {"KEY": json.dumps(pair("ES256", 0).as_dict(private=True))},
    },
    "GatewayCertificate": lambda: {"header": "client-cert", "form": "rfc9440", "gateways": ["unix"]},
    "GatewayCertificate.presented": lambda: {"headers": {}, "peer": "unix"},
    "SignatureLog": lambda: {"path": str(folder() / "signatures.jsonl")},
    "SignatureRecord": lambda: {
        "who": "a",
        "kid": "k",
        "alg": "ES256",
        "digest": "0",
        "request_id": "",
        "result": "ok",
    },
    "TokenClient": lambda: {"client_id": "a", "audiences": ["b"], "keys": pair("ES256", 0).public()},
    "TokenService": token_settings,
    "SigningService": signing_settings,
    "SigningService.handle": lambda: {"method": "POST", "headers": [], "body": b"a=b"},
    "TokenService.handle": lambda: {"method": "POST", "headers": [], "body": b"a=b"},
    "TokenService.issue": lambda: {"client_id": "a"},
    "Announcer": lambda: {
        "issuer": "https://issuer.example",
        "consumers": [],
        "post": lambda *_: (200, b"{}"),
    },
    "Announcer.announce": lambda: {"kid": "es256-0"},
    "AwsKmsSigner": kms,
    "Pkcs11Signer": lambda: {
        "module": "/nonexistent.so",
        "token_label": "t",
        "key_label": "k",
        "pin": "1234",
        "alg": "ES256",
    },
    "VaultSigner": lambda: {"url": "http://127.0.0.1:1", "key_name": "k", "alg": "ES256", "token": "t"},
    "SigningQueue": lambda: {"signers": [kms_signer()]},
    "SigningQueue.sign": lambda: {"signing_input": b"a.b"},
    "SigningQueue.asign": lambda: {"signing_input": b"a.b"},
    "SigningQueue.close": dict,
    "PresignedPool": lambda: {"signer": kms_signer()},
    "PresignedPool.take": lambda: {"claims": {"sub": "a"}},
    "PresignedPool.refill": lambda: {"claims": {"sub": "a"}},
    "PresignedPool.drop": dict,
    "Consumer": lambda: {"name": "orders", "url": "https://orders.example/hook", "secret": "s" * 32},
    "Publication": lambda: {"life_cycle": issuer(), "issuer": "https://issuer.example"},
    "Publication.handle": lambda: {"method": "GET", "path": "/.well-known/jwks.json"},
    "Publication.publishes": lambda: {"method": "GET", "path": "/.well-known/jwks.json"},
    "Publication.max_age_s": lambda: {"state": state()},
    "Publication.answers": lambda: {"state": state()},
    "S3Copy": lambda: {"publication": OWNERS["Publication"](), "bucket": "keys", "client": Aws()},
    "S3Copy.precede": lambda: {"before": IssuingState(), "after": state()},
    "S3Copy.sync": lambda: {"state": state()},
    "CloudFrontInvalidation": lambda: {"distribution": "E1", "client": Aws()},
    "KeyLifeCycle.keep_copy": lambda: {"copy": OWNERS["S3Copy"]()},
    "PublicationApp": lambda: {"publication": OWNERS["Publication"]()},
    "FileStateStore": lambda: {"path": str(folder() / "keys.json")},
    "FileStateStore.swap": swap,
    "FreezeWindow": lambda: {"text": "fri 16:00 - mon 08:00 UTC"},
    "FreezeWindow.end_s": lambda: {"at_s": START_S},
    "IssuingState.from_json": lambda: {"octets": IssuingState().to_json()},
    "IssuingState.in_stage": lambda: {"stage": "active"},
    "IssuingState.key": lambda: {"kid": "es256-0"},
    "IssuingState.with_key": lambda: {"changed": state().keys[0]},
    "KeyLifeCycle": lambda: {"store": P["MemoryStateStore"](), "timing": TIMING, "maker": CountingMaker()},
    "KeyLifeCycle.next_change_s": lambda: {"state": state(), "now_s": START_S},
    "KeyLifeCycle.promote": dict,
    "KeyLifeCycle.signing_key": dict,
    "KeyLifeCycle.taint": lambda: {"kid": "es256-0", "why": "drill"},
    "KeyTiming": dict,
    "LocalKeyMaker": lambda: {"folder": folder()},
    "LocalKeyMaker.make": lambda: {"alg": "ES256"},
    "LocalKeyMaker.remove": lambda: {"key": local_key()},
    "LocalKeyMaker.signer": lambda: {"key": local_key()},
    "MemoryStateStore.swap": swap,
    "RedisStateStore": lambda: {"url": "redis://127.0.0.1:1/0"},
    "RedisStateStore.swap": swap,
    "MemoryStateStore": dict,
    "rotate_in_emergency": lambda: {
        "life_cycle": issuer(),
        "announcer": announcer(),
        "kid": "es256-0",
        "why": "drill",
        "issuer": "https://issuer.example",
        "wait_s": 0.0,
    },
    "Schedule": lambda: {"text": "every 1 hour"},
    "Schedule.check": lambda: {"timing": TIMING},
    "Schedule.due_s": lambda: {"since_s": START_S},
    "Schedule.frozen_until_s": lambda: {"at_s": START_S},
    "Schedule.thawed_s": lambda: {"at_s": START_S},
}
for _name in ("AwsKmsSigner", "Pkcs11Signer", "VaultSigner"):
    RECIPES[f"{_name}.sign"] = lambda: {"signing_input": b"a.b"}
    RECIPES[f"{_name}.asign"] = lambda: {"signing_input": b"a.b"}
RECIPES |= public_audit.RECIPES
OWNERS |= public_audit.OWNERS
RECIPES |= public_sender.RECIPES
OWNERS |= public_sender.OWNERS
RECIPES |= public_authz.RECIPES
OWNERS |= public_authz.OWNERS
RECIPES |= public_signals.RECIPES
OWNERS |= public_signals.OWNERS
RECIPES |= public_signers.RECIPES
OWNERS |= public_signers.OWNERS
RECIPES |= public_introspection.RECIPES
OWNERS |= public_introspection.OWNERS
RECIPES |= public_statuslist.RECIPES
OWNERS |= public_statuslist.OWNERS
