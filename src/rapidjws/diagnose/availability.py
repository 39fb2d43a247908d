"""Is a key there? The keys in use against a fresh fetch, and a stale cache named as such."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rapidjws.diagnose.key import near_miss
from rapidjws.diagnose.subject import KnownKey, read_keys
from rapidjws.errors import RapidJWSError

if TYPE_CHECKING:
    from rapidjws.jose.jwk import JWK
    from rapidjws.jose.jwks import JWKSet

STALE_AFTER_S = 3600
"""Age from which keys in use are called old, seconds, where no other limit is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAvailability:
    """Where a kid was found.

    Attributes:
        kid: The kid asked for.
        issuer: Whose, or None.
        state: ``"available"``, ``"stale_cache"`` (fresh only), ``"withdrawn"`` (in use only), ``"replaced"``
            (another key under the kid), ``"left_out"``, ``"near_miss"`` or ``"unknown"``.
        text: What that means, in one sentence.
        kids_in_use: The kids in use.
        kids_fresh: The kids of the fresh fetch, or None where none was made.
        left_out: Keys of either set that nobody can use, with the reason.
        cache_age_s: Age of the keys in use, or None.
        is_old: Whether that age is past the limit.
        fetch_fault: Why the fresh fetch gave no keys, or None.
    """

    kid: str
    issuer: str | None
    state: str
    text: str
    kids_in_use: tuple[str | None, ...]
    kids_fresh: tuple[str | None, ...] | None
    left_out: tuple[str, ...]
    cache_age_s: float | None
    is_old: bool
    fetch_fault: str | None

    def as_dict(self) -> dict[str, Any]:
        """Return the answer as JSON values."""
        return {
            "kid": self.kid,
            "issuer": self.issuer,
            "state": self.state,
            "text": self.text,
            "kids_in_use": list(self.kids_in_use),
            "kids_fresh": None if self.kids_fresh is None else list(self.kids_fresh),
            "left_out": list(self.left_out),
            "cache_age_s": self.cache_age_s,
            "is_old": self.is_old,
            "fetch_fault": self.fetch_fault,
        }


def key_availability(
    kid: str,
    in_use: Any,
    fresh: Any = None,
    *,
    issuer: str | None = None,
    cache_age_s: float | None = None,
    stale_after_s: float = STALE_AFTER_S,
    fetch_fault: str | None = None,
) -> KeyAvailability:
    """Say whether a key can be used, and if not, where it is.

    Args:
        kid: The kid of a token's header.
        in_use: The keys in use: a set or its JSON.
        fresh: What a fresh fetch gave, or None.
        issuer: Whose keys, for the answer.
        cache_age_s: Age of the keys in use, seconds.
        stale_after_s: Age from which they are called old, seconds.
        fetch_fault: Why there is no fresh set, for the answer.

    Returns:
        The answer; never raises for a set that cannot be read.
    """
    old, old_fault = _read(in_use)
    new, new_fault = (None, None) if fresh is None else _read(fresh)
    here, there = _find(old, kid), _find(new, kid)
    left_out = tuple(
        f"{where}: {gone.error}"
        for where, found in (("in use", old), ("fresh", new))
        for gone in (found.skipped if found is not None else ())
    )
    state, text = _state(kid, here, there, fresh is not None and new is not None)
    if state == "unknown":
        state, text = _nearly(kid, (old, new), text)
    is_old = cache_age_s is not None and cache_age_s >= stale_after_s
    if is_old:
        text += f" The keys in use are stale: {cache_age_s:.0f} s old, the limit is {stale_after_s:.0f} s."
    return KeyAvailability(
        kid=kid,
        issuer=issuer,
        state=state,
        text=text,
        kids_in_use=tuple(key.kid for key in old or ()),
        kids_fresh=None if new is None else tuple(key.kid for key in new),
        left_out=left_out,
        cache_age_s=cache_age_s,
        is_old=is_old,
        fetch_fault=fetch_fault or new_fault or old_fault,
    )


def _read(keys: Any) -> tuple[JWKSet | None, str | None]:
    try:
        return read_keys(keys), None
    except RapidJWSError as refused:
        return None, str(refused)
    except TypeError:
        return None, "no JWK Set"


def _find(keys: JWKSet | None, kid: str) -> JWK | None:
    return None if keys is None else keys.get(kid)


def _state(kid: str, here: JWK | None, there: JWK | None, fetched: bool) -> tuple[str, str]:
    """Return the state and its sentence from where the key is."""
    if here is not None and there is not None:
        if here.material == there.material:
            return "available", f"kid {kid!r} is in use, and a fresh fetch holds the same key."
        return "replaced", f"kid {kid!r} names another key in a fresh fetch: refresh, and ask for a new kid."
    if here is not None:
        if fetched:
            return "withdrawn", f"kid {kid!r} is in use, but a fresh fetch does not hold it any more."
        return "available", f"kid {kid!r} is in use."
    if there is not None:
        return "stale_cache", f"kid {kid!r} is published, but the keys in use are older: a stale cache."
    return "unknown", f"No set holds kid {kid!r}."


def _nearly(kid: str, sets: tuple[JWKSet | None, ...], text: str) -> tuple[str, str]:
    """Look among keys left out, and for a kid that is nearly the one asked for."""
    for keys in sets:
        for gone in keys.skipped if keys is not None else ():
            if gone.kid == kid:
                return "left_out", f"kid {kid!r} is in the set, but it was left out: {gone.error}."
    known = [KnownKey(jwk=key, issuer=None, origin="in use") for keys in sets for key in keys or ()]
    near = near_miss(kid, known)
    if near is not None:
        return "near_miss", f"{text} Nearly it: {near[1].jwk.kid!r} ({near[0]})."
    return "unknown", text
