"""The time of the newest list of one URL that was ever believed, kept over a restart.

Security: without it whoever can answer for the server could bring an older list back, still within its
dates, after each restart. The processes of a machine share the file.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import Final

from rapidjws import _files
from rapidjws.errors import error_for

MAX_BYTES: Final = 32
_FORM: Final = re.compile(rb"[0-9]{1,20}\n")


class NewestSeen:
    """The file of one list in a folder.

    Args:
        folder: The folder; it must be there.
        url: Of the list.

    Raises:
        ConfigurationError: ``configuration_invalid``: no folder.
    """

    __slots__ = ("_path",)

    def __init__(self, folder: str, url: str) -> None:
        if not os.path.isdir(folder):
            raise error_for("configuration_invalid", "state_dir", "a folder", folder)
        self._path = os.path.join(os.path.abspath(folder), hashlib.sha256(url.encode()).hexdigest() + ".iat")

    def iat_ns(self) -> int:
        """Return the newest ``iat``, in nanoseconds since the epoch; 0 where none was seen.

        Raises:
            OSError: The file cannot be read, or must not be trusted.
            ValueError: It holds something else.
        """
        try:
            octets = _files.read_trusted(self._path, MAX_BYTES, own=True)
        except FileNotFoundError:
            return 0
        if _FORM.fullmatch(octets) is None:
            raise ValueError("a time of a list")
        return int(octets)

    def put(self, iat_ns: int) -> None:
        """Keep a newer time; raises OSError where it cannot be written."""
        _files.replace(self._path, b"%d\n" % iat_ns)

    def __repr__(self) -> str:
        return "NewestSeen()"
