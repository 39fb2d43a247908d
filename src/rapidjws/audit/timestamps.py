"""Time stamps of a trail's checkpoints by an authority of others (RFC 3161); needs the extra ``timestamp``.

Who has the log's key can sign a tree of today with times of last year. What an authority stamped was there at
the time of the stamp. A stamp lies beside the trail with all that openssl verifies it by.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from hashlib import sha256
from time import time
from typing import TYPE_CHECKING, Any, Final

from rapidjws import _files
from rapidjws._checks import check_range, checked
from rapidjws.audit.bundle_check import Finding
from rapidjws.audit.merkle import TILE_WIDTH
from rapidjws.audit.notes import NOTE_MAX_BYTES, Checkpoint
from rapidjws.audit.records import parsed_record
from rapidjws.audit.timestamp_files import FILES, TIMESTAMPS, parts_digest, timestamp_names
from rapidjws.audit.timestamp_order import sorted_certificates
from rapidjws.audit.trail_reader import TrailReader
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.keys.fetch_failed import FetchFailed
from rapidjws.keys.post import HttpsPost
from rapidjws.keys.settings import Transport

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

"""The files of a stamp; the last one is written last."""

ANSWER_MAX_BYTES: Final = 64 * 1024
ROOTS_MAX_BYTES: Final = 1 << 20
TOLERANCE_S: Final = 60.0
"""How far the clocks of the host and of the authority may differ."""

_HEADERS: Final = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
_NAME: Final = re.compile(r"([0-9]{16})\.([0-9a-f]{64})")
_GRANTED: Final = 0
_CHAIN: Final = "its signature, or its certificates up to the roots"


class BadStamp(Exception):
    """What is wrong with a time stamp: what was expected and found, and the cause in words."""

    @checked
    def __init__(self, cause: str, expected: str | None = None, actual: str | None = None) -> None:
        super().__init__(cause)
        self.cause, self.expected, self.actual = cause, expected, actual


@checked
def read_roots(path: str | os.PathLike[str]) -> tuple[Certificate, ...]:
    """Return the certificates to which a time stamp must lead, of a PEM file.

    Raises:
        ConfigurationError: ``configuration_invalid``: there is none.
    """
    from cryptography.x509 import load_pem_x509_certificates

    try:
        found = tuple(load_pem_x509_certificates(_files.read_trusted(path, ROOTS_MAX_BYTES)))
    except (OSError, ValueError) as fault:
        actual = getattr(fault, "strerror", None) or type(fault).__name__
        raise error_for("configuration_invalid", "timestamp_roots", "certificates, PEM", actual) from None
    return found


@checked
def stamped_s(note: bytes, request: bytes, response: bytes, roots: tuple[Any, ...]) -> tuple[float, float]:
    """Return when a note was stamped, in seconds since the epoch, and how exact that is.

    Args:
        note: The octets that were to be stamped.
        request: The request, DER.
        response: The authority's answer, DER.
        roots: The certificates that are trusted, valid at the time of the stamp.

    Raises:
        BadStamp: It is no good stamp of these octets.
        ImportError: rfc3161-client is not installed.
    """
    from rfc3161_client import VerifierBuilder, decode_timestamp_response

    try:
        answer = decode_timestamp_response(sorted_certificates(response))
        status = int(answer.status)
    except Exception as fault:  # of a parser of others
        raise BadStamp("no time stamp response", actual=type(fault).__name__) from None
    if status != _GRANTED:
        raise BadStamp("the authority did not grant it", "status 0", f"status {status}")
    nonce, digest = _request_parts(request)
    try:
        info = answer.tst_info
        imprint = info.message_imprint
        given, algorithm = bytes(imprint.message), imprint.hash_algorithm.dotted_string
        given_nonce, moment = info.nonce, info.gen_time.timestamp()
        exact_s = _seconds(info.accuracy)
    except Exception as fault:
        raise BadStamp("no time stamp response", actual=type(fault).__name__) from None
    if digest != sha256(note).digest() or algorithm != _SHA256 or given != digest:
        raise BadStamp("the stamp is of other octets", sha256(note).hexdigest(), given.hex())
    if given_nonce != nonce:
        raise BadStamp("another nonce than the request's", str(nonce), str(given_nonce))
    builder = VerifierBuilder(roots=list(roots), nonce=nonce)
    try:
        is_good = builder.build().verify_message(answer, note)
    except Exception as fault:
        raise BadStamp(_CHAIN, actual=str(fault)[:200]) from None
    if is_good is not True:
        raise BadStamp(_CHAIN)
    return moment, exact_s


_SHA256: Final = "2.16.840.1.101.3.4.2.1"
_REQUEST: Final = b"\x02\x01\x01\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"
"""What a request begins with after its length: version 1, SHA-256, and the tag of 32 octets."""

_CERTIFICATES_WANTED: Final = b"\x01\x01\xff"


def _request_parts(request: bytes) -> tuple[int, bytes]:
    """Return nonce and digest of a request, which is read as it was written here (RFC 3161 s.2.4.1)."""
    at = 2 + len(_REQUEST)
    digest, rest = request[at : at + 32], request[at + 32 :]
    length = rest[1] if len(rest) > 1 else 0
    nonce = rest[2 : 2 + length]
    whole = b"\x30" + bytes([len(request) - 2 & 0x7F]) + _REQUEST + digest + b"\x02" + bytes([length]) + nonce
    if request != whole + _CERTIFICATES_WANTED or len(nonce) < 8:
        raise BadStamp("the request is not as it was sent")
    return int.from_bytes(nonce, "big", signed=True), digest


def _made_request(note: bytes) -> bytes:
    """Return a request for a stamp of some octets: their SHA-256, a nonce of 127 bits, certificates."""
    nonce = bytes([0x40 | os.urandom(1)[0] & 0x3F]) + os.urandom(15)
    inner = _REQUEST + sha256(note).digest() + b"\x02\x10" + nonce + _CERTIFICATES_WANTED
    return b"\x30" + bytes([len(inner)]) + inner


def _seconds(accuracy: Any) -> float:
    if accuracy is None:
        return 0.0
    return float(accuracy.seconds or 0) + (accuracy.millis or 0) / 1e3 + (accuracy.micros or 0) / 1e6


class TimestampAuthority:
    """An authority that stamps checkpoints, and what its stamps must lead to.

    Args:
        url: Where requests are posted.
        roots: The certificates that are trusted for its stamps.
        transport: Limits of a request and trust in the connection.

    Raises:
        ConfigurationError: ``configuration_invalid``: the URL, or no roots.
        ImportError: rfc3161-client is not installed.
    """

    __slots__ = ("_post", "_roots", "url")

    @checked
    def __init__(self, url: str, roots: tuple[Any, ...], transport: Transport | None = None) -> None:
        import rfc3161_client  # noqa: F401 - now, and not at the first stamp

        how = transport or Transport()
        self.url = how.check_url(url, "timestamp_url")
        if not roots:
            raise error_for("configuration_invalid", "timestamp_roots", "certificates", "none")
        self._roots = roots
        self._post = HttpsPost(how, max_answer_bytes=ANSWER_MAX_BYTES)

    @checked
    def stamp(self, reader: TrailReader) -> float:
        """Have a trail's checkpoint stamped, and store the stamp beside it where it is good.

        Returns:
            The time of the stamp, in seconds since the epoch.

        Raises:
            ConfigurationError: ``configuration_invalid``: the trail is empty.
            DependencyUnavailable: ``timestamp_failed``: no answer, or no good stamp; nothing is stored.
            OSError: The files cannot be written.
        """
        if not reader.size:
            raise error_for("configuration_invalid", "trail", "a record", "none")
        request = _made_request(reader.note)
        try:
            status, response = self._post(self.url, _HEADERS, request)
        except FetchFailed as fault:
            raise error_for("timestamp_failed", self.url, "an answer", fault.detail) from None
        if status != 200 or len(response) >= ANSWER_MAX_BYTES:
            actual = f"status {status}" if status != 200 else "too large"
            raise error_for("timestamp_failed", self.url, "status 200 and an answer up to 64 KiB", actual)
        try:
            moment, exact_s = stamped_s(reader.note, request, response, self._roots)
            check_time(reader, reader.size, moment, exact_s, time())
        except BadStamp as fault:
            actual = fault.cause if fault.actual is None else f"{fault.cause}: {fault.actual}"
            raise error_for("timestamp_failed", self.url, "a good time stamp", actual) from None
        _store(reader, (reader.note, request, response))
        return moment


def _store(reader: TrailReader, parts: tuple[bytes, ...]) -> None:
    folder = reader.folder / TIMESTAMPS / f"{reader.size:016d}.{parts_digest(parts)}"
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    for name, octets in zip(FILES, parts, strict=True):
        _files.replace(folder / name, octets, mode=0o644)


def check_time(reader: TrailReader, size: int, moment: float, exact_s: float, now_s: float) -> None:
    """Compare the time of a stamp with the records that it covers, and with the clock.

    Raises:
        BadStamp: It is of the future, or records were made after it.
        ConfigurationError: ``audit_trail_invalid``: the records cannot be read.
    """
    if moment - exact_s > now_s + TOLERANCE_S:
        raise BadStamp("its time is in the future", f"at most {now_s:.0f}", f"{moment:.0f}")
    last, count = (size - 1) // TILE_WIDTH, (size - 1) % TILE_WIDTH + 1
    rows = (parsed_record(one, f"bundle {last}") for one in reader.entries(last)[:count])
    newest_s = max(int(row["time_us"]) for row in rows) / 1e6
    if newest_s > moment + exact_s + 1 + TOLERANCE_S:
        expected = f"at least {newest_s:.0f}"
        raise BadStamp("its time is before that of records that it covers", expected, f"{moment:.0f}")


@checked
@dataclass(slots=True, kw_only=True)
class TimestampCheck:
    """What the time stamps of a trail show.

    Attributes:
        stamps: How many are good.
        size: How many records the newest good one covers.
        newest_s: Its time, in seconds since the epoch, or None.
        findings: What is wrong.
    """

    stamps: int = 0
    size: int = 0
    newest_s: float | None = None
    findings: list[Finding] = field(default_factory=list)


@checked
def check_timestamps(
    reader: TrailReader, roots: tuple[Any, ...], *, required: bool = False, now_s: float | None = None
) -> TimestampCheck:
    """Check every time stamp of a trail.

    Args:
        reader: The trail, of which each stamped checkpoint must be the beginning.
        roots: The certificates that are trusted, valid at the time of a stamp.
        required: Whether a trail without any good one has a finding.
        now_s: The time, in seconds since the epoch; None for the clock's.

    Raises:
        ImportError: rfc3161-client is not installed.
        OSError: The folder cannot be read.
    """
    now = time() if now_s is None else now_s
    check_range("now_s", now, 0, 2**40)
    found = TimestampCheck()
    for name in timestamp_names(reader.folder):
        place = f"{TIMESTAMPS}/{name}"
        try:
            _check_one(reader, name, roots, now, found)
        except FileNotFoundError as fault:
            if (reader.folder / place / FILES[-1]).exists():  # else one whose writing was interrupted
                found.findings.append(_finding(place, BadStamp("a file is missing", actual=fault.strerror)))
        except OSError as fault:
            found.findings.append(_finding(place, BadStamp("a file cannot be read", actual=fault.strerror)))
        except BadStamp as fault:
            found.findings.append(_finding(place, fault))
        except RapidJWSError as fault:
            bad = BadStamp("not a checkpoint of this trail", str(fault.expected), str(fault.actual))
            found.findings.append(_finding(place, bad))
    if required and not found.stamps:
        found.findings.append(
            Finding(code="timestamp_missing", place=f"{TIMESTAMPS}:0", cause="no good time stamp")
        )
    return found


def _finding(place: str, bad: BadStamp) -> Finding:
    return Finding(code="timestamp_invalid", place=f"{place}:0", expected=bad.expected, actual=bad.actual,
                   cause=bad.cause)  # fmt: skip


def _check_one(
    reader: TrailReader, name: str, roots: tuple[Any, ...], now_s: float, found: TimestampCheck
) -> None:
    named = _NAME.fullmatch(name)
    if named is None:
        raise BadStamp("not a name of a time stamp")
    folder = reader.folder / TIMESTAMPS / name
    response = _files.read_trusted(folder / FILES[2], ANSWER_MAX_BYTES)
    note = _files.read_trusted(folder / FILES[0], NOTE_MAX_BYTES)
    request = _files.read_trusted(folder / FILES[1], ANSWER_MAX_BYTES)
    if parts_digest((note, request, response)) != named[2]:
        raise BadStamp("a file is not as it was stored", named[2], parts_digest((note, request, response)))
    signed = Checkpoint.opened(note, [reader.key])
    if signed.size != int(named[1]):
        raise BadStamp("another size than its name's", named[1], str(signed.size))
    reader.prove_consistency(signed)
    moment, exact_s = stamped_s(note, request, response, roots)
    check_time(reader, signed.size, moment, exact_s, now_s)
    found.stamps += 1
    if signed.size >= found.size:
        found.size, found.newest_s = signed.size, moment
