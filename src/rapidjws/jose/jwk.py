"""One JSON Web Key, checked once and then only read (RFC 7517, RFC 7518 s.6, RFC 8037 s.2, RFC 9964).

Such a JWK is fit for signatures: its type, curve, alg, use and key_ops agree, its encoding is strict,
its numbers are sound and strong enough. What it never does: fetch (x5u), trust a chain (x5c), show key bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field, replace
from typing import Any, Final

from rapidjws._checks import checked, is_text, octets_of
from rapidjws._secret_frames import keeps_secrets
from rapidjws.errors import MalformedToken, error_for
from rapidjws.jose import _base64url, _material, _secret, json_text
from rapidjws.jose.certificate_names import thumbprints_of_der, thumbprints_of_members
from rapidjws.jose.jwa import ALGORITHM_TABLE, algorithms_for_key
from rapidjws.jose.limits import JSON_MAX_DEPTH, JWK_MAX_BYTES, JWK_MAX_MEMBERS, KEY_OPS_MAX, KID_MAX_CHARS

_THUMBPRINT_MEMBERS: Final = {  # RFC 7638 s.3.2, RFC 8037 s.2, RFC 9964: in the order of their code points
    "EC": ("crv", "kty", "x", "y"),
    "OKP": ("crv", "kty", "x"),
    "RSA": ("e", "kty", "n"),
    "oct": ("k", "kty"),
    "AKP": ("alg", "kty", "pub"),
}
_SIGNING_OPS: Final = frozenset({"sign", "verify"})
_SEAL: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class JWK:
    """One checked key. Build it with :meth:`from_json`, :meth:`from_pem` or :meth:`from_der`.

    Attributes:
        kty: ``"EC"``, ``"RSA"``, ``"OKP"``, ``"AKP"`` or ``"oct"``.
        crv: The curve, or None.
        alg: The one algorithm it is bound to, or None.
        kid: Its name, or None.
        use: ``"sig"`` or None.
        key_ops: The operations it names, or None.
        material: Two byte strings, the form native code takes: n and e without leading zeros (RSA); x || y
            (EC), the raw public key (OKP, AKP) or the secret (oct), and an empty second.
        private_material: The private members' bytes by name; empty for a public key and for oct.
        x5t: The SHA-1 thumbprint of its certificate in base64url, or None: a name, and no proof of anything.
        x5t_s256: The SHA-256 thumbprint of its certificate, or None.
        is_private: True for the private half of a key pair; a symmetric key is neither.
    """

    kty: str
    crv: str | None = None
    alg: str | None = None
    kid: str | None = None
    use: str | None = None
    key_ops: tuple[str, ...] | None = None
    material: tuple[bytes, bytes] = field(repr=False)
    private_material: tuple[tuple[str, bytes], ...] = field(default=(), repr=False)
    x5t: str | None = field(default=None, repr=False, compare=False)
    x5t_s256: str | None = field(default=None, repr=False, compare=False)
    seal: InitVar[object]

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:  # CVE-2026-102266: no way to a key leads around its checks
            raise TypeError("a JWK is built by from_json, from_pem or from_der")

    @classmethod
    @keeps_secrets
    @checked(but=("data",))
    def from_json(
        cls, data: Mapping[str, Any] | str | bytes | bytearray | memoryview, *, private: bool = False
    ) -> JWK:
        """Read a JWK strictly.

        Args:
            data: JSON text, or a buffer of it in UTF-8; or the object already parsed, a mapping (equal names
                cannot be seen any more then).
            private: True where the private half of a key pair is wanted; otherwise private members refuse it.

        Returns:
            The key.

        Raises:
            KeyRefused: key_malformed, key_unsupported, key_weak, key_private or key_use_mismatch; the place
                starts with ``jwk``.

        Source: RFC 7517 s.4, RFC 7518 s.6, RFC 8037 s.2, RFC 9964.
        """
        return read_members(_members_of(data), private=private)

    @classmethod
    @keeps_secrets
    @checked
    def from_der(
        cls,
        data: bytes | bytearray | memoryview,
        *,
        kid: str | None = None,
        alg: str | None = None,
        private: bool = False,
    ) -> JWK:
        """Read a key in DER: SubjectPublicKeyInfo, PKCS#1 RSAPublicKey, or an X.509 certificate.

        A certificate is a wrapping here: its dates, names and signature are not looked at. A private key of
        type id-RSASSA-PSS serves PS algorithms only (RFC 4055 s.1.2).

        Args:
            data: The DER octets.
            kid: The name it shall have, or None.
            alg: The one algorithm it shall be bound to, or None; ML-DSA brings its own. A private
                id-RSASSA-PSS key without parameters needs it.
            private: True for an unencrypted private key (PKCS#8, PKCS#1, SEC 1).

        Returns:
            The key.

        Raises:
            KeyRefused: as :meth:`from_json`, and where the DER is not the canonical one of a named curve.
        """
        from rapidjws.jose import pyca_keys

        members = pyca_keys.members_from_der(bytes(data), private=private, alg=alg)
        members |= thumbprints_of_der(bytes(data))
        return read_members(_named(members, kid, alg), private=private)

    @classmethod
    @keeps_secrets
    @checked
    def from_pem(
        cls,
        text: str | bytes | bytearray | memoryview,
        *,
        kid: str | None = None,
        alg: str | None = None,
        private: bool = False,
    ) -> JWK:
        """Read a key in PEM: one block of the kinds that :meth:`from_der` takes (RFC 7468).

        Args:
            text: Exactly one PEM block; other text may stand around it, such as what ``openssl`` prints.
            kid: The name it shall have, or None.
            alg: The one algorithm it shall be bound to, or None; ML-DSA brings its own.
            private: True for an unencrypted private key.

        Returns:
            The key.

        Raises:
            KeyRefused: as :meth:`from_der`; key_malformed where the label names another kind than the
                content; the message names what else the text is, and what converts it.
        """
        from rapidjws.jose import _pem

        der = _pem.der_from_pem(octets_of(text), private=private)
        return cls.from_der(der, kid=kid, alg=alg, private=private)

    @classmethod
    @keeps_secrets
    @checked
    def from_secret(
        cls, secret: str | bytes | bytearray | memoryview, *, alg: str | None = None, kid: str | None = None
    ) -> JWK:
        """Make a key for HMAC out of a shared secret.

        Args:
            secret: The secret's octets. Text stands for its UTF-8 octets, as PyJWT takes it: nothing is
                decoded, whether it looks like base64 or not. At least as long as the digest: 32 octets
                for HS256, 48 for HS384, 64 for HS512.
            alg: ``"HS256"``, ``"HS384"`` or ``"HS512"``; None: whichever the length serves.
            kid: The name it shall have, or None.

        Returns:
            The key.

        Raises:
            KeyRefused: key_weak (too short, or a public text), key_malformed (another algorithm).

        Source: RFC 7518 s.3.2, s.6.4; RFC 8725 s.2.1.
        """
        members = {"kty": "oct", "k": _base64url.encode(octets_of(secret))}
        return read_members(_named(members, kid, alg))

    @property
    def is_private(self) -> bool:
        """Return True for the private half of a key pair."""
        return bool(self.private_material)

    @property
    def is_symmetric(self) -> bool:
        """Return True for a shared secret."""
        return self.kty == "oct"

    @property
    def algorithms(self) -> tuple[str, ...]:
        """Return the algorithms it can serve, in table order."""
        names = algorithms_for_key(self.kty, self.crv, self.alg)
        if self.kty != "oct":
            return names
        size = len(self.material[0])  # RFC 7518 s.3.2: a secret serves digests up to its own size
        return tuple(name for name in names if size >= (ALGORITHM_TABLE[name].digest_bytes or 0))

    def thumbprint(self) -> str:
        """Return the SHA-256 thumbprint in base64url (RFC 7638). That of a short secret tells the secret."""
        import hashlib

        members = self.as_dict(private=True)
        text = ",".join(f'"{name}":"{members[name]}"' for name in _THUMBPRINT_MEMBERS[self.kty])
        return _base64url.encode(hashlib.sha256(f"{{{text}}}".encode()).digest())

    def public(self) -> JWK:
        """Return the public half; itself where it is public or symmetric already."""
        if not self.is_private:
            return self
        key_ops = None if self.key_ops is None else ("verify",)
        return replace(self, private_material=(), key_ops=key_ops, seal=_SEAL)

    @checked
    def as_dict(self, *, private: bool = False) -> dict[str, Any]:
        """Return the members as JSON values.

        Args:
            private: True to include private members and the secret of a symmetric key.

        Returns:
            A new dict: ``kty`` first, then the public members, then what names and limits the key.
        """
        members: dict[str, Any] = {"kty": self.kty}
        if self.crv is not None:
            members["crv"] = self.crv
        if not self.is_symmetric or private:
            members.update(_material.public_members(self.kty, self.material))
        if private:
            members.update({name: _base64url.encode(value) for name, value in self.private_material})
        for name, value in (("alg", self.alg), ("kid", self.kid), ("use", self.use)):
            if value is not None:
                members[name] = value
        if self.key_ops is not None:
            members["key_ops"] = list(self.key_ops)
        return members


def secret_disguise(secret: bytes) -> str | None:
    """Say what public text a shared secret of any length reads as, or return None (RFC 8725 s.2.1)."""
    return _secret.disguise(secret)


def _members_of(data: object) -> Mapping[str, Any]:
    """Return the members of a JWK given as text or as an object."""
    value: Any = data
    if isinstance(data, (str, bytes, bytearray, memoryview)):
        try:
            raw = octets_of(data)
            value = json_text.loads(
                raw,
                max_bytes=JWK_MAX_BYTES,
                max_depth=JSON_MAX_DEPTH,
                max_members=JWK_MAX_MEMBERS,
                place="jwk",
            )
        except (MalformedToken, UnicodeEncodeError) as refused:
            why = refused.code if isinstance(refused, MalformedToken) else "malformed_json"
            raise error_for("key_malformed", "jwk", "a JSON object with distinct names", why) from None
    elif data is None or not isinstance(data, Mapping):
        raise error_for("key_malformed", "jwk", "JSON text, bytes or a mapping", type(data).__name__)
    if not isinstance(value, Mapping):
        raise error_for("key_malformed", "jwk", "a JSON object", type(value).__name__)
    return value


def _named(members: dict[str, Any], kid: str | None, alg: str | None) -> dict[str, Any]:
    """Add the name and the algorithm that a caller gives to a key from DER."""
    if kid is not None:
        members["kid"] = kid
    if alg is not None:
        if members.get("alg", alg) != alg:  # RFC 9964: an ML-DSA key is of one algorithm
            raise error_for("key_unsupported", "jwk.alg", members["alg"], alg)
        members["alg"] = alg
    return members


def read_members(members: Mapping[str, Any], *, private: bool = False) -> JWK:
    """Check the members of a parsed JWK and build the key.

    Args:
        members: The object; unknown members are ignored (RFC 7517 s.4).
        private: True where the private half of a key pair is wanted.

    Returns:
        The key.

    Raises:
        KeyRefused: as :meth:`JWK.from_json`.
    """
    kty = members.get("kty")
    if not isinstance(kty, str):  # RFC 7517 s.4.1: kty is there and a string
        raise error_for("key_malformed", "jwk.kty", "a string", type(kty).__name__)
    if kty not in _THUMBPRINT_MEMBERS:  # RFC 7517 s.5: ignore types not understood
        raise error_for("key_unsupported", "jwk.kty", tuple(_THUMBPRINT_MEMBERS), kty)
    if not private:
        _material.refuse_private(kty, members)
    kid = _text(members, "kid")
    if kid is not None and not 0 < len(kid) <= KID_MAX_CHARS:
        raise error_for("key_malformed", "jwk.kid", f"1 to {KID_MAX_CHARS} characters", len(kid))
    if kid is not None and not is_text(kid):  # RFC 7493 s.2.1: a lone surrogate is no character
        raise error_for("key_malformed", "jwk.kid", "Unicode text", "a lone surrogate")
    use = _text(members, "use")
    if use is not None and use != "sig":  # RFC 7517 s.4.2: a key for encryption signs nothing
        of = " (of a SPIFFE bundle)" if use in ("jwt-svid", "x509-svid") else ""
        raise error_for("key_use_mismatch", "jwk.use", "sig", f"{use}{of}")
    crv, alg = _text(members, "crv"), _text(members, "alg")
    if kty in ("RSA", "oct", "AKP"):
        crv = None  # no member of these types: ignored as unknown
    _check_alg(kty, crv, alg)
    key_ops = _key_ops(members, kty, use, private=private)
    material = _material.read_public(kty, crv, alg, members)
    secret = _material.read_private(kty, crv, members) if private and kty != "oct" else ()
    names = thumbprints_of_members(members)
    key = JWK(
        kty=kty,
        crv=crv,
        alg=alg,
        kid=kid,
        use=use,
        key_ops=key_ops,
        material=material,
        private_material=secret,
        x5t=names.get("x5t"),
        x5t_s256=names.get("x5t#S256"),
        seal=_SEAL,
    )
    if secret:
        from rapidjws.jose import pyca_keys

        pyca_keys.check_pair(key)
    return key


def _text(members: Mapping[str, Any], name: str) -> str | None:
    """Return an optional string member."""
    if name not in members:
        return None
    value = members[name]
    if value is None:  # RFC 7517 s.4: a member that does not apply is left out
        raise error_for("key_malformed", f"jwk.{name}", "a string, or no member", "null: leave it out")
    if not isinstance(value, str):  # RFC 7517 s.4: these members are strings
        raise error_for("key_malformed", f"jwk.{name}", "a string", type(value).__name__)
    return value


def _check_alg(kty: str, crv: str | None, alg: str | None) -> None:
    """Refuse curves and algorithms that are unknown or do not fit the key's type."""
    if alg is not None and alg not in ALGORITHM_TABLE:  # RFC 7517 s.4.4: also every encryption algorithm
        raise error_for("key_unsupported", "jwk.alg", "a signature algorithm", alg)
    if kty == "AKP" and alg is None:  # RFC 9964: alg is required, it tells the parameter set
        raise error_for("key_malformed", "jwk.alg", "an ML-DSA algorithm")
    if kty in ("EC", "OKP"):
        if crv is None:  # RFC 7518 s.6.2.1.1, RFC 8037 s.2
            raise error_for("key_malformed", "jwk.crv", "a curve")
        if not algorithms_for_key(kty, crv, None):  # X25519 and the like agree on keys, they sign nothing
            raise error_for("key_unsupported", "jwk.crv", "a curve for signatures", crv)
    if alg is not None and not algorithms_for_key(kty, crv, alg):  # RFC 8725 s.3.1: one key, one purpose
        raise error_for("key_malformed", "jwk.alg", f"an algorithm of {crv or kty}", alg)


def _key_ops(
    members: Mapping[str, Any], kty: str, use: str | None, *, private: bool
) -> tuple[str, ...] | None:
    """Return the operations, checked against the one that the key is read for."""
    if "key_ops" not in members:
        return None
    value = members["key_ops"]
    if value is None:
        raise error_for("key_malformed", "jwk.key_ops", "an array, or no member", "null: leave it out")
    if not isinstance(value, list) or len(value) > KEY_OPS_MAX:  # RFC 7517 s.4.3: an array; bounded by us
        raise error_for("key_malformed", "jwk.key_ops", f"an array of at most {KEY_OPS_MAX} strings")
    if not all(isinstance(name, str) for name in value):
        raise error_for("key_malformed", "jwk.key_ops", "an array of strings")
    names = frozenset(value)
    if len(names) != len(value):  # RFC 7517 s.4.3: no duplicates
        raise error_for("key_malformed", "jwk.key_ops", "distinct operations")
    wanted = "sign" if private and kty != "oct" else "verify"
    if wanted not in names and not (private and kty == "oct" and "sign" in names):  # RFC 7517 s.4.3
        raise error_for("key_use_mismatch", "jwk.key_ops", wanted, tuple(value))
    if use is not None and not names <= _SIGNING_OPS:  # RFC 7517 s.4.3: use and key_ops are consistent
        raise error_for("key_use_mismatch", "jwk.key_ops", "operations of use sig", tuple(value))
    return tuple(value)
