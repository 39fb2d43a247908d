"""The airlock: the only way to the compiled module, and the only place where typing is loose.

``core`` alone imports it. The calls that every token takes are methods of its types (``Holder``, ``Bound``)
and take and make Python objects themselves; all else goes through cffi. Everything that owns native memory is
a small class here.
"""

from rapidjws._native.core import (
    ALG_NUMBERS,
    CLAIMS_UNDECIDED,
    HEADER_UNKNOWN,
    MALFORMED_TOKEN,
    NOT_NATIVE,
    OK,
    REMEMBER_HEADER,
    REMEMBER_HEADER_AND_ISSUER,
    SAMPLE_INTERVAL,
    SIGNATURE_INVALID,
    STATUS_NAMES,
    Bound,
    Holder,
    HotReport,
    Record,
    error_queue_len,
    ffi,
    hot_report,
    lib,
    libcrypto_is_ours,
    libcrypto_version,
    runtime,
    set_sampling,
    token_verify_slot,
)
from rapidjws._native.keys import (
    NativeHot,
    NativeKey,
    alg_is_native,
    build_hot,
    build_key,
    hot_bytes,
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
    "ALG_NUMBERS",
    "Bound",
    "CLAIMS_UNDECIDED",
    "HEADER_UNKNOWN",
    "Holder",
    "HotReport",
    "JSON_HAS_BIG_INTEGER",
    "MALFORMED_TOKEN",
    "NOT_NATIVE",
    "NativeHeaders",
    "NativeHot",
    "NativeKey",
    "NativePolicy",
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
    "alg_is_native",
    "b64url_decode",
    "b64url_encode",
    "build_hot",
    "build_key",
    "error_queue_len",
    "ffi",
    "hot_bytes",
    "hot_report",
    "json_check",
    "lib",
    "libcrypto_is_ours",
    "libcrypto_version",
    "renew_locks",
    "runtime",
    "set_sampling",
    "token_verify_slot",
]
