"""The compiled module, imported and checked; statuses, algorithms, and the runtime of the process.

The only importer of the compiled module. cffi gives no types, so what comes from it is Any.
"""

from __future__ import annotations

import os
import sys

from rapidjws._version import __version__

TYPE_CHECKING = False  # `typing` costs more than all that is imported here
if TYPE_CHECKING:
    from typing import Any, Final


def _refuse_subinterpreters() -> None:
    """Raise ImportError in a sub-interpreter: the compiled module's state belongs to the whole process."""
    name = "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"
    try:
        module = __import__(name)
        here, main = module.get_current(), module.get_main()
    except (ImportError, AttributeError):
        return
    if isinstance(here, tuple):
        here, main = here[0], main[0]
    if int(here) != int(main):
        raise ImportError("rapidjws runs in the main interpreter only, not in a sub-interpreter")


_refuse_subinterpreters()

# cffi writes no type information, so everything that comes from it is Any: looseness ends in this file.
import rapidjws._rapidjws as _rapidjws  # noqa: E402

_REINSTALL: Final = "reinstall the package, or in a source tree build it again (pip install -e .)"

ffi: Any = _rapidjws.ffi
lib: Any = _rapidjws.lib


def _check_version() -> None:
    """Raise ImportError where the binary was built from another version of the package."""
    version = getattr(lib, "rj_built_version", None)
    built = "an unknown version" if version is None else ffi.string(version()).decode()
    if built != __version__:
        raise ImportError(
            f"rapidjws {__version__} found a native module of {built} at {_rapidjws.__file__}: {_REINSTALL}"
        )


_check_version()

if not lib.rj_python_install():
    raise ImportError(f"rapidjws could not set up its native types: {_REINSTALL}")

verify_known = _rapidjws.verify_known
"""Verify a General JSON Serialization of known headers, see ``NativeTables.verify_known``."""

b64url_decode_octets = _rapidjws.b64url_decode
"""Decode strict base64url, see ``text.b64url_decode``."""

http_requests = _rapidjws.http_requests
"""Read plain HTTP requests, see ``text.http_requests``."""

bearer_request = _rapidjws.bearer_request
"""Find token, partner and route among headers, see ``requests.bearer_request``."""

batch_senders = _rapidjws.batch_senders
"""Tell whose the requests of a batch are, see ``requests.batch_senders``."""

header_text = _rapidjws.header_text
"""Return text that may stand in a header, see ``requests.header_text``."""

copy_maker = _rapidjws.copy_maker
"""Make what copies a value but for two members, see ``requests.copy_maker``."""

envoy_request = _rapidjws.check_request
"""Read a CheckRequest, see ``envoy.check_request``."""

envoy_permit = _rapidjws.check_permit
"""Write the CheckResponse of a permit, see ``envoy.check_permit``."""

envoy_denied = _rapidjws.check_denied
"""Write the CheckResponse of a refusal, see ``envoy.check_denied``."""

json_check_octets = _rapidjws.json_check
"""Check a JSON text's shape, see ``text.json_check``."""

request_id_text = _rapidjws.request_id
"""Read an X-Request-Id, see ``text.request_id``."""

trace_id_text = _rapidjws.trace_id
"""Read a traceparent, see ``text.trace_id``."""

NativeSnapshot = _rapidjws.NativeSnapshot
"""What a snapshot is to the calls that every token takes."""

NativeEngine = _rapidjws.NativeEngine
"""What an engine is to the core: one reference to a :class:`NativeSnapshot`, and ``verify``."""

KnownHeaders = _rapidjws.KnownHeaders
"""Of a registry: whose engine verified a token with this very header; see :func:`known_headers`."""

Counters = _rapidjws.Counters
"""Where verdicts are counted, by name; see ``verify/verdict_counters.py``."""

VerifiedToken = _rapidjws.VerifiedToken
"""The fields of a verified token, which the core fills itself."""

OK: Final[int] = lib.RJ_OK
BATCH_MAX: Final[int] = lib.RJ_BATCH_MAX
"""Most tokens whose signatures the core verifies together."""

MALFORMED_TOKEN: Final[int] = lib.RJ_MALFORMED_TOKEN
SIGNATURE_INVALID: Final[int] = lib.RJ_SIGNATURE_INVALID
HEADER_UNKNOWN: Final[int] = lib.RJ_HEADER_UNKNOWN
CLAIMS_UNDECIDED: Final[int] = lib.RJ_CLAIMS_UNDECIDED
NOT_NATIVE: Final[int] = lib.RJ_NOT_NATIVE
SLOT_NONE: Final[int] = lib.RJ_SLOT_NONE
REMEMBER_HEADER: Final[int] = lib.RJ_REMEMBER_HEADER
REMEMBER_HEADER_AND_ISSUER: Final[int] = lib.RJ_REMEMBER_HEADER_AND_ISSUER

