"""The HTTP application: all routes over one service."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from antiphon.api import (
    admin,
    compat,
    events,
    health,
    images,
    jobs,
    openapi,
    speech,
    speech_batch,
    speech_ws,
    stats,
    tracing,
    transcriptions,
    tts,
    voices,
    web,
)
from antiphon.api import errors as answers
from antiphon.api.fast_path import Direct, endpoints
from antiphon.api.guard import Guard
from antiphon.api.request_log import RequestLog
from antiphon.app.antiphon import Antiphon
from antiphon.domain import errors
from antiphon.version import __version__

ABOUT = """
An event-driven speech server: it accepts at once, schedules segments, shares fairly and never makes the same audio
twice.

Errors are `{"error": "…"}` on the article's routes and OpenAI's object under `/v1`.
"""


def create_app(antiphon: Antiphon) -> ASGIApp:
    """The application over a service that somebody else starts and stops."""
    app = FastAPI(
        title="Antiphon",
        version=__version__,
        description=ABOUT,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        # Their pages load scripts from elsewhere; the document itself is at /openapi.json.
        docs_url=None,
        redoc_url=None,
        # It does not see the busy routes, and would tell a collector what clients sent; ours is `tracing`.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    modules = (
        tts, speech, speech_ws, speech_batch, transcriptions, images, voices, jobs, events, admin, health, stats,
        compat, web,
    )  # fmt: skip
    routers = [module.routes(antiphon) for module in modules]
    for router in routers:
        app.include_router(router)
    app.add_exception_handler(errors.AntiphonError, answers.on_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _query_error)
    openapi.complete(app)
    whole: ASGIApp = RequestLog(Guard(Direct(app, endpoints(routers)), antiphon), antiphon)
    if antiphon.settings.allowed_origins:
        whole = CORSMiddleware(
            whole,
            allow_origins=list(antiphon.settings.allowed_origins),
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["*"],
        )
    traces = tracing.wanted(antiphon)
    return tracing.Traced(whole, traces) if traces else whole


async def _http_error(request: Request, error: Exception) -> Response:
    """Unknown paths and wrong methods, in the shape of the route's family."""
    assert isinstance(error, HTTPException)
    path, message = request.url.path, f"{error.detail}: {request.method} {request.url.path[:100]}"
    if answers.is_openai(path):
        kind = {"message": message, "type": "invalid_request_error", "param": None, "code": "not_found"}
        return answers.reply({"error": kind}, error.status_code, error.headers)
    return answers.reply({"error": message}, error.status_code, error.headers)


async def _query_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name = str(first["loc"][-1])
    return answers.response(errors.InvalidRequest(f"{name}: {first['msg']}", param=name), request.url.path)
