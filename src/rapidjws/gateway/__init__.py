"""The doors: the same verdict for ASGI, WSGI, webhooks and the sidecar behind a gateway."""

from rapidjws.gateway.answer import Answer, answer_for, trusted_headers
from rapidjws.gateway.asgi import JWSMiddleware
from rapidjws.gateway.body import SignedBody
from rapidjws.gateway.door import Door
from rapidjws.gateway.place import TokenPlace
from rapidjws.gateway.webhook import verify_webhook
from rapidjws.gateway.wsgi import WSGIMiddleware

__all__ = [
    "Answer",
    "Door",
    "JWSMiddleware",
    "SignedBody",
    "TokenPlace",
    "WSGIMiddleware",
    "answer_for",
    "trusted_headers",
    "verify_webhook",
]
