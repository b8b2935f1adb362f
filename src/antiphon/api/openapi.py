"""The OpenAPI document: routes that read raw bodies say here what they take and answer."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

IDEMPOTENCY = {"Idempotency-Key": "The same key and body give the same job for a day; another body is 422"}

GUARDED = {
    "401": "There are keys, and this request has none that is valid.",
    "403": "Not with this key, from this page or under this host name.",
    "429": "Too many requests, or too much of today's audio; see Retry-After.",
}

_BODIES: list[type[BaseModel]] = []
_TEMPLATE = "#/components/schemas/{model}"


def takes(*models: type[BaseModel], headers: dict[str, str] | None = None) -> dict[str, Any]:
    """`openapi_extra` for a route that validates one of `models` from the raw body."""
    _BODIES.extend(models)
    refs = [{"$ref": _TEMPLATE.format(model=model.__name__)} for model in models]
    extra: dict[str, Any] = {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": refs[0] if len(refs) == 1 else {"anyOf": refs}}},
        }
    }
    if headers:
        extra["parameters"] = [
            {
                "name": name,
                "in": "header",
                "required": False,
                "schema": {"type": "string"},
                "description": text,
            }
            for name, text in headers.items()
        ]
    return extra


def audio(description: str = "Audio, as it is made.") -> dict[str, Any]:
    kinds = ("audio/mpeg", "audio/ogg", "audio/aac", "audio/flac", "audio/wav", "audio/pcm")
    binary = {"schema": {"type": "string", "format": "binary"}}
    return {"description": description, "content": dict.fromkeys(kinds, binary)}


def complete(app: FastAPI) -> None:
    """Adds the schemas of raw bodies to the document that FastAPI makes."""
    original = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = original()
            _, made = models_json_schema([(m, "validation") for m in dict.fromkeys(_BODIES)], ref_template=_TEMPLATE)
            document.setdefault("components", {}).setdefault("schemas", {}).update(made.get("$defs", {}))
            _guarded(document)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _guarded(document: dict[str, Any]) -> None:
    """What the guard before every route may answer: with keys 401, for foreign hosts and pages 403, too often 429."""
    document["components"]["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "Needed as soon as `antiphon keys create` made one."}
    }
    for path, operations in document["paths"].items():
        kind = "ErrorObject" if path.startswith("/v1/") else "ErrorText"
        content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{kind}"}}}
        for operation in operations.values():
            # Without keys nobody needs one.
            operation["security"] = [{}, {"key": []}]
            for status, text in GUARDED.items():
                operation["responses"].setdefault(status, {"description": text, "content": content})
