"""Files that are trusted, and files that must not be lost: the one place that opens and writes them.

What is trusted is opened without waiting and checked on the open descriptor: no link that a stranger made,
a regular file, an owner and a mode that keep strangers out, a bound on its size. What is written is written
whole and on the disk before it takes the place of the old one. All functions raise OSError.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path
from typing import Final

Signature = tuple[int, int, int]

LINKS_MAX: Final = 8
"""Links followed one after the other; Kubernetes mounts a file behind one."""

READ_FLAGS: Final = (
    os.O_RDONLY
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a FIFO without a writer must not hang a start
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)
_WRITE: Final = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH


class FileRefused(OSError):
    """A file that is there and must not be trusted.

    Attributes:
        reason: ``"link"``, ``"not_regular"``, ``"owner"``, ``"mode"`` or ``"too_large"``.
    """

    def __init__(self, reason: str, path: str, words: str) -> None:
        super().__init__(errno.EPERM, words, path)
        self.reason = reason


# --- reading ---------------------------------------------------------------------------------------------


def read_trusted(
    path: str | os.PathLike[str], max_bytes: int, *, own: bool = False, private: bool = False
) -> bytes:
    """Return the octets of a file that may be trusted.

    Args:
        path: The file.
        max_bytes: Largest size.
        own: True for a file that this package keeps for itself: no link at all, and its owner must be this
            user or root. False for one that the operator named: links made by this user or root are
            followed, and another's file is read where only its folder's owner can have put it there.
        private: True for a secret, which neither its group nor others may read.

    Raises:
        FileRefused: It is there and must not be trusted.
        OSError: It cannot be read.
    """
    descriptor = open_trusted(path, own=own)
    try:
        if private and os.name == "posix" and os.fstat(descriptor).st_mode & (stat.S_IRGRP | stat.S_IROTH):
            raise FileRefused("mode", os.fspath(path), "others may read it; chmod 0600")
        if os.fstat(descriptor).st_size > max_bytes:
            raise _too_large(path, max_bytes)
        parts: list[bytes] = []
        left = max_bytes + 1
        most = min(
            max(os.fstat(descriptor).st_size + 1, 1 << 16), 1 << 20
        )  # a buffer of the file's size, not of the largest one
        while left > 0 and (part := os.read(descriptor, min(left, most))):
            parts.append(part)
            left -= len(part)
        if left <= 0:  # it grew meanwhile
            raise _too_large(path, max_bytes)
        return parts[0] if len(parts) == 1 else b"".join(parts)
    finally:
        os.close(descriptor)


def read_private(path: str | os.PathLike[str], max_bytes: int) -> bytes:
    """Return the octets of a file with a private key, which nobody else may even read.

    Raises:
        FileRefused: It is there and must not be trusted, or its group or others may read it.
        OSError: It cannot be read.
    """
    return read_trusted(path, max_bytes, private=True)


def read_end(path: str | os.PathLike[str], max_bytes: int) -> bytes:
    """Return the last whole lines of a file that only grows, as :func:`read_trusted` trusts it.

    Args:
        path: The file.
        max_bytes: Most octets that are read; a line that this cuts is left out.

    Raises:
        FileRefused: It is there and must not be trusted.
        OSError: It cannot be read.
    """
    descriptor = open_trusted(path)
    try:
        start = max(0, os.fstat(descriptor).st_size - max_bytes)
        os.lseek(descriptor, max(0, start - 1), os.SEEK_SET)
        parts: list[bytes] = []
        while part := os.read(descriptor, 1 << 20):
            parts.append(part)
        octets = b"".join(parts)
        return octets[octets.find(b"\n") + 1 or len(octets) :] if start else octets
    finally:
        os.close(descriptor)


def _too_large(path: str | os.PathLike[str], max_bytes: int) -> FileRefused:
    return FileRefused("too_large", os.fspath(path), f"larger than {max_bytes} bytes")


def open_trusted(path: str | os.PathLike[str], *, own: bool = False) -> int:
    """Return a descriptor for reading, checked as :func:`read_trusted` says, or raise OSError."""
    name = os.fspath(path)
    for _ in range(LINKS_MAX):
        try:
            descriptor = os.open(name, READ_FLAGS)
            break
        except OSError as fault:
            if fault.errno not in (errno.ELOOP, errno.EMLINK):  # EMLINK: FreeBSD's word for O_NOFOLLOW
                raise
            name = _followed(name, own=own)
    else:
        raise FileRefused("link", os.fspath(path), f"more than {LINKS_MAX} links")
    try:
        _check(name, os.fstat(descriptor), own=own)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _followed(name: str, *, own: bool) -> str:
    """Return where a link points, if its maker may be trusted."""
    found = os.lstat(name)
    if own or not _is_ours(found):
        raise FileRefused("link", name, "a symbolic link; give the path of the file itself")
    return os.path.join(os.path.dirname(name), os.readlink(name))


def _check(name: str, found: os.stat_result, *, own: bool) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise FileRefused("not_regular", name, "not a regular file")
    if os.name != "posix":
        return
    if not _is_ours(found) and (own or not _is_placed(name)):
        raise FileRefused("owner", name, "another user's file; it must be this user's, or root's")
    others = found.st_mode & _WRITABLE_BY_OTHERS
    if others & stat.S_IWOTH or (others and (own or not _is_private_group(found))):
        raise FileRefused("mode", name, "others may write to it; chmod go-w")


def _is_ours(found: os.stat_result) -> bool:
    return os.name != "posix" or found.st_uid in (0, os.geteuid())


def _is_placed(name: str) -> bool:
    """Return whether nobody but its owner can have put a file into the folder."""
    return not os.stat(os.path.dirname(name) or ".").st_mode & _WRITABLE_BY_OTHERS


def _is_private_group(found: os.stat_result) -> bool:
    """Return whether a file's group is its owner's own and has no other member (umask 002)."""
    import grp
    import pwd

    try:
        owner, group = pwd.getpwuid(found.st_uid), grp.getgrgid(found.st_gid)
    except KeyError:
        return False
    return owner.pw_gid == found.st_gid and owner.pw_name == group.gr_name and not group.gr_mem


def signature(path: str | os.PathLike[str]) -> Signature | None:
    """Return what changes when a file does: time of change, size and inode; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


