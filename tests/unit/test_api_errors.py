"""The table of errors: every error has a status, and the nearest class in the table decides it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from antiphon.api import openapi
from antiphon.api.errors import STATUSES, TooLarge, UnknownField, body_of, status_of
from antiphon.api.schemas import ErrorText
from antiphon.domain import errors


def family(parent: type[errors.AntiphonError]) -> Iterator[type[errors.AntiphonError]]:
    yield parent
    for child in parent.__subclasses__():
        yield from family(child)


@pytest.mark.parametrize("error", sorted(family(errors.AntiphonError), key=lambda each: each.__name__))
def test_every_error_has_a_status_that_is_documented(error: type[errors.AntiphonError]) -> None:
    found = error()
    assert body_of(found)["error"]["type"] == STATUSES[status_of(found)].openai_type


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.InvalidText, 400),
        (errors.UnknownModel, 404),
        (UnknownField, 422),
        (TooLarge, 413),
        (errors.Busy, 503),
        (errors.QueueFull, 503),
        (errors.OverShare, 429),
        (errors.StoreError, 500),
        (errors.StoreAway, 503),
        (errors.UnitFailed, 500),
    ],
)
def test_the_nearest_class_decides(error: type[errors.AntiphonError], status: int) -> None:
    assert status_of(error()) == status


def test_no_class_stands_twice_in_the_table() -> None:
    classes = [each for entry in STATUSES.values() for each in entry.classes]
    assert len(classes) == len(set(classes))


def test_the_document_describes_errors_from_the_table() -> None:
    found = openapi.errors(404, 429, shape=ErrorText)
    assert found == {status: {"model": ErrorText, "description": STATUSES[status].description} for status in (404, 429)}
