"""Who may do what: tokens used once, and all issuers from one file."""

from rapidjws.policy.replay import MemoryReplayStore
from rapidjws.policy.replay_redis import RedisReplayStore

__all__ = ["MemoryReplayStore", "RedisReplayStore"]
