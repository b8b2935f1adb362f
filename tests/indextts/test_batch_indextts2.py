"""The batched runtime's stages on IndexTTS2, the older of the two: what differs from IndexTTS-2.5."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

from antiphon.engines.indextts.batch import conditions, draws, flow, flow_parts, parts, prompts
from antiphon.engines.indextts.batch.codes import CodeSlots, Prompt
from antiphon.engines.indextts.batch.flow import Flow
from antiphon.engines.indextts.batch.sampling import Sampling
from tests.indextts import batch_models
from tests.indextts.batch_models import Modules, error, voice

if importlib.util.find_spec("indextts") is None:
    pytest.skip("needs the extra [indextts2]; make test-indextts installs it", allow_module_level=True)

UNITS, CODES = 5, 30


pytestmark = pytest.mark.usefixtures("inference")


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Modules:
    from tests.indextts import checkpoint2

    folder = tmp_path_factory.mktemp("models2") / "indextts-2"
    checkpoint2.build(folder, stop_at=20, emotion_reader=False)
    return batch_models.modules2(folder)


def heard(number: int) -> Any:
    """[1, frames, 1024]: what w2v-bert makes of a recording."""
    return torch.randn(1, 40, 1024, generator=torch.Generator().manual_seed(number))


def tokens(number: int) -> list[int]:
    return [5 + (7 * n + 3 * number) % 60 for n in range(6 + 2 * number)]


def speaker(modules: Modules, number: int) -> Any:
    """[32, width], with the emotion."""
    latents = modules.gpt.get_conditioning(heard(number).transpose(1, 2), torch.tensor([1024]))
    return latents[0] + voice(modules, number, 8).emotion


def of_package(modules: Modules, number: int) -> tuple[list[int], Any]:
    """Greedy codes, and the latents of its second pass [codes, width]."""
    gpt, emotion = modules.gpt, voice(modules, number, 8).emotion
    ids, length = torch.tensor([tokens(number)]), torch.tensor([1024])
    drawn, latents = gpt.inference_speech(
        heard(number), ids, heard(number), cond_lengths=length, emo_cond_lengths=length, emo_vec=emotion,
        do_sample=False, num_beams=1, repetition_penalty=10.0, max_generate_length=CODES,
        suppress_tokens=[gpt.start_mel_token],
    )  # fmt: skip
    found = drawn[0].tolist()
    codes = found[: found.index(gpt.stop_mel_token)] if gpt.stop_mel_token in found else found
    again = gpt(
        latents, ids.clone(), torch.tensor([ids.shape[1]]), torch.tensor([codes]), torch.tensor([len(codes)]),
        heard(number), cond_mel_lengths=length, emo_cond_mel_lengths=length, emo_vec=emotion,
        use_speed=torch.zeros(1, dtype=torch.long),
    )  # fmt: skip
    return codes, again[0]


def test_codes_and_their_latents_are_the_packages(modules: Modules) -> None:
    want = [of_package(modules, n) for n in range(UNITS)]
    assert len({tuple(codes) for codes, _ in want}) == UNITS
    made = prompts.prompt_model(modules.gpt)
    embeddings = [made(speaker(modules, n), tokens(n)) for n in range(UNITS)]
    slots = CodeSlots(parts.code_model(modules.gpt), UNITS, 128, CODES)
    rows = [
        Prompt(each, draws.uniforms(n, CODES), CODES, Sampling(temperature=0.0)) for n, each in enumerate(embeddings)
    ]
    at = {slot: n for n, slot in enumerate(slots.join(rows))}
    found: dict[int, Any] = {}
    while at:
        for slot, count in slots.advance(3).items():
            found[at.pop(slot)] = slots.codes(slot, count)
            slots.leave(slot)
    assert [found[n].tolist() for n in range(UNITS)] == [codes for codes, _ in want]
    latents = slots.latents(embeddings, [found[n] for n in range(UNITS)])
    for got, (_, expected) in zip(latents, want, strict=True):
        assert error(got, expected) <= 4e-6


def test_conditions_are_those_of_each_row_alone(modules: Modules) -> None:
    lengths = torch.tensor([12, 25, 31])
    drawn = [torch.randint(0, 64, (int(n),), generator=torch.Generator().manual_seed(int(n))) for n in lengths]
    latents = [torch.randn(int(n), 1280, generator=torch.Generator().manual_seed(int(n))) for n in lengths]
    frames = torch.tensor([conditions.frames2(int(n)) for n in lengths])
    project = tuple(parts.Reader().linear(f"gpt_layer.{n}", each) for n, each in enumerate(modules.s2mel["gpt_layer"]))
    features = conditions.features2(
        parts.codes(modules.codec), project, pad_sequence(drawn, True), pad_sequence(latents, True)
    )
    made = conditions.regulate(parts.regulator(modules.regulator), features, lengths, frames)
    for n, count in enumerate(lengths.tolist()):
        want = modules.codec.quantizer.vq2emb(drawn[n][None, None]).transpose(1, 2)
        want = want + modules.s2mel["gpt_layer"](latents[n][None])
        length = (lengths[n : n + 1] * 1.72).long()
        assert conditions.frames2(count) == int(length)
        want = modules.regulator(want, ylens=length, n_quantizers=3, f0=None)[0]
        assert error(made[n, : int(length)], want[0]) <= 4e-6


def test_the_flow_of_each_row_is_the_packages(modules: Modules, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TQDM_DISABLE", "1")
    made, steps = Flow(flow_parts.flow_model(modules.cfm)), 6
    inputs = []
    for n in range(3):
        each, frames = voice(modules, n, 20 + 9 * n), 31 + 8 * n
        more = torch.randn(frames, modules.channels, generator=torch.Generator().manual_seed(n))
        inputs.append(
            (draws.noise(n, 80, 20 + 9 * n + frames), each.mel, torch.cat([each.condition, more]), each.style)
        )
    rows = [made.row(*each, steps=steps) for each in inputs]
    batch = made.batch(rows)
    for _ in range(steps):
        made.step(batch)
    batch.write_back()
    for row, (noise, mel, condition, style) in zip(rows, inputs, strict=True):
        want = modules.cfm.solve_euler(
            noise[None].clone(), torch.LongTensor([row.frames]), mel[None], condition[None], style, None,
            torch.linspace(0, 1, steps + 1), flow.GUIDANCE,
        )  # fmt: skip
        assert error(row.mel, want[0, :, row.prompt :]) <= 2e-6
