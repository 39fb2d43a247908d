"""What a sidecar says to systemd, and what it takes over: readiness, watchdog, activated sockets.

Source: sd_notify(3), sd_listen_fds(3). No library is needed.
"""

from __future__ import annotations

import os
import socket
import time
from typing import Final

from rapidjws.errors import error_for

FIRST_DESCRIPTOR: Final = 3


def notify(*assignments: str) -> bool:
    """Send assignments such as ``READY=1`` to the service manager; return whether there is one.

    A manager that does not answer is no fault of ours: nothing is raised.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as link:
            link.setblocking(False)
            link.connect("\0" + address[1:] if address[0] == "@" else address)
            link.sendall("\n".join(assignments).encode("utf-8"))
    except OSError:
        return False
    return True


def reloading() -> None:
    """Say that the configuration is read again (Type=notify-reload wants the moment as well)."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def watchdog_interval_s() -> float | None:
    """Return half of what WATCHDOG_USEC allows, in seconds; None where there is no watchdog."""
    try:
        allowed_us = int(os.environ.get("WATCHDOG_USEC", ""))
        meant = int(os.environ.get("WATCHDOG_PID", str(os.getpid()))) == os.getpid()
    except ValueError:
        return None
    return allowed_us / 2e6 if meant and allowed_us > 0 else None


def activated_sockets() -> dict[str, socket.socket]:
    """Return the sockets that the service manager opened for this process, by ``public`` and ``admin``.

    A socket named ``admin`` (FileDescriptorName=) is the admin listener; the one other is the public one.

    Raises:
        ConfigurationError: ``configuration_invalid``: more sockets than there are listeners, or one that is
            no listening stream socket.
    """
    try:
        if int(os.environ.get("LISTEN_PID", "")) != os.getpid():
            return {}
        count = int(os.environ.get("LISTEN_FDS", ""))
    except ValueError:
        return {}
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        os.environ.pop(name, None)
    found: dict[str, socket.socket] = {}
    for index in range(count):
        one = socket.socket(fileno=FIRST_DESCRIPTOR + index)
        one.set_inheritable(False)
        name = "admin" if index < len(names) and names[index] == "admin" else "public"
        if one.type != socket.SOCK_STREAM or not one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise error_for("configuration_invalid", "serve", "listening stream sockets from systemd")
        if name in found:
            raise error_for("configuration_invalid", "serve", "one public socket, and one named admin")
        found[name] = one
    return found
