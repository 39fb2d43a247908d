"""Shapes of bodies against plain readers: what is read is what every reader would read, or nothing."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus

from hypothesis import example, given, settings
from hypothesis import strategies as st

from rapidjws import RapidJWSError, Verifier
from rapidjws.middleware import BodyDigest, FormField, JSONMember, RequestLines, verify_webhook
from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.signing.compact import assemble
from rapidjws.signing.header import header_octets
from rapidjws.testing import make_key

KEY = make_key("HS256", kid="s")
SIGNER = LocalSigner(KEY)
VERIFIER = Verifier(KEY, algorithms=["HS256"])
TOKEN = sign_compact(b'{"n": 1}', SIGNER)
FORGED = sign_compact(b'{"n": 1}', LocalSigner(make_key("HS256", kid="s")))
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
NAME = "logout_token"


def fully_escaped(text: str) -> str:
    """Write every octet as an escape, in lower case."""
    return "".join(f"%{octet:02x}" for octet in text.encode())


SPELLINGS = st.sampled_from([quote, quote_plus, fully_escaped, str])
NAMES = st.sampled_from([NAME, "logout token", "state", "Logout_token", "logout_token ", ""])
VALUES = st.sampled_from([TOKEN, FORGED, "", "x", TOKEN + " ", f" {TOKEN}", TOKEN[:-1]])
FIELDS = st.lists(
    st.tuples(NAMES, VALUES, SPELLINGS, SPELLINGS, st.sampled_from(["=", "=", "=", ""])), max_size=4
)


@settings(max_examples=300, deadline=None)
@given(FIELDS)
@example([(NAME, TOKEN, str, str, "="), (NAME, TOKEN, fully_escaped, str, "=")])
@example([("logout token", TOKEN, quote_plus, str, "="), (NAME, TOKEN, str, str, "=")])
def test_a_field_is_the_one_that_every_reader_finds(fields: list[Any]) -> None:
    """A form passes exactly where the standard library finds the field once, with the good token in it."""
    pairs = (write(name) + sign + (read(value) if sign else "") for name, value, write, read, sign in fields)
    body = "&".join(pairs).encode()
    found = [value for name, value in parse_qsl(body.decode(), keep_blank_values=True) if name == NAME]
    part = FormField(name=NAME)
    decision = verify_webhook(VERIFIER, body=body, headers=FORM, signature_header=None, part=part)
    assert (decision.outcome == "permit") == (found == [TOKEN]), body
    if found == [TOKEN]:
        token, rest = part.read(body)
        assert token == TOKEN
        assert parse_qsl(rest.decode(), keep_blank_values=True) == [(NAME, TOKEN)]
    spaced = verify_webhook(
        VERIFIER, body=body, headers=FORM, signature_header=None, part=FormField(name="logout token")
    )
    others = [
        value for name, value in parse_qsl(body.decode(), keep_blank_values=True) if name == "logout token"
    ]
    assert (spaced.outcome == "permit") == (others == [TOKEN]), body


class _Twice(Exception):
    """A JSON object with two members of one name."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise _Twice
    return dict(pairs)


MEMBERS = st.sampled_from(["a", "b", "\u0061\u0301", "", "a/b"])
JSON = st.recursive(
    st.sampled_from([TOKEN, TOKEN, FORGED, "", 1, None, [TOKEN], True]),
    lambda inner: st.lists(st.tuples(MEMBERS, inner), max_size=3).map(lambda pairs: ("object", pairs)),
    max_leaves=6,
)


def written(value: Any, escaped: bool) -> str:
    """Write a document whose objects may have equal names, with escapes where wanted."""
    if isinstance(value, tuple):
        return (
            "{"
            + ",".join(f"{written(name, escaped)}:{written(one, escaped)}" for name, one in value[1])
            + "}"
        )
    if escaped and isinstance(value, str):
        return '"' + "".join(f"\\u{ord(letter):04x}" for letter in value) + '"'
    return json.dumps(value)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(MEMBERS, JSON), max_size=3), st.lists(MEMBERS, min_size=1, max_size=2), st.booleans()
)
def test_a_member_is_the_one_that_every_reader_finds(pairs: Any, path: list[str], escaped: bool) -> None:
    """A JSON body passes exactly where names are unique and the pointer leads to the good token."""
    text = written(("object", pairs), escaped)
    pointer = "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in path)
    try:
        found: Any = json.loads(text, object_pairs_hook=_unique)
    except _Twice:
        found = None
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    part = JSONMember(pointer=pointer)
    decision = verify_webhook(VERIFIER, body=text.encode(), signature_header=None, part=part)
    assert (decision.outcome == "permit") == (found == TOKEN), text
    if found == TOKEN:
        only: Any = TOKEN
        for name in reversed(path):
            only = {name: only}
        assert json.loads(part.read(text.encode())[1]) == only


