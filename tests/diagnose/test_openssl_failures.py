"""The bundle's verify.sh where a tool fails, says nothing or is given a secret in another writing (S19)."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from broken_world import SECRET, b64, claims, dumps, header, hs_token, key, token

from rapidjws.diagnose.openssl_bundle import verify_script, write_bundle
from rapidjws.jose.jwks import JWKSet

OPENSSL = shutil.which("openssl")
pytestmark = pytest.mark.skipif(OPENSSL is None, reason="no openssl command")
TOOLS = ("openssl", "dirname", "cat", "mktemp")
FAILURES = {
    "fails": "exit 1",
    "fails_after_output": "echo 'Verified OK'; exit 1",
    "prints_nothing": "exit 0",
}
CALLS = 5
UNSIGNED = f"{b64(dumps(header('HS256', 'bank-hs')))}.{b64(dumps(claims()))}."


def run(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a bundle's script."""
    return subprocess.run(
        ["sh", str(folder / "verify.sh")], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip


def shim(folder: Path, tool: str, failure: str, call: int) -> str:
    """Put a tool before the real one that misbehaves at its n-th call (0: always); return the PATH."""
    folder.mkdir()
    count, real = folder / f"{tool}.count", shutil.which(tool)
    (folder / tool).write_text(
        f'#!/bin/sh\nn=0; [ -f "{count}" ] && read n <"{count}"\nn=$((n + 1)); echo $n >"{count}"\n'
        f'if [ {call} -eq 0 ] || [ $n -eq {call} ]; then {failure}; fi\nexec {real} "$@"\n',
        "utf-8",
    )
    (folder / tool).chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


@pytest.mark.parametrize("alg", ["HS256", "RS256", "PS256", "ES256", "EdDSA"])
def test_S19_no_tool_may_fail_unseen(alg: str, tmp_path: Path) -> None:
    """Whatever tool fails or says nothing, at whatever call, a bad signature is never called good.

    For a good one the script may say so only where the tool's misbehaviour did not matter.
    """
    public = key(alg).public() if alg != "HS256" else key(alg)
    good = hs_token(SECRET) if alg == "HS256" else token(alg)
    head, body, last = good.split(".")
    flipped = f"{head}.{body}.{'A' if last[0] != 'A' else 'B'}{last[1:]}"
    bad = flipped if alg != "HS256" else UNSIGNED
    write_bundle(good, JWKSet((public,)), tmp_path / "good", include_secret=True)
    write_bundle(bad, JWKSet((public,)), tmp_path / "bad", include_secret=True)
    assert run(tmp_path / "good").stdout.strip() == "Verified OK"
    calls = {"openssl": CALLS} if alg == "HS256" else {"openssl": 3}
    number = 0
    for tool in TOOLS if alg == "HS256" else TOOLS[:2]:
        for failure in FAILURES.values():
            for call in range(calls.get(tool, 1) + 1):
                number += 1
                path = shim(tmp_path / f"shim{number}", tool, failure, call)
                answer = run(tmp_path / "bad", PATH=path)
                assert "Verified OK" not in answer.stdout, (tool, failure, call)
                assert answer.returncode in (1, 2)
                if call == 0:
                    answer = run(tmp_path / "good", PATH=path)
                    assert (answer.returncode, answer.stdout) != (0, "Verified OK\n"), (tool, failure)


@pytest.mark.parametrize(
    "secret", [f"0x{SECRET.hex()}", b64(SECRET), SECRET.hex()[:-1], f"{SECRET.hex()} ", "zz", "$(id)"]
)
def test_S19_secret_in_another_writing(secret: str, tmp_path: Path) -> None:
    """A secret that is not plain hexadecimal stops the script, for a forged token and for a good one."""
    for name, made in (("forged", UNSIGNED), ("good", hs_token(SECRET))):
        write_bundle(made, key("HS256"), tmp_path / name)
        answer = run(tmp_path / name, RAPIDJWS_SECRET_HEX=secret)
        assert "Verified OK" not in answer.stdout
        assert answer.returncode == (1 if name == "forged" else 2), answer.stderr
        assert name == "forged" or "hexadecimal" in answer.stderr  # refused here, not by openssl


def test_S19_values_have_a_length(tmp_path: Path) -> None:
    """An absent, empty, short or long signature, or an absent key, is a failure, never an equality."""
    write_bundle(hs_token(SECRET), key("HS256"), tmp_path, include_secret=True)
    mac = (tmp_path / "signature.bin").read_bytes()
    for octets in (b"", mac[:-1], mac + b"\0", mac[:16]):
        (tmp_path / "signature.bin").write_bytes(octets)
        assert run(tmp_path).returncode == 1
    (tmp_path / "signature.bin").unlink()
    assert run(tmp_path).returncode == 2
    (tmp_path / "signature.bin").write_bytes(mac)
    assert run(tmp_path).returncode == 0
    (tmp_path / "signing_input").write_bytes(b"")
    assert run(tmp_path).returncode == 2


@pytest.mark.parametrize(("alg", "calls"), [("HS256", 4), ("RS256", 2), ("ES256", 2), ("EdDSA", 2)])
def test_S19_a_tool_that_did_its_work_and_failed(alg: str, calls: int, tmp_path: Path) -> None:
    """The exit status of each command counts, also where what it wrote is right."""
    public = key(alg).public() if alg != "HS256" else key(alg)
    good = hs_token(SECRET) if alg == "HS256" else token(alg)
    write_bundle(good, JWKSet((public,)), tmp_path / "good", include_secret=True)
    for call in range(1, calls + 1):
        path = shim(tmp_path / f"shim{call}", "openssl", f'{OPENSSL} "$@"; exit 1', call)
        answer = run(tmp_path / "good", PATH=path)
        assert "Verified OK" not in answer.stdout, call
        assert answer.returncode in (1, 2)
    path = shim(tmp_path / "late", "openssl", f'{OPENSSL} "$@"; exit 1', calls + 1)
    assert run(tmp_path / "good", PATH=path).stdout == "Verified OK\n"


@pytest.mark.parametrize("alg", ["RS256", "ES256"])
def test_S19_an_empty_signature_reaches_no_tool(alg: str, tmp_path: Path) -> None:
    """Even where openssl says yes to everything."""
    write_bundle(token(alg), JWKSet((key(alg).public(),)), tmp_path / "it")
    path = shim(tmp_path / "yes", "openssl", "echo 'Verified OK'; exit 0", 0)
    assert run(tmp_path / "it", PATH=path).returncode == 0
    for name in ("signature.bin", "signature.der"):
        if (tmp_path / "it" / name).exists():
            (tmp_path / "it" / name).write_bytes(b"")
    answer = run(tmp_path / "it", PATH=path)
    assert (answer.returncode, answer.stdout) == (1, "")


def test_S19_script_holds_nothing_foreign() -> None:
    """The script is the same for every token of an algorithm: no word of a stranger reaches a shell."""
    assert "44" in verify_script("HS256")
    assert "88" in verify_script("HS512")
    assert verify_script("ES256").count("openssl dgst") == 1
