"""Certificates that a gateway hands on: from whom that is believed, and what is one (RFC 8705)."""

from __future__ import annotations

import base64
import functools
import hashlib
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote

import dpop
import pytest
import tokens
from dpop import NOW_S, engine

import rapidjws
from rapidjws.sender import ClientCertificate, DPoP, SenderConstraints, SenderRequest

PEER = "192.0.2.7"


@functools.cache
def der() -> bytes:
    """Return a certificate."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "client, a; b")])
    begin = datetime(2026, 1, 1, tzinfo=timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=1000))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.DER)


def pem() -> str:
    """Return it as PEM."""
    text = base64.encodebytes(der()).decode()
    return f"-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n"


def digest() -> bytes:
    """Return its SHA-256."""
    return hashlib.sha256(der()).digest()


def code_of(
    values: list[str], form: str = "xfcc", *, peer: str | None = PEER, trusted: Any = PEER, bound: str = ""
) -> str:
    """Return what a token that is bound to the certificate gets with these values of the header."""
    mtls = ClientCertificate(trusted_peers=trusted, form=form)  # type: ignore[arg-type]
    token = tokens.token(cnf={"x5t#S256": bound or tokens.b64url(digest())})
    request = SenderRequest(token.encode(), certificates=[one.encode("latin-1") for one in values], peer=peer)
    decision = engine().decide(token, now=NOW_S, sender=SenderConstraints(mtls=mtls).check(request))
    assert (decision.outcome == "permit") == (decision.code == "ok")
    return decision.code


@pytest.mark.parametrize(
    "form",
    [
        "xfcc by its hash",
        "xfcc by itself",
        "xfcc as Envoy writes it",
        "pem",
        "pem as it is",
        "der",
        "rfc9440",
    ],
)
def test_the_certificate_of_each_gateway_is_read(form: str) -> None:
    """What Envoy, nginx and HAProxy write names the certificate that the token is bound to."""
    escaped, plain = quote(pem(), safe=""), base64.b64encode(der()).decode()
    written = {
        "xfcc by its hash": ("xfcc", f"Hash={digest().hex()}"),
        "xfcc by itself": ("xfcc", f'Cert="{escaped}"'),
        "xfcc as Envoy writes it": (
            "xfcc",
            f'By=spiffe://a/b;Hash={digest().hex()};Cert="{escaped}";Subject="CN=client\\, \\"a\\"; b";'
            "URI=;DNS=a.example",
        ),
        "pem": ("pem", escaped),
        "pem as it is": ("pem", pem().replace("\n", " ")),
        "der": ("der", plain),
        "rfc9440": ("der", f":{plain}:"),
    }[form]
    assert code_of([written[1]], written[0]) == "ok"
    assert code_of([written[1]], written[0], bound="A" * 43) == "binding_mismatch"
    assert code_of([written[1]], written[0], peer="198.51.100.1") == "malformed_request"
    assert code_of([written[1]] * 2, written[0]) == "malformed_request"
    assert code_of([f"{written[1]},{written[1]}"], written[0]) == "malformed_request"


def test_nothing_of_a_gateway_is_no_certificate() -> None:
    """No header, or an empty one as nginx writes it without a certificate."""
    assert code_of([]) == code_of([""]) == code_of([" "]) == "client_certificate_missing"


HASH = "ab" * 32


def test_each_envoy_on_the_way_has_its_element() -> None:
    """Of as many elements as there are proxies the first is the client's; what adds one is refused."""
    edge, own = (
        "By=spiffe://mesh/edge;Hash=" + "cd" * 32,
        f'By="a,b;c";Hash={digest().hex()};Subject="CN=a, b"',
    )

    def code(value: str, count: int) -> str:
        mtls = ClientCertificate(trusted_peers=PEER, elements=count)
        token = tokens.token(cnf={"x5t#S256": tokens.b64url(digest())})
        request = SenderRequest(token.encode(), certificates=[value.encode()], peer=PEER)
        return engine().decide(token, now=NOW_S, sender=SenderConstraints(mtls=mtls).check(request)).code

    assert code(own, 1) == code(f"{own},{edge}", 2) == code(f"{own},{edge},{edge}", 3) == "ok"
    assert code(f"{edge},{own}", 2) == "binding_mismatch"
    for value, count in (
        (own, 2),
        (f"{own},{edge}", 1),
        (f"{own},{edge}", 3),
        (f"{own},{edge},{edge}", 2),
        (f"{own},", 2),
        (f",{own}", 2),
        (f"{own},,{edge}", 3),
        (f"{own};Hash={'00' * 32},{edge}", 2),
        (f"{own},{edge};URI=a,Hash={'00' * 32}", 2),
    ):
        assert code(value, count) == "malformed_request", (value, count)
    for settings in ({"elements": 0}, {"elements": 17}, {"elements": 2, "form": "pem"}):
        with pytest.raises(rapidjws.ConfigurationError):
            ClientCertificate(trusted_peers=PEER, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value",
    [
        "Hash=",
        "Hash=ab",
        f"Hash={HASH}0",
        f"Hash={HASH};Hash={HASH}",
        f"Hash={HASH},Hash={HASH}",
        f"By=a,Hash={HASH}",
        'Subject="a',
        f'Subject="a"b;Hash={HASH}',
        f"{HASH}",
        f";Hash={HASH}",
        "Cert=a",
        'Cert="-----BEGIN CERTIFICATE-----"',
        "Subject=a",
        "\xff=a",
    ],
)
def test_what_names_no_certificate_is_refused(value: str) -> None:
    """A malformed element, two of them, two digests, or none at all: malformed, and never a match."""
    assert code_of([value], bound=tokens.b64url(bytes.fromhex(HASH))) == "malformed_request"


