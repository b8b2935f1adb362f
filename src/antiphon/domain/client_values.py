"""Client values: numbers, lines, hosts and URLs as clients write them.

Every reader returns a value that the rest of the server can use without another check, or raises `InvalidRequest` (or a
subclass) that names the field: never `ValueError`, `OverflowError` or `UnicodeError`, whatever the client wrote.
Python's own readers take more than a protocol does: `"²".isdigit()` is true and `int("²")` raises, `float("٣")` is 3,
`int("1_0")` is ten, and `urlsplit` raises for `http://[::1`.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from antiphon.domain import errors

#: Numbers beyond this are mistakes wherever a client may write one, and would not fit into a float or a 64-bit integer.
MOST = 1e15
#: Digits of a whole number, as in a header or an id of an event.
MAX_DIGITS = 18
MAX_URL = 2000
#: Characters of a host name, and of one of its labels (RFC 1035).
MAX_HOST, MAX_LABEL = 253, 63
#: Characters of a language tag or of the name of a language.
MAX_LANGUAGE = 40

_DIGITS = re.compile(rf"[0-9]{{1,{MAX_DIGITS}}}")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,4})?")
#: A Host header: an address in brackets, or a name or address, with a port or without (RFC 9110, 7.2).
_HOST_HEADER = re.compile(
    rf"(?:\[(?P<v6>[0-9A-Fa-f:.]{{2,45}}(?:%[\w.-]{{1,40}})?)\]|(?P<name>[\w.!$&'()*+,;=%~-]{{0,{MAX_HOST}}}))(?::[0-9]{{0,5}})?",
    re.ASCII,
)
#: A host name (RFC 1123, with the underscore of private zones) or an IPv4 address.
_HOST_NAME = re.compile(rf"[0-9A-Za-z_-]{{1,{MAX_LABEL}}}(?:\.[0-9A-Za-z_-]{{1,{MAX_LABEL}}})*\.?")
#: What no store, no header and no encoding takes: lone surrogates, and NUL.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def whole_number(text: str, param: str) -> int:
    """A whole number of ASCII digits, at most `MAX_DIGITS` of them."""
    if _DIGITS.fullmatch(text) is None:
        raise errors.InvalidRequest(f"{param} must be a whole number", param=param)
    return int(text)


def content_length(text: str | None) -> int:
    """The length that a client declares for its body, or what is longer than any body for a number of too many digits;
    0 if it declares none that means anything."""
    if text is None or not (text.isascii() and text.isdecimal()):
        return 0
    digits = text.lstrip("0")
    return int(digits or "0") if len(digits) <= MAX_DIGITS else 10**MAX_DIGITS


def number(text: str, param: str) -> float:
    """A decimal number in ASCII, such as `0.5` or `1e-3`, not beyond `MOST`."""
    if _DECIMAL.fullmatch(text) is None:
        raise errors.InvalidRequest(f"{param} must be a number such as 0.5", param=param)
    return finite(float(text), param)


def finite(value: object, param: str) -> float:
    """A number of a JSON body as a float. Truth values, NaN, infinities and numbers beyond `MOST` are refused."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise errors.InvalidRequest(f"{param} must be a number", param=param)
    if not is_finite(value):
        raise errors.InvalidRequest(f"{param} must be a number between {-MOST:g} and {MOST:g}", param=param)
    return float(value)


def is_finite(value: int | float) -> bool:
    """Whether a number fits into every type that it may become; Python compares integers of any length with floats."""
    return -MOST <= value <= MOST


def line(text: str, param: str, most: int) -> str:
    """Printable text on one line, of 1 to `most` characters: safe in a header, a log and a line-based format."""
    if not 1 <= len(text) <= most or not text.isprintable():
        raise errors.InvalidRequest(f"{param} must be 1-{most} printable characters on one line", param=param)
    return text


def text(value: str, param: str, most: int) -> str:
    """Text of any lines that every store takes, of at most `most` characters."""
    if len(value) > most:
        raise errors.InvalidRequest(f"{param} has {len(value)} characters; at most {most} are taken", param=param)
    if _UNSTORABLE.search(value) is not None:
        raise errors.InvalidRequest(f"{param} holds a NUL or half of a surrogate pair, which is no text", param=param)
    return value


def language(value: str) -> str:
    """A language tag, or the name of a language, as the client wrote it; whether a model speaks it is asked later."""
    return line(value, "language", MAX_LANGUAGE)


def host_of(header: str) -> str:
    """The name in a Host header, in lower case and without the port; empty for an empty header."""
    found = _HOST_HEADER.fullmatch(header)
    if found is None:
        raise errors.InvalidRequest("Host must be a name or an address, with or without a port", param="Host")
    return (found["v6"] or found["name"] or "").lower()


def origin_host(header: str) -> str:
    """The host and port in an Origin header, to be compared with the Host header; empty where there is none."""
    return header.partition("://")[2].partition("/")[0]


def url(value: str, param: str) -> str:
    """An http or https URL without a user, whose host is a name or an address that a resolver takes."""
    try:
        parts = urlsplit(value)
        host, port = parts.hostname or "", parts.port
    except ValueError as e:
        raise _bad_url(param) from e
    fine = value.isprintable() and " " not in value and port != 0 and parts.scheme in ("http", "https")
    if not fine or not host or parts.username is not None or len(value) > MAX_URL:
        raise _bad_url(param)
    if not (_is_ipv6(host) if ":" in host else len(host) <= MAX_HOST and _HOST_NAME.fullmatch(host)):
        raise errors.InvalidRequest(
            f"the host of {param} must be a name or an address; write names of other scripts in punycode (xn--…)",
            param=param,
        )
    return value


def is_address(text: str) -> bool:
    """Whether a text is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_ipv6(host: str) -> bool:
    return "%" not in host and is_address(host)


def _bad_url(param: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(f"{param} must be an http or https URL without a user name", param=param)


def close_reason(message: str) -> str:
    """A message cut to what the close frame of a WebSocket holds: 123 bytes of UTF-8 (RFC 6455, 5.5)."""
    return message.encode("utf-8", "replace")[:120].decode("utf-8", "ignore")


def header_text(message: str, most: int) -> str:
    """A message in the characters that a quoted header value takes, on one line, cut to `most` characters."""
    plain = "".join(ch if " " <= ch <= "~" else "?" if ch.isprintable() else " " for ch in message[:most])
    return plain.replace('"', "'").replace("\\", "/")
