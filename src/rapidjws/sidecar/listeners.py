"""The sidecar's listening sockets: an address belongs to one supervisor, whose workers share it."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rapidjws.sidecar.settings import ServerSettings


BACKLOG: Final = 2048
"""Connections that the system makes before they are taken; further ones try again after a second."""

REUSE_PORT = hasattr(socket, "SO_REUSEPORT")


class AddressInUse(OSError):
    """An address on which somebody listens already."""

    def __init__(self, address: str, holder: str | None = None) -> None:
        held = f" by {holder}" if holder else ""
        super().__init__(
            errno.EADDRINUSE, f"{address} is in use{held}: stop that process, or choose another address"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sockets:
    """A worker's number and its sockets.

    Attributes:
        index: The worker's number, from 0 on.
        public: Where requests come, or what keeps the address until ``opened``.
        admin: Where admin actions come, shared by all workers, or None.
        own: Whether the worker opens a socket of its own at the address of ``public``: when it dies, so does
            the queue of connections that nobody would accept.
        grpc: Where gRPC comes, where a worker does not bind it itself; or what keeps the address.
    """

    index: int
    public: socket.socket
    admin: socket.socket | None
    own: bool = False
    grpc: socket.socket | None = None

    def opened(self) -> Sockets:
        """Return the sockets that a worker listens on; called in the worker itself."""
        opened = replace(self, public=_sibling(self.public), own=False) if self.own else self
        if self.grpc is None or not is_shareable(self.grpc):
            return opened
        return replace(opened, grpc=_sibling(self.grpc))


@dataclass(slots=True, kw_only=True)
class ListeningSockets:
    """All sockets of a sidecar, held by its supervisor until it ends.

    Attributes:
        workers: Those of each worker.
        kept: Sockets and lock files that keep others from the same addresses.
        paths: Unix sockets that are removed at the end.
    """

    workers: list[Sockets]
    kept: list[socket.socket | int] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    def stop_listening(self) -> None:
        """Have what workers share answer only while they listen, and keep every address from others.

        Whoever connects to a socket that nobody accepts from would wait, and be reset at the end.
        """
        self._remove_paths()
        for worker in self.workers:
            if worker.admin is not None:
                worker.admin.close()
            if not worker.own:
                worker.public.close()
            if worker.grpc is not None and not is_shareable(worker.grpc):
                worker.grpc.close()

    def _remove_paths(self) -> None:
        for path in self.paths:
            with contextlib.suppress(OSError):
                os.unlink(path)
        self.paths.clear()

    def close(self) -> None:
        """Remove the Unix sockets, and let go of every address."""
        self._remove_paths()
        self.forget()

    def forget(self) -> None:
        """Close them in a child that serves nobody; the supervisor's go on, and so do their paths."""
        for one in {one for worker in self.workers for one in (worker.public, worker.admin, worker.grpc)}:
            if one is not None:
                one.close()
        for kept in self.kept:
            if isinstance(kept, int):
                os.close(kept)
            else:
                kept.close()


def listening_sockets(
    settings: ServerSettings, activated: dict[str, socket.socket] | None = None
) -> ListeningSockets:
    """Return what each worker listens on: a shared Unix or inherited socket, or one of its own at an address.

    Args:
        settings: Where to listen.
        activated: Sockets from the service manager by name, ``public`` and ``admin``; they come first.

    Raises:
        AddressInUse: Another process listens there.
        OSError: The address is not ours.
    """
    given = activated or {}
    found = ListeningSockets(workers=[])
    try:
        mode = None if settings.listen_mode is None else int(settings.listen_mode, 8)
        public = given.get("public") or _bound(settings.listen, found, mode=mode)
        admin = given.get("admin")
        if admin is None and settings.admin_listen is not None:
            admin = _bound(settings.admin_listen, found, mode=0o600)
        own = "public" not in given and not settings.listen.startswith("unix:") and REUSE_PORT
        grpc = None
        if settings.grpc_listen is not None and settings.grpc_server == "ngh2":
            grpc = _bound(settings.grpc_listen, found)
        elif settings.grpc_listen is not None:
            found.kept += _reserved(settings.grpc_listen, found)
        numbers = range(settings.workers)
        found.workers = [
            Sockets(index=index, public=public, admin=admin, own=own, grpc=grpc) for index in numbers
        ]
    except BaseException:
        found.close()
        raise
    return found