# --- writing ---------------------------------------------------------------------------------------------


def write_all(descriptor: int, octets: bytes) -> None:
    """Write all octets, however few a system call takes."""
    rest = memoryview(octets)
    while rest:
        taken = os.write(descriptor, rest)
        if taken <= 0:
            raise OSError(errno.EIO, "nothing was written")
        rest = rest[taken:]


def cut(descriptor: int, size: int) -> None:
    """Cut an open file to a size, and go on writing at its end."""
    os.ftruncate(descriptor, size)
    os.lseek(descriptor, size, os.SEEK_SET)


def create(path: str | os.PathLike[str], mode: int = 0o600) -> int:
    """Return a descriptor of a file that was not there before, for writing."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _WRITE, mode)
    try:
        _give_to_folder_owner(descriptor, path)
    except BaseException:
        os.close(descriptor)
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise
    return descriptor


def _give_to_folder_owner(descriptor: int, path: str | os.PathLike[str]) -> None:
    """Have what root makes belong to the folder's owner: a service must read what an administrator wrote."""
    if os.name == "posix" and os.geteuid() == 0:
        folder = os.stat(os.path.dirname(os.fspath(path)) or ".")
        if folder.st_uid != 0:
            os.fchown(descriptor, folder.st_uid, folder.st_gid)


def temporary_name(path: str | os.PathLike[str]) -> Path:
    """Return a name beside a file, for what is to take its place."""
    whole = Path(path)
    return whole.with_name(f".{whole.name}.{secrets.token_hex(8)}.tmp")


