"""The airlock: the only importer of the compiled module, and the only place where typing is loose.

The calls that every token takes are bound to a snapshot (``NativeSnapshot.bind``) and take and make Python
objects themselves; all else goes through cffi. Everything that owns native memory is a small class here.
"""

from __future__ import annotations

import itertools
import secrets
import sys
import threading
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from rapidjws._version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence


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

ffi: Any = _rapidjws.ffi
lib: Any = _rapidjws.lib


def _check_version() -> None:
    """Raise ImportError where the binary was built from another version of the package."""
    built = ffi.string(lib.rj_built_version()).decode()
    if built != __version__:
        raise ImportError(f"rapidjws {__version__} found a binary built as {built}: reinstall the package")


_check_version()

if not lib.rj_python_install():
    raise ImportError("rapidjws could not set up its native types: reinstall the package")

Record = _rapidjws.Record
"""The fields of a verified token, which the core fills itself."""

OK: Final[int] = lib.RJ_OK
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
"""Of the acceptances of a hot path, one in this many is verified again by libcrypto."""


def _out(pointer_type: str, status: int, cell: Any) -> Any:
    """Return what a constructor of the core made, or raise MemoryError or RuntimeError."""
    if status == OK:
        return cell[0]
    if status == lib.RJ_NO_MEMORY:
        raise MemoryError(f"no memory for {pointer_type}")
    raise RuntimeError(f"{pointer_type}: {STATUS_NAMES[status]}")


def _new_runtime() -> Any:
    cell = ffi.new("rj_runtime **")
    status = lib.rj_runtime_new(cell, SAMPLE_INTERVAL, secrets.randbits(64))
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

token_verify_slot: Final[Any] = lib.rj_token_verify_slot

_key_ids: Final = itertools.count(1)


def alg_is_native(alg: int) -> bool:
    """Return whether the linked libcrypto verifies the algorithm with this number."""
    return bool(lib.rj_alg_is_native(runtime, alg))


class NativeKey:
    """Own one prepared key of the core.

    Attributes:
        address: Where it lies, for packing into slots.
    """

    __slots__ = ("_handle", "address")

    def __init__(self, handle: Any) -> None:
        self._handle = ffi.gc(handle, lib.rj_key_free)
        self.address = int(ffi.cast("uintptr_t", handle))

    def verify(
        self,
        alg: int,
        signing_input: bytes,
        signature: bytes,
        *,
        accelerated: bool = True,
        hot: NativeHot | None = None,
    ) -> int:
        """Return the status of one signature; ``hot`` is this key's own table, where it shall be used."""
        table = ffi.NULL if hot is None else hot.handle
        message, claimed = (signing_input, len(signing_input)), (signature, len(signature))
        status: int = lib.rj_verify_raw(runtime, self._handle, table, alg, *message, *claimed, accelerated)
        return status


def build_key(alg: int, first: bytes, second: bytes = b"") -> NativeKey | int:
    """Build a key, see ``rj_key_build``.

    Args:
        alg: A number of ``ALG_NUMBERS``.
        first: The secret, the modulus, x || y, or the raw public key.
        second: The RSA exponent.

    Returns:
        The key, or the status that says why there is none.

    Raises:
        MemoryError: No memory.
    """
    cell = ffi.new("rj_key **")
    status: int = lib.rj_key_build(runtime, cell, alg, next(_key_ids), first, len(first), second, len(second))
    if status == lib.RJ_NO_MEMORY:
        raise MemoryError("no memory for a key")
    return NativeKey(cell[0]) if status == OK else status


SLOT_FORMAT: Final = "@PPII"
"""How one slot is packed: key address, hot table address, algorithm number, issuer number."""


class NativeHot:
    """Own the precomputed table of one public key.

    Attributes:
        address: Where it lies, for packing into slots.
    """

    __slots__ = ("_generator", "address", "handle")

    def __init__(self, handle: Any, generator: Any) -> None:
        self._generator = generator  # the key's table borrows it
        self.handle = ffi.gc(handle, lib.rj_hot_free)
        self.address = int(ffi.cast("uintptr_t", handle))


_generators: Final[dict[tuple[int, bool], Any]] = {}
_generators_lock = threading.Lock()


