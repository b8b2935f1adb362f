"""Units: measures with their numbers, dimensions, and powers."""

from __future__ import annotations

import re

from antiphon.reading.english import words
from antiphon.reading.english.patterns import BEFORE, DASH, NUMBER, SIGN
from antiphon.reading.finding import rule

#: How a unit is written, and one and several of it.
_UNITS: dict[str, tuple[str, str]] = {}


def _add(one: str, *written: str, many: str = "") -> None:
    for each in written:
        _UNITS[each] = one, many or f"{one}s"


for _sign, _prefix in {
    "": "",
    "k": "kilo",
    "c": "centi",
    "m": "milli",
    "µ": "micro",
    "μ": "micro",
    "n": "nano",
    "d": "deci",
}.items():
    _add(f"{_prefix}meter", f"{_sign}m")
    _add(f"{_prefix}liter", f"{_sign}l", f"{_sign}L")
    _add(f"{_prefix}gram", f"{_sign}g")
    if _sign not in ("k", "c", "d"):
        _add(f"{_prefix}second", f"{_sign}s")
for _sign, _prefix in {"": "", "k": "kilo", "M": "mega", "G": "giga", "m": "milli", "T": "tera"}.items():
    _add(f"{_prefix}hertz", f"{_sign}Hz", many=f"{_prefix}hertz")
    _add(f"{_prefix}watt", f"{_sign}W")
    _add(f"{_prefix}watt hour", f"{_sign}Wh")
    _add(f"{_prefix}volt", f"{_sign}V")
    _add(f"{_prefix}amp hour", f"{_sign}Ah")
    _add(f"{_prefix}joule", f"{_sign}J")
    _add(f"{_prefix}pascal", f"{_sign}Pa")
    _add(f"{_prefix}ohm", f"{_sign}Ω", f"{_sign}Ω")
    _add(f"{_prefix}newton", f"{_sign}N")
_add("milliamp", "mA")
for _sign, _prefix in {"k": "kilo", "K": "kilo", "M": "mega", "G": "giga", "T": "tera", "P": "peta"}.items():
    _add(f"{_prefix}byte", f"{_sign}B")
    _add(f"{_prefix[:2]}bibyte", f"{_sign}iB")
    _add(f"{_prefix}bit", f"{_sign}b", f"{_sign}bit")
    _add(f"{_prefix}bit per second", f"{_sign}bps", many=f"{_prefix}bits per second")
_add("hectopascal", "hPa")
_add("calorie", "cal")
_add("kilocalorie", "kcal")
_add("milligram", "mcg")
_UNITS["mcg"] = "microgram", "micrograms"
_add("ton", "t")
_add("hectare", "ha")
_add("mile", "mi")
_add("foot", "ft", many="feet")
_add("inch", "in", many="inches")
_add("yard", "yd", "yds")
_add("pound", "lb", "lbs")
_add("ounce", "oz")
_add("fluid ounce", "fl oz")
_add("gallon", "gal")
_add("minute", "min", "mins")
_add("hour", "h", "hr", "hrs")
_add("second", "sec", "secs")
_add("mile per hour", "mph", many="miles per hour")
_add("mile per gallon", "mpg", many="miles per gallon")
_add("kilometer per hour", "kph", "kmh", many="kilometers per hour")
_add("revolution per minute", "rpm", "RPM", many="revolutions per minute")
_add("beat per minute", "bpm", many="beats per minute")
_add("frame per second", "fps", many="frames per second")
_add("part per million", "ppm", many="parts per million")
_add("decibel", "dB")
_add("pixel", "px")
_add("mole", "mol")
_add("lumen", "lm")
_add("bar", "bar")
_add("degree Celsius", "°C", "℃", "° C", many="degrees Celsius")
_add("degree Fahrenheit", "°F", "℉", "° F", many="degrees Fahrenheit")
_add("degree", "°", "º")
_add("percent", "%", "％", many="percent")
_add("per mille", "‰", many="per mille")
_add("kilometer", "Km", "KM")
_add("kilogram", "Kg", "KG")
_add("square foot", "sq ft", "sq. ft.", many="square feet")
_add("square mile", "sq mi", many="square miles")
_add("square kilometer", "sq km")
_add("square meter", "㎡", "sq m")
_add("cubic meter", "㎥")
_add("kilometer", "㎞")
_add("kilogram", "㎏")
_add("centimeter", "㎝")
_add("millimeter", "㎜")

