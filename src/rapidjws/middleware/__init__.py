"""Middleware for ASGI, WSGI, FastAPI, aiohttp and gRPC, and the verification of webhooks."""

from typing import TYPE_CHECKING

from rapidjws._lazy import lazy_names

if TYPE_CHECKING:
    from rapidjws.middleware.asgi import JWSMiddleware
    from rapidjws.middleware.authenticator import Authenticator
    from rapidjws.middleware.body_digest import BodyDigest
    from rapidjws.middleware.body_parts import FormField, JSONMember
    from rapidjws.middleware.body_replay import BodyReplay
    from rapidjws.middleware.request_nonces import RequestNonces
    from rapidjws.middleware.response import Answer, answer_for, trusted_headers
    from rapidjws.middleware.signed_body import SignedBody
    from rapidjws.middleware.signed_request import RequestLines, SignedData, SignedRequest
    from rapidjws.middleware.token_location import TokenLocation
    from rapidjws.middleware.webhook import verify_webhook
    from rapidjws.middleware.wsgi import WSGIMiddleware
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "rapidjws.middleware.body_digest": ("BodyDigest",),
            "rapidjws.middleware.body_parts": (
                "FormField",
                "JSONMember",
            ),
            "rapidjws.middleware.body_replay": ("BodyReplay",),
            "rapidjws.middleware.request_nonces": ("RequestNonces",),
            "rapidjws.middleware.signed_request": (
                "RequestLines",
                "SignedData",
                "SignedRequest",
            ),
            "rapidjws.middleware.response": ("Answer", "answer_for", "trusted_headers"),
            "rapidjws.middleware.asgi": ("JWSMiddleware",),
            "rapidjws.middleware.signed_body": ("SignedBody",),
            "rapidjws.middleware.authenticator": ("Authenticator",),
            "rapidjws.middleware.token_location": ("TokenLocation",),
            "rapidjws.middleware.webhook": ("verify_webhook",),
            "rapidjws.middleware.wsgi": ("WSGIMiddleware",),
        },
    )

__all__ = [
    "Answer",
    "Authenticator",
    "BodyDigest",
    "BodyReplay",
    "FormField",
    "JSONMember",
    "JWSMiddleware",
    "RequestLines",
    "RequestNonces",
    "SignedBody",
    "SignedData",
    "SignedRequest",
    "TokenLocation",
    "WSGIMiddleware",
    "answer_for",
    "trusted_headers",
    "verify_webhook",
]
