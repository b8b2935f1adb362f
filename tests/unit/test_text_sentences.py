"""Where sentences end, in many languages: each row is a text, given as its sentences."""

from __future__ import annotations

from itertools import pairwise

import pytest

from antiphon.text import sentences
from antiphon.text.normalise import clean

SENTENCES: dict[str, list[list[str]]] = {
    "en": [
        ["Hello there, my friend. ", "How are you today? ", "I am very well!"],
        # Abbreviations, initials, references.
        ["Dr. Smith went to Washington. ", "He met Mr. and Mrs. Jones there."],
        ["Ask J. R. R. Tolkien or J. K. Rowling. ", "They know about dragons."],
        ["She has a Ph.D. in physics. ", "The U.S. Army came by."],
        ["Bring fruit, e.g. apples, i.e. something sweet. ", "Use e.g. The Times for it."],
        ["See No. 5 for the rest. ", "It is in vol. 2, ch. 4, p. 10, est. 1990."],
        ["St. John lives on the hill. ", "Gen. Lee and Prof. Moriarty do not."],
        ["We met at 10:30 a.m. on Monday. ", "At 5 p.m. the sun set."],
        ["Smith et al. wrote it, cf. Jones. ", "It was Rome vs. Carthage."],
        # Numbers, prices, versions, addresses.
        ["Pi is 3.14 and more. ", "It cost $5.99, or 1,000.50 yen. ", "Really?"],
        ["Version v2.5.1 is out now. ", "Python 3.11 came before."],
        ["Go to https://example.com/a.b?c=d&e=f.html. ", "Then write to a.b@example.org."],
        ["Open README.md and Node.Js files. ", "Visit Example.Com today."],
        # Ellipses and runs of marks.
        ["Wait... ", "What was that?! ", "Nothing!!! ", "Fine."],
        ["Well … maybe not today. ", "We shall see…"],
        # Quotations and brackets keep their closing marks.
        ['"Stop it now!" she said. ', '"I will not." ', "Then he left."],
        ["“Hello there.” ", "He said nothing. ", "‘I’m here.’ ", "She’s gone."],
        ["He said (see p. 5. It is good.) and left. ", "Nobody minded."],
        ["Then he left us. ", "(He was sad.) ", "We stayed at home."],
        ["Really?!) ", "Yes, it is so. [1] ", "Note the mark."],
        ["That is all there is?!)"],
        # Lists and lines.
        ["1. First item here. ", "2. Second item here."],
        ["Roses are red\n", "Violets are blue\n", "Sugar is sweet"],
        ["Things to buy today, when you get to the market in town:\n", "- apples and pears\n", "- cheese and milk"],
        ["This paragraph was wrapped by hand after seventy\ncharacters or so, as letters once were. ", "Yes."],
    ],
    "zh": [
        ["你好，世界，今天天气很好。", "我们去公园吧！", "真的吗？！"],
        ["“你好，很高兴见到你。”", "他说。", "她笑了笑就走了。"],
        ["「你好，很高興見到你。」", "他說。"],
        ["他说：“走吧，我们快迟到了！”", "然后就走了。"],
        ["（真的是这样吗？）", "我不知道该怎么说。"],
        ["我今天用 Python 3.11 写了 API。", "It works! ", "价格是 $5.99。"],
        ["请联系 Dr. Smith 或者 J. K. Rowling。", "谢谢大家的帮助。"],
        ["请看 https://example.com/a.b 上的说明。", "版本是 v2.5.1。"],
        ["他等了很久……还是没有人来。。。", "算了，我们走吧。"],
        ["《红楼梦》是一本很有名的书。", "你读过没有？"],
        ["会议在10:30开始，大约1,000人参加。", "请准时到场。"],
    ],
    "ja": [
        ["「こんにちは、元気ですか。」", "と彼は言った。", "はい、元気です！"],
        ["今日は晴れです。", "明日は雨が降るでしょうか？"],
        ["彼は『本を読みたい。』", "と言いました。", "それだけです。"],
        ["（笑いながら。）", "そうですね、と彼は言った。"],
        ["東京（日本の首都。）に住んでいます。", "とても便利です。"],
        ["バージョンは3.11です。", "値段は1,000円です。"],
    ],
    "es": [
        ["¿Cómo estás hoy, amigo? ", "¡Muy bien, gracias! ", "Me alegro."],
        ["El Sr. García y la Sra. López viven en EE. UU. y son felices. ", "Ya lo sé."],
        ["La Dra. Ruiz llegó a las 10:30. ", "Ud. la conoce bien."],
        ["Véase la pág. 5 y el n.º 4 del libro. ", "D. Juan lo escribió."],
        ["Murió en el siglo II d. C. en Roma. ", "Cuesta $5,99 o 1.000,50 euros."],
        ["«¡Hola, buenos días!» dijo la niña. ", "Nadie contestó nada."],
    ],
    "ko": [["안녕하세요, 반갑습니다. ", "저는 학생입니다. ", "정말이에요?"]],
    "ru": [["Привет, как твои дела? ", "Всё хорошо, спасибо!"]],
    "hi": [["यह एक किताब है। ", "वह मेरा घर है।"]],
    "fr": [["M. Dupont est arrivé hier soir. ", "Il est déjà reparti."]],
    "de": [["Das ist z. B. sehr gut gemacht. ", "Am 3. Mai kam Dr. Maier."]],
}


@pytest.mark.parametrize(
    ("language", "expected"), [(language, row) for language, rows in SENTENCES.items() for row in rows]
)
def test_sentences(language: str, expected: list[str]) -> None:
    text = "".join(expected)
    assert clean(text) == text
    stops = [0, *sentences.ends(text, 0, len(text), language)]
    assert [text[a:b] for a, b in pairwise(stops)] == expected
