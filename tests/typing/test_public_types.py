"""The public face under mypy --strict, as a user's program would see it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import rapidjws

pytest.importorskip("mypy", reason="mypy is not installed (pip install --group lint)")

PROGRAM = """
from __future__ import annotations

import rapidjws
from rapidjws import JWK, Engine, Issuer, JWKSet, Rejected, VerifiedJWS, Verifier

key: JWK = JWK.from_json({"kty": "oct", "k": "A"})
keys: JWKSet = JWKSet.from_json(b"{}")
verifier = Verifier(keys, algorithms=["ES256"])
engine = Engine(Issuer("i", keys=key, algorithms=("ES256",), audience="a", leeway_s=5))
one: VerifiedJWS = engine.verify("a.b.c", 1.5)
payload: bytes = verifier.verify(b"a.b.c").payload
for result in engine.verify_many(["a", b"b", bytearray(b"c"), memoryview(b"d")]):
    if isinstance(result, VerifiedJWS):
        claims: dict[str, object] = result.claims
    else:
        refused: Rejected = result
        error: rapidjws.RapidJWSError = refused.error()
rapidjws.verify_raw("ES256", key, b"", b"")
"""
WRONG = (
    "Verifier(keys)",
    'Verifier(keys, ["ES256"])',
    "Verifier(keys, algorithms=[1])",
    "result = verifier.verify(1)",
    'engine.verify_many(["a"])[0].payload',
    'engine.verify("a").payload = b""',
    "VerifiedJWS(1)",
    'Issuer("i", key, ["ES256"])',
)


def check(text: str, tmp_path: Path) -> str:
    """Return what mypy --strict says of a program."""
    path = tmp_path / "program.py"
    path.write_text(text)
    source = Path(next(iter(rapidjws.__path__))).parent
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--follow-imports=silent", str(path)],
        cwd=tmp_path,
        env={"MYPYPATH": str(source), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


@pytest.mark.source_tree
def test_right_use_is_accepted(tmp_path: Path) -> None:
    """A program that uses the face rightly has no type error."""
    assert "Success" in check(PROGRAM, tmp_path)


@pytest.mark.source_tree
def test_wrong_use_is_found(tmp_path: Path) -> None:
    """Each wrong line has its error: lists left out, positional switches, payloads of what may be refused."""
    lines = PROGRAM.count("\n")
    found = check(PROGRAM + "\n".join(WRONG) + "\n", tmp_path)
    for number, line in enumerate(WRONG, lines + 1):
        assert f"program.py:{number}: error:" in found, f"{line}\n{found}"
