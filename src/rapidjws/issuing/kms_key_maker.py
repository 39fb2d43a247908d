"""A maker whose private keys are in AWS KMS: each rotation makes a key there; needs the extra ``aws``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from rapidjws._checks import check_range, checked
from rapidjws.errors import ConfigurationError, error_for
from rapidjws.issuing.key_checks import TRIAL
from rapidjws.issuing.key_maker import NewKey
from rapidjws.issuing.state import SigningKey
from rapidjws.signing.aws_kms import AwsKmsSigner, call_kms, kms_clients
from rapidjws.signing.signer import Signer

_SPECS: Final = {
    "ES256": "ECC_NIST_P256",
    "ES384": "ECC_NIST_P384",
    "ES512": "ECC_NIST_P521",
    "ES256K": "ECC_SECG_P256K1",
}
DELETED_AFTER_DAYS: Final = 7
"""What KMS waits at least until a key is destroyed; until then an operator can take that back."""


class AwsKmsKeyMaker:
    """Makes each key in KMS, which never gives its private half.

    Args:
        regions: Regions in the order in which they are tried; keys are made in the first one.
        rsa_bits: Modulus size for RS and PS: 2048, 3072 or 4096.
        description: Of the keys, for whoever looks at the account.
        timeout_s: For one call.
        client_for: Makes a client of a region; None for boto3's.

    Raises:
        ImportError: boto3 is not installed.
        ConfigurationError: ``configuration_invalid``.
    """

    @checked
    def __init__(
        self,
        regions: Sequence[str],
        *,
        rsa_bits: int = 2048,
        description: str = "rapidjws issuer",
        timeout_s: float = 5.0,
        client_for: Callable[[str], Any] | None = None,
    ) -> None:
        if not regions:
            raise error_for("configuration_invalid", "issuing.kms_regions", "at least one")
        if rsa_bits not in (2048, 3072, 4096):
            raise error_for("configuration_invalid", "issuing.rsa_bits", "2048, 3072 or 4096", rsa_bits)
        check_range("timeout_s", timeout_s, 0.05, 60)
        self._regions = tuple(regions)
        self._rsa_bits = rsa_bits
        self._description = description
        try:
            clients = dict(kms_clients(regions, timeout_s, client_for))
        except ConfigurationError as refused:
            raise error_for(refused.code, "issuing.kms_regions", refused.expected, refused.actual) from None
        self._unfinished: dict[
            str, str
        ] = {}  # alg -> a key that could not be used: the next one, not one more
        self._first = ((self._regions[0], clients[self._regions[0]]),)
        self._client_for: Callable[[str], Any] = clients.__getitem__

    @checked
    def make(self, alg: str) -> NewKey:
        """Make a key pair in KMS that signs; its kid is the RFC 7638 thumbprint.

        Raises:
            ConfigurationError: ``configuration_invalid``: KMS has no such algorithm; ``signer_refused``.
            DependencyUnavailable: ``signer_unavailable``, ``signer_throttled``.
        """
        spec = _SPECS.get(alg) or (f"RSA_{self._rsa_bits}" if alg[:2] in ("RS", "PS") else None)
        if spec is None:
            raise error_for("configuration_invalid", "alg", "ES256, ES384, ES512, ES256K, RS or PS", alg)
        reference = self._unfinished.get(alg)
        if reference is None:
            made = call_kms(
                self._first, "create_key", KeySpec=spec, KeyUsage="SIGN_VERIFY", Description=self._description
            )
            reference = self._unfinished[alg] = str(made["KeyMetadata"]["KeyId"])
        signer = self._signer(reference, alg, None)
        signer.sign(TRIAL)  # a right that is missing is found before the key is published
        del self._unfinished[alg]
        return NewKey(signer.public_jwk, reference)

    @checked
    def signer(self, key: SigningKey) -> Signer:
        """Return the signer for a key of the state.

        Raises:
            KeyRefused: ``key_malformed``: KMS has another key under this reference.
            ConfigurationError: ``signer_refused``.
            DependencyUnavailable: ``signer_unavailable``, ``signer_throttled``.
        """
        made = self._signer(key.reference, key.alg, key.kid)
        if made.public_jwk.thumbprint() != key.public().thumbprint():
            raise error_for("key_malformed", "issuing.kms_regions", f"the key {key.kid}", "another key")
        return made

    @checked
    def remove(self, key: SigningKey) -> None:
        """Have KMS destroy a key after its waiting period.

        Raises:
            ConfigurationError: ``signer_refused``.
            DependencyUnavailable: ``signer_unavailable``, ``signer_throttled``.
        """
        call_kms(
            self._first,
            "schedule_key_deletion",
            KeyId=key.reference,
            PendingWindowInDays=DELETED_AFTER_DAYS,
        )

    def _signer(self, reference: str, alg: str, kid: str | None) -> AwsKmsSigner:
        return AwsKmsSigner(reference, alg, regions=self._regions, kid=kid, client_for=self._client_for)
