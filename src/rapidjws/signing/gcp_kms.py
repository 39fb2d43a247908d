"""A signer whose key is in Google Cloud KMS; needs the extra ``gcp``."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from rapidjws._checks import check_range, checked
from rapidjws._secret_frames import keeps_secrets
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose.jwa import ALGORITHM_TABLE
from rapidjws.jose.jwk import JWK
from rapidjws.signing.backend import (
    BackendSigner,
    Check,
    SignerLimits,
    refused,
    signature_from_der,
    unavailable,
)

_NAMES: Final = {
    "ES256": r"EC_SIGN_P256_SHA256",
    "ES384": r"EC_SIGN_P384_SHA384",
    "ES256K": r"EC_SIGN_SECP256K1_SHA256",
    "RS256": r"RSA_SIGN_PKCS1_\d+_SHA256",
    "RS512": r"RSA_SIGN_PKCS1_\d+_SHA512",
    "PS256": r"RSA_SIGN_PSS_\d+_SHA256",
    "PS512": r"RSA_SIGN_PSS_\d+_SHA512",
}
_THROTTLED: Final = frozenset({"ResourceExhausted", "TooManyRequests"})
_REFUSED: Final = frozenset(
    {"PermissionDenied", "Forbidden", "Unauthenticated", "Unauthorized", "NotFound", "InvalidArgument",
     "BadRequest", "FailedPrecondition"}
)  # fmt: skip
_PLACE: Final = "gcp_kms"
PER_SECOND: Final = 50.0
"""Calls a second that are granted to asymmetric keys of one project where nothing else was agreed on."""


class GcpKmsSigner(BackendSigner):
    """A signer by one version of an asymmetric key in Google Cloud KMS.

    Args:
        version: ``projects/../locations/../keyRings/../cryptoKeys/../cryptoKeyVersions/..``.
        alg: The JWS algorithm.
        client: A ``google.cloud.kms.KeyManagementServiceClient``, or None for one by the environment.
        kid: The kid; None for the thumbprint.
        check: How many signatures are verified before they leave.
        timeout_s: For one call.
        per_second: The quota.

    Raises:
        ImportError: google-cloud-kms is not installed.
        ConfigurationError: ``signer_refused``: no such key, a key of another algorithm, or no permission.
        DependencyUnavailable: ``signer_unavailable``, ``signer_throttled``.
        InternalError: ``signature_faulty``: octets that were changed on their way.
    """

    @keeps_secrets
    @checked
    def __init__(
        self,
        version: str,
        alg: str,
        *,
        client: Any = None,
        kid: str | None = None,
        check: Check = "always",
        timeout_s: float = 2.0,
        per_second: float = PER_SECOND,
    ) -> None:
        if alg not in _NAMES:
            raise error_for("configuration_invalid", "alg", tuple(_NAMES), alg)
        check_range("timeout_s", timeout_s, 0.05, 60)
        check_range("per_second", per_second, 0.1, 1e6)
        self._client = _client() if client is None else client
        self._version = version
        self._timeout_s = timeout_s
        public = self._public_key(alg)
        limits = SignerLimits(concurrent=32, per_second=per_second)
        super().__init__(alg=alg, public=public, kid=kid, check=check, limits=limits)

    def _public_key(self, alg: str) -> JWK:
        import re

        found = self._call("get_public_key", {"name": self._version})
        name = getattr(found.algorithm, "name", str(found.algorithm))
        if not re.fullmatch(_NAMES[alg], name):
            raise refused(_PLACE, f"a key for {alg}", name)
        return JWK.from_pem(found.pem)

    def _signature(self, signing_input: bytes) -> bytes:
        row = ALGORITHM_TABLE[self.alg]
        digest = hashlib.new(str(row.digest), signing_input).digest()
        request = {"name": self._version, "digest": {str(row.digest): digest}}
        answered = self._call("asymmetric_sign", request)
        if answered.name != self._version:
            raise error_for("signature_faulty", _PLACE, "a signature of the version that was named")
        signature = bytes(answered.signature)
        return signature_from_der(signature, self.alg) if row.kind == "ecdsa" else signature

    def _call(self, name: str, request: dict[str, Any]) -> Any:
        try:
            return getattr(self._client, name)(request=request, timeout=self._timeout_s, retry=None)
        except Exception as fault:
            raise _error_of(fault) from None


def _client() -> Any:
    try:
        from google.cloud import kms
    except ImportError as missing:
        raise ImportError("keys in Google Cloud KMS need: pip install 'rapidjws[gcp]'") from missing
    return kms.KeyManagementServiceClient()


def _error_of(fault: Exception) -> RapidJWSError:
    """Return our error for one of Google's; of its text only the class is shown."""
    names = {one.__name__ for one in type(fault).__mro__}
    if names & _THROTTLED:
        return error_for("signer_throttled", _PLACE, actual=type(fault).__name__)
    if names & _REFUSED:
        return refused(_PLACE, "cloudkms.signer on an enabled version of a key", type(fault).__name__)
    return unavailable(_PLACE, type(fault).__name__)
