"""``PyJWKClient``: signing keys of one address, fetched within the call as PyJWT does.

An engine with ``RemoteJWKS`` fetches beside the traffic instead, with bounds, freshness and last good keys.
"""

from __future__ import annotations

import http.client
import json
import math
import threading
import time
import urllib.request
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlparse

from rapidjws.compat.pyjwt.api_jwk import PyJWK, PyJWKSet
from rapidjws.compat.pyjwt.api_jwt import decode_complete as decode_token
from rapidjws.compat.pyjwt.exceptions import PyJWKClientConnectionError, PyJWKClientError
from rapidjws.compat.pyjwt.jwk_set_cache import JWKSetCache
from rapidjws.jose.limits import JWKS_MAX_BYTES

if TYPE_CHECKING:
    from ssl import SSLContext


class _NoRedirectHandler(urllib.request.HTTPRedirectHandler):
    """A redirect is an error: the keys come from the address that the caller named."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> None:
        """Follow none."""


class PyJWKClient:
    """A client for the signing keys of one address.

    Args:
        uri: The address: https, or http.
        cache_keys: Whether keys are cached by kid, without an end.
        max_cached_keys: Most keys so cached.
        cache_jwk_set: Whether the set is cached.
        lifespan: Seconds that the set is cached for.
        headers: Headers of the request.
        timeout: Seconds that a wait for the connection or its next octets may last.
        ssl_context: How TLS is checked; None for the system's roots.
        cooldown_duration: Least seconds between a fetch and one that an unknown kid causes.

    Raises:
        PyJWKClientError: The address is neither, or a duration is none.
    """

    def __init__(
        self,
        uri: str,
        cache_keys: bool = False,
        max_cached_keys: int = 16,
        cache_jwk_set: bool = True,
        lifespan: float = 300,
        headers: dict[str, Any] | None = None,
        timeout: float = 30,
        ssl_context: SSLContext | None = None,
        cooldown_duration: float = 30,
    ) -> None:
        scheme = urlparse(uri).scheme.lower()
        if scheme not in ("http", "https"):  # file:, ftp: and data: would read what is no JWK Set's address
            raise PyJWKClientError(
                f"Invalid JWKS URI scheme {scheme!r}: only 'http' and 'https' are supported."
            )
        if cooldown_duration < 0:
            raise PyJWKClientError(
                f'Cooldown duration must be greater than or equal to 0, the input is "{cooldown_duration}"'
            )
        if not math.isfinite(cooldown_duration):
            raise PyJWKClientError(f'Cooldown duration must be finite, the input is "{cooldown_duration}"')
        if cache_jwk_set and lifespan <= 0:
            raise PyJWKClientError(f'Lifespan must be greater than 0, the input is "{lifespan}"')
        self.uri = uri
        self.headers = {} if headers is None else headers
        self.timeout = timeout
        self.ssl_context = ssl_context
        self.cooldown_duration = cooldown_duration
        self.jwk_set_cache = JWKSetCache(lifespan) if cache_jwk_set else None
        self._last_successful_fetch: float | None = None
        self._client_lock = threading.RLock()
        if cache_keys:
            cached = lru_cache(maxsize=max_cached_keys)(self.get_signing_key)
            self.get_signing_key = cached  # type: ignore[method-assign]

    def fetch_data(self) -> Any:
        """Fetch the set, and keep it.

        Returns:
            Its members.

        Raises:
            PyJWKClientConnectionError: The fetch failed.
            PyJWKClientError: What came is no JSON object, or larger than 256 KiB.
            PyJWKSetError: It has no usable key.
        """
        handlers: list[Any] = [_NoRedirectHandler()]
        if self.ssl_context is not None:
            handlers.append(urllib.request.HTTPSHandler(context=self.ssl_context))
        try:
            request = urllib.request.Request(url=self.uri, headers=self.headers)
            opener = urllib.request.build_opener(*handlers)
            with opener.open(request, timeout=self.timeout) as response:
                body = response.read(JWKS_MAX_BYTES + 1)
        except (URLError, TimeoutError, http.client.HTTPException) as fault:
            if isinstance(fault, HTTPError):
                fault.close()
            raise PyJWKClientConnectionError(f'Fail to fetch data from the url, err: "{fault}"') from fault
        if len(body) > JWKS_MAX_BYTES:
            raise PyJWKClientError(f"The JWKS endpoint returned more than {JWKS_MAX_BYTES} bytes")
        try:
            found = json.loads(body)
        except RecursionError:
            raise PyJWKClientError("The JWKS endpoint returned JSON that is nested too deeply") from None
        members = self._as_jwk_set_payload(found)
        if self.jwk_set_cache is not None:
            self.jwk_set_cache.put(members)
        self._last_successful_fetch = time.monotonic()
        return members

    def get_jwk_set(self, refresh: bool = False) -> PyJWKSet:
        """Return the set: the cached one, or where there is none or ``refresh`` is True a new one."""
        cache = self.jwk_set_cache
        cached = None if cache is None or refresh else cache.get()
        if cached is not None:
            return cached
        data = self.fetch_data()
        found = data if isinstance(data, PyJWKSet) else PyJWKSet.from_dict(self._as_jwk_set_payload(data))
        if cache is not None:
            cache.put(found)  # a subclass may have changed what was fetched
        return found

    @staticmethod
    def _as_jwk_set_payload(data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise PyJWKClientError("The JWKS endpoint did not return a JSON object")
        return data

    def get_signing_keys(self, refresh: bool = False) -> list[PyJWK]:
        """Return the keys with a kid that are for signatures; raises PyJWKClientError where there is none."""
        return self._get_signing_keys_from_jwk_set(self.get_jwk_set(refresh))

    @staticmethod
    def _get_signing_keys_from_jwk_set(jwk_set: PyJWKSet) -> list[PyJWK]:
        found = [key for key in jwk_set.keys if key.public_key_use in ("sig", None) and key.key_id]
        if not found:
            raise PyJWKClientError("The JWKS endpoint did not contain any signing keys")
        return found

    def get_signing_key(self, kid: str) -> PyJWK:
        """Return the key of a kid; an unknown one causes one fetch, at most once in the cooldown.

        Raises:
            PyJWKClientError: There is none of the kid.
        """
        with self._client_lock:
            found = self.match_kid(self.get_signing_keys(), kid)
            if found is None and not self._is_cooling_down():
                keys = self.get_signing_keys(refresh=True)
                self._last_successful_fetch = time.monotonic()
                found = self.match_kid(keys, kid)
            if found is None:
                raise PyJWKClientError(f'Unable to find a signing key that matches: "{kid}"')
            return found

    def _is_cooling_down(self) -> bool:
        last = self._last_successful_fetch
        if self.jwk_set_cache is None or last is None:
            return False
        return time.monotonic() - last < self.cooldown_duration

    def get_signing_key_from_jwt(self, token: str | bytes) -> PyJWK:
        """Return the key that a token's header names; the token is NOT VERIFIED by this."""
        unverified = decode_token(token, options={"verify_signature": False})
        return self.get_signing_key(unverified["header"].get("kid"))

    @staticmethod
    def match_kid(signing_keys: list[PyJWK], kid: str) -> PyJWK | None:
        """Return the first key of a kid, or None."""
        return next((key for key in signing_keys if key.key_id == kid), None)
