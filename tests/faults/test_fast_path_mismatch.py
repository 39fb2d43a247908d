"""A fast path that accepts what libcrypto refuses is caught, counted and turned off for the process."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import rapidjws
from rapidjws import _native
from rapidjws.testing import make_key
from rapidjws.signing import LocalSigner, sign_compact

right, wrong = make_key("ES256", kid="k"), make_key("ES256", kid="k")
verifier = rapidjws.Verifier(right.public(), algorithms=["ES256"])
(slot,) = verifier._snapshot.table.slots
good = sign_compact(b"payload", LocalSigner(right))
forged = sign_compact(b"payload", LocalSigner(wrong))
verifier.verify(good)

# A table of another key stands for arithmetic gone wrong: what it accepts, libcrypto does not.
_native.set_sampling(1)
table = _native.build_precomputed(slot.number, wrong.material[0], portable=False)
verifier._precomputed.tables = {slot: table}
verifier._publish_tables()
for attempt in range(3):
    try:
        verifier.verify(forged)
    except rapidjws.SignatureInvalid:
        print("refused")
report = _native.acceleration_report()
print(report.mismatches, report.off, report.fallbacks)
print(verifier.verify(good).payload == b"payload")
print([type(one).__name__ for one in verifier.verify_many([good, forged, good])])
print(_native.acceleration_report().fallbacks)
"""


def test_a_mismatch_turns_the_fast_paths_off() -> None:
    """The token is refused, the alarm counts once; libcrypto decides from then on, which counts too."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "refused",
        "refused",
        "refused",
        "1 True 2",
        "True",
        "['VerifiedCompact', 'Rejected', 'VerifiedCompact']",
        "6",
    ]
