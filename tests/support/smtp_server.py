"""A real SMTP server of the test's own, on a free port, with TLS, logins and refusals as the test says."""

from __future__ import annotations

import asyncio
import ssl
import threading
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
import trustme

smtp = pytest.importorskip("aiosmtpd.smtp", reason="aiosmtpd absent: pip install aiosmtpd")

AUTHORITY = trustme.CA()
HOST = "localhost"


def server_context() -> ssl.SSLContext:
    """Return a server's TLS set-up for localhost, by an authority of our own."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    AUTHORITY.issue_cert(HOST).configure_cert(context)
    return context


class Box:
    """The mails of a server, which refuses some as the test says.

    Args:
        refused: Recipient -> the answer it gets.
        data: The answer to each mail's content.
        stop: Recipient at whose mail the connection is broken.
    """

    def __init__(
        self, refused: dict[str, str] | None = None, data: str = "250 OK", stop: str | None = None
    ) -> None:
        self.refused = refused or {}
        self.data = data
        self.stop = stop
        self.mails: list[EmailMessage] = []
        self.envelopes: list[tuple[str, list[str]]] = []
        self.tls: list[bool] = []
        self.users: list[str | None] = []
        self.lock = threading.Lock()

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        """Take or refuse a recipient."""
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Take a mail."""
        if self.stop in envelope.rcpt_tos:
            server.transport.abort()
            return "250 never reported"
        with self.lock:
            mail = message_from_bytes(envelope.content, policy=policy.default)
            assert isinstance(mail, EmailMessage)
            self.mails.append(mail)
            self.envelopes.append((envelope.mail_from, list(envelope.rcpt_tos)))
            self.tls.append(server.transport.get_extra_info("ssl_object") is not None)
            self.users.append(getattr(session, "auth_data", None))
        return self.data


class OwnSMTP:
    """An SMTP server on a loop and a thread of its own while entered.

    Args:
        box: Where mails go.
        security: ``"none"``, ``"starttls"`` or ``"tls"``.
        login: User and password that it asks for, or None.
    """

    def __init__(self, box: Box, security: str = "none", login: tuple[str, str] | None = None) -> None:
        self._box = box
        self._login = login
        self._tls = server_context() if security == "tls" else None
        self._options: dict[str, Any] = {"hostname": HOST, "loop": None}
        if login is not None:
            within = security == "starttls"  # it warns of logins without, not knowing of TLS around it
            self._options |= {"authenticator": self._authenticated, "auth_required": within,
                              "auth_require_tls": within}  # fmt: skip
        if security == "starttls":
            self._options |= {"tls_context": server_context(), "require_starttls": True}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="own-smtp", daemon=True)
        self.port = 0

    def _authenticated(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> Any:
        given = (data.login.decode(), data.password.decode())
        return smtp.AuthResult(success=given == self._login, handled=False, auth_data=given[0])

    def _protocol(self) -> Any:
        return smtp.SMTP(self._box, **{**self._options, "loop": self._loop})

    async def _listen(self) -> asyncio.AbstractServer:
        return await self._loop.create_server(self._protocol, "127.0.0.1", 0, ssl=self._tls)

    async def _close(self) -> None:
        self._server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def __enter__(self) -> OwnSMTP:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(60)
        self.port = self._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()
