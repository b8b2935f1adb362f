"""The guess of a text's language, and the length of a text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.text.language import detect
from antiphon.text.length import cjk_count, length


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", ""),
        ("en", "12345 !?"),
        ("en", "🎉"),
        ("en", "Hello"),
        ("en", "The quick brown fox jumps over the lazy dog."),
        ("en", "She ordered a café crème at the El Niño bar in São Paulo with Müller."),
        ("en", "Die Hard is a film that I have not seen."),
        ("en", "“Yes,” he said — it costs €5."),
        ("en", "The word 好 means good in Chinese, and π is a number."),
        ("en", "No me"),
        ("zh", "你好，世界。"),
        ("zh", "我今天用 Python 3.11 写了 API。It works!"),
        ("zh", "請問圖書館在哪裡？"),
        ("zh", "OpenAI 发布了 GPT 模型"),
        ("zh", "她喜欢の这个字，很可爱，真的非常可爱，大家都这么说。"),
        ("ja", "こんにちは、世界。"),
        ("ja", "東京で働いています。"),
        ("ja", "コンピュータ"),
        ("ja", "日本国憲法の前文を読む"),
        ("ko", "안녕하세요. 저는 학생입니다."),
        ("ko", "저는 Python을 배웁니다"),
        ("es", "Hola"),
        ("es", "Hola, ¿qué tal?"),
        ("es", "El perro come en la casa de mi hermano."),
        ("es", "No me gusta el frio"),
        ("es", "¡Vamos!"),
        ("fr", "Le chat est sur la table et il ne dort pas."),
        ("fr", "Bonjour"),
        ("de", "Der Hund ist nicht im Haus, sondern auf der Straße."),
        ("it", "Il gatto è sul tavolo e non dorme più."),
        ("pt", "O gato não está na mesa, você já viu?"),
        ("ru", "Привет, как дела?"),
        ("uk", "Привіт, як справи?"),
        ("ar", "مرحبا كيف حالك؟"),
        ("fa", "چطور هستی؟"),
        ("he", "שלום לכולם"),
        ("el", "Καλημέρα κόσμε"),
        ("th", "สวัสดีครับ"),
        ("hi", "नमस्ते दुनिया"),
    ],
)
def test_detect(language: str, text: str) -> None:
    assert detect(text) == language


def test_a_foreign_preface_does_not_decide_for_a_book() -> None:
    assert detect("The preface of this book is in English. " * 60 + "正文是中文的。" * 2000) == "zh"
    assert detect("Привет. " + "The book is in English and it is long. " * 2000) == "en"


@given(st.text())
def test_detect_always_answers(text: str) -> None:
    assert len(detect(text)) == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0),
        ("abc", 3),
        ("你好", 5),
        ("a你,。", 5.5),
        ("かなカナー", 12.5),
        ("한국 x", 7),
        ("éß", 2),
        ("𠀀", 2.5),
        ("々〇", 5),
    ],
)
def test_length(text: str, expected: float) -> None:
    assert length(text) == expected


@given(st.text(), st.text(), st.floats(1, 4))
def test_lengths_add_up(one: str, other: str, weight: float) -> None:
    assert length(one + other, weight) == pytest.approx(length(one, weight) + length(other, weight))
    assert len(one) <= length(one, weight) <= weight * len(one) + 1e-9
    assert 0 <= cjk_count(one) <= len(one)