#: Denominators that are words already.
_PER_WORDS = "second|minute|hour|day|week|month|year|night|person|mile|unit|capita|piece|mo|yr|wk"
_SHORT = {"mo": "month", "yr": "year", "wk": "week"}
#: Letters that are units of decimals and behind a blank only: `5A` may be a flat, `12 in` the box.
_RARE = frozenset({"N", "J", "t", "in", "bar", "cal", "mol", "lm", "P"})
_POWERS = {"²": 2, "³": 3, "2": 2, "3": 3, "^2": 2, "^3": 3}
_NAMES = "|".join(re.escape(each) for each in sorted(_UNITS, key=len, reverse=True))
_UNIT = (
    rf"(?P<unit>{_NAMES})(?P<power>[²³]|\^?[23](?![0-9]))?"
    rf"(?:/(?P<per>{_NAMES}|{_PER_WORDS})(?P<per_power>[²³]|\^?[23](?![0-9]))?)?"
)
_NUMBER = rf"(?P<number>{SIGN}(?:{NUMBER}|\.[0-9]++))"
#: After a number: nothing that makes the unit's letters part of a word.
_END = r"(?![\w²³°]|/\w|-[0-9]|['’]\w)"


def _named(match: re.Match[str], one: bool) -> str:
    unit = _powered(match["unit"], match["power"], one)
    if match["per"]:
        per = match["per"]
        name = _UNITS[per][0] if per in _UNITS else _SHORT.get(per, per)
        power = _POWERS.get(match["per_power"] or "", 1)
        unit += f" per {name}" if power == 1 else f" per {_power_name(name, power)}"
    return unit


def _powered(written: str, power: str | None, one: bool) -> str:
    name = _UNITS[written][0 if one else 1]
    return _power_name(name, _POWERS[power]) if power else name


def _power_name(name: str, power: int) -> str:
    if re.search(r"second|hour|minute", name):
        return f"{name} {'squared' if power == 2 else 'cubed'}"
    return f"{'square' if power == 2 else 'cubic'} {name}"


_ADJECTIVE = re.compile(r"\b(?:an?|each|every)\s+$", re.IGNORECASE)
_NOUN = re.compile(
    r"\s+(?!(?:and|or|in|for|to|of|on|at|is|was|as|a|an|the|per|from|by|with|away|long|wide|tall|high|deep|"
    r"above|below|more|less|before|after|ago|than|but)\b)[a-z]{2,}"
)


_OF_ONE = re.compile(r" (?:angle|turn|bag|box|bottle|pack|race|screen|lens|radius|dose|bulb|battery|hard drive)\b")


def _one(match: re.Match[str], number: str) -> bool:
    """Whether the unit is said as of one: `1 kg`, and before a noun, `a 5 kg bag`."""
    before = match.string[max(0, match.start() - 8) : match.start()]
    return (
        number == "1"
        or bool(_OF_ONE.match(match.string, match.end()))
        or bool(_ADJECTIVE.search(before) and _NOUN.match(match.string, match.end()))
    )


def _doubtful(match: re.Match[str]) -> bool:
    """Whether the letter may as well be something else than a unit."""
    unit, text = match["unit"], match.string
    if match["power"] or match["per"]:
        return False
    if unit not in _RARE:
        return False
    spaced = text[match.start("unit") - 1] == " "
    if unit == "in":
        return not re.match(r"\.(?!\w)|[,;)]", text[match.end("unit") :])
    return not spaced or bool(re.match(r"\s+[A-Za-z]", text[match.end() :]))


