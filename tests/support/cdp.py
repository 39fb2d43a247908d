"""A headless Chromium driven by the DevTools protocol over a pipe: pages, keys, widths, schemes, pictures."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from browser import browser

WAIT_S = 90.0


class Browser:
    """One page of a running Chromium."""

    def __init__(self, process: subprocess.Popen[bytes], out: int, into: int) -> None:
        self._process = process
        self._out = out
        self._into = into
        self._rest = b""
        self._number = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> Any:
        """Call a method of the protocol and return its result; events that come meanwhile are kept."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        end_s = time.monotonic() + WAIT_S
        while time.monotonic() < end_s:
            for found in self._messages():
                if found.get("id") == self._number:
                    assert "error" not in found, (method, found["error"])
                    return found["result"]
                self.events.append(found)
        raise AssertionError(f"no answer to {method}")

    def _messages(self) -> Iterator[dict[str, Any]]:
        if b"\0" not in self._rest and select.select([self._into], [], [], 1.0)[0]:
            octets = os.read(self._into, 1 << 20)
            assert octets, "the browser ended"
            self._rest += octets
        while b"\0" in self._rest:
            whole, _, self._rest = self._rest.partition(b"\0")
            yield json.loads(whole)

    def open(self, url: str) -> None:
        """Go to a page."""
        assert "errorText" not in (found := self.call("Page.navigate", url=url)), found

    def evaluate(self, expression: str) -> Any:
        """Return the JSON value of an expression, or of the promise that it gives."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, expression: str) -> Any:
        """Wait until an expression is true, and return its value."""
        end_s = time.monotonic() + WAIT_S
        while not (found := self.evaluate(expression)):
            assert time.monotonic() < end_s, (
                f"never: {expression}\n{self.evaluate('document.body.innerText')}"
            )
            time.sleep(0.1)
        return found

    def resize(self, width: int, height: int = 900) -> None:
        """Give the window a size, in CSS pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def scheme(self, name: str) -> None:
        """Prefer ``light`` or ``dark``."""
        features = [{"name": "prefers-color-scheme", "value": name}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def press(self, key: str, code: int) -> None:
        """Press a key."""
        text = {"Enter": "\r", " ": " "}.get(key)
        more = {} if text is None else {"text": text}
        event = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", **event, **more)
        self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def picture(self, path: Path) -> None:
        """Take a picture of the whole page."""
        found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))

    def complaints(self) -> list[str]:
        """Return what the browser logged as errors, exceptions among them."""
        found = []
        for event in self.events:
            if event.get("method") == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
                found.append(event["params"]["entry"]["text"])
            elif event.get("method") == "Runtime.exceptionThrown":
                found.append(json.dumps(event["params"]["exceptionDetails"])[:500])
        return found

    def requested(self) -> set[str]:
        """Return the addresses that were asked for."""
        return {event["params"]["request"]["url"] for event in self.events
                if event.get("method") == "Network.requestWillBeSent"}  # fmt: skip


@contextlib.contextmanager
def running_browser(folder: Path) -> Iterator[Browser]:
    """Run a browser; a test is skipped where there is none."""
    program = browser()
    their_in, our_out = os.pipe()
    our_in, their_out = os.pipe()

    def place() -> None:
        read, write = os.dup(their_in), os.dup(their_out)  # neither is 3 or 4 by now, or is a copy of itself
        os.dup2(read, 3)
        os.dup2(write, 4)

    command = [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
               "--disable-dev-shm-usage", "--disable-background-networking", "--hide-scrollbars",
               "--remote-debugging-pipe", f"--user-data-dir={folder / 'profile'}", "about:blank"]  # fmt: skip
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=place, close_fds=False
    )
    os.close(their_in)
    os.close(their_out)
    try:
        yield Browser(process, our_out, our_in)
    finally:
        process.kill()
        process.wait(60)
        os.close(our_out)
        os.close(our_in)
