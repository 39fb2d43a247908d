"""Signals that revoke: Security Event Tokens (RFC 8417) by push and poll, and back-channel logout."""

from typing import TYPE_CHECKING

from rapidjws._lazy import lazy_names

if TYPE_CHECKING:
    from rapidjws.signals.poller import SETPoller
    from rapidjws.signals.receiver import SignalReceiver
    from rapidjws.signals.revocation_hook import TokenRevocationHook
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "rapidjws.signals.poller": ("SETPoller",),
            "rapidjws.signals.receiver": ("SignalReceiver",),
            "rapidjws.signals.revocation_hook": ("TokenRevocationHook",),
        },
    )

__all__ = [
    "SETPoller",
    "SignalReceiver",
    "TokenRevocationHook",
]
