"""Links: addresses of pages and of mail, and names of people and subjects on networks."""

from __future__ import annotations

import re

from antiphon.reading.english import words
from antiphon.reading.finding import keep, rule

#: Most characters of a path that is said; of a longer one only the site is.
MAX_PATH = 40
_TOP = (
    "com|org|net|edu|gov|mil|int|io|ai|co|uk|us|de|fr|cn|jp|eu|ca|au|nl|ch|it|es|se|no|ru|br|in|kr|app|dev|info|biz|"
    "me|tv|fm|cloud|online|site|tech|xyz|club|store|blog|wiki"
)
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9\-]{0,62})"
_SIGNS = {".": "dot", "/": "slash", "-": "dash", "_": "underscore", "+": "plus", "@": "at", ":": "colon",
          "?": "question mark",
          "=": "equals", "&": "and", "#": "hash", "%": "percent", "~": "tilde"}  # fmt: skip
_PIECE = re.compile(r"[A-Za-z]+|[0-9]+|[^\W\d_]+|[^\w]|_")


def spelled(written: str) -> str:
    """The words, numbers and signs of an address."""
    said = []
    for piece in _PIECE.findall(written):
        if piece[0] in "0123456789":
            said.append(words.cardinal(int(piece)) if len(piece) < 3 and piece[0] != "0" else words.digits(piece))
        elif piece[0].isalpha():
            said.append(piece)
        elif piece in _SIGNS:
            said.append(_SIGNS[piece])
    return " ".join(said)


def _site(host: str) -> str:
    return spelled(re.sub(r"^www\.", "", host, flags=re.IGNORECASE))


@rule(
    r"\b(?:https?|ftp|wss?)://(?:[\w.~%!$&'*+;=\-]{1,64}(?::[^\s@/]{0,64})?@)?(?P<host>[\w.\-]++"
    r"|\[[0-9a-fA-F:]{2,40}\])(?P<port>:[0-9]{1,5})?(?P<path>[/?#][^\s<>\"“”]*+)?",
    re.IGNORECASE,
)
def pages(match: re.Match[str]) -> str | None:
    """`https://example.org/a`: the site, and a path that is short."""
    host = match["host"].rstrip(".-_")
    whole = match[0]
    kept = whole.rstrip(".,;:!?)]}'’*_") if match["path"] else whole.rstrip(".-_")
    end = whole[len(kept) :]
    path = (match["path"] or "")[: max(0, len(match["path"] or "") - len(end))].rstrip("/")
    if "(" in path and end.startswith(")"):
        end = end[1:]
    said = _site(host)
    if match["port"]:
        said += f" port {words.digits(match['port'])}"
    if path and len(path) <= MAX_PATH and not re.search(r"[?=&%]|[0-9a-fA-F]{12}", path):
        said += f" {spelled(path)}"
    return said + end


@rule(
    rf"(?<![\w./@\-])(?P<host>www\.(?:{_LABEL}\.){{1,4}}[A-Za-z]{{2,12}}"
    rf"|(?:{_LABEL}\.){{1,4}}(?:{_TOP}))(?P<path>/[\w./\-~%?=&#+]*+)?(?![\w@\-]|\.\w)"
)
def sites(match: re.Match[str]) -> str | None:
    """`www.example.com`, `example.org/a`. "Node.js" and "the end.In time" are none: the ends of sites are few, and
    in lower case."""
    host, path = match["host"], match["path"] or ""
    top = host.rpartition(".")[2]
    if top != top.lower() or not re.search(r"[a-zA-Z]", host.rpartition(".")[0]):
        return None
    word = top in ("in", "it", "no", "us", "so", "is", "es", "int", "se") and host.count(".") == 1
    if not path and not host.startswith("www.") and (word or (top in ("co", "de", "me") and host[0].isupper())):
        return None
    kept = path.rstrip(".?/")
    end = path[len(kept) :].lstrip("/")
    said = _site(host)
    if kept and len(kept) <= MAX_PATH and not re.search(r"[?=&%]", kept):
        said += f" {spelled(kept)}"
    return said + end


