"""A ``rapidjws issue serve`` in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

COMMAND = [sys.executable, "-c", "from rapidjws.cli import main; main()", "issue"]

QUICK = """\
jwks_max_age_s = 1
token_lifetime_s = 60
clock_skew_s = 0
state_max_age_s = 0.05
publish_slack_s = 0.05
publish_before_s = 1.05
"""
"""Times with which a key signs a second after it was published."""


class IssueServer:
    """The process, and the addresses that it wrote.

    Args:
        config: Its file, whose ``listen`` has port 0.
        more: Further environment variables.
    """

    def __init__(self, config: Path, **more: str) -> None:
        command = [*COMMAND, "serve", "--config", str(config)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, **more}
        )
        self.lines: list[str] = []
        self._came = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._came:
                self.lines.append(line.rstrip("\n"))
                self._came.notify_all()
        with self._came:
            self.lines.append("ended")
            self._came.notify_all()

    def line(self, part: str) -> str:
        """Return the first line with a text in it, once it is there."""

        def found() -> str | None:
            ended = "ended" if "ended" in self.lines else None
            return next((one for one in self.lines if part in one), ended)

        with self._came:
            assert self._came.wait_for(found, 60), self.lines
            line = str(found())
        assert part in line, self.lines
        return line

    def address(self, what: str = "listening") -> str:
        """Return where it listens."""
        return self.line(f"{what} on ").split()[-1]

    def end(self) -> int:
        """End it by SIGTERM, and return its exit status."""
        self.process.terminate()
        try:
            return self.process.wait(60)
        finally:
            self.process.kill()
            self._reader.join(60)
            if self.process.stdout is not None:
                self.process.stdout.close()
