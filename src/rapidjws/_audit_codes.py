"""Error codes of the audit trail; rows as in ``_change_codes``. Imports nothing."""

from __future__ import annotations

from typing import Final

ROWS: Final[tuple[tuple[str, str, str, str, str, str, bool], ...]] = (
    ("audit_unavailable", "DependencyUnavailable", "unavailable", "the audit trail cannot be written or read",
     "A full or failing disk, no answer of the storage, a sequencer that is down or too slow.",
     "Free space, mend the disk, or start the sequencer; audit.on_failure = \"count\" answers all the same.",
     True),
    ("audit_trail_in_use", "ConfigurationError", "configuration", "another sequencer writes this trail",
     "Two sequencers, or two single-process writers, on one folder.",
     "Let workers feed the one that runs, or give each its own folder.", False),
    ("audit_trail_invalid", "ConfigurationError", "configuration", "not a whole audit trail of this origin",
     "Another folder or file, a truncated copy, parts of two trails, another key, or an altered byte.",
     "Look at the file and the offset that the message names; compare with a copy.", True),
    ("timestamp_failed", "DependencyUnavailable", "unavailable", "no good time stamp of a checkpoint",
     "The time stamp authority does not answer, refuses, or its stamp does not lead to the roots.",
     "Look at the authority and at timestamp_roots; the trail goes on without, and the next one covers it.",
     True),
    ("witness_failed", "DependencyUnavailable", "unavailable", "a witness did not sign a checkpoint",
     "The witness does not answer, does not know the log's origin or key, or signed a larger tree before.",
     "Register origin and key with it. Where it signed more than there is, an older copy of the trail is "
     "written, or another one.",
     True),
    ("log_altered", "SignatureInvalid", "signature", "a signed log is not as it was signed",
     "An entry or a bundle was altered, removed or moved after it was signed.",
     "Look at the bundle and the entry that the message names; compare with a copy.", True),
)  # fmt: skip
"""Rows for the table in ``errors``."""
