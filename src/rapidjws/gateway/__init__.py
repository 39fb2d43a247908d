"""The doors: the same verdict for ASGI, WSGI, webhooks and the sidecar behind a gateway."""

from typing import TYPE_CHECKING

from rapidjws._lazy import lazy_names

if TYPE_CHECKING:
    from rapidjws.gateway.answer import Answer, answer_for, trusted_headers
    from rapidjws.gateway.asgi import JWSMiddleware
    from rapidjws.gateway.body import SignedBody
    from rapidjws.gateway.door import Door
    from rapidjws.gateway.place import TokenPlace
    from rapidjws.gateway.webhook import verify_webhook
    from rapidjws.gateway.wsgi import WSGIMiddleware
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "rapidjws.gateway.answer": ("Answer", "answer_for", "trusted_headers"),
            "rapidjws.gateway.asgi": ("JWSMiddleware",),
            "rapidjws.gateway.body": ("SignedBody",),
            "rapidjws.gateway.door": ("Door",),
            "rapidjws.gateway.place": ("TokenPlace",),
            "rapidjws.gateway.webhook": ("verify_webhook",),
            "rapidjws.gateway.wsgi": ("WSGIMiddleware",),
        },
    )

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