@rule(
    rf"{BEFORE}(?P<from>{SIGN}{NUMBER})\s?(?:(?P<first>{_NAMES})?\s?{DASH}|(?P<first2>{_NAMES})?\s+to)\s?"
    rf"{_NUMBER.replace(SIGN, '-?')}[\s-]?{_UNIT}{_END}"
)
def measure_range(match: re.Match[str]) -> str | None:
    """`5-10 kg`, `10–15%`, `20°C–25°C`."""
    if _doubtful(match):
        return None
    first = match["first"] or match["first2"]
    start = words.number(match["from"])
    if first and first != match["unit"]:
        start += f" {_UNITS[first][0 if match['from'] == '1' else 1]}"
    number = match["number"]
    return f"{start} to {words.number(number)} {_named(match, _one(match, number))}"


@rule(
    rf"{BEFORE.replace('+', '')}{_NUMBER}(?P<blank>[ \u00a0\u202f]?|-){_UNIT}(?P<stop>\.(?=[,;)])"
    rf"|\.(?=\s+[a-z]))?{_END}"
)
def measure(match: re.Match[str]) -> str | None:
    """`5 kg`, `36 km/h`, `-5°C`, `9.8 m/s²`, `a 100-m race`."""
    if _doubtful(match) or re.match(r"0[0-9]", match["number"]):
        return None
    number, unit = match["number"], match["unit"]
    joined = match["blank"] == "-"
    if joined and len(unit) == 1 and not re.match(r"\s+[a-z]", match.string[match.end() :]):
        return None
    return f"{words.number(number)} {_named(match, joined or _one(match, number))}"


@rule(rf"(?<=[\w.)]) ?/ ?(?P<per>kg|km|lb|oz|hr|h|min|ml|L|{_PER_WORDS})\b(?![/.]\w)")
def per(match: re.Match[str]) -> str | None:
    """`$100/month`."""
    each = match["per"]
    return f" per {_UNITS[each][0] if each in _UNITS else _SHORT.get(each, each)}" if _counted(match) else None


def _counted(match: re.Match[str]) -> bool:
    return bool(re.search(r"[0-9]+[a-zA-Z]{0,6}\s?$", match.string[max(0, match.start() - 12) : match.start()]))


@rule(
    rf"{BEFORE}(?P<a>{NUMBER})(?P<unit1>mm|cm|m|in|ft)?\s?[x×]\s?(?P<b>{NUMBER})(?P<unit2>mm|cm|m|in|ft)?"
    rf"(?:\s?[x×]\s?(?P<c>{NUMBER}))?(?:\s?(?P<unit>mm|cm|m|ft|km|px|inches|feet|meters)\b)?(?![\w^=]|\s?[=^]"
    rf"|[.,][0-9])"
)
def dimensions(match: re.Match[str]) -> str | None:
    """`10 x 20 cm`, `1920×1080`; with a power or an equals sign it is a sum."""
    parts = []
    for side, unit in (("a", "unit1"), ("b", "unit2"), ("c", "")):
        if match[side]:
            named = f" {_UNITS[match[unit]][1]}" if unit and match[unit] else ""
            parts.append(words.number(match[side]) + named)
    unit = match["unit"]
    if "×" in match[0] and not (unit or match["unit1"] or match["unit2"]) and len(match["a"]) < 3:
        return None
    last = f" {_UNITS[unit][1] if unit in _UNITS else unit}" if unit else ""
    return f"{' by '.join(parts)}{last}"


@rule(rf"{BEFORE}(?P<number>{NUMBER})[x×](?=\s|$|[.,;!?)])")
def times(match: re.Match[str]) -> str | None:
    """`10x faster`; `2x + 1` is algebra."""
    if re.match(r" [-+=*/] ", match.string[match.end() : match.end() + 3]):
        return None
    return f"{words.number(match['number'])} times"


