"""A listener's first segment is asked for early, under a recipe of its own, of engines that can give it so."""

from __future__ import annotations

from antiphon.api.speech import is_long
from antiphon.domain.engine import Capabilities, Voice
from antiphon.domain.request import SpeechRequest
from antiphon.speech import plan as plans
from antiphon.speech.plan import SpeechPlan

TEXT = "The first sentence of the answer is here. The second sentence follows it, and there is a third. It ends now."


def make(text: str = TEXT, *, early: bool = True, quick: bool = True, speed: float = 1.0) -> SpeechPlan:
    can = Capabilities(
        "speech", 24_000, "1", ("en", "zh"), (Voice("ann", "Ann", ("en",)),), "ann", speed_min=0.5, speed_max=2.0, early=early
    )  # fmt: skip
    return plans.make(SpeechRequest(text, speed=speed), "model", can, quick_first=quick)


def asked(plan: SpeechPlan) -> list[bool]:
    return [bool(plan.recipe(index).params["early"]) for index in range(len(plan.segments))]


def test_the_first_segment_of_a_listener_is_asked_for_early() -> None:
    assert asked(make()) == [True, False]
    assert asked(make(quick=False)) == [False]
    assert asked(make(early=False)) == [False, False]


def test_a_segment_that_is_short_or_stretched_is_not() -> None:
    assert asked(make("Hello there. " + TEXT[42:]))[0] is False
    assert asked(make(speed=4.0))[0] is False
    assert asked(make(speed=2.0))[0] is False, "it is short then"


def test_its_samples_have_a_key_of_their_own_and_no_other_key_changes() -> None:
    early, whole = make(), make(early=False)
    assert early.keys[0] != whole.keys[0]
    assert early.keys[1:] == whole.keys[1:]
    assert early.keys == make().keys


def test_long_is_measured_by_how_long_it_takes_to_say() -> None:
    assert is_long(SpeechRequest(TEXT))
    assert not is_long(SpeechRequest("A short answer of one sentence."))
    assert is_long(SpeechRequest("我们昨天一起去了公园，看见很多漂亮的花，还有小鸟和一条大河。"))
    assert not is_long(SpeechRequest("你好，很高兴认识你。"))
