"""A wall clock that is as wrong as a file says, in every process of a server under test.

Python runs this before anything else when this folder is on its path. The monotonic clock stays right, as it does when
somebody sets a computer's clock. (libfaketime would also do, were it not that its `clock_nanosleep` refuses the
absolute times that Python sleeps until.)
"""

import os
import time

_real = time.time
_shift = os.environ.get("TEST_CLOCK_SHIFT", "")


def _time() -> float:
    try:
        with open(_shift) as file:
            return _real() + float(file.read() or 0)
    except (OSError, ValueError):
        return _real()


if _shift:
    time.time = _time
