"""Run the receiver and send it webhooks of every kind: python examples/webhook/run.py"""

from __future__ import annotations

import http.client
import json
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from gateway import free_port, running

from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.testing import make_key


def post(port: int, body: bytes, signature: str | None) -> tuple[int, str]:
    """Send one webhook; return status and verdict."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        link.request("POST", "/", body, {} if signature is None else {"X-JWS-Signature": signature})
        answer = link.getresponse()
        answer.read()
        return answer.status, answer.getheader("X-Verdict", "")
    finally:
        link.close()


def main() -> int:
    """Print what each webhook got; return 0 where all is as it should be."""
    shop, stranger = make_key("ES256", kid="shop-1"), make_key("ES256", kid="shop-1")
    body = b'{"event": "paid", "order": 42}'
    plain = sign_compact(body, LocalSigner(shop), detached=True, b64=False)
    encoded = sign_compact(body, LocalSigner(shop), detached=True)
    foreign = sign_compact(body, LocalSigner(stranger), detached=True)
    port, wrong = free_port(), 0
    with tempfile.TemporaryDirectory() as made:
        jwks = Path(made) / "jwks.json"
        jwks.write_text(json.dumps({"keys": [shop.public().as_dict()]}))
        with running([sys.executable, str(HERE / "receiver.py"), str(port), str(jwks)], port):
            for what, sent, signature, expected in [
                ("signed, b64: false", body, plain, 204),
                ("signed, encoded", body, encoded, 204),
                ("changed on the way", body.replace(b"42", b"43"), plain, 401),
                ("another's key", body, foreign, 401),
                ("not signed", body, None, 401),
            ]:
                status, verdict = post(port, sent, signature)
                wrong += status != expected
                print(f"{what:19} {status} {verdict}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