STATUS_NAMES: Final[dict[int, str]] = {
    number: name[3:].lower() for name, number in ffi.typeof("rj_status").relements.items()
}
"""Every status the core can answer: number -> name in lower case, without the prefix."""

ALG_NUMBERS: Final[dict[str, int]] = {
    name[3:].replace("_", "-"): number
    for name, number in ffi.typeof("rj_alg").relements.items()
    if name not in ("RJ_ALG_UNSET", "RJ_ALG_COUNT")
}
"""The core's algorithms: ``"ES256"``, ``"ED25519"``, ``"ML-DSA-44"`` and so on -> number."""

SAMPLE_INTERVAL: Final = 1024
"""Of the acceptances of a precomputed table, one in this many is verified again by libcrypto."""


def made(pointer_type: str, status: int, cell: Any) -> Any:
    """Return what a constructor of the core made, or raise MemoryError or RuntimeError."""
    if status == OK:
        return cell[0]
    if status == lib.RJ_NO_MEMORY:
        raise MemoryError(f"no memory for {pointer_type}")
    raise RuntimeError(f"{pointer_type}: {STATUS_NAMES[status]}")


def random_u64() -> int:
    """Return 64 bits from the system's generator."""
    return int.from_bytes(os.urandom(8), sys.byteorder)


HEADER_SEED: Final = random_u64()
"""The seed of all tables of headers, so that the hash of a header serves several."""

KNOWN_HEADERS_MAX: Final = 1 << 22
"""Most headers that a registry knows."""


def known_headers(counters: Counters | None, most: int) -> KnownHeaders:
    """Return an empty table of a registry's headers.

    Args:
        counters: Where the registry counts.
        most: Most headers, at most ``KNOWN_HEADERS_MAX``.
    """
    return KnownHeaders(NativeEngine, VerifiedToken, counters, min(most, KNOWN_HEADERS_MAX), HEADER_SEED)


def _new_runtime() -> Any:
    cell = ffi.new("rj_runtime **")
    status = lib.rj_runtime_new(cell, SAMPLE_INTERVAL, random_u64())
    if status != OK:
        raise ImportError(f"libcrypto could not be set up: {STATUS_NAMES[status]} ({libcrypto_version()})")
    return cell[0]


def libcrypto_version() -> str:
    """Return libcrypto's own version line, for instance ``"OpenSSL 3.0.19 27 Jan 2026"``."""
    text: str = ffi.string(lib.rj_libcrypto_version()).decode()
    return text


def libcrypto_is_ours() -> bool:
    """Return whether libcrypto was linked in from our own static build."""
    return bool(lib.rj_libcrypto_is_ours())


runtime: Final[Any] = _new_runtime()
"""The process's native runtime. Never freed: threads may still verify while the interpreter goes down."""

ALG_COUNT: Final[int] = lib.RJ_ALG_COUNT
COUNTERS_CODES: Final[int] = lib.RJ_COUNTERS_CODES
COUNTERS_DURATION_WORDS: Final[int] = lib.RJ_COUNTERS_DURATION_WORDS


def runtime_address() -> int:
    """Return where the process's native runtime lies."""
    return int(ffi.cast("uintptr_t", runtime))


def writable_address(memory: Any) -> tuple[Any, int]:
    """Return what keeps a buffer of memory in its place, and where it lies."""
    held = ffi.from_buffer(memory, require_writable=True)
    return held, int(ffi.cast("uintptr_t", held))


token_verify_slot: Final[Any] = lib.rj_token_verify_slot


class AccelerationReport:
    """How the accelerated paths fared in this process.

    Attributes:
        sampled: Acceptances that libcrypto verified a second time.
        mismatches: Of these, the ones it refused.
        fallbacks: Signatures that an accelerated path left to libcrypto, or that came while all were off.
        off: True once there was a mismatch: libcrypto alone decides from then on.
    """

    __slots__ = ("fallbacks", "mismatches", "off", "sampled")

    def __init__(self, sampled: int, mismatches: int, fallbacks: int, off: bool) -> None:
        self.sampled, self.mismatches, self.fallbacks, self.off = sampled, mismatches, fallbacks, off


def acceleration_report() -> AccelerationReport:
    """Return how the accelerated paths fared in this process."""
    report = ffi.new("rj_runtime_report *")
    lib.rj_runtime_read(report, runtime)
    return AccelerationReport(report.sampled, report.mismatches, report.fallbacks, bool(report.off))


def set_sampling(interval: int) -> None:
    """Put one acceptance of an accelerated path in ``interval`` to libcrypto as well; 0 for none."""
    lib.rj_runtime_set_sampling(runtime, interval)


def error_queue_len() -> int:
    """Return how many errors lie in this thread's libcrypto queue, and empty it: 0 after any call of ours."""
    length: int = lib.rj_error_queue_len()
    return length
