"""Values: the types of options, with checks whose messages tell the operator what is wrong."""

from __future__ import annotations

import ipaddress
import json
import math
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import NoDecode


def _names(value: object) -> object:
    """Splits a variable such as `ANTIPHON_MODEL=kokoro,espeak`; a flag is repeated instead."""
    if isinstance(value, str):
        return tuple(name.strip() for name in value.split(",") if name.strip())
    return value


def _options(value: object) -> object:
    """Splits at commas that another MODEL:NAME= follows; other commas belong to a value."""
    if isinstance(value, str):
        return tuple(re.split(r",(?=[\w.-]+:[A-Za-z_]\w*=)", value)) if value else ()
    return value


def _model_options(value: tuple[str, ...]) -> tuple[str, ...]:
    for text in value:
        model, _, name = text.partition("=")[0].rpartition(":")
        if "=" not in text or not model or not name.isidentifier():
            raise ValueError(f"{text!r} is not MODEL:NAME=VALUE, such as indextts-2.5:num_beams=1")
    return value


def _networks(value: tuple[str, ...]) -> tuple[str, ...]:
    for text in value:
        ipaddress.ip_network(text, strict=False)
    return value


def _numbers(what: str) -> AfterValidator:
    def check(value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            try:
                number = float(text.rpartition("=")[2])
            except ValueError:
                number = -1.0
            if not 0 <= number < math.inf:
                raise ValueError(f"{text!r} is not {what} or MODEL={what}")
        return value

    return AfterValidator(check)


def _store(value: str) -> str:
    if value != "sqlite" and not value.startswith(("postgresql://", "postgres://")):
        raise ValueError("it must be sqlite or begin with postgresql://")
    return value


def _workers(value: object) -> object:
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    if isinstance(value, str) and value != "auto" and span(value) is None:
        raise ValueError("it must be a number, auto, or MIN-MAX such as 1-8")
    return value


def _objects(value: str) -> str:
    if not re.fullmatch(r"(?:s3|gs|az)://[^/?#@]+(?:/[^?#]*)?|file:///[^?#]+", value):
        raise ValueError("it must be s3://BUCKET/PREFIX, gs://…, az://… or file:///FOLDER, without credentials")
    return value


def _address(value: str) -> str:
    if not re.fullmatch(r"https?://[^/?#@]+/?", value):
        raise ValueError("it must be http://HOST:PORT or https://HOST:PORT, without credentials")
    return value


def _ray_address(value: str) -> str:
    if value.startswith("ray://"):
        raise ValueError("Ray's client protocol cannot carry workers; give the head's HOST:PORT, such as head:6379")
    return value


#: Names separated by commas.
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)]
Networks = Annotated[Names, AfterValidator(_networks)]
#: NUMBER or MODEL=NUMBER, and the same in seconds.
Shares = Annotated[Names, _numbers("NUMBER")]
Seconds = Annotated[Names, _numbers("SECONDS")]
#: MODEL:NAME=VALUE.
ModelOptions = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_options), AfterValidator(_model_options)]
#: A number, `auto`, or `MIN-MAX`.
Workers = Annotated[int | str, BeforeValidator(_workers)]
Store = Annotated[str, AfterValidator(_store)]
Objects = Annotated[str, AfterValidator(_objects)]
Address = Annotated[str, AfterValidator(_address)]
RayAddress = Annotated[str, AfterValidator(_ray_address)]


# Meanings


def by_model(texts: tuple[str, ...]) -> dict[str, float]:
    """NUMBER or MODEL=NUMBER as numbers by model; `*` stands for every other model."""
    pairs = (text.rpartition("=") for text in texts)
    return {name or "*": float(number) for name, _, number in pairs}


def options_by_model(texts: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """MODEL:NAME=VALUE as values by name by model; a value is JSON, else text."""
    found: dict[str, dict[str, Any]] = {}
    for text in texts:
        head, _, value = text.partition("=")
        model, _, name = head.rpartition(":")
        found.setdefault(model, {})[name] = _json(value)
    return found


def span(text: str) -> tuple[int, int] | None:
    """MIN-MAX as two numbers of at least 1; None for anything else."""
    match = re.fullmatch(r"(\d{1,5})-(\d{1,5})", text)
    found = (int(match[1]), int(match[2])) if match else (0, 0)
    return found if 1 <= found[0] <= found[1] else None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
