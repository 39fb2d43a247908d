"""The head and the form of a client's request, read strictly (RFC 6749 s.3.2, RFC 8693 s.2.1)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlsplit

from rapidjws.issuing.token_exchange import refusal

if TYPE_CHECKING:
    from rapidjws.issuing.token_clients import TokenClient

BODY_MAX_BYTES: Final = 64 * 1024
PARAMETERS_MAX: Final = 64
TARGETS_MAX: Final = 8
FORM: Final = "application/x-www-form-urlencoded"
HEADERS_READ: Final = frozenset({"authorization", "content-type", "x-request-id"})


def unread_status(method: str, body: bytes) -> int | None:
    """Return the status of a request that is refused unread: 405, or 413; None where it is to be read."""
    if method != "POST":
        return 405
    return 413 if len(body) > BODY_MAX_BYTES else None


def values_by_name(headers: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return all values of each header, in their order."""
    given: dict[str, list[str]] = {}
    for name, value in headers:
        given.setdefault(name, []).append(value)
    return given


def parameters_of(content_types: Sequence[str], body: bytes) -> tuple[dict[str, str], list[str]]:
    """Return the parameters of a form, and apart from them all values of ``audience`` and ``resource``.

    Raises:
        IssuingRefused: ``token_request_refused``: another content type, or a parameter that comes twice.
    """
    if len(content_types) != 1 or content_types[0].partition(";")[0].strip().lower() != FORM:
        raise refusal("content-type", FORM)
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            max_num_fields=PARAMETERS_MAX,
            errors="strict",
        )
    except ValueError:
        raise refusal("body", "a form") from None
    if not pairs:
        raise refusal("body", "a form")
    form: dict[str, str] = {}
    targets: list[str] = []
    for name, value in pairs:
        if not value:  # RFC 6749 s.3.2: without a value as if it was left out
            continue
        if name in ("audience", "resource"):
            if name == "resource" and not _is_resource(value):
                raise refusal("resource", "an absolute URI without a fragment", "invalid_target")
            targets.append(value)
        elif name in form:  # RFC 6749 s.3.2: parameters must not be repeated
            raise refusal("body", "each parameter once")
        else:
            form[name] = value
    return form, targets


def _is_resource(value: str) -> bool:
    """Return whether a value is an absolute URI without a fragment (RFC 8707 s.2)."""
    try:
        return bool(urlsplit(value).scheme) and "#" not in value
    except ValueError:  # half of an IPv6 address
        return False


def targets_of(client: TokenClient, targets: Sequence[str]) -> tuple[str, ...]:
    """Return the audiences of a token.

    Raises:
        IssuingRefused: ``token_request_refused``, with ``invalid_target`` (RFC 8693 s.2.2.2).
    """
    allowed = tuple(client.audiences)
    found = tuple(dict.fromkeys(targets))
    if not found and len(allowed) == 1:
        return allowed
    if not 0 < len(found) <= TARGETS_MAX or not set(found) <= set(allowed):
        raise refusal("audience", "audiences of this client", "invalid_target")
    return found
