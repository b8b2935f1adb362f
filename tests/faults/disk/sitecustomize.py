"""A disk whose fsync of the job store's log fails from the moment that a file exists, in a server under test.

Python runs this before anything else when this folder is on its path.
"""

import os

_switch = os.environ.get("TEST_DISK_FAILS", "")


def _install() -> None:
    import apsw

    class Disk(apsw.VFS):
        def __init__(self) -> None:
            super().__init__("failing", "unix", makedefault=True)

        def xOpen(self, name, flags):  # type: ignore[no-untyped-def]
            return File(name, flags)

    class File(apsw.VFSFile):
        def __init__(self, name, flags):  # type: ignore[no-untyped-def]
            found = name.filename() if isinstance(name, apsw.URIFilename) else name
            self.log = str(found or "").endswith("-wal")
            super().__init__("unix", name, flags)

        def xSync(self, flags):  # type: ignore[no-untyped-def]
            if self.log and os.path.exists(_switch):
                error = apsw.IOError("injected")
                vars(error).update(result=apsw.SQLITE_IOERR, extendedresult=apsw.SQLITE_IOERR_FSYNC)
                raise error
            super().xSync(flags)

    # Kept for as long as the process lives.
    apsw._test_disk = Disk()


if _switch:
    _install()
