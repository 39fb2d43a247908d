"""SPIFFE IDs of workloads, ``spiffe://TRUST-DOMAIN/path``, in the one spelling of the specification."""

from __future__ import annotations

import re
from typing import Final

TRUST_DOMAIN: Final = re.compile(r"[a-z0-9._-]{1,255}")
"""SPIFFE ID s.2.1."""

ID_MAX_CHARS: Final = 2048
"""SPIFFE ID s.2.3; all of it is ASCII."""

_PATH: Final = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._-]+)+")


def is_workload_of(subject: object, trust_domain: str) -> bool:
    """Return whether a subject is a workload's SPIFFE ID of a trust domain, to the letter.

    Args:
        subject: The claim ``sub``.
        trust_domain: With its scheme: ``spiffe://NAME``.

    Source: SPIFFE ID s.2.2: no empty segment, no ``.`` or ``..``, no slash at the end, no escapes, so that
    no two readers find two paths in it; JWT-SVID s.3.1.
    """
    if not isinstance(subject, str) or len(subject) > ID_MAX_CHARS or not subject.startswith(trust_domain):
        return False
    return _PATH.fullmatch(subject, len(trust_domain)) is not None
