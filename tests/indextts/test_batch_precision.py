"""What fewer bits do to the sound, measured on random weights: the flow and the vocoder in bfloat16, codes with int8."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from antiphon.engines.indextts.batch import draws, flow_parts, int8, parts, prompts, vocoder
from antiphon.engines.indextts.batch.codes import CodeSlots, Prompt
from antiphon.engines.indextts.batch.flow import Flow
from antiphon.engines.indextts.batch.graphs import Graphs, RecordedVocoder
from antiphon.engines.indextts.batch.sampling import Sampling
from tests.indextts.batch_models import Modules, error, tokens
from tests.indextts.tape import Tape
from tests.indextts.test_batch_codes import GREEDY, of_package, serve, speaker
from tests.indextts.test_batch_sound import bigvgan, flow_inputs

__all__ = ["bigvgan"]

CODES = 48


pytestmark = pytest.mark.usefixtures("inference")


def rms(got: Any, want: Any) -> float:
    """The difference, relative to what is wanted."""
    return float((got.float() - want.float()).square().mean().sqrt() / want.float().square().mean().sqrt())


@pytest.mark.parametrize("size", ["tiny", "mid"])
def test_the_flow_in_bfloat16_is_nearly_that_in_float32(size: str, request: pytest.FixtureRequest) -> None:
    modules: Modules = request.getfixturevalue(size)
    steps = 25 if size == "tiny" else 3
    inputs = flow_inputs(modules)[:2]
    mels = {}
    for dtype in (torch.float32, torch.bfloat16):
        made = Flow(flow_parts.flow_model(modules.cfm, dtype))
        rows = [made.row(*each, steps=steps) for each in inputs]
        batch = made.batch(rows)
        for _ in range(steps):
            made.step(batch)
        # What is added up stays in float32: in bfloat16 25 steps would lose what is smaller than a 256th.
        assert (batch.x.dtype, batch.fixed.dtype) == (torch.float32, dtype)
        batch.write_back()
        mels[dtype] = [row.mel for row in rows]
    noise = [each[0][:, each[1].shape[1] :] for each in inputs]
    of_mel = max(rms(half, full) for half, full in zip(mels[torch.bfloat16], mels[torch.float32], strict=True))
    # Random weights hardly move the noise from which a mel is made: of what they add to it, the error is more.
    of_change = max(
        rms(half - begun, full - begun)
        for half, full, begun in zip(mels[torch.bfloat16], mels[torch.float32], noise, strict=True)
    )
    print(f"{size}: bfloat16 flow, rms {of_mel:.5f} of the mel, {of_change:.5f} of what the flow adds to the noise")
    assert 0 < of_mel <= 0.02
    assert of_change <= 0.02


def test_the_vocoder_in_bfloat16_is_nearly_that_in_float32(bigvgan: Any) -> None:
    mel = torch.randn(80, 110, generator=torch.Generator().manual_seed(110))
    halved = vocoder.in_bfloat16(bigvgan)
    tape = Tape()
    recorded = RecordedVocoder(halved, Graphs(tape), (80, 80), 1, vocoder.HOP)
    sounds = {}
    for name, model in (("full", bigvgan), ("half", halved), ("recorded", recorded)):
        sounds[name] = vocoder.Sound(mel, 80)
        while not sounds[name].done:
            vocoder.vocode(model, vocoder.take([sounds[name]], 1))
    assert tape.repeated
    full, half = sounds["full"].samples, sounds["half"].samples
    print(f"bfloat16 vocoder: rms {rms(half, full):.5f}")
    assert 0 < rms(half, full) <= 0.02
    assert torch.equal(sounds["recorded"].samples, half)


# Int8


@pytest.fixture(params=["tiny", "mid"])
def both(request: pytest.FixtureRequest) -> tuple[Modules, Modules]:
    """The modules, and the same with their code model quantised."""
    modules: Modules = request.getfixturevalue(request.param)
    quantised = copy.copy(modules)
    quantised.gpt = copy.deepcopy(modules.gpt)
    # The copy's own: the package's search reaches the layers by another way.
    quantised.gpt.post_init_gpt2_config()
    int8.quantise(quantised.gpt)
    return modules, quantised


def scores(modules: Modules, drawn: list[list[int]], dtype: Any = torch.float32) -> list[Any]:
    """What the model makes of the texts and of these codes, before each of them."""
    embedding = prompts.prompt_model(modules.gpt)
    made = [embedding(speaker(modules, n), tokens(n)).to(dtype) for n in range(len(drawn))]
    model = parts.code_model(modules.gpt, dtype)
    latents = CodeSlots(model, 1, 320, CODES).latents(made, [torch.tensor(codes) for codes in drawn])
    return [model.head(each) for each in latents]


def test_codes_with_int8_weights_are_mostly_the_same(both: tuple[Modules, Modules]) -> None:
    full, quantised = both
    drawn = [serve_one(full, n) for n in range(4)]
    want, found = scores(full, drawn), {}
    for name, got in (("int8", scores(quantised, drawn)), ("bfloat16", scores(full, drawn, torch.bfloat16))):
        off = max(rms(one, two) for one, two in zip(got, want, strict=True))
        # Of the same text and the same codes before it, is the next one the same?
        alike = torch.cat([one.argmax(-1) == two.argmax(-1) for one, two in zip(got, want, strict=True)])
        found[name] = off, float(alike.float().mean())
    again = [serve_one(quantised, n) for n in range(4)]
    same = sum(one == two for one, two in zip(again, drawn, strict=True))
    print(f"rms of the scores and part of the codes: {found}; with int8 {same} of 4 texts the same")
    off, alike = found["int8"]
    assert 0 < off <= 0.03
    assert alike >= 0.9
    assert all(again)


def serve_one(modules: Modules, number: int) -> list[int]:
    embedding = prompts.prompt_model(modules.gpt)(speaker(modules, number), tokens(number))
    slots = CodeSlots(parts.code_model(modules.gpt), 1, 320, CODES)
    (slot,) = slots.join([Prompt(embedding, draws.uniforms(number, CODES), CODES, GREEDY)])
    while not (done := slots.advance(8)):
        pass
    codes: list[int] = slots.codes(slot, done[slot]).tolist()
    return codes


def test_int8_codes_do_not_depend_on_the_neighbours_and_can_be_recorded(tiny: Modules) -> None:
    quantised = copy.copy(tiny)
    quantised.gpt = copy.deepcopy(tiny.gpt)
    int8.quantise(quantised.gpt)
    alone = serve(CodeSlots(parts.code_model(quantised.gpt), 1, 320, 64), quantised, range(4), Sampling())
    tape = Tape()
    recorded = CodeSlots(parts.code_model(quantised.gpt), 3, 320, 64, Graphs(tape))
    assert serve(recorded, quantised, reversed(range(4)), Sampling()) == alone
    assert tape.repeated


def test_a_search_of_the_package_has_the_same_weights(tiny: Modules) -> None:
    quantised = copy.copy(tiny)
    quantised.gpt = copy.deepcopy(tiny.gpt)
    quantised.gpt.post_init_gpt2_config()
    int8.quantise(quantised.gpt)
    for n in range(3):
        ours = serve(CodeSlots(parts.code_model(quantised.gpt), 1, 320, 64), quantised, [n], GREEDY)
        assert [of_package(quantised, n)] == ours


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_quantising_frees_the_memory_that_it_says(tiny: Modules, dtype: Any) -> None:
    gpt = copy.deepcopy(tiny.gpt).to(dtype)

    def size() -> int:
        held = [*gpt.gpt.h.parameters(), *gpt.gpt.h.buffers()]
        return sum(each.nbytes for each in held)

    before, saved = size(), int8.saved(gpt)
    int8.quantise(gpt)
    factors = sum(layer.scale.nbytes for layer in gpt.modules() if isinstance(layer, int8.Int8Layer))
    assert before - size() == saved - factors
    weights = gpt.gpt.h[0].mlp.c_fc.weight
    int8.quantise(gpt)
    assert gpt.gpt.h[0].mlp.c_fc.weight is weights
    assert int8.saved(gpt) == 0


def test_large_sums_stay_in_the_range_of_float16() -> None:
    """IndexTTS2 computes its codes in float16, which ends at 65,504."""
    full, x = torch.full((1280, 4), 0.02, dtype=torch.float16), torch.full((1, 1280), 2.0, dtype=torch.float16)
    made = int8.Int8Layer(full, torch.zeros(4, dtype=torch.float16))(x)
    assert error(made, x @ full) <= 2e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_each_output_has_a_factor_of_its_own(dtype: Any) -> None:
    """One that is a thousand times smaller than another loses no more of itself."""
    full = torch.randn(32, 24, generator=torch.Generator().manual_seed(3)) * torch.logspace(-3, 0, 24)
    full[:, 5] = 0
    layer = int8.Int8Layer(full.to(dtype), torch.zeros(24, dtype=dtype))
    kept = (layer.weight.float() * layer.scale.float()[:, None]).T
    off = (kept - full.to(dtype).float()).abs().amax(0) / full.to(dtype).float().abs().amax(0).clamp(min=1e-9)
    # Half of a 127th, and what the factor's own rounding takes of the largest value. In float16 the smallest factors are
    # rounded up.
    assert off[8:].max() <= 0.5 / 127 + (0 if dtype == torch.float32 else 2**-8)
    assert off.max() <= (0.06 if dtype == torch.float16 else 0.01)
    assert not kept[:, 5].any()
