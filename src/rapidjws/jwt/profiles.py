"""The kinds of token: what each must have, and what tells it from every other (RFC 8725 s.3.11, s.3.12)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

from rapidjws.errors import error_for
from rapidjws.jose.claim_rules import (
    ABSENT,
    NON_EMPTY_OBJECT,
    OBJECT,
    AuthorizedParty,
    ClaimRule,
    ContainsOnly,
    NotChecked,
    PresentOr,
)
from rapidjws.verify.arguments import names_of

ProfileName = Literal[
    "access_token", "id_token", "logout_token", "security_event", "introspection_response", "status_list"
]

LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
"""The member of ``events`` that makes a token a logout token (OpenID Connect Back-Channel Logout s.2.4)."""
_LOGOUT_EVENT_PATH: Final = "/events/" + LOGOUT_EVENT.replace("/", "~1")


class _Profile(NamedTuple):
    typ: tuple[str, ...]
    required: tuple[str, ...]
    claims: Mapping[str, ClaimRule]
    typ_required: bool = True
    exp_required: bool = True
    needs_audience: bool = True
    names_client: bool = False


PROFILES: Final[Mapping[str, _Profile]] = MappingProxyType(
    {
        "access_token": _Profile(  # RFC 9068 s.2.1, s.2.2, s.4
            typ=("at+jwt",),
            required=("iss", "aud", "sub", "client_id", "iat", "jti"),
            claims={"nonce": ABSENT, "at_hash": ABSENT, "c_hash": ABSENT, "events": ABSENT},
        ),
        "id_token": _Profile(  # OpenID Connect Core s.2, s.3.1.3.7
            typ=("JWT",),
            typ_required=False,
            required=("iss", "sub", "aud", "iat"),
            claims={"events": ABSENT, "client_id": ABSENT, "scope": ABSENT, "status_list": ABSENT},
            names_client=True,
        ),
        "logout_token": _Profile(  # OpenID Connect Back-Channel Logout s.2.4, s.2.6
            typ=("logout+jwt", "JWT"),
            typ_required=False,
            required=("iss", "aud", "iat", "jti"),
            claims={
                "nonce": ABSENT,
                "events": OBJECT,
                _LOGOUT_EVENT_PATH: OBJECT,
                "sub": PresentOr("sid"),
            },
        ),
        "security_event": _Profile(  # RFC 8417 s.2.2, s.2.3
            typ=("secevent+jwt",),
            required=("iss", "iat", "jti"),
            claims={"nonce": ABSENT, "events": NON_EMPTY_OBJECT, _LOGOUT_EVENT_PATH: ABSENT},
            exp_required=False,
            needs_audience=False,
        ),
        "introspection_response": _Profile(  # RFC 9701 s.5
            typ=("token-introspection+jwt",),
            required=("iss", "aud", "iat"),
            claims={"token_introspection": NON_EMPTY_OBJECT, "events": ABSENT, "nonce": ABSENT},
            exp_required=False,
        ),
        "status_list": _Profile(  # draft-ietf-oauth-status-list s.5.1
            typ=("statuslist+jwt",),
            required=("sub", "iat"),
            claims={"status_list": NON_EMPTY_OBJECT},
            exp_required=False,
            needs_audience=False,
        ),
    }
)


def with_profile(profile: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return an issuer's arguments with those of a profile; what the caller sets himself holds.

    Raises:
        ConfigurationError: ``configuration_invalid``: no such profile, or no audience where it needs one.
    """
    known = PROFILES.get(profile) if isinstance(profile, str) else None
    if known is None:
        raise error_for("configuration_invalid", "profile", " or ".join(PROFILES), str(profile)[:40])
    made: dict[str, Any] = {
        "typ": known.typ,
        "typ_required": known.typ_required or "typ" in settings,
        "exp_required": known.exp_required,
    }
    made |= settings
    required = names_of(settings.get("required_claims", ()), "required_claims")
    made["required_claims"] = tuple(dict.fromkeys((*known.required, *required)))
    claims = settings.get("claims", {})
    if not isinstance(claims, Mapping):
        raise error_for("configuration_invalid", "claims", "a mapping of claims", type(claims).__name__)
    audience = settings.get("audience", ())
    own = dict(known.claims)
    if known.names_client:
        clients = () if isinstance(audience, NotChecked) else names_of(audience, "audience")
        own["azp"] = AuthorizedParty(*clients)
        if clients:  # section 3.1.3.7 step 3: no audience that this client does not trust
            own["aud"] = ContainsOnly(*clients)
    made["claims"] = {**own, **claims}
    if known.needs_audience and audience in ((), [], ""):
        raise error_for("configuration_invalid", "audience", f"a value: {profile} has an aud, or NOT_CHECKED")
    return made
