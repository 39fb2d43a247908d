"""Send requests at moments that were drawn beforehand, whatever the answers do; note when each came back.

    python open_loop_driver.py PLAN.json OUT

Latency is counted from the scheduled moment, so a server that stalls is charged for everyone who had to wait
(no coordinated omission). OUT receives one row of 64-bit numbers a request: scheduled, sent and answered in
nanoseconds of the monotonic clock, status (0 for none), and which token it carried. Bare sockets and epoll:
the driver has to be much cheaper than what it drives.
"""

from __future__ import annotations

import gc
import json
import random
import select
import socket
import sys
from array import array
from collections import deque
from pathlib import Path
from time import monotonic_ns, sleep
from typing import Any

TICK_S = 0.0005
"""Sleep between looks, which latencies include: the driver must not fill its CPU, for the real-time class
stops for 50 ms who does."""

GRACE_NS = 10_000_000_000


class Driver:
    """A client that sends what is due, and queues it where no connection is idle."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.links: dict[int, socket.socket] = {}
        self.idle: deque[int] = deque()
        self.queue: deque[int] = deque()
        self.rows: dict[int, int] = {}
        self.pieces: dict[int, bytes] = {}
        start = f"GET {plan['path']} HTTP/1.1\r\nHost: x\r\nX-Original-URI: /a\r\n"
        self.requests = [f"{start}Authorization: Bearer {token}\r\n\r\n".encode() for token in plan["tokens"]]

    def draw(self) -> None:
        """Draw the moments (a Poisson process) and the token of each request."""
        plan, dice, at_s = self.plan, random.Random(7), 0.0
        self.scheduled, self.kinds = array("q"), array("q")
        while (at_s := at_s + dice.expovariate(plan["rate"])) < plan["seconds"]:
            self.scheduled.append(plan["begin_ns"] + int(at_s * 1e9))
            known = plan["old"] if at_s < plan["switch_s"] else plan["new"]
            self.kinds.append(dice.randrange(*(plan["forged"] if dice.random() < 1 / 16 else known)))
        empty = bytes(8 * len(self.scheduled))
        self.sent, self.back, self.statuses = (array("q", empty) for _ in range(3))

    def connect(self, poll: select.epoll) -> None:
        """Open the connections."""
        for _ in range(self.plan["connections"]):
            link = socket.create_connection(("127.0.0.1", self.plan["port"]))
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link.setblocking(False)
            self.links[link.fileno()] = link
            self.idle.append(link.fileno())
            poll.register(link.fileno(), select.EPOLLIN)

    def go(self, fd: int, row: int) -> None:
        """Send one request."""
        self.sent[row] = monotonic_ns()
        self.rows[fd] = row
        self.links[fd].send(self.requests[self.kinds[row]])

    def take(self, fd: int) -> int:
        """Read what came on a connection; return 1 where it completes an answer."""
        found = self.pieces.pop(fd, b"") + self.links[fd].recv(65536)
        head = found.find(b"\r\n\r\n") + 4
        start = found.find(b"content-length: ") + 16
        if head < 4 or len(found) < head + int(found[start : found.index(b"\r", start)]):
            self.pieces[fd] = found
            return 0
        row = self.rows[fd]
        self.back[row], self.statuses[row] = monotonic_ns(), int(found[9:12])
        if self.queue:
            self.go(fd, self.queue.popleft())
        else:
            self.idle.append(fd)
        return 1

    def run(self) -> None:
        """Send all, and wait for what is still under way."""
        poll = select.epoll()
        self.connect(poll)
        self.draw()
        gc.disable()
        row, done, count = 0, 0, len(self.scheduled)
        end_ns = self.scheduled[-1] + GRACE_NS
        while done < count:
            now_ns = monotonic_ns()
            if now_ns > end_ns:
                break
            while row < count and self.scheduled[row] <= now_ns:
                if self.idle:
                    self.go(self.idle.popleft(), row)
                else:
                    self.queue.append(row)
                row += 1
            for fd, _ in poll.poll(0):
                done += self.take(fd)
            sleep(TICK_S)


def main() -> None:
    driver = Driver(json.loads(Path(sys.argv[1]).read_text()))
    driver.run()
    with open(sys.argv[2], "wb") as file:
        for column in (driver.scheduled, driver.sent, driver.back, driver.statuses, driver.kinds):
            column.tofile(file)


if __name__ == "__main__":
    main()
