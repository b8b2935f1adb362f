"""Codes: telephone numbers, postcodes, ISBN and other numbers that are read digit by digit; versions, addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator

from antiphon.reading.chinese.numbers import digits
from antiphon.reading.chinese.rule import rule
from antiphon.reading.chinese.words import COUNTED, HAN
from antiphon.reading.said import Said

_DASH = "[ -]?"
_PHONE = re.compile(
    r"(?<![\dA-Za-z.])(?P<country>\+\d{1,3}[ -]?)?"
    rf"(?:1[3-9]\d{_DASH}\d{{4}}{_DASH}\d{{4}}"
    rf"|[(（]?0(?:10|2\d|[3-9]\d\d)[)）]?{_DASH}\d{{4}}{_DASH}\d{{3,4}}(?:(?:-|转)(?P<extension>\d{{1,6}}))?"
    rf"|[48]00{_DASH}(?:\d{{3}}{_DASH}\d{{4}}|\d{{4}}{_DASH}\d{{3}})"
    r"|10086|10010|12306|12315|12333|12345(?=热线)|123(?:20|48|50|93)|955\d\d"
    r"|(?:(?<=[打叫拨])|(?<=电：))1(?:10|14|19|20|22)|1(?:10|19|20|22)(?=急救|报警|火警|救护|指挥中心|出警|热线)"
    rf")(?![\d-]|\.\d|[元万亿]|{COUNTED})"
)
#: Words that say that the number beside them is one of a telephone, and of another code.
_PHONE_WORDS = "电话|電話|手機號?|熱線|傳真|來電|撥打|手机号?|热线|传真|客服|拨打|致电|来电|拨通?|分机|总机|短号"
_CODE_WORDS = (
    "验证码|驗證碼|認證碼|密碼|郵遞區號|編號|帳號|帳戶|卡號|學號|號碼|"
    "訂單號?|身分證字號|校验码|识别码|邀请码|提取码|取件码|兑换码|"
    "激活码|取餐码|订单|票号|工单|运单|保单|合同号|案号|档案号|"
    "密码|口令|暗号|邮编|邮政编码|编号|编码|代码|学号|工号|警号|卡号|"
    "账号|帐号|账户|尾号|单号|号码|证号|车牌号?|QQ号?|QQ群号?|微信号?|"
    "群号|区号|房号|门牌号?|房间号?|航班号?|身份证号?|统一书号|书号|"
    "准考证号?|流水号|序列号|批号|文号|条形码|股票|ISBN|ISSN|PIN码?|ID"
)
_AFTER = "(?:号码|號碼|号|號|码)?(?:是|为|為|：|:|#|，|即|改为|改成|输入|请拨|请打|有|在|「|“)?[ ]?"
_CODE = rf"\d(?:[\d -]{{0,40}}[\dXx])?(?![\dA-Za-z]|[.:：]\d|{COUNTED}|[年时分秒天次个]|[ ]?[-~～][ ]?\d)"


def phones(text: str) -> Iterator[Said]:
    """138-0013-8000, 0373-8850893, (010)62345678-802, 400-820-8820, 10086."""
    for found in _PHONE.finditer(text):
        country, extension = found["country"] or "", found["extension"] or ""
        local = found[0][len(country) : len(found[0]) - len(extension)]
        said = ("加" + digits(country, phone=True) if country else "") + digits(local, phone=True)
        yield Said(found.start(), found.end(), said + ("转" + digits(extension, phone=True) if extension else ""))


def _code(found: re.Match[str]) -> str:
    return digits(found["said"]) + ("X" if found["said"][-1] in "Xx" else "")


#: 电话 62345678.
called = rule(rf"(?:{_PHONE_WORDS}){_AFTER}(?P<said>{_CODE})", lambda found: digits(found["said"], phone=True))
#: 验证码是3157, ISBN 978-7-02.
coded = rule(rf"(?:{_CODE_WORDS}){_AFTER}(?P<said>{_CODE})", _code)
#: 302室, 1206房, 8栋302.
rooms = rule(
    rf"(?<![\d.第])\d{{3,4}}(?=室|房(?!间?[{HAN}]{{0,2}}[元块])|教室|"
    rf"病房|包厢|宿舍|航班|次列车)|(?<=[室栋幢舱])\d{{3,4}}(?!\d)",
    lambda found: digits(found[0]),
)
#: Numbers too long for anything but a code.
long = rule(
    rf"(?<![\d.,])\d{{9,}}(?![\d,]|\.\d|[元万亿]|{COUNTED})", lambda found: digits(found[0], phone=_mobile(found[0]))
)
#: 3.11.2, 192.168.1.1:8080.
versions = rule(
    r"(?<![\d.])\d{1,5}(?:\.\d{1,5}){2,}(?::\d{2,5})?(?!\.?\d)",
    lambda found: "冒号".join("点".join(map(digits, part.split("."))) for part in found[0].split(":")),
)
#: 3-2-501, 5-301室: parts of an address.
addresses = rule(
    r"(?<![\d.-])\d{1,4}(?:-\d{1,4}){2,}(?![\d-]|\.\d)", lambda found: "杠".join(map(digits, found[0].split("-")))
)
#: 3·15晚会, 9·11事件, 985高校, 996工作制: days and numbers that are names.
names = rule(
    r"(?<![\d.·])(?:(?P<day>\d{1,2}[·.]\d{1,2})(?=[”」]?(?:晚会|事件|地震|事变|惨案|讲话|大火|空难))|\d{1,2}·\d{1,2}"
    r"|(?:985|211)(?=[/、和]?(?:985|211)?(?:高校|大学|院校|工程|学校|毕业))|(?:996|007|955)(?=工作|加班|制|的?生活)"
    r"|(?:618|315|520|911|918|1024|1111)(?=大促|购物|晚会|活动|当天|节|事件|事变|表白))(?!\d)",
    lambda found: digits(found[0]),
)
#: 6222 0200 1234 5678.
cards = rule(r"(?<![\d.,-])\d{4}(?:[ ]\d{4}){2,4}(?:[ ]\d{1,3})?(?![\d.,-])", lambda found: digits(found[0]))
#: 歼-20, 东风-41: the dash is none.
weapons = rule(
    r"(?:(?<=[歼运直轰])|(?<=东风|神舟|嫦娥|天宫|长征|红旗|鹰击|巨浪|"
    r"天问|快舟|武直|米格|霹雳|猎鹰)|(?<=[苏图]))[-–](?=\d{1,3}(?![\d.]))",
    "",
)
#: 波音747, 空客320, 747客机.
models = rule(
    r"(?:(?<=波音|空客|标致|宝马|奔驰)\d{3}(?![\d.])|(?<![\d.,])\d{3}(?=客机|航班|系列|机型))",
    lambda found: digits(found[0]),
)


def _mobile(text: str) -> bool:
    return len(text) == 11 and text[0] == "1"


#: Before dates, which would take a part of them, and after.
FIRST = (phones, called, coded, names)
RULES = (versions, rooms, long, addresses, cards, weapons, models)
