"""The span ``jws.sign``: one of each signature that a signer makes."""

from __future__ import annotations

from time import time_ns

from rapidjws._checks import checked
from rapidjws.observe.log_fields import log_text
from rapidjws.observe.tracing import ATTRIBUTE_MAX_CHARS, Tracer
from rapidjws.signing.signer import Signer, SignerWrapper


class TracedSigner(SignerWrapper):
    """A signer whose signatures have spans.

    Args:
        signer: Signs.
        tracer: Makes the spans.
    """

    __slots__ = ("_tracer",)

    @checked
    def __init__(self, signer: Signer, tracer: Tracer) -> None:
        super().__init__(signer)
        self._tracer = tracer

    @checked
    def sign(self, signing_input: bytes) -> bytes:
        """Return the JWS Signature over the octets; whatever the signer raises."""
        span = self._tracer.start("jws.sign", parent=None, start_ns=time_ns())
        if span is None:
            return self._signer.sign(signing_input)
        attributes = {"jws.alg": self.alg, "jws.kid": log_text(self.kid or "", ATTRIBUTE_MAX_CHARS)}
        try:
            signature = self._signer.sign(signing_input)
        except BaseException as fault:
            span.end({**attributes, "jws.result": type(fault).__name__}, failed=True)
            raise
        span.end({**attributes, "jws.result": "signed"}, failed=False)
        return signature
