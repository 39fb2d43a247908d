"""An issuer, a Redis and consumers of its tokens as processes, for scenarios and benchmarks."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlencode

sys.path[:0] = [str(Path(__file__).resolve().parents[2])]

from gateway import COMMAND, ENVOY, free_port, program, running  # noqa: E402

ISS: Final = "https://issuer.example"
AUDIENCE: Final = "https://orders.example"
CLIENT_SECRET: Final = "scenario-client-secret-0123456789abcdef"
JWKS_PATH: Final = "/.well-known/jwks.json"
ROOT: Final = Path(__file__).resolve().parents[3]
WAIT_S: Final = 60.0


def until(condition: Any, what: str) -> Any:
    """Wait until a condition holds, and return what it gave."""
    end_s = time.monotonic() + WAIT_S
    while not (found := condition()):
        if time.monotonic() > end_s:
            raise RuntimeError(what)
        time.sleep(0.01)
    return found


def decoded(token: str) -> bytes:
    """Return the protected header of a token."""
    head = token.partition(".")[0]
    return base64.urlsafe_b64decode(head + "=" * (-len(head) % 4))


def with_kid(header: str, kid: str) -> str:
    """Return a protected header with another kid."""
    members = json.loads(decoded(header))
    return base64.urlsafe_b64encode(json.dumps({**members, "kid": kid}).encode()).decode().rstrip("=")


class Issuer:
    """A ``rapidjws issue serve`` in a process of its own.

    Args:
        folder: Its folder.
        settings: Lines of the table ``issuing`` beside the issuer.
        port: Where it listens.
        environment: Further variables.
    """

    def __init__(self, folder: Path, settings: str, port: int, environment: dict[str, str]) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "keys").mkdir(exist_ok=True)
        secret = folder / "client.secret"
        secret.touch(mode=0o600)
        secret.write_text(CLIENT_SECRET)
        self.config = folder / "issuing.toml"
        self.port = port
        self.metrics_port = free_port()
        self.config.write_text(
            f'[issuing]\nissuer = "{ISS}"\n{settings}'
            f'[publication]\nlisten = "127.0.0.1:{port}"\ntick_s = 0.05\n'
            f'metrics_listen = "127.0.0.1:{self.metrics_port}"\n'
            "[token]\nlifetime_s = 60\ninsecure_allow_basic = true\n"
            '[[clients]]\nclient_id = "orders"\nauthentication = "client_secret_basic"\n'
            f'secret_file = "client.secret"\naudiences = ["{AUDIENCE}"]\n'
        )
        self.clock_off_s = 0.0
        self._environment = {**os.environ, **environment}
        self._log = (folder / "issuer.log").open("ab")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, is_publishing: bool = True) -> None:
        """Start, and wait until it answers; one whose clock is wrong publishes nothing."""
        program = [*COMMAND]
        if self.clock_off_s:
            set_clock = f"import time; now = time.time; time.time = lambda: now() + {self.clock_off_s}; "
            program[-1] = set_clock + program[-1]
        command = [*program, "issue", "serve", "--config", str(self.config)]
        self.process = subprocess.Popen(command, stdout=self._log, stderr=self._log, env=self._environment)
        if is_publishing and not self.clock_off_s:
            until(self.keys, "the issuer never answered")

    def keys(self) -> list[dict[str, Any]] | None:
        """Return the published keys, or None while it does not answer."""
        try:
            url = f"http://127.0.0.1:{self.port}{JWKS_PATH}"
            with urllib.request.urlopen(url, timeout=5) as answered:
                found: list[dict[str, Any]] = json.load(answered)["keys"]
                return found
        except (OSError, http.client.HTTPException):
            if self.process is not None and self.process.poll() is not None:
                raise RuntimeError(f"the issuer ended: see {self._log.name}") from None
            return None

    def token(self) -> str | None:
        """Return a fresh token, or None where it gives none."""
        body = urlencode({"grant_type": "client_credentials"}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/token", body)
        basic = base64.b64encode(f"orders:{CLIENT_SECRET}".encode()).decode()
        request.add_header("Authorization", f"Basic {basic}")
        try:
            with urllib.request.urlopen(request, timeout=5) as answered:
                return str(json.load(answered)["access_token"])
        except (OSError, http.client.HTTPException):
            return None

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def pause(self) -> None:
        """Stop it where it stands: it keeps its connections, and answers nobody."""
        if self.process is not None:
            self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            self.go_on()
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        self._log.close()


class Consumer(Protocol):
    """Who verifies tokens of the issuer.

    Attributes:
        name: What it is called.
        why: What it answered to the last token that it did not accept.
    """

    name: str
    why: str

    def accepts(self, token: str) -> bool:
        """Say whether a token is accepted."""


class HttpConsumer:
    """A consumer that answers over HTTP: a sidecar, or Envoy.

    Args:
        name: What it is called.
        port: Its port.
        path: What is asked for.
    """

    def __init__(self, name: str, port: int, path: str = "/") -> None:
        self.name, self.port, self.path = name, port, path
        self.why = ""
        self._local = threading.local()

    def accepts(self, token: str) -> bool:
        """Say whether a token is accepted; other answers than yes and no are errors."""
        for again in (True, False):
            link = getattr(self._local, "link", None)
            if link is None:
                link = self._local.link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
            try:
                link.request("GET", self.path, headers={"authorization": f"Bearer {token}"})
                answered = link.getresponse()
                body = answered.read(200)
                answered.read()
            except (OSError, http.client.HTTPException):
                link.close()
                self._local.link = None
                if not again:
                    raise
                continue
            self.why = f"{answered.status} {body.decode(errors='replace')}"
            return answered.status == 200
        return False


class PyJwtConsumer:
    """PyJWT with its PyJWKClient.

    Args:
        url: The JWK Set's.
        max_age_s: How long it keeps a set.
    """

    name = "PyJWKClient"
    why = ""

    def __init__(self, url: str, max_age_s: float) -> None:
        import jwt

        self._jwt = jwt
        self._client = jwt.PyJWKClient(url, lifespan=max_age_s, cache_keys=False)
        self._lock = threading.Lock()

    def accepts(self, token: str) -> bool:
        """Say whether a token is accepted."""
        try:
            with self._lock:
                key = self._client.get_signing_key_from_jwt(token).key
            self._jwt.decode(token, key, algorithms=["ES256"], audience=AUDIENCE, issuer=ISS, leeway=60)
        except self._jwt.PyJWTError as fault:
            self.why = type(fault).__name__
            return False
        return True


_NODE: Final = """
import { createRemoteJWKSet, jwtVerify } from "jose";
import { createInterface } from "node:readline";
const [url, maxAge, audience, issuer] = process.argv.slice(2);
const keys = createRemoteJWKSet(new URL(url), { cacheMaxAge: Number(maxAge), cooldownDuration: 1000 });
for await (const token of createInterface({ input: process.stdin })) {
  let answer = "yes";
  try { await jwtVerify(token, keys, { audience, issuer, algorithms: ["ES256"], clockTolerance: 60 }); }
  catch (fault) { answer = "no " + fault.code; }
  process.stdout.write(answer + "\\n");
}
"""


class JoseConsumer:
    """Node's jose with its createRemoteJWKSet, in a process of its own.

    Args:
        url: The JWK Set's.
        max_age_s: How long it keeps a set.
        folder: Where its program is written; ``jose`` is looked for in build/partners/node.
    """

    name = "Node jose"
    why = ""

    def __init__(self, url: str, max_age_s: float, folder: Path) -> None:
        link = folder / "node_modules"
        if not link.exists():
            link.symlink_to(ROOT / "build" / "partners" / "node" / "node_modules")
        script = folder / "consumer.mjs"
        script.write_text(_NODE)
        command = ["node", str(script), url, str(int(max_age_s * 1000)), AUDIENCE, ISS]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self._lock = threading.Lock()

    def accepts(self, token: str) -> bool:
        """Say whether a token is accepted."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(f"{token}\n")
            self._process.stdin.flush()
            self.why = self._process.stdout.readline().rstrip("\n")
        return self.why == "yes"

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        for one in (self._process.stdin, self._process.stdout):
            if one is not None:
                one.close()


