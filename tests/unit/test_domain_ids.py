"""Ids: sorted by time, unique, and told apart from other texts."""

from __future__ import annotations

import pytest

from antiphon.domain import ids


def test_ids_are_ids_and_sort_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([1.0, 1.5, 1.7e9, 4e9])
    monkeypatch.setattr("time.time", lambda: next(now))
    created = [ids.new_id() for _ in range(4)]
    assert created == sorted(created)
    assert all(ids.is_id(name) for name in created)
    assert len(set(created)) == 4


@pytest.mark.parametrize("text", ["", "a", "../" + "0" * 23, "O" * 26, "0" * 27, "u" * 26])
def test_what_is_no_id(text: str) -> None:
    assert not ids.is_id(text)