@rule(
    rf"(?<![\w./@+\-])(?:mailto:)?(?P<who>[\w.+\-]{{1,64}})@(?P<host>(?:{_LABEL}\.){{1,4}}[A-Za-z]{{2,12}})(?![\w@\-])"
)
def mail(match: re.Match[str]) -> str | None:
    """`me@example.org`."""
    return f"{spelled(match['who'])} at {spelled(match['host'])}"


@rule(r"(?<![\w./@+\-])@(?P<who>[A-Za-z]\w{1,38})(?![\w@]|\.\w|/)")
def people(match: re.Match[str]) -> str | None:
    """`@jane_doe`."""
    return f"at {match['who'].replace('_', ' ').strip()}"


@rule(r"(?<![\w#&/])#(?P<what>[A-Za-z]\w{1,60})\b(?!-)")
def subjects(match: re.Match[str]) -> str | None:
    """`#MondayMood`: its words."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", match["what"].replace("_", " "))
    return f"hashtag {' '.join(parts)}" if parts else None


_FILES = (
    "py|js|ts|tsx|jsx|c|h|cpp|hpp|rs|go|rb|java|kt|cs|sh|bat|ps1|txt|md|rst|pdf|docx?|xlsx?|pptx?|csv|tsv|json|ya?ml"
    "|toml|"
    "ini|cfg|conf|xml|html?|css|sql|log|zip|tar|gz|xz|7z|rar|png|jpe?g|gif|svg|webp|mp3|mp4|wav|flac|ogg|avi|mkv|mov"
    "|exe|"
    "dll|so|iso|deb|rpm|dmg|apk|bin|dat|db|lock|bak|tmp|onnx|safetensors|ipynb"
)
_FILE = re.compile(rf"[\w\-~][\w.\-/\\~]{{0,254}}\.(?:{_FILES})", re.IGNORECASE)


def _is_file(match: re.Match[str]) -> bool:
    return len(match[0]) < 256 and _FILE.fullmatch(match[0].lstrip("./\\")) is not None


#: What looks like numbers or names and is none: said as it is written. Addresses of machines, times with a `T`, codes
#: and versions within words need no rule: the patterns of numbers leave alone what is joined to letters and signs.
KEPT = (
    # Marks of speech: pauses, voices, SSML, pronunciations.
    keep(r"\[(?:pause|voice|rate|speed|break)\b[^\[\]\n]{0,60}\]"),
    keep(r"</?[a-z][\w:\-]{0,20}(?:\s[^<>\n]{0,200})?/?>|<[^<>|\s]{1,10}\|[^<>|\s]{1,20}>"),
    keep(r"(?<=\])\((?:/[^/\s()]{1,80}/|[-+]?[0-9](?:\.[0-9])?)\)"),
    # Moves and results of chess.
    keep(
        r"(?<![\w.])[0-9]{1,3}\.{1,3} ?(?:[KQRBN]?[a-h]?[1-8]?x?[a-h][1-8](?:=[QRBN])?|O-O(?:-O)?)[+#]?[!?]{0,2}(?!\w)"
    ),
    keep(r"(?<!\w)(?:1/2[-–]1/2|½[-–]½|0-0(?:-0)?|O-O(?:-O)?)(?!\w)"),
    # Files and paths.
    keep(r"(?<![\w./\\~\-])(?:[./\\~\-]*+\w++)++", _is_file),
    keep(r"(?<![\w./\\~\-])(?:~|\.{1,2})?/(?:[\w.\-]++/)+[\w.\-]*+"),
    # Code: what stands in brackets close behind a name.
    keep(r"(?<![\w.])[A-Za-z_]\w*+(?:\.\w++)*+[(\[][^\s()\[\]]{0,80}[)\]]"),
)

RULES = (pages, mail, sites, people, subjects)
