"""JSON serializations against compact tokens, and streaming against the openssl program, on one file."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import ours
import pytest

from rapidjws import Verifier
from rapidjws._native import b64url_encode as b64u
from rapidjws.signing import LocalSigner, Signature, sign_compact, sign_general
from rapidjws.testing import make_key

SIGNATURES = 16
GENERAL_AT_MOST = 1.3
STREAM_AT_MOST = 1.1
PEAK_MIB_AT_MOST = 32
STREAM_MIB = int(os.environ.get("RAPIDJWS_STREAM_MIB", "1024"))
PAYLOAD = b'{"iss":"https://issuer.example","sub":"user-1","exp":1800000000,"scope":"' + b"read " * 40 + b'"}'

STREAMER = """
import sys, time
from rapidjws import JWK, Verifier
key, token, path = sys.argv[1:]
verifier = Verifier(JWK.from_pem(open(key, "rb").read()), algorithms=["RS256"], crit=["b64"])
peak = lambda: int(next(x for x in open("/proc/self/status") if x.startswith("VmHWM")).split()[1]) / 1024
before = peak()
start = time.process_time()
verifier.verify_detached(token, path)
print(time.process_time() - start, peak() - before)
"""


@pytest.mark.usefixtures("one_cpu")
@pytest.mark.parametrize("alg", ["HS256", "RS256", "ES256", "EdDSA"])
def test_general_json_against_compact_tokens(alg: str, benchmark: Any) -> None:
    """General JSON with 16 signatures takes at most 1.3 times as long as 16 compact tokens in verify_many."""
    keys = [make_key(alg, kid=f"k{number}") for number in range(SIGNATURES)]
    signers = [LocalSigner(key) for key in keys]
    public = keys if alg == "HS256" else [key.public() for key in keys]
    verifier = Verifier(public, algorithms=[alg])
    verifier.precompute()
    general = json.dumps(sign_general(PAYLOAD, [Signature(signer=one) for one in signers])).encode()
    tokens = [sign_compact(PAYLOAD, one).encode() for one in signers]
    assert verifier.verify(general).payload == PAYLOAD
    assert [one.payload for one in verifier.verify_many(tokens)] == [PAYLOAD] * SIGNATURES
    calls = [(lambda: verifier.verify(general), 1), (lambda: verifier.verify_many(tokens), 1)]
    json_ns, compact_ns = ours.best_ns(calls, 400)
    ratio = json_ns / compact_ns
    benchmark.extra_info.update(ratio=ratio, json_ns=json_ns, compact_ns=compact_ns)
    benchmark.pedantic(calls[0][0], rounds=3)
    assert ratio <= GENERAL_AT_MOST


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs the openssl program")
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory from /proc")
@pytest.mark.timeout(900)
def test_streaming_against_openssl(tmp_path: Path, benchmark: Any) -> None:
    """A large payload takes at most 1.1 times the CPU of `openssl dgst -verify`, and under 32 MiB."""
    payload, private, public = (tmp_path / name for name in ("payload", "private.pem", "public.pem"))
    block = os.urandom(1 << 20)
    with payload.open("wb") as file:
        for number in range(STREAM_MIB):
            file.write(number.to_bytes(4, "big") + block[4:])
    shell = ["openssl", "genrsa", "-out", str(private), "2048"]
    subprocess.run(shell, check=True, capture_output=True)
    subprocess.run(["openssl", "rsa", "-in", str(private), "-pubout", "-out", str(public)], check=True,
                   capture_output=True)  # fmt: skip
    prefix = b64u(b'{"alg":"RS256","b64":false,"crit":["b64"]}') + b"."
    signed = tmp_path / "signing-input"
    with signed.open("wb") as out, payload.open("rb") as file:
        out.write(prefix)
        shutil.copyfileobj(file, out, 1 << 20)
    raw = tmp_path / "signature"
    digest = ["openssl", "dgst", "-sha256"]
    subprocess.run([*digest, "-sign", str(private), "-out", str(raw), str(signed)], check=True)
    token = (prefix + b"." + b64u(raw.read_bytes())).decode()
    ours_s, theirs_s, peak = [], [], 0.0
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        check = [*digest, "-verify", str(public), "-signature", str(raw), str(signed)]
        subprocess.run(check, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        theirs_s.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        found = subprocess.run([sys.executable, "-c", STREAMER, str(public), token, str(payload)], check=True,
                               capture_output=True, text=True)  # fmt: skip
        took, grown = map(float, found.stdout.split())
        ours_s.append(took)
        peak = max(peak, grown)
    ratio = min(ours_s) / min(theirs_s)
    benchmark.extra_info.update(ratio=ratio, peak_mib=peak, mib=STREAM_MIB)
    benchmark.pedantic(lambda: None, rounds=1)
    assert ratio <= STREAM_AT_MOST
    assert peak < PEAK_MIB_AT_MOST
