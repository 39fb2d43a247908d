"""A real limit on processes and threads, under a user of the process's own."""

from __future__ import annotations

import contextlib
import importlib
import os
import pkgutil
import resource
import threading

import rapidjws

FIRST_UID = 1_500_000
"""Users from here on have no other process: the kernel counts by user."""


def load_everything() -> None:
    """Load what is loaded on first use otherwise: the user to be may not read it."""
    for found in pkgutil.walk_packages(rapidjws.__path__, "rapidjws."):
        if not found.name.startswith(("rapidjws.testing", "rapidjws.diagnose")) and not found.name.endswith(
            ("__main__", ".aiohttp", ".fastapi", ".grpc", ".plugin")
        ):
            with contextlib.suppress(ImportError):
                importlib.import_module(found.name)


def limit(spare: int, *folders: str | os.PathLike[str]) -> None:
    """Become a user of this process's own, where root, and allow so many more threads and processes.

    Args:
        spare: How many more; without root none can be had whatever it says, as other processes count.
        folders: Given to that user, with what is in them.
    """
    load_everything()
    if os.geteuid() == 0:
        uid = FIRST_UID + os.getpid()
        for folder in folders:
            for place, _, files in os.walk(folder):
                for name in (place, *(os.path.join(place, one) for one in files)):
                    os.chown(name, uid, uid)
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        most = len(os.listdir("/proc/self/task")) + spare
    else:
        most = 1
    resource.setrlimit(resource.RLIMIT_NPROC, (most, resource.getrlimit(resource.RLIMIT_NPROC)[1]))


def startable() -> int:
    """Return how many threads can be started now; all have ended when it returns."""
    end = threading.Event()
    started: list[threading.Thread] = []
    try:
        while len(started) < 100:
            thread = threading.Thread(target=end.wait, daemon=True)
            thread.start()
            started.append(thread)
    except RuntimeError:
        pass
    end.set()
    for one in started:
        one.join()
    return len(started)
