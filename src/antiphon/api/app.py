"""HTTP application: all routes and layers, wired to the services of one `Antiphon`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Scope

from antiphon.api import (
    admin,
    compat,
    events,
    health,
    images,
    job_results,
    jobs,
    models,
    openapi,
    speech,
    speech_batch,
    speech_ws,
    stats,
    text_reading,
    tracing,
    transcriptions,
    tts,
    voices,
    web,
)
from antiphon.api import errors as http_errors
from antiphon.api.client_limits import ClientLimits
from antiphon.api.events import EventStreams
from antiphon.api.fast_path import FastPath, endpoints
from antiphon.api.files import FinishedFiles
from antiphon.api.guard import Guard
from antiphon.api.head import Head
from antiphon.api.replies import reply
from antiphon.api.request_log import RequestLog
from antiphon.api.transcriptions import RecordingReader
from antiphon.api.voice_preview import VoicePreview
from antiphon.app.antiphon import Antiphon
from antiphon.domain import errors
from antiphon.metrics.exposition import Exposition
from antiphon.metrics.families import Sources
from antiphon.metrics.report import report
from antiphon.version import __version__

ABOUT = """
An event-driven speech server: it accepts at once, schedules segments, shares fairly and never makes the same audio
twice for one client.

Errors are `{"error": "…"}` on the article's routes and OpenAI's object under `/v1`.
"""


def create_app(antiphon: Antiphon) -> ASGIApp:
    """The application over a service that the caller starts and stops."""
    settings = antiphon.settings
    app = FastAPI(
        title="Antiphon",
        version=__version__,
        description=ABOUT,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        # FastAPI's pages load scripts from another origin; the document itself is at /openapi.json.
        docs_url=None,
        redoc_url=None,
        # FastAPI's telemetry does not see the fast path, and would send a collector what clients sent; see `tracing`.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    routers = _routers(antiphon)
    for router in routers:
        app.include_router(router)
    app.add_exception_handler(errors.AntiphonError, http_errors.on_error)
    routes = [*app.routes, *(route for router in routers for route in router.routes)]
    app.add_exception_handler(HTTPException, partial(_http_error, routes))
    app.add_exception_handler(RequestValidationError, _query_error)
    openapi.complete(app, antiphon.kinds)
    whole: ASGIApp = Head(FastPath(app, endpoints(routers)))
    whole = ClientLimits(whole, settings)
    whole = Guard(whole, settings, antiphon.api_keys, antiphon.store.cluster)
    whole = RequestLog(whole, antiphon.observer, antiphon.models, log_chars=settings.log_text)
    if settings.allowed_origins:
        whole = CORSMiddleware(
            whole,
            allow_origins=settings.allowed_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["*"],
        )
    if settings.otlp_endpoint:
        whole = tracing.Traced(whole, tracing.exporting(settings.otlp_endpoint, antiphon.observer))
    return whole


def _routers(a: Antiphon) -> list[APIRouter]:
    """Gives every module of routes the services that it uses."""
    s = a.settings
    finished = FinishedFiles(a.jobs, a.files)
    streams = EventStreams(a.bus, a.journal, a.jobs)
    recordings = RecordingReader(a.models.selector, a.recordings)
    sources = Sources(a.models, a.jobs, a.observer, a.cache, a.files.bucket, a.bus)
    last_day = partial(
        report, a.models, a.observer.statistics, a.cache, target_wait=s.target_wait, started_at=a.started_at
    )
    return [
        tts.routes(a.speech, a.jobs, finished, log_chars=s.log_text),
        speech.routes(a.speech, a.jobs, finished, s),
        text_reading.routes(a.speech, max_body=s.max_body, log_chars=s.log_text),
        speech_ws.routes(a.speech),
        speech_batch.routes(a.speech, max_body=s.max_body),
        transcriptions.routes(a.jobs, recordings),
        images.routes(a.jobs, a.files, a.threads, a.space, s),
        voices.routes(a.references, a.models.selector, VoicePreview(a.models.selector, a.speech), a.voices),
        jobs.routes(a.jobs, recordings, streams, s),
        job_results.routes(a.jobs, a.speech, finished, a.threads),
        events.routes(streams, a.jobs),
        admin.routes(a.queue_control, a.jobs, a.models, a.webhooks),
        health.routes(a.health, a.jobs, a.models),
        models.routes(a.models, started_at=a.started_at),
        stats.routes(Exposition(sources), last_day),
        compat.routes(a.speech, max_body=s.max_body),
        web.routes(),
    ]


async def _http_error(routes: list[BaseRoute], request: Request, error: Exception) -> Response:
    """Unknown paths and wrong methods, in the error shape of the path."""
    assert isinstance(error, HTTPException)
    path, method, headers = request.scope["path"], request.method, dict(error.headers or {})
    message, code = f"{error.detail}: {method[:20]} {path[:100]}", "not_found"
    if error.status_code == 405:
        code, headers["Allow"] = "method_not_allowed", ", ".join(allowed(routes, request.scope))
        message += f"; there is {headers['Allow']}"
    if http_errors.is_openai(path):
        kind = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
        return reply({"error": kind}, error.status_code, headers)
    return reply({"error": message}, error.status_code, headers)


def allowed(routes: Iterable[BaseRoute], scope: Scope) -> list[str]:
    """The methods of a path, of all its routes; HEAD is wherever GET is (`Head`)."""
    methods = {
        method
        for route in routes
        if route.matches(dict(scope))[0] is not Match.NONE
        for method in getattr(route, "methods", None) or ()
    }
    return sorted(methods | {"HEAD"} if "GET" in methods else methods)


async def _query_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name = str(first["loc"][-1])
    return http_errors.response(errors.InvalidRequest(f"{name}: {first['msg']}", param=name), request.scope["path"])
