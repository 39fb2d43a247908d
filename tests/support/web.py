"""A web in memory for key sources: documents by address, faults, and a record of every request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rapidjws.keys import Answer, FetchFailed


class Web:
    """A fetch from memory; what is not there is a 404.

    Args:
        pages: Address -> a JSON value, text or bytes, or the fault to raise.
    """

    def __init__(self, pages: Mapping[str, Any] | None = None) -> None:
        self.pages: dict[str, Any] = dict(pages or {})
        self.headers: dict[str, str] = {}
        self.asked: list[str] = []

    def __call__(self, url: str, etag: str | None) -> Answer:
        """Give the page of an address."""
        self.asked.append(url)
        page = self.pages.get(url, FetchFailed("status", 404))
        if isinstance(page, FetchFailed):
            raise page
        if not isinstance(page, (str, bytes)):
            page = json.dumps(page)
        return Answer(status=200, headers=self.headers, body=page.encode() if isinstance(page, str) else page)
