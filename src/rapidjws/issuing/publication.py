"""What an issuer publishes: its JWK Set and its metadata, made of the state at each request.

A JWK Set holds next, active and retired keys. Members beyond RFC 7517, for those who read them: ``exp`` of a
retired key, after which it verifies nothing more, and ``revoked`` beside ``keys``, the tainted ones.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from rapidjws._checks import checked
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.issuing.life_cycle import KeyLifeCycle
from rapidjws.issuing.state import IssuingState, SigningKey

JWKS_PATH: Final = "/.well-known/jwks.json"
OPENID_PATH: Final = "/.well-known/openid-configuration"
OAUTH_PATH: Final = "/.well-known/oauth-authorization-server"
MAX_AGE_LEAST_S: Final = 1
_ORDER: Final = {"active": 0, "next": 1, "retired": 2}


_URL: Final = re.compile(r"https://[!$-;=?-\[\]_a-z~]+")
"""RFC 3986 s.2, without the quotes, braces and other characters that no URI has; the fragment's # as well."""


def is_https_url(text: str, *, query: bool = False) -> bool:
    """Return whether a text is an https URL with a host, without a fragment; with a query where it may."""
    if not _URL.fullmatch(text) or ("?" in text and not query):
        return False
    try:
        found = urlsplit(text)
        return bool(found.hostname) and (found.port is None or found.port > 0)
    except ValueError:  # half of an IPv6 address, or no port
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One answer.

    Attributes:
        status: The HTTP status.
        headers: Its headers, names in lower case.
        body: Its body; empty for 304.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What is published by one reading of the store.

    Attributes:
        bodies: Kind of document -> its body and its ETag.
        max_age_s: For how long a cache may keep them.
        failed: The code of the error where the state cannot be read, or None.
    """

    bodies: Mapping[str, tuple[bytes, str]]
    max_age_s: int
    failed: str | None = None


class Publication:
    """The documents of one issuer, for any server; see :meth:`handle`.

    Args:
        life_cycle: Its keys.
        issuer: The ``iss``, an https URL; what follows its host is the path of all documents.
        metadata: Further members of the metadata, such as ``token_endpoint``.

    Raises:
        ConfigurationError: ``configuration_invalid``: the issuer is no such URL.
    """

    __slots__ = ("_issuer", "_kinds", "_last", "_life_cycle", "_metadata", "_path")

    @checked
    def __init__(
        self, life_cycle: KeyLifeCycle, issuer: str, *, metadata: Mapping[str, Any] | None = None
    ) -> None:
        if not is_https_url(issuer):  # RFC 8414 s.2
            raise error_for("configuration_invalid", "issuer", "an https URL without query and fragment")
        self._life_cycle = life_cycle
        self._issuer = issuer
        self._path = "".join(issuer.removeprefix("https://").partition("/")[1:]).rstrip("/")
        self._metadata = dict(metadata or {})
        self._kinds = {
            f"{self._path}{JWKS_PATH}": "jwks",
            f"{self._path}{OPENID_PATH}": "metadata",
            f"{OAUTH_PATH}{self._path}": "metadata",  # RFC 8414 s.3.1: before the issuer's path
        }
        self._last: tuple[IssuingState, dict[str, tuple[bytes, str]]] | None = None

    def jwks(self) -> dict[str, Any]:
        """Return the JWK Set as it is published now.

        Raises:
            DependencyUnavailable: ``key_state_unavailable``, ``key_state_unreadable``.
        """
        return self._set_of(self._life_cycle.state())

    def _set_of(self, state: IssuingState) -> dict[str, Any]:
        keys = sorted(state.published(), key=lambda one: (_ORDER[one.stage], one.published_at_s))
        whole: dict[str, Any] = {"keys": [self._member(one) for one in keys]}
        tainted = state.in_stage("tainted")
        if tainted:
            whole["revoked"] = [{"kid": one.kid, "revoked_at": int(one.stopped_at_s or 0)} for one in tainted]
        return whole

    def _member(self, one: SigningKey) -> dict[str, Any]:
        members = {name: value for name, value in one.public().as_dict().items() if name != "key_ops"}
        if one.stage == "retired" and one.stopped_at_s is not None:
            members["exp"] = int(one.stopped_at_s + self._life_cycle.timing.after_s)
        return members

    @checked
    def max_age_s(self, state: IssuingState) -> int:
        """Return for how long a cache may keep the set: less and less ahead of a change by the schedule.

        Where the time cannot be known it is the longest, for which keys are published ahead in any case.
        """
        longest_s = self._life_cycle.timing.jwks_max_age_s
        try:
            now_s = self._life_cycle.now_s()
        except RapidJWSError:  # the store's clock is away, or ours is off: the set is right all the same
            return int(longest_s)
        change_s = self._life_cycle.next_change_s(state, now_s)
        if change_s is not None and change_s > now_s:
            longest_s = min(longest_s, change_s - now_s)
        return max(MAX_AGE_LEAST_S, int(longest_s))

    def metadata(self) -> dict[str, Any]:
        """Return the metadata of RFC 8414 section 2, which OpenID Connect Discovery shares."""
        return {
            "issuer": self._issuer,
            "jwks_uri": f"{self._issuer.rstrip('/')}{JWKS_PATH}",
            "response_types_supported": [],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": list(self._life_cycle.algorithms),
            "grant_types_supported": ["client_credentials"],
            **self._metadata,
        }

    def reading(self) -> Reading:
        """Read the store, and return what is published now; the error of a failure is part of it."""
        try:
            state = self._life_cycle.state()
            return Reading(bodies=self._bodies(state), max_age_s=self.max_age_s(state))
        except RapidJWSError as failed:
            return Reading(bodies={}, max_age_s=0, failed=failed.code)

    def _bodies(self, state: IssuingState) -> dict[str, tuple[bytes, str]]:
        """Return the documents of a state: those of the last one where nothing changed."""
        last = self._last
        if last is not None and last[0] == state:
            return last[1]
        made: dict[str, tuple[bytes, str]] = {}
        for kind, whole in (("jwks", self._set_of(state)), ("metadata", self.metadata())):
            body = json.dumps(whole, separators=(",", ":")).encode()
            made[kind] = (body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
        self._last = (state, made)
        return made

    @checked
    def publishes(self, method: str, path: str) -> bool:
        """Return whether the answer to a request depends on the state."""
        return path in self._kinds and method in ("GET", "HEAD")

    @checked
    def handle(
        self,
        method: str,
        path: str,
        headers: Sequence[tuple[str, str]] = (),
        *,
        reading: Reading | None = None,
    ) -> Document:
        """Answer one request.

        Args:
            method: The HTTP method.
            path: The path, without a query.
            headers: Name and value, names in lower case; ``if-none-match`` is read.
            reading: What :meth:`reading` returned after the request came; None to read the store now.

        Returns:
            200, 304, 404, 405, or 503 with ``retry-after`` while the state cannot be read.
        """
        kind = self._kinds.get(path)
        if kind is None:
            return _error(404, "not_found")
        if method not in ("GET", "HEAD"):
            return _error(405, "method_not_allowed", {"allow": "GET, HEAD"})
        found = self.reading() if reading is None else reading
        if found.failed is not None:
            return _error(503, found.failed, {"retry-after": "1"})
        body, etag = found.bodies[kind]
        shown = {"etag": etag, "cache-control": f"public, max-age={found.max_age_s}, must-revalidate"}
        given = ",".join(value for name, value in headers if name == "if-none-match")
        if given and {etag, "*"} & {one.strip().removeprefix("W/") for one in given.split(",")}:
            return Document(status=304, headers=shown, body=b"")
        kind_of = "application/jwk-set+json" if kind == "jwks" else "application/json"
        return Document(status=200, headers={"content-type": kind_of, **shown}, body=body)

    @checked
    def answers(self, state: IssuingState) -> dict[str, Document]:
        """Return each document of a state under its path, for caches to keep as long as they may at most."""
        shown = {"cache-control": f"public, max-age={int(self._life_cycle.timing.jwks_max_age_s)}"}
        metadata = Document(
            status=200,
            headers={"content-type": "application/json", **shown},
            body=json.dumps(self.metadata()).encode(),
        )
        jwks = Document(
            status=200,
            headers={"content-type": "application/jwk-set+json", **shown},
            body=json.dumps(self._set_of(state)).encode(),
        )
        return {
            f"{self._path}{JWKS_PATH}": jwks,
            f"{self._path}{OPENID_PATH}": metadata,
            f"{OAUTH_PATH}{self._path}": metadata,
        }

    def documents(self) -> dict[str, bytes]:
        """Return each document under its path, for a static export.

        Raises:
            DependencyUnavailable: ``key_state_unavailable``, ``key_state_unreadable``.
        """
        return {path: one.body for path, one in self.answers(self._life_cycle.state()).items()}


def _error(status: int, code: str, more: Mapping[str, str] | None = None) -> Document:
    headers = {"content-type": "application/json", "cache-control": "no-store", **(more or {})}
    return Document(status=status, headers=headers, body=json.dumps({"error": code}).encode())
