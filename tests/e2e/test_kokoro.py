"""Kokoro: its reading of text, and with the real model what a recogniser hears of it."""

from __future__ import annotations

import logging
import re
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from antiphon.domain import errors
from antiphon.domain.unit import SpeechParams
from antiphon.engines.kokoro import CUT, Kokoro, voices
from antiphon.engines.kokoro.audio import RATE, pcm
from antiphon.engines.kokoro.chinese import Chinese, spoken
from antiphon.engines.kokoro.engine import CONTEXT
from antiphon.engines.kokoro.g2p import G2P, languages
from tests import ear

pytest.importorskip("kokoro_onnx")

# Text to phonemes, without the model


@pytest.mark.parametrize(
    ("text", "phonemes"),
    [
        ("Hello, world!", "həlˈO, wˈɜɹld!"),
        ("The judge chose boys.", "ðə ʤˈʌʤ ʧˈOz bˈYz."),
        ("Mr. Smith sat.", "mˈɪstəɹ smˈɪθ sˈæt."),
        ("It cost $3.50 (at 10:30).", "ɪt kˈɔst θɹˈi dˈɑləɹz fˈɪfti (æt tˈɛn θˈɜɹTi)."),
        ("“Well” — no…", "“wˈɛl” — nˈO…"),
        ("one\x01two\u200bthree", "wˈʌn tˈuθɹi"),
    ],
)
def test_english_is_written_in_the_letters_the_model_was_trained_on(g2p: G2P, text: str, phonemes: str) -> None:
    assert g2p.phonemes(text, "en", "en-us") == phonemes


def test_british_voices_read_british_english(g2p: G2P) -> None:
    assert g2p.phonemes("go home near here", "en", "en-gb") == "ɡˌQ hˈQm nˌɪə hˈɪə"
    assert voices.accent({"bf_emma": 0.6, "af_sky": 0.4}) == "en-gb"
    assert voices.accent({"bf_emma": 0.5, "af_sky": 0.5}) == "en-us"


@pytest.mark.parametrize(
    ("text", "phonemes"),
    [
        ("你好，世界！", "ni↗xau↓, ʂɨ↘ʨje↘!"),
        ("我用Python写API。", "wo↓jʊ↘ŋ pˈIθən ɕje↓ ˌApˌiˈI."),
        ("Hello，你好。", "həlˈO, ni↗xau↓."),
        ("他说“好”……吧", "tʰa→ ʂwo→ “xau↓”… pa"),
        ("GPT-4o 很好", "ʤˌipˌitˈi fˈɔɹ ˈO xə↗n xau↓"),
        ("有3个", "jou↓ sa→nkɤ↘"),
    ],
)
def test_chinese_text_is_read_run_by_run(g2p: G2P, text: str, phonemes: str) -> None:
    assert g2p.phonemes(text, "zh", "en-us") == phonemes


def test_sounds_of_chinese_are_told_as_pinyin(g2p: G2P) -> None:
    told = g2p.phonemes("你好，我用GPT四。", "zh", "en-us", pinyin=True)
    assert told == "ni2 hao3, wo3 yong4 ʤˌipˌitˈi si4."


def test_chinese_inside_other_text_is_read_as_chinese(g2p: G2P) -> None:
    read = g2p.phonemes("She said 你好, twice in 24 hours.", "en", "en-us")
    assert read == "ʃi sˈɛd ni↗xau↓, twˈIs ɪn twˈɛnti fˈɔɹ ˈWəɹz."


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2024年5月3日涨了3.5%", "二零二四年五月三日涨了百分之三点五"),
        ("2024-05-03 9:05", "二零二四年五月三日 九点零五分"),
        ("8:00整、10:30", "八点整、十点三十分"),
        ("￥1,200和$3.5万", "一千二百元和三点五万美元"),
        ("电话13812345678，编号007", "电话一三八一二三四五六七八，编号零零七"),
        ("3-5天，12个，10086", "三到五天，十二个，一万零八十六"),
        ("第１２章，〇", "第十二章，零"),
        ("1.2.3", "一点二.三"),
    ],
)
def test_digits_in_chinese_text_are_read_in_chinese(text: str, read: str) -> None:
    assert spoken(text) == read


@settings(max_examples=150, deadline=None)
@example(text="೦೧")
@example(text="1.2.3-4/5:6%")
@given(
    text=st.text(
        alphabet=st.one_of(st.characters(), st.sampled_from("你好3.,:-年￥%０兙 aéたいー८हिन्दीँ।₹")), max_size=30
    )
)
def test_any_text_can_be_read_in_any_language(g2p: G2P, text: str) -> None:
    for language in languages():
        phonemes = g2p.phonemes(text, language, "en-us")
        assert phonemes == phonemes.strip()
        assert "  " not in phonemes


