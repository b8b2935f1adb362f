"""Multipart forms: read within bounds on their bytes, their parts and their headers."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from antiphon.api.errors import TooLarge
from antiphon.domain import errors

#: Bytes of one text field, and of everything beside the file.
MAX_FIELD, MAX_REST = 64 * 1024, 256 * 1024
MAX_FIELDS = 16


@contextlib.asynccontextmanager
async def form_with_file(request: Request, max_file: int) -> AsyncIterator[FormData]:
    """A form with one file of at most `max_file` bytes; its temporary file is deleted when the block ends.

    Raises `InvalidRequest` for anything else than such a form, `TooLarge` as soon as the size is known.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "multipart/form-data":
        raise errors.InvalidRequest("Send a form: Content-Type must be multipart/form-data")
    limit = max_file + MAX_REST
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(max_file)
    parser = MultiPartParser(
        request.headers, _bounded(request, max_file), max_files=1, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD
    )
    try:
        # python-multipart bounds a part's headers itself: 8 of them, 4 KiB each.
        form = await parser.parse()
    except MultiPartException as e:
        raise errors.InvalidRequest(f"The form cannot be read: {e.message}") from e
    try:
        yield form
    finally:
        await form.close()


async def _bounded(request: Request, max_file: int) -> AsyncGenerator[bytes]:
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > max_file + MAX_REST:
            raise _too_large(max_file)
        yield part


def _too_large(max_file: int) -> TooLarge:
    return TooLarge(f"The form is too large: a file of at most {max_file} bytes is taken")
