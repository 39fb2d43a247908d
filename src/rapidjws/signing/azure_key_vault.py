"""A signer whose key is in Azure Key Vault or a Managed HSM; needs the extra ``azure``."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from rapidjws import _native
from rapidjws._checks import check_range, checked
from rapidjws._secret_frames import keeps_secrets
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose.jwa import ALGORITHM_TABLE
from rapidjws.jose.jwk import JWK
from rapidjws.signing.backend import BackendSigner, Check, SignerLimits, refused, unavailable

ALGORITHMS: Final = tuple("ES256 ES384 ES512 ES256K RS256 RS384 RS512 PS256 PS384 PS512".split())
_CURVES: Final = {"P-256K": "secp256k1"}
"""Key Vault's name of a curve -> that of RFC 8812."""

_REFUSED: Final = frozenset({400, 401, 403, 404, 409})
_PLACE: Final = "azure_key_vault"
PER_SECOND: Final = 200.0
"""Software keys of a vault: 4 000 transactions in ten seconds are granted, to keys in an HSM fewer."""


class AzureKeyVaultSigner(BackendSigner):
    """A signer by one version of a key in Key Vault.

    Args:
        vault_url: ``https://NAME.vault.azure.net``.
        key_name: The key's name.
        alg: The JWS algorithm.
        credential: A credential of azure-identity, or anything with its ``get_token``.
        version: The key's version; None for the latest one of this moment, which is then kept.
        kid: The kid; None for the thumbprint.
        check: How many signatures are verified before they leave.
        timeout_s: For one call.
        per_second: The quota.
        client_settings: For the clients of azure-keyvault-keys, such as ``transport``.

    Raises:
        ImportError: azure-keyvault-keys is not installed.
        ConfigurationError: ``signer_refused``: no such key, a key of another type, or no permission.
        DependencyUnavailable: ``signer_unavailable``, ``signer_throttled``.
    """

    @keeps_secrets
    @checked
    def __init__(
        self,
        vault_url: str,
        key_name: str,
        alg: str,
        *,
        credential: Any,
        version: str | None = None,
        kid: str | None = None,
        check: Check = "always",
        timeout_s: float = 2.0,
        per_second: float = PER_SECOND,
        client_settings: dict[str, Any] | None = None,
    ) -> None:
        if alg not in ALGORITHMS:
            raise error_for("configuration_invalid", "alg", ALGORITHMS, alg)
        if not vault_url.startswith("https://"):
            raise error_for("configuration_invalid", "vault_url", "an https URL")
        check_range("timeout_s", timeout_s, 0.05, 60)
        check_range("per_second", per_second, 0.1, 1e6)
        try:
            from azure.keyvault.keys import KeyClient
            from azure.keyvault.keys.crypto import CryptographyClient
        except ImportError as missing:
            raise ImportError("keys in Azure Key Vault need: pip install 'rapidjws[azure]'") from missing
        settings: dict[str, Any] = {
            "retry_total": 0,  # a queue retries, which knows the deadline
            "connection_timeout": timeout_s,
            "read_timeout": timeout_s,
            **(client_settings or {}),
        }
        keys: Any = _made(lambda: KeyClient(vault_url, credential, **settings))
        key = _guarded(lambda: keys.get_key(key_name, version))
        public = _public_key(key, alg)
        # by the key's identifier, not by the key: with the key at hand the client would do things itself
        self._client: Any = _made(lambda: CryptographyClient(key.id, credential, **settings))
        limits = SignerLimits(concurrent=32, per_second=per_second)
        super().__init__(alg=alg, public=public, kid=kid, check=check, limits=limits)

    def _signature(self, signing_input: bytes) -> bytes:
        digest = hashlib.new(str(ALGORITHM_TABLE[self.alg].digest), signing_input).digest()
        answered = _guarded(lambda: self._client.sign(self.alg, digest))
        return bytes(answered.signature)  # R || S for curves, as RFC 7518 has it


def _made(make: Any) -> Any:
    try:
        return make()
    except (TypeError, ValueError):
        raise error_for("configuration_invalid", "credential", "a credential of azure-identity") from None


def _public_key(key: Any, alg: str) -> JWK:
    """Return the public half of a key of Key Vault."""
    found = key.key
    kind = str(getattr(found.kty, "value", found.kty)).removesuffix("-HSM")
    operations = {str(getattr(one, "value", one)) for one in (found.key_ops or ())}
    wanted = "EC" if alg.startswith("ES") else "RSA"
    if kind != wanted or (operations and "sign" not in operations):
        raise refused(_PLACE, f"a key of type {wanted} with the operation sign", kind)
    crv = str(getattr(found.crv, "value", found.crv))
    numbers = {"kty": "RSA", "n": found.n, "e": found.e}
    if kind == "EC":
        numbers = {"kty": "EC", "crv": _CURVES.get(crv, crv), "x": found.x, "y": found.y}
    members = {
        name: value if isinstance(value, str) else _native.b64url_encode(bytes(value)).decode()
        for name, value in numbers.items()
    }
    public = JWK.from_json(members)
    if alg not in public.algorithms:
        raise refused(_PLACE, f"a key for {alg}", crv if kind == "EC" else kind)
    return public


def _guarded(call: Any) -> Any:
    try:
        return call()
    except Exception as fault:
        raise _error_of(fault) from None


def _error_of(fault: Exception) -> RapidJWSError:
    """Return our error for one of Azure's; of its text only class and status are shown."""
    status = getattr(fault, "status_code", None)
    shown = type(fault).__name__ if status is None else f"{type(fault).__name__} {status}"
    if status == 429:
        return error_for("signer_throttled", _PLACE, actual=shown)
    if status in _REFUSED or type(fault).__name__ == "ClientAuthenticationError":
        return refused(_PLACE, "get and sign on an enabled key", shown)
    return unavailable(_PLACE, shown)
