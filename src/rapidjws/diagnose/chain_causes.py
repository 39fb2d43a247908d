"""The causes of a chain in ``x5c`` that is refused, in words; see ``causes``."""

from __future__ import annotations

from typing import Final

from rapidjws.diagnose.values import CauseText

_T = CauseText
_ROOTS: Final = "Compare the roots of X5CKeys (x5c_roots) with those that the issuer publishes."

CHAIN_CAUSES: Final = (
    _T("chain_missing", "client", "The token brings no chain, and its key is due in x5c.",
       "Send the token that the issuer signed with its certificate; or configure another key source."),
    _T("chain_malformed", "partner", "What stands in x5c is no array of certificates.",
       "The issuer must write an array of strings, each base64 of one DER certificate (RFC 7515 4.1.6)."),
    _T("chain_encoding", "partner", "A certificate in x5c is in another encoding than base64 of DER.",
       "The issuer must write standard base64 with padding in one line: no base64url, no PEM."),
    _T("chain_order", "partner", "The certificates in x5c are in the wrong order.",
       "The issuer must write the leaf first, then each one that certifies the one before."),
    _T("chain_incomplete", "partner", "A certificate between leaf and root is missing in x5c.",
       "The issuer must send all of them but the root."),
    _T("chain_length", "partner", "The chain has another length than the policy asks for.",
       "Compare the profile with the issuer's; or raise max_chain_length knowingly."),
    _T("chain_expired", "partner", "A certificate of the chain has expired.",
       "The issuer must sign with a current one. With time='token' stored tokens keep their own time."),
    _T("chain_not_yet_valid", "partner", "A certificate of the chain is not valid yet.",
       "Compare the clocks; the issuer must not sign before its certificate begins."),
    _T("chain_self_signed", "security", "The certificate certifies itself, and it is no pinned root.",
       "Refuse it: anyone can make one. If the issuer really uses it, pin it or use its key."),
    _T("chain_other_root", "operator", "The chain ends at another authority than those pinned.", _ROOTS),
    _T("chain_no_authority", "security", "A certificate in the chain certifies others and may not.",
       "Refuse it: the holder of an ordinary certificate made another one with it."),
    _T("chain_other_profile", "client", "The chain is for another purpose: a mark of the profile is missing.",
       "Send a token of the right service; or name the policy of this one."),
    _T("chain_leaf_usage", "partner", "The certificate is not for signatures, by its own extensions.",
       "The issuer must sign with a certificate whose KeyUsage is for signatures."),
    _T("chain_time_missing", "partner", "The token does not say when it was signed.",
       "The issuer must write iat or sigT, for chains are judged then; or use time='now'."),
    _T("chain_time_wrong", "partner", "The token says that it was signed at a time that cannot be.",
       "Compare the clocks; dates of certificates' profiles are seconds, Apple's signedDate milliseconds."),
)  # fmt: skip
