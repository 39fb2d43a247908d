"""A certificate chain out of ``x5c``, checked to pinned roots (RFC 7515 s.4.1.6, RFC 5280 s.6).

Building and checking of the path (signatures, dates, path length, name constraints, algorithms, critical
extensions) is that of ``cryptography.x509.verification``; demands of the policy are checked on top.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from rapidjws import _files
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose.jwk import JWK
from rapidjws.keys.chain_faults import ChainFault, chain_fault
from rapidjws.keys.x5c_policy import CHAIN_MAX, X5CPolicy

Roots = str | bytes | PathLike[str]
ROOTS_MAX_BYTES: Final = 1024 * 1024
CERTIFICATE_MAX_CHARS: Final = 16 * 1024
_PLACE: Final = "header.x5c"
_ROOT: Final = "certificates of authorities (CA true) in PEM"


class Leaf(NamedTuple):
    """A leaf whose chain was checked.

    Attributes:
        jwk: Its public key; the kid is ``x5t#S256:`` and the certificate's SHA-256 thumbprint.
        first_s: Since when the whole chain is good, seconds since the epoch.
        last_s: Until when.
    """

    jwk: JWK
    first_s: float
    last_s: float


def load_roots(roots: Roots | Iterable[Roots]) -> list[x509.Certificate]:
    """Return pinned roots out of PEM texts and files.

    Raises:
        ConfigurationError: ``configuration_invalid``: none, or one that is no authority.
    """
    given: Iterable[Roots] = (roots,) if isinstance(roots, (str, bytes, PathLike)) else roots
    if not isinstance(given, Iterable):
        raise error_for("configuration_invalid", "roots", _ROOT, type(roots).__name__)
    found: list[x509.Certificate] = []
    for one in given:
        found += _certificates(one)
    if not found:
        raise error_for("configuration_invalid", "roots", _ROOT, "none")
    for root in found:
        _check_root(root)
    return found


def _certificates(one: object) -> list[x509.Certificate]:
    if isinstance(one, str):
        one = one.encode() if "-----BEGIN" in one else Path(one)
    try:
        octets = _files.read_trusted(one, ROOTS_MAX_BYTES) if isinstance(one, PathLike) else one
        if not isinstance(octets, bytes):
            raise error_for("configuration_invalid", "roots", _ROOT, type(one).__name__)
        if octets[:1] == b"\x30":
            return [x509.load_der_x509_certificate(octets)]
        return x509.load_pem_x509_certificates(octets)
    except (OSError, ValueError) as fault:
        word = fault.strerror if isinstance(fault, OSError) else "no certificate"
        raise error_for("configuration_invalid", "roots", _ROOT, word) from None


def _check_root(root: x509.Certificate) -> None:
    """Refuse a root that is no authority (RFC 5280 s.4.2.1.3, s.4.2.1.9)."""
    try:
        extensions = root.extensions
        is_ca = extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        with contextlib.suppress(x509.ExtensionNotFound):
            is_ca = is_ca and extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except (x509.ExtensionNotFound, ValueError):
        is_ca = False
    if not is_ca:
        raise error_for("configuration_invalid", "roots", _ROOT, "a certificate that is no authority")


class ChainChecker:
    """The check of chains to pinned roots by one policy.

    Args:
        roots: The roots.
        policy: The demands.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    def __init__(self, roots: Roots | Iterable[Roots], policy: X5CPolicy) -> None:
        self.policy = policy
        self._roots = load_roots(roots)
        self._store = Store(self._roots)
        usage = ExtensionPolicy.webpki_defaults_ca()
        self._authorities = usage.may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, None)

    def fault_of(self, x5c: Any, at_s: float) -> ChainFault | None:
        """Return the mistake of a header's chain, for people; None where none of those known is made.

        Args:
            x5c: The header's value.
            at_s: As for ``leaf_of``.
        """
        try:
            return chain_fault(x5c, self._roots, self.policy, at_s)
        except Exception:  # parsing is lazy, and a stranger's octets raise many kinds of faults
            return ChainFault("chain_malformed", "x5c holds no well-formed certificates")

    def leaf_of(self, x5c: Any, at_s: float) -> Leaf:
        """Return the leaf of a header's chain.

        Args:
            x5c: The header's value.
            at_s: The moment at which the chain must hold, seconds since the epoch.

        Raises:
            HeaderRefused: ``chain_refused``.
        """
        try:
            return self._leaf_of(x5c, at_s)
        except RapidJWSError:
            raise
        except Exception:  # parsing is lazy, and a stranger's octets raise many kinds of faults
            _refuse("a chain of well-formed certificates")

    def _leaf_of(self, x5c: Any, at_s: float) -> Leaf:
        chain = self._path(_decoded(x5c, self.policy.longest), at_s)
        self._check_policy(chain)
        try:
            key = JWK.from_der(_spki(chain[0]), kid=_kid(chain[0]))
        except RapidJWSError:
            _refuse("a leaf with a key for signatures")
        first = max(one.not_valid_before_utc for one in chain)
        last = min(one.not_valid_after_utc for one in chain)
        return Leaf(key, first.timestamp(), last.timestamp())

    def _path(self, given: list[x509.Certificate], at_s: float) -> Sequence[x509.Certificate]:
        """Return the path from leaf to a pinned root."""
        longest = self.policy.longest
        try:
            builder = (
                PolicyBuilder()
                .store(self._store)
                .time(datetime.fromtimestamp(at_s, timezone.utc))
                .max_chain_depth(max(0, longest - 2))
                .extension_policies(ca_policy=self._authorities, ee_policy=ExtensionPolicy.permit_all())
            )
            chain = builder.build_client_verifier().verify(given[0], given[1:]).chain
        except VerificationError:
            _refuse("a chain to a pinned root that holds at its time")
        if len(chain) > longest or (self.policy.chain_length is not None and len(chain) != longest):
            _refuse(f"{longest} certificates from leaf to root")
        return chain

    def _check_policy(self, chain: Sequence[x509.Certificate]) -> None:
        policy, extensions = self.policy, chain[0].extensions
        _check_marks(extensions, policy.leaf_oids, "the leaf")
        if policy.intermediate_oids:
            if len(chain) < 3:
                _refuse("a certificate between leaf and root")
            _check_marks(chain[1].extensions, policy.intermediate_oids, "the one above the leaf")
        _check_leaf(extensions, policy)


