"""Kokoro's Japanese and Hindi: how text is read, what is told where a library is missing, and what is heard."""

from __future__ import annotations

import re
import unicodedata

import pytest

from antiphon.domain import errors
from antiphon.domain.engine import Capabilities, makes_a_sound, silent_signs
from antiphon.domain.request import SpeechRequest
from antiphon.domain.unit import SpeechParams
from antiphon.engines.kokoro import Kokoro, japanese, kana
from antiphon.engines.kokoro.audio import RATE
from antiphon.engines.kokoro.g2p import G2P, languages
from antiphon.engines.silent_signs import by_language
from antiphon.speech import plan
from tests import ear
from tests.e2e.test_kokoro import Wanted

pytest.importorskip("kokoro_onnx")
needs_openjtalk = pytest.mark.skipif(not japanese.installed(), reason="needs the extra kokoro-ja")


@pytest.mark.parametrize(
    ("katakana", "phonemes"),
    [
        ("トーキョー", "toːkʲoː"),
        ("シャシン", "ɕaɕiɴ"),
        ("ガッコー", "ɡaʔkoː"),
        ("パーティー", "paːtʲiː"),
        ("ウィキ", "βikʲi"),
        ("ファン", "ɸaɴ"),
        ("サンポ", "sampo"),
        ("ニンキ", "ɲiŋkʲi"),
        ("コンニャク", "koɲɲakɯ"),
        ("シュージン", "ɕɨːʥiɴ"),
        ("ジェット", "ʥeʔto"),
        ("ヴァイオリン", "vaioɾʲiɴ"),
        ("’ッ？ア", "ʔa"),
    ],
)
def test_kana_become_the_letters_that_the_model_was_trained_on(katakana: str, phonemes: str) -> None:
    assert kana.phonemes(katakana) == phonemes


@needs_openjtalk
@pytest.mark.parametrize(
    ("text", "phonemes"),
    [
        ("今日は、いい天気ですね。", "kʲoː βa, ii teŋkʲi desɨ ne."),
        ("「はい」……たぶん！", "“hai”… tabɯɴ!"),
        ("三千五百円", "saɴ ʣeɴ ɡo çakɯ eɴ"),
        ("Pythonを使う人", "pˈIθən o ʦɨkaɯ çito"),
        ("NHKのテレビ", "enɯeiʨikei no teɾebʲi"),
        ("नमस्ते と言う", "nəmˈʌsteː to iɯ"),
    ],
)
def test_japanese_and_the_words_in_it(g2p: G2P, text: str, phonemes: str) -> None:
    assert g2p.phonemes(text, "ja", "en-us") == phonemes


@pytest.mark.parametrize(
    ("text", "phonemes"),
    [
        ("नमस्ते, मैं Michael हूँ।", "nəmˈʌsteː, mɛ̃ mˈIkᵊl hũ."),
        ("१२३ लोग", "ˈeːksˈɔː tˈeːis lˈoːɡ"),
        ("₹500", "pˈãcsˈɔː ɾˈʊpjˌeː"),
        ("50%", "pəcˈaːs pɾˈʌtɪʃˌət"),
    ],
)
def test_hindi_and_what_is_in_it(g2p: G2P, text: str, phonemes: str) -> None:
    assert g2p.phonemes(text, "hi", "en-us") == unicodedata.normalize("NFD", phonemes)


def test_grouped_figures_keep_their_fraction(g2p: G2P) -> None:
    assert g2p.phonemes("12,345.67", "hi", "en-us") == g2p.phonemes("12345.67", "hi", "en-us")
    assert "dˌəsəmlˈoː" in g2p.phonemes("12,345.67", "hi", "en-us")


def test_what_crashed_the_hindi_voice_of_espeak_is_kept_from_it(g2p: G2P) -> None:
    g2p.phonemes("॓ऽ-ठनआय़टॶऋाःठ०॓घऴॲझॡऍ॑जॻाुॢॽईटढञऽ", "hi", "en-us")
    assert g2p.phonemes("यह", "hi", "en-us")


