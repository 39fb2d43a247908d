"""The thread that follows a channel of Redis for an object, as long as somebody holds that object."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any, Protocol
from weakref import ref


class Follower(Protocol):
    """What follows a channel."""

    def open(self) -> Any:
        """Return a subscription."""

    def turn(self, pubsub: Any) -> None:
        """Wait for one message or for a moment, and do what is due."""

    def fail(self) -> float:
        """Report that Redis cannot be reached, and return how many seconds to wait before the next try."""


def subscribe(redis: Any, channel: str) -> Any:
    """Return a subscription of this client to a channel."""
    pubsub = redis.pubsub(ignore_subscribe_messages=True)
    try:
        pubsub.subscribe(channel)
    except BaseException:  # a connection that is made and cut at once is closed here or by nobody
        pubsub.close()
        raise
    return pubsub


def start_thread(follower: Follower, name: str) -> threading.Thread | None:
    """Start the thread that follows for an object; None where none can be had now."""
    try:
        thread = threading.Thread(target=follow, args=(ref(follower),), name=name, daemon=True)
        thread.start()
    except Exception:  # RuntimeError: no more threads; MemoryError
        return None
    return thread


def follow(reference: ref[Any]) -> None:
    """Take turns until nobody holds the object; come back after every fault."""
    pubsub: Any = None
    while True:
        follower: Follower | None = reference()
        if follower is None:
            break
        try:
            pubsub = pubsub or follower.open()
            follower.turn(pubsub)
        except Exception:
            if pubsub is not None:
                with contextlib.suppress(Exception):
                    pubsub.close()
            pubsub = None
            pause_s = follower.fail()
            del follower
            time.sleep(pause_s)
            continue
        del follower
    if pubsub is not None:
        pubsub.close()
