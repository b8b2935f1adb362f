"""Paths of this machine: clients get none of them, and keep the routes and addresses that a message names."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.api import errors as http_errors
from antiphon.domain import errors
from antiphon.domain.job import Failure
from antiphon.domain.paths import shortened

HERE = str(Path(__file__).absolute())
ROOTS = [f"/{name}" for name in os.listdir("/") if name.isalnum()]


@pytest.mark.parametrize(
    ("text", "public"),
    [
        (f"{HERE} is missing; fetch it with: antiphon pull x", "…/test_domain_paths.py is missing; fetch it with: antiphon pull x"),
        (f"[Errno 2] No such file: '{HERE}'", "[Errno 2] No such file: '…/test_domain_paths.py'"),
        ("No such file: '/tmp/my models/a b.onnx'", "No such file: '…/a b.onnx'"),
        ("in /usr/lib/python3/x.py:12 (f), /tmp/a", "in …/x.py:12 (f), …/a"),
        ("(/tmp/a/b)", "(…/b)"),
        ("file:/tmp/a/b", "file:…/b"),
        ("path=/tmp/a/b", "path=…/b"),
    ],
)  # fmt: skip
def test_a_path_is_shortened(text: str, public: str) -> None:
    assert shortened(text) == public


@pytest.mark.parametrize(
    "text",
    [
        "GET /v1/models lists those that exist", "the file is at /output/speech_1.wav", "see http://host/tmp/x",
        "https://hf.co/work/x/resolve/main/a.bin", "and/or", "s3://bucket/tmp/x", "", "24/7", "a /b", "cache/tmp/x",
    ],
)  # fmt: skip
def test_what_is_no_path_of_this_machine_stays(text: str) -> None:
    assert shortened(text) == text


@given(
    st.text(max_size=40), st.sampled_from(ROOTS), st.lists(st.from_regex(r"\A[\w.-]{1,8}\Z"), min_size=2, max_size=5)
)
def test_no_text_around_a_path_shows_its_folders(words: str, root: str, parts: list[str]) -> None:
    folder = f"{root}/{'/'.join(parts[:-1])}/"
    assert folder not in shortened(f"{words} {folder}{parts[-1]}: {words}").replace(words, "")


def test_errors_and_failures_show_no_path() -> None:
    error = errors.UnitFailed(f"FileNotFoundError: {sys.prefix}/voices/secret.bin")
    assert Failure.of(error) == Failure("unit_failed", "FileNotFoundError: …/secret.bin")
    assert http_errors.body_of(error)["error"]["message"] == "FileNotFoundError: …/secret.bin"
    assert sys.prefix.encode() not in http_errors.response(error, "/tts").body
    assert error.message.startswith("FileNotFoundError: /")
