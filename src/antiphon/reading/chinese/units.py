"""Units: temperatures, percentages, units in Latin letters and those that are one character."""

from __future__ import annotations

import re

from antiphon.reading.chinese.numbers import number
from antiphon.reading.chinese.rule import rule
from antiphon.reading.chinese.words import MINUS, NUMBER, TO, table

#: Units that are read in Chinese after a number. Not G, K, D, A, M and T, which name other things (5G, 4K, 3D, 5A景区).
LATIN = table("""
    km=千米 m=米 dm=分米 cm=厘米 mm=毫米 μm=微米 µm=微米 um=微米 nm=纳米 km²=平方千米 m²=平方米 dm²=平方分米
    cm²=平方厘米 mm²=平方毫米 km2=平方千米 m2=平方米 cm2=平方厘米 mm2=平方毫米 hm²=公顷 m³=立方米
    dm³=立方分米 cm³=立方厘米 mm³=立方毫米 m3=立方米 cm3=立方厘米 km³=立方千米 m^2=平方米 m^3=立方米 ha=公顷
    L=升 l=升 dL=分升 mL=毫升 ml=毫升 ML=毫升 cc=毫升 μL=微升 kg=千克 KG=千克 Kg=千克 g=克 mg=毫克 μg=微克
    µg=微克 ug=微克 ng=纳克 t=吨 h=小时 hr=小时 hrs=小时 min=分钟 mins=分钟 s=秒 sec=秒 ms=毫秒 μs=微秒
    µs=微秒 us=微秒 ns=纳秒 Hz=赫兹 hz=赫兹 kHz=千赫 KHz=千赫 MHz=兆赫 GHz=吉赫 W=瓦 kW=千瓦 KW=千瓦 MW=兆瓦
    GW=吉瓦 kWh=千瓦时 kW·h=千瓦时 KWh=千瓦时 Wh=瓦时 V=伏 kV=千伏 KV=千伏 mV=毫伏 mA=毫安 mAh=毫安时
    Ah=安时 Ω=欧 kΩ=千欧 MΩ=兆欧 Pa=帕 hPa=百帕 kPa=千帕 MPa=兆帕 N=牛 kN=千牛 N·m=牛米 Nm=牛米 J=焦耳
    kJ=千焦 MJ=兆焦 cal=卡 kcal=千卡 dB=分贝 db=分贝 lm=流明 lx=勒克斯 mol=摩尔 mmol=毫摩尔 mmHg=毫米汞柱
    rpm=转每分 bpm=次每分 fps=帧每秒 mph=英里每小时 kph=千米每小时 kmh=千米每小时 Mbps=兆比特每秒
    kbps=千比特每秒 Kbps=千比特每秒 Gbps=吉比特每秒 ft=英尺 lb=磅 lbs=磅 oz=盎司 px=像素 m/s²=米每二次方秒
    m/s2=米每二次方秒 eV=电子伏 d=天
    """)
#: Units of one character, wherever they stand.
SIGNS = table("""
    ㎡=平方米 ㎥=立方米 ㎢=平方千米 ㎤=立方厘米 ㎠=平方厘米 ㎟=平方毫米 ㎣=立方毫米 ㎞=千米 ㎝=厘米 ㎜=毫米
    ㎛=微米 ㎚=纳米 ㎏=千克 ㎎=毫克 ㎍=微克 ㎖=毫升 ㎗=分升 ㏄=毫升 ㎐=赫兹 ㎑=千赫 ㎒=兆赫 ㎓=吉赫 ㎳=毫秒
    ㎲=微秒 ㎱=纳秒 ㎾=千瓦 ㎿=兆瓦 ㎸=千伏 ㎷=毫伏 ㎃=毫安 ㎩=帕 ㎪=千帕 ㎫=兆帕 ㏈=分贝 ㎉=千卡 ㎈=卡
    ℃=摄氏度 ℉=华氏度 Å=埃 ℓ=升 ℡=电话 №=第 ㏎=千米 ㎧=米每秒 ㎨=米每二次方秒 ㎭=弧度 ㏀=千欧 ㏁=兆欧 Ω=欧
    """)
_ALL = {**LATIN, **SIGNS}
UNIT = "|".join(map(re.escape, sorted((unit for unit in _ALL if unit not in "№℡Å"), key=len, reverse=True)))
#: What may stand after a stroke: 元/㎡, 次/天.
_PER = (
    f"{UNIT}|平方米|立方米|小时|分钟|公斤|千克|公里|千米|年|月|日|天|"
    f"周|时|分|秒|次|人|个|斤|吨|亩|瓶|盒|箱|件|张|台|股|桶|升|克|米|"
    f"度|晚|间|位|户|本|只|袋|包|片|条"
)
_END = r"(?![A-Za-z\dμΩ²³])"
_CELSIUS = r"[ ]?(?:℃|°[ ]?C(?![A-Za-z])|摄氏度)"
_DEGREES = rf"(?P<unit>{_CELSIUS}|[ ]?(?:℉|°[ ]?F(?![A-Za-z])))"

