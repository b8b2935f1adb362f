"""Voice references: recordings whose voices engines clone, with owner and consent."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from antiphon.domain import errors

#: Prefix of the `voice` of a unit that is spoken with a reference; the recording's digest follows.
PREFIX = "ref:"
MAX_NAME, MAX_CONSENT, MAX_REF_TEXT, MAX_DESCRIPTION = 64, 2000, 2000, 500

_DIGEST = re.compile(r"[0-9a-f]{64}")
#: Values that a form sends for an unticked box.
_NO = frozenset({"false", "no", "none", "null", "undefined", "off", "0", "n", "f"})


@dataclass(frozen=True, slots=True)
class Reference:
    """An uploaded voice. Its recording is a file under its digest."""

    id: str
    owner: str
    #: Unique among the owner's voices.
    name: str
    #: SHA-256 of the stored file, 64 hexadecimal digits.
    digest: str
    #: Of the stored recording, from which silence was trimmed.
    seconds: float
    #: Bytes of the stored file.
    bytes: int
    #: The speaker's statement of consent, or the number of the document.
    consent: str
    #: Seconds since the epoch.
    created_at: float
    #: Media type of the stored file.
    media_type: str
    #: The text spoken in the recording, with which some engines clone better.
    ref_text: str | None = None
    description: str | None = None
    #: BCP-47 primary tags; empty if unknown.
    languages: tuple[str, ...] = ()

    @property
    def voice(self) -> str:
        """The `voice` of units that use this reference."""
        return PREFIX + self.digest


def is_digest(text: str) -> bool:
    """Whether a text is 64 hexadecimal digits in lower case."""
    return _DIGEST.fullmatch(text) is not None


def digest_of(voice: str) -> str | None:
    """The digest in a unit's `voice`; None for a built-in voice of the engine."""
    digest = voice.removeprefix(PREFIX)
    return digest if voice.startswith(PREFIX) and is_digest(digest) else None


def check_name(name: str) -> None:
    """Raises `InvalidRequest` for a name that is unsafe or ambiguous in a path, a page or a request."""
    wrong = None
    if not 1 <= len(name) <= MAX_NAME:
        wrong = f"it must have 1-{MAX_NAME} characters"
    elif not name.isprintable() or name != name.strip():
        wrong = "it must be printable, without space at its ends"
    elif "/" in name or "\\" in name or not name.strip("."):
        wrong = "it must not look like a path"
    elif name.lower().startswith(PREFIX):
        wrong = f"names that begin with {PREFIX} are the server's own"
    if wrong:
        raise errors.InvalidRequest(f"That is no name for a voice: {wrong}", param="name")


def check_consent(consent: str) -> None:
    """Raises `InvalidRequest` unless the speaker's consent is stated."""
    if not consent.strip() or consent.strip().lower() in _NO:
        raise errors.InvalidRequest(
            "A voice is taken only with its speaker's consent: send `consent` with their statement, or with the id "
            "under which you keep it",
            param="consent",
        )
    check_length("consent", consent, MAX_CONSENT)


def check_length(param: str, text: str | None, limit: int) -> None:
    """Raises `InvalidRequest` for a text with more than `limit` characters."""
    if text is not None and len(text) > limit:
        raise errors.InvalidRequest(f"{param} has {len(text)} characters; at most {limit} are taken", param=param)


def from_data_url(url: str, param: str) -> bytes:
    """The bytes of a `data:` URL (RFC 2397) in base64. Raises `InvalidRequest`; other URLs are never fetched."""
    head, comma, body = url.partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        raise errors.InvalidRequest(f"{param} must look like data:audio/wav;base64,…", param=param)
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise errors.InvalidRequest(f"{param} is not valid base64", param=param) from None
