"""A headless browser: pictures of a page, and how wide its content is at a width of the window."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

WAIT_S = 100.0
ABSENT = "no headless browser: apt-get install chromium"


def browser() -> str:
    """Return the browser's program; absent, the test is skipped with one clear line."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip(ABSENT)
    return found


def run(folder: Path, page: Path, *options: str) -> str:
    """Load a page and return what the browser prints; it is ended where it takes too long."""
    command = [browser(), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
               "--disable-dev-shm-usage", "--disable-background-networking", "--hide-scrollbars",
               f"--user-data-dir={folder / 'profile'}", *options, page.as_uri()]  # fmt: skip
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            return process.communicate(timeout=WAIT_S)[0].decode("utf-8", "replace")
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise


def overflows(folder: Path, page: Path, widths: tuple[int, ...]) -> dict[int, int]:
    """Return window width -> by how many pixels a page's content is wider, for each width.

    The page is shown in frames of these widths, so that one start of the browser measures them all.
    """
    frames = "".join(
        f'<iframe id="f{width}" width="{width}" height="900" style="border:0" src="{page.as_uri()}"></iframe>'
        for width in widths
    )
    script = """
    window.onload = () => { document.title = [...document.querySelectorAll('iframe')].map(f => {
      const e = f.contentDocument.documentElement;
      return f.id.slice(1) + ':' + (Math.max(e.scrollWidth, f.contentDocument.body.scrollWidth)
                                    - f.contentWindow.innerWidth);
    }).join(' '); };
    """
    outer = folder / "frames.html"
    outer.write_text(f"<!doctype html><title>-</title>{frames}<script>{script}</script>", "utf-8")
    dom = run(folder, outer, "--allow-file-access-from-files", "--dump-dom", "--virtual-time-budget=5000")
    title = re.search(r"<title>(.*?)</title>", dom)
    assert title is not None, dom[:2000]
    found = re.findall(r"(\d+):(-?\d+)", title[1])
    assert len(found) == len(widths), dom[:2000]
    return {int(width): int(more) for width, more in found}
