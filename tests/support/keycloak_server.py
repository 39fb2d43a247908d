"""A real Keycloak in a process of its own, fetched by Maven, and tokens of its realm ``shop``."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import trustme
from redis_server import free_port

VERSION = "26.4.0"
SHA256 = "1b6a11a2726ac8a8dc9c91d5fafe989a75ce4f1622d7f7b45c21d5bc16629c0a"
AUDIENCE = "orders-api"
WORD = "not-a-secret"
START_S = 540
_AUDIENCE_MAPPER = {
    "name": "orders",
    "protocol": "openid-connect",
    "protocolMapper": "oidc-audience-mapper",
    "config": {"included.custom.audience": AUDIENCE, "access.token.claim": "true"},
}


def installed() -> Path:
    """Return the unpacked distribution, fetched once.

    Raises:
        ValueError: It is not the one that is pinned.
        OSError: There is no Maven.
    """
    cache = Path(os.environ.get("RAPIDJWS_CACHE", tempfile.gettempdir())) / "rapidjws-keycloak"
    folder = cache / f"keycloak-{VERSION}"
    if not (folder / "bin" / "kc.sh").exists():
        artifact = f"org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"
        maven = ["mvn", "-q", "-B", "dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={cache}"]
        subprocess.run(maven, check=True, timeout=580)
        archive = cache / f"keycloak-quarkus-dist-{VERSION}.zip"
        if hashlib.sha256(archive.read_bytes()).hexdigest() != SHA256:
            raise ValueError("another distribution than the pinned one")
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(cache)
    return folder


def realm(logout_url: str) -> dict[str, Any]:
    """Return a realm with two clients and two users, one of whom has the role ``admin``."""

    def client(name: str, **more: Any) -> dict[str, Any]:
        return {"clientId": name, "secret": WORD, "directAccessGrantsEnabled": True,
                "protocolMappers": [_AUDIENCE_MAPPER], **more}  # fmt: skip

    def user(name: str, role: str) -> dict[str, Any]:
        return {"username": name, "enabled": True, "email": f"{name}@shop.example", "emailVerified": True,
                "firstName": name, "lastName": "Doe", "realmRoles": [role, "default-roles-shop"],
                "credentials": [{"type": "password", "value": WORD, "temporary": False}]}  # fmt: skip

    logout = {"backchannel.logout.url": logout_url, "backchannel.logout.session.required": "true"}
    return {
        "realm": "shop",
        "enabled": True,
        "roles": {"realm": [{"name": "admin"}, {"name": "clerk"}]},
        "clients": [client("web", attributes=logout), client("other")],
        "users": [user("jo", "admin"), user("al", "clerk")],
    }


class Keycloak:
    """The running server.

    Args:
        folder: Where it is installed.
        own: Where its certificate, realm and database go.
        logout_url: Where it posts logout tokens of the client ``web``.
    """

    def __init__(self, folder: Path, own: Path, logout_url: str) -> None:
        authority = trustme.CA()
        self.ca_pem: str = authority.cert_pem.bytes().decode()
        self._tls = ssl.create_default_context(cadata=self.ca_pem)
        made = authority.issue_cert("localhost")
        made.private_key_pem.write_to_path(str(own / "key.pem"))
        made.cert_chain_pems[0].write_to_path(str(own / "certificate.pem"))
        home = own / "keycloak"
        shutil.copytree(folder, home, symlinks=True)
        (home / "data" / "import").mkdir(parents=True)
        (home / "data" / "import" / "shop.json").write_text(json.dumps(realm(logout_url)))
        port = free_port()
        self.base = f"https://localhost:{port}"
        self.iss = f"{self.base}/realms/shop"
        settings = {"http-enabled": "false", "https-port": port, "http-host": "127.0.0.1",
                    "hostname": self.base, "https-certificate-file": own / "certificate.pem",
                    "https-certificate-key-file": own / "key.pem"}  # fmt: skip
        self._log = (own / "keycloak.log").open("wb")
        self._process = subprocess.Popen(
            [
                "sh",
                "bin/kc.sh",
                "start-dev",
                "--import-realm",
                *[f"--{name}={at}" for name, at in settings.items()],
            ],
            cwd=home,
            env={**os.environ, "KC_BOOTSTRAP_ADMIN_USERNAME": "root", "KC_BOOTSTRAP_ADMIN_PASSWORD": WORD},
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        end_s = time.monotonic() + START_S
        while not self._is_up():
            assert self._process.poll() is None, (own / "keycloak.log").read_text()[-4000:]
            assert time.monotonic() < end_s, "it did not start in time"
            time.sleep(1)

    def _is_up(self) -> bool:
        try:
            self._sent(f"{self.iss}/.well-known/openid-configuration")
        except (OSError, urllib.error.URLError):
            return False
        return True

    def _sent(self, url: str, body: bytes | None = None, **headers: str) -> Any:
        request = urllib.request.Request(url, body, headers)
        with urllib.request.urlopen(request, context=self._tls, timeout=60) as answer:
            octets = answer.read()
        return json.loads(octets) if octets else None

    def tokens(self, user: str, client: str = "web") -> dict[str, str]:
        """Return what the token endpoint answers to a user's password: access, ID and refresh token."""
        form = {"grant_type": "password", "client_id": client, "client_secret": WORD, "username": user,
                "password": WORD, "scope": "openid"}  # fmt: skip
        found: dict[str, str] = self._sent(
            f"{self.iss}/protocol/openid-connect/token", urlencode(form).encode()
        )
        return found

    def _administered(self, path: str, body: Any = None) -> Any:
        form = {"grant_type": "password", "client_id": "admin-cli", "username": "root", "password": WORD}
        url = f"{self.base}/realms/master/protocol/openid-connect/token"
        token = self._sent(url, urlencode(form).encode())["access_token"]
        octets = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return self._sent(f"{self.base}/admin/realms/shop{path}", octets, **headers)

    def rotate(self) -> None:
        """Sign with a new key from now on; the key of before stays published."""
        config = {"priority": ["200"], "enabled": ["true"], "active": ["true"], "algorithm": ["RS256"]}
        parent = self._administered("")["id"]
        self._administered("/components", {"name": "next", "providerId": "rsa-generated", "config": config,
                                           "providerType": "org.keycloak.keys.KeyProvider",
                                           "parentId": parent})  # fmt: skip

    def log_out(self, user: str) -> None:
        """End a user's sessions, whose clients get a logout token."""
        (found,) = self._administered(f"/users?username={user}&exact=true")
        self._administered(f"/users/{found['id']}/logout", {})

    def close(self) -> None:
        """End it, and every process that it started."""
        os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait(60)
        self._log.close()
