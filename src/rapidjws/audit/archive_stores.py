"""Where an archive of a trail lies: a folder, or S3-compatible storage with conditional put and Object Lock.

Objects are written whole and never replaced: a name stands for one content.
"""

from __future__ import annotations

import base64
from datetime import datetime, timedelta, timezone
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from rapidjws import _files
from rapidjws._checks import check_range
from rapidjws.errors import RapidJWSError, error_for

if TYPE_CHECKING:
    from collections.abc import Iterator

OBJECT_MAX_BYTES: Final = 1 << 31
S3: Final = "s3://"
LOCK_DAYS_MAX: Final = 36_500


class ArchiveStore(Protocol):
    """What keeps the objects of an archive."""

    def names(self, under: str) -> list[str]:
        """Return the names of the objects below a folder, sorted."""

    def read(self, name: str) -> bytes:
        """Return an object.

        Raises:
            ConfigurationError: ``audit_trail_invalid``: there is none.
            DependencyUnavailable: ``audit_unavailable``.
        """

    def add(self, name: str, octets: bytes) -> bool:
        """Store an object; return False where one of that name is there.

        Raises:
            DependencyUnavailable: ``audit_unavailable``: nothing of it is stored.
        """


class FolderStore:
    """An archive in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self, under: str) -> list[str]:
        """Return the names of the objects below a folder, sorted."""
        found = (one for one in (self.folder / under).rglob("*") if one.is_file())
        return sorted(
            one.relative_to(self.folder).as_posix() for one in found if not one.name.startswith(".")
        )

    def read(self, name: str) -> bytes:
        """Return an object; raises as ``ArchiveStore`` says."""
        try:
            return _files.read_trusted(self.folder / name, OBJECT_MAX_BYTES)
        except OSError as fault:
            raise error_for("audit_trail_invalid", f"{name}:0", "a file", fault.strerror) from None

    def add(self, name: str, octets: bytes) -> bool:
        """Store an object where there is none of its name; raises as ``ArchiveStore`` says."""
        path = self.folder / name
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if path.exists():
                return False
            _files.replace(path, octets)
        except OSError as fault:
            raise error_for("audit_unavailable", str(path), actual=fault.strerror) from None
        return True


class S3Store:
    """An archive in S3-compatible storage: each put is conditional (``If-None-Match: *``), and locked.

    Args:
        address: ``s3://bucket/prefix``.
        lock_days: How many days nobody can remove an object (Object Lock); 0 for no lock.
        lock_mode: ``"COMPLIANCE"``: nobody; ``"GOVERNANCE"``: nobody without that permission.
        client: A boto3 client; None for one by the environment.

    Raises:
        ConfigurationError: ``configuration_invalid``.
        ImportError: boto3 is not installed.
    """

    def __init__(
        self,
        address: str,
        *,
        lock_days: int = 0,
        lock_mode: str = "COMPLIANCE",
        client: Any = None,
    ) -> None:
        bucket, _, prefix = address.removeprefix(S3).partition("/")
        if not address.startswith(S3) or not bucket:
            raise error_for("configuration_invalid", "address", "s3://bucket/prefix", address)
        check_range("lock_days", lock_days, 0, LOCK_DAYS_MAX)
        if lock_mode not in ("COMPLIANCE", "GOVERNANCE"):
            raise error_for("configuration_invalid", "lock_mode", "COMPLIANCE or GOVERNANCE", lock_mode)
        self._bucket, self._prefix = bucket, prefix.strip("/") + "/" if prefix.strip("/") else ""
        self._lock_days, self._lock_mode = lock_days, lock_mode
        self._client = _client() if client is None else client

    def names(self, under: str) -> list[str]:
        """Return the names of the objects below a folder, sorted; raises as ``ArchiveStore`` says."""
        return sorted(self._names(f"{self._prefix}{under}/"))

    def _names(self, prefix: str) -> Iterator[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        try:
            for page in pages:
                for one in page.get("Contents", ()):
                    yield one["Key"].removeprefix(self._prefix)
        except Exception as fault:
            raise self._unavailable(prefix.removeprefix(self._prefix), fault) from None

    def read(self, name: str) -> bytes:
        """Return an object; raises as ``ArchiveStore`` says."""
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)
            return bytes(answer["Body"].read())
        except Exception as fault:
            if _code_of(fault) in ("NoSuchKey", "404"):
                raise error_for("audit_trail_invalid", f"{name}:0", "an object", "none") from None
            raise self._unavailable(name, fault) from None

    def add(self, name: str, octets: bytes) -> bool:
        """Store an object where there is none of its name; raises as ``ArchiveStore`` says."""
        more: dict[str, Any] = {}
        if self._lock_days:
            until = datetime.now(timezone.utc) + timedelta(days=self._lock_days)
            more = {"ObjectLockMode": self._lock_mode, "ObjectLockRetainUntilDate": until}
        try:
            self._client.put_object(
                Bucket=self._bucket,
                Key=self._prefix + name,
                Body=octets,
                IfNoneMatch="*",
                ChecksumAlgorithm="SHA256",
                ChecksumSHA256=base64.b64encode(sha256(octets).digest()).decode(),
                **more,
            )
        except Exception as fault:
            if _code_of(fault) in ("PreconditionFailed", "412"):
                return False
            raise self._unavailable(name, fault) from None
        return True

    def _unavailable(self, name: str, fault: Exception) -> RapidJWSError:
        place = f"{S3}{self._bucket}/{self._prefix}{name}"
        return error_for("audit_unavailable", place, actual=_code_of(fault) or type(fault).__name__)


def _client() -> Any:
    try:
        import boto3
        from botocore.config import Config
    except ImportError as missing:
        raise ImportError("an archive in S3 needs: pip install 'rapidjws[aws]'") from missing
    return boto3.client("s3", config=Config(connect_timeout=10, read_timeout=120))


def _code_of(fault: Exception) -> str:
    response = getattr(fault, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def store_at(
    address: str, *, lock_days: int = 0, lock_mode: str = "COMPLIANCE", client: Any = None
) -> ArchiveStore:
    """Return the store at an address: ``s3://bucket/prefix``, or a folder; raises as ``S3Store`` does."""
    if address.startswith(S3):
        return S3Store(address, lock_days=lock_days, lock_mode=lock_mode, client=client)
    return FolderStore(Path(address))
