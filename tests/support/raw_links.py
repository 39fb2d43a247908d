"""A bare connection to a server under attack, and how long it may take to be cut off."""

from __future__ import annotations

import contextlib
import socket
from typing import Final

CUT_OFF_WITHIN_S: Final = 60.0


def closed(link: socket.socket) -> bool:
    """Return whether the other side hangs up in time."""
    link.settimeout(CUT_OFF_WITHIN_S)
    with contextlib.suppress(ConnectionError):
        while link.recv(65536):
            pass
    link.close()
    return True
