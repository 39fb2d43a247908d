"""Who may do what: partners and the phases of a rollout, tokens used once, and all issuers from one file."""

from rapidjws.policy.guardrails import GuardRails
from rapidjws.policy.partner import Partner
from rapidjws.policy.replay import MemoryReplayStore
from rapidjws.policy.replay_redis import RedisReplayStore
from rapidjws.policy.rollout import Rollout
from rapidjws.policy.shadow import Shadow
from rapidjws.policy.stages import PHASES, Stage
from rapidjws.policy.state import Change, MemoryState, StateFolder

__all__ = [
    "Change",
    "GuardRails",
    "MemoryReplayStore",
    "MemoryState",
    "PHASES",
    "Partner",
    "RedisReplayStore",
    "Rollout",
    "Shadow",
    "Stage",
    "StateFolder",
]
