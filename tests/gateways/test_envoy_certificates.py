"""Tokens bound to client certificates behind a real Envoy and a real HAProxy that end TLS (RFC 8705)."""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import ssl
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from gates import Service, free_port, program, running, serving, token

pytest.importorskip("httptools", reason="the extra `server` is not installed")
pytest.importorskip("uvloop", reason="the extra `server` is not installed")
pytestmark = pytest.mark.gateways

HAPROXY = """
global
  maxconn 64
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend api
  bind 127.0.0.1:{port} ssl crt server.pem ca-file ca.pem verify optional
  http-request del-header ^x[-_]client[-_]cert$ -m reg
  http-request set-header X-Client-Cert %[ssl_c_der,base64] if {{ ssl_c_used }}
  http-request set-header X-Original-URI %[pathq]
  http-request set-path /verify
  default_backend sidecar
backend sidecar
  server one 127.0.0.1:{sidecar}
"""


def typed(name: str, **fields: Any) -> dict[str, Any]:
    """Return a message of one of Envoy's extensions."""
    return {"@type": f"type.googleapis.com/envoy.extensions.{name}", **fields}


def address(port: int) -> dict[str, Any]:
    """Return a port of this machine."""
    return {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}


def cluster(name: str, port: int) -> dict[str, Any]:
    """Return a cluster of one server."""
    endpoints = [{"lb_endpoints": [{"endpoint": address(port)}]}]
    return {
        "name": name,
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": name, "endpoints": endpoints},
    }


def manager(sidecar: int) -> dict[str, Any]:
    """Return the HTTP side: the certificate in XFCC, the sidecar asked over HTTP."""
    check = typed(
        "filters.http.ext_authz.v3.ExtAuthz",
        allowed_headers={"patterns": [{"exact": "x-forwarded-client-cert"}]},
        http_service={
            "server_uri": {"uri": f"http://127.0.0.1:{sidecar}", "cluster": "sidecar", "timeout": "20s"},
            "path_prefix": "/verify",
        },
    )
    route = {"match": {"prefix": "/"}, "route": {"cluster": "service"}}
    return typed(
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="api",
        forward_client_cert_details="SANITIZE_SET",
        set_current_client_cert_details={"cert": True, "subject": True, "uri": True, "dns": True},
        route_config={"virtual_hosts": [{"name": "api", "domains": ["*"], "routes": [route]}]},
        http_filters=[
            {"name": "envoy.filters.http.ext_authz", "typed_config": check},
            {"name": "envoy.filters.http.router", "typed_config": typed("filters.http.router.v3.Router")},
        ],
    )


def envoy(port: int, sidecar: int, service: int) -> dict[str, Any]:
    """Return a configuration of Envoy that ends TLS."""
    own = {"certificate_chain": {"filename": "server.pem"}, "private_key": {"filename": "server.pem"}}
    trusted = {"trusted_ca": {"filename": "ca.pem"}}
    tls = typed(
        "transport_sockets.tls.v3.DownstreamTlsContext",
        common_tls_context={"tls_certificates": [own], "validation_context": trusted},
    )
    http = {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager(sidecar)}
    chain = {
        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": tls},
        "filters": [http],
    }
    listener = {**address(port), "filter_chains": [chain]}
    clusters = [cluster("service", service), cluster("sidecar", sidecar)]
    return {"static_resources": {"listeners": [listener], "clusters": clusters}}


class Authority:
    """An authority that certifies whatever names it is given."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._sign("authority", self._key, [], is_authority=True)
        (folder / "ca.pem").write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def _sign(
        self, name: str, key: ec.EllipticCurvePrivateKey, uris: list[str], *, is_authority: bool = False
    ) -> x509.Certificate:
        begin = datetime.now(timezone.utc) - timedelta(hours=1)
        names = [x509.DNSName("localhost"), *map(x509.UniformResourceIdentifier, uris)]
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(begin + timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def issue(self, file: str, name: str, *uris: str) -> bytes:
        """Write a certificate and its key; return its DER."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = self._sign(name, key, list(uris))
        own = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        (self._folder / file).write_bytes(made.public_bytes(serialization.Encoding.PEM) + own)
        return made.public_bytes(serialization.Encoding.DER)


