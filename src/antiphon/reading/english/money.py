"""Money: amounts with signs or codes of currencies, and their thousands, millions and billions."""

from __future__ import annotations

import re

from antiphon.reading.english import words
from antiphon.reading.english.patterns import DASH, NUMBER
from antiphon.reading.finding import rule

#: One and several of a currency, and its hundredth part; None where amounts have none.
_Currency = tuple[str, str, str | None]
_DOLLAR: _Currency = ("dollar", "dollars", "cent")
_BY_SIGN: dict[str, _Currency] = {
    "$": _DOLLAR,
    "£": ("pound", "pounds", "penny"),
    "€": ("euro", "euros", "cent"),
    "¥": ("yen", "yen", None),
    "￥": ("yen", "yen", None),
    "₹": ("rupee", "rupees", "paisa"),
    "₩": ("won", "won", None),
    "₽": ("ruble", "rubles", "kopeck"),
    "₺": ("lira", "lira", None),
    "₴": ("hryvnia", "hryvnias", None),
    "₫": ("dong", "dong", None),
    "₪": ("shekel", "shekels", None),
    "₿": ("bitcoin", "bitcoins", None),
    "฿": ("baht", "baht", None),
    "₦": ("naira", "naira", None),
    "₱": ("peso", "pesos", "centavo"),
}
_COUNTRIES = {
    "US": "U S",
    "A": "Australian",
    "AU": "Australian",
    "C": "Canadian",
    "CA": "Canadian",
    "HK": "Hong Kong",
    "NZ": "New Zealand",
    "S": "Singapore",
    "NT": "New Taiwan",
}
_BY_CODE: dict[str, _Currency] = {
    "USD": ("U S dollar", "U S dollars", "cent"),
    "EUR": _BY_SIGN["€"],
    "GBP": _BY_SIGN["£"],
    "JPY": _BY_SIGN["¥"],
    "CNY": ("yuan", "yuan", None),
    "RMB": ("yuan", "yuan", None),
    "CHF": ("Swiss franc", "Swiss francs", "centime"),
    "AUD": ("Australian dollar", "Australian dollars", "cent"),
    "CAD": ("Canadian dollar", "Canadian dollars", "cent"),
    "HKD": ("Hong Kong dollar", "Hong Kong dollars", "cent"),
    "NZD": ("New Zealand dollar", "New Zealand dollars", "cent"),
    "SGD": ("Singapore dollar", "Singapore dollars", "cent"),
    "INR": _BY_SIGN["₹"],
    "KRW": _BY_SIGN["₩"],
    "RUB": _BY_SIGN["₽"],
    "BTC": _BY_SIGN["₿"],
    "MXN": ("Mexican peso", "Mexican pesos", "centavo"),
    "SEK": ("Swedish krona", "Swedish kronor", None),
    "NOK": ("Norwegian krone", "Norwegian kroner", None),
    "DKK": ("Danish krone", "Danish kroner", None),
    "PLN": ("zloty", "zlotys", None),
    "BRL": ("real", "reais", None),
}
_PARTS = {"penny": "pence", "paisa": "paise"}
_SCALES = {
    "k": "thousand",
    "m": "million",
    "mm": "million",
    "mn": "million",
    "mil": "million",
    "mio": "million",
    "b": "billion",
    "bn": "billion",
    "t": "trillion",
    "tn": "trillion",
    "trn": "trillion",
}
_SIGNS = "[" + re.escape("".join(_BY_SIGN)) + "]"
_CODES = "|".join(_BY_CODE)
_SCALE = (
    r"(?:[ -]?(?P<scale>thousand|million|billion|trillion)\b"
    r"|(?P<short>[KkMmBbTt]|MM|mm|[Mm]n|[Mm]il|[Mm]io|[Bb]n|[Tt]r?n)(?![\w]))?"
)
#: "a $5 bill": one bill of so many dollars. After an article, or with a hyphen, a currency is said as of one.
_ADJECTIVE = re.compile(r"-[A-Za-z]| (?!(?:and|or|in|for|to|of|on|at|is|was|as|a|an|the|per|from|by|with)\b)[a-z]")
_COINS = re.compile(r" (?:bill|note|coin|ticket|fee|fine|prize|tip|deposit|stamp|voucher|gift card)\b")
_ARTICLE = re.compile(r"\b(?:an?|the|this|that|each|every)\s+$", re.IGNORECASE)


def _scale(match: re.Match[str]) -> str:
    short = match["short"]
    return _SCALES[short.lower()] if short else (match["scale"] or "").lower()


def _adjective(match: re.Match[str]) -> bool:
    text, end = match.string, match.end()
    if text[end : end + 1] == "-" and text[end + 1 : end + 2].isalpha():
        return True
    if _COINS.match(text, end):
        return True
    before = text[max(0, match.start() - 8) : match.start()]
    return bool(_ARTICLE.search(before) and _ADJECTIVE.match(text, end))


