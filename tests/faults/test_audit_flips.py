"""Single bits flipped anywhere in a stored trail: each is found, and the file is named."""

from __future__ import annotations

import os
import random
from pathlib import Path

from audit_service import log_key, service
from audit_trails import flip

from rapidjws import RapidJWSError
from rapidjws.audit import TrailReader, Verification

FLIPS = int(os.environ.get("RAPIDJWS_AUDIT_FLIPS", "40"))
"""How many are tried; `make test-audit-flips` tries ten thousand."""

RECORDS = 300
NAMELESS = frozenset({"root_differs"})
"""What a flip may be called beside the finding that names its file."""


def named(folder: Path) -> set[str]:
    """Return the files that a verification names; none where it finds nothing."""
    try:
        report = Verification(TrailReader(folder, log_key())).run()
    except RapidJWSError as fault:
        return {str(fault.place).rpartition(":")[0].removeprefix(f"{folder}/")}
    return {one.place.rpartition(":")[0] for one in report.findings if one.code not in NAMELESS}


def test_L_each_flipped_bit_of_a_stored_trail_is_found_and_named() -> None:
    """A bit of any file (tile, checkpoint, record, token, key, policy, journal) is found and named."""
    with service(durable=False, content=("token", "claims"), claims=("sub",)) as world:
        tokens = [world.token(sub=f"user-{at}") for at in range(5)]
        for at in range(RECORDS):
            world.recorder.note(world.engine.decide(tokens[at % 5], route="/pay"), tokens[at % 5])
        world.closed()
        folder = world.folder
        assert named(folder) == set()
        files = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
        kinds = {path.relative_to(folder).parts[0] for path in files}
        assert kinds >= {"checkpoint", "content", "journal", "objects", "tile"}
        bits = [8 * path.stat().st_size for path in files]
        source = random.Random(os.environ.get("RAPIDJWS_AUDIT_SEED", "1"))
        for number in range(FLIPS):
            # every other one in a file chosen without regard to its size: keys and checkpoints are small
            path = source.choice(files) if number % 2 else source.choices(files, bits)[0]
            bit = source.randrange(8 * path.stat().st_size)
            flip(path, bit)
            found = named(folder)
            assert path.relative_to(folder).as_posix() in found, (path, bit, found)
            flip(path, bit)
        assert named(folder) == set()
