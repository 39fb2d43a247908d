"""What a token by a chain in x5c costs once its header is known, beside one of the same key given."""

from __future__ import annotations

import base64
import datetime
import statistics
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from rapidjws import JWK, Verifier
from rapidjws.keys import X5CKeys
from rapidjws.signing import LocalSigner
from rapidjws.signing.compact import assemble
from rapidjws.signing.header import header_octets

TOKENS = 400
ROUNDS = 9
MOST = 1.35
"""Most that the look at the header and at the chain's dates may add, as a ratio of whole verifications."""


def certificate(name, key, issuer, signer, *, is_ca):
    """Return a certificate."""
    now = datetime.datetime.now(datetime.timezone.utc)
    named = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one)]) for one in (name, issuer)]
    usage = dict.fromkeys(
        "content_commitment key_encipherment data_encipherment key_agreement crl_sign encipher_only"
        " decipher_only".split(),
        False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(named[0])
        .issuer_name(named[1])
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(1))
        .not_valid_after(now + datetime.timedelta(9))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .add_extension(
            x509.KeyUsage(digital_signature=not is_ca, key_cert_sign=is_ca, **usage), critical=True
        )
        .sign(signer, hashes.SHA256())
    )


def test_a_known_chain_costs_what_a_known_key_costs():
    """Medians of alternating rounds; each accepts every token and refuses every changed one."""
    root, leaf = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    pem = certificate("root", root, "root", root, is_ca=True).public_bytes(serialization.Encoding.PEM)
    der = certificate("leaf", leaf, "root", root, is_ca=False).public_bytes(serialization.Encoding.DER)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    key = JWK.from_pem(leaf.private_bytes(*form), private=True)
    header = header_octets({"alg": "ES256", "x5c": [base64.b64encode(der).decode()]})
    tokens = [assemble(header, b'{"n": %d}' % n, LocalSigner(key, "ES256")) for n in range(TOKENS)]
    settings = {"algorithms": ["ES256"], "max_header_bytes": 16_384}
    verifiers = [Verifier(X5CKeys(pem), **settings), Verifier(key.public(), **settings)]
    for verifier in verifiers:
        for token in tokens:
            verifier.verify(token)
        changed = tokens[0][:-8] + ("A" * 8 if tokens[0][-8:] != "A" * 8 else "B" * 8)
        assert verifier.verify_many([changed])[0].code == "signature_invalid"
    ratios = []
    for _ in range(ROUNDS):
        taken = []
        for verifier in verifiers:
            begun = time.perf_counter()
            for token in tokens:
                verifier.verify(token)
            taken.append(time.perf_counter() - begun)
        ratios.append(taken[0] / taken[1])
    ratio = statistics.median(ratios)
    print(f"x5c, header known: {ratio:.3f} of a key without a source")
    assert ratio < MOST
