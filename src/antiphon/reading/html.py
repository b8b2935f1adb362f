"""HTML: tags and entities in a text, silent or as the pause that they stand for."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from antiphon.reading.finding import rule
from antiphon.reading.said import Said

#: Elements that a paragraph ends with, that a line ends with, and that are silent. A name that is not here is no tag:
#: `List<T>`, and the marks of speech (`<break>`, `<phoneme>`), stay.
_PARAGRAPHS = (
    "p|div|h[1-6]|ul|ol|dl|table|blockquote|section|article|header|footer|main|aside|nav|"
    "figure|pre|details|hr|html|body"
)
_LINES = "br|li|tr|dt|dd|caption|figcaption|summary|option|thead|tbody|tfoot|title"
_INLINE = (
    "a|abbr|b|bdi|bdo|big|center|cite|code|data|del|em|font|i|img|input|ins|kbd|label|mark|q|rp|rt|ruby|samp|small"
    "|span|"
    "strike|strong|sub|sup|time|tt|u|var|wbr|button|form|svg|path|video|audio|source|iframe|link|meta|head|select"
    "|textarea|"
    "picture|col|colgroup|details|thinking|think"
)
#: What an element of these holds is not said.
_HIDDEN = ("script", "style", "template", "noscript")


@rule(
    rf"</?(?:(?P<paragraph>{_PARAGRAPHS})|(?P<line>{_LINES})|(?P<cell>t[dh])|{_INLINE}|!doctype)"
    r"(?:\s[^<>]*+|/)?>",
    re.IGNORECASE,
)
def tags(match: re.Match[str]) -> str | None:
    """`<b>` is silent, `<br>` a line break, `<p>` a paragraph; the cells of a row are parted by commas."""
    if match["paragraph"]:
        return "\n\n"
    if match["line"]:
        return "\n" if match[0][1] != "/" or match["line"].lower() == "title" else ""
    return ", " if match["cell"] and match[0][1] == "/" and _cell_follows(match) else ""


def _cell_follows(match: re.Match[str]) -> bool:
    return re.match(r"\s{0,40}<t[dh]\b", match.string[match.end() : match.end() + 48], re.IGNORECASE) is not None


@rule(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")
def entities(match: re.Match[str]) -> str | None:
    """`&amp;`, `&#39;`."""
    said = html.unescape(match[0])
    return None if said == match[0] else said.replace("\u00a0", " ").replace("\ufffd", " ").replace("\u00ad", "")


@rule(r"<(?P<address>(?:https?://|mailto:)[^\s<>]++|[\w.+\-]++@[\w.\-]++)>")
def addresses(match: re.Match[str]) -> str | None:
    """`<https://example.org>`."""
    return match["address"].removeprefix("mailto:")


def comments(text: str) -> Iterator[Said]:
    """`<!-- … -->`; one that is not closed is text."""
    at = 0
    while (start := text.find("<!--", at)) >= 0 and (end := text.find("-->", start + 4)) >= 0:
        at = end + 3
        yield Said(start, at, "")


_OPENED = re.compile(rf"<({'|'.join(_HIDDEN)})(?:\s[^<>]*+)?>", re.IGNORECASE)


def hidden(text: str) -> Iterator[Said]:
    """`<script>…</script>`; one that is not closed is text."""
    lowered: str | None = None
    unclosed: set[str] = set()
    at = 0
    while opened := _OPENED.search(text, at):
        at = opened.end()
        name = opened[1].lower()
        if lowered is None:
            lowered = text.lower() if text.isascii() else "".join(ch.lower() if ch.isascii() else ch for ch in text)
        end = -1 if name in unclosed else lowered.find(f"</{name}>", at)
        if end < 0:
            unclosed.add(name)
            continue
        at = end + len(name) + 3
        yield Said(opened.start(), at, "")
