"""Put a real gateway in front of a service, with the sidecar deciding, and send it tokens of every kind.

    python examples/gateway.py nginx        # or envoy, envoy-grpc, haproxy, traefik, caddy

The gateway's program is looked for in RAPIDJWS_GATEWAYS (a folder), in build/gateways (`make gateways`) and
on the path. Ends with 0 when every token got the status that it should.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from rapidjws.testing import FakeIssuer

HERE = Path(__file__).resolve().parent
COMMAND = [sys.executable, "-c", "from rapidjws.cli import main; main()"]
AUDIENCE = "https://api.example"
WAIT_S = 60.0
LISTEN, SIDECAR, SIDECAR_GRPC, SERVICE = (
    "127.0.0.1:8080",
    "127.0.0.1:8088",
    "127.0.0.1:8089",
    "127.0.0.1:9000",
)


@dataclass(frozen=True)
class Gateway:
    """A gateway's program, its files and the arguments it is started with."""

    program: str
    files: tuple[str, ...]
    arguments: tuple[str, ...]


ENVOY = ("--log-level", "error", "--concurrency", "1", "--disable-hot-restart")
GATEWAYS = {
    "nginx": Gateway("nginx", ("nginx/nginx.conf",), ("-p", ".", "-c", "nginx.conf")),
    "envoy": Gateway("envoy", ("envoy/envoy-http.yaml",), ("-c", "envoy-http.yaml", *ENVOY)),
    "envoy-grpc": Gateway("envoy", ("envoy/envoy-grpc.yaml",), ("-c", "envoy-grpc.yaml", *ENVOY)),
    "haproxy": Gateway("haproxy", ("haproxy/haproxy.cfg", "haproxy/rapidjws.lua"), ("-f", "haproxy.cfg")),
    "traefik": Gateway(
        "traefik", ("traefik/traefik.yml", "traefik/routes.yml"), ("--configFile=traefik.yml",)
    ),
    "caddy": Gateway(
        "caddy", ("caddy/Caddyfile",), ("run", "--config", "Caddyfile", "--adapter", "caddyfile")
    ),
}


def program(name: str) -> str | None:
    """Return the path of a gateway's program, or None where it is absent."""
    folders = [os.environ.get("RAPIDJWS_GATEWAYS", ""), str(HERE.parent / "build" / "gateways" / "bin")]
    paths = [*filter(None, folders), os.environ.get("PATH", ""), "/usr/sbin"]
    return shutil.which(name, path=os.pathsep.join(paths))


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def connected(target: int | Path) -> socket.socket:
    """Return a connection to a port of this machine, or to a Unix socket."""
    if isinstance(target, int):
        return socket.create_connection(("127.0.0.1", target), 20)
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        link.settimeout(20)
        link.connect(str(target))
    except OSError:
        link.close()
        raise
    return link


