"""Headers of a gateway's check: which are kept, and what they say by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from rapidjws.middleware.presented import PROOF_FIELD
from rapidjws.observe.request_info import TRACED_HEADERS

if TYPE_CHECKING:
    from rapidjws.audit.decision_recorder import DecisionRecorder
    from rapidjws.jwt.decision import Names
    from rapidjws.observe.observer import Observer
    from rapidjws.sender import SenderConstraints
    from rapidjws.sidecar.rule_facts import RuleFacts
    from rapidjws.sidecar.settings import ServerSettings


class CheckingWorker(Protocol):
    """A worker: what it reads of a check, and what hears of its decisions."""

    settings: ServerSettings
    token_field: bytes
    partner_field: bytes | None
    route_fields: tuple[bytes, ...]
    method_fields: tuple[bytes, ...]
    host_field: bytes
    rule_facts: RuleFacts
    observer: Observer
    audit: DecisionRecorder | None


def names_of(values: list[bytes]) -> Names:
    """Return what headers name: one value as it is, several as a tuple, of which the strictest holds."""
    if len(values) == 1:
        return values[0].decode("latin-1")
    return tuple(value.decode("latin-1") for value in values) or None


def values_of(headers: list[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    """Return each value of a header by its lower-case name."""
    return [value for key, value in headers if key == name]


def wanted_fields(worker: CheckingWorker, of_bodies: frozenset[bytes] | None) -> frozenset[bytes] | None:
    """Return the lower-case names of the headers that a worker reads; None for all.

    Args:
        worker: The worker.
        of_bodies: Those that are read for signed bodies, or None for all.
    """
    if of_bodies is None:
        return None
    sender = worker.settings.sender
    found = {worker.token_field, *worker.route_fields, b"accept", b"authorization", *TRACED_HEADERS}
    found |= {worker.partner_field} if worker.partner_field else set()
    found |= set() if sender is None else {*_sender_fields(sender), worker.host_field}
    found |= set(worker.method_fields if of_bodies or sender is not None else ())
    return frozenset(found | of_bodies | worker.rule_facts.fields)


def _sender_fields(sender: SenderConstraints) -> set[bytes]:
    """Return the headers that say who sent a request."""
    of_mtls = set() if sender.mtls is None else {sender.mtls.field}
    return {PROOF_FIELD} | of_mtls
