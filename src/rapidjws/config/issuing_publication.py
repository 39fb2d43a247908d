"""The tables ``publication`` and ``consumers`` of the file for ``rapidjws issue``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rapidjws import _files
from rapidjws._secret_frames import keeps_secrets
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.issuing import (
    Announcer,
    CloudFrontInvalidation,
    Consumer,
    KeyLifeCycle,
    Publication,
    S3Copy,
    TokenService,
)
from rapidjws.issuing.publication import is_https_url
from rapidjws.keys.post import HttpsPost
from rapidjws.keys.settings import Transport
from rapidjws.stores import RedisRotations

if TYPE_CHECKING:
    from rapidjws.config.read import LoadedConfig

SECRET_MAX_BYTES: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What is served, and where.

    Attributes:
        documents: The JWK Set and the metadata.
        listen: ``"host:port"`` or ``"unix:/path"``.
        tick_s: Seconds between two looks at what is due.
        metrics_listen: Where metrics are read, or None.
    """

    documents: Publication
    listen: str
    tick_s: float
    metrics_listen: str | None = None


def announcer_from(loaded: LoadedConfig, issuer: str, channel: RedisRotations | None = None) -> Announcer:
    """Return who tells the consumers; raises ConfigurationError, with the line of a consumer."""
    consumers: list[Consumer] = []
    posts: dict[str, HttpsPost] = {}
    for number, one in enumerate(loaded.tables.get("consumers", [])):
        try:
            consumers.append(_consumer(loaded, one))
            ca = {"ca": str(loaded.path.parent / one["ca"])} if "ca" in one else {}
            more = {name: one[name] for name in ("insecure_allow_http", "timeout_s") if name in one}
            transport = Transport(**{**more, **ca})
            transport.check_url(one["url"])
            posts[one["url"]] = HttpsPost(transport)
        except RapidJWSError as refused:
            name = (refused.place or "").rpartition(".")[2]
            path = ("consumers", number, name) if name in one else ("consumers", number)
            loaded.text.refuse(path, str(refused.expected), None)

    def post(url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        return posts[url](url, headers, body)

    return Announcer(issuer, consumers, post, channel=channel)


@keeps_secrets
def secret_of(path: Path, place: str) -> str:
    """Return the secret of a file; raises ConfigurationError with the place."""
    try:
        return _files.read_private(path, SECRET_MAX_BYTES).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as fault:
        why = (fault.strerror if isinstance(fault, OSError) else None) or "not ASCII"
        raise error_for("configuration_invalid", place, f"a file to trust: {why}") from None


@keeps_secrets
def _consumer(loaded: LoadedConfig, one: dict[str, Any]) -> Consumer:
    secret = secret_of(loaded.path.parent / one["secret_file"], "consumers.secret_file")
    return Consumer(name=one["name"], url=one["url"], secret=secret)


def published_from(
    loaded: LoadedConfig, life_cycle: KeyLifeCycle, lease_s: float, issuer: str, tokens: TokenService | None
) -> Published:
    """Return how documents are served; raises ConfigurationError, with the setting as its place."""
    found = loaded.tables.get("publication", {})
    tick_s = found.get("tick_s", min(5.0, lease_s / 3))
    if not 0 < tick_s <= lease_s / 2:
        raise error_for("configuration_invalid", "publication.tick_s", "above 0 to half of lease_s", tick_s)
    if "token_endpoint" in found and not is_https_url(found["token_endpoint"], query=True):
        raise error_for("configuration_invalid", "publication.token_endpoint", "an https URL")
    metadata = {name: found[name] for name in ("token_endpoint",) if name in found}
    if tokens is not None:
        if metadata:
            raise error_for("configuration_invalid", "publication.token_endpoint", "nothing beside token")
        metadata = tokens.metadata()
    documents = Publication(life_cycle, issuer, metadata=metadata)
    _copy_to_s3(found, life_cycle, documents)
    listen = found.get("listen", "127.0.0.1:8089")
    return Published(
        documents=documents,
        listen=listen,
        tick_s=float(tick_s),
        metrics_listen=found.get("metrics_listen"),
    )


def _copy_to_s3(found: dict[str, Any], life_cycle: KeyLifeCycle, documents: Publication) -> None:
    """Have the life cycle keep a copy, where the file names a bucket."""
    if "s3_bucket" not in found:
        for name in ("s3_prefix", "s3_region", "cloudfront_distribution"):
            if name in found:
                raise error_for("configuration_invalid", f"publication.{name}", "nothing without s3_bucket")
        return
    distribution = found.get("cloudfront_distribution")
    try:
        copy = S3Copy(
            documents,
            found["s3_bucket"],
            prefix=found.get("s3_prefix", ""),
            region=found.get("s3_region"),
            invalidate=None if distribution is None else CloudFrontInvalidation(distribution),
        )
    except RapidJWSError as refused:
        raise error_for(refused.code, "publication.s3_bucket", refused.expected, refused.actual) from None
    life_cycle.keep_copy(copy)
