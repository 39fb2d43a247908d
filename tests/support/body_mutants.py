"""Signed bodies of each shape with changed octets, and plain readers that find the good token in them."""

from __future__ import annotations

import hashlib
import json
import random
from typing import Any
from urllib.parse import parse_qsl

from rapidjws import Verifier
from rapidjws.middleware import BodyDigest, FormField, JSONMember, RequestLines, verify_webhook
from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.signing.compact import assemble
from rapidjws.signing.header import header_octets
from rapidjws.testing import make_key

KEY = make_key("HS256", kid="s")
VERIFIER = Verifier(KEY, algorithms=["HS256"])
TOKEN = sign_compact(b'{"n": 1}', LocalSigner(KEY))
BODY = b'{"event": "paid", "order": 42}'
DIGEST = json.dumps({"sha": hashlib.sha256(BODY).hexdigest()}).encode()
LINES = b"POST /hook\nX-Time: 5\n" + BODY
PIECES = (b"&", b"=", b"%", b"+", b";", b"\0", b" ", b'"', b"{", b"}", b",", b":", b"\\", b"%6c", b"a", b"-",
          b"\xff", b"logout_token=", b'"token":', TOKEN.encode())  # fmt: skip


def edited(chance: random.Random, octets: bytes) -> bytes:
    """Return octets with one to three places replaced, grown, cut, doubled or exchanged."""
    for _ in range(chance.choice((1, 1, 2, 3))):
        at, to = sorted((chance.randrange(len(octets) + 1), chance.randrange(len(octets) + 1)))
        kind = chance.randrange(5)
        if kind == 0:
            octets = octets[:at] + chance.choice(PIECES) + octets[at + 1 :]
        elif kind == 1:
            octets = octets[:at] + chance.choice(PIECES) + octets[at:]
        elif kind == 2:
            octets = octets[:at] + octets[min(to, at + 3) :]
        elif kind == 3:
            octets = octets + chance.choice((b"&", b",", b"")) + octets[at:to]
        else:
            octets = octets[to:] + octets[at:to] + octets[:at]
    return octets


class _Twice(Exception):
    """A JSON object with two members of one name."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise _Twice
    return dict(pairs)


def member_of(body: bytes) -> Any:
    """Return the member of a JSON body, or None where there is none or more than one."""
    try:
        found = json.loads(body.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, _Twice):
        return None
    return found.get("token") if isinstance(found, dict) else None


def fields_of(body: bytes) -> list[str]:
    """Return each value of the field, as the standard library reads the form."""
    pairs = parse_qsl(body.decode("latin-1"), keep_blank_values=True, encoding="latin-1", max_num_fields=1024)
    return [value for name, value in pairs if name == "logout_token"]


def run(seed: int, count: int) -> tuple[int, int]:
    """Verify so many mutants; return how many passed, which a plain reader allows, and how many were refused.

    Raises:
        AssertionError: One passed that must not.
    """
    chance = random.Random(seed)
    form = f"state=x&logout_token={TOKEN}".encode()
    document = json.dumps({"id": 7, "token": TOKEN}).encode()
    stated = sign_compact(DIGEST, LocalSigner(KEY))
    head, _, signature = assemble(
        header_octets({"alg": "HS256", "kid": "s", "tl_headers": "X-Time"}), LINES, LocalSigner(KEY)
    ).split(".")
    passed = 0
    for number in range(count):
        time, target, is_due = "5", "/hook", False
        how: dict[str, Any]
        if number % 4 == 0:
            body = edited(chance, form)
            is_due = fields_of(body) == [TOKEN]
            how = {"part": FormField(name="logout_token"), "signature_header": None,
                   "headers": {"Content-Type": "application/x-www-form-urlencoded"}}  # fmt: skip
        elif number % 4 == 1:
            body = edited(chance, document)
            is_due = member_of(body) == TOKEN
            how = {"part": JSONMember(pointer="/token"), "signature_header": None}
        elif number % 4 == 2:
            body = edited(chance, BODY)
            is_due = body == BODY
            how = {"digest": BodyDigest(claim="/sha"), "signature_header": "S", "headers": {"S": stated}}
        else:
            body = edited(chance, BODY) if chance.random() < 0.5 else BODY
            target, time = (
                chance.choice(("/hook", "/hook/", "/hook?", "/Hook")),
                chance.choice(("5", "5 ", "05", "6")),
            )
            is_due = (body, target, time.strip()) == (BODY, "/hook", "5")
            how = {"payload_of": RequestLines(required=("X-Time",)), "signature_header": "S",
                   "target": target, "headers": {"S": f"{head}..{signature}", "X-Time": time}}  # fmt: skip
        found = verify_webhook(VERIFIER, body=body, **how).outcome
        assert found in ("permit", "deny"), f"seed {seed}: {found} {body!r}"
        assert is_due or found == "deny", f"seed {seed}: accepted {body!r} {target} {time}"
        passed += found == "permit"
    return passed, count - passed