@rule(r"(?<![\w.])(?P<feet>[1-9]) ?ft\.? (?P<inches>1[01]|[0-9]) ?in\b\.?(?=\s|[,;)]|$)")
def feet_and_inches(match: re.Match[str]) -> str | None:
    """`5 ft 10 in`."""
    feet = f"{words.number(match['feet'])} {'foot' if match['feet'] == '1' else 'feet'}"
    return f"{feet} {words.number(match['inches'])} {'inch' if match['inches'] == '1' else 'inches'}"


@rule(r"(?<![\w.])(?P<feet>[1-9])['′’](?P<inches>1[01]|[0-9])(?:[\"″”]|'')")
def height(match: re.Match[str]) -> str | None:
    """`5'11"`."""
    return f"{words.number(match['feet'])} foot {words.number(match['inches'])}"


@rule(
    r"(?<![\w.])(?P<d>[0-9]{1,3})°\s?(?P<m>[0-9]{1,2})['′’](?:\s?(?P<s>[0-9]{1,2}(?:\.[0-9]++)?)[\"″”])?\s?(?P<side>[NSEW])?\b"
)
def position(match: re.Match[str]) -> str | None:
    """`40°26′46″N`."""
    said = f"{words.number(match['d'])} degrees {words.number(match['m'])} minutes"
    if match["s"]:
        said += f" {words.number(match['s'])} seconds"
    sides = {"N": "north", "S": "south", "E": "east", "W": "west"}
    return f"{said} {sides[match['side']]}" if match["side"] else said


# Powers

_SUPER = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_SUPERS = "⁰¹²³⁴⁵⁶⁷⁸⁹"


def _to_the(power: str) -> str:
    power = power.translate(_SUPER).replace("\u2212", "-")
    if power in ("2", "3"):
        return "squared" if power == "2" else "cubed"
    return f"to the power of {words.number(power) if power.lstrip('+-').isdigit() else power}"


@rule(
    rf"(?:{BEFORE}(?P<factor>{SIGN}{NUMBER})\s?[x×·*]\s?|(?<![\w.^]))(?P<base>(?<![,.])[0-9]{{1,9}}|\b[A-Za-z])"
    rf"(?:\^\{{?(?P<power>[-\u2212]?[0-9]{{1,6}}|[a-z])\}}?|(?P<super>[⁻]?[{_SUPERS}]{{1,6}}))(?![\w^])"
)
def powers(match: re.Match[str]) -> str | None:
    """`10^23`, `6.02 x 10^23`, `x²`."""
    base, power = match["base"], match["power"] or match["super"]
    said = words.number(base) if base.isdigit() else base
    factor = f"{words.number(match['factor'])} times " if match["factor"] else ""
    return f"{factor}{said} {_to_the(power)}"


@rule(r"\b(?:(?P<left>[A-Za-z])=)?\b(?P<base>[a-z]{2,3}|[a-zA-Z])(?P<power>[²³])(?![\w²³⁰-⁹])")
def variable(match: re.Match[str]) -> str | None:
    """`E = mc²`."""
    base = match["base"]
    if base in _UNITS and len(base) > 1:
        return _powered(base, match["power"], one=False)
    left = f"{match['left']} equals " if match["left"] else ""
    return f"{left}{base} {_to_the(match['power'])}"


@rule(rf"{BEFORE}(?P<number>{SIGN}[0-9]{{1,3}}\.[0-9]{{1,9}})[eE](?P<power>[-+\u2212]?[0-9]{{1,3}})(?!\w)")
def exponent(match: re.Match[str]) -> str | None:
    """`6.02e23`."""
    power = match["power"].lstrip("+").replace("\u2212", "-")
    return f"{words.number(match['number'])} times ten to the power of {words.number(power)}"


RULES = (feet_and_inches, height, position, dimensions, measure_range, measure, powers, exponent, times, per, variable)