def test_japanese_is_told_as_installable_where_its_library_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(japanese, "MODULE", "no_such_module")
    assert "ja" not in languages()
    assert "hi" in languages()
    can = Capabilities(
        kind="speech", sample_rate=RATE, revision="1", languages=languages(), tries_any_language=False,
        installable={"ja": japanese.REMEDY},
    )  # fmt: skip
    with pytest.raises(errors.UnsupportedLanguage, match=re.escape("pip install 'antiphon[kokoro-ja]'")):
        plan.make(SpeechRequest("こんにちは。"), "kokoro", can)


def test_a_sign_may_be_silent_in_one_language_only() -> None:
    readers = {"en": [lambda text: "Ⅳ" in text], "ja": [lambda text: "①" in text or "Ⅳ" in text]}
    silent, further = by_language(readers)  # type: ignore[arg-type]
    assert not {"①", "Ⅳ"} & set(silent)
    assert further == {"en": "①"}
    can = Capabilities(kind="speech", sample_rate=RATE, revision="1", silent=silent, silent_by_language=further)
    assert not makes_a_sound(can, "①", "en")
    assert makes_a_sound(can, "①", "ja")
    assert silent_signs(can, "①Ⅳ②", "en") == ["①", "②"]
    assert silent_signs(can, "①Ⅳ②", "ja") == ["②"]


# With the model

JAPANESE = [
    "今日はとても天気がいいので、公園まで歩いて行きました。",
    "電車が遅れたため、会議の時間を一時間ほど変更してください。",
    "この本は去年の冬に図書館で借りたものです。",
    "母は毎朝六時に起きて、家族の朝ご飯を作ります。",
    "駅の近くに新しいレストランができたそうですね。",
    "すみませんが、もう少しゆっくり話していただけませんか。",
    "日本の夏は暑くて、雨の日も多いです。",
    "彼女は大学でコンピューターの勉強をしています。",
]
HINDI = [
    "आज मौसम बहुत अच्छा है, इसलिए हम बगीचे में टहलने गए।",
    "यह किताब मैंने पिछले साल दिल्ली में खरीदी थी।",
    "ट्रेन देर से आई और सब लोग घर चले गए।",
    "बच्चे स्कूल के बाद मैदान में खेलते हैं।",
]


def heard(engine: Kokoro, text: str, language: str) -> str:
    params = SpeechParams(text, "", language).as_params()
    audio = b"".join(chunk.payload for chunk in engine.run(params, Wanted()))
    return ear.hear(audio, RATE, language)


def sounds(text: str) -> str:
    """Japanese as it is read, so that 行って and いって, 一 and 1 are the same."""
    import pyopenjtalk

    return str(pyopenjtalk.g2p(re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", text)), kana=True))


@needs_openjtalk
@pytest.mark.models
@pytest.mark.parametrize("texts", [JAPANESE[:4], JAPANESE[4:]], ids=["first", "second"])
def test_japanese_is_understood(kokoro: Kokoro, texts: list[str]) -> None:
    written = [heard(kokoro, text, "ja") for text in texts]
    assert ear.cer([*map(sounds, texts)], [*map(sounds, written)]) <= 0.12, written


@pytest.mark.models
def test_hindi_is_understood(kokoro: Kokoro) -> None:
    written = [heard(kokoro, text, "hi") for text in HINDI]
    assert ear.consonants(HINDI, written) <= 0.3, written
    assert ear.consonants(HINDI, [*written[1:], written[0]]) > 0.7, "the measure tells texts apart"


@pytest.mark.models
def test_the_signs_that_are_silent_are_those_of_each_language(kokoro: Kokoro) -> None:
    can = kokoro.capabilities()
    for language in can.languages:
        for sign in can.silent_by_language.get(language, "") + can.silent[:20]:
            assert not kokoro._sounds(language, "en-us", sign), (language, sign)
    if japanese.installed():
        assert makes_a_sound(can, "①", "ja")
        assert can.installable == {}
    assert not makes_a_sound(can, "①", "en")


@needs_openjtalk
@pytest.mark.models
def test_the_longest_segments_of_japanese_and_hindi_fit_the_model(kokoro: Kokoro) -> None:
    assert len(kokoro._batches("承知致しました国際的情報通信技術" * 4, "ja", "en-us")) == 1
    assert len(kokoro._batches(("अंतरराष्ट्रीय परिस्थितियाँ " * 12)[:250], "hi", "en-us")) == 1
