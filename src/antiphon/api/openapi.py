"""OpenAPI document: what the routes that read raw bodies take and answer, and the errors of every route."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from antiphon.api.errors import STATUSES, is_openai
from antiphon.api.schemas import ErrorObject, ErrorText

Responses = dict[int | str, dict[str, Any]]

IDEMPOTENCY = {"Idempotency-Key": "The same key and body give the same job for a day; another body is 422"}
#: Of every route: what a parameter, the guard, or a limit before it may answer.
EVERYWHERE = (400, 401, 403, 429)
SIGNED = {"description": "With `--objects-reads signed`: where the storage has it, for 15 minutes."}

_BODIES: list[type[BaseModel]] = []
_TEMPLATE = "#/components/schemas/{model}"


def errors(*statuses: int, shape: type[BaseModel] = ErrorObject) -> Responses:
    """The `responses` of a route for its errors, as the table of errors describes them."""
    return {status: {"model": shape, "description": STATUSES[status].description} for status in statuses}


def takes(*models: type[BaseModel], headers: dict[str, str] | None = None) -> dict[str, Any]:
    """`openapi_extra` for a route that validates one of `models` from the raw body."""
    _BODIES.extend(models)
    refs = [{"$ref": _TEMPLATE.format(model=model.__name__)} for model in models]
    extra = _body("application/json", refs[0] if len(refs) == 1 else {"anyOf": refs})
    if headers:
        extra["parameters"] = [
            {"name": name, "in": "header", "required": False, "schema": {"type": "string"}, "description": text}
            for name, text in headers.items()
        ]
    return extra


def takes_form(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    """`openapi_extra` for a route that reads a multipart form."""
    schema = {"type": "object", "required": list(required), "properties": properties}
    return _body("multipart/form-data", schema)


def _body(media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {media_type: {"schema": schema}}}}


def audio(description: str = "Audio, as it is made.") -> dict[str, Any]:
    media_types = ("audio/mpeg", "audio/ogg", "audio/aac", "audio/flac", "audio/wav", "audio/pcm")
    binary = {"schema": {"type": "string", "format": "binary"}}
    return {"description": description, "content": dict.fromkeys(media_types, binary)}


def file(description: str = "The audio.") -> dict[int | str, dict[str, Any]]:
    """Answers of a route that sends a file, or the part of it that a client asks for."""
    return {
        200: audio(description),
        206: audio("The part that was asked for."),
        304: {"description": "It has not changed."},
        416: {"description": "The part that was asked for is not in it."},
    }


def complete(app: FastAPI, kinds: Iterable[str]) -> None:
    """Adds the schemas of raw bodies, the guard's errors and the kinds of jobs to the document that FastAPI makes."""
    original = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = original()
            _, found = models_json_schema([(m, "validation") for m in dict.fromkeys(_BODIES)], ref_template=_TEMPLATE)
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas.update(found.get("$defs", {}))
            schemas["JobView"]["properties"]["type"]["enum"] = list(kinds)
            _add_guard(document)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _add_guard(document: dict[str, Any]) -> None:
    """What the guard asks of every route and answers for it."""
    document["components"]["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "Needed as soon as `antiphon keys create` made one."}
    }
    for path, operations in document["paths"].items():
        shape = ErrorObject if is_openai(path) else ErrorText
        content = {"application/json": {"schema": {"$ref": _TEMPLATE.format(model=shape.__name__)}}}
        for operation in operations.values():
            # A server without keys asks for none.
            operation["security"] = [{}, {"key": []}]
            if "HTTPValidationError" in str(operation["responses"].get("422")):
                del operation["responses"]["422"]  # FastAPI's own; here a wrong parameter is a 400.
            for status in EVERYWHERE:
                error = {"description": STATUSES[status].description, "content": content}
                operation["responses"].setdefault(str(status), error)