def replace(path: str | os.PathLike[str], octets: bytes, *, mode: int = 0o600, sync: bool = True) -> None:
    """Replace a file whole or not at all, on the disk before it is seen.

    Args:
        path: The file.
        octets: What it holds from now on.
        mode: Its permissions, before the umask.
        sync: Whether it must outlive a power failure.

    Raises:
        OSError: What was there stays; or, where only its folder could not be written to the disk, the new
            file is in place and may not outlive a power failure.
    """
    fresh = temporary_name(path)
    descriptor = create(fresh, mode)
    try:
        try:
            write_all(descriptor, octets)
            if sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(fresh, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(fresh)
        raise
    if sync:
        sync_folder(path)


def move(source: str | os.PathLike[str], target: str | os.PathLike[str], *, sync: bool = False) -> None:
    """Give a file another name, in place of what has it now."""
    os.replace(source, target)
    if sync:
        sync_folder(target)


def write_new(path: str | os.PathLike[str], octets: bytes, *, mode: int = 0o600) -> None:
    """Write a file that must not be there yet; raises FileExistsError where it is."""
    descriptor = create(path, mode)
    try:
        write_all(descriptor, octets)
        os.fsync(descriptor)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise
    finally:
        os.close(descriptor)


def append_line(path: str | os.PathLike[str], octets: bytes) -> None:
    """Add one line to a file that only grows, on the disk before it returns.

    A line that a crash cut off is ended first, so it spoils no other. What a fault leaves of the new one is
    taken away again as far as that goes.
    """
    descriptor, made = open_to_write(path, append=True)
    try:
        _check(os.fspath(path), os.fstat(descriptor), own=False)
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        try:
            write_all(descriptor, b"\n" * torn + octets + b"\n")
            os.fsync(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)
    if made:
        sync_folder(path)


def open_to_write(path: str | os.PathLike[str], *, append: bool = False) -> tuple[int, bool]:
    """Return a descriptor of a regular file, made where it is not there, and whether it was."""
    flags = os.O_RDWR | getattr(os, "O_NONBLOCK", 0) | _WRITE | (os.O_APPEND if append else 0)
    try:
        descriptor, made = os.open(path, flags), False
    except FileNotFoundError:
        descriptor, made = os.open(path, flags | os.O_CREAT, 0o600), True
    try:
        if made:
            _give_to_folder_owner(descriptor, path)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FileRefused("not_regular", os.fspath(path), "not a regular file")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, made


def open_log(path: str | os.PathLike[str]) -> int:
    """Return a descriptor of a log, made where it is not there, that each write appends to.

    Raises:
        FileRefused: It is there and must not be trusted.
    """
    descriptor, _ = open_to_write(path, append=True)
    try:
        _check(os.fspath(path), os.fstat(descriptor), own=False)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def remove(path: str | os.PathLike[str]) -> None:
    """Remove a file."""
    os.unlink(path)


def remove_leftovers(path: str | os.PathLike[str]) -> None:
    """Remove what writers that were killed left beside a file; only for who holds its lock."""
    whole = Path(path)
    for left in whole.parent.glob(f".{whole.name}.*.tmp"):
        with contextlib.suppress(OSError):
            os.unlink(left)


def sync_folder(path: str | os.PathLike[str]) -> None:
    """Have the name of a file on the disk, where the system can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    folder = os.open(os.path.dirname(os.fspath(path)) or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    except OSError as fault:
        if fault.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems sync no folder
            raise
    finally:
        os.close(folder)


def write_output(path: str | os.PathLike[str], octets: bytes) -> None:
    """Write a file that a user named: a regular one is replaced whole, a pipe or a terminal written to."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        replace(path, octets, mode=0o666, sync=False)
        return
    if stat.S_ISREG(found.st_mode):
        replace(os.path.realpath(path), octets, mode=stat.S_IMODE(found.st_mode), sync=False)
        return
    descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        write_all(descriptor, octets)
    finally:
        os.close(descriptor)
