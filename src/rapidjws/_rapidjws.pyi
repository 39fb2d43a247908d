# The compiled module, as far as a type checker needs it: cffi gives no types. Only _native.py imports it.
from collections.abc import Callable
from typing import Any

class VerifiedToken:
    _token: str | bytes
    _key: Any
    issuer: str | None
    _payload: bytes | None
    _header: dict[str, Any] | None
    _claims: dict[str, Any] | None

class NativeSnapshot:
    def attach(
        self,
        address: int,
        accepted: type,
        slots: tuple[Any, ...],
        read: Callable[[bytes], Any],
        clock_floor_s: int,
        is_plain: bool,
        owner: object,
        counter_rows: bytes | None = None,
    ) -> None: ...
    def verify_one(self, token: object, now: float) -> Any: ...
    def verify_list(self, tokens: list[Any], now: float, is_alone: bool) -> list[Any]: ...
    def verify_sent(
        self, token: bytes, now: float, proof: bytes, slot: bytes, name: bytes
    ) -> tuple[Any, tuple[bytes, dict[str, Any] | None, str, bytes | None] | None]: ...
    def recheck(self, token: bytes, now: float, slot: int) -> Any: ...

class NativeEngine:
    _snapshot: Any
    _counters: Any
    _direct: bool
    _headers: KnownHeaders | None
    _is_used: bool
    def _set_known(self, known: KnownHeaders | None) -> None: ...
    def _set_due(self, seconds: float) -> None: ...
    def verify(self, token: Any, now: float | None = None, *, wait_s: float = 0.0) -> Any:
        """Verify one token and its claims.

        Args:
            token: JWS Compact Serialization, as text or bytes; a buffer is copied first.
            now: Seconds since the epoch; by default the wall clock, in nanoseconds. An int is exact;
                a float stands for the decimal that ``repr`` writes: at present 0.24 microseconds apart.
            wait_s: Longest wait for a refresh that may bring the token's key, in seconds; 0 for none.

        Returns:
            The verified JWS, with ``.claims``.

        Raises:
            TokenRefused: With the stable code of the first check that refused.
            KeysUnavailable: ``keys_unavailable``, ``keys_stale``: the issuer has no keys to be used now.
            DependencyUnavailable: ``clock_implausible``: the wall clock lies before this release;
                ``replay_store_unavailable``.

        Source: RFC 7515 section 5.2, RFC 7519 section 7.2.
        """

    def _verify_uncounted(self, token: Any, now: float | None = None, *, wait_s: float = 0.0) -> Any: ...

class KnownHeaders:
    def __init__(
        self, engines: type, verified: type, counters: Counters | None, most: int, seed: int, /
    ) -> None: ...
    def __len__(self) -> int: ...
    def put(self, token: str | bytes, engine: NativeEngine, verified: Any, is_shared: bool, /) -> bool: ...

class Counters:
    _codes: dict[str, int]
    _claim_codes: dict[str, None]
    _issuers: dict[str | None, tuple[int, dict[str, int], dict[str, int]]]
    _verified: type
    def _attach(self, runtime: int) -> None: ...
    def count(
        self,
        issuer: str | None,
        partner: str,
        code: str,
        alg: str,
        elapsed_ns: int,
        place: str | None = None,
        times: int = 1,
        /,
    ) -> None: ...
    def count_results(self, results: list[Any], elapsed_ns: int) -> None: ...

def verify_known(
    address: int, known: dict[str, Any], octets: bytes, max_signatures: int
) -> tuple[list[Any], list[int] | None, bytes] | None: ...
def http_requests(
    data: bytes, wanted: tuple[bytes, ...], max_bytes: int
) -> tuple[list[tuple[bytes, list[tuple[bytes, bytes]], bytes]], int]: ...
def bearer_request(
    headers: list[tuple[bytes, bytes]],
    token_field: bytes,
    partner_field: bytes | None,
    route_fields: tuple[bytes, ...],
    target: bytes | None,
    /,
) -> tuple[bytes, str | None, str | None] | None: ...
def batch_senders(batch: list[Any], token_field: bytes, partner_field: bytes | None, /) -> list[bytes]: ...
def header_text(value: object, max_chars: int, /) -> str: ...
def copy_maker(template: Any, first: str, second: str, /) -> Any: ...
def check_request(
    message: bytes,
    offset: int,
    wanted: tuple[bytes, ...] | None,
    owned: tuple[bytes, ...],
    with_body: bool,
    /,
) -> tuple[list[tuple[bytes, bytes]], bytes, bytes, bytes, bytes, list[str]] | None: ...
def check_permit(
    fixed: bytes,
    headers: tuple[tuple[str, str], ...],
    removed: tuple[str, ...],
    to_client: tuple[tuple[str, str], ...],
    metadata: bytes,
    /,
) -> bytes: ...
def check_denied(code: int, status: int, headers: tuple[tuple[str, str], ...], body: bytes, /) -> bytes: ...
def b64url_decode(text: bytes) -> bytes | None: ...
def request_id(header: bytes, /) -> str | None: ...
def trace_id(header: bytes, /) -> str | None: ...
def json_check(
    runtime: int, text: bytes, max_bytes: int, max_depth: int, max_members: int, any_root: bool
) -> tuple[int, int, int]: ...

ffi: Any
lib: Any
