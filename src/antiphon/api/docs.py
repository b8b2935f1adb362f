"""The OpenAPI document: routes that read raw bodies say here what they take and answer."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

IDEMPOTENCY = {"Idempotency-Key": "The same key and body give the same job for a day; another body is 422"}

_BODIES: list[type[BaseModel]] = []
_TEMPLATE = "#/components/schemas/{model}"


def takes(model: type[BaseModel], *, headers: dict[str, str] | None = None) -> dict[str, Any]:
    """`openapi_extra` for a route that validates `model` from the raw body."""
    _BODIES.append(model)
    extra: dict[str, Any] = {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": _TEMPLATE.format(model=model.__name__)}}},
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
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
