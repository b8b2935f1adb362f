"""The page's static files: headers, caching, size, and refused paths."""

from __future__ import annotations

import re
from importlib import resources
from typing import Any

import pytest

from antiphon.api.web import assets
from tests.browser.visiting import needs_chromium
from tests.conftest import Server

FILES = ["/", *(f"/web/{name}" for name in assets())]


@pytest.mark.parametrize("path", FILES)
def test_each_file_is_guarded_and_known_again(tone: Server, path: str) -> None:
    answer = tone.client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
    assert answer.headers["x-content-type-options"] == "nosniff"
    again = tone.client.get(path, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@needs_chromium
@pytest.mark.parametrize("name", ["speak", "jobs"])
def test_first_load_is_small(tone: Server, browser: Any, name: str) -> None:
    page = browser.new_page()
    page.goto(f"{tone.base}/#/{name}")
    page.wait_for_selector(f"ap-{name} h2")
    sizes = page.evaluate(
        "performance.getEntries().filter((e) => e.transferSize).map((e) => [e.name, e.encodedBodySize])"
    )
    own = [size for path, size in sizes if "/web/" in path or path.endswith("/")]
    page.close()
    assert len(own) > 10
    assert sum(own) <= 100_000


OUTSIDE = ("..%2fapi%2fapp.py", "%2e%2e/settings.py", "pages/%2e%2e/%2e%2e/settings.py", "pages//speak.js")


@pytest.mark.parametrize("path", [*OUTSIDE, "none.js", "pages", "pages/", ""])
def test_nothing_else_is_served(tone: Server, path: str) -> None:
    assert tone.client.get(f"/web/{path}").status_code == 404


def test_both_languages_say_the_same_things() -> None:
    web = resources.files("antiphon").joinpath("web")
    keys: set[str] = set()
    for name in ("frame.js", "pages.js"):
        english, chinese = (
            dict(re.findall(r"(\w+): \"((?:[^\"\\]|\\.)*)\"", part))
            for part in web.joinpath("i18n", name).read_text().split("  zh: {")
        )
        assert english.keys() == chinese.keys()
        for key, text in english.items():
            assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", chinese[key])), key
        assert not keys & english.keys(), "the later file would override a key that both have"
        keys |= english.keys()
    html = web.joinpath("index.html").read_text()
    assert set(re.findall(r"data-t=\"(\w+)\"", html)) <= keys
    for name in assets():
        if name.endswith(".js"):
            source = web.joinpath(name).read_text()
            asked = re.findall(r"(?:\bt: |\blabel: |\bbutton\(|\bt\(|\bfield\()\"(\w+)\"", source)
            assert set(asked) <= keys, name
