"""Multipart forms: read within bounds on their bytes, their parts and their headers."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, Headers
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from antiphon.api.errors import TooLarge
from antiphon.domain import client_values, errors

#: Bytes of one text field, and of everything beside the file.
MAX_FIELD, MAX_REST = 64 * 1024, 256 * 1024
MAX_FIELDS = 16
#: Characters of a field's name that an error shows.
MAX_NAME = 40
UTF8 = frozenset({b"utf-8", b"utf8", b"us-ascii"})


@contextlib.asynccontextmanager
async def form_with_file(request: Request, max_file: int) -> AsyncIterator[FormData]:
    """A form with one file of at most `max_file` bytes; its temporary file is deleted when the block ends.

    Raises `InvalidRequest` for anything else than such a form, `TooLarge` as soon as the size is known.
    """
    content_type, options = parse_options_header(request.headers.get("content-type", ""))
    if content_type != b"multipart/form-data":
        raise errors.InvalidRequest("Send a form: Content-Type must be multipart/form-data")
    if options.get(b"charset", b"utf-8").lower() not in UTF8:
        raise errors.InvalidRequest("Send the form in UTF-8", param="Content-Type")
    limit = max_file + MAX_REST
    if client_values.content_length(request.headers.get("content-length")) > limit:
        raise _too_large(max_file)
    parser = MultiPartParser(
        _headers(options), _bounded(request, max_file), max_files=1, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD
    )
    try:
        # python-multipart bounds a part's headers itself: 8 of them, 4 KiB each.
        form = await parser.parse()
    except MultiPartException as e:
        raise errors.InvalidRequest(f"The form cannot be read: {e.message}") from e
    except ValueError as e:
        raise errors.InvalidRequest("The form cannot be read: a part of it is malformed") from e
    except ClientDisconnect:
        raise errors.InvalidRequest("The connection ended before the whole form was here") from None
    try:
        for name, value in form.multi_items():
            if isinstance(value, str):
                client_values.text(value, name[:MAX_NAME], MAX_FIELD)
        yield form
    finally:
        await form.close()


def _headers(options: dict[bytes, bytes]) -> Headers:
    """The header that the parser reads, without a charset: some of Python's codecs raise, or give half characters."""
    boundary = options.get(b"boundary", b"").decode("latin-1")
    quoted = boundary.replace("\\", "\\\\").replace('"', '\\"')
    return Headers({"content-type": f'multipart/form-data; boundary="{quoted}"' if boundary else "multipart/form-data"})


async def _bounded(request: Request, max_file: int) -> AsyncGenerator[bytes]:
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > max_file + MAX_REST:
            raise _too_large(max_file)
        yield part


def _too_large(max_file: int) -> TooLarge:
    return TooLarge(f"The form is too large: a file of at most {max_file} bytes is taken")
