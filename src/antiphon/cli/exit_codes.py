"""Exit codes: what a command ends with, so that a service manager can tell a wrong start from a crash."""

from __future__ import annotations

import errno
from collections.abc import Mapping

from antiphon.domain import errors

#: By the code of the error; any other error ends a command with 1, a wrong option with 2. `docs/operations.md` lists
#: them, and `deploy/systemd/antiphon.service` those after which a restart changes nothing.
BY_ERROR: Mapping[str, int] = {
    errors.FolderUnusable.code: 10,
    errors.StorageFull.code: 11,
    errors.DatabaseDamaged.code: 12,
    errors.DatabaseMissing.code: 13,
    errors.SchemaTooNew.code: 14,
    errors.FolderInUse.code: 15,
    errors.CannotListen.code: 16,
    errors.ClockWrong.code: 17,
    errors.StoreError.code: 19,
    errors.StoreAway.code: 19,
}
#: A module or a shared library of Antiphon cannot be loaded.
CANNOT_LOAD = 18
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def of(error: BaseException) -> int:
    return BY_ERROR.get(error.code, 1) if isinstance(error, errors.AntiphonError) else 1


def translated(error: Exception) -> errors.AntiphonError | None:
    """What a command says about an error of the system that names a file; None for any other error, which is a defect
    of ours and is shown whole."""
    if not isinstance(error, OSError) or not error.filename:
        return None
    said = f"cannot use {error.filename}: {error.strerror}"
    if error.errno in _FULL:
        return errors.StorageFull(f"{said}; free some space, then start again")
    return errors.FolderUnusable(f"{said}; make it usable for this user, or name another --data-dir")
