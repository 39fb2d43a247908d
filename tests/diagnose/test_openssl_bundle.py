"""The bundle's verify.sh, run with the real openssl: good tokens verify, bad ones do not."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from broken_world import SECRET, b64, claims, dumps, hs_token, key

from rapidjws.diagnose.openssl_bundle import SUPPORTED, write_bundle
from rapidjws.errors import RapidJWSError
from rapidjws.jose.jwks import JWKSet
from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.testing import make_key

OPENSSL = shutil.which("openssl")
pytestmark = pytest.mark.skipif(OPENSSL is None, reason="no openssl command")
CASES = [(alg, crv) for alg in SUPPORTED for crv in (("Ed25519", "Ed448") if alg == "EdDSA" else (None,))]


def openssl_version() -> tuple[int, int]:
    """Return the version of the openssl command."""
    text = subprocess.run([str(OPENSSL), "version"], capture_output=True, text=True, check=True).stdout
    match = re.search(r"OpenSSL (\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a bundle's script."""
    return subprocess.run(
        ["sh", str(folder / "verify.sh")], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(("alg", "crv"), CASES, ids=[f"{alg}-{crv}" if crv else alg for alg, crv in CASES])
def test_real_openssl_agrees(alg: str, crv: str | None, tmp_path: Path) -> None:
    """openssl says Verified OK for a good token, and fails for a changed payload, signature or key."""
    if alg.startswith("ML-DSA") and openssl_version() < (3, 5):
        pytest.skip("ML-DSA needs openssl 3.5")
    jwk, other = make_key(alg, kid="k", crv=crv), make_key(alg, kid="k", crv=crv)
    good = sign_compact(dumps(claims()), LocalSigner(jwk, alg))
    keys = JWKSet((jwk.public(),))
    write_bundle(good, keys, tmp_path / "good", include_secret=True)
    answer = run(tmp_path / "good")
    assert (answer.returncode, answer.stdout.strip()) == (0, "Verified OK"), answer.stderr
    head, _, last = good.split(".")
    flipped = last[:10] + ("A" if last[10] != "A" else "B") + last[11:]
    payload = good.split(".")[1]
    bad = {
        "payload": (f"{head}.{b64(dumps(claims(sub='admin')))}.{last}", keys),
        "signature": (f"{head}.{payload}.{flipped}", keys),
        "key": (good, JWKSet((other.public(),))),
    }
    for name, (token, used) in bad.items():
        write_bundle(token, used, tmp_path / name, include_secret=True)
        answer = run(tmp_path / name)
        assert answer.returncode == 1, (name, answer.stdout, answer.stderr)
        assert "Verified OK" not in answer.stdout


def test_secret_stays_out(tmp_path: Path) -> None:
    """An HMAC secret is written only where it is asked for, and for its owner alone."""
    token = hs_token(SECRET)
    write_bundle(token, key("HS256"), tmp_path / "without")
    assert not any(SECRET.hex().encode() in path.read_bytes() for path in (tmp_path / "without").iterdir())
    assert run(tmp_path / "without").returncode == 2
    write_bundle(token, key("HS256"), tmp_path / "with", include_secret=True)
    assert (tmp_path / "with" / "secret.hex").stat().st_mode & 0o077 == 0
    assert run(tmp_path / "with").returncode == 0


def test_detached_body(tmp_path: Path) -> None:
    """A detached token verifies with its body, encoded or not."""
    jwk = make_key("ES256", kid="k")
    for b64_on in (True, False):
        token = sign_compact(b"body.with.dots", LocalSigner(jwk), detached=True, b64=b64_on)
        write_bundle(token, JWKSet((jwk.public(),)), tmp_path / str(b64_on), body=b"body.with.dots")
        assert run(tmp_path / str(b64_on)).returncode == 0


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("a.b", "malformed_token"),
        ("a=.b.c", "malformed_base64url"),
        ("AAAA.e30.AAAA", "malformed_header"),
        ("eyJhbGciOiJub25lIn0.e30.AAAA", "unsupported_algorithm"),
        ("eyJhbGciOiJFUzI1NiIsImtpZCI6IngifQ.e30.AAAA", "unknown_kid"),
    ],
)
def test_refusals(token: str, code: str, tmp_path: Path) -> None:
    """What cannot be laid out is refused with its code."""
    with pytest.raises(RapidJWSError) as refused:
        write_bundle(token, JWKSet((key("ES256").public(),)), tmp_path)
    assert refused.value.code == code
