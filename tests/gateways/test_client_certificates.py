"""Rules, and tokens bound to client certificates, behind a real nginx that ends TLS."""

from __future__ import annotations

import hashlib
import http.client
import re
import socket
import ssl
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import trustme
from gates import Service, free_port, program, running, serving, token

pytest.importorskip("httptools", reason="the extra `server` is not installed")
pytest.importorskip("uvloop", reason="the extra `server` is not installed")
pytestmark = pytest.mark.gateways

NGINX = """
daemon off; master_process off; pid nginx.pid; error_log error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate server.pem; ssl_certificate_key server.pem;
    ssl_client_certificate ca.pem; ssl_verify_client optional;
    location = /_verify {{
      internal;
      proxy_pass http://127.0.0.1:{sidecar}/verify;
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
      proxy_set_header X-Original-URI $request_uri;
      proxy_set_header X-Forwarded-Uri "";
      proxy_set_header X-Original-Method $request_method;
      proxy_set_header X-Client-Cert $ssl_client_escaped_cert;
    }}
    location / {{
      auth_request /_verify;
      proxy_pass http://127.0.0.1:{service};
      proxy_set_header X-Client-Cert "";
    }}
  }}
}}
"""
SECTIONS = {
    "mtls": {"form": "pem", "trusted_peers": ["127.0.0.1"]},
    "authz": {
        "rules": [
            {"name": "tenant", "routes": ["/tenants/{t}"], "claim_equals": {"tid": "path.t"}},
            {"name": "pay", "routes": ["/tenants/{t}/pay"], "methods": ["POST"], "scopes": ["pay"]},
        ]
    },
}


class Gate:
    """The gateway, its service, and two clients' certificates."""

    def __init__(self, folder: Path, service: Service, port: int, authority: trustme.CA) -> None:
        self.folder, self.service, self.port, self.authority = folder, service, port, authority
        self.certificates = {name: authority.issue_cert(f"{name}.example") for name in ("ann", "eve")}
        self.contexts = {name: self._context(name) for name in (None, *self.certificates)}

    def _context(self, name: str | None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.authority.configure_trust(context)
        if name is not None:
            self.certificates[name].configure_cert(context)
        return context

    def thumbprint(self, name: str) -> str:
        """Return x5t#S256 of a client's certificate."""
        pem = self.certificates[name].cert_chain_pems[0].bytes().decode("ascii")
        digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).digest()
        return urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")

    def escaped(self, name: str) -> str:
        """Return a certificate as nginx would hand it on, for somebody who makes the header up."""
        return quote(self.certificates[name].cert_chain_pems[0].bytes().decode("ascii"), safe="")

    def status(
        self, bearer: str, path: str, method: str = "GET", client: str | None = None, **headers: str
    ) -> int:
        """Send a request over TLS; return its status."""
        context = self.contexts[client]
        link = http.client.HTTPSConnection("localhost", self.port, context=context, timeout=30)
        plain = socket.create_connection(("127.0.0.1", self.port), 30)
        link.sock = context.wrap_socket(plain, server_hostname="localhost")
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            link.request(method, path, headers={"Authorization": f"Bearer {bearer}", **named})
            answer = link.getresponse()
            answer.read()
            return answer.status
        finally:
            link.close()


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    """Start sidecar, service and nginx."""
    found = program("nginx")
    if found is None:
        pytest.skip("nginx absent: `make gateways` installs it where it can be had")
    folder, port, authority = tmp_path_factory.mktemp("mtls"), free_port(), trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    service = Service()
    try:
        with serving(folder, SECTIONS, method_header="X-Original-Method") as sidecar:
            text = NGINX.format(port=port, sidecar=sidecar.port, service=service.port)
            (folder / "nginx.conf").write_text(text, "utf-8")
            with running([str(found), "-p", str(folder), "-c", "nginx.conf"], port):
                yield Gate(folder, service, port, authority)
    finally:
        service.close()


def test_rules_hold_behind_nginx(gate: Gate) -> None:
    """Method and path are the client's, in whatever spelling, and not what it makes up in headers."""
    plain, paying = token(tid="acme"), token(tid="acme", scope="pay")
    assert gate.status(plain, "/tenants/acme/orders") == 200
    assert gate.status(plain, "/tenants/other/orders") == 403
    assert gate.status(plain, "/elsewhere") == 403
    assert gate.status(plain, "/tenants/acme/pay") == 200
    assert gate.status(plain, "/tenants/acme/pay", "POST") == 403
    assert gate.status(paying, "/tenants/acme/pay", "POST") == 200
    assert gate.status(plain, "/tenants/acme/pay", "POST", X_Original_Method="GET") == 403
    assert gate.status(plain, "/tenants/other", X_Original_URI="/tenants/acme") == 403
    for path in (
        "/tenants/acme/../other",
        "/tenants//acme",
        "/tenants/acme%2f..%2fother",
        "/tenants/acme/./x",
    ):
        assert gate.status(plain, path) == 403, path


def test_a_bound_token_needs_its_certificate_behind_nginx(gate: Gate) -> None:
    """Another client's certificate, none, or one that the client writes into the header itself is refused."""
    bound = token(tid="acme", cnf={"x5t#S256": gate.thumbprint("ann")})
    assert gate.status(bound, "/tenants/acme", client="ann") == 200
    assert gate.status(bound, "/tenants/acme", client="eve") == 401
    assert gate.status(bound, "/tenants/acme") == 401
    for name in ("X-Client-Cert", "x-client-cert", "X_Client_Cert"):
        forged = {name: gate.escaped("ann")}
        assert gate.status(bound, "/tenants/acme", **forged) == 401
        assert gate.status(bound, "/tenants/acme", client="eve", **forged) == 401
    assert gate.status(token(tid="acme"), "/tenants/acme", client="eve") == 200
    assert all(not re.search("client.cert", name) or not value
               for seen in gate.service.seen for name, value in seen.items())  # fmt: skip
