"""A signer whose key is in AWS KMS; needs the extra ``aws``."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

from rapidjws._checks import check_range, checked
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
    "RS256": "RSASSA_PKCS1_V1_5_SHA_256",
    "RS384": "RSASSA_PKCS1_V1_5_SHA_384",
    "RS512": "RSASSA_PKCS1_V1_5_SHA_512",
    "PS256": "RSASSA_PSS_SHA_256",
    "PS384": "RSASSA_PSS_SHA_384",
    "PS512": "RSASSA_PSS_SHA_512",
    "ES256": "ECDSA_SHA_256",
    "ES384": "ECDSA_SHA_384",
    "ES512": "ECDSA_SHA_512",
    "ES256K": "ECDSA_SHA_256",
}
RAW_MAX_BYTES: Final = 4096
"""Largest message that KMS hashes itself; a longer one is hashed here."""

_THROTTLED: Final = frozenset({"ThrottlingException", "LimitExceededException", "TooManyRequestsException"})
_DOWN: Final = frozenset({"KMSInternalException", "DependencyTimeoutException", "KeyUnavailableException"})
_PLACE: Final = "aws_kms"
PER_SECOND: Final = 300.0


class AwsKmsSigner(BackendSigner):
    """A signer by AWS KMS.

    Args:
        key_id: The key's id, ARN or alias; for several regions that of a multi-Region key.
        alg: The JWS algorithm.
        regions: Regions, the first one first; another is tried where one does not answer or throttles.
        message: ``"RAW"``: KMS hashes, up to RAW_MAX_BYTES; ``"DIGEST"``: the digest alone leaves this
            process.
        kid: The kid; None for the thumbprint.
        check: How many signatures are verified before they leave.
        timeout_s: For one call in one region.
        per_second: The quota of the account in a region.
        client_for: Gives a boto3 client for a region, for endpoints and credentials of your own.

    Raises:
        ImportError: boto3 is not installed.
        ConfigurationError: ``signer_refused``: the key is of another type or usage, disabled, or not ours.
        DependencyUnavailable: ``signer_unavailable``, ``signer_throttled``.
    """

    @checked
    def __init__(
        self,
        key_id: str,
        alg: str,
        *,
        regions: Sequence[str],
        message: Literal["RAW", "DIGEST"] = "RAW",
        kid: str | None = None,
        check: Check = "always",
        timeout_s: float = 2.0,
        per_second: float = PER_SECOND,
        client_for: Callable[[str], Any] | None = None,
    ) -> None:
        if alg not in _NAMES:
            raise error_for("configuration_invalid", "alg", tuple(_NAMES), alg)
        if not regions:
            raise error_for("configuration_invalid", "regions", "at least one")
        check_range("timeout_s", timeout_s, 0.05, 60)
        check_range("per_second", per_second, 0.1, 1e6)
        self._key_id = key_id
        self._message = message
        self._clients = kms_clients(regions, timeout_s, client_for)
        public = self._public_key(alg)
        limits = SignerLimits(concurrent=50, per_second=per_second)
        super().__init__(alg=alg, public=public, kid=kid, check=check, limits=limits)

    def _public_key(self, alg: str) -> JWK:
        """Return the public key; refuse one that is not meant for this."""
        found = self._call("get_public_key", KeyId=self._key_id)
        if found.get("KeyUsage") != "SIGN_VERIFY":
            raise refused(_PLACE, "a key with KeyUsage SIGN_VERIFY", str(found.get("KeyUsage")))
        offered = tuple(found.get("SigningAlgorithms", ()))
        if _NAMES[alg] not in offered:
            raise refused(_PLACE, f"a key for {_NAMES[alg]}", ", ".join(offered))
        return JWK.from_der(found["PublicKey"])

    def _signature(self, signing_input: bytes) -> bytes:
        row = ALGORITHM_TABLE[self.alg]
        message, kind = signing_input, self._message
        if kind == "DIGEST" or len(signing_input) > RAW_MAX_BYTES:
            message, kind = hashlib.new(str(row.digest), signing_input).digest(), "DIGEST"
        answered = self._call(
            "sign",
            KeyId=self._key_id,
            Message=message,
            MessageType=kind,
            SigningAlgorithm=_NAMES[self.alg],
        )
        signature = bytes(answered["Signature"])
        return signature_from_der(signature, self.alg) if row.kind == "ecdsa" else signature

    def _call(self, name: str, **arguments: Any) -> Any:
        return call_kms(self._clients, name, **arguments)


def kms_clients(
    regions: Sequence[str], timeout_s: float, client_for: Callable[[str], Any] | None = None
) -> list[tuple[str, Any]]:
    """Return a client of each region.

    Raises:
        ImportError: boto3 is not installed.
        ConfigurationError: ``configuration_invalid``: a name that no region has.
    """
    make = client_for or _maker(timeout_s)
    try:
        return [(one, make(one)) for one in regions]
    except Exception as fault:  # botocore's errors are many; this is before any call
        raise error_for(
            "configuration_invalid", "regions", "names of regions", type(fault).__name__
        ) from None


def call_kms(clients: Sequence[tuple[str, Any]], name: str, **arguments: Any) -> Any:
    """Call one region after the other, until one answers or refuses.

    Raises:
        ConfigurationError: ``signer_refused``.
        DependencyUnavailable: ``signer_unavailable``, ``signer_throttled``.
    """
    last: RapidJWSError = unavailable(_PLACE, "no region")
    for region, client in clients:
        try:
            return getattr(client, name)(**arguments)
        except Exception as fault:
            last = _error_of(fault, region)
            if last.code == "signer_refused":
                break
    raise last from None


def _maker(timeout_s: float) -> Callable[[str], Any]:
    try:
        import boto3
        from botocore.config import Config
    except ImportError as missing:
        raise ImportError("keys in AWS KMS need: pip install 'rapidjws[aws]'") from missing
    settings = Config(
        connect_timeout=timeout_s,
        read_timeout=timeout_s,
        retries={"total_max_attempts": 1},  # a queue retries, which knows the deadline
        max_pool_connections=50,
    )
    return lambda region: boto3.client("kms", region_name=region, config=settings)


def _error_of(fault: Exception, region: str) -> RapidJWSError:
    """Return our error for one of botocore's; of its text only the code is shown."""
    response = getattr(fault, "response", None)
    if not isinstance(response, dict):
        return unavailable(f"{_PLACE} in {region}", type(fault).__name__)
    code = str(response.get("Error", {}).get("Code", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _THROTTLED:
        return error_for("signer_throttled", f"{_PLACE} in {region}", actual=code)
    if status >= 500 or code in (
        "KMSInternalException",
        "DependencyTimeoutException",
        "KeyUnavailableException",
    ):
        return unavailable(f"{_PLACE} in {region}", code)
    return refused(f"{_PLACE} in {region}", "kms:Sign and kms:GetPublicKey on an enabled key", code)
