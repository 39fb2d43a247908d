"""A webhook's receiver without a framework: python receiver.py PORT JWKS

It answers 204 for a body that the sender signed, 401 for any other, and 503 where it cannot know.
"""

from __future__ import annotations

import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from rapidjws import JWKSet, Verifier
from rapidjws.middleware import verify_webhook

SENDER = Verifier(JWKSet.from_json(Path(sys.argv[2]).read_bytes()), algorithms=["ES256"], crit=["b64"])
BODY_MAX_BYTES = 1 << 20
LENGTH = re.compile(r"[0-9]{1,19}\Z")
STATUSES = {"permit": 204, "deny": 401, "indeterminate": 503}


class Receiver(BaseHTTPRequestHandler):
    """The receiver of one sender's webhooks."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Verify the body's octets as they came, before anything reads them."""
        lengths = self.headers.get_all("Content-Length", [])
        if "Transfer-Encoding" in self.headers or len(lengths) != 1 or not LENGTH.match(lengths[0]):
            self.send_error(411)  # this server decodes no chunks, and a length is plain digits
            return
        size = int(lengths[0])
        if size > BODY_MAX_BYTES:
            self.send_error(413)
            return
        body = self.rfile.read(size)
        decision = verify_webhook(SENDER, body=body, headers=self.headers.items())
        if decision.verified is not None:
            print(
                f"received {len(decision.verified.payload)} bytes signed by {decision.verified.kid}",
                flush=True,
            )
        self.send_response(STATUSES[decision.outcome])
        self.send_header("X-Verdict", decision.code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Say nothing of requests."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
