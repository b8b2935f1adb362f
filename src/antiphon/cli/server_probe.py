"""Server probe: whether a server answers, the client and key for its requests, and the text of its errors."""

from __future__ import annotations

import os

import httpx

from antiphon.domain import errors

#: Seconds until the server counts as absent; a local server answers within milliseconds.
TIMEOUT = 1.0


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


def answers(server: str) -> bool:
    """Whether an Antiphon server answers at this address."""
    try:
        found = httpx.get(f"{server}/health", timeout=TIMEOUT, trust_env=False)
    except httpx.HTTPError:
        return False
    return found.status_code == 200 and "model_loaded" in found.json()


def reason(answer: httpx.Response) -> str:
    """The message of an error response, of any server."""
    try:
        error = answer.json()["error"]
    except (ValueError, KeyError, TypeError):
        return f"the server answered {answer.status_code}: {answer.text[:200]}"
    return str(error["message"] if isinstance(error, dict) else error)
