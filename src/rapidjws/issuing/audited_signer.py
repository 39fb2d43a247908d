"""The signer of one request: what it signs leaves once it is recorded."""

from __future__ import annotations

import hashlib

from rapidjws.errors import RapidJWSError
from rapidjws.issuing.active_signer import SignatureAudit, SignatureRecord
from rapidjws.signing.signer import Signer, SignerWrapper

_REQUEST_ID_MAX_CHARS = 128


def no_audit(record: SignatureRecord, /) -> None:
    """Keep no record."""


def shown_request_id(values: list[str]) -> str:
    """Return what a record has of a request's id: its beginning, or nothing if it cannot be printed."""
    found = next(iter(values), "")
    return found[:_REQUEST_ID_MAX_CHARS] if found.isprintable() else ""


def digest_of(signing_input: bytes) -> str:
    """Return what a record has of a JWS Signing Input."""
    return hashlib.sha256(signing_input).hexdigest()


class AuditedSigner(SignerWrapper):
    """A signer for one request, whose signatures leave once they are recorded."""

    __slots__ = ("_audit", "_request_id", "_who")

    def __init__(self, signer: Signer, audit: SignatureAudit, who: str, request_id: str) -> None:
        super().__init__(signer)
        self._audit = audit
        self._who = who
        self._request_id = request_id

    def sign(self, signing_input: bytes) -> bytes:
        """Return the signature, once it is recorded; in a queue clients take turns."""
        try:
            sign_for = getattr(self._signer, "sign_for", None)  # a queue, in which clients take turns
            if sign_for is None:
                signature = self._signer.sign(signing_input)
            else:
                signature = sign_for(signing_input, self._who)
        except RapidJWSError as failed:
            self._record(signing_input, failed.code)
            raise
        self._record(signing_input, "ok")
        return signature

    def _record(self, signing_input: bytes, result: str) -> None:
        if self._audit is no_audit:
            return
        self._audit(
            SignatureRecord(
                who=self._who, kid=self.kid, alg=self.alg, digest=digest_of(signing_input),
                request_id=self._request_id, result=result,
            )
        )  # fmt: skip
