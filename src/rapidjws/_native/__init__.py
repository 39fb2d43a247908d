"""The airlock: the only way to the compiled module, and the only place where typing is loose.

``core`` alone imports it. The calls that every token takes are methods of its types (``Holder``, ``Bound``)
and take and make Python objects themselves; all else goes through cffi. Everything that owns native memory is
a small class here.
"""

from rapidjws._native.core import (
    ALG_COUNT,
    ALG_NUMBERS,
    CLAIMS_UNDECIDED,
    COUNTERS_CODES,
    COUNTERS_DURATION_WORDS,
    HEADER_UNKNOWN,
    MALFORMED_TOKEN,
    NOT_NATIVE,
    OK,
    REMEMBER_HEADER,
    REMEMBER_HEADER_AND_ISSUER,
    SAMPLE_INTERVAL,
    SIGNATURE_INVALID,
    STATUS_NAMES,
    AccelerationReport,
    Bound,
    Counters,
    Holder,
    Record,
    acceleration_report,
    error_queue_len,
    ffi,
    lib,
    libcrypto_is_ours,
    libcrypto_version,
    runtime,
    runtime_address,
    set_sampling,
    token_verify_slot,
    writable_address,
)
from rapidjws._native.counters import CounterScan
from rapidjws._native.keys import (
    NativeKey,
    NativePrecomputed,
    alg_is_native,
    build_key,
    build_precomputed,
    precomputed_bytes,
    renew_locks,
)
from rapidjws._native.policies import (
    NativePolicy,
)
from rapidjws._native.snapshots import (
    SLOT_FORMAT,
    NativeHeaders,
    NativeSnapshot,
)
from rapidjws._native.streams import (
    STREAM_MAX_LANES,
    NativeStream,
)
from rapidjws._native.text import (
    JSON_HAS_BIG_INTEGER,
    b64url_decode,
    b64url_encode,
    json_check,
)

__all__ = [
    "ALG_COUNT",
    "ALG_NUMBERS",
    "AccelerationReport",
    "Bound",
    "CLAIMS_UNDECIDED",
    "COUNTERS_CODES",
    "COUNTERS_DURATION_WORDS",
    "CounterScan",
    "Counters",
    "HEADER_UNKNOWN",
    "Holder",
    "JSON_HAS_BIG_INTEGER",
    "MALFORMED_TOKEN",
    "NOT_NATIVE",
    "NativeHeaders",
    "NativeKey",
    "NativePolicy",
    "NativePrecomputed",
    "NativeSnapshot",
    "NativeStream",
    "OK",
    "REMEMBER_HEADER",
    "REMEMBER_HEADER_AND_ISSUER",
    "Record",
    "SAMPLE_INTERVAL",
    "SIGNATURE_INVALID",
    "SLOT_FORMAT",
    "STATUS_NAMES",
    "STREAM_MAX_LANES",
    "acceleration_report",
    "alg_is_native",
    "b64url_decode",
    "b64url_encode",
    "build_key",
    "build_precomputed",
    "error_queue_len",
    "ffi",
    "json_check",
    "lib",
    "libcrypto_is_ours",
    "libcrypto_version",
    "precomputed_bytes",
    "renew_locks",
    "runtime",
    "runtime_address",
    "set_sampling",
    "token_verify_slot",
    "writable_address",
]
