"""A partner in Python with jwcrypto: signs samples of its own, and verifies ours."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

_SHAPES: dict[str, dict[str, Any]] = {
    "ES256": {"kty": "EC", "crv": "P-256"}, "ES384": {"kty": "EC", "crv": "P-384"},
    "ES512": {"kty": "EC", "crv": "P-521"}, "EdDSA": {"kty": "OKP", "crv": "Ed25519"},
    "RS256": {"kty": "RSA", "size": 2048}, "PS256": {"kty": "RSA", "size": 2048},
}  # fmt: skip


def run(command: str, folder: Path) -> None:
    """Do what a partner does: ``sign`` or ``verify``."""
    pytest.importorskip("jwcrypto", reason="no jwcrypto partner: pip install jwcrypto")
    contract = json.loads((folder / "contract.json").read_text("utf-8"))
    (_sign if command == "sign" else _verify)(folder, contract)


def _sign(folder: Path, contract: dict[str, Any]) -> None:
    from jwcrypto import jwk, jws

    now = int(time.time())
    keys, samples = [], []
    for alg in contract["algorithms"]:
        kid = f"jwcrypto-{alg}"
        key, other = (jwk.JWK.generate(kid=kid, alg=alg, use="sig", **_SHAPES[alg]) for _ in range(2))
        keys.append(json.loads(key.export_public()))

        def token(changes: dict[str, Any], signer: Any, name: str, alg: str = alg) -> str:
            claims = {"iss": contract["their_iss"], "aud": contract["their_audience"], "iat": now,
                      "exp": now + contract["lifetime_s"], **changes}  # fmt: skip
            made = jws.JWS(json.dumps(claims))
            made.add_signature(signer, alg, json.dumps({"alg": alg, "kid": name}), None)
            return str(made.serialize(compact=True))

        good = token({}, key, kid)
        head, _, last = good.split(".")
        body = token({"sub": "admin"}, key, kid).split(".")[1]
        samples += [
            {"name": f"{name}-{alg}", "token": text, "expect": expect, "check_at": now}
            for name, text, expect in (
                ("valid", good, "accepted"),
                ("expired", token({"iat": now - 9000, "exp": now - 8000}, key, kid), "refused"),
                ("tampered", f"{head}.{body}.{last}", "refused"),
                ("wrong-key", token({}, other, kid), "refused"),
                ("unknown-kid", token({}, key, "never-published"), "refused"),
            )
        ]
    (folder / "theirs" / "jwks.json").write_text(json.dumps({"keys": keys}), "utf-8")
    (folder / "theirs" / "samples.json").write_text(json.dumps(samples), "utf-8")


def _verify(folder: Path, contract: dict[str, Any]) -> None:
    from jwcrypto import jwk, jws

    keys = jwk.JWKSet.from_json((folder / "ours" / "jwks.json").read_text("utf-8"))
    verdicts = {}
    for sample in json.loads((folder / "ours" / "samples.json").read_text("utf-8")):
        try:
            parsed = jws.JWS()
            parsed.allowed_algs = contract["algorithms"]
            parsed.deserialize(sample["token"])
            key = keys.get_key(json.loads(parsed.objects["protected"])["kid"])
            if key is None:
                raise ValueError("unknown kid")
            parsed.verify(key)
            _check_claims(json.loads(parsed.payload), contract, sample["check_at"])
            if sample["token"] != parsed.serialize(compact=True):
                raise ValueError("not the canonical form")  # jwcrypto reads padding and line breaks
            verdicts[sample["name"]] = "accepted"
        except Exception:  # any reason is a refusal
            verdicts[sample["name"]] = "refused"
    (folder / "theirs" / "verdicts.json").write_text(json.dumps(verdicts), "utf-8")


def _check_claims(claims: dict[str, Any], contract: dict[str, Any], now: int) -> None:
    """Check claims as a careful user of jwcrypto would."""
    if claims["iss"] != contract["our_iss"] or claims["aud"] != contract["our_audience"]:
        raise ValueError("iss or aud")
    if not now < claims["exp"] + contract["leeway_s"]:
        raise ValueError("expired")
