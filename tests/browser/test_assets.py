"""The page's files as they are sent."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from tests.conftest import Server

FILES = ["/", "/web/app.css", "/web/app.js", "/web/i18n.js", "/web/live.js", "/web/router.js"]


@pytest.mark.parametrize("path", FILES)
def test_each_file_is_guarded_and_known_again(tone: Server, path: str) -> None:
    answer = tone.client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
    assert answer.headers["x-content-type-options"] == "nosniff"
    again = tone.client.get(path, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_first_load_is_small(tone: Server) -> None:
    sizes = [int(tone.client.get(path).headers["content-length"]) for path in FILES]
    assert sum(sizes) <= 100_000


@pytest.mark.parametrize("path", ["/web/..%2fapi%2fapp.py", "/web/%2e%2e/settings.py", "/web/none.js", "/web/"])
def test_nothing_else_is_served(tone: Server, path: str) -> None:
    assert tone.client.get(path).status_code == 404


def test_both_languages_say_the_same_things() -> None:
    text = resources.files("antiphon").joinpath("web/i18n.js").read_text()
    english, chinese = (set(re.findall(r"(\w+): \"", part)) for part in text.split("  zh: {"))
    assert english == chinese
    html = resources.files("antiphon").joinpath("web/index.html").read_text()
    assert set(re.findall(r"data-t=\"(\w+)\"", html)) <= english