@contextlib.contextmanager
def redis(folder: Path) -> Iterator[str]:
    """Run a Redis, and give its URL."""
    found = shutil.which("redis-server")
    if found is None:
        raise RuntimeError("redis-server absent: apt-get install redis-server")
    port = free_port()
    command = [found, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with running(command, port, stdout=subprocess.DEVNULL):
        yield f"redis://127.0.0.1:{port}/0"


@contextlib.contextmanager
def sidecar(
    folder: Path,
    url: str,
    redis_url: str | None,
    secret: Path | None = None,
    *,
    port: int | None = None,
    settings: dict[str, Any] | None = None,
) -> Iterator[int]:
    """Run a ``rapidjws serve`` that fetches the issuer's keys, and give its port.

    Args:
        folder: For its files.
        url: The JWK Set's.
        redis_url: Redis with revocations and announcements, or None.
        secret: File with the secret of its hook, or None.
        port: Its port, or None for a free one.
        settings: Further ones of the issuer.
    """
    folder.mkdir(exist_ok=True)
    port = port or free_port()
    issuer = {"iss": ISS, "jwks_url": url, "insecure_allow_http": True, "algorithms": ["ES256"],
              "audience": AUDIENCE, "min_ttl_s": 0.5, "leeway_s": 60, **(settings or {})}  # fmt: skip
    server: dict[str, Any] = {"listen": f"127.0.0.1:{port}", "workers": 1, "drain_s": 1.0}
    if secret is not None:
        server["hook_secret_file"] = str(secret)
    sections: dict[str, Any] = {
        "issuers": [issuer],
        "rollout": {"state": "state", "phase": "enforcement"},
        "partners": [{"name": "orders", "issuers": [ISS]}],
        "server": server,
    }
    if redis_url is not None:
        sections["revocations"] = {"redis": redis_url}
    path = folder / "rapidjws.json"
    path.write_text(json.dumps(sections))
    with (folder / "sidecar.log").open("ab") as log:
        command = [*COMMAND, "serve", "--config", str(path)]
        with running(command, port, stdout=log, stderr=log):
            yield port


@contextlib.contextmanager
def envoy(folder: Path, jwks_port: int, max_age_s: float) -> Iterator[int]:
    """Run an Envoy with jwt_authn and the issuer's JWK Set, and give its port."""
    found = program("envoy")
    if found is None:
        raise RuntimeError("envoy absent: make gateways")
    port = free_port()
    at = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": jwks_port}}}
    uri = f"http://127.0.0.1:{jwks_port}{JWKS_PATH}"
    provider = {
        "issuer": ISS,
        "audiences": [AUDIENCE],
        "clock_skew_seconds": 60,
        "remote_jwks": {
            "http_uri": {"uri": uri, "cluster": "issuer", "timeout": "5s"},
            "cache_duration": f"{max_age_s:g}s",
            "retry_policy": {"num_retries": 2},
        },
    }  # fmt: skip
    kind = "type.googleapis.com/envoy.extensions.filters"
    filters = [
        {"name": "jwt", "typed_config": {
            "@type": f"{kind}.http.jwt_authn.v3.JwtAuthentication", "providers": {"p": provider},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "p"}}]}},
        {"name": "router", "typed_config": {"@type": f"{kind}.http.router.v3.Router"}},
    ]  # fmt: skip
    manager = {
        "@type": f"{kind}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "api",
        "http_filters": filters,
        "route_config": {"virtual_hosts": [{"name": "api", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "direct_response": {"status": 200}}]}]},
    }  # fmt: skip
    listener = {
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    cluster = {"name": "issuer", "connect_timeout": "2s", "load_assignment": {
        "cluster_name": "issuer", "endpoints": [{"lb_endpoints": [{"endpoint": at}]}]}}  # fmt: skip
    path = folder / "envoy.json"
    path.write_text(json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}}))
    command = [found, "-c", str(path), *ENVOY]
    with (folder / "envoy.log").open("ab") as log, running(command, port, stdout=log, stderr=log):
        yield port
