"""DPoP (RFC 9449): the proof that whoever sends a token holds the key that the token is bound to."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from rapidjws import _native
from rapidjws._checks import check_range, checked
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose import json_text
from rapidjws.jose.jwa import ALGORITHM_TABLE
from rapidjws.jose.limits import NUMERIC_DATE_MAX_S
from rapidjws.jose.numeric_date import SECOND_NS, NumericDate, numeric_dates
from rapidjws.sender.dpop_nonce import DPoPNonces
from rapidjws.sender.http_uri import HttpUri, http_uri, request_path
from rapidjws.sender.proof_keys import ProofKey, ProofKeys
from rapidjws.stores.replay import MemoryReplayStore
from rapidjws.verify.arguments import checked_algorithms, names_of
from rapidjws.verify.protocols import ReplayStore, take_back

if TYPE_CHECKING:
    from rapidjws.sender.request import SenderRequest

DPOP_ALGORITHMS: Final = ("ES256", "ES384", "ES512", "EdDSA", "Ed25519", "PS256", "RS256")
"""Allowed by default: asymmetric, as s.4.3 no. 5 asks."""

PROOF_MAX_BYTES: Final = 16 * 1024
CLAIMS_MAX_BYTES: Final = 8 * 1024
JTI_MAX_BYTES: Final = 1024

_PLACE: Final = "dpop"


Found = tuple[bytes, dict[str, Any] | None, str, bytes | None]
"""The payload of a proof, its claims or None, the digest of its token (``ath``), and of its use or None."""

Proof = tuple[bytes, bytes, ProofKey, Found]
"""A proof whose signature is good: its header, all of it, its key, and what it holds."""


@checked(but=("external_origins", "algorithms"))
@dataclass(frozen=True, slots=True, kw_only=True)
class DPoP:
    """How DPoP proofs are checked.

    Args:
        external_origins: The URL under which clients reach the service, ``https://api.example.com``, with a
            path where a gateway strips one: what ``htu`` is compared with. Several where it goes by several
            names; then the request's Host chooses among them.
        algorithms: The algorithms that proofs may have; no symmetric one.
        max_age_s: Oldest ``iat`` of a proof, whole seconds, 1 to 3600.
        leeway_s: Difference of clocks forgiven on both sides, whole seconds, 0 to 300.
        replay: Where the ``jti`` of proofs are kept; by default in memory. One store for all workers.
        on_failure: ``"deny"`` answers 503 while the store cannot tell; ``"accept"`` lets pass.
        nonces: Nonces that are given out, or None.
        max_keys: Most keys of clients that are kept ready, 1 to 65 536.

    Raises:
        ConfigurationError: ``configuration_invalid``.

    Source: RFC 9449 s.4.3.
    """

    external_origins: str | Iterable[str]
    algorithms: Iterable[str] = DPOP_ALGORITHMS
    max_age_s: int = 60
    leeway_s: int = 10
    replay: ReplayStore | None = field(default=None, repr=False)
    on_failure: Literal["deny", "accept"] = "deny"
    nonces: DPoPNonces | None = None
    max_keys: int = 1024
    _origins: tuple[HttpUri, ...] = field(init=False, repr=False, compare=False, default=())
    _prefix: str | None = field(init=False, repr=False, compare=False, default=None)
    _keys: ProofKeys = field(init=False, repr=False, compare=False)
    _store: ReplayStore = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check every argument once."""
        put = object.__setattr__
        names = names_of(self.external_origins, "dpop.external_origins")
        put(self, "external_origins", names)
        put(self, "_origins", tuple(_origin(name) for name in names))
        if not names or len({_authority(one) for one in self._origins}) < len(names):
            raise error_for("configuration_invalid", "dpop.external_origins", "a URL for each host, once")
        algorithms = checked_algorithms(self.algorithms)
        for alg in algorithms:
            if ALGORITHM_TABLE[alg].kty == "oct":
                raise error_for("configuration_invalid", "dpop.algorithms", "asymmetric algorithms", alg)
        put(self, "algorithms", algorithms)
        check_range("dpop.max_age_s", self.max_age_s, 1, 3600)
        check_range("dpop.leeway_s", self.leeway_s, 0, 300)
        check_range("dpop.max_keys", self.max_keys, 1, 65_536)
        if self.on_failure not in ("deny", "accept"):
            raise error_for("configuration_invalid", "dpop.on_failure", expected=("deny", "accept"))
        if len(self._origins) == 1:
            put(self, "_prefix", self._origins[0].origin + self._origins[0].path.rstrip("/"))
        put(self, "_store", MemoryReplayStore() if self.replay is None else self.replay)
        put(self, "_keys", ProofKeys(algorithms, self.max_keys))

    @property
    def blocking(self) -> bool:
        """Return whether a check may wait for another machine."""
        return self._store.blocking

    @property
    def challenge_algorithms(self) -> str:
        """Return the algorithms as a challenge names them (s.7.1)."""
        return " ".join(self.algorithms)

    def nonce(self, now_ns: int) -> str | None:
        """Return the nonce that is given out now, or None."""
        return None if self.nonces is None else self.nonces.issue(now_ns)

    def _verify_one(
        self, request: SenderRequest, snapshot: Any, token: bytes, now_ns: int
    ) -> tuple[Any, Proof | None]:
        """Verify a token as ``snapshot.verify_one`` does, and its proof in the same call of the core.

        Args:
            request: The request, with the one proof that it carries.
            snapshot: Of the engine.
            token: The token, the octets of ``request.token``.
            now_ns: The moment its dates are compared with, nanoseconds since the epoch.

        Returns:
            What ``snapshot.verify_one`` gives, and what ``refusal`` takes: None where the proof's key is not
            known yet, or a signature not good.
        """
        proof = request.proofs[0].strip(b" \t")
        header = proof[: proof.find(b".")]
        key = self._keys.known(header)
        if key is None or key.slot is None or len(proof) > PROOF_MAX_BYTES or proof.__class__ is not bytes:
            return snapshot.verify_one(token, now_ns), None
        result, found = snapshot.verify_sent(token, now_ns, proof, key.slot, key.uses)
        return result, None if found is None else (header, proof, key, found)

    def refusal(
        self, request: SenderRequest, thumbprint: str, now_ns: int, proved: Proof | None = None
    ) -> RapidJWSError | None:
        """Return why a proof does not hold for a request and a key, or None; then its use is recorded.

        Args:
            request: The request, with the one proof that it carries.
            thumbprint: ``cnf.jkt`` of the verified token.
            now_ns: Nanoseconds since the epoch.
            proved: What ``_verify_one`` found of the same request, or None.
        """
        try:
            entry = self._checked(request, thumbprint, now_ns, proved or self._proved(request, thumbprint))
        except RapidJWSError as refused:
            return refused.with_traceback(None)
        return self._recorded(entry)

    def _proved(self, request: SenderRequest, thumbprint: str) -> Proof:
        """Verify the signature of a proof by the key that it carries, and that the token is bound to."""
        (proof,) = request.proofs
        proof = bytes(proof).strip(b" \t")
        parts = proof.split(b".")
        if len(proof) > PROOF_MAX_BYTES or len(parts) != 3:
            raise error_for("dpop_proof_invalid", _PLACE, expected="one compact JWS")
        header, payload, signature = parts
        key = self._keys.key_of(header)
        if not hmac.compare_digest(key.thumbprint, thumbprint):  # s.4.3 no. 12b
            raise error_for("binding_mismatch", "claims.cnf.jkt", expected="the proof's key")
        octets, claimed = _native.b64url_decode(payload), _native.b64url_decode(signature)
        if octets is None or claimed is None:
            raise error_for("dpop_proof_invalid", _PLACE, expected="base64url")
        if not key.verify(b"%b.%b" % (header, payload), claimed):
            raise error_for("dpop_proof_invalid", "dpop.signature", expected="a signature by the jwk")
        ath = urlsafe_b64encode(hashlib.sha256(request.token).digest()).rstrip(b"=").decode("ascii")
        return header, proof, key, (octets, None, ath, None)

    def _checked(
        self, request: SenderRequest, thumbprint: str, now_ns: int, proof: Proof
    ) -> tuple[bytes, int]:
        """Check all that a proof says whose signature is good; return its entry for the store."""
        header, octets, key, (payload, claims, ath, use) = proof
        if not hmac.compare_digest(key.thumbprint, thumbprint):  # s.4.3 no. 12b
            raise error_for("binding_mismatch", "claims.cnf.jkt", expected="the proof's key")
        self._keys.note(header, key, octets)
        if claims is None:
            claims = _claims_of(payload)
        self._check_request(claims, request)
        if claims.get("ath") != ath:  # no. 12a
            raise error_for("dpop_proof_invalid", "dpop.ath", expected="the digest of the token")
        life_s = self._life_s(claims, payload, now_ns)
        if self.nonces is not None:
            self._check_nonce(self.nonces, claims, now_ns)
        return use or hashlib.sha256(key.uses + _jti(claims)).digest(), life_s

    def _check_request(self, claims: dict[str, Any], request: SenderRequest) -> None:
        """Compare method and URI (s.4.3 no. 8 and 9)."""
        if not request.method:
            raise error_for("dpop_proof_invalid", "dpop.htm", "a request whose method is known")
        if claims.get("htm") != request.method:  # RFC 9110 s.9.1: case-sensitive
            raise error_for("dpop_proof_invalid", "dpop.htm", expected="the request's method")
        htu = claims.get("htu")
        path = None if request.path is None else request_path(request.path)
        if path is not None and self._prefix is not None and htu == self._prefix + path:
            return  # as it is written: nothing to normalize
        uri = http_uri(htu) if isinstance(htu, str) else None
        if uri is None or path is None or not self._is_uri_of(uri, path, request):
            raise error_for("dpop_proof_invalid", "dpop.htu", expected="the request's URI")

    def _is_uri_of(self, uri: HttpUri, path: str, request: SenderRequest) -> bool:
        """Return whether a proof's URI is that of a request; a query in it must be the request's own."""
        origin = self._origins[0] if len(self._origins) == 1 else self._origin_of(request)
        if origin is None:
            return False
        if uri.query is not None and (request.query is None or uri.query != request.query.decode("latin-1")):
            return False
        if uri.origin != origin.origin:
            return False
        return uri.path == (path if origin.path == "/" else origin.path.rstrip("/") + path)

    def _origin_of(self, request: SenderRequest) -> HttpUri | None:
        """Return the external URL that a request's one Host names."""
        if len(request.hosts) != 1:
            return None
        host = request.hosts[0].decode("latin-1").lower()
        for origin in self._origins:
            scheme, _, authority = origin.origin.partition("://")
            if host in (authority, f"{authority}:{'443' if scheme == 'https' else '80'}"):
                return origin
        return None

    def _life_s(self, claims: dict[str, Any], octets: bytes, now_ns: int) -> int:
        """Return how long a proof must be remembered, in seconds, and refuse one out of its time (no. 11)."""
        leeway_ns, stated = self.leeway_s * SECOND_NS, claims.get("iat")
        if stated.__class__ is int and 0 < stated <= NUMERIC_DATE_MAX_S:
            floor_ns = ceil_ns = stated * SECOND_NS
        else:
            iat = _date(claims, octets, "iat")
            if iat is None:
                raise error_for("dpop_proof_invalid", "dpop.iat", expected="a NumericDate")
            floor_ns, ceil_ns = iat
        end_ns = ceil_ns + self.max_age_s * SECOND_NS + leeway_ns
        if floor_ns > now_ns + leeway_ns or end_ns <= now_ns:
            raise error_for("dpop_proof_invalid", "dpop.iat", f"at most {self.max_age_s} seconds ago")
        if "exp" in claims or "nbf" in claims:  # RFC 7519 s.4.1.4 and s.4.1.5: of any JWT
            exp, nbf = _date(claims, octets, "exp"), _date(claims, octets, "nbf")
            if exp is not None and exp.ceil_ns + leeway_ns <= now_ns:
                raise error_for("dpop_proof_invalid", "dpop.exp", expected="later than now")
            if nbf is not None and nbf.floor_ns > now_ns + leeway_ns:
                raise error_for("dpop_proof_invalid", "dpop.nbf", expected="not later than now")
        return -(-(end_ns - now_ns) // SECOND_NS) + self.leeway_s + 1

    @staticmethod
    def _check_nonce(nonces: DPoPNonces, claims: dict[str, Any], now_ns: int) -> None:
        """Refuse a nonce that does not hold now, and a missing one where it is required (no. 10)."""
        nonce = claims.get("nonce")
        if nonce is None and not nonces.required:
            return
        if not isinstance(nonce, str) or not nonces.accepts(nonce, now_ns):
            raise error_for("dpop_nonce_required", "dpop.nonce")

    def _recorded(self, entry: tuple[bytes, int]) -> RapidJWSError | None:
        """Record the use of a good proof; return that it was used before, or that nobody can tell."""
        try:
            (fresh,) = self._store.record([entry])
        except Exception:
            fresh = None
        if fresh is None:
            take_back(self._store, [entry[0]])  # a client may send it again after a 503
        if fresh is True or (fresh is None and self.on_failure == "accept"):
            return None
        return error_for("replay_store_unavailable" if fresh is None else "dpop_proof_replayed", "dpop.jti")


def _claims_of(octets: bytes) -> dict[str, Any]:
    try:
        claims = json_text.loads(
            octets, max_bytes=CLAIMS_MAX_BYTES, max_depth=8, max_members=64, place="claims"
        )
    except RapidJWSError as refused:
        raise error_for("dpop_proof_invalid", "dpop.claims", actual=refused.code) from None
    if not isinstance(claims, dict):
        raise error_for("dpop_proof_invalid", "dpop.claims", expected="a JSON object")
    return claims


def _date(claims: dict[str, Any], octets: bytes, name: str) -> NumericDate | None:
    """Return a date of a proof, or None where it has none; raises PolicyRefused."""
    stated = claims.get(name)
    if stated is None:
        return None
    found = None
    if isinstance(stated, (int, float)) and not isinstance(stated, bool):
        found = numeric_dates(claims, lambda: octets, (name,))[name]
    if found is None:
        raise error_for("dpop_proof_invalid", f"dpop.{name}", expected="a NumericDate")
    return found


def _jti(claims: dict[str, Any]) -> bytes:
    jti = claims.get("jti")
    octets = jti.encode("utf-8", "surrogatepass") if isinstance(jti, str) else b""
    if not 0 < len(octets) <= JTI_MAX_BYTES:
        raise error_for("dpop_proof_invalid", "dpop.jti", expected=f"1 to {JTI_MAX_BYTES} bytes of text")
    return octets


def _origin(name: str) -> HttpUri:
    """Return an external URL; raises ConfigurationError."""
    found = http_uri(name)
    if found is None or found.query is not None or "#" in name:
        raise error_for(
            "configuration_invalid", "dpop.external_origins", "a URL, https://api.example.com", name
        )
    return found


def _authority(origin: HttpUri) -> str:
    return origin.origin.partition("://")[2]
