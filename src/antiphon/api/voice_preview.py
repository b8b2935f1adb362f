"""Voice preview: a short sentence in a model's own voice, made once and cached."""

from __future__ import annotations

import hashlib
from contextlib import closing
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from antiphon.api.disconnect import unless_disconnected
from antiphon.api.files import matches
from antiphon.domain import errors
from antiphon.domain.engine import Voice, revision_of
from antiphon.domain.request import SpeechRequest
from antiphon.models.selection import ModelSelector
from antiphon.models.served import ServedModel
from antiphon.speech.service import SpeechService

#: By primary language; other languages get the English one.
SENTENCES = {
    "en": "This is how I sound. Shall I read to you?",
    "zh": "这就是我的声音。要我读给你听吗？",
    "ja": "これが私の声です。何か読みましょうか。",
    "ko": "제 목소리는 이렇습니다. 읽어 드릴까요?",
    "de": "So klinge ich. Soll ich Ihnen vorlesen?",
    "fr": "Voici ma voix. Voulez-vous que je vous lise un texte ?",
    "es": "Así suena mi voz. ¿Quiere que le lea algo?",
    "it": "Questa è la mia voce. Vuole che le legga qualcosa?",
    "pt": "Esta é a minha voz. Quer que eu leia para você?",
    "nl": "Zo klinkt mijn stem. Zal ik u voorlezen?",
    "pl": "Tak brzmi mój głos. Czy mam coś przeczytać?",
    "ru": "Вот так звучит мой голос. Почитать вам?",
    "uk": "Ось так звучить мій голос. Почитати вам?",
    "cs": "Takhle zní můj hlas. Mám vám něco přečíst?",
    "sv": "Så här låter jag. Ska jag läsa för dig?",
    "tr": "Sesim böyle. Size okuyayım mı?",
    "ar": "هكذا يبدو صوتي. هل أقرأ لك؟",
    "hi": "मेरी आवाज़ ऐसी है। क्या मैं आपको पढ़कर सुनाऊँ?",
}
_CACHING = {"Cache-Control": "private, max-age=3600", "X-Content-Type-Options": "nosniff"}


@dataclass(frozen=True, slots=True)
class VoicePreview:
    selector: ModelSelector
    speech: SpeechService

    async def respond(self, request: Request, voice: str, model: str | None, owner: str) -> Response:
        """The sentence as a WAV file, with the lowest priority. Raises `NotFound` for a voice that is not served, and
        what `SpeechService.speak` raises."""
        served, found = self._find(voice, model)
        language = found.languages[0].lower().partition("-")[0] if found.languages else "en"
        assert served.capabilities is not None
        if served.capabilities.languages and language not in served.capabilities.languages:
            # The model has the voice, and does not read its language.
            language = served.capabilities.languages[0]
        text = SENTENCES.get(language, SENTENCES["en"])
        name = "\0".join((served.name, revision_of(served.capabilities, found.id), found.id, text))
        etag = f'"{hashlib.sha256(name.encode()).hexdigest()}"'
        if matches(request.headers.get("if-none-match"), etag):
            return Response(status_code=304, headers={"ETag": etag, **_CACHING})
        asked = SpeechRequest(text, model=served.name, voice=found.id, language=language, priority="bulk")
        with closing(await self.speech.speak(asked, owner)) as speech:
            audio = await unless_disconnected(request, speech.whole())
        return Response(audio, headers={"ETag": etag, **_CACHING}, media_type="audio/wav")

    def _find(self, voice: str, model: str | None) -> tuple[ServedModel, Voice]:
        for served in self.selector.ranked():
            if served.capabilities is not None and model in (None, served.name):
                for each in served.capabilities.voices:
                    if each.id == voice:
                        return served, each
        raise errors.NotFound(f"There is no voice {voice[:60]!r} here; GET /v1/audio/voices lists those that exist")
