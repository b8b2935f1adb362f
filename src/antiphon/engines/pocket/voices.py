"""Voices: the states of the model from which it speaks as somebody; each is computed once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from antiphon.domain import errors
from antiphon.engines import excerpt
from antiphon.engines.conditioning_cache import ConditioningCache
from antiphon.engines.references import GONE, Reference, References

#: The package's names of the voice that speaks a variant best.
_DEFAULTS = {
    "french": "estelle", "german": "juergen", "italian": "giovanni", "spanish": "lola", "portuguese": "rafael",
    "dutch": "daan",
}  # fmt: skip
_DEFAULT = "alba"


class Voices:
    """The computed voices of the model's folder, its recordings, and the uploaded ones."""

    def __init__(
        self,
        model: Any,
        computed: Mapping[str, Path],
        references: References,
        cache: ConditioningCache,
        *,
        variant: str,
        seconds: float,
    ) -> None:
        """`model` is the package's; `seconds`: the most of a recording that it hears. Raises `ValueError` for a
        computed voice of another model."""
        self._model, self._computed, self._references, self._cache = model, computed, references, cache
        self._seconds = seconds
        self._usual = _DEFAULTS.get(variant.partition("_")[0], _DEFAULT)
        for path in computed.values():
            _check(path, model)

    @property
    def names(self) -> tuple[str, ...]:
        """The default first."""
        names = {*self._computed, *self._references.names}
        return tuple(sorted(names, key=lambda name: (name != self._usual, name not in self._computed, name)))

    def state(self, asked: str) -> Any:
        """The state of an uploaded voice (`ref:DIGEST`) or of one of the model's own. It is shared: nobody may change
        it. Raises `UnknownVoice`."""
        name = asked or self.names[0]
        if name in self._computed:
            path = self._computed[name]
            return self._cache.get(("computed", name), lambda: self._model.get_state_for_audio_prompt(path))
        reference = self._references.of_voice(name)
        return self._cache.get(("heard", reference.digest), self._hearing(reference))

    def _hearing(self, reference: Reference) -> Callable[[], Any]:
        return lambda: self._model.get_state_for_audio_prompt(self.samples(reference))

    def samples(self, reference: Reference) -> Any:
        """The best seconds of a recording at the model's rate: a tensor [1, samples]. Raises `UnknownVoice`: a voice
        may be deleted between a request for it and this."""
        from pocket_tts.data.audio import audio_read
        from pocket_tts.data.audio_utils import convert_audio

        try:
            audio, rate = audio_read(reference.path)
        except FileNotFoundError as e:
            raise errors.UnknownVoice(GONE) from e
        except Exception as e:
            # Nothing is computed here but a file is read, so nothing is wrong but the file.
            raise errors.UnknownVoice("The voice's recording cannot be read; upload it again") from e
        start, end = excerpt.best(audio[0].numpy(), rate, self._seconds)
        if end <= start:
            raise errors.UnknownVoice("There is nothing in the voice's recording; upload it again")
        return convert_audio(audio[:, start:end], rate, self._model.sample_rate, 1)


def _check(path: Path, model: Any) -> None:
    """Raises `ValueError` for a computed voice that is not of this model: it would speak noise."""
    import safetensors
    from pocket_tts.modules.stateful_module import init_states

    expected = {f"{name}/cache": state["cache"] for name, state in init_states(model.flow_lm, 1, 1).items()}
    with safetensors.safe_open(path, framework="pt") as file:
        # [keys and values, rows, positions, heads, channels]
        shapes = {key: file.get_slice(key).get_shape() for key in file.keys() if key.endswith("/cache")}  # noqa: SIM118
    same = shapes.keys() == expected.keys() and all(
        shapes[key][:2] == [2, 1] and shapes[key][3:] == list(expected[key].shape[3:]) for key in shapes
    )
    if not same:
        raise ValueError(f"{path} is no voice of this model; remove it, or fetch the one of this model")
