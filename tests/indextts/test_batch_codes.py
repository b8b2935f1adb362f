"""Codes of the batched runtime: the package's own, whichever rows share the slots."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import torch
from transformers import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from antiphon.engines.indextts.batch import draws, parts, prompts, sampling
from antiphon.engines.indextts.batch.codes import CodeSlots, Prompt, row_bytes
from antiphon.engines.indextts.batch.sampling import Sampling
from tests.indextts.batch_models import Modules, tokens, voice

UNITS, CODES = 8, 64
#: The larger model takes a second for a text.
FEW = {"tiny": UNITS, "mid": 5}
GREEDY = Sampling(temperature=0.0)


pytestmark = pytest.mark.usefixtures("inference")


def speaker(modules: Modules, number: int) -> Any:
    """[1, width], with the emotion."""
    made = voice(modules, number, 8)
    return modules.gpt.spk_emb_proj(made.style) + made.emotion


def prompt(modules: Modules, number: int, how: Sampling, limit: int = CODES) -> Prompt:
    embedding = prompts.prompt_model(modules.gpt)(speaker(modules, number), tokens(number))
    return Prompt(embedding, draws.uniforms(number, limit), limit, how)


def made_slots(modules: Modules, count: int) -> CodeSlots:
    return CodeSlots(parts.code_model(modules.gpt), count, 320, CODES)


def serve(slots: CodeSlots, modules: Modules, order: Iterable[int], how: Sampling, steps: int = 3) -> list[list[int]]:
    """Codes of all units, which join as soon as a slot is free."""
    waiting, at, done = list(order), {}, {}
    while waiting or at:
        joining, waiting = waiting[: slots.free], waiting[slots.free :]
        if joining:
            at.update(zip(slots.join([prompt(modules, n, how) for n in joining]), joining, strict=True))
        for slot, count in slots.advance(steps).items():
            done[at.pop(slot)] = slots.codes(slot, count).tolist()
            slots.leave(slot)
    return [done[n] for n in sorted(done)]


def of_package(modules: Modules, number: int) -> list[int]:
    """Greedy codes of the package's own `generate`."""
    gpt, made = modules.gpt, voice(modules, number, 8)
    ids = torch.tensor([tokens(number)])
    drawn = gpt.inference_speech(
        ids, torch.zeros(1, dtype=torch.long), made.emotion, made.style, max_generate_length=CODES, do_sample=False,
        num_beams=1, repetition_penalty=10.0, suppress_tokens=[gpt.start_mel_token],
    )[0].tolist()  # fmt: skip
    return drawn[: drawn.index(gpt.stop_mel_token)] if gpt.stop_mel_token in drawn else drawn


@pytest.mark.parametrize("size", ["tiny", "mid"])
def test_greedy_codes_are_the_packages(size: str, request: pytest.FixtureRequest) -> None:
    modules: Modules = request.getfixturevalue(size)
    want = [of_package(modules, n) for n in range(FEW[size])]
    assert len({tuple(codes) for codes in want}) == FEW[size]
    for count in (1, 3, 8):
        assert serve(made_slots(modules, count), modules, range(FEW[size]), GREEDY) == want


