"""Emotion words: turns an instruction such as "Speak in a cheerful tone" into weights of the engines' emotions.

It only looks for words. An engine that follows instructions itself is better given the instruction.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

#: By emotion (see `domain.request.EMOTIONS`): stems of English words, and Chinese words.
_WORDS: Mapping[str, tuple[str, str]] = {
    "happy": (
        "happ|cheer|joy|glad|delight|excit|enthusias|upbeat|playful|bright|laugh|smil|energetic|festive|friendly",
        "开心|高兴|快乐|欢快|喜悦|愉快|兴奋|活泼|热情|微笑|笑",
    ),
    "angry": (
        "angr|furious|rage|mad\\b|irritat|annoy|outrage|hostile|aggressive|shout|yell",
        "生气|愤怒|恼火|暴躁|怒|吼",
    ),
    "sad": ("sad|sorrow|grie[fv]|mourn|tear|cry|heartbroken|unhapp|weep|despair", "悲伤|难过|伤心|悲痛|哭|哀伤|绝望"),
    "afraid": (
        "afraid|fear|scared|frighten|terrif|anxious|nervous|panic|horror|trembl",
        "害怕|恐惧|惊恐|紧张|惊慌|恐怖|颤抖",
    ),
    "disgusted": ("disgust|revolt|repuls|nauseat|contempt|loath", "厌恶|恶心|嫌弃|反感"),
    "melancholic": (
        "melanchol|gloom|wistful|depress|low spirits|somber|sombre|nostalg|lonely|weary",
        "忧郁|低落|惆怅|沮丧|消沉|忧伤|落寞|怀旧",
    ),
    "surprised": ("surpris|astonish|amaz|shock|startl|incredul", "惊讶|吃惊|惊奇|震惊|诧异"),
    "calm": (
        "calm|relax|sooth|gentle|soft|serene|peaceful|quiet|tender|meditat|whisper|neutral|warm",
        "平静|温柔|柔和|冷静|放松|舒缓|安静|轻声|温暖|沉稳",
    ),
}
_FOUND = {
    name: re.compile(
        rf"(?P<not>\b(?:not|never|without|less|don't|no)\s+(?:\w+\s+)?)?\b(?:{en})|(?P<bu>[不别没勿]要?)?(?:{zh})", re.I
    )
    for name, (en, zh) in _WORDS.items()
}
#: Characters of an instruction that are read.
MAX_READ = 4000
_STRONG = re.compile(r"\b(?:very|extremely|really|super|intensely)\b|非常|十分|极|特别|很", re.I)
_SLIGHT = re.compile(r"\b(?:slightly|a little|a bit|somewhat|mildly|subtly)\b|有点|略|稍|轻微", re.I)


def emotion_weights(instructions: str) -> dict[str, float]:
    """Weights (0 to 1) by emotion; empty if the instruction has no emotion word.

    Negated words ("not angry", "不要生气") do not count. Several emotions share the weight; "very" raises it and
    "slightly" lowers it.
    """
    text = instructions[:MAX_READ]
    found = [name for name, words in _FOUND.items() if any(not (m["not"] or m["bu"]) for m in words.finditer(text))]
    if not found:
        return {}
    whole = 1.0 if _STRONG.search(text) else 0.4 if _SLIGHT.search(text) else 0.8
    return {name: round(whole / len(found), 3) for name in found}