def test_a_character_without_pinyin_does_not_silence_the_others(tmp_path: Path) -> None:
    assert "xau↓" in Chinese(tmp_path).phonemes("你兙好")


def test_jieba_is_quiet_and_keeps_its_dictionary_to_itself(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import jieba

    jieba.dt.initialized = False
    Chinese(tmp_path).phonemes("安静")
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("jieba").level == logging.CRITICAL
    assert [path.name for path in tmp_path.iterdir()] == ["jieba.cache"]


# Voices and samples

NAMES = ("af_bella", "af_sky", "bm_lewis", "zf_xiaoyi")


def test_a_mix_is_weighted_and_checked() -> None:
    assert voices.parse("af_sky", NAMES) == {"af_sky": 1.0}
    assert voices.parse("af_bella(2)+af_sky", NAMES) == {"af_bella": 2 / 3, "af_sky": 1 / 3}
    assert voices.parse("af_sky(0.5) + af_sky(1.5)", NAMES) == {"af_sky": 1.0}
    for wrong in ("", "nobody", "af_sky+", "af_sky(x)", "af_sky(0)", "af_sky(-1)", "../af_sky", "af_sky(2", "+"):
        with pytest.raises(errors.UnknownVoice):
            voices.parse(wrong, NAMES)
    styles = {"af_bella": np.full((2, 1, 4), 3, "f4"), "af_sky": np.zeros((2, 1, 4), "f4")}
    mixed = voices.blend(voices.parse("af_bella(2)+af_sky", NAMES), styles)
    assert mixed.dtype == np.float32
    assert np.allclose(mixed, 2.0)


def test_silence_around_speech_is_trimmed_and_edges_are_faded() -> None:
    tone = 0.5 * np.sin(np.arange(RATE, dtype=np.float32) * 0.2)
    audio = np.concatenate([np.zeros(RATE // 2, "f4"), tone, np.zeros(RATE, "f4")])
    samples = np.frombuffer(pcm(audio), "<i2")
    assert len(samples) / RATE == pytest.approx(1.0 + 0.03 + 0.12, abs=0.02)
    assert samples[0] == samples[-1] == 0
    assert np.abs(samples).max() == pytest.approx(16384, rel=0.01)
    loud = np.frombuffer(pcm(tone * 4), "<i2")
    assert abs(int(loud[1]) - int(loud[0])) < 2000, "no click where speech starts at once"
    assert loud.max() == 32767
    for odd in (np.zeros(0, "f4"), np.zeros(100, "f4"), np.zeros(RATE, "f4"), np.full(RATE, np.nan, "f4")):
        assert len(pcm(odd)) % 2 == 0


# With the model


class Wanted:
    """A context that is cancelled when the test says so."""

    def __init__(self) -> None:
        self.cancel = threading.Event()

    def cancelled(self) -> bool:
        return self.cancel.is_set()

    def progress(self, fraction: float) -> None:
        """Nobody listens."""


def say(engine: Kokoro, text: str, language: str = "en", voice: str = "", **kwargs: Any) -> bytes:
    chunks = list(engine.run(SpeechParams(text, voice, language, **kwargs).as_params(), Wanted()))
    assert all(chunk.meta["sample_rate"] == RATE for chunk in chunks)
    return b"".join(chunk.payload for chunk in chunks)


def seconds(audio: bytes) -> float:
    return len(audio) / 2 / RATE


ENGLISH = [
    "The weather turned cold before the harvest was finished.",
    "Please send 25 reports to the engineering team before Friday.",
    "Nobody knows exactly how many stars there are in our galaxy.",
]
CHINESE = [
    "今天天气很好，我们一起去公园散步吧。",
    "这台服务器可以同时回答很多人的问题。",
    "他每天早上6点起床，然后去跑步。",
]


@pytest.mark.models
def test_english_is_understood(kokoro: Kokoro) -> None:
    heard = ear.hear(b"".join(say(kokoro, text) for text in ENGLISH), RATE, "en")
    assert ear.wer(" ".join(ENGLISH), heard) <= 0.2, heard


@pytest.mark.models
def test_chinese_is_understood(kokoro: Kokoro) -> None:
    heard = ear.hear(b"".join(say(kokoro, text, "zh") for text in CHINESE), RATE, "zh")
    assert ear.cer("".join(CHINESE), heard) <= 0.2, heard


@pytest.mark.models
def test_mixed_text_is_understood_in_both_languages(kokoro: Kokoro) -> None:
    heard = ear.hear(say(kokoro, "他的名字叫 Michael Johnson，是一位老师。", "zh"), RATE, "zh")
    assert "michael johnson" in heard.lower()
    assert ear.cer("他的名字叫是一位老师", re.sub(r"[A-Za-z]+", "", heard)) <= 0.2, heard


@pytest.mark.models
def test_its_capabilities_are_true(kokoro: Kokoro) -> None:
    can = kokoro.capabilities()
    names = {voice.id for voice in can.voices}
    assert len(names) == 54
    assert {can.default_voice, *can.voice_by_language.values()} <= names
    assert set(can.voice_by_language) == set(can.languages) == set(languages())
    for language, name in can.voice_by_language.items():
        assert language in next(voice.languages for voice in can.voices if voice.id == name)
    assert can.revision == kokoro.capabilities().revision
    assert re.fullmatch(r"1\.0-int8-[0-9a-f]{12}", can.revision)


@pytest.mark.models
def test_the_same_request_gives_the_same_samples_and_each_parameter_counts(kokoro: Kokoro) -> None:
    plain = say(kokoro, "Good evening.")
    assert say(kokoro, "Good evening.") == plain
    assert say(kokoro, "Good evening.", voice="af_heart") == plain
    assert say(kokoro, "Good evening.", voice="af_bella(2)+af_sky") not in (
        plain,
        say(kokoro, "Good evening.", voice="af_bella"),
    )
    assert seconds(say(kokoro, "Good evening.", speed=0.5)) > 1.4 * seconds(plain)
    assert seconds(say(kokoro, "Good evening.", speed=2.0)) < 0.8 * seconds(plain)


@pytest.mark.models
def test_moods_are_heard_in_tempo_and_level_and_cost_no_words(kokoro: Kokoro) -> None:
    text = ENGLISH[0]
    plain = say(kokoro, text)
    heard = {name: say(kokoro, text, emotion={name: 1.0}) for name in kokoro.capabilities().emotions}
    assert set(heard) == {"happy", "angry", "sad"}
    assert seconds(heard["angry"]) < seconds(heard["sad"])
    assert seconds(heard["happy"]) < seconds(plain) < seconds(heard["sad"])
    levels = {name: float(np.std(np.frombuffer(audio, "<i2"))) for name, audio in heard.items()}
    assert levels["sad"] < levels["happy"] < levels["angry"]
    assert say(kokoro, text, emotion={"sad": 0.0}) == plain, "what asks for no mood is spoken as before"
    assert ear.wer(text, ear.hear(heard["sad"], RATE, "en")) <= 0.2


@pytest.mark.models
def test_a_mood_comes_in_parts_too(kokoro: Kokoro) -> None:
    text = "When the train finally arrived, most of the passengers had already gone home."
    whole = say(kokoro, text, emotion={"happy": 1.0})
    params = SpeechParams(text, "", "en", emotion={"happy": 1.0}, early=True).as_params()
    parts = [chunk.payload for chunk in kokoro.run(params, Wanted())]
    if kokoro.capabilities().early:
        assert len(parts) > 1
    assert all(parts)
    assert seconds(b"".join(parts)) == pytest.approx(seconds(whole), abs=0.1)


@pytest.mark.models
def test_what_cannot_be_said_is_refused_by_name(kokoro: Kokoro) -> None:
    with pytest.raises(errors.UnknownVoice, match="nobody"):
        say(kokoro, "Hello.", voice="nobody")
    with pytest.raises(errors.UnsupportedLanguage, match="'ko'"):
        say(kokoro, "Hello.", language="ko")
    with pytest.raises(errors.InvalidRequest, match="speed"):
        say(kokoro, "Hello.", speed=3.0)
    with pytest.raises(errors.NothingToSay, match="こんにちは"):
        say(kokoro, "こんにちは", language="zh")
    quiet = say(kokoro, "… —")
    assert 0.1 < seconds(quiet) < 0.5
    assert not any(quiet)


@pytest.mark.models
def test_the_longest_segments_fit_the_model_and_longer_ones_are_split(kokoro: Kokoro) -> None:
    english = ("the extraordinary circumstances of international communication " * 9)[: CUT.max_chars]
    chinese = ("装床双创窗霜黄狂光广" * 20)[: int(CUT.max_chars / CUT.cjk_weight)]
    assert len(kokoro._batches(english, "en", "en-us")) == 1
    assert len(kokoro._batches(chinese, "zh", "en-us")) == 1
    digits = kokoro._batches("7777777777 " * 20, "en", "en-us")
    assert len(digits) > 1
    assert max(map(len, digits)) <= CONTEXT


@pytest.mark.models
def test_a_cancel_stops_the_computation_itself(kokoro: Kokoro) -> None:
    context = Wanted()
    text = "This sentence is long enough to keep the model busy for several seconds on one core. " * 3
    started = time.monotonic()
    timer = threading.Timer(0.3, context.cancel.set)
    timer.start()
    assert list(kokoro.run(SpeechParams(text, "", "en").as_params(), context)) == []
    assert time.monotonic() - started < 1.5
    assert seconds(say(kokoro, "Still here.")) > 0.5, "the session works after it was broken off"


def test_a_missing_file_is_told_with_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="antiphon pull kokoro"):
        Kokoro({"dir": str(tmp_path)}).load(lambda name, fraction=None: None)
