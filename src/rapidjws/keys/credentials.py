"""Request headers whose values lie in files: read again at each fetch, as tokens there are renewed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from rapidjws import _files
from rapidjws.errors import error_for
from rapidjws.keys.fetch_failed import FetchFailed

if TYPE_CHECKING:
    from rapidjws.keys.settings import Transport

VALUE_MAX_BYTES: Final = 8192
CREDENTIAL_FILES: Final = ("authorization_file", "proxy_authorization_file", "header_files")
_VALUE: Final = re.compile(r"[!-~]+(?: [!-~]+)*")


def request_headers(transport: Transport) -> list[tuple[str, str]]:
    """Return the headers of a fetch that lie in files, as these are now.

    Raises:
        FetchFailed: ``credential``: a file cannot be read, or holds no header value.
    """
    found = [(name, _value(path)) for name, path in transport.header_files.items()]
    if transport.authorization_file is not None:
        text = _value(transport.authorization_file)
        found.append(("Authorization", text if " " in text else f"Bearer {text}"))
    return found


def proxy_headers(transport: Transport) -> list[tuple[str, str]]:
    """Return the headers for the proxy, as :func:`request_headers`."""
    path = transport.proxy_authorization_file
    return [] if path is None else [("Proxy-Authorization", _value(path))]


def check_files(transport: Transport) -> None:
    """Refuse files that cannot be used, before the first fetch.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    named = {
        "authorization_file": transport.authorization_file,
        "proxy_authorization_file": transport.proxy_authorization_file,
    }
    pairs = [(place, path) for place, path in named.items() if path is not None]
    for place, path in [*pairs, *(("header_files", path) for path in transport.header_files.values())]:
        try:
            _line(path)
        except (OSError, ValueError) as fault:
            expected = f"a readable file of one line, at most {VALUE_MAX_BYTES} bytes, in ASCII"
            found = fault.strerror if isinstance(fault, OSError) else "something else"
            raise error_for("configuration_invalid", place, expected, found) from None


def _value(path: str) -> str:
    """Return the one line of a file; no word of it is ever shown."""
    try:
        return _line(path)
    except (OSError, ValueError):
        raise FetchFailed("credential") from None


def _line(path: str) -> str:
    """Return the one line of a file.

    Raises:
        OSError: It cannot be read, or others may write to it.
        ValueError: It holds something else than one line in ASCII.
    """
    text = _files.read_trusted(path, VALUE_MAX_BYTES).decode("ascii").strip()
    if _VALUE.fullmatch(text) is None:  # RFC 9110 s.5.5: no line break, or one header becomes two
        raise ValueError
    return text
