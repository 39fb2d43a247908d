"""A time stamp authority of its own root: ``openssl ts`` behind HTTP."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CONFIG = """
[tsa]
default_tsa = one
[one]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
certs = {folder}/root.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256
accuracy = secs:1
ess_cert_id_alg = sha256
"""


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Authority:
    """A root, a certificate for time stamps under it, and the answers of ``openssl ts -reply``.

    Args:
        folder: For its files.
        usage: What the certificate is for.
        days: How long the certificate is valid, counted from two days ago.
    """

    def __init__(
        self, folder: Path, *, usage: Any = ExtendedKeyUsageOID.TIME_STAMPING, days: float = 400
    ) -> None:
        folder.mkdir()
        self.folder = folder
        start = datetime.now(timezone.utc) - timedelta(days=2)
        root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))

        def made(subject: str, public: Any, end: datetime) -> x509.CertificateBuilder:
            builder = x509.CertificateBuilder().subject_name(_name(subject)).issuer_name(_name("Root"))
            builder = builder.public_key(public).serial_number(x509.random_serial_number())
            return builder.not_valid_before(start).not_valid_after(end)

        root = made("Root", root_key.public_key(), start + timedelta(days=4000))
        root = root.add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        end = start + timedelta(days=days)
        leaf = made("Stamps", key.public_key(), end).add_extension(
            x509.BasicConstraints(ca=False, path_length=None), critical=True
        )
        leaf = leaf.add_extension(x509.ExtendedKeyUsage([usage]), critical=True)
        pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
        self.roots = folder / "root.pem"
        self.roots.write_bytes(root.sign(root_key, hashes.SHA256()).public_bytes(pem))
        (folder / "tsa.pem").write_bytes(leaf.sign(root_key, hashes.SHA256()).public_bytes(pem))
        words = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
        (folder / "tsa.key").write_bytes(words)
        (folder / "serial").write_text("01")
        (folder / "tsa.cnf").write_text(CONFIG.format(folder=folder))

    def reply(self, request: bytes) -> bytes:
        """Return what the authority answers."""
        asked, answer = self.folder / "asked.tsq", self.folder / "answer.tsr"
        asked.write_bytes(request)
        command = ["openssl", "ts", "-reply", "-config", self.folder / "tsa.cnf", "-section", "one"]
        subprocess.run([*command, "-queryfile", asked, "-out", answer], check=True, capture_output=True)
        return answer.read_bytes()


Answer = tuple[int, dict[str, str], bytes]


@contextmanager
def served(answer: Callable[[bytes, Any], Answer]) -> Iterator[str]:
    """Serve answers to posted requests; yield the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, headers, octets = answer(body, self.headers)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(octets))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(octets)

        def log_message(self, *_: Any) -> None:
            """Write nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/tsa"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def serving(authority: Authority) -> Iterator[str]:
    """Serve an authority; yield its URL."""

    def answer(body: bytes, headers: Any) -> Answer:
        assert headers["Content-Type"] == "application/timestamp-query"
        return 200, {"Content-Type": "application/timestamp-reply"}, authority.reply(body)

    with served(answer) as url:
        yield url
