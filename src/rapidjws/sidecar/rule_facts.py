"""What rules after the verdict read of a request that a gateway asks about: its method, host and headers.

The check request is another one than the client's: where the client's method and host stand in it, the
configuration says. Security: what it does not name is unknown to rules, and they refuse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rapidjws.errors import error_for
from rapidjws.sidecar.settings import OWN_METHOD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rapidjws.jwt.engine import Engine
    from rapidjws.sidecar.settings import ServerSettings


class RequestToRule:
    """A request as rules see it.

    Args:
        method: As the client sent it, or "" for unknown.
        headers: Lower-case names and values.
        host_field: The name under which its host stands, or None for nowhere.
    """

    __slots__ = ("_headers", "_host_field", "method")

    def __init__(self, method: str, headers: list[tuple[bytes, bytes]], host_field: bytes | None) -> None:
        self.method = method
        self._headers = headers
        self._host_field = host_field

    def headers(self, name: bytes) -> Sequence[bytes]:
        """Return each value of a header; of the host, where the gateway puts the client's."""
        wanted = self._host_field if name == b"host" else name
        return [value for key, value in self._headers if key == wanted]


class RuleFacts:
    """Where a gateway puts what rules read.

    Args:
        settings: Of the server.
        engine: Whose rules they are.

    Attributes:
        fields: The lower-case headers that are read for them.

    Raises:
        ConfigurationError: ``configuration_invalid``: rules read the method or the host, and no setting says
            where it stands.
    """

    __slots__ = ("_host_field", "_method_field", "engine", "fields")

    def __init__(self, settings: ServerSettings, engine: Engine) -> None:
        self.engine = engine
        method, host = settings.method_header, settings.host_header
        self._method_field = None if method is None else method.lower().encode("ascii")
        self._host_field = None if host is None else host.lower().encode("ascii")
        rules: Any = engine.authorizer
        if rules is None:
            self.fields: frozenset[bytes] = frozenset()
            return
        only_grpc = settings.grpc_listen is not None
        for name, found, is_read in (
            ("method_header", method, getattr(rules, "reads_method", False)),
            ("host_header", host, getattr(rules, "reads_host", False)),
        ):
            if is_read and found is None and not only_grpc:
                expected = "the header in which the gateway hands it on: rules read it"
                raise error_for("configuration_invalid", f"server.{name}", expected)
        own = {one for one in (self._method_field, self._host_field) if one is not None}
        self.fields = frozenset(rules.header_fields | own)

    def of(self, headers: list[tuple[bytes, bytes]], method: bytes) -> RequestToRule | None:
        """Return what rules may read of a check request, or None where there are no rules.

        Args:
            headers: Of the check request.
            method: Its own.
        """
        if self.engine.authorizer is None:
            return None
        field = self._method_field
        if field is None:
            values: list[bytes] = []
        elif field == OWN_METHOD.encode("ascii"):
            values = [method]
        else:
            values = [value for name, value in headers if name == field]
        text = values[0].decode("latin-1") if len(values) == 1 else ""
        return RequestToRule(text, headers, self._host_field)

    def of_envoy(
        self, headers: list[tuple[bytes, bytes]], method: bytes, host: bytes
    ) -> RequestToRule | None:
        """Return what rules may read of a CheckRequest, which says method and host itself.

        Args:
            headers: Of the client's request.
            method: Its method.
            host: Its host.
        """
        if self.engine.authorizer is None:
            return None
        named = [one for one in headers if one[0] != b"host"]
        return RequestToRule(method.decode("latin-1"), [*named, (b"host", host)] if host else named, b"host")