def renew_locks() -> None:
    """Replace this module's lock in a forked child: a thread that is not there may have held it."""
    global _generators_lock
    _generators_lock = threading.Lock()


def hot_bytes(alg: int) -> int:
    """Return the memory one key's table takes, in bytes; 0 where the algorithm has none."""
    return int(lib.rj_hot_bytes(alg))


def build_hot(alg: int, public: bytes, *, portable: bool) -> NativeHot | None:
    """Build the table of a public key, and its generator's once a process.

    Args:
        alg: A number of ``ALG_NUMBERS``.
        public: x || y, or the raw public key.
        portable: Whether to keep to plain C arithmetic.

    Returns:
        The table, or None where there is none for this key: libcrypto verifies it as before.
    """
    flags = lib.RJ_HOT_PORTABLE if portable else 0
    cell = ffi.new("rj_hot **")
    with _generators_lock:
        generator = _generators.get((alg, portable))
        if generator is None:
            if lib.rj_hot_build_generator(cell, alg, flags) != OK:
                return None
            generator = _generators[alg, portable] = ffi.gc(cell[0], lib.rj_hot_free)
    if lib.rj_hot_build(cell, generator, public, len(public), flags) != OK:
        return None
    return NativeHot(cell[0], generator)


class HotReport(NamedTuple):
    """Say how the fast paths fared in this process.

    Attributes:
        sampled: Acceptances that libcrypto verified a second time.
        mismatches: Of these, the ones it refused.
        off: True once there was a mismatch: libcrypto alone decides from then on.
    """

    sampled: int
    mismatches: int
    off: bool


def hot_report() -> HotReport:
    """Return how the fast paths fared in this process."""
    report = ffi.new("rj_runtime_report *")
    lib.rj_runtime_read(report, runtime)
    return HotReport(report.sampled, report.mismatches, bool(report.off))


def set_sampling(interval: int) -> None:
    """Put one acceptance of a fast path in ``interval`` to libcrypto as well; 0 for none."""
    lib.rj_runtime_set_sampling(runtime, interval)


class NativeHeaders:
    """Own one header table.

    Args:
        max_entries: Most headers remembered.
    """

    __slots__ = ("handle",)

    def __init__(self, max_entries: int) -> None:
        cell = ffi.new("rj_headertable **")
        status = lib.rj_headertable_new(cell, max_entries, secrets.randbits(64))
        self.handle = ffi.gc(_out("header table", status, cell), lib.rj_headertable_free)