class Gate:
    """The gateway, and its clients' certificates."""

    def __init__(self, folder: Path, port: int, certificates: dict[str, bytes]) -> None:
        self.folder, self.port, self.certificates = folder, port, certificates

    def thumbprint(self, name: str) -> str:
        """Return x5t#S256 of a client's certificate."""
        digest = hashlib.sha256(self.certificates[name]).digest()
        return urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")

    def forged(self, name: str) -> list[list[tuple[str, str]]]:
        """Return headers by which somebody claims a client's certificate."""
        der = self.certificates[name]
        pem = quote(ssl.DER_cert_to_PEM_cert(der), safe="")
        element = f'Hash={hashlib.sha256(der).hexdigest()};Cert="{pem}";Subject="";URI='
        xfcc = "X-Forwarded-Client-Cert"
        return [
            [(xfcc, element)],
            [(xfcc, element), (xfcc, element)],
            [(xfcc.lower(), f"{element},{element}")],
            [("X_Forwarded_Client_Cert", element)],
            [("X-Client-Cert", b64encode(der).decode())],
            [("X_Client_Cert", b64encode(der).decode())],
            [("Client-Cert", f":{b64encode(der).decode()}:")],
        ]

    def status(self, bearer: str, client: str | None = None, headers: list[tuple[str, str]] = []) -> int:  # noqa: B006
        """Send a request over TLS; return its status."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.folder / "ca.pem")
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if client is not None:
            context.load_cert_chain(self.folder / f"{client}.pem")
        link = http.client.HTTPSConnection("localhost", self.port, context=context, timeout=60)
        plain = socket.create_connection(("127.0.0.1", self.port), 60)
        link.sock = context.wrap_socket(plain, server_hostname="localhost")
        try:
            link.putrequest("GET", "/orders")
            for name, value in [("Authorization", f"Bearer {bearer}"), *headers]:
                link.putheader(name, value)
            link.endheaders()
            answer = link.getresponse()
            answer.read()
            return answer.status
        finally:
            link.close()


@pytest.fixture(scope="module", params=["envoy", "haproxy"])
def gate(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    """Start a gateway that ends TLS, the sidecar and a service."""
    found = program(request.param)
    if found is None:
        pytest.skip(f"{request.param} absent: `make gateways` installs it where it can be had")
    folder, port, service = tmp_path_factory.mktemp(request.param), free_port(), Service()
    authority = Authority(folder)
    authority.issue("server.pem", "localhost")
    certificates = {name: authority.issue(f"{name}.pem", name) for name in ("ann", "eve")}
    ann = hashlib.sha256(certificates["ann"]).hexdigest()
    for name, uri in (
        ("pair", f"spiffe://a/b;Hash={ann}"),
        ("element", f"spiffe://a/b,Hash={ann}"),
        ("quote", f'spiffe://a/b";Hash={ann}'),
    ):
        certificates[name] = authority.issue(f"{name}.pem", name, uri)
    form = "xfcc" if request.param == "envoy" else "der"
    sections = {"mtls": {"form": form, "trusted_peers": ["127.0.0.1"]}}
    try:
        with serving(folder, sections, workers=1) as sidecar:
            if request.param == "envoy":
                (folder / "gate.json").write_text(json.dumps(envoy(port, sidecar.port, service.port)))
                options = ["--log-level", "error", "--concurrency", "1", "--disable-hot-restart"]
                command = [str(found), "-c", "gate.json", *options]
            else:
                (folder / "gate.cfg").write_text(HAPROXY.format(port=port, sidecar=sidecar.port))
                command = [str(found), "-f", "gate.cfg"]
            with running(command, port, cwd=folder):
                yield Gate(folder, port, certificates)
    finally:
        service.close()


def test_a_bound_token_needs_its_certificate(gate: Gate) -> None:
    """With another client's certificate, or none, a bound token is refused; a plain one is not."""
    bound = token(cnf={"x5t#S256": gate.thumbprint("ann")})
    assert gate.status(bound, "ann") == 200
    assert gate.status(bound, "eve") == 401
    assert gate.status(bound) == 401
    assert gate.status(token(), "eve") == 200


def test_a_header_of_the_client_is_no_certificate(gate: Gate) -> None:
    """What a client writes in any of the headers and spellings counts for nothing."""
    bound = token(cnf={"x5t#S256": gate.thumbprint("ann")})
    for headers in gate.forged("ann"):
        assert gate.status(bound, None, headers) in (400, 401), headers[0][0]
        assert gate.status(bound, "eve", headers) in (400, 401), headers[0][0]
    assert gate.status(bound, "ann", gate.forged("eve")[0]) == 200


def test_names_in_a_certificate_are_no_pairs_of_the_header(gate: Gate) -> None:
    """A certificate whose URI reads like another pair, or element, of the header is never the other."""
    bound = token(cnf={"x5t#S256": gate.thumbprint("ann")})
    for name in ("pair", "element", "quote"):
        assert gate.status(bound, name) in (400, 401), name
