"""What is said for a request: read, switched off, left to the engine; and what people see of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from antiphon.api.compat import word_times
from antiphon.audio import subtitles
from antiphon.domain import errors
from antiphon.domain.engine import Capabilities, Voice
from antiphon.domain.request import SpeechRequest, Turn
from antiphon.reading import markup as documents
from antiphon.speech import plan as plans
from antiphon.speech import planner
from antiphon.speech.plan import SpeechPlan

CAN = Capabilities("speech", 24_000, "1", (), (Voice("ann", "Ann", ("en",)),), "ann", deterministic=True)
PRICE = "It cost $100 at 9:30PM."
#: Nothing here is read otherwise than it is written.
PLAIN = (
    "The storm came at nine, and nobody said a word about it.",
    '"Who is there?" he asked; she did not answer: not then.',
    "今天天气很好，他们一起去了公园。",
    "Hola, ¿qué tal? Nous sommes là. Привет, мир!",
)


def make(text: str, can: Capabilities = CAN, **fields: Any) -> SpeechPlan:
    request, language, texts = planner._cleaned(SpeechRequest(text, **fields))
    return plans.make(request, "model", can, language=language, texts=texts)


def said(plan: SpeechPlan) -> list[str]:
    given = [plan.recipe(index).params["text"] for index in range(len(plan.segments))]
    assert given == [spoken.text for spoken in plan.spoken]
    return given


def seen(plan: SpeechPlan) -> list[str]:
    return [segment.text.strip() for segment in plan.segments]


def test_the_engine_gets_what_is_said_and_people_see_what_is_written() -> None:
    plan = make(PRICE)
    assert said(plan) == ["It cost one hundred dollars at nine thirty P M."]
    assert seen(plan) == [PRICE]
    assert plan.length(0) == len(said(plan)[0])


@pytest.mark.parametrize("text", PLAIN)
def test_a_text_with_nothing_to_read_has_the_keys_that_it_had(text: str) -> None:
    plan = make(text)
    assert said(plan) == seen(plan) == [text]
    assert plan.keys == make(text, reading="off").keys
    assert plan.result_key() == make(text, reading="off").result_key()


def test_a_recipe_of_plain_text_is_that_of_earlier_versions() -> None:
    assert make(PLAIN[0]).keys == ["b468ad30fa224e867386894a54d37692dafb61baaafd279dea519b3e2a01a4f9"]


def test_markup_is_read_before_the_text_is_cut() -> None:
    plan = make("# A Storm\n\nIt is **very [pause 1s] cold** here.[12]\n\n- [one](https://example.org/a)\n- two 😀")
    assert seen(plan) == ["A Storm", "It is very", "cold here.", "one\ntwo"]
    assert plan.segments[1].pause == 1.0
    assert plan.segments[0].pause > 0.5


def test_the_language_is_that_of_what_is_said() -> None:
    plan = make('<p title="the end of the house and of the garden that is there">Bonjour, il est tard pour nous.</p>')
    assert plan.voicings[0].language == "fr"
    assert plan.request.text.startswith("<p "), "a text with markup is stored as it came"


def test_markup_in_turns_and_their_language() -> None:
    turns = (Turn("**Bonjour** et [merci](https://example.org), il est *tard*."), Turn("*sighs*"), Turn("At 9:30PM."))
    request = SpeechRequest("\n".join(turn.text for turn in turns), turns=turns)
    plan = plans.make(planner._cleaned(request)[0], "model", CAN)
    assert seen(plan) == ["Bonjour et merci, il est tard.", "At 9:30PM."]
    assert said(plan)[1] == "At nine thirty P M."
    assert [how.language for how in plan.voicings] == ["fr", "en"]


def test_ssml_keeps_its_own_marks() -> None:
    plan = make("<speak>**2** is <sub alias='two dollars'>$2</sub>.<break time='1s'/>Gate 7.</speak>")
    assert seen(plan) == ["**2** is two dollars.", "Gate 7."]
    assert said(plan)[1] == "Gate seven."


def test_reading_can_be_switched_off() -> None:
    text = "**It** cost $100 at [the shop](https://example.org)."
    plan = make(text, reading="off")
    assert said(plan) == seen(plan) == [text]


@pytest.mark.parametrize(
    ("option", "text", "left"),
    [
        ("normalize", PRICE, PRICE),
        ("unit_normalization", "It took 10 kg at 9:30PM.", "It took 10 kg at nine thirty P M."),
        ("url_normalization", "See example.org at 9:30PM.", "See example.org at nine thirty P M."),
        ("email_normalization", "Ask me@example.org at 9:30PM.", "Ask me@example.org at nine thirty P M."),
        ("optional_pluralization_normalization", "Two book(s) at 9:30PM.", "Two book(s) at nine thirty P M."),
        ("phone_normalization", "Call 555-0199 at 9:30PM.", "Call 555-0199 at nine thirty P M."),
        ("replace_remaining_symbols", "R&D at 9:30PM.", "R&D at nine thirty P M."),
        ("unit_normalization", "他9:05走了5km。", "他九点零五分走了五km。"),
        ("phone_normalization", "9:05请打138-0013-8000。", "九点零五分请打138-0013-8000。"),
    ],
)
def test_kinds_can_be_left_to_the_engine(option: str, text: str, left: str) -> None:
    assert said(make(text, normalization_options={option: False})) == [left]
    assert said(make(text, normalization_options={option: True})) == said(make(text)) != [left]


def test_an_engine_that_reads_by_itself_is_given_what_is_written_without_markup() -> None:
    own = replace(CAN, normalises=("en",))
    plan = make(f"**{PRICE}**", own)
    assert said(plan) == seen(plan) == [PRICE]
    assert plan.warnings == ()
    assert said(make("他花了$100。", own)) == ["他花了一百美元。"]
    assert said(make("他花了$100。", replace(CAN, normalises=("*",)))) == ["他花了$100。"]
    warned = make(PRICE, own, normalization_options={"unit_normalization": False})
    assert "by itself" in " ".join(warned.warnings)


def test_two_texts_that_sound_alike_share_audio_and_no_subtitles() -> None:
    one, other = make("It cost $5."), make("It cost five dollars.")
    assert one.keys == other.keys
    assert one.result_key() != other.result_key()


def test_what_is_silent_is_left_out_without_a_warning() -> None:
    plan = make("*sighs*\n\nWell. 😀\n\n[^1]: https://example.org")
    assert seen(plan)[0] == "Well."
    assert plan.warnings == ()
    with pytest.raises(errors.InvalidText, match="nothing to say"):
        make("[laugh] *sighs*")


def test_a_sign_that_the_engine_lacks_is_read_in_words() -> None:
    can = replace(CAN, silent="①②あ")
    plan = make("①打开，あ。", can, language="zh")
    assert said(plan) == ["一，打开，あ。"]
    assert "'あ' (character 5)" in plan.warnings[0]


def test_a_paragraph_of_chinese_in_an_english_text_is_read_in_chinese() -> None:
    plan = make(
        "He said it in 1998, at the end of the long meeting, and left.\n\n今天气温-5℃，他走了2km。", language="en"
    )
    assert "零下五摄氏度" in said(plan)[-1]


def test_a_stored_request_is_read_again_in_the_same_way() -> None:
    text = "**It** cost $100."
    for fields in ({}, {"reading": "off"}, {"normalization_options": {"normalize": False}}):
        request = planner._cleaned(SpeechRequest(text, **fields))[0]
        stored = SpeechRequest.from_json(request.to_json())
        assert (
            plans.make(stored, "model", CAN).keys == plans.make(request, "model", CAN).keys == make(text, **fields).keys
        )
    assert SpeechRequest(text).to_json() == {"text": text}


def test_values_are_checked() -> None:
    with pytest.raises(errors.InvalidRequest, match="reading must be one of on, off"):
        SpeechRequest("a", reading="loud")  # type: ignore[arg-type]


SEGMENT = {"text": "It cost $100 then", "start": 0.0, "end": 4.0, "said": [[8, 12, "one hundred dollars"]]}


def test_times_of_words_fit_what_is_said() -> None:
    times = {each["word"]: each["end_time"] - each["start_time"] for each in word_times([SEGMENT])}
    assert times["$100"] == pytest.approx(4 * 19 / (2 + 4 + 19 + 4), abs=0.01)
    assert times["cost"] == pytest.approx(times["then"])


def test_cues_fit_what_is_said() -> None:
    words = "so it went on and on, as it always had before and would again one day, "
    text = words + "$1" + ", " + words.strip()
    segment = {"text": text, "start": 0.0, "end": 10.0}
    long = {**segment, "said": [[len(words), len(words) + 2, "one dollar " * 20]]}
    plain, slow = list(subtitles.cues([segment])), list(subtitles.cues([long]))
    assert [cue.lines for cue in plain] == [cue.lines for cue in slow]
    place = next(i for i, cue in enumerate(slow) if "$1" in " ".join(cue.lines))
    assert slow[place].end - slow[place].start > 1.5 * (plain[place].end - plain[place].start)
    assert slow[-1].end == 10_000


def test_subtitles_in_json_have_the_reading_where_it_is_another() -> None:
    made = subtitles.to_json([SEGMENT, {"text": "Plain.", "start": 4.0, "end": 5.0}])
    assert '"reading": "It cost one hundred dollars then"' in made
    assert made.count("reading") == 1


def test_the_markup_of_a_long_text_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    plain = documents.plain_text
    monkeypatch.setattr(documents, "plain_text", lambda text: read.append(len(text)) or plain(text))
    text = "A **bold** word and a plain one. " * 60
    made = make(text)
    assert read == [len(text)]
    assert made.keys == make(text.replace("**", "")).keys
