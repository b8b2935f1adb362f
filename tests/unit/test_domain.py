"""Domain: checks and stored forms of requests, emotions, recipes and errors."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.domain import errors
from antiphon.domain.request import EMOTIONS, FORMATS, SpeechRequest, check_text, parse_emotion
from antiphon.domain.unit import Recipe, SpeechParams

requests = st.builds(
    SpeechRequest,
    text=st.text(min_size=1).filter(lambda t: any(ch.isalnum() for ch in t)),
    model=st.none() | st.sampled_from(["kokoro", "espeak"]),
    voice=st.none() | st.text(max_size=5),
    emotion=st.dictionaries(st.sampled_from(EMOTIONS), st.floats(0.1, 1.2)),
    speed=st.floats(0.25, 4),
    seed=st.integers(0, 2**32 - 1),
    format=st.sampled_from(FORMATS),
    sample_rate=st.none() | st.sampled_from([8000, 24000]),
    priority=st.sampled_from(["vip", "normal", "bulk"]),
)


@given(requests)
def test_a_request_survives_the_store(request: SpeechRequest) -> None:
    assert SpeechRequest.from_json(json.loads(json.dumps(request.to_json()))) == request


@pytest.mark.parametrize("text", ["", " ", "\n", "!?", "…", "😀"])
def test_nothing_to_say(text: str) -> None:
    with pytest.raises(errors.InvalidText):
        check_text(text, 500)


@pytest.mark.parametrize("text", ["a", "5", "你", "a" * 500, " a "])
def test_something_to_say(text: str) -> None:
    check_text(text, 500)


@pytest.mark.parametrize("speed", [0.2499, 4.0001, float("nan"), float("inf"), -1])
def test_speed_out_of_range(speed: float) -> None:
    with pytest.raises(errors.InvalidRequest, match="speed"):
        SpeechRequest("a", speed=speed)


@pytest.mark.parametrize("speed", [0.25, 4.0])
def test_speed_at_its_edges(speed: float) -> None:
    assert SpeechRequest("a", speed=speed).speed == speed


@pytest.mark.parametrize(
    ("value", "weights"),
    [
        (None, {}),
        ("neutral", {"neutral": 1.0}),
        ({"neutral": 0.5}, {"neutral": 0.5}),
        ({"neutral": 0.0}, {}),
        ("happy", {"happy": 1.0}),
        ({"sad": 0.5, "neutral": 0.5}, {"sad": 0.5}),
        ([0, 0, 0.25, 0, 0, 0, 0, 1.2], {"sad": 0.25, "calm": 1.2}),
        ([0] * 8, {}),
    ],
)
def test_emotions(value: Any, weights: dict[str, float]) -> None:
    assert parse_emotion(value) == weights


@pytest.mark.parametrize(
    "value",
    ["bored", {"bored": 1}, [1, 2], {"sad": 1.3}, {"sad": -0.1}, {"sad": "much"}, {"sad": True}, 5, [float("nan")] * 8],
)
def test_emotions_that_do_not_exist(value: Any) -> None:
    with pytest.raises(errors.InvalidRequest, match="emotion"):
        parse_emotion(value)


params = st.builds(
    SpeechParams,
    text=st.text(),
    voice=st.text(max_size=3),
    language=st.sampled_from(["en", "zh"]),
    emotion=st.dictionaries(st.sampled_from(EMOTIONS), st.floats(0, 1)),
    speed=st.floats(0.5, 2),
    seed=st.integers(0, 9),
)


@given(params, params)
def test_a_recipe_is_named_by_all_that_it_says(a: SpeechParams, b: SpeechParams) -> None:
    keys = [Recipe("speech", "m", "1", p.as_params()).key() for p in (a, b)]
    assert (keys[0] == keys[1]) == (a == b)
    assert SpeechParams.of(a.as_params()) == a


def test_a_recipe_keeps_its_name() -> None:
    """Another name would empty every cache: a new parameter must have a default that leaves this one as it is."""
    key = SpeechParams("Hello.", "af_heart", "en").recipe("kokoro", "1").key()
    assert key == "e06d640f8f486ed33ac1abc860d61557a6a7f2d8e95bfc5306aeb27b55ce6fc4"


def test_model_and_revision_name_a_recipe_too() -> None:
    p = SpeechParams("a", "v", "en").as_params()
    assert len({Recipe("speech", m, r, p).key() for m in "ab" for r in "12"}) == 4


def test_every_error_says_something() -> None:
    def tree(kind: type[errors.AntiphonError]) -> list[type[errors.AntiphonError]]:
        return [kind, *(sub for child in kind.__subclasses__() for sub in tree(child))]

    found = [kind for kind in tree(errors.AntiphonError) if kind.__module__ == errors.__name__]
    assert len({kind.code for kind in found}) == len(found)
    for kind in found:
        assert kind().message.endswith(".")
