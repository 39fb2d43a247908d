"""A real OpenID provider (npm's oidc-provider) in a process of its own, and tokens of it."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import shutil
import ssl
import subprocess
import tempfile
import urllib.request
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest
import trustme
from redis_server import free_port

HERE = Path(__file__).resolve().parent / "oidc"
AUDIENCE = "https://api.example"
CALLBACK = "https://client.example/cb"
STEPS_MAX = 12


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
    for name in ("provider.mjs", "client.mjs"):
        shutil.copy(HERE / name, folder)
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
        logout_url: Where it posts logout tokens of the client ``web``.
    """

    def __init__(self, folder: Path, own: Path, logout_url: str = "http://127.0.0.1:9/") -> None:
        authority = trustme.CA()
        self.ca_pem: str = authority.cert_pem.bytes().decode()
        authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(own / "both.pem"))
        self._tls = ssl.create_default_context(cadata=self.ca_pem)
        port = free_port()
        self.iss = f"https://localhost:{port}"
        command = [str(shutil.which("node")), "provider.mjs", str(port), str(own / "both.pem"), logout_url]
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

    def log_out(self, sub: str, sid: str) -> None:
        """Have it post a logout token to the client ``web``."""
        assert self._say(f"logout {sub} {sid}", "logout").strip() == "logout done"

    def _post_token(
        self, proof: str | None = None, certificate: str | None = None, **form: str
    ) -> dict[str, Any]:
        headers = {} if proof is None else {"DPoP": proof}
        headers |= {} if certificate is None else {"X-Client-Cert": quote(certificate, safe="")}
        request = urllib.request.Request(f"{self.iss}/token", urlencode(form).encode(), headers)
        with urllib.request.urlopen(request, context=self._tls, timeout=20) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def token(
        self, client: str = "gateway-test", proof: str | None = None, certificate: str | None = None
    ) -> str:
        """Return a new access token by client credentials; an opaque one for the client ``opaque``."""
        form = {"grant_type": "client_credentials", "client_id": client,
                "client_secret": "not-a-secret"}  # fmt: skip
        return str(self._post_token(proof, certificate, **form)["access_token"])

    def revoke(self, token: str, client: str = "opaque") -> None:
        """Have it revoke a token (RFC 7009)."""
        form = {"token": token, "client_id": client, "client_secret": "not-a-secret"}
        request = urllib.request.Request(f"{self.iss}/token/revocation", urlencode(form).encode())
        with urllib.request.urlopen(request, context=self._tls, timeout=20) as answer:
            assert answer.status == 200

    def sign_in(self, nonce: str) -> dict[str, Any]:
        """Return the answer of the token endpoint to the code of a user who signed in (RFC 6749 s.4.1)."""
        verifier = "v" * 43
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = {"client_id": "web", "response_type": "code", "redirect_uri": CALLBACK, "scope": "openid",
                 "nonce": nonce, "code_challenge": challenge, "code_challenge_method": "S256"}  # fmt: skip
        code = self._code_of(f"{self.iss}/auth?{urlencode(query)}")
        return self._post_token(
            grant_type="authorization_code", client_id="web", client_secret="not-a-secret", code=code,
            redirect_uri=CALLBACK, code_verifier=verifier,
        )  # fmt: skip

    def _code_of(self, address: str) -> str:
        """Follow the redirects of a browser, with its cookies, to the client's address."""
        cookies: dict[str, str] = {}
        for _ in range(STEPS_MAX):
            parts = urlsplit(address)
            if address.startswith(CALLBACK):
                return parse_qs(parts.query)["code"][0]
            connection = http.client.HTTPSConnection(parts.netloc, context=self._tls, timeout=20)
            sent = "; ".join(f"{name}={value}" for name, value in cookies.items())
            connection.request("GET", f"{parts.path}?{parts.query}", headers={"Cookie": sent} if sent else {})
            answer = connection.getresponse()
            for line in answer.headers.get_all("Set-Cookie") or ():
                cookies |= {name: one.value for name, one in SimpleCookie(line).items()}
            place, body = answer.headers["Location"], answer.read(2000)
            connection.close()
            assert place is not None, (answer.status, body)
            address = place if place.startswith("https://") else f"{self.iss}{place}"
        raise AssertionError("no end of redirects")

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()
