"""Who may do what: partners, the phases of a rollout, and its evidence."""

from rapidjws.policy.guardrails import GuardRails
from rapidjws.policy.partner import Partner
from rapidjws.policy.rollout import Rollout
from rapidjws.policy.shadow import Shadow
from rapidjws.policy.stages import PHASES, Stage
from rapidjws.policy.state import Change, MemoryState, StateFolder

__all__ = [
    "Change",
    "GuardRails",
    "MemoryState",
    "PHASES",
    "Partner",
    "Rollout",
    "Shadow",
    "Stage",
    "StateFolder",
]
