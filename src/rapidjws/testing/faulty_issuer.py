"""An issuer for tests that serves its JWK Set over TLS, rotates, and misbehaves as a script says.

It ships for users' own fault tests.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from rapidjws._checks import checked
from rapidjws.signing import LocalSigner
from rapidjws.testing.issuer import FakeIssuer
from rapidjws.testing.keys import make_key
from rapidjws.testing.web import Certificate, Fault, Request, TestServer

if TYPE_CHECKING:
    from types import TracebackType

    from rapidjws.jose.jwk import JWK


class FaultyIssuerServer(FakeIssuer):
    """An issuer that serves its keys at ``url``, well or badly; a context manager. Needs trustme.

    Args:
        iss: Its name in ``iss``.
        algorithms: One key is made for each; the first is the default.
        audience: The ``aud`` of its tokens, or None for none.
        lifetime_s: Seconds from ``iat`` to ``exp``.
        certificate: Which certificate to show.
        plain: Plain http instead of TLS.
        etag: Whether it sends ETags and answers 304.

    Raises:
        ImportError: trustme is not installed.
    """

    @checked
    def __init__(
        self,
        iss: str = "https://issuer.example",
        *algorithms: str,
        audience: str | None = "https://api.example",
        lifetime_s: int = 300,
        certificate: Certificate = "good",
        plain: bool = False,
        etag: bool = True,
    ) -> None:
        super().__init__(iss, *algorithms, audience=audience, lifetime_s=lifetime_s)
        self.published: list[dict[str, Any]] = [self._public(one.public) for one in self.signers.values()]
        self.headers: dict[str, str] = {"Cache-Control": "max-age=300"}
        self._etag = etag
        self._rotations = 0
        self.server = TestServer(self._answer, certificate=certificate, plain=plain)

    @staticmethod
    def _public(key: JWK) -> dict[str, Any]:
        return key.as_dict()

    def _answer(self) -> tuple[bytes, dict[str, str]]:
        body = json.dumps({"keys": self.published}).encode()
        headers = {"Content-Type": "application/jwk-set+json", **self.headers}
        if self._etag:
            headers["ETag"] = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        return body, headers

    @property
    def url(self) -> str:
        """Return the JWK Set's URL."""
        return self.server.url

    @property
    def ca_pem(self) -> str:
        """Return the authority to trust, as PEM."""
        return self.server.ca_pem

    @property
    def requests(self) -> list[Request]:
        """Return the request log."""
        return self.server.requests

    @checked
    def script(self, *faults: Fault | None) -> None:
        """Answer the next requests so, one each; None is a good answer."""
        self.server.script(*faults)

    @checked
    def always(self, fault: Fault | None) -> None:
        """Answer every further request so; None is a good answer."""
        self.server.always(fault)

    @checked
    def rotate(self, *, keep: int = 1, kid: str | None = None, alg: str | None = None) -> str:
        """Sign with a fresh key from now on.

        Args:
            keep: Older published keys that stay.
            kid: Its kid; by default a new one. That of an old key binds it to new material.
            alg: Its algorithm; by default as before. Another one takes the old one's place.

        Returns:
            The new kid.
        """
        self._rotations += 1
        old = self.algorithms[0]
        name = kid or f"{self.iss.rpartition('/')[2]}-{self._rotations}"
        key = make_key(alg or old, kid=name)
        self.signers = {(alg or old): LocalSigner(key, alg or old)}
        older = [entry for entry in self.published if entry.get("kid") != name]
        self.published = [key.public().as_dict(), *older[:keep]]
        return name

    def close(self) -> None:
        """Stop serving."""
        self.server.close()

    def __enter__(self) -> FaultyIssuerServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
