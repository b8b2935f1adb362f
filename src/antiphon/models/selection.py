"""Model selection: which model serves a request: the one that it names, or the best that can."""

from __future__ import annotations

from collections.abc import Mapping

from antiphon.catalog import models as catalog
from antiphon.domain import errors
from antiphon.domain.engine import has_voice
from antiphon.domain.job import Kind
from antiphon.models.served import ServedModel

#: Model names that mean the best model for the work.
AUTO = frozenset({"auto", "default"})
#: Names of OpenAI's models, which mean the best model of their kind.
KIND_OF_ALIAS: Mapping[str, Kind] = {
    "tts-1": "speech", "tts-1-hd": "speech", "gpt-4o-mini-tts": "speech",
    "whisper-1": "transcription", "gpt-4o-transcribe": "transcription", "gpt-4o-mini-transcribe": "transcription",
    "dall-e-2": "image", "dall-e-3": "image", "gpt-image-1": "image",
}  # fmt: skip
#: Answers of `choose` that are cached.
REMEMBERED = 1000
#: Seconds after which a client may ask again for a model that cannot run now.
RETRY = 60.0


class ModelSelector:
    """Selects among the served models by their present states."""

    def __init__(self, served: Mapping[str, ServedModel]) -> None:
        self.served = served
        self._chosen: dict[tuple[str, str | None, bool], ServedModel] = {}

    def changed(self) -> None:
        """Drops cached answers. Called when a model's state changed."""
        self._chosen.clear()

    def choose(self, asked: str | None, language: str, voice: str | None = None, *, clone: bool = False) -> ServedModel:
        """The model for speech: the named one, else the best that can clone, has the voice, or speaks the language.
        Raises `UnknownModel`, `InvalidRequest` for a model of another kind, `UnsupportedLanguage`, `ModelLoading`,
        `ModelUnavailable`."""
        if (named := self._named(asked, "speech")) is not None:
            return named
        if (served := self._chosen.get((language, voice, clone))) is None:
            served = self._chosen[(language, voice, clone)] = self._best_for(language, voice, clone)
            if len(self._chosen) > REMEMBERED:
                self._chosen.clear()
        return served

    def choose_kind(self, asked: str | None, kind: Kind, language: str | None = None) -> ServedModel:
        """The model for work that is not speech: the named one, else the best of its kind. Raises `UnknownModel`,
        `InvalidRequest` for a model of another kind, `UnsupportedLanguage`, `ModelLoading`, `ModelUnavailable`."""
        if (named := self._named(asked, kind)) is not None:
            if named.capabilities is not None and not speaks(named.capabilities.languages, language):
                raise errors.UnsupportedLanguage(
                    f"{named.name} does not know the language {language!r}", param="language"
                )
            return named
        candidates = self._of_kind(kind)
        for served in candidates:
            if served.usable and served.capabilities is not None and speaks(served.capabilities.languages, language):
                return served
        for served in candidates:
            if served.becoming_usable:
                raise self._loading(served)
        if any(model.usable for model in candidates):
            raise errors.UnsupportedLanguage(f"No model here knows the language {language!r}", param="language")
        why = "; ".join(self._why_not(model) for model in candidates)
        raise errors.ModelUnavailable(why, param="model", retry_after=RETRY)

    def _of_kind(self, kind: Kind) -> list[ServedModel]:
        """The served models of a kind, the best first. Raises `UnknownModel` if there is none."""
        if found := [model for model in self.ranked() if model.kind == kind]:
            return found
        names = " or ".join(name for name, spec in catalog.MODELS.items() if spec.kind == kind)
        how = f"--model {names}" if names else "--model FOLDER (docs/images.md)"
        raise errors.UnknownModel(f"No model for {kind} is served here; start the server with {how}", param="model")

    def _best_for(self, language: str, voice: str | None, clone: bool) -> ServedModel:
        speech = self._of_kind("speech")
        if (suited := self._suited(speech, voice, clone)) is not None:
            return suited
        for served in speech:
            if served.usable and served.capabilities is not None and speaks(served.capabilities.languages, language):
                return served
        for served in speech:
            if served.becoming_usable and speaks(served.spec.languages, language):
                raise self._loading(served)
        for served in speech:
            if not served.usable and speaks(served.spec.languages, language):
                raise errors.ModelUnavailable(self._why_not(served), param="model", retry_after=RETRY)
        if any(model.usable for model in speech):
            names = ", ".join(model.name for model in speech if model.usable)
            why = f'No model here speaks {language!r} (served: {names}); name one with "model" to have it try'
            able = {m.name: m.capabilities.installable.get(language) for m in speech if m.usable and m.capabilities}
            if (found := next(((name, how) for name, how in able.items() if how), None)) is not None:
                why = f"{found[0]} cannot speak {language!r} yet: the operator installs what it needs {found[1]}"
            raise errors.UnsupportedLanguage(why, param="language")
        raise errors.ModelUnavailable("; ".join(self._why_not(model) for model in speech), retry_after=RETRY)

    @staticmethod
    def _suited(speech: list[ServedModel], voice: str | None, clone: bool) -> ServedModel | None:
        """The best model that can clone, or that has the voice, if the request needs either; else None."""
        for served in speech:
            if served.usable and served.capabilities is not None:
                if clone and served.capabilities.cloning:
                    return served
                if voice is not None and has_voice(served.capabilities, voice):
                    return served
        return None

    def _named(self, name: str | None, kind: Kind) -> ServedModel | None:
        """The model that a request for work of a kind names; None if it names none, or means the best.

        Raises `UnknownModel`, `InvalidRequest` for a model of another kind, `ModelLoading`, `ModelUnavailable`."""
        if name is None or name in AUTO or KIND_OF_ALIAS.get(name) == kind:
            return None
        served = self.served.get(name)
        does = served.kind if served is not None else KIND_OF_ALIAS.get(name)
        if does is not None and does != kind:
            able = ", ".join(model.name for model in self._of_kind(kind))
            raise errors.InvalidRequest(
                f"The model {name[:60]!r} is for {does}, not for {kind}; name one of: {able}", param="model"
            )
        if served is None:
            names = ", ".join(self.served)
            hint = " It is in the catalog: start the server with --model " + name if name in catalog.MODELS else ""
            why = f"The model {name[:60]!r} is not served here (served: {names}).{hint}"
            raise errors.UnknownModel(why, param="model")
        if served.usable:
            return served
        if served.becoming_usable:
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
        """All served models, the best first."""
        return sorted(self.served.values(), key=lambda model: -model.spec.rank)

    def cloning(self) -> list[ServedModel]:
        """The models that can speak with an uploaded voice now, the best first."""
        return [m for m in self.ranked() if m.usable and m.capabilities is not None and m.capabilities.cloning]

    def best(self, kind: Kind = "speech") -> ServedModel | None:
        """The best usable model of a kind, whatever the language."""
        usable = [model for model in self.served.values() if model.usable and model.kind == kind]
        return max(usable, key=lambda model: model.spec.rank, default=None)

    def for_stored_job(self, model: str, kind: Kind) -> ServedModel | None:
        """The model for a job from the store: its own, or the best of its kind if that is no longer served. None until
        such a model has started."""
        if (own := self.served.get(model)) is None:
            return self.best(kind)
        return own if own.capabilities is not None else None

    def primary(self) -> ServedModel | None:
        """The model that makes the server ready: the best usable speech model, or the best of all if no served model
        speaks."""
        speech = any(model.kind == "speech" for model in self.served.values())
        usable = [model for model in self.served.values() if model.usable and (model.kind == "speech" or not speech)]
        return max(usable, key=lambda model: model.spec.rank, default=None)


def speaks(languages: tuple[str, ...], language: str | None) -> bool:
    """Whether a language, if one is asked for, is among `languages`; no languages mean any."""
    return language is None or not languages or language in languages
