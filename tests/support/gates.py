"""Real gateways and the sidecar, started for tests on free ports. What it never does: test."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

COMMAND = [sys.executable, "-c", "from rapidjws.cli import main; main()"]


def program(name: str) -> str:
    """Return a gateway's program, from RAPIDJWS_GATEWAYS (a folder) or the path; skip where it is absent."""
    folder = os.environ.get("RAPIDJWS_GATEWAYS")
    found = shutil.which(name, path=folder) if folder else None
    found = found or shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        pytest.skip(f"{name} absent: install it, or name its folder in RAPIDJWS_GATEWAYS")
    return found


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until a port answers; say so where its process ended."""
    end_s = time.monotonic() + 30
    while time.monotonic() < end_s:
        if process.poll() is not None:
            raise AssertionError(f"ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("never answered")


@contextmanager
def running(command: list[str], port: int, **named: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the end of a test."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **named)
    try:
        wait_for(port, process)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Service:
    """An API behind a gateway: it remembers the headers that reached it."""

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

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop."""
        self.server.shutdown()
        self.server.server_close()


def get(port: int, headers: list[tuple[str, str]], path: str = "/a") -> tuple[int, dict[str, str], bytes]:
    """Send one request and return status, headers and body."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        link.putrequest("GET", path)
        for name, value in headers:
            link.putheader(name, value)
        link.endheaders()
        answer = link.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        link.close()


def write_config(folder: Path, issuers: list[dict[str, Any]], **sections: Any) -> Path:
    """Write a configuration file."""
    path = folder / "rapidjws.json"
    path.write_text(json.dumps({"issuers": issuers, **sections}))
    return path


def envoy_config(port: int, service: int, sidecar: int) -> dict[str, Any]:
    """Return an Envoy configuration with ext_authz over HTTP in front of a service."""

    def cluster(name: str, target: int) -> dict[str, Any]:
        address = {"socket_address": {"address": "127.0.0.1", "port_value": target}}
        points = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
        return {"name": name, "type": "STATIC", "connect_timeout": "2s",
                "load_assignment": {"cluster_name": name, "endpoints": points}}  # fmt: skip

    authz = {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
        "failure_mode_allow": False,
        "status_on_error": {"code": "ServiceUnavailable"},
        "http_service": {
            "server_uri": {"uri": f"http://127.0.0.1:{sidecar}", "cluster": "sidecar", "timeout": "2s"},
            "path_prefix": "/verify",
            "authorization_request": {"allowed_headers": {"patterns": [{"exact": "x-partner"}]}},
            "authorization_response": {
                "allowed_upstream_headers": {"patterns": [{"prefix": "x-jws-"}]},
                "allowed_client_headers_on_success": {"patterns": [
                    {"exact": "warning"}, {"exact": "deprecation"}, {"exact": "sunset"}]},
                "allowed_client_headers": {"patterns": [
                    {"exact": "www-authenticate"}, {"exact": "retry-after"}, {"exact": "content-type"}]},
            },
        },
    }  # fmt: skip
    router = {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3"
        ".HttpConnectionManager",
        "stat_prefix": "in",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "route": {"cluster": "service"}}]}]},
        "http_filters": [{"name": "envoy.filters.http.ext_authz", "typed_config": authz},
                         {"name": "envoy.filters.http.router", "typed_config": router}],
    }  # fmt: skip
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    listener = {
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": filters}],
    }
    clusters = [cluster("service", service), cluster("sidecar", sidecar)]
    return {"static_resources": {"listeners": [listener], "clusters": clusters}}


def nginx_config(folder: Path, port: int, service: int, sidecar: int) -> str:
    """Return an nginx configuration with auth_request in front of a service."""
    trusted = ("status", "issuer", "subject", "scope", "kid", "partner")
    sets = "\n".join(f"auth_request_set $jws_{name} $upstream_http_x_jws_{name};" for name in trusted)
    hands = "\n".join(f"proxy_set_header X-JWS-{name.title()} $jws_{name};" for name in trusted)
    return f"""
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream sidecar {{ server 127.0.0.1:{sidecar}; keepalive 16; }}
  server {{
    listen 127.0.0.1:{port};
    location = /_verify {{
      internal;
      proxy_pass http://sidecar/verify;
      proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_pass_request_body off; proxy_set_header Content-Length "";
      proxy_set_header X-Original-URI $request_uri;
      proxy_set_header X-Partner "";
    }}
    location @outage {{ internal; add_header Retry-After 5 always; return 503; }}
    location / {{
      auth_request /_verify;
      {sets}
      auth_request_set $jws_warning $upstream_http_warning;
      add_header Warning $jws_warning;
      error_page 500 = @outage;
      proxy_pass http://127.0.0.1:{service};
      {hands}
    }}
  }}
}}
"""