DIGESTS = {"hex": bytes.hex, "base64": lambda octets: base64.b64encode(octets).decode(),
           "base64url": lambda octets: base64.urlsafe_b64encode(octets).decode()}  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=20), st.binary(max_size=3), st.sampled_from(["sha256", "sha384", "sha512"]),
    st.sampled_from(list(DIGESTS)), st.sampled_from(["", "sha256="]), st.booleans(),
    st.sampled_from(["same", "cut", "grown", "absent", "upper", "empty"]),
)  # fmt: skip
@example(b"", b"", "sha256", "hex", "", False, "absent")
@example(b"", b"", "sha256", "hex", "", True, "absent")
def test_a_digest_is_that_of_the_body(
    body: bytes, more: bytes, algorithm: str, encoding: str, prefix: str, may_lack: bool, how: str
) -> None:
    """A body passes exactly where the claim's octets are its digest, or may lack and it is empty."""
    digest = hashlib.new(algorithm, body).digest()
    stated = {"cut": digest[:-1], "grown": digest + b"\0", "empty": b""}.get(how, digest)
    text = prefix + DIGESTS[encoding](stated)
    text = text.upper() if how == "upper" and encoding == "hex" and not prefix else text
    rule = BodyDigest(
        claim="/h", algorithm=algorithm, encoding=encoding, prefix=prefix, may_lack_when_empty=may_lack
    )
    code = "ok"
    try:
        rule.check({} if how == "absent" else {"h": text}, body + more)
    except RapidJWSError as refused:
        code = refused.code
    passed = code == "ok"
    assert (code == "malformed_claim") == (how in ("cut", "grown", "empty"))
    if how == "absent":
        assert passed == (may_lack and not body + more)
    else:
        assert passed == (how in ("same", "upper") and not more)


HEADER_NAMES = st.lists(st.sampled_from(["X-A", "X-B", "x-c"]), unique=True, max_size=3)


@settings(max_examples=200, deadline=None)
@given(
    HEADER_NAMES, HEADER_NAMES, st.sampled_from(["POST", "PUT"]), st.sampled_from(["/a", "/a?b=c", "/b"]),
    st.binary(max_size=8), st.sampled_from(["same", "method", "target", "body", "value", "twice", "gone"]),
)  # fmt: skip
def test_lines_are_those_of_the_request(
    names: list[str], required: list[str], method: str, target: str, body: bytes, change: str
) -> None:
    """A request passes exactly where each signed line is its own, and each required header is signed."""
    lines = f"{method} {target}\n" + "".join(f"{name}: 1\n" for name in names)
    head, _, signature = assemble(
        header_octets({"alg": "HS256", "kid": "s", "tl_headers": ",".join(names)}),
        lines.encode() + body,
        SIGNER,
    ).split(".")
    pairs = [("Tl-Signature", f"{head}..{signature}"), ("X-D", "1"), *((name.lower(), "1") for name in names)]
    is_same = change == "same" or (change in ("value", "twice", "gone") and not names)
    if names and change == "value":
        pairs[-1] = (names[-1], "2")
    elif names and change == "twice":
        pairs.append((names[-1].upper(), "1"))
    elif names and change == "gone":
        pairs.pop()
    decision = verify_webhook(
        VERIFIER,
        body=body + b" " if change == "body" else body,
        headers=pairs,
        signature_header="Tl-Signature",
        payload_of=RequestLines(required=tuple(required)),
        method={"POST": "PUT", "PUT": "POST"}[method] if change == "method" else method,
        target=target + "/" if change == "target" else target,
    )
    assert (decision.outcome == "permit") == (is_same and set(required) <= set(names))


def test_a_content_coding_is_refused_wherever_it_stands() -> None:
    """A body that says it is compressed is refused, also where another value says it is not."""
    for codings in (["gzip"], ["identity", "gzip"], ["gzip", "identity"]):
        headers = [*FORM.items(), *(("Content-Encoding", one) for one in codings)]
        body = f"{NAME}={TOKEN}".encode()
        code = verify_webhook(
            VERIFIER, body=body, headers=headers, signature_header=None, part=FormField(name=NAME)
        ).code
        assert code == "malformed_request"
