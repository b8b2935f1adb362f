"""SQL: the statements of the PostgreSQL store by name, and the migrations of its schema."""

from __future__ import annotations

import re

from antiphon.domain import errors
from antiphon.store import queries, rows
from antiphon.store.postgres import connection
from antiphon.store.postgres.connection import Connection, ConnectionPool

PACKAGE = "antiphon.store.postgres"
#: Key of the advisory lock under which servers join and the schema is changed.
LOCK = 0x616E7469
#: The line of a migration that names the oldest schema whose servers can go on.
_OLDEST = re.compile(r"^-- oldest: (\d+)$", re.MULTILINE)


def _as_text(columns: str, *names: str) -> str:
    """JSON is read as text, because it is kept as text."""
    return ", ".join(f"{name}::text" if name in names else name for name in columns.split(", "))


SQL = queries.load(
    PACKAGE, JOB=_as_text(rows.JOB, "error", "result", "request"), VOICE=_as_text(rows.VOICE, "languages")
)


async def migrate(pool: ConnectionPool, name: str) -> None:
    """Applies the missing migrations, one server at a time. Raises `SchemaTooNew` and changes nothing.

    Servers are replaced one by one, so two versions use the database at the same time, and a server of the older
    version may restart. A migration therefore keeps what the version before it needs. One that cannot says
    `-- oldest: N`: N is the oldest schema whose servers may go on."""
    known = queries.migrations(PACKAGE)

    async def steps(db: Connection, retried: bool) -> None:
        async with db.transaction():
            await connection.execute(db, "SELECT pg_advisory_xact_lock(%s)", (LOCK,))
            await connection.execute(db, "CREATE TABLE IF NOT EXISTS schema_version (version integer, oldest integer)")
            newest = "SELECT version, oldest FROM schema_version ORDER BY version DESC LIMIT 1"
            found = await connection.execute(db, newest)
            version, oldest = found[0] if found else (0, 0)
            if oldest > len(known):
                raise errors.SchemaTooNew(
                    f"the database of {name} has schema {version}, which servers use that know {oldest} at least; this "
                    f"Antiphon knows none above {len(known)}. Upgrade Antiphon, or use another database."
                )
            for number, script in known[version:]:
                await connection.execute(db, script)
                said = _OLDEST.search(script)
                oldest = int(said[1]) if said else max(oldest, number - 1)
                await connection.execute(db, "INSERT INTO schema_version VALUES (%s, %s)", (number, oldest))

    await pool.run(steps)
