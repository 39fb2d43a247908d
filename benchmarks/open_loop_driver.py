"""Send requests at moments that were drawn beforehand, whatever the answers do; note when each came back.

    python open_loop_driver.py PLAN.json OUT

Latency is counted from the scheduled moment, so a server that stalls is charged for everyone who had to wait
(no coordinated omission). OUT receives one row of 64-bit numbers a request: scheduled, sent and answered in
nanoseconds of the monotonic clock, status (0 for none), and which token it carried.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import sys
import time
from array import array
from collections import deque
from pathlib import Path

TICK_S = 0.001
"""uvloop counts in milliseconds: with less the driver would spin."""
GRACE_S = 10.0


class Link(asyncio.Protocol):
    """Carry one request at a time."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._row = -1
        self._found = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._driver.idle.append(self)

    def send(self, row: int, octets: bytes) -> None:
        self._row = row
        self._transport.write(octets)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        found = self._found + data if self._found else data
        head = found.find(b"\r\n\r\n")
        if head >= 0:
            start = found.index(b"content-length: ") + 16
            size = int(found[start : found.index(b"\r", start)])
            if len(found) >= head + 4 + size:
                self._found = b""
                row, self._row = self._row, -1
                self._driver.answered(self, row, int(found[9:12]))
                return
        self._found = found

    def connection_lost(self, exc: Exception | None) -> None:
        self._driver.lost += 1


class Driver:
    """Send what is due; queue it where no connection is idle."""

    def __init__(self, plan: dict[str, object]) -> None:
        self.plan = plan
        self.idle: deque[Link] = deque()
        self.lost = 0
        self.done = 0
        self._queue: deque[int] = deque()
        start = f"GET {plan['path']} HTTP/1.1\r\nHost: x\r\nX-Original-URI: /a\r\n"
        tokens: list[str] = plan["tokens"]  # type: ignore[assignment]
        self._requests = [f"{start}Authorization: Bearer {token}\r\n\r\n".encode() for token in tokens]

    def draw(self, begin_ns: int) -> None:
        """Draw the moments (a Poisson process) and the token of each request."""
        rate, seconds = float(self.plan["rate"]), float(self.plan["seconds"])  # type: ignore[arg-type]
        switch_s, old, new, forged = (self.plan[name] for name in ("switch_s", "old", "new", "forged"))
        dice, at_s = random.Random(7), 0.0
        self.scheduled, self.kinds = array("q"), array("q")
        while (at_s := at_s + dice.expovariate(rate)) < seconds:
            self.scheduled.append(begin_ns + int(at_s * 1e9))
            known = old if at_s < switch_s else new  # type: ignore[operator]
            first, last = forged if dice.random() < 1 / 16 else known  # type: ignore[misc]
            self.kinds.append(dice.randrange(first, last))
        empty = bytes(8 * len(self.scheduled))
        self.sent, self.back, self.statuses = (array("q", empty) for _ in range(3))

    def answered(self, link: Link, row: int, status: int) -> None:
        self.back[row], self.statuses[row] = time.monotonic_ns(), status
        self.done += 1
        if self._queue:
            self._go(link, self._queue.popleft())
        else:
            self.idle.append(link)

    def _go(self, link: Link, row: int) -> None:
        self.sent[row] = time.monotonic_ns()
        link.send(row, self._requests[self.kinds[row]])

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(int(self.plan["connections"])):  # type: ignore[call-overload]
            await loop.create_connection(lambda: Link(self), "127.0.0.1", int(self.plan["port"]))  # type: ignore[call-overload]
        self.draw(int(self.plan["begin_ns"]))  # type: ignore[call-overload]
        gc.disable()
        row, count = 0, len(self.scheduled)
        while row < count:
            now_ns = time.monotonic_ns()
            while row < count and self.scheduled[row] <= now_ns:
                if self.idle:
                    self._go(self.idle.popleft(), row)
                else:
                    self._queue.append(row)
                row += 1
            await asyncio.sleep(TICK_S)
        end_s = loop.time() + GRACE_S
        while self.done < count and loop.time() < end_s:
            await asyncio.sleep(0.01)


def main() -> None:
    import uvloop

    driver = Driver(json.loads(Path(sys.argv[1]).read_text()))
    uvloop.run(driver.run())
    with open(sys.argv[2], "wb") as file:
        for column in (driver.scheduled, driver.sent, driver.back, driver.statuses, driver.kinds):
            column.tofile(file)


if __name__ == "__main__":
    main()
