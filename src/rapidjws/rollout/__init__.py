"""Who may do what: partners, the phases of a rollout, and its evidence."""

from rapidjws.rollout.guardrails import GuardRails
from rapidjws.rollout.partner import Partner
from rapidjws.rollout.plan import PHASES, Stage
from rapidjws.rollout.rollout import Rollout
from rapidjws.rollout.shadow import Shadow
from rapidjws.rollout.state import Change, MemoryState, StateFolder

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
