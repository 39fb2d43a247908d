"""The same small application behind what a framework itself calls: a decorator, a guard, a backend.

What it never does: test.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from types import MappingProxyType, ModuleType
from typing import Any

import served
from frameworks import EXEMPT, _django_set_up, reported


@contextlib.contextmanager
def flask_decorator(**settings: Any) -> Iterator[int]:
    """Serve Flask with the decorator of each view."""
    from flask import Flask, Response, request

    from rapidjws.middleware.flask import JWSRequired

    app = Flask("who")
    jws = JWSRequired(exempt=EXEMPT, **{"ready_timeout_s": 0, **settings})

    @app.get("/health")
    @app.route("/who", methods=["GET", "POST"])
    @jws
    def who() -> dict[str, Any]:
        return reported(request.environ.get("rapidjws"), request.headers.items(), request.get_data())

    @app.get("/flow")
    @jws
    def flow() -> Any:
        return Response(iter([b"a", b"b"]))

    with served.wsgi(app.wsgi_app) as port:
        yield port


@contextlib.contextmanager
def flask_before_request(**settings: Any) -> Iterator[int]:
    """Serve Flask with a check before each request."""
    from flask import Flask, Response, g, request

    from rapidjws.middleware.flask import JWSRequired

    app = Flask("who")
    app.before_request(JWSRequired(exempt=EXEMPT, **{"ready_timeout_s": 0, **settings}).check)

    @app.get("/health")
    @app.route("/who", methods=["GET", "POST"])
    def who() -> dict[str, Any]:
        return reported(g.get("rapidjws"), request.headers.items(), request.get_data())

    @app.get("/flow")
    def flow() -> Any:
        return Response(iter([b"a", b"b"]))

    with served.wsgi(app.wsgi_app) as port:
        yield port


def _django(**settings: Any) -> Any:
    """Return overridden settings under which a handler is made with the middleware."""
    _django_set_up()
    from django.test import override_settings

    options = {"exempt": EXEMPT, "ready_timeout_s": 0, **settings}
    return override_settings(MIDDLEWARE=["rapidjws.middleware.django.JWSMiddleware"], RAPIDJWS=options)


@contextlib.contextmanager
def django_middleware(**settings: Any) -> Iterator[int]:
    """Serve Django with its middleware, by WSGI."""
    with _django(**settings):
        from django.core.wsgi import get_wsgi_application

        app = get_wsgi_application()
    with served.wsgi(app) as port:
        yield port


@contextlib.contextmanager
def django_middleware_asgi(**settings: Any) -> Iterator[int]:
    """Serve Django with its middleware, by ASGI."""
    with _django(**settings):
        from django.core.asgi import get_asgi_application

        app = get_asgi_application()
    with served.uvicorn(app, lifespan="off") as port:
        yield port


class OwnURLs:
    """A middleware that gives a handler the URLs that stood here when it was made."""

    current: Any = None

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self._get_response = get_response
        self._urls = self.current

    def __call__(self, request: Any) -> Any:
        """Answer one request."""
        request.urlconf = self._urls
        return self._get_response(request)


@contextlib.contextmanager
def drf(**settings: Any) -> Iterator[int]:
    """Serve Django REST framework with the authentication class."""
    _django_set_up()
    from django.core.wsgi import get_wsgi_application
    from django.test import override_settings
    from django.urls import path
    from rest_framework.response import Response
    from rest_framework.views import APIView

    from rapidjws.middleware.drf import JWSAuthentication, exception_handler

    class Tokens(JWSAuthentication):
        options = MappingProxyType({"exempt": EXEMPT, "ready_timeout_s": 0, **settings})

    class Who(APIView):  # type: ignore[misc]
        authentication_classes = (Tokens,)
        permission_classes = ()

        def get_exception_handler(self) -> Any:
            """Return ours, as the setting EXCEPTION_HANDLER would."""
            return exception_handler

        def get(self, request: Any) -> Any:
            """Tell what it was given."""
            return Response(reported(request.auth, request.headers.items(), request.body))

    urls: Any = ModuleType("drf_urls")
    urls.urlpatterns = [path(name, Who.as_view()) for name in ("who", "health", "flow")]
    OwnURLs.current = urls
    with override_settings(MIDDLEWARE=["guarded_frameworks.OwnURLs"]):
        app = get_wsgi_application()
    with served.wsgi(app) as port:
        yield port


@contextlib.contextmanager
def starlette_backend(**settings: Any) -> Iterator[int]:
    """Serve Starlette with the authentication backend."""
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.authentication import AuthenticationMiddleware
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from rapidjws.middleware.starlette import JWSBackend, on_error

    async def who(request: Any) -> Any:
        return JSONResponse(reported(request.scope.get("rapidjws"), request.headers.items()))

    backend = JWSBackend(exempt=EXEMPT, **settings)
    app = Starlette(
        routes=[Route(path, who) for path in ("/who", "/health", "/flow")],
        middleware=[Middleware(AuthenticationMiddleware, backend=backend, on_error=on_error)],
    )
    with served.uvicorn(app) as port:
        yield port


@contextlib.contextmanager
def litestar_guard(**settings: Any) -> Iterator[int]:
    """Serve Litestar with the guard."""
    from litestar import Litestar, Request, get

    from rapidjws.middleware.litestar import JWSGuard, JWSRefused, refusal

    async def who(request: Any) -> Any:
        return reported(request.scope.get("rapidjws"), request.headers.items())

    who.__annotations__ = {"request": Request[Any, Any, Any], "return": dict[str, Any]}
    app = Litestar(
        [get(["/who", "/health", "/flow"])(who)],
        guards=[JWSGuard(exempt=EXEMPT, **settings)],
        exception_handlers={JWSRefused: refusal},
        openapi_config=None,
    )
    with served.uvicorn(app) as port:
        yield port


WITHOUT_WARNINGS = frozenset({"drf", "starlette backend", "litestar guard"})
"""They are called before there is a response, and have no way to it."""

WITH_BODIES: dict[str, tuple[tuple[str, ...], Callable[..., contextlib.AbstractContextManager[int]]]] = {
    "flask decorator": (("flask",), flask_decorator),
    "flask before_request": (("flask",), flask_before_request),
    "django middleware": (("django",), django_middleware),
    "django middleware asgi": (("django", "uvicorn"), django_middleware_asgi),
}
GUARDED: dict[str, tuple[tuple[str, ...], Callable[..., contextlib.AbstractContextManager[int]]]] = {
    **WITH_BODIES,
    "drf": (("django", "rest_framework"), drf),
    "starlette backend": (("starlette", "uvicorn"), starlette_backend),
    "litestar guard": (("litestar", "uvicorn"), litestar_guard),
}
"""Name -> the packages it needs, and what serves the application."""
