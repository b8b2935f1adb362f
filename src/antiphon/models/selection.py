"""Model selection: which model a request gets, the one it names or the best that can do it."""

from __future__ import annotations

from collections.abc import Mapping

from antiphon.catalog import models as catalog
from antiphon.domain import errors
from antiphon.domain.engine import has_voice
from antiphon.domain.job import Kind
from antiphon.models.served import ServedModel

#: What OpenAI's clients send; here each means "the best you have".
ALIASES = frozenset({"auto", "default", "tts-1", "tts-1-hd", "gpt-4o-mini-tts"})
#: And of other kinds.
KIND_ALIASES = frozenset(
    {"whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "dall-e-2", "dall-e-3", "gpt-image-1"}
)
#: Answers of `choose` that are remembered.
REMEMBERED = 1000
#: Seconds after which a client may ask again for a model that cannot run now.
RETRY = 60.0


class ModelSelector:
    """Chooses among the models that are served, whatever state they are in."""

    def __init__(self, served: Mapping[str, ServedModel]) -> None:
        self.served = served
        self._chosen: dict[tuple[str, str | None, bool], ServedModel] = {}

    def changed(self) -> None:
        """A model's state changed, so `choose` may answer otherwise."""
        self._chosen.clear()

    def choose(self, asked: str | None, language: str, voice: str | None = None, *, clone: bool = False) -> ServedModel:
        """The model for a request: the named one, else the best that has the voice, can clone, or speaks the language.

        Raises `UnknownModel`, `UnsupportedLanguage`, `ModelLoading`, `ModelUnavailable`."""
        if asked is not None and asked not in ALIASES:
            return self._named(asked)
        served = self._chosen.get((language, voice, clone))
        if served is None:
            served = self._chosen[(language, voice, clone)] = self._best_for(language, voice, clone)
            if len(self._chosen) > REMEMBERED:
                self._chosen.clear()
        return served

    def choose_kind(self, asked: str | None, kind: Kind, language: str | None = None) -> ServedModel:
        """The model for work that is not speech: the named one, else the best of its kind.

        Raises `UnknownModel`, `InvalidRequest` for a model of another kind, `UnsupportedLanguage`, `ModelLoading`,
        `ModelUnavailable`."""
        if asked is not None and asked not in ALIASES | KIND_ALIASES:
            served = self._named(asked)
            if served.kind != kind:
                raise errors.InvalidRequest(f"The model {asked!r} does {served.kind}, not {kind}", param="model")
            return served
        able = [h for h in self.ranked() if h.kind == kind]
        for served in able:
            if (
                served.usable
                and served.capabilities is not None
                and (language is None or speaks(served.capabilities.languages, language))
            ):
                return served
        for served in able:
            if served.coming:
                raise self._loading(served)
        if any(h.usable for h in able):
            raise errors.UnsupportedLanguage(f"No model here knows the language {language!r}", param="language")
        known = " or ".join(name for name, spec in catalog.MODELS.items() if spec.kind == kind)
        why = "; ".join(self._why_not(h) for h in able)
        raise errors.ModelUnavailable(
            why or f"no model for {kind} is served; start the server with --model {known or 'FOLDER (docs/images.md)'}",
            param="model",
            retry_after=RETRY,
        )

    def _best_for(self, language: str, voice: str | None, clone: bool) -> ServedModel:
        speech = [h for h in self.ranked() if h.kind == "speech"]
        suited = self._suited(speech, voice, clone)
        if suited is not None:
            return suited
        for served in speech:
            if served.usable and served.capabilities is not None and speaks(served.capabilities.languages, language):
                return served
        for served in speech:
            if served.coming and speaks(served.spec.languages, language):
                raise self._loading(served)
        for served in speech:
            if not served.usable and speaks(served.spec.languages, language):
                raise errors.ModelUnavailable(self._why_not(served), param="model", retry_after=RETRY)
        if any(h.usable for h in speech):
            names = ", ".join(h.name for h in speech if h.usable)
            raise errors.UnsupportedLanguage(
                f'No model here speaks {language!r} (served: {names}); name one with "model" to have it try',
                param="language",
            )
        raise errors.ModelUnavailable(
            "; ".join(self._why_not(h) for h in speech) or "no speech model is served",
            retry_after=RETRY,
        )

    @staticmethod
    def _suited(speech: list[ServedModel], voice: str | None, clone: bool) -> ServedModel | None:
        """A voice that one model has is as good as the model's name, and so is one that only some can imitate."""
        for served in speech:
            if served.usable and served.capabilities is not None:
                if clone and served.capabilities.cloning:
                    return served
                if voice is not None and has_voice(served.capabilities, voice):
                    return served
        return None

    def _named(self, name: str) -> ServedModel:
        served = self.served.get(name)
        if served is None:
            names = ", ".join(self.served)
            known = " It is in the catalog: start the server with --model " + name if name in catalog.MODELS else ""
            raise errors.UnknownModel(
                f"The model {name[:60]!r} is not served here (served: {names}).{known}", param="model"
            )
        if served.usable:
            return served
        if served.coming:
            raise self._loading(served)
        raise errors.ModelUnavailable(self._why_not(served), param="model", retry_after=RETRY)

    def _loading(self, served: ServedModel) -> errors.ModelLoading:
        eta = served.fetching.eta if served.fetching and served.fetching.eta is not None else 5.0
        return errors.ModelLoading(f"{served.name} is {served.state}; try again soon", param="model", retry_after=eta)

    @staticmethod
    def _why_not(served: ServedModel) -> str:
        reason = served.error or served.pool.error or served.state
        hint = served.hint or served.pool.hint
        return f"{served.name} cannot run: {reason}" + (f" (fix: {hint})" if hint else "")

    def ranked(self) -> list[ServedModel]:
        """All of them, the best first."""
        return sorted(self.served.values(), key=lambda h: -h.spec.rank)

    def cloning(self) -> list[ServedModel]:
        """Those that can speak with an uploaded voice now, the best first."""
        return [h for h in self.ranked() if h.usable and h.capabilities is not None and h.capabilities.cloning]

    def best(self, kind: Kind = "speech") -> ServedModel | None:
        """The model that `auto` means now, whatever the language."""
        usable = [h for h in self.served.values() if h.usable and h.kind == kind]
        return max(usable, key=lambda h: h.spec.rank, default=None)

    def for_stored_job(self, model: str, kind: Kind) -> ServedModel | None:
        """The model for a job that was accepted earlier: its own, or the best of its kind if that is not served any
        more. None as long as none has started."""
        own = self.served.get(model)
        if own is None:
            return self.best(kind)
        return own if own.capabilities is not None else None

    def primary(self) -> ServedModel | None:
        """The model that makes the server ready: the best that speaks, or the best of all where no served model is
        meant to speak."""
        speech = any(h.kind == "speech" for h in self.served.values())
        usable = [h for h in self.served.values() if h.usable and (h.kind == "speech" or not speech)]
        return max(usable, key=lambda h: h.spec.rank, default=None)


def speaks(languages: tuple[str, ...], language: str) -> bool:
    return not languages or language in languages
