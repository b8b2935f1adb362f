"""Server probe: whether a server answers, the key that requests carry, and the text of error responses."""

from __future__ import annotations

import os

import httpx

#: Seconds until the server counts as absent; a local server answers within milliseconds.
TIMEOUT = 1.0


def headers() -> dict[str, str]:
    """The key as a header. It comes from the environment, because other users can read a command line."""
    key = os.environ.get("ANTIPHON_KEY")
    return {"Authorization": f"Bearer {key}"} if key else {}


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
