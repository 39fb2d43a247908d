"""What is remembered and shared: uses of tokens and revocations, in memory, in a file, in Redis."""

from typing import TYPE_CHECKING

from rapidjws._lazy import lazy_names

if TYPE_CHECKING:
    from rapidjws.stores.replay import MemoryReplayStore
    from rapidjws.stores.replay_redis import RedisReplayStore
    from rapidjws.stores.revocation_file import RevocationFile
    from rapidjws.stores.revocation_redis import RedisRevocations
    from rapidjws.stores.rotation_redis import RedisRotations
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "rapidjws.stores.replay": ("MemoryReplayStore",),
            "rapidjws.stores.replay_redis": ("RedisReplayStore",),
            "rapidjws.stores.revocation_file": ("RevocationFile",),
            "rapidjws.stores.revocation_redis": ("RedisRevocations",),
            "rapidjws.stores.rotation_redis": ("RedisRotations",),
        },
    )

__all__ = [
    "MemoryReplayStore",
    "RedisReplayStore",
    "RedisRevocations",
    "RedisRotations",
    "RevocationFile",
]