class NativeSnapshot:
    """Own one native snapshot: a key table, a header table, the claims policies.

    Args:
        slots: Slots packed one behind the other in ``SLOT_FORMAT``.
        owners: Whatever owns the addresses in ``slots``; kept alive as long as this object.
        headers: The header table; shared only between snapshots whose slots and rules are the same.
        policies: Claims policies, one an issuer; None for opaque payloads.
        max_token_bytes: Largest token.
        max_json_depth: Deepest nesting of a claims set.
        max_json_members: Most members in one object of a claims set.
        hot_threshold: Acceptances that earn a key its table; 0 for never.
        accelerated: Whether the fast paths are used.
    """

    __slots__ = ("_keys", "_owners", "_policies", "handle", "headers")

    def __init__(
        self,
        slots: bytes,
        owners: object,
        headers: NativeHeaders,
        policies: Sequence[NativePolicy] | None,
        *,
        max_token_bytes: int,
        max_json_depth: int,
        max_json_members: int,
        hot_threshold: int,
        accelerated: bool,
    ) -> None:
        keys = ffi.new("rj_keytable **")
        packed = ffi.from_buffer("rj_slot[]", slots)
        status = lib.rj_keytable_new(keys, packed, len(packed))
        self._keys = ffi.gc(_out("key table", status, keys), lib.rj_keytable_free)
        self._owners = owners
        self._policies = None if policies is None else _PolicyArray(policies)
        self.headers = headers
        self.handle = ffi.new("rj_snapshot *")
        self.handle.runtime = runtime
        self.handle.keys = self._keys
        self.handle.headers = headers.handle
        if self._policies is not None:
            self.handle.policies = self._policies.array
            self.handle.policies_len = self._policies.len
        self.handle.max_token_bytes = max_token_bytes
        self.handle.max_json_depth = max_json_depth
        self.handle.max_json_members = max_json_members
        self.handle.hot_threshold = hot_threshold
        self.handle.acceleration = accelerated

    def heat(self, slot: int) -> int:
        """Return how often a slot accepted since this snapshot was made."""
        return int(lib.rj_keytable_heat(self._keys, slot))

    def cost_us(self, tokens: bytes, lens: Any) -> int:
        """Return about how many microseconds a batch would take; arguments as in ``verify_batch``."""
        lens_c = ffi.from_buffer("uint32_t[]", lens)
        return int(lib.rj_batch_cost_us(self.handle, tokens, lens_c, len(lens)))

    def bind(self, accepted: type, slots: tuple[tuple[Any, Any], ...]) -> tuple[Any, Any, Any]:
        """Return the functions that tokens go through.

        Args:
            accepted: The type of a result; a :class:`Record`.
            slots: Slot number -> what goes into a result's ``_key`` and ``issuer``.

        Returns:
            ``verify(token, now)``: a result where the token is accepted and nothing else is to do, else its
            verdict as a number, or None where the token is neither ``str`` nor ``bytes``;
            ``verify_list(tokens, now)``, which gives a list of these; and ``recheck(token, now, slot)`` for
            octets whose signature verified by this slot before: all but the signature is checked again.
        """
        address = int(ffi.cast("uintptr_t", self.handle))
        return _rapidjws.bind(address, accepted, slots, self)

    def verify_signatures(self, octets: bytes, lens: Any, slots: Any) -> list[int]:
        """Verify the signatures of one JWS, see ``rj_signatures_verify``.

        Args:
            octets: Signing input and signature text in turn, nothing between them.
            lens: ``array("I")`` of their lengths in bytes.
            slots: ``array("I")`` of the slot of each signature.

        Returns:
            One verdict a signature.
        """
        count = len(slots)
        verdicts = ffi.new("uint64_t[]", count)
        lens_c = ffi.from_buffer("uint32_t[]", lens)
        slots_c = ffi.from_buffer("uint32_t[]", slots)
        lib.rj_signatures_verify(self.handle, verdicts, octets, lens_c, slots_c, count)
        numbers: list[int] = ffi.unpack(verdicts, count)
        return numbers


STREAM_MAX_LANES: Final[int] = lib.RJ_STREAM_MAX_LANES


class NativeStream:
    """Own one stream: the digests of a payload that comes piece by piece, one a signature.

    Args:
        snapshot: Keys; kept alive as long as this object.
        encoded: Whether the signing input holds the payload in base64url, as it does unless ``b64`` is false.
    """

    __slots__ = ("_handle", "_snapshot")

    def __init__(self, snapshot: NativeSnapshot, *, encoded: bool) -> None:
        cell = ffi.new("rj_stream **")
        encoding = lib.RJ_STREAM_BASE64URL if encoded else lib.RJ_STREAM_PLAIN
        status = lib.rj_stream_new(cell, snapshot.handle, encoding)
        self._handle = ffi.gc(_out("stream", status, cell), lib.rj_stream_free)
        self._snapshot = snapshot

    def add(self, slot: int, prefix: bytes) -> int:
        """Add a signature's lane and return its number.

        Args:
            slot: The slot whose key answers.
            prefix: The protected header as received, and the dot.
        """
        lane = ffi.new("uint32_t *")
        status = lib.rj_stream_add(self._handle, lane, slot, prefix, len(prefix))
        return int(_out("stream lane", status, lane))

    def update(self, piece: Any) -> None:
        """Hash the next piece: any buffer of bytes; the GIL is released meanwhile."""
        octets = ffi.from_buffer("uint8_t[]", piece)
        lib.rj_stream_update(self._handle, octets, len(octets))

    def verify(self, lane: int, signature: bytes) -> int:
        """End a lane and return the status of its signature, given in base64url."""
        status: int = lib.rj_stream_verify(self._handle, lane, signature, len(signature))
        return status


