"""Talking to a server that may be running: whether it is, and what its errors say."""

from __future__ import annotations

import os

import httpx

#: Seconds to find out; a server on this machine answers in milliseconds.
TIMEOUT = 1.0


def headers() -> dict[str, str]:
    """The caller's key, from the environment: a command line can be read by everybody on the machine."""
    key = os.environ.get("ANTIPHON_KEY")
    return {"Authorization": f"Bearer {key}"} if key else {}


def answers(server: str) -> bool:
    try:
        found = httpx.get(f"{server}/health", timeout=TIMEOUT, trust_env=False)
    except httpx.HTTPError:
        return False
    return found.status_code == 200 and "model_loaded" in found.json()


def reason(answer: httpx.Response) -> str:
    """The message of an error answer, whatever its shape."""
    try:
        error = answer.json()["error"]
    except (ValueError, KeyError, TypeError):
        return f"the server answered {answer.status_code}: {answer.text[:200]}"
    return str(error["message"] if isinstance(error, dict) else error)
