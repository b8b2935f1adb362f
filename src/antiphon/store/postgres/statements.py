"""SQL: every statement of the PostgreSQL store by its name. JSON is read as text, because it is kept as the text."""

from __future__ import annotations

from antiphon.store import queries, rows

PACKAGE = "antiphon.store.postgres"


def _as_text(columns: str, *names: str) -> str:
    return ", ".join(f"{name}::text" if name in names else name for name in columns.split(", "))


SQL = queries.load(
    PACKAGE, JOB=_as_text(rows.JOB, "error", "result", "request"), VOICE=_as_text(rows.VOICE, "languages")
)
