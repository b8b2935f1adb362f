"""Language: guesses the language of a text from its letters and words.

The guess serves requests that name no language, and costs microseconds. It has limits: Japanese without kana counts as
Chinese, and all Chinese is `zh`. Of the languages in Latin letters it knows English, Spanish, French, German, Italian
and Portuguese; it needs some function words to decide against English, and calls all others English. A script stands
for its most widely read language: Cyrillic is Russian (or Ukrainian, by letters of its own), Arabic is Arabic (or
Persian, by letters of its own), Devanagari is Hindi. A text has one language: the one with more weight.
"""

from __future__ import annotations

import re
from itertools import chain

_HAN = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
#: Without the middle dot (U+30FB), which Chinese uses in foreign names.
_KANA = "\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9d"
_HANGUL = "\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3"
_BOPOMOFO = "\u3105-\u312f"
#: For a regular expression's character class. `CJK`: characters of a syllable or more each; `UNSPACED`: those of them
#: whose scripts put no spaces between words.
UNSPACED = _HAN + _KANA + _BOPOMOFO
CJK = UNSPACED + _HANGUL

CJK_RUN = re.compile(f"[{CJK}]+")

#: Characters to read: the head, and of a long text as many from its middle and from its end.
_SAMPLE = 2000
_WORD = re.compile(r"[^\W\d_]+")
_BEYOND_LATIN = re.compile("[\u0370-\u1dbf\u2c00-\u2dff\u2e80-\uffdc\U00010000-\U000323af]")
_KANA_CHAR = re.compile(f"[{_KANA}]")
#: Language, its letters, and the weight of one of them against a Latin letter. A Chinese sentence full of English names
#: counts as Chinese: a Chinese engine reads the names, but an English engine cannot read the rest.
_SCRIPTS = tuple(
    (language, re.compile(f"[{letters}]+"), weight)
    for language, letters, weight in (
        ("zh", UNSPACED, 4),
        ("ko", _HANGUL, 4),
        ("ru", "\u0400-\u052f", 1),
        ("ar", "\u0620-\u064a\u066e-\u06d3\u06fa-\u06ff\u0750-\u077f", 1),
        ("he", "\u05d0-\u05ea", 1),
        ("el", "\u0370-\u03ff\u1f00-\u1fff", 1),
        ("th", "\u0e01-\u0e4e", 1),
        ("hi", "\u0900-\u0963\u0970-\u097f", 1),
        ("bn", "\u0980-\u09fe", 1),
        ("ta", "\u0b80-\u0bff", 1),
        ("te", "\u0c00-\u0c7f", 1),
        ("hy", "\u0531-\u0587", 1),
        ("ka", "\u10a0-\u10ff", 1),
        ("en", "A-Za-z\u00c0-\u024f\u1e00-\u1eff", 1),
    )
)
_UKRAINIAN = re.compile("[іїєґІЇЄҐ]")
_RUSSIAN = re.compile("[ыэъёЫЭЪЁ]")
_PERSIAN = re.compile("[پچژگ]")

#: The commonest words of each language, and greetings. A word may be in several lists: it then votes for each.
_WORDS = {
    "en": """the of and to in is are was were be been it its that this these with for on as at by from you he she we
        they i his her their our not have has had do does did will would can could should if or an a but so than what
        when where who how my your me no there which all about into up out just like""",
    "es": """el la los las un una unos unas de del que y e o en por para con sin se su sus lo al es son está están fue
        pero como más muy no mi tu yo él ella ser hay cuando donde quien porque este esta esto eso ese esa también ya
        si sí te me le nos les gusta quiero tengo tiene puedo hace entre sobre desde hasta todo nada""",
    "fr": """le la les un une des de du et est sont dans en pour par avec sans sur que qui ne pas ce cette ces il elle
        nous vous ils elles je tu on se son sa ses leur mais ou où donc plus très au aux été être fait comme tout""",
    "de": """der die das den dem des ein eine einen einem einer und ist sind war in im zu zum zur mit auf für von vom
        nicht ich du er sie es wir ihr auch aber oder wie was wenn dass noch nur sich bei nach aus als hat habe""",
    "it": """il lo la gli le un una uno di del della dei delle e è sono che in per con non si ma come più molto mi ti
        ci anche questo questa nel nella al alla ho ha dal dalla tutto cosa quando perché""",
    "pt": """o a os as um uma de do da dos das e é são que em no na nos nas por para com sem não se mas como mais
        muito ao à eu ele ela você isso este esta também já foi ser está meu minha quando porque""",
}
_GREETINGS = {
    "es": "hola gracias buenos buenas adiós mundo señor señora usted",
    "fr": "bonjour merci bonsoir salut monsieur madame",
    "de": "hallo danke guten tschüss herr frau",
    "it": "ciao grazie buongiorno buonasera signore signora",
    "pt": "olá obrigado obrigada senhor senhora",
}
#: Letters that few other languages of the table use. One accent may be part of a name, so each counts once a text.
_LETTERS = {"es": "ñ", "fr": "èêœùûç", "de": "äöüß", "it": "ìò", "pt": "ãõ"}
#: Only Spanish has these.
_SPANISH = re.compile("[¿¡]")
#: Fewest votes for a language other than English: one word may be a name or a loanword.
_ENOUGH = 2


def _votes() -> dict[str, tuple[str, ...]]:
    """Languages by word that votes for them; a greeting votes twice."""
    votes: dict[str, tuple[str, ...]] = {}
    for table in (_WORDS, _GREETINGS, _GREETINGS):
        for language, words in table.items():
            for word in words.split():
                votes[word] = (*votes.get(word, ()), language)
    return votes


_VOTES = _votes()


def detect(text: str) -> str:
    """The BCP-47 primary tag of the language of `text`; `en` unless letters or words decide for another."""
    sample = text
    if len(text) > 3 * _SAMPLE:
        middle = len(text) // 2
        sample = f"{text[:_SAMPLE]} {text[middle : middle + _SAMPLE]} {text[-_SAMPLE:]}"
    if not sample.isascii() and _BEYOND_LATIN.search(sample):
        language = _by_script(sample)
        if language != "en":
            return language
    return _by_words(sample)


def _by_script(sample: str) -> str:
    weights = {language: weight * sum(map(len, letters.findall(sample))) for language, letters, weight in _SCRIPTS}
    language = max(weights, key=weights.__getitem__)
    if not weights[language]:
        return "en"
    match language:
        case "zh":
            # Chinese quotes a kana now and then; in Japanese about every second character is one.
            kana = len(_KANA_CHAR.findall(sample)) * 4
            return "ja" if kana >= 0.1 * weights["zh"] else "zh"
        case "ru":
            return "uk" if _UKRAINIAN.search(sample) and not _RUSSIAN.search(sample) else "ru"
        case "ar":
            return "fa" if _PERSIAN.search(sample) else "ar"
    return language


def _by_words(sample: str) -> str:
    lower = sample.lower()
    scores = dict.fromkeys(_WORDS, 0)
    for language in chain.from_iterable(_VOTES.get(word, ()) for word in _WORD.findall(lower)):
        scores[language] += 1
    if not sample.isascii():
        if _SPANISH.search(sample):
            scores["es"] += 3
        for language, letters in _LETTERS.items():
            scores[language] += any(letter in lower for letter in letters)
    best = max(scores, key=scores.__getitem__)
    return best if scores[best] >= _ENOUGH else "en"