def _check_marks(extensions: x509.Extensions, oids: Iterable[str], whose: str) -> None:
    there = {one.oid.dotted_string for one in extensions}
    for oid in oids:
        if oid not in there:
            _refuse(f"{whose} with the extension {oid}")


def _check_leaf(extensions: x509.Extensions, policy: X5CPolicy) -> None:
    """Refuse a leaf that is an authority, or not for signatures (RFC 5280 s.4.2.1.3, s.4.2.1.12)."""
    basic = _extension(extensions, x509.BasicConstraints)
    if basic is not None and basic.ca:
        _refuse("a leaf that is no authority")
    usage = _extension(extensions, x509.KeyUsage)
    if usage is None and policy.key_usage_required:
        _refuse("a leaf with KeyUsage")
    if usage is not None and not any(getattr(usage, name) for name in policy.key_usages):
        _refuse("a leaf whose KeyUsage is for signatures")
    purposes = tuple(policy.extended_key_usages)
    if purposes:
        extended = _extension(extensions, x509.ExtendedKeyUsage)
        if extended is None or not {one.dotted_string for one in extended} & set(purposes):
            _refuse("a leaf with an extended key usage of the policy")


def _extension(extensions: x509.Extensions, kind: type[Any]) -> Any:
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _decoded(x5c: Any, longest: int) -> list[x509.Certificate]:
    """Return the certificates of the header, read strictly: base64 with padding, DER."""
    if not isinstance(x5c, list) or not x5c or not all(isinstance(one, str) for one in x5c):
        _refuse("an array of certificates, the leaf first")
    if len(x5c) > min(longest, CHAIN_MAX):
        _refuse(f"at most {longest} certificates")
    found = []
    for text in x5c:
        try:
            if len(text) > CERTIFICATE_MAX_CHARS:
                raise ValueError
            octets = base64.b64decode(text.encode("ascii"), validate=True)
            if base64.b64encode(octets).decode() != text:  # one spelling only
                raise ValueError
            certificate = x509.load_der_x509_certificate(octets)
            if not octets.endswith(b"\0" + certificate.signature):  # X.690 s.11.2: no unused bits in it
                raise ValueError
            found.append(certificate)
        except (ValueError, binascii.Error, x509.InvalidVersion):
            _refuse("certificates in base64 of DER")
    if any(one.issuer != above.subject for one, above in pairwise(found)):  # RFC 7515 s.4.1.6
        _refuse("certificates each of which certifies the one before")
    return found


def _spki(certificate: x509.Certificate) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return certificate.public_key().public_bytes(serialization.Encoding.DER, form)


def _kid(certificate: x509.Certificate) -> str:
    from cryptography.hazmat.primitives import hashes

    digest = certificate.fingerprint(hashes.SHA256())
    return "x5t#S256:" + base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _refuse(expected: str) -> NoReturn:
    raise error_for("chain_refused", _PLACE, expected)
