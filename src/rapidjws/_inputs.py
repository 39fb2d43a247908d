"""Files that a user names in a command: anybody's, behind links or not, but none that never ends."""

from __future__ import annotations

import os
import stat
from typing import Final

from rapidjws import _files

_FLAGS: Final = _files.READ_FLAGS & ~getattr(os, "O_NOFOLLOW", 0)
_HANDED_OVER: Final = ("/dev/fd/", "/proc/self/fd/", "/dev/stdin")


def open_input(path: str | os.PathLike[str]) -> int:
    """Return a descriptor for reading, at once: a pipe without a writer is not waited for.

    Args:
        path: A regular file, or a pipe that a shell hands over as ``/dev/fd/63``.

    Raises:
        FileRefused: It is something else: a folder, a device, a named pipe.
        OSError: It cannot be opened.
    """
    name = os.fspath(path)
    descriptor = os.open(name, _FLAGS)
    try:
        kind = os.fstat(descriptor).st_mode
        if stat.S_ISFIFO(kind) and name.startswith(_HANDED_OVER):
            os.set_blocking(descriptor, True)
        elif not stat.S_ISREG(kind):
            raise _files.FileRefused("not_regular", name, "not a regular file")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
