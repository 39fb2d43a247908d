"""The same small application in each framework, behind a middleware. What it never does: test.

``/who`` tells what the application was given; ``/health`` needs no token; ``/flow`` answers in pieces.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import served

from rapidjws.middleware import JWSMiddleware, WSGIMiddleware

EXEMPT = frozenset({"/health"})


def reported(decision: Any, headers: Any, body: bytes = b"") -> dict[str, Any]:
    """Return what an application knows of a request; ``headers`` are pairs."""
    headers = list(headers)
    verified = None if decision is None else decision.verified
    claims = {} if verified is None or verified.issuer is None else verified.claims
    return {
        "code": None if decision is None else decision.code,
        "sub": claims.get("sub"),
        "payload": None if verified is None else verified.payload.decode(),
        "body": body.decode("latin-1"),
        "traced": [value for name, value in headers if name.lower() == "traceparent"],
        "ours": sorted(
            [name.lower().replace("_", "-"), value]
            for name, value in headers
            if name.lower().replace("_", "-").startswith(("x-jws-", "x-tenant"))
        ),
    }


@contextlib.contextmanager
def starlette(**settings: Any) -> Iterator[int]:
    """Serve Starlette behind the ASGI middleware."""
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.responses import JSONResponse, StreamingResponse
    from starlette.routing import Route

    async def who(request: Any) -> Any:
        body = await request.body()
        return JSONResponse(reported(request.scope.get("rapidjws"), request.headers.items(), body))

    async def flow(_: Any) -> Any:
        return StreamingResponse(iter([b"a", b"b"]))

    routes = [
        Route("/who", who, methods=["GET", "POST"]),
        Route("/health", who),
        Route("/flow", flow),
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(JWSMiddleware, exempt=EXEMPT, **{"ready_timeout_s": 0, **settings})],
    )
    with served.uvicorn(app) as port:
        yield port


def _fastapi() -> Any:
    from fastapi import FastAPI, Request
    from fastapi.responses import StreamingResponse

    async def who(request: Any) -> Any:
        return reported(request.scope.get("rapidjws"), request.headers.items(), await request.body())

    async def flow() -> Any:
        return StreamingResponse(iter([b"a", b"b"]))

    who.__annotations__ = {"request": Request}  # read at run time, where names of this function are unknown
    flow.__annotations__ = {}
    app = FastAPI()
    app.add_api_route("/who", who, methods=["GET", "POST"])
    app.add_api_route("/health", who)
    app.add_api_route("/flow", flow)
    return app


@contextlib.contextmanager
def fastapi_middleware(**settings: Any) -> Iterator[int]:
    """Serve FastAPI behind the ASGI middleware."""
    app = _fastapi()
    app.add_middleware(JWSMiddleware, exempt=EXEMPT, **{"ready_timeout_s": 0, **settings})
    with served.uvicorn(app) as port:
        yield port


@contextlib.contextmanager
def fastapi_dependency(**settings: Any) -> Iterator[int]:
    """Serve FastAPI with the dependency, of each route."""
    from fastapi import Depends, FastAPI

    from rapidjws.middleware.fastapi import JWSSecurity

    app = FastAPI()
    kind: Any = settings.pop("claims", dict[str, Any])
    app.include_router(
        _fastapi().router,
        dependencies=[Depends(JWSSecurity(kind, exempt=EXEMPT, **settings))],
    )
    with served.uvicorn(app) as port:
        yield port


@contextlib.contextmanager
def litestar(**settings: Any) -> Iterator[int]:
    """Serve Litestar behind the ASGI middleware."""
    from litestar import Litestar, Request, get, post
    from litestar.middleware import DefineMiddleware
    from litestar.response import Stream

    async def who(request: Any) -> Any:
        return reported(request.scope.get("rapidjws"), request.headers.items(), await request.body())

    async def flow() -> Any:
        return Stream(iter([b"a", b"b"]))

    who.__annotations__ = {"request": Request[Any, Any, Any], "return": dict[str, Any]}
    flow.__annotations__ = {"return": Stream}
    routes = [get(["/who", "/health"])(who), post("/who", status_code=200)(who), get("/flow")(flow)]
    app = Litestar(
        routes,
        middleware=[DefineMiddleware(JWSMiddleware, exempt=EXEMPT, **{"ready_timeout_s": 0, **settings})],
        openapi_config=None,
    )
    with served.uvicorn(app) as port:
        yield port


@contextlib.contextmanager
def flask(**settings: Any) -> Iterator[int]:
    """Serve Flask behind the WSGI middleware."""
    from flask import Flask, Response, request

    app = Flask("who")

    @app.get("/health")
    @app.route("/who", methods=["GET", "POST"])
    def who() -> dict[str, Any]:
        return reported(request.environ.get("rapidjws"), request.headers.items(), request.get_data())

    @app.get("/flow")
    def flow() -> Any:
        return Response(iter([b"a", b"b"]))

    with served.wsgi(
        WSGIMiddleware(app.wsgi_app, exempt=EXEMPT, **{"ready_timeout_s": 0, **settings})
    ) as port:
        yield port


def _django_urls() -> Any:
    from django.http import JsonResponse, StreamingHttpResponse
    from django.urls import path

    def who(request: Any) -> Any:
        place = request.environ if hasattr(request, "environ") else request.scope
        return JsonResponse(reported(place.get("rapidjws"), request.headers.items(), request.body))

    def flow(_: Any) -> Any:
        return StreamingHttpResponse(iter([b"a", b"b"]))

    def form(request: Any) -> Any:
        place = request.environ if hasattr(request, "environ") else request.scope
        return JsonResponse(
            {**reported(place.get("rapidjws"), request.headers.items()), "form": request.POST.dict()}
        )

    return [path("who", who), path("health", who), path("flow", flow), path("form", form), *_rest_urls()]


def _rest_urls() -> list[Any]:
    """Return a view of Django REST framework, where that is installed."""
    try:
        from rest_framework.response import Response
        from rest_framework.views import APIView
    except ImportError:
        return []
    from django.urls import path

    class Rest(APIView):  # type: ignore[misc]
        def post(self, request: Any) -> Any:
            """Tell the parsed form, or the body."""
            inner = request._request
            place = inner.environ if hasattr(inner, "environ") else inner.scope
            known = reported(place.get("rapidjws"), request.headers.items())
            data = request.data
            return Response({**known, "form": data.dict() if hasattr(data, "dict") else data})

    return [path("rest", Rest.as_view())]


def _django_set_up() -> None:
    import types

    import django
    from django.conf import settings as django_settings

    if not django_settings.configured:
        urls: Any = types.ModuleType("who_urls")
        urls.urlpatterns = []
        django_settings.configure(
            ROOT_URLCONF=urls,
            ALLOWED_HOSTS=["127.0.0.1"],
            SECRET_KEY="of a test",
            MIDDLEWARE=[],
            LOGGING_CONFIG=None,
            REST_FRAMEWORK={
                "DEFAULT_AUTHENTICATION_CLASSES": [],
                "DEFAULT_PERMISSION_CLASSES": [],
                "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
                "UNAUTHENTICATED_USER": None,
            },
        )
        django.setup()
        urls.urlpatterns += _django_urls()


@contextlib.contextmanager
def django(**settings: Any) -> Iterator[int]:
    """Serve Django behind the WSGI middleware."""
    _django_set_up()
    from django.core.wsgi import get_wsgi_application

    with served.wsgi(
        WSGIMiddleware(get_wsgi_application(), exempt=EXEMPT, **{"ready_timeout_s": 0, **settings})
    ) as port:
        yield port


@contextlib.contextmanager
def django_asgi(**settings: Any) -> Iterator[int]:
    """Serve Django behind the ASGI middleware."""
    _django_set_up()
    from django.core.asgi import get_asgi_application

    app = JWSMiddleware(
        get_asgi_application(),
        exempt=EXEMPT,
        undecided_scopes=["lifespan"],
        **{"ready_timeout_s": 0, **settings},
    )
    with served.uvicorn(app, lifespan="off") as port:
        yield port


@contextlib.contextmanager
def aiohttp(**settings: Any) -> Iterator[int]:
    """Serve aiohttp behind its middleware."""
    from aiohttp import web

    from rapidjws.middleware.aiohttp import DECISION, setup

    async def who(request: web.Request) -> web.StreamResponse:
        return web.json_response(
            reported(request.get(DECISION), request.headers.items(), await request.read())
        )

    async def flow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in (b"a", b"b"):
            await response.write(piece)
        return response

    app = web.Application()
    app.add_routes(
        [web.get("/who", who), web.post("/who", who), web.get("/health", who), web.get("/flow", flow)]
    )
    setup(app, exempt=EXEMPT, **{"ready_timeout_s": 0, **settings})
    with served.aiohttp(app) as port:
        yield port


FRAMEWORKS: dict[str, tuple[tuple[str, ...], Callable[..., contextlib.AbstractContextManager[int]]]] = {
    "starlette": (("starlette", "uvicorn"), starlette),
    "fastapi middleware": (("fastapi", "uvicorn"), fastapi_middleware),
    "fastapi dependency": (("fastapi", "uvicorn"), fastapi_dependency),
    "litestar": (("litestar", "uvicorn"), litestar),
    "flask": (("flask",), flask),
    "django": (("django",), django),
    "aiohttp": (("aiohttp",), aiohttp),
}
"""Name -> the packages it needs, and what serves the application."""

ALSO_DJANGO_ASGI: dict[str, tuple[tuple[str, ...], Callable[..., contextlib.AbstractContextManager[int]]]] = {
    **FRAMEWORKS,
    "django asgi": (("django", "uvicorn"), django_asgi),
}
"""The same, and Django by ASGI."""
