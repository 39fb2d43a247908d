"""A real OpenID provider: ES256 access tokens by client credentials, and rotations under load."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis_server import free_port

from rapidjws import Engine, Event, Issuer
from rapidjws.errors import RapidJWSError
from rapidjws.keys import RemoteJWKS, Transport, UnknownKids

HERE = Path(__file__).resolve().parent / "oidc"
AUDIENCE = "https://api.example"


def installed() -> Path:
    """Return a folder with the provider and its packages, made once; skip where npm cannot."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm absent: apt-get install nodejs npm")
    wanted = (HERE / "package.json").read_bytes()
    name = f"rapidjws-oidc-{hashlib.sha256(wanted).hexdigest()[:16]}"
    folder = Path(os.environ.get("RAPIDJWS_CACHE", tempfile.gettempdir())) / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_bytes(wanted)
    shutil.copy(HERE / "provider.mjs", folder)
    if not (folder / "node_modules/oidc-provider/package.json").exists():
        command = [npm, "install", "--no-audit", "--no-fund", "--silent", "--ignore-scripts"]
        made = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=240)
        if made.returncode:
            shutil.rmtree(folder / "node_modules", ignore_errors=True)
            pytest.skip("npm could not install oidc-provider")
    return folder


class Provider:
    """The running provider, and tokens of it.

    Args:
        folder: Where it is installed.
        own: Where its certificate goes.
    """

    def __init__(self, folder: Path, own: Path) -> None:
        trustme = pytest.importorskip("trustme", reason="trustme absent: pip install trustme")
        authority = trustme.CA()
        self.ca_pem: str = authority.cert_pem.bytes().decode()
        authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(own / "both.pem"))
        self._tls = ssl.create_default_context(cadata=self.ca_pem)
        port = free_port()
        self.iss = f"https://localhost:{port}"
        command = [str(shutil.which("node")), "provider.mjs", str(port), str(own / "both.pem")]
        self._process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self._say(None, "ready")

    def _say(self, line: str | None, expected: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if line is not None:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        while said := self._process.stdout.readline():
            if said.startswith(expected):
                return said
        raise AssertionError("the provider ended")

    def rotate(self, keep: int) -> int:
        """Sign with a new key; return how often the JWK Set was fetched before."""
        return int(self._say(f"rotate {keep}", "provider-").split()[1])

    def token(self) -> str:
        """Return a new access token."""
        form = {"grant_type": "client_credentials", "client_id": "gateway-test",
                "client_secret": "not-a-secret"}  # fmt: skip
        request = urllib.request.Request(f"{self.iss}/token", urllib.parse.urlencode(form).encode())
        with urllib.request.urlopen(request, context=self._tls, timeout=20) as answer:
            return str(json.load(answer)["access_token"])

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()


@pytest.fixture(name="provider")
def _provider(tmp_path: Path) -> Iterator[Provider]:
    provider = Provider(installed(), tmp_path)
    yield provider
    provider.close()


def test_rotation_of_a_real_provider_under_load(provider: Provider) -> None:
    """While threads verify, the provider rotates: no old token is refused, new ones are within moments."""
    events: list[Event] = []
    source = RemoteJWKS(
        f"{provider.iss}/jwks",
        transport=Transport(ca=provider.ca_pem, timeout_s=10),
        unknown_kids=UnknownKids(cooldown_s=0.5),
    )
    rules = Issuer(provider.iss, keys=source, algorithms=["ES256"], audience=AUDIENCE, typ="at+jwt")
    engine = Engine(rules, events=events.append)
    tokens = [provider.token() for _ in range(5)]
    assert engine.verify(tokens[0], wait_s=10).claims["client_id"] == "gateway-test"
    stop, refused, counts = threading.Event(), list[str](), [0, 0]

    def load(number: int) -> None:
        while not stop.is_set():
            for token in list(tokens):
                try:
                    engine.verify(token, wait_s=10)
                    counts[number] += 1
                except RapidJWSError as fault:
                    refused.append(fault.code)

    threads = [threading.Thread(target=load, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            time.sleep(0.7)
            provider.rotate(keep=4)
            tokens += [provider.token() for _ in range(3)]
    finally:
        time.sleep(1.0)
        stop.set()
        for thread in threads:
            thread.join()
    assert refused == []
    assert min(counts) > 100
    assert {event.kid for event in events if event.name == "rotation_lag"} == {
        f"provider-{number}" for number in (2, 3, 4)
    }
    fetches = provider.rotate(keep=0)
    assert fetches <= 1 + 3 + 1
    assert source.refresh()
    codes = set()
    for token in tokens:
        try:
            engine.verify(token)
        except RapidJWSError as fault:
            codes.add(fault.code)
    assert codes == {"unknown_kid"}
