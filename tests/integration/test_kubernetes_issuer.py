"""A cluster's API server as an issuer: its own authority, a credential for its documents, discovery."""

from __future__ import annotations

import json
import re
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme
from doc_blocks import blocks_of
from issuers import code, now_s

from rapidjws import Engine, Issuer
from rapidjws.keys import Transport
from rapidjws.testing import FakeIssuer

PAGE = Path(__file__).resolve().parents[2] / "docs/providers/kubernetes.md"
FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"


class ApiServer:
    """An API server that shows its key set to who brings a token of the cluster.

    Args:
        folder: Where a pod's files go: ``ca.crt`` and ``token``.
    """

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.folder = folder
        self.accepted = "projected-1"
        self.seen: list[tuple[str, str | None]] = []
        authority.cert_pem.write_to_path(str(folder / "ca.crt"))
        (folder / "token").write_text(self.accepted)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        port = self._server.server_address[1]
        self.iss, self.address = f"https://localhost:{port}", f"https://127.0.0.1:{port}"
        self.signs = FakeIssuer(self.iss, "RS256", audience="orders-api", lifetime_s=3607)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        cluster = self

        class Handler(BaseHTTPRequestHandler):
            """The two documents; 401 without the credential, as without anonymous access."""

            def do_GET(self) -> None:
                credential = self.headers.get("Authorization")
                cluster.seen.append((self.path, credential))
                status, body = 401, b'{"kind":"Status","status":"Failure","reason":"Unauthorized","code":401}'
                if credential == f"Bearer {cluster.accepted}":
                    document = cluster.documents().get(self.path)
                    status, body = (404, b"") if document is None else (200, json.dumps(document).encode())
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *values: Any) -> None:
                """Print nothing."""

        return Handler

    def documents(self) -> dict[str, Any]:
        """Return what the server publishes, as Kubernetes writes it."""
        return {
            "/.well-known/openid-configuration": {
                "issuer": self.iss,
                "jwks_uri": f"{self.address}/openid/v1/jwks",
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
            },
            "/openid/v1/jwks": self.signs.jwks.as_dict(),
        }

    def token(self, namespace: str = "shop", **changes: Any) -> str:
        """Return a projected token of a pod."""
        now = now_s()
        claims = {
            "aud": ["orders-api"],
            "jti": "ea28ed49-2e11-4280-9ec5-bc3d1d84661a",
            "nbf": now,
            "sub": f"system:serviceaccount:{namespace}:web",
            "kubernetes.io": {
                "namespace": namespace,
                "node": {"name": "node-1", "uid": "646e7c5e-32d6-4d42-9dbd-e504e6cbe6b1"},
                "pod": {"name": "web-7d", "uid": "5e0bd49b-f040-43b0-99b7-22765a53f7f3"},
                "serviceaccount": {"name": "web", "uid": "14ee3fa4-a7e2-420f-9f9a-dbc4507c3798"},
                "warnafter": now + 3600,
            },
            **changes,
        }
        return self.signs.token(self.signs.claims(now, **claims))

    def close(self) -> None:
        """Stop it."""
        self._server.shutdown()
        self._thread.join(60)
        self._server.server_close()


@pytest.fixture(name="cluster")
def _cluster(tmp_path: Path) -> Iterator[ApiServer]:
    cluster = ApiServer(tmp_path)
    yield cluster
    cluster.close()


def issuer_of_the_page(cluster: ApiServer) -> Issuer:
    """Return the issuer that the page's lines make, with another folder and other addresses."""
    (text,) = (block.text for block in blocks_of(PAGE.read_text("utf-8")) if FOLDER in block.text)
    changes = {
        FOLDER: str(cluster.folder),
        "https://kubernetes.default.svc": cluster.iss,
        "https://10.0.0.1:6443": cluster.address,
    }
    for theirs, ours in changes.items():
        assert len(re.findall(re.escape(theirs), text)) == 1
        text = text.replace(theirs, ours)
    names: dict[str, Any] = {"Issuer": Issuer, "Transport": Transport}
    exec(text, names)
    made: Issuer = names["issuer"]
    return made


@pytest.mark.source_tree
def test_the_page_s_lines_verify_tokens_of_a_cluster(cluster: ApiServer) -> None:
    """Tokens of the namespace pass; others, another audience and a stranger's are refused."""
    engine = Engine(issuer_of_the_page(cluster), workers=1)
    engine.wait_ready(60)
    assert engine.verify(cluster.token()).claims["kubernetes.io"]["namespace"] == "shop"
    stranger = FakeIssuer(cluster.iss, "RS256", audience="orders-api")
    bad = {
        cluster.token("mail"): "claim_mismatch",
        cluster.token(aud=["https://kubernetes.default.svc"]): "audience_mismatch",
        cluster.token(exp=now_s() - 3600): "expired",
        cluster.token(iss=cluster.address): "issuer_mismatch",
        stranger.token(
            stranger.claims(now_s(), **{"kubernetes.io": {"namespace": "shop"}})
        ): "signature_invalid",
    }
    assert {token: code(engine, token) for token in bad} == bad
    assert {path for path, _ in cluster.seen} == set(cluster.documents())
    assert {credential for _, credential in cluster.seen} == {"Bearer projected-1"}


@pytest.mark.source_tree
def test_the_credential_is_read_again_once_the_cluster_renewed_it(cluster: ApiServer) -> None:
    """A token that is no longer accepted is an outage until the file holds the new one; keys stay in use."""
    issuer = issuer_of_the_page(cluster)
    engine = Engine(issuer, workers=1)
    engine.wait_ready(60)
    source: Any = issuer.keys
    cluster.accepted = "projected-2"
    assert not source.refresh()
    assert code(engine, cluster.token()) == "ok"
    (cluster.folder / "token").write_text("projected-2\n")
    assert source.refresh()
    assert cluster.seen[-1] == ("/openid/v1/jwks", "Bearer projected-2")
    assert code(engine, cluster.token()) == "ok"


def test_another_origin_than_those_named_gets_no_credential(cluster: ApiServer) -> None:
    """Without its origin on the list the key set is not asked for, and nobody gets the credential."""
    issuer = Issuer.discover(
        cluster.iss,
        audience="orders-api",
        transport=Transport(
            ca=str(cluster.folder / "ca.crt"), authorization_file=str(cluster.folder / "token")
        ),
    )
    engine = Engine(issuer, workers=1)
    source: Any = issuer.keys
    assert not source.refresh()
    assert code(engine, cluster.token()) == "keys_unavailable"
    assert "/openid/v1/jwks" not in {path for path, _ in cluster.seen}
