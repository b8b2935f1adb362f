"""Words: what stands around numbers in Chinese, as parts of regular expressions."""

from __future__ import annotations

HAN = r"\u3400-\u4dbf\u4e00-\u9fff"
#: A number without its sign. It starts where no number is under way, and is no part of 1.2.3.
NUMBER = r"(?<!\d)(?<!\d\.)(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?)(?!\.?\d)"
#: What stands between the two ends of a range.
TO = r"[ ]?(?:[-~～–−]|—(?!—))[ ]?"
#: A minus: not between numbers, nor after a Latin word, where it is a hyphen, nor after `3日`, where it is a range.
MINUS = r"(?<![\dA-Za-z%‰℃°℉+*=)）\-−])(?<!\d[年月日号點点时時分秒周天元个個级級岁歲號])[-−](?=[¥￥$€£]?\d)"
#: Powers of ten that follow digits: 3.5万.
BIG = "万亿|百万|千万|百亿|千亿|百萬|千萬|萬億|万|亿|萬|億|千|百"

#: Measure words, before which two is 两. Left out are those that number things as often (号, 楼, 班, 级, 月, 日, 期).
_MEASURES = (
    "个 位 名 人 只 条 张 本 支 枝 把 件 座 栋 幢 间 套 辆 台 架 艘 部 首 篇 段 句 页 集 场 次 遍 回 趟 下 顿 杯 瓶 碗 "
    "盘 盒 箱 包 袋 罐 桶 块 片 颗 粒 朵 棵 株 根 头 匹 群 对 双 副 "
    "份 种 类 样 项 门 家 所 户 口 道 层 排 行 列 批 组 年 天 "
    "周 星期 小时 分 秒 刻 点 元 角 毛 千克 公斤 斤 克 吨 米 厘米 毫米 毫升 公里 千米 英里 英尺 英寸 里 尺 寸 升 "
    "平方 平米 立方 亩 公顷 倍 成 岁 届 轮 局 步 圈 顶 面 幅 封 枚 "
    "滴 阵 股 串 束 堆 筐 车 章 节 课 题 室 厅 卫 居 礼拜 钟头 "
    "美元 欧元 英镑 日元 港元 磅 盎司 字 字节 夜 晚 餐 刀 拳 脚 盆 锅 壶 勺 桌 站 针 剂 帧 公分 "
    # As traditional characters write them.
    "個 張 條 隻 輛 臺 層 間 歲 塊 雙 種 類 樣 項 門 戶 頓 盤 顆 針 頁 場 週 鐘頭 "
    "小時 分鐘 點 課 題 廳 衛 屆 輪 頂 陣 車 節 晚 鍋 壺 "
    "對 份 棟 雙 篇 遍 瓶 箱 罐 噸 釐米 億 萬"
)
#: Words that begin with a measure word and are none, such as 年级 in 2年级.
_NO_MEASURE = (
    "年[级級]|人[转轉]|次元|次方|元论|元化|元一次|分之|年生|[点點](?!\\d{1,2}分)[零一二三四五六七八九\\d]"
    "|两|面体|层次|本线|道贩"
)
MEASURE = f"(?:(?!{_NO_MEASURE})(?:{'|'.join(sorted(set(_MEASURES.split()), key=len, reverse=True))}))"
#: After a number these show that it counts something, or orders it: it is no code, and no score.
COUNTED = f"(?:{MEASURE}|[年月号號楼樓班级級期路度等折余餘多万亿萬億千百%‰℃°毫厘微兆]|日(?!本)|[a-zμ㎎-㏕])"


def table(text: str) -> dict[str, str]:
    """What is said for what is written, from `written=said` between blanks."""
    return dict(pair.rsplit("=", 1) for pair in text.split())
