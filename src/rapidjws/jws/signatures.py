"""Which of a JWS's signatures must be good: the result of each, and the caller's policy (RFC 7515 s.5.2).

The RFC leaves it to the application which signatures of a General JSON Serialization must verify. The rules
here:

- A policy counts good signatures only; the header of a signature that did not verify does not count.
- ``all_of`` means all that the token carries: who can cut a signature away can also make fewer of them.
  Name the signers, or a number, where certain ones are due.
- ``at_least`` counts keys, not signatures: one key that signs twice counts once, whatever its kids.
- Signers must agree: where two good signatures protect the same header parameter, its value must be the same,
  or the token is refused. Left out are the parameters that are each signer's own (``OWN_PARAMETERS``) and
  those that the caller names in ``may_differ``. A parameter that only one of them states is no disagreement.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from rapidjws._checks import checked
from rapidjws.errors import error_for
from rapidjws.verify.rules import OWN_PARAMETERS

if TYPE_CHECKING:
    from rapidjws.verify.key_table import PreparedKey


Signer = str | tuple[str, str]
"""An issuer's name, a kid where the verifier names no issuers, or both: ``(issuer, kid)``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignaturePolicy:
    """Which signatures of a token must be good; made by ``any_of``, ``all_of``, ``at_least``,
    ``signers``.

    Attributes:
        kind: What is asked for.
        count: For ``"count"``: how many keys.
        names: For ``"names"``: who must be among the good ones.
        may_differ: Protected parameters in which signers may disagree, beside ``OWN_PARAMETERS``.
    """

    kind: Literal["any", "all", "count", "names"]
    count: int = 1
    names: frozenset[Signer] = frozenset()
    may_differ: frozenset[str] = frozenset()

    def is_met(self, good: Sequence[PreparedKey], total: int) -> bool:
        """Return whether good signatures by these keys are enough of ``total`` signatures."""
        if not good:
            return False
        if self.kind == "all":
            return len(good) == total
        if self.kind == "count":
            return self.count == 1 or len({key.thumbprint for key in good}) >= self.count
        if self.kind == "names":
            return all(any(_answers(name, key) for key in good) for name in self.names)
        return True

    def __str__(self) -> str:
        words = {"any": "one good signature", "all": "every signature good"}
        if self.kind == "count":
            return f"good signatures by {self.count} keys"
        return words.get(self.kind) or f"good signatures of {sorted(map(str, self.names))}"


def _answers(name: Signer, key: PreparedKey) -> bool:
    """Return whether a key is the named signer's; a kid never passes for the name of an issuer."""
    if isinstance(name, tuple):
        return (key.name, key.jwk.kid) == name
    return name == (key.jwk.kid if key.name is None else key.name)


@checked
def any_of(*, may_differ: Iterable[str] = ()) -> SignaturePolicy:
    """Ask for one good signature, whoever's."""
    return SignaturePolicy(kind="any", may_differ=_parameters(may_differ))


@checked
def all_of(*, may_differ: Iterable[str] = ()) -> SignaturePolicy:
    """Ask for every signature of the token to be good; the default."""
    return SignaturePolicy(kind="all", may_differ=_parameters(may_differ))


@checked(but=("count",))
def at_least(count: int, *, may_differ: Iterable[str] = ()) -> SignaturePolicy:
    """Ask for good signatures by at least so many different keys.

    Args:
        count: How many keys, 1 or more.
        may_differ: Protected parameters in which signers may disagree.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    if not _is_count(count):
        raise error_for("configuration_invalid", "at_least", expected="1 or more", actual=repr(count))
    return SignaturePolicy(kind="count", count=count, may_differ=_parameters(may_differ))


def _is_count(count: object) -> bool:
    return isinstance(count, int) and not isinstance(count, bool) and count >= 1


@checked(but=("names",))
def signers(names: Iterable[Signer], *, may_differ: Iterable[str] = ()) -> SignaturePolicy:
    """Ask for a good signature of each of these signers; others may be there, good or not.

    Args:
        names: Where the verifier was given keys under names of issuers: such names, or ``(issuer, kid)``.
            Else kids.
        may_differ: Protected parameters in which signers may disagree.

    Raises:
        ConfigurationError: ``configuration_invalid``: no name, or not a name.
    """
    is_list = isinstance(names, Iterable) and not isinstance(names, (str, bytes, Mapping, type))
    wanted = frozenset(names) if is_list else frozenset()
    if not wanted or not all(_is_signer(name) for name in wanted):
        raise error_for("configuration_invalid", "signers", expected="a set of names, or of (issuer, kid)")
    return SignaturePolicy(kind="names", names=wanted, may_differ=_parameters(may_differ))


def _is_signer(name: object) -> bool:
    if isinstance(name, tuple):
        return len(name) == 2 and all(isinstance(part, str) and part for part in name)
    return isinstance(name, str) and bool(name)


def _parameters(names: Iterable[str]) -> frozenset[str]:
    found = frozenset() if isinstance(names, str) else frozenset(names)
    if isinstance(names, str) or not all(isinstance(name, str) for name in found):
        raise error_for("configuration_invalid", "may_differ", expected="a list of names")
    return found


def disagreement(headers: Sequence[Mapping[str, Any]], policy: SignaturePolicy) -> str | None:
    """Return a parameter on which two protected headers state different values, or None.

    Args:
        headers: The protected headers of good signatures.
        policy: Whose ``may_differ`` counts.
    """
    stated: dict[str, Any] = {}
    for header in headers:
        for name, value in header.items():
            if name in OWN_PARAMETERS or name in policy.may_differ:
                continue
            if name not in stated:
                stated[name] = value
            elif not _same(stated[name], value):
                return name
    return None


def _same(one: Any, other: Any) -> bool:
    """Return whether two JSON values are the same; Python alone would take true for 1."""
    if isinstance(one, str) or isinstance(other, str):
        return bool(one == other)
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