#: The mark of a unit with a letter that is a unit only in small print: 5g网络 is no weight.
_NO_UNIT = "(?!网络|手机|信号|基站|通信|时代|技术|套餐|[网频]|级|景区|大街)"


def _unit(found: re.Match[str]) -> str:
    first, per = found["unit"], found["per"]
    said = _ALL.get(first, first)
    return f"{said}每{_ALL.get(per, per)}" if per else said


#: 36km/h, 5 kg, 120㎡; the number is read by itself.
measured = rule(
    rf"(?<=[\d万亿百千半几数])(?<![A-Za-z]\d)(?<![A-Za-z][ -]\d)"
    rf"(?P<said>[ ]?(?P<unit>{UNIT})(?:[/／](?P<per>{_PER}))?){_END}{_NO_UNIT}",
    _unit,
)
#: 元/㎡, 次/天.
per = rule(
    rf"(?<=[元块次个吨斤米度升人件台瓶克℃位只本张万亿])(?<!\d[年月日])(?P<said>[/／](?P<per>{_PER}))(?![A-Za-z\d²³])",
    lambda found: f"每{_ALL.get(found['per'], found['per'])}",
)
#: 2.5L/100km.
consumed = rule(r"(?<=\d)[ ]?L/100[ ]?km(?![A-Za-z\d])", "升每百千米")
#: ¥5/kg.
priced = rule(
    rf"[¥￥$€£][ ]?\d{{1,9}}(?:\.\d{{1,4}})?(?P<said>/(?P<per>{_PER}))(?![A-Za-z\d²³])",
    lambda found: f"每{_ALL.get(found['per'], found['per'])}",
)
#: A unit of one character without a number.
sign = rule("|".join(SIGNS), lambda found: SIGNS[found[0]])
#: 单位km/h.
_SPEEDS = table("km/h=千米每小时 m/s=米每秒")
squared = rule(
    r"(?<![A-Za-z\d])(?:m²|m³|cm²|cm³|km²|km/h|m/s)(?![A-Za-z\d]|[ ]?[=+])",
    lambda found: LATIN.get(found[0]) or _SPEEDS[found[0]],
)


def _degrees(found: re.Match[str]) -> str:
    name = "摄氏度" if re.fullmatch(_CELSIUS, found["unit"]) else "华氏度"
    first = _cold(found["minus"], found["first"], name)
    if found["last"] is None:
        return first + name
    return f"{first}到{_cold(found['below'], found['last'], name)}{name}"


def _cold(minus: str | None, value: str, name: str = "摄氏度") -> str:
    below = "零下" if name == "摄氏度" else "负"
    return (below if minus else "") + number(value)


#: -5℃, -10~-3℃, 20-25°C.
degrees = rule(
    rf"(?P<minus>{MINUS})?(?P<first>{NUMBER})(?:(?:{TO}|[ ]?[至到][ ]?)(?P<below>[-−])?(?P<last>{NUMBER}))?{_DEGREES}",
    _degrees,
)
#: 气温-5度, 零下 of a temperature whose unit is 度.
cold = rule(
    rf"(?:温度?|气温|体感|最[低高]|低[至到]|降[至到])[是为约有在只达]{{0,2}}(?P<said>{MINUS})(?=\d+(?:\.\d+)?(?:度|"
    rf"°|[-~到至]))",
    "零下",
)
angle = rule(r"(?<=\d)°(?![CF])", "度")
#: 116°23′15″.
arc = rule(r"(?<=\d)[′″](?!\d*[″′]?[显屏])", lambda found: "分" if found[0] == "′" else "秒")


def _percent(found: re.Match[str]) -> str:
    part = {"%": "百分之", "‰": "千分之", "‱": "万分之"}[found["sign"]]
    first, last = found["first"], found["last"]
    minus = "负" if found["minus"] else ""
    if last is None:
        return minus + part + ("百" if part == "百分之" and first == "100" else number(first))
    return f"{minus}{part}{number(first)}到{'负' if found['below'] else ''}{part}{number(last)}"


#: 1.2%, -5%, 10-20%, 3‰.
percent = rule(
    rf"(?P<minus>{MINUS})?(?P<first>{NUMBER})(?:{TO}(?P<below>[-−])?(?P<last>{NUMBER}))?[ ]?(?P<sign>[%‰‱])", _percent
)

#: Before names of Latin letters, which 5m2 is none of.
FIRST = (degrees, consumed, priced, measured)
RULES = (cold, percent, angle, arc, per, squared, sign)
