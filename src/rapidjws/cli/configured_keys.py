"""An issuer's keys as its configured source gives them now, of any kind, for commands that look at them.

Nothing is kept and nothing is written: no last-good file, no timer.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from rapidjws import _files
from rapidjws.config.issuer_folder import SUFFIX, read_issuer_file
from rapidjws.config.key_sources import key_source_from, texts
from rapidjws.config.schema import SOURCES
from rapidjws.config.sections import issuer_name
from rapidjws.errors import RapidJWSError
from rapidjws.jose.jwk import JWK
from rapidjws.jose.jwks import JWKSet
from rapidjws.jose.limits import JWK_MAX_BYTES
from rapidjws.keys.chain import load_roots
from rapidjws.keys.fetch_failed import FetchFailed
from rapidjws.keys.fetched import FetchedKeys
from rapidjws.keys.pem_files import SUFFIXES as PEM_SUFFIXES
from rapidjws.verify.key_set_file import key_set_octets
from rapidjws.verify.protocols import no_events

FOLDER_MAX: Final = 2000
"""Most issuers of a registry's folder that one look takes, the first ones by the names of their files."""

_LEFT_OUT: Final = ("last_good_file", "last_good_max_age_s")


class ConfiguredIssuer(NamedTuple):
    """A table of an issuer, and the folder that its paths are relative to."""

    table: dict[str, Any]
    folder: Path

    @property
    def name(self) -> str:
        """Return its name, ``""`` where no ``iss`` is compared."""
        return issuer_name(self.table)


class FoundKeys(NamedTuple):
    """What a source gave.

    Attributes:
        body: A JWK Set's text, or None.
        fault: Why there is none, in words, or None.
    """

    body: bytes | None
    fault: str | None = None


def registry_issuers(folder: Path) -> tuple[list[ConfiguredIssuer], list[str], int]:
    """Return the issuers of a registry's folder, what is wrong with its files, and how many were left out.

    Args:
        folder: The folder.

    Raises:
        OSError: It cannot be listed.
    """
    names = sorted(name for name in os.listdir(folder) if name.endswith(SUFFIX))
    found, faults = [], []
    for name in names[:FOLDER_MAX]:
        try:
            found.append(ConfiguredIssuer(read_issuer_file(folder / name)[1], folder))
        except RapidJWSError as refused:
            faults.append(str(refused))
    return found, faults, max(0, len(names) - FOLDER_MAX)


def find_keys(issuer: ConfiguredIssuer, timeout_s: float) -> FoundKeys:
    """Return the keys that an issuer's source gives now; asks the network where it is one that fetches.

    Args:
        issuer: The issuer.
        timeout_s: Longest wait for a fetch, seconds.
    """
    settings = {name: value for name, value in issuer.table.items() if name not in _LEFT_OUT}
    try:
        if "x5c_roots" in settings:
            return FoundKeys(_of_roots([issuer.folder / one for one in texts(settings["x5c_roots"])]))
        if "jwks_file" in settings:
            return FoundKeys(key_set_octets(issuer.folder / settings["jwks_file"]))
        source: Any = key_source_from({**settings, "timeout_s": timeout_s}, issuer.folder, no_events)
        if "jwks_url" in settings or settings.get("discover"):
            return FoundKeys(source.probe().body)  # with dates that a key's own members say
        if isinstance(source, FetchedKeys):
            body = source.probe().body
            return _found(source._read(body), _certificates(_texts(body)))
        keys = source.state().keys
        if "pem_path" in settings:
            return _found(keys, _certificates(_contents(issuer.folder / settings["pem_path"])))
    except FetchFailed as failed:
        return FoundKeys(None, f"no answer: {failed.detail}")
    except RapidJWSError as refused:
        return FoundKeys(None, str(refused))
    except OSError as fault:
        return FoundKeys(None, fault.strerror or type(fault).__name__)
    return _found(keys, {})


def _found(keys: JWKSet | None, certificates: Mapping[str, bytes]) -> FoundKeys:
    """Return keys as a JWK Set, each with the certificate that it came in."""
    if keys is None or not keys.keys:
        return FoundKeys(None, "no key that can be read")
    public = []
    for key in keys:
        octets = certificates.get(key.x5t_s256 or "")
        chain = {} if octets is None else {"x5c": [base64.b64encode(octets).decode()]}
        if key.kty != "oct":
            public.append({**key.as_dict(), **chain})
    return FoundKeys(json.dumps({"keys": public}).encode())


def _certificates(texts: Iterable[bytes]) -> dict[str, bytes]:
    """Return the certificates among some texts, in DER, by their SHA-256 thumbprints."""
    found = {}
    for text in texts:
        try:
            certificate = (
                x509.load_der_x509_certificate(text)
                if text[:1] == b"\x30"
                else x509.load_pem_x509_certificate(text)
            )
        except ValueError:  # a key without a certificate
            continue
        octets = certificate.public_bytes(serialization.Encoding.DER)
        thumbprint = base64.urlsafe_b64encode(sha256(octets).digest()).rstrip(b"=").decode()
        found[thumbprint] = octets
    return found


def _texts(body: bytes) -> Iterator[bytes]:
    """Yield the texts of a JSON object of kid -> PEM; nothing of another document."""
    try:
        members = json.loads(body)
    except (ValueError, RecursionError):
        return
    for text in members.values() if isinstance(members, dict) else ():
        if isinstance(text, str):
            yield text.encode("utf-8", "replace")


def _contents(path: Path) -> Iterator[bytes]:
    """Yield the files of a ``pem_path``; those that cannot be read are passed over, as the source does."""
    names = [path]
    if path.is_dir():
        names = sorted(one for one in path.iterdir() if one.suffix.lower() in PEM_SUFFIXES)
    for name in names:
        with contextlib.suppress(OSError):
            yield _files.read_trusted(name, JWK_MAX_BYTES)


def source_of(table: Mapping[str, Any]) -> str:
    """Return how messages call the source of an issuer's table."""
    name = next((name for name in SOURCES if name in table and table[name] is not False), "keys")
    value = table.get(name)
    return issuer_name(table) if value is True else f"{name} {', '.join(texts(value or []))}"


def _of_roots(paths: list[Path]) -> bytes:
    """Return pinned roots as keys with their certificates, which say when they end."""
    found = []
    for root in load_roots(paths):
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        key = JWK.from_der(root.public_key().public_bytes(serialization.Encoding.DER, form), kid=_kid(root))
        octets = root.public_bytes(serialization.Encoding.DER)
        found.append({**key.as_dict(), "x5c": [base64.b64encode(octets).decode()]})
    return json.dumps({"keys": found}).encode()


def _kid(root: x509.Certificate) -> str:
    return f"root {ascii(root.subject.rfc4514_string())[1:-1]}"[:200]
