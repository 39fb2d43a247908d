"""The status page's files, and the headers that keep a browser from running or loading anything else."""

from __future__ import annotations

import functools
from importlib import resources
from typing import Final

FILES: Final = {
    "": ("page.html", "text/html; charset=utf-8"),
    "page.css": ("page.css", "text/css; charset=utf-8"),
    "page.js": ("page.js", "text/javascript; charset=utf-8"),
}
"""What follows ``/admin/`` -> a file of the package, and its type."""

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)

HEADERS: Final = (
    ("cache-control", "no-store"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
)
"""Headers of everything that a browser may be given here."""


@functools.cache
def page_file(name: str) -> tuple[tuple[tuple[str, str], ...], bytes]:
    """Return headers and octets of a file of the page.

    Args:
        name: A key of ``FILES``.
    """
    file, content_type = FILES[name]
    octets = (resources.files("rapidjws.sidecar") / "page" / file).read_bytes()
    return (
        ("content-type", content_type),
        *HEADERS,
        ("content-security-policy", CONTENT_SECURITY_POLICY),
    ), octets
