"""Server probe: whether a server answers, the client and key for its requests, and the text of its errors."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

import httpx

from antiphon.domain import errors

#: Seconds until the server counts as absent; a local server answers within milliseconds.
TIMEOUT = 1.0
#: Codes of refusals that end when work that is in line is done.
IN_LINE = frozenset({"over_share", "queue_full"})
#: Seconds that a command waits for room in line, and after which it asks again.
PATIENCE, ASK_AGAIN = 86_400.0, 30.0


def headers() -> dict[str, str]:
    """The key as a header. It comes from the environment, because other users can read a command line."""
    key = os.environ.get("ANTIPHON_KEY")
    return {"Authorization": f"Bearer {key}"} if key else {}


def client(server: str) -> httpx.Client:
    """A client without a read timeout, since a long text or recording takes long; only connecting has a limit."""
    timeout = httpx.Timeout(None, connect=5.0)
    return httpx.Client(base_url=server, timeout=timeout, trust_env=False, headers=headers())


def get(url: str, seconds: float) -> httpx.Response:
    """The response to a GET. Raises `AntiphonError` unless it is 200."""
    return checked(httpx.get(url, timeout=seconds, trust_env=False, headers=headers()))


def checked(answer: httpx.Response) -> httpx.Response:
    """The response. Raises `AntiphonError` with the server's message unless its status is 200."""
    if answer.status_code != 200:
        answer.read()
        raise errors.AntiphonError(reason(answer))
    return answer


def admitted(send: Callable[[], httpx.Response]) -> httpx.Response:
    """The response to a request, sent again while the server has no room for it in line. Says how long it waits and
    why, and gives up after a day; other refusals are returned."""
    until = time.monotonic() + PATIENCE
    while True:
        answer = send()
        after = answer.headers.get("retry-after", "")
        if answer.status_code not in (429, 503) or not after.isdigit():
            return answer
        answer.read()
        if code(answer) not in IN_LINE or time.monotonic() + float(after) > until:
            return answer
        print(f"waiting for room in line, about {after} s: {reason(answer)}", file=sys.stderr)  # noqa: T201
        answer.close()
        time.sleep(min(float(after), ASK_AGAIN))


def answers(server: str) -> bool:
    """Whether an Antiphon server answers at this address."""
    try:
        found = httpx.get(f"{server}/health", timeout=TIMEOUT, trust_env=False)
    except httpx.HTTPError:
        return False
    return found.status_code == 200 and "model_loaded" in found.json()


def code(answer: httpx.Response) -> str | None:
    """The code of an error response; None if it has none."""
    try:
        return str(answer.json()["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return None


def reason(answer: httpx.Response) -> str:
    """The message of an error response, of any server."""
    try:
        error = answer.json()["error"]
    except (ValueError, KeyError, TypeError):
        return f"the server answered {answer.status_code}: {answer.text[:200]}"
    return str(error["message"] if isinstance(error, dict) else error)
