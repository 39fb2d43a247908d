"""A signer whose key is in the transit engine of OpenBao or HashiCorp Vault; needs the extra ``vault``."""

from __future__ import annotations

import base64
from typing import Any, Final

from rapidjws import _native
from rapidjws._checks import check_range, checked
from rapidjws._secret_frames import keeps_secrets
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose.jwk import JWK
from rapidjws.signing.backend import BackendSigner, Check, SignerLimits, refused, unavailable

ALGORITHMS: Final = tuple("ES256 ES384 ES512 EdDSA Ed25519 RS256 RS384 RS512 PS256 PS384 PS512".split())
_PLACE: Final = "vault"


class VaultSigner(BackendSigner):
    """A signer by the transit engine.

    Args:
        url: The server's address.
        key_name: The key's name.
        alg: The JWS algorithm.
        token: A token that may read the key and sign by it.
        version: The key's version; None for the latest one of this moment, which is then kept.
        mount: Where the engine is mounted.
        kid: The kid; None for the thumbprint.
        check: How many signatures are verified before they leave.
        timeout_s: For one call.
        ca: PEM file of the only authorities trusted; None for the system's.

    Raises:
        ImportError: hvac is not installed.
        ConfigurationError: ``signer_refused``: no such key, a key of another type, or no permission.
        DependencyUnavailable: ``signer_unavailable``, ``signer_throttled``.
    """

    @keeps_secrets
    @checked
    def __init__(
        self,
        url: str,
        key_name: str,
        alg: str,
        *,
        token: str,
        version: int | None = None,
        mount: str = "transit",
        kid: str | None = None,
        check: Check = "always",
        timeout_s: float = 2.0,
        ca: str | None = None,
    ) -> None:
        if alg not in ALGORITHMS:
            raise error_for("configuration_invalid", "alg", ALGORITHMS, alg)
        check_range("timeout_s", timeout_s, 0.05, 60)
        try:
            import hvac
            import requests
        except ImportError as missing:
            raise ImportError("keys in OpenBao or Vault need: pip install 'rapidjws[vault]'") from missing
        self._hvac: Any = hvac
        self._network_errors: tuple[type[BaseException], ...] = (requests.RequestException, OSError)
        self._client = hvac.Client(
            url=url, token=token, timeout=timeout_s, verify=ca or True, allow_redirects=False
        )
        self._key_name = key_name
        self._mount = mount
        version, public = self._public_key(version)
        self._version = version
        super().__init__(alg=alg, public=public, kid=kid, check=check, limits=SignerLimits(concurrent=32))

    def _public_key(self, version: int | None) -> tuple[int, JWK]:
        transit = self._client.secrets.transit
        found = self._guarded(lambda: transit.read_key(self._key_name, mount_point=self._mount))["data"]
        if not found.get("supports_signing"):
            raise refused(_PLACE, "a key that signs", str(found.get("type")))
        chosen = version or int(found["latest_version"])
        row = found["keys"].get(str(chosen))
        if not isinstance(row, dict) or not row.get("public_key"):
            raise refused(_PLACE, f"version {chosen} of the key, with a public half", str(found.get("type")))
        text = row["public_key"]
        if "-----BEGIN" in text:
            return chosen, JWK.from_pem(text)
        x = _native.b64url_encode(base64.b64decode(text)).decode()  # Ed25519 comes bare
        return chosen, JWK.from_json({"kty": "OKP", "crv": "Ed25519", "x": x})

    def _signature(self, signing_input: bytes) -> bytes:
        settings: dict[str, Any] = {"key_version": self._version, "marshaling_algorithm": "jws"}
        if self.alg[:2] in ("ES", "RS", "PS"):
            settings["hash_algorithm"] = f"sha2-{self.alg[2:]}"
        if self.alg[:2] in ("RS", "PS"):
            settings["signature_algorithm"] = "pkcs1v15" if self.alg.startswith("RS") else "pss"
        if self.alg.startswith("PS"):
            settings["salt_length"] = "hash"  # RFC 7518 s.3.5
        text = base64.b64encode(signing_input).decode()
        transit = self._client.secrets.transit
        answered = self._guarded(
            lambda: transit.sign_data(self._key_name, hash_input=text, mount_point=self._mount, **settings)
        )
        value = str(answered["data"]["signature"]).rpartition(":")[2]
        padded = value.replace("+", "-").replace("/", "_").rstrip("=")  # of either alphabet
        try:
            return base64.urlsafe_b64decode(padded + "=" * (-len(padded) % 4))
        except ValueError:
            raise error_for("signature_faulty", "signature", "base64") from None

    def _guarded(self, call: Any) -> Any:
        names = self._hvac.exceptions
        try:
            return call()
        except RapidJWSError:
            raise
        except names.RateLimitExceeded as fault:
            raise error_for("signer_throttled", _PLACE, actual=type(fault).__name__) from None
        except (names.Forbidden, names.Unauthorized, names.InvalidPath, names.InvalidRequest) as fault:
            raise refused(
                _PLACE, "a key, and the right to read it and to sign", type(fault).__name__
            ) from None
        except (names.VaultError, *self._network_errors) as fault:
            raise unavailable(_PLACE, type(fault).__name__) from None