def test_the_penalty_counts_what_fills_the_prompts_place(tiny: Modules, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it no text would have the package's codes: the test above would see it."""
    joined = CodeSlots.join

    def forgetful(self: CodeSlots, rows: list[Prompt]) -> list[int]:
        slots = joined(self, rows)
        self._said[[self._order.index(slot) for slot in slots]] = False
        return slots

    monkeypatch.setattr(CodeSlots, "join", forgetful)
    got = serve(made_slots(tiny, 3), tiny, range(UNITS), GREEDY)
    assert sum(codes == of_package(tiny, n) for n, codes in enumerate(got)) < UNITS


@pytest.mark.parametrize(
    ("top_k", "top_p", "temperature"), [(30, 0.8, 0.8), (1, 0.8, 1.0), (60, 1.0, 1.4), (5, 0.1, 0.3)]
)
def test_chances_are_those_of_transformers(top_k: int, top_p: float, temperature: float) -> None:
    rows, codes = 16, 300
    drawn = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(rows, codes, generator=drawn)
    ids = torch.randint(0, codes, (rows, 9), generator=drawn)
    said = torch.zeros(rows, codes, dtype=torch.bool).scatter(1, ids, True)
    want = LogitsProcessorList(
        [
            RepetitionPenaltyLogitsProcessor(10.0),
            TemperatureLogitsWarper(temperature),
            TopKLogitsWarper(top_k),
            TopPLogitsWarper(top_p),
        ]
    )(ids, logits.clone()).softmax(-1)
    knobs = sampling.Knobs.plain(rows, "cpu")
    knobs.set(torch.arange(rows), [Sampling(temperature, top_k, top_p, 10.0)] * rows)
    found, chances = sampling.candidates(logits, said, knobs)
    assert (torch.zeros(rows, codes).scatter(1, found, chances) - want).abs().max() <= 1e-6
    # A code is drawn as often as its chance says: the numbers are evenly laid here.
    numbers = (torch.arange(4000) + 0.5) / 4000
    alike = sampling.Knobs.plain(4000, "cpu")
    alike.set(torch.arange(4000), [Sampling(temperature, top_k, top_p, 10.0)] * 4000)
    drawn_codes = sampling.choose(logits[:1].expand(4000, -1), said[:1].expand(4000, -1), numbers, alike)
    assert (torch.bincount(drawn_codes, minlength=codes) / 4000 - want[0]).abs().max() < 1e-3


@pytest.mark.parametrize("number", [0.0, 1.0 - 2**-24, 1.0])
def test_no_number_draws_a_code_without_a_chance(number: float) -> None:
    logits = torch.tensor([[0.0, 5.0, 4.9, -3.0]])
    knobs = sampling.Knobs.plain(1, "cpu")
    knobs.set(torch.tensor([0]), [Sampling(top_k=2, top_p=1.0)])
    said = torch.zeros(1, 4, dtype=torch.bool)
    assert sampling.choose(logits, said, torch.tensor([number]), knobs).item() in (1, 2)


@pytest.mark.parametrize("size", ["tiny", "mid"])
def test_sampled_codes_do_not_depend_on_the_neighbours(size: str, request: pytest.FixtureRequest) -> None:
    modules: Modules = request.getfixturevalue(size)
    few = FEW[size]
    alone = serve(made_slots(modules, 1), modules, range(few), Sampling())
    assert alone != serve(made_slots(modules, 1), modules, range(few), GREEDY)
    mixed = [n for n in (4, 0, 7, 2, 6, 1, 3, 5) if n < few]
    for count, order in ((3, range(few)), (8, range(few - 1, -1, -1)), (5, mixed)):
        assert serve(made_slots(modules, count), modules, order, Sampling()) == alone


def test_a_cancelled_row_leaves_its_neighbours_codes_as_they_were(tiny: Modules) -> None:
    alone = serve(made_slots(tiny, 1), tiny, range(4), Sampling())
    slots = made_slots(tiny, 3)
    at = dict(zip(slots.join([prompt(tiny, n, Sampling()) for n in (0, 1, 2)]), (0, 1, 2), strict=True))
    done: dict[int, list[int]] = {}
    for round_ in range(40):
        if round_ == 2:
            gone = next(slot for slot, n in at.items() if n == 1)
            slots.leave(gone)
            del at[gone]
        if round_ == 4:
            at[slots.join([prompt(tiny, 3, Sampling())])[0]] = 3
        for slot, count in slots.advance(3).items():
            done[at.pop(slot)] = slots.codes(slot, count).tolist()
            slots.leave(slot)
    assert done == {n: alone[n] for n in (0, 2, 3)}


def test_what_is_no_number_stays_in_its_slot_and_does_not_outlive_its_row(tiny: Modules) -> None:
    alone = serve(made_slots(tiny, 1), tiny, range(3), Sampling())
    slots, broken = made_slots(tiny, 2), prompt(tiny, 2, Sampling())
    broken = Prompt(torch.full_like(broken.embedding, float("nan")), broken.uniforms, broken.limit)
    bad, good = slots.join([broken, prompt(tiny, 0, Sampling())])
    ended = {}
    while good not in ended:
        ended |= slots.advance(4)
    assert slots.codes(good, ended[good]).tolist() == alone[0]
    slots.leave(bad)
    (slot,) = slots.join([prompt(tiny, 1, Sampling())])
    assert slot == bad
    ended = {}
    while slot not in ended:
        ended |= {s: n for s, n in slots.advance(4).items() if s == slot}
    assert slots.codes(slot, ended[slot]).tolist() == alone[1]


def test_a_row_ends_at_its_limit_and_one_that_does_not_fit_is_refused(tiny: Modules) -> None:
    slots = made_slots(tiny, 2)
    few = prompt(tiny, 0, Sampling(), limit=5)
    (slot,) = slots.join([few])
    assert slots.advance(3) == {}
    assert slots.advance(4) == {slot: 5}
    assert slots.problem(few) is None
    assert "positions" in str(slots.problem(Prompt(few.embedding.repeat(99, 1), few.uniforms, 5)))
    assert "codes" in str(slots.problem(Prompt(few.embedding, draws.uniforms(0, 9999), 9999)))
    with pytest.raises(IndexError, match="free"):
        slots.join([few] * 2)


def test_prompts_are_the_packages(tiny: Modules) -> None:
    made = prompts.prompt_model(tiny.gpt)
    for number in range(3):
        ids = [*tokens(number), 1, 0, 7]
        given = torch.cat([speaker(tiny, number)[None], torch.zeros(1, 2, tiny.gpt.model_dim)], 1)
        _, want, mask = tiny.gpt.prepare_gpt_inputs(given, torch.tensor([ids]), torch.tensor([2]))
        padding = int((mask[0] == 0).sum())
        assert torch.equal(made(speaker(tiny, number), ids, 2), want[0, padding:])


def test_a_model_of_other_shapes_is_refused_by_name(tiny: Modules) -> None:
    kept = tiny.gpt.mel_head
    tiny.gpt.mel_head = torch.nn.Linear(3, 5)
    try:
        with pytest.raises(parts.UnknownModel, match="mel_head"):
            parts.code_model(tiny.gpt)
    finally:
        tiny.gpt.mel_head = kept


@pytest.mark.parametrize("size", ["tiny", "mid"])
def test_the_memory_of_a_row_is_known_beforehand(size: str, request: pytest.FixtureRequest) -> None:
    slots = made_slots(request.getfixturevalue(size), 3)
    assert row_bytes(slots._model, slots.positions) == slots._kv.nbytes / 3
