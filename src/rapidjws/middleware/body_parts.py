"""Where in a body its JWS stands: a member of a JSON object, or a field of a form.

The rest of such a body is signed by nothing: behind a middleware an application reads the member or the field
and nothing else of it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import quote_plus, unquote_to_bytes

from rapidjws._checks import checked
from rapidjws.errors import error_for
from rapidjws.jose import json_text
from rapidjws.jose.json_pointer import ABSENT, member_at, parse_pointer
from rapidjws.jose.limits import JSON_MAX_DEPTH

BODY_MEMBERS_MAX: Final = 1024
"""Most members of any one object of a body, and most fields of a form."""

_JSON_TYPE: Final = re.compile(rb"(?:application|text)/(?:[a-z0-9!#$&^_.+-]{1,126}\+)?json\Z")
_FORM_TYPE: Final = b"application/x-www-form-urlencoded"
_CHARSETS: Final = frozenset({b"utf-8", b"utf8"})

Others = Literal["remove", "refuse"]


def media_type(value: bytes) -> bytes | None:
    """Return a Content-Type's type in lower case; None where it names another charset than UTF-8.

    Source: RFC 9110 section 8.3.1.
    """
    kind, *parameters = value.split(b";")
    for parameter in parameters:
        name, _, text = parameter.partition(b"=")
        if name.strip(b" \t").lower() == b"charset" and text.strip(b' \t"').lower() not in _CHARSETS:
            return None
    return kind.strip(b" \t").lower()


def _checked_others(others: object, place: str) -> None:
    if others not in ("remove", "refuse"):
        raise error_for("configuration_invalid", place, expected="remove or refuse")


@checked(under="part", but=("pointer", "others"))
@dataclass(frozen=True, slots=True, kw_only=True)
class JSONMember:
    """A JWS in a member of a JSON object: ``{"signedPayload": "eyJ..."}``.

    Equal names anywhere in the body refuse it. Where the body holds more than the way to this member,
    an application behind a middleware gets a body without that.

    Args:
        pointer: The member's JSON Pointer (RFC 6901), through objects only: ``"/signedPayload"``.
        others: ``"remove"`` for other members, or ``"refuse"``.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    pointer: str
    others: Others = "remove"

    def __post_init__(self) -> None:
        """Check the pointer."""
        parse_pointer(self.pointer, "part.pointer")
        _checked_others(self.others, "part.others")

    def fits(self, content_type: bytes | None) -> bool:
        """Return whether a body of this media type is read as JSON; one without a type is."""
        kind = b"application/json" if content_type is None else media_type(content_type)
        return kind is not None and _JSON_TYPE.match(kind) is not None

    def read(self, body: bytes) -> tuple[str, bytes]:
        """Return the JWS, and the body without what it does not cover.

        Raises:
            RapidJWSError: ``missing_token``; ``malformed_token`` for another type of value, or other members
                where these are refused; as for any JSON text: ``malformed_json``, ``duplicate_member``,
                ``too_deep``, ``too_many_members``.
        """
        document = json_text.loads(
            body,
            max_bytes=len(body),
            max_depth=JSON_MAX_DEPTH,
            max_members=BODY_MEMBERS_MAX,
            place="body",
        )
        tokens = parse_pointer(self.pointer, "part.pointer")
        found = member_at(document, tokens)
        place = f"body{self.pointer}"
        if found is ABSENT:
            raise error_for("missing_token", place)
        if not isinstance(found, str) or not found or not found.isascii():
            raise error_for("malformed_token", place, "a JWS as a string", type(found).__name__)
        if _is_alone(document, tokens):
            return found, body
        if self.others == "refuse":
            raise error_for("malformed_token", place, "no other members beside it")
        only: Any = found
        for name in reversed(tokens):
            only = {name: only}
        return found, json.dumps(only, separators=(",", ":")).encode()


def _is_alone(document: Any, tokens: tuple[str, ...]) -> bool:
    """Return whether each object on the way to a member holds nothing else."""
    for name in tokens:
        if len(document) != 1:
            return False
        document = document[name]
    return True


@checked(under="part", but=("others",))
@dataclass(frozen=True, slots=True, kw_only=True)
class FormField:
    """A JWS in a field of an urlencoded form: ``logout_token=eyJ...``.

    A field that stands twice, however its name is escaped, refuses the body. Where the form holds other
    fields, or its own one is escaped, an application behind a middleware gets the field alone and plain.

    Args:
        name: The field's name.
        others: ``"remove"`` for other fields, or ``"refuse"``.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    name: str
    others: Others = "remove"

    def __post_init__(self) -> None:
        """Check the name."""
        if not self.name or not self.name.isprintable():
            raise error_for("configuration_invalid", "part.name", expected="a field's name")
        _checked_others(self.others, "part.others")

    def fits(self, content_type: bytes | None) -> bool:
        """Return whether a body of this media type is read as an urlencoded form."""
        return content_type is not None and media_type(content_type) == _FORM_TYPE

    def read(self, body: bytes) -> tuple[str, bytes]:
        """Return the JWS, and the body without what it does not cover.

        Raises:
            RapidJWSError: ``missing_token``, ``duplicate_member``, ``too_many_members``, ``malformed_token``.

        Source: OIDC Back-Channel Logout 1.0 section 2.5: values that are not understood are ignored.
        """
        place = f"body.{self.name}"
        if body.count(b"&") >= BODY_MEMBERS_MAX:
            raise error_for("too_many_members", "body", f"at most {BODY_MEMBERS_MAX}")
        wanted = self.name.encode("utf-8")
        pairs = [pair.partition(b"=") for pair in body.split(b"&")]
        found = [value for name, _, value in pairs if _decoded(name) == wanted]
        if not found:
            raise error_for("missing_token", place)
        if len(found) > 1:  # two readers would take two of them
            raise error_for("duplicate_member", place, "one field of this name", len(found))
        token = _decoded(found[0])
        if not token or not token.isascii():
            raise error_for("malformed_token", place, "a JWS")
        others = [name for name, _, _ in pairs if name and _decoded(name) != wanted]
        if others and self.others == "refuse":
            raise error_for("malformed_token", place, "no other fields beside it")
        text = token.decode("ascii")
        return text, f"{quote_plus(self.name)}={quote_plus(text)}".encode("ascii")


def _decoded(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))