def amount(number: str, currency: _Currency, scale: str = "", one: bool = False) -> str:
    """`1,234.56` dollars. `one`: as a part of a name, "five dollar" of "a five dollar bill"."""
    single, several, part = currency
    whole, _, tail = number.replace(",", "").partition(".")
    if scale or one:
        count = f"{words.number(number)} {scale}".strip()
        return f"{count} {single if one or count == 'one' else several}"
    if part and len(tail) == 2:
        return _with_parts(words.whole(whole), int(tail), currency)
    return f"{words.number(number)} {single if whole == '1' and not tail else several}"


def _with_parts(whole: str, hundredths: int, currency: _Currency) -> str:
    single, several, part = currency
    assert part is not None
    plural = part if hundredths == 1 else _PARTS.get(part, f"{part}s")
    said = f"{words.cardinal(hundredths)} {plural}"
    if whole in ("zero", "") and hundredths:
        return said
    head = f"{whole} {single if whole == 'one' else several}"
    return f"{head} and {said}" if hundredths else head


def _before_sign(match: re.Match[str]) -> _Currency:
    single, several, part = _BY_SIGN[match["sign"]]
    country = _COUNTRIES.get(match["country"] or "", "")
    return (f"{country} {single}".strip(), f"{country} {several}".strip(), part)


@rule(
    rf"(?<![\w.])(?P<minus>[-\u2212])?(?P<country>US|AU?|CA?|HK|NZ|NT|S)?(?P<sign>{_SIGNS}) ?(?P<minus2>[-\u2212])?"
    rf"(?P<from>{NUMBER})(?P<scale1>[KkMmBb](?![\w]))?\s?{DASH}\s?(?P=sign)?(?P<to>{NUMBER}){_SCALE}(?!\w)"
)
def ranges(match: re.Match[str]) -> str | None:
    """`$5-10`, `£3m–£5m`."""
    first = _SCALES[match["scale1"].lower()] if match["scale1"] else ""
    start = f"{words.number(match['from'])} {first}".strip()
    currency = _before_sign(match)
    if (first and first != _scale(match)) or ("." in match["from"] and not _scale(match)):
        start = amount(match["from"], currency, first)
    return f"{start} to {amount(match['to'], currency, _scale(match), _adjective(match))}"


@rule(
    rf"(?<![\w.])(?P<minus>[-\u2212])?(?P<country>US|AU?|CA?|HK|NZ|NT|S)?(?P<sign>{_SIGNS}) ?(?P<minus2>[-\u2212])?"
    rf"(?P<number>{NUMBER}|\.[0-9]++){_SCALE}(?P<plus>\+)?(?!\w)"
)
def before(match: re.Match[str]) -> str | None:
    """`$1,234.56`, `-£3m`, `US$5`."""
    said = amount(match["number"], _before_sign(match), _scale(match), _adjective(match))
    plus = " plus" if match["plus"] else ""
    return f"{'minus ' if match['minus'] or match['minus2'] else ''}{said}{plus}"


@rule(rf"(?<![\w.,:/\-$€£])(?P<number>{NUMBER}){_SCALE} ?(?P<sign>[€£¥₽₺₴₫₪฿]|zł|kr)(?![\w])")
def after(match: re.Match[str]) -> str | None:
    """`50€`, `5 kr`."""
    currency = _BY_SIGN.get(match["sign"]) or (_BY_CODE["PLN"] if match["sign"] == "zł" else ("krone", "kroner", None))
    return amount(match["number"], currency, _scale(match), _adjective(match))


@rule(rf"(?<![\w.,:/\-$€£])(?P<number>{NUMBER}) ?¢(?!\w)")
def cents(match: re.Match[str]) -> str | None:
    return f"{words.number(match['number'])} cent{'' if match['number'] == '1' else 's'}"


@rule(rf"(?<![\w.\-])(?P<code>{_CODES}) ?(?P<number>{NUMBER}){_SCALE}(?![\w])")
def code_before(match: re.Match[str]) -> str | None:
    """`USD 50`, `EUR5m`."""
    return amount(match["number"], _BY_CODE[match["code"]], _scale(match))


@rule(rf"(?<![\w.,:/\-$€£])(?P<number>{NUMBER}){_SCALE} ?(?P<code>{_CODES})\b(?![-\w])")
def code_after(match: re.Match[str]) -> str | None:
    """`50 EUR`."""
    return amount(match["number"], _BY_CODE[match["code"]], _scale(match))


@rule(rf"(?<![\w.\-])Rs\.? ?(?P<number>{NUMBER}){_SCALE}(?![\w])")
def rupees(match: re.Match[str]) -> str | None:
    """`Rs. 500`."""
    return amount(match["number"], _BY_SIGN["₹"], _scale(match))


RULES = (rupees, ranges, before, after, cents, code_before, code_after)
