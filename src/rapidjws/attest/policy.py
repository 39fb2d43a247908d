"""Whose signatures are enough: ``2 of build,review,security``, and the keys of each role."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from rapidjws._checks import checked, refused
from rapidjws.errors import error_for
from rapidjws.jose.jwk import JWK
from rapidjws.jose.jwks import JWKSet

_ROLE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_TERM: Final = re.compile(r" *([0-9]{1,4}) +of +([^ ].*?) *", re.ASCII)
_MAX_CHARS: Final = 4096


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class Quorum:
    """So many of these roles.

    Attributes:
        count: How many roles must have signed.
        roles: Their names.
    """

    count: int
    roles: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse a quorum that anybody or nobody could reach."""
        if not 1 <= self.count <= len(self.roles):
            words = "1 or more, and no more than there are roles"
            raise error_for("configuration_invalid", "policy.count", words, self.count)
        if len(set(self.roles)) != len(self.roles):
            raise error_for("configuration_invalid", "policy.roles", "each role once", "one of them twice")
        for role in self.roles:
            if not _ROLE.fullmatch(role):
                words = "letters, digits, '.', '_' or '-'"
                raise error_for("configuration_invalid", "policy.roles", words, "another name")

    @checked
    def is_met(self, signed: Collection[str]) -> bool:
        """Return whether the roles that signed are enough.

        Args:
            signed: Roles of which a key made a good signature.
        """
        return len(set(signed) & set(self.roles)) >= self.count

    def __str__(self) -> str:
        return f"{self.count} of {','.join(self.roles)}"


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class RolePolicy:
    """Quorums, all of which must be met.

    Attributes:
        quorums: At least one.
    """

    quorums: tuple[Quorum, ...]

    def __post_init__(self) -> None:
        """Refuse a policy that asks for nothing."""
        if not self.quorums:
            raise error_for("configuration_invalid", "policy", "one quorum or more", "none")

    @property
    def roles(self) -> frozenset[str]:
        """Return every role that is named."""
        return frozenset(role for quorum in self.quorums for role in quorum.roles)

    @checked
    def is_met(self, signed: Collection[str]) -> bool:
        """Return whether every quorum is met.

        Args:
            signed: Roles of which a key made a good signature.
        """
        return all(quorum.is_met(signed) for quorum in self.quorums)

    def __str__(self) -> str:
        return " and ".join(map(str, self.quorums))


@checked
def parse_policy(text: str) -> RolePolicy:
    """Read a policy.

    Args:
        text: ``N of ROLE,ROLE,...``; several of them with ``and`` between, for all to be met.

    Raises:
        ConfigurationError: ``configuration_invalid``: another text; more of them than there are roles, or
            none; a role twice.
    """
    if len(text) > _MAX_CHARS:
        raise error_for("configuration_invalid", "policy", f"at most {_MAX_CHARS} characters", len(text))
    quorums = []
    for term in re.split(" +and +", text):
        found = _TERM.fullmatch(term)
        if found is None:
            words = "N of ROLE,ROLE,..., several with 'and' between"
            raise error_for("configuration_invalid", "policy", words, "another text")
        roles = tuple(role.strip(" ") for role in found[2].split(","))
        quorums.append(Quorum(count=int(found[1]), roles=roles))
    return RolePolicy(quorums=tuple(quorums))


def checked_roles(
    roles: Mapping[str, JWKSet | JWK | Collection[JWK]], policy: RolePolicy
) -> dict[str, list[JWK]]:
    """Return the keys of each role that a policy names.

    Raises:
        ConfigurationError: ``configuration_invalid``: a role without keys; one key, or one kid, in two roles:
            its holder would count twice, or nobody could tell as whom.
    """
    if not isinstance(roles, Mapping):
        raise refused("roles", "a mapping of roles to keys", roles)
    found: dict[str, list[JWK]] = {}
    seen: dict[str, str] = {}
    for role, keys in roles.items():
        given = _each(keys)
        if not isinstance(role, str) or given is None:
            raise refused("roles", "a mapping of roles to keys", keys)
        if any(one.is_symmetric for one in given):
            words = ("public keys", "a shared secret: who verifies could sign")
            raise error_for("configuration_invalid", f"roles.{role}", *words)
        for one in given:
            for name in filter(None, (one.thumbprint(), one.kid and f"kid {one.kid}")):
                if seen.setdefault(name, role) != role:
                    words = ("keys of this role alone", f"a key or kid of {seen[name]} as well")
                    raise error_for("configuration_invalid", f"roles.{role}", *words)
        found[role] = list(given)
    for role in sorted(policy.roles):
        if not found.get(role):
            raise error_for("configuration_invalid", f"roles.{role}", "one key or more", "none")
    return found


def _each(keys: object) -> list[JWK] | None:
    """Return the keys that stand for a role, or None for what is none."""
    if isinstance(keys, JWKSet):
        return list(keys.keys)
    if isinstance(keys, JWK):
        return [keys]
    if not isinstance(keys, Collection) or isinstance(keys, (str, bytes, Mapping)):
        return None
    return list(keys) if all(isinstance(one, JWK) for one in keys) else None