def is_shareable(one: socket.socket) -> bool:
    """Return whether each worker opens a socket of its own at this one's address."""
    return REUSE_PORT and one.family != getattr(socket, "AF_UNIX", None)


def address_of(one: socket.socket) -> str:
    """Return an address as it is written in a configuration."""
    name = one.getsockname()
    if isinstance(name, (str, bytes)):
        return f"unix:{os.fsdecode(name)}"
    return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"


def _bound(address: str, found: ListeningSockets, *, mode: int | None = None) -> socket.socket:
    if address.startswith("unix:"):
        return _bound_unix(address.removeprefix("unix:"), found, mode)
    return _bound_alone(address)


def _bound_alone(address: str) -> socket.socket:
    """Bind a TCP address that nobody else has, and only then allow siblings to share it."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    one = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((host, int(port)))
        if REUSE_PORT:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError as fault:
        one.close()
        if fault.errno == errno.EADDRINUSE:
            raise AddressInUse(address, holder_of(int(port))) from None
        raise OSError(fault.errno, f"{address}: {os.strerror(fault.errno or 0)}") from None
    return one


def _sibling(first: socket.socket) -> socket.socket:
    """Return a socket on the address of another; the kernel spreads connections over those that listen."""
    one = socket.socket(first.family, socket.SOCK_STREAM)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    one.bind(first.getsockname()[:2])
    return one


def _reserved(address: str, found: ListeningSockets) -> list[socket.socket | int]:
    """Keep the address of the gRPC server, which binds it in each worker, from another sidecar."""
    if not address.startswith("unix:"):
        return [] if address.endswith(":0") else [_bound_alone(address)]
    path = address.removeprefix("unix:")
    lock = _locked(path)
    _remove_stale(path)
    found.paths.append(path)
    return [lock]


def _bound_unix(path: str, found: ListeningSockets, mode: int | None) -> socket.socket:
    """Bind a Unix socket; the lock beside it tells a socket in use from one left behind."""
    found.kept.append(_locked(path))
    _remove_stale(path)
    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = None if mode is None else os.umask(0o777 & ~mode)
    try:
        one.bind(path)
    except OSError as fault:
        one.close()
        raise OSError(fault.errno, f"unix:{path}: {fault.strerror or fault}") from None
    finally:
        if before is not None:
            os.umask(before)
    found.paths.append(path)
    return one


def _locked(path: str) -> int:
    """Lock the file beside a Unix socket for as long as its supervisor lives; return the descriptor."""
    import fcntl

    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        lock = os.open(f"{path}.lock", flags, 0o600)
    except OSError as fault:
        raise OSError(fault.errno, f"unix:{path}: {fault.strerror} ({path}.lock)") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise AddressInUse(f"unix:{path}") from None
    return lock


def _remove_stale(path: str) -> None:
    """Remove a socket that a killed process left behind; anything else that lies there stays.

    Raises:
        AddressInUse: Somebody answers there.
        OSError: What lies there is no socket.
    """
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise OSError(errno.EEXIST, f"unix:{path}: what lies there is no socket, and is left alone")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except OSError:
            raise AddressInUse(f"unix:{path}") from None
    raise AddressInUse(f"unix:{path}")


def holder_of(port: int) -> str | None:
    """Return which process listens on a TCP port, as far as /proc tells; None where it does not."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text("ascii").splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{fields[9]}]")
    for folder in Path("/proc").glob("[0-9]*") if inodes else ():
        with contextlib.suppress(OSError):
            if any(os.readlink(one) in inodes for one in (folder / "fd").iterdir()):
                return f"process {folder.name} ({(folder / 'comm').read_text('utf-8', 'replace').strip()})"
    return None
