"""Ranges and scores: what a dash or a colon between two numbers is said as."""

from __future__ import annotations

import re
from collections.abc import Iterator

from antiphon.reading.chinese.numbers import number
from antiphon.reading.chinese.rule import rule
from antiphon.reading.chinese.units import UNIT
from antiphon.reading.chinese.words import COUNTED, HAN, TO
from antiphon.reading.said import Said

#: Words before and after a score.
_SCORE_BEFORE = (
    "比分|总分|大比分|局分|比数|战成|打成|踢成|[战逼打踢]平|领先|落后|"
    "战胜|击败|输给|负于|[大险完惜]胜|(?<![所可难足予用加得])以|半场|全场|终场|局"
)
_SCORE_AFTER = (
    "战胜|击败|获胜|取胜|胜出|[大险完小]胜|力克|输给|负于|不敌|告负|"
    "惜败|完败|战平|逼平|打平|握手言和|领先|落后|横扫|淘汰|拿下|逆转|"
    "夺冠|晋级"
)
#: After a number before two others: an amount, not the name of a team.
_NO_TEAM = "第从约近要在是为有了到达每前后共用等需过满超隔花差和与或至仅只才就再又剩余且的"
_ABOUT = f"(?:左右|上下|之间|以[上下内外]|不等|来|多|余|间|至|或|、|{COUNTED})"
_PAIR = (
    r"(?P<said>(?<!\d)(?<!\d[.:：/-])(?P<a>\d{1,3})[ ]?(?P<between>[-:：–−比])[ ]?(?P<b>\d{1,3}))(?![\d:：/-]|\.\d|%)"
)
_TEAMS = re.compile(rf"(?<=[{HAN}A-Z队])(?<![{_NO_TEAM}]){_PAIR}(?=[{HAN}])(?!号楼|单元|室|{_ABOUT})")
_EVEN = re.compile(
    r"(?<![\d.:：/A-Za-z+×÷=(-])(?P<said>(?P<a>\d{1,3})(?P<between>[-–])(?P<b>(?P=a)|0))"
    rf"(?![ ]?[=＝+×÷]|等于)(?![\d:：/-]|\.\d|%|{COUNTED})"
)
_DOWN = re.compile(rf"(?<=[{HAN}])(?<![{_NO_TEAM}]){_PAIR}(?=[{HAN}])(?!号|单元|室)(?![月日年](?!本))")


#: A time of day.
_CLOCK = re.compile(r"(?:[01]?\d|2[0-4])[:：][0-5]\d(?:[:：][0-5]\d)?")


def scores(text: str) -> Iterator[Said]:
    """中国2-1日本, 主队3-0客队, 半场0-0."""
    for pattern in (_TEAMS, _DOWN, _EVEN):
        for found in pattern.finditer(text):
            down = int(found["a"]) >= int(found["b"]) or found["a"] == "0"
            dashed = found["between"] not in (":", "：")
            if dashed and (pattern is _TEAMS or down):
                yield Said(found.start("said"), found.end("said"), _score(found))


def _score(found: re.Match[str]) -> str:
    return f"{number(found['a'])}比{number(found['b'])}"


#: 比分2-1, 以3-0战胜.
told = rule(rf"(?:{_SCORE_BEFORE})[是为：:了]?[ ]?{_PAIR}(?!(?!日)(?:{COUNTED}))", _score)
result = rule(rf"{_PAIR}(?=(?:[、，,][ ]?\d{{1,3}}[-:：]\d{{1,3}}){{0,6}}[{HAN}]{{0,2}}(?:{_SCORE_AFTER}))", _score)
#: 比例1:10, 3:2; not a time of day, which has two digits after the colon.
ratio = rule(
    r"(?<!\d)(?<!\d[.:：/-])\d+(?:\.\d+)?(?P<said>[ ]?[:：∶][ ]?)\d+(?:\.\d+)?(?![\d:：]|[.]\d)",
    lambda found: "比" if not _CLOCK.fullmatch(found[0]) else None,
)
#: 1:1:2.
shares = rule(
    r"(?<!\d)(?<!\d[.:：])\d{1,3}(?:[:：∶]\d{1,3}){2,}(?![\d:：])",
    lambda found: None if _CLOCK.fullmatch(found[0]) else "比".join(map(number, re.split("[:：∶]", found[0]))),
)
scaled = rule(r"(?:比例|比率|比值|配比|赔率|按照?|尺)[尺是为约：:]?[ ]?\d{1,4}(?P<said>[:：∶])\d{1,5}(?![\d:：])", "比")

#: Between two numbers, the first with its unit or without.
to = rule(rf"(?<=\d)(?P<said>{TO})(?=[-−]?[¥￥$€£]?\d)", "到")
#: 100平方米-120平方米: the same word after both.
repeated = rule(rf"\d(?P<unit>[{HAN}]{{1,4}})(?P<said>{TO})(?=\d{{1,9}}(?:\.\d{{1,4}})?(?P=unit))", "到")
#: 30cm-50cm, 3万-5万, 周一-周五, 三月~五月.
after_unit = rule(
    rf"(?<=[\d万亿萬億千百][年月日号號点點时時分秒天周元个個级級岁歲%‰℃°度米章节節页頁条條万亿萬億千百])(?P<said>{TO})(?=[-−+]?[¥￥$€£]?\d)",
    "到",
)
han_ends = rule(
    r"(?<=[一二三四五六七八九十日天末][月日号点年])(?P<said>[ ]?[-~～–][ ]?)"
    r"(?=[一二三四五六七八九十]{1,3}[月日号点年])",
    "到",
)
weekdays = rule(
    r"(?<=周[一二三四五六日天末1-7]|期[一二三四五六日天1-7])"
    r"(?P<said>[ ]?[-~～–—][ ]?)(?=周[一二三四五六日天末1-7]|星期)",
    "到",
)
latin_unit = rule(rf"\d[ ]?(?:{UNIT})(?P<said>{TO})(?=\d{{1,9}}(?:\.\d{{1,4}})?[ ]?(?:{UNIT})(?![A-Za-z\d]))", "到")

#: Before times of the day, which have the same colon.
FIRST = (told, result, scaled)
RULES = (latin_unit, repeated, scores, shares, ratio)
#: After all other rules: what is a dash between two numbers still is a range.
LAST = (to, after_unit, han_ends, weekdays)