def wait_for(target: int | Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until a port or Unix socket answers; say so where its process ended."""
    end_s = time.monotonic() + WAIT_S
    while time.monotonic() < end_s:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args[0]} ended with {process.returncode}")
        try:
            connected(target).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"{process.args[0]} never answered")


@contextlib.contextmanager
def running(command: list[str], target: int | Path, **named: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the end of the block."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **named)
    try:
        wait_for(target, process)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def gateway(
    name: str, folder: Path, *, service: int, sidecar: str, grpc: int = 0, prefix: tuple[str, ...] = ()
) -> Iterator[int]:
    """Run a gateway with its example's configuration on other ports, and give the one it listens on.

    Args:
        name: One of GATEWAYS.
        folder: Where it may write.
        service: The port of the service behind it.
        sidecar: The address of the sidecar: ``host:port``, or for nginx ``unix:/path``.
        grpc: The port of the sidecar's gRPC, for envoy-grpc.
        prefix: What stands before the program: a command that runs it in its place.
    """
    found = GATEWAYS[name]
    path, port = program(found.program), free_port()
    if path is None:
        raise FileNotFoundError(found.program)
    changes = [(LISTEN, f"127.0.0.1:{port}"), (SERVICE, f"127.0.0.1:{service}"), (SIDECAR, sidecar)]
    changes.append((":8080 {", f":{port} {{"))
    for old, new in (
        (LISTEN, port),
        (SERVICE, service),
        (SIDECAR, sidecar.rpartition(":")[2]),
        (SIDECAR_GRPC, grpc),
    ):
        changes.append((f"port_value: {old.rpartition(':')[2]} ", f"port_value: {new} "))
    for file in found.files:
        text = (HERE / file).read_text("utf-8")
        for old, new in changes:
            text = text.replace(old, new)
        (folder / Path(file).name).write_text(text, "utf-8")
    homes = {"XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with running([*prefix, path, *found.arguments], port, cwd=folder, env={**os.environ, **homes}) as process:
        (folder / "gateway.pid").write_text(str(process.pid))
        end_s = time.monotonic() + WAIT_S
        while get(port, [])[0] == 404 and time.monotonic() < end_s:  # Traefik listens before it has routes
            time.sleep(0.05)
        yield port


class Service:
    """An API behind a gateway, which remembers the headers that reached it."""

    def __init__(self) -> None:
        self.seen: list[dict[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.seen.append({name.lower(): value for name, value in self.headers.items()})
                self.send_response(200)
                self.send_header("Content-Length", "4")
                self.end_headers()
                self.wfile.write(b"fine")

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", "0")))
                self.do_GET()

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # a gateway that hangs up is no news
        self.port = int(self.server.server_address[1])
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop."""
        self.server.shutdown()
        self.server.server_close()


def get(
    target: int | Path, headers: list[tuple[str, str]], path: str = "/a"
) -> tuple[int, dict[str, str], bytes]:
    """Send one request and return status, headers and body."""
    link = http.client.HTTPConnection("localhost", timeout=20)
    try:
        link.sock = connected(target)
        link.putrequest("GET", path)
        for name, value in headers:
            link.putheader(name, value)
        link.endheaders()
        answer = link.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        link.close()


def bearer(token: str) -> list[tuple[str, str]]:
    """Return the header that carries a token."""
    return [("Authorization", f"Bearer {token}")]


def cases(shop: FakeIssuer, down: FakeIssuer) -> list[tuple[str, list[tuple[str, str]], int]]:
    """Return requests with the status that each must get; the keys of ``down`` cannot be had."""

    def token(of: FakeIssuer = shop, header: dict[str, Any] | None = None, **changes: Any) -> str:
        return of.token(of.claims(int(time.time()), **changes), header=header)

    forged = token(sub="ann").rpartition(".")[0] + "." + token(sub="eve").rpartition(".")[2]
    return [
        ("good", bearer(token(sub="ann")), 200),
        ("forged", bearer(forged), 401),
        ("expired", bearer(token(exp=1_700_000_000)), 401),
        ("missing", [], 401),
        ("unknown kid", bearer(token(header={"kid": "made-up"})), 401),
        ("outage", bearer(token(down)), 503),
    ]


@contextlib.contextmanager
def sidecar(
    folder: Path, shop: FakeIssuer, down: FakeIssuer, **server: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """Run the sidecar for two issuers, the second of which cannot be reached, until it is ready."""
    (folder / "jwks.json").write_text(json.dumps({"keys": [key.as_dict() for key in shop.jwks.keys]}))
    gone = f"https://127.0.0.1:{free_port()}/jwks.json"
    both = {"algorithms": ["ES256"], "audience": AUDIENCE}
    issuers = [
        {"iss": shop.iss, "jwks_file": "jwks.json", **both},
        {"iss": down.iss, "jwks_url": gone, "required": False, **both},
    ]
    config = {"issuers": issuers, "rollout": {"phase": "enforcement"}, "server": server}
    (folder / "rapidjws.json").write_text(json.dumps(config))
    port = int(server["listen"].rpartition(":")[2])
    with running([*COMMAND, "serve", "--config", str(folder / "rapidjws.json")], port) as process:
        end_s = time.monotonic() + WAIT_S
        while get(port, [], "/readyz")[0] != 200 and time.monotonic() < end_s:
            time.sleep(0.1)
        yield process


def main(name: str) -> int:
    """Run one gateway and print what each request got; return 0 where all is as it should be."""
    shop = FakeIssuer("https://shop.example", "ES256", audience=AUDIENCE)
    down = FakeIssuer("https://down.example", "ES256", audience=AUDIENCE)
    listen, grpc = f"127.0.0.1:{free_port()}", free_port()
    service = Service()
    wrong = 0
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        server = (
            {"listen": listen, "grpc_listen": f"127.0.0.1:{grpc}"}
            if name == "envoy-grpc"
            else {"listen": listen}
        )
        with (
            sidecar(folder, shop, down, **server),
            gateway(name, folder, service=service.port, sidecar=listen, grpc=grpc) as port,
        ):
            for what, headers, expected in cases(shop, down):
                status = get(port, headers)[0]
                wrong += status != expected
                print(f"{what:12} {status} {'' if status == expected else f'expected {expected}'}")
    service.close()
    print(f"the service saw {len(service.seen)} request, of {service.seen[0]['x-jws-subject']}")
    return int(bool(wrong) or len(service.seen) != 1)


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in GATEWAYS:
        sys.exit(f"usage: python examples/gateway.py {'|'.join(GATEWAYS)}")
    sys.exit(main(sys.argv[1]))
