"""Markup: the plain text of what chats, documents and pages bring: Markdown, HTML, stage directions, emoji.

A reading of a whole text, before it is cut into sentences. What is a mark beyond doubt is silent, or becomes the pause
that it stands for, as a line break or a blank line; everything else is left as it is written. Text is left out only
where it is not meant to be said: comments, scripts, addresses behind a text, the numbers of notes, stage directions.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from antiphon.reading import blocks, html, markdown
from antiphon.reading.finding import rule
from antiphon.reading.said import Reading, Rule, Said, replaced, select

#: Sounds and gestures as stage directions name them.
_SOUNDS = (
    "laugh(?:s|ing|ter|ed)?|chuckl(?:e|es|ing)|giggl(?:e|es|ing)|snicker(?:s|ing)?|sigh(?:s|ing|ed)?|cough(?:s|ing)?"
    "|gasp(?:s|ing)?|"
    "sob(?:s|bing)?|cr(?:y|ies|ying)|groan(?:s|ing)?|moan(?:s|ing)?|sniff(?:s|les|ing)?|snort(?:s|ing)?|scoff(?:s"
    "|ing)?|yawn(?:s|ing)?|"
    "whisper(?:s|ing)?|breath(?:es?|ing|s)?|inhal(?:e|es|ing)|exhal(?:e|es|ing)|clears? (?:his|her|their"
    "|my)? ?throat|clearing throat|"
    "throat clearing|applause|cheer(?:s|ing)|clap(?:s|ping)|music|silence|gulp(?:s|ing)?|hum(?:s|ming)?|shrug(?:s"
    "|ging)?|nod(?:s|ding)?|"
    "smil(?:es|ing)|grin(?:s|ning)?|wink(?:s|ing)?|frown(?:s|ing)?|blush(?:es|ing)?|bow(?:s|ing)?|wav(?:es|ing)"
    "|pauses|screams?|"
    "scream(?:ing)|shout(?:s|ing)|mumbl(?:es|ing)|mutter(?:s|ing)|rolls (?:his|her|their)? ?eyes|sings|singing|beep"
    "|bleep|inaudible|crosstalk"
)
_DIRECTION = rf"(?:{_SOUNDS})(?: [a-z]{{1,16}}){{0,4}}"


#: Where a direction between asterisks may stand: elsewhere a word of a sentence is stressed, "don't *cry*".
_APART = r"(?:(?<![^\n])|(?<=[.!?…,:”\"\]] ))"


@rule(
    rf"{_APART}\*{_DIRECTION}\*(?![\w(\[])[.,!]? ?|(?<![^\n])\[{_DIRECTION}\](?![\w(\[])[.,!]? ?"
    rf"| ?\[{_DIRECTION}\](?![\w(\[])",
    re.IGNORECASE,
)
def directions(match: re.Match[str]) -> str | None:
    """`*sighs*`, `[laugh]`, `[clears throat]`. Of other words in the same marks only the marks are silent."""
    return ""


_PICTURE = (
    "\u231a\u231b\u23e9-\u23fa\u25fb-\u25fe\u2600-\u265f\u2661-\u266c\u2670-\u2704\u2706-\u2712\u2714-\u2775\u27a1\u27b0\u27bf\u2934\u2935"
    "\u2b05-\u2b07\u2b1b\u2b1c\u2b50\u2b55\U0001f000-\U0001f0ff\U0001f10d-\U0001f10f\U0001f16c-\U0001f1ff\U0001f300-\U0001faff"
)
#: Beside a picture: what chooses its form, its colour, or joins it with the next.
_JOINED = "\u200d\ufe0e\ufe0f\u20e3\U000e0020-\U000e007f"


@rule(rf" ?[{_PICTURE}][{_PICTURE}{_JOINED} ]*+|(?P<key>[0-9#*])\ufe0f?\u20e3")
def emoji(match: re.Match[str]) -> str | None:
    """Pictures are silent; the words around them stay apart. A key (`1️⃣`) is its digit."""
    if match["key"]:
        return match["key"]
    text, end = match.string, match.end()
    return "" if match.start() == 0 or end == len(text) or text[end] in ",.;:!?)]}\n，。！？" else " "


@rule(
    r"(?<![^\s])(?:[:;=][-'o]?[)(\]DPp|3/](?:[)(])*+|[(][:;]|<3+|\^_+\^|\^\^|T_T|-_+-|[xX]D|¯\\_\(ツ\)_/¯)(?=\s"
    r"|$) ?"
)
def faces(match: re.Match[str]) -> str | None:
    """`:-)`, `<3`."""
    return ""


#: Each stage sees what the ones before it took as one sign; within a stage the rule that stands first counts.
STAGES: tuple[Sequence[Rule], ...] = (
    (html.comments, html.hidden, markdown.fences),
    (markdown.code_spans,),
    (html.tags, html.addresses, markdown.escapes),
    (directions, markdown.links, markdown.definitions, markdown.addresses),
    (markdown.notes, markdown.notes_apart, markdown.rules, markdown.tables),
    (markdown.after_headings, markdown.ends_of_headings, markdown.headings),
    (markdown.quotes,),
    (markdown.items, markdown.tasks),
    (markdown.emphasis, html.entities, emoji, faces),
)
#: What stands for characters that an earlier stage took; neither a letter nor blank.
_TAKEN = "\ufffc"
#: A text without any of these has no markup.
_HINT = re.compile(
    rf"[*_`~\[\]<>#|&\\^=+•▪◦‣·{_PICTURE}{_JOINED}]|^[ \t]*-|[:;][-'o]?[)(\]DPp|3/]|[(][:;]|xD",
    re.MULTILINE | re.IGNORECASE,
)


def read(text: str) -> Reading:
    """The text without its markup. Takes linear time, and never raises."""
    return replaced(text, _all_marks(text))


def plain_text(text: str) -> str:
    """As `read`, without the places, which take sixteen bytes for each character."""
    pieces: list[str] = []
    at = 0
    for part in _all_marks(text):
        if part.text is not None:
            pieces += text[at : part.start], part.text
            at = part.end
    return "".join((*pieces, text[at:])) if pieces else text


def _all_marks(text: str) -> list[Said]:
    if len(text) <= blocks.MOST:
        return _marks(text)
    # A link may be defined far behind it, so every block is read with the definitions below it.
    names = blocks.definitions(text)
    found: list[Said] = []
    for start, end in blocks.blocks(text):
        below = f"\n\n{names}" if names and "][" in text[start:end] else ""
        found += (
            Said(start + part.start, start + min(part.end, end - start), part.text)
            for part in _marks(text[start:end] + below)
            if part.start < end - start
        )
    return found


def _marks(text: str) -> list[Said]:
    """The marks of a text, in order."""
    if not _HINT.search(text):
        return []
    found: list[Said] = []
    rest = text
    for stage in STAGES:
        parts = select(rest, stage)
        found += parts
        rest = _without(rest, parts)
    return sorted(found, key=lambda each: each.start)


def _without(text: str, parts: Sequence[Said]) -> str:
    """The text with what was taken covered, character by character; line breaks stay."""
    if not parts:
        return text
    pieces: list[str] = []
    at = 0
    for part in parts:
        covered = text[part.start : part.end]
        cover = (
            "\n".join(_TAKEN * len(line) for line in covered.split("\n")) if "\n" in covered else _TAKEN * len(covered)
        )
        pieces += text[at : part.start], cover
        at = part.end
    pieces.append(text[at:])
    return "".join(pieces)