class NativePolicy:
    """Hold one issuer's claims policy in the shape the core reads.

    Args:
        issuer: The exact ``iss``.
        audiences: Accepted ``aud`` values.
        required: Claim names that must be there.
        leeway_s: Whole seconds.
        max_age_s: Whole seconds, or None.
        exp_required: Whether a token without ``exp`` is refused.
    """

    __slots__ = ("audiences", "exp_required", "issuer", "leeway_s", "max_age_s", "required")

    def __init__(
        self,
        issuer: str,
        audiences: Sequence[str],
        required: Sequence[str],
        *,
        leeway_s: int,
        max_age_s: int | None,
        exp_required: bool,
    ) -> None:
        self.issuer = issuer.encode()
        self.audiences = [name.encode() for name in audiences]
        self.required = [name.encode() for name in required]
        self.leeway_s = leeway_s
        self.max_age_s = -1 if max_age_s is None else max_age_s
        self.exp_required = exp_required


class _PolicyArray:
    """Own the array of claims policies and every byte that it points to."""

    __slots__ = ("_kept", "array", "len")

    def __init__(self, policies: Sequence[NativePolicy]) -> None:
        self.len = len(policies)
        self._kept: list[Any] = []
        self.array = ffi.new("rj_claims_policy[]", self.len)
        for row, policy in zip(self.array, policies, strict=True):
            row.issuer = self._span(policy.issuer)
            row.audiences_len, row.audiences = self._spans(policy.audiences)
            row.required_len, row.required = self._spans(policy.required)
            row.leeway_s = policy.leeway_s
            row.max_age_s = policy.max_age_s
            row.flags = 0 if policy.exp_required else lib.RJ_CLAIMS_EXP_OPTIONAL

    def _span(self, text: bytes) -> Any:
        held = ffi.new("uint8_t[]", text or b"\0")
        self._kept.append(held)
        return {"ptr": held, "len": len(text)}

    def _spans(self, texts: Sequence[bytes]) -> tuple[int, Any]:
        if not texts:
            return 0, ffi.NULL
        held = ffi.new("rj_span[]", [self._span(text) for text in texts])
        self._kept.append(held)
        return len(texts), held


_new: Any = ffi.new
_buffer: Any = ffi.buffer


def b64url_decode(text: bytes) -> bytes | None:
    """Decode strict, unpadded, canonical base64url.

    Returns:
        The bytes, or None where the text is not strict base64url.
    """
    length = len(text) * 3 // 4
    out = _new("uint8_t[]", length + 8)  # the first 8 bytes take the length, which is known already
    if lib.rj_base64url_decode(out + 8, ffi.cast("size_t *", out), length, text, len(text)) != OK:
        return None
    octets: bytes = _buffer(out + 8, length)[:]
    return octets


def b64url_encode(octets: bytes) -> bytes:
    """Encode as unpadded base64url."""
    capacity = (len(octets) * 4 + 2) // 3
    out = _new("uint8_t[]", capacity + 1)
    out_len = _new("size_t *")
    status = lib.rj_base64url_encode(out, out_len, capacity, octets, len(octets))
    if status != OK:
        raise RuntimeError(STATUS_NAMES[status])
    text: bytes = _buffer(out, out_len[0])[:]
    return text


JSON_HAS_BIG_INTEGER: Final[int] = lib.RJ_JSON_HAS_BIG_INTEGER


def json_check(
    text: bytes, *, max_bytes: int, max_depth: int, max_members: int, any_root: bool = False
) -> tuple[str, int, int]:
    """Check a JSON text's shape, see ``rj_json_scan``.

    Returns:
        The status name (``"ok"``, ``"malformed_json"``, ``"duplicate_member"``, ``"too_deep"``,
        ``"too_many_members"``, ``"too_large"``), the fault's offset in bytes, and notes
        (``JSON_HAS_BIG_INTEGER``: an integer outside of 64 bits).
    """
    cells = ffi.new("uint32_t[2]")
    status = lib.rj_json_check(
        runtime, cells, cells + 1, text, len(text), max_bytes, max_depth, max_members, any_root
    )
    if status == lib.RJ_NO_MEMORY:
        raise MemoryError("no memory for the JSON scan")
    return STATUS_NAMES[status], cells[0], cells[1]


def error_queue_len() -> int:
    """Return how many errors lie in this thread's libcrypto queue, and empty it: 0 after any call of ours."""
    length: int = lib.rj_error_queue_len()
    return length