@pytest.mark.parametrize("form", ["pem", "der"])
def test_octets_around_a_certificate_are_refused(form: str) -> None:
    """A certificate cut off, followed by more, or with another character in it is none."""
    plain = base64.b64encode(der()).decode()
    more = base64.b64encode(der() + b"\0").decode()
    less = base64.b64encode(der()[:-1]).decode()
    for text in (more, less, plain + "=", plain + "!", base64.b64encode(b"\x30\x00").decode(), ""):
        wrapped = f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----"
        value = wrapped if form == "pem" else text
        assert code_of([value], form) in ("malformed_request", "client_certificate_missing")
    assert code_of([pem() + pem()], "pem") == "malformed_request"


@pytest.mark.parametrize(
    ("trusted", "peer", "is_trusted"),
    [
        ("192.0.2.0/24", "192.0.2.9", True),
        ("192.0.2.0/24", "192.0.3.9", False),
        ("192.0.2.0/24", "::ffff:192.0.2.9", True),
        ("2001:db8::/32", "2001:db8::1", True),
        ("2001:db8::/32", "2001:db9::1", False),
        ("fe80::/10", "fe80::1%eth0", True),
        ("unix", "unix", True),
        ("unix", "192.0.2.1", False),
        ("unix", None, False),
        ("192.0.2.0/24", "unix", False),
        ("0.0.0.0/0", None, False),
        ("0.0.0.0/0", "gateway", False),
        ("0.0.0.0/0", "", False),
        (["unix", "192.0.2.1"], "192.0.2.1", True),
    ],
)
def test_whom_the_header_is_believed_from(trusted: Any, peer: str | None, is_trusted: bool) -> None:
    """Only who is configured hands certificates on; who cannot be named is nobody."""
    found = code_of([f"Hash={digest().hex()}"], trusted=trusted, peer=peer)
    assert found == ("ok" if is_trusted else "malformed_request")


def test_a_forged_header_moves_no_other_token() -> None:
    """A token that is bound to nothing is good with and without the header; one for DPoP needs its proof."""
    checks = SenderConstraints(
        dpop=DPoP(external_origins=dpop.ORIGIN), mtls=ClientCertificate(trusted_peers=PEER)
    )
    forged = [f"Hash={digest().hex()}".encode()]
    plain, bound = tokens.token(), dpop.bound_token()
    for token, code in ((plain, "ok"), (bound, "dpop_proof_missing")):
        request = SenderRequest(token.encode(), certificates=forged, peer="198.51.100.1")
        assert engine().decide(token, now=NOW_S, sender=checks.check(request)).code == code


def test_a_binding_can_be_required() -> None:
    """Where tokens must be bound, a plain one is refused, whoever sends it."""
    checks = SenderConstraints(mtls=ClientCertificate(trusted_peers=PEER), required=True)
    request = SenderRequest(tokens.token().encode(), peer=PEER)
    decision = engine().decide(tokens.token(), now=NOW_S, sender=checks.check(request))
    assert decision.code == "token_not_bound"


@pytest.mark.parametrize("settings", [{}, {"trusted_peers": []}, {"trusted_peers": "10.0.0.1/8"}])
def test_an_operators_slip_is_an_error_at_construction(settings: dict[str, Any]) -> None:
    """Whose header is believed must be written, as addresses or networks."""
    with pytest.raises((rapidjws.ConfigurationError, TypeError)):
        ClientCertificate(**settings)
    with pytest.raises(rapidjws.ConfigurationError):
        SenderConstraints()
