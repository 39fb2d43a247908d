"""A copy of what an issuer publishes in S3, where caches and consumers read it; needs the extra ``aws``.

A next key is in the copy before the state names it, so the time for which it is published counts from there.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Sequence
from typing import Any, Final

from rapidjws._checks import check_range, checked
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.issuing.publication import Publication
from rapidjws.issuing.state import IssuingState

Invalidate = Callable[[Sequence[str]], object]
"""A function that takes paths such as ``/.well-known/jwks.json`` out of the caches, or raises."""

_PLACE: Final = "publication.s3"


class S3Copy:
    """The JWK Set and the metadata as objects of a bucket; give it to ``KeyLifeCycle.keep_copy``.

    Args:
        publication: What is published.
        bucket: The bucket.
        prefix: What stands before each path in the names of objects.
        region: Its region; None as boto3 is configured.
        invalidate: Called with the paths that changed: ``CloudFrontInvalidation``; None for no cache.
        timeout_s: For one call.
        client: A client of S3; None for boto3's.

    Raises:
        ImportError: boto3 is not installed.
        ConfigurationError: ``configuration_invalid``.
    """

    __slots__ = ("_bucket", "_client", "_invalidate", "_prefix", "_publication", "_written")

    @checked(but=("client", "invalidate"))
    def __init__(
        self,
        publication: Publication,
        bucket: str,
        *,
        prefix: str = "",
        region: str | None = None,
        invalidate: Invalidate | None = None,
        timeout_s: float = 5.0,
        client: Any = None,
    ) -> None:
        if not bucket or prefix.startswith("/"):
            raise error_for(
                "configuration_invalid", _PLACE, "a bucket, and a prefix without a slash before it"
            )
        if invalidate is not None and not callable(invalidate):
            raise error_for("configuration_invalid", "invalidate", "a function", type(invalidate).__name__)
        self._publication = publication
        self._bucket = bucket
        self._prefix = prefix
        self._invalidate = invalidate
        self._client = aws_client("s3", region, timeout_s) if client is None else client
        self._written: dict[str, bytes] = {}

    @checked
    def precede(self, before: IssuingState, after: IssuingState) -> None:
        """Write a state that publishes further keys, before it holds.

        Raises:
            DependencyUnavailable: ``key_copy_unavailable``.
        """
        if {one.kid for one in after.published()} - {one.kid for one in before.published()}:
            self.sync(after)

    @checked
    def sync(self, state: IssuingState) -> None:
        """Write what differs from what this process wrote last, and invalidate it in caches.

        Raises:
            DependencyUnavailable: ``key_copy_unavailable``; all of it is written again by the next call.
        """
        documents = self._publication.answers(state)
        digests = {path: hashlib.sha256(one.body).digest() for path, one in documents.items()}
        changed = [path for path, digest in digests.items() if self._written.get(path) != digest]
        if not changed:
            return
        self._written = {}
        try:
            for path in changed:
                one = documents[path]
                self._client.put_object(
                    Bucket=self._bucket,
                    Key=f"{self._prefix}{path.lstrip('/')}",
                    Body=one.body,
                    ContentType=one.headers["content-type"],
                    CacheControl=one.headers["cache-control"],
                )
            if self._invalidate is not None:
                self._invalidate([f"/{self._prefix}{path.lstrip('/')}" for path in changed])
        except RapidJWSError:
            raise
        except Exception as fault:  # botocore's errors are many, and a hook's as well
            raise error_for("key_copy_unavailable", _PLACE, "objects to write", _code_of(fault)) from None
        self._written = digests


class CloudFrontInvalidation:
    """Invalidations of a CloudFront distribution: the ``invalidate`` of an ``S3Copy``.

    Args:
        distribution: Its id.
        timeout_s: For one call.
        client: A client of CloudFront; None for boto3's.

    Raises:
        ImportError: boto3 is not installed.
        ConfigurationError: ``configuration_invalid``.
    """

    __slots__ = ("_client", "_distribution")

    @checked(but=("client",))
    def __init__(self, distribution: str, *, timeout_s: float = 5.0, client: Any = None) -> None:
        if not distribution:
            raise error_for("configuration_invalid", "publication.cloudfront", "the id of a distribution")
        self._distribution = distribution
        self._client = aws_client("cloudfront", "us-east-1", timeout_s) if client is None else client

    @checked
    def __call__(self, paths: Sequence[str]) -> None:
        """Begin an invalidation.

        Args:
            paths: Paths of the distribution, each with a slash before it.

        Raises:
            DependencyUnavailable: ``key_copy_unavailable``.
        """
        batch = {
            "Paths": {"Quantity": len(paths), "Items": list(paths)},
            "CallerReference": secrets.token_hex(16),
        }
        try:
            self._client.create_invalidation(DistributionId=self._distribution, InvalidationBatch=batch)
        except Exception as fault:
            place = "publication.cloudfront"
            raise error_for("key_copy_unavailable", place, "an invalidation", _code_of(fault)) from None


def aws_client(service: str, region: str | None, timeout_s: float) -> Any:
    """Return a client of boto3 with short timeouts.

    Raises:
        ImportError: boto3 is not installed.
        ConfigurationError: ``configuration_invalid``: a name that no region has, no credentials' settings.
    """
    check_range("timeout_s", timeout_s, 0.05, 60)
    try:
        import boto3
        from botocore.config import Config
    except ImportError as missing:
        raise ImportError("a copy in S3 needs: pip install 'rapidjws[aws]'") from missing
    settings = Config(connect_timeout=timeout_s, read_timeout=timeout_s, retries={"total_max_attempts": 2})
    try:
        return boto3.client(service, region_name=region, config=settings)
    except Exception as fault:
        raise error_for("configuration_invalid", _PLACE, "a region of AWS", type(fault).__name__) from None


def _code_of(fault: Exception) -> str:
    """Return the code of an answer of AWS, or the class of an error; never its text."""
    response = getattr(fault, "response", None)
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    return str(code or type(fault).__name__)
