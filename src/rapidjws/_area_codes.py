"""The error codes of all areas that keep their rows in a file of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rapidjws._change_codes import ROWS
from rapidjws._introspection_codes import INTROSPECTION_ROWS
from rapidjws._nonce_codes import NONCE_ROWS
from rapidjws._sender_codes import SENDER_ROWS

if TYPE_CHECKING:
    from rapidjws._change_codes import Row

AREA_ROWS: Final[tuple[Row, ...]] = (*ROWS, *SENDER_ROWS, *NONCE_ROWS, *INTROSPECTION_ROWS)
