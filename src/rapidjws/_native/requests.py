"""What decisions take from requests, and how values that are alike are made."""

from __future__ import annotations

from rapidjws._native.core import batch_senders as _batch_senders
from rapidjws._native.core import bearer_request as _bearer_request
from rapidjws._native.core import copy_maker as _copy_maker
from rapidjws._native.core import header_text as _header_text

TYPE_CHECKING = False  # `typing` costs more than all that is imported here
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    PlainRequest = tuple[bytes, str | None, str | None]

bearer_request: Callable[
    [list[tuple[bytes, bytes]], bytes, bytes | None, tuple[bytes, ...], bytes | None], PlainRequest | None
] = _bearer_request
"""Return token, partner and route of a request: one token behind ``Bearer``, and one of the others at most.

Takes the headers by lower-case name, the names of the fields of token, partner and route, and the route where
no header names it. None for every other request: several values, half a token, a route with a query.
"""

batch_senders: Callable[[list[Any], bytes, bytes | None], list[bytes]] = _batch_senders
"""Return whose each request of a batch is, as far as that can be known without a look into its token.

Takes answerer, rest of the target and request (what it asks for, its headers, and more) of each, the field of
the token and that of the partner. Where there is such a field it is what the request has in it, joined by
commas; else the protected header of its first token, as it stands there.
"""

header_text: Callable[[object, int], str] = _header_text
"""Return text of so many characters at most as it is, where all of it is printable ASCII and no space is at
either end; else an empty text."""

copy_maker: Callable[[Any, str, str], Callable[[Any, Any], Any] | None] = _copy_maker
"""Return what copies a value whose class has slots and nothing else, with two members of its own.

Takes the value and the names of the members; None where objects of that class are laid out otherwise.
Security: a copy is checked by nobody: the value was, and whoever gives the members answers for them.
"""
