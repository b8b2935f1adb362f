"""From codes to sound in the batched runtime: each row as the package computes it alone."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from antiphon.engines.indextts.batch import conditions, draws, flow, flow_parts, parts, vocoder
from antiphon.engines.indextts.batch.flow import Flow, FlowRow
from tests.indextts.batch_models import Modules, error, voice

ROWS, STEPS = 8, 25


pytestmark = pytest.mark.usefixtures("inference")


# Codes to conditions


def codes_of(modules: Modules) -> tuple[Any, Any, Any]:
    """Codes of all rows [rows, longest], how many each has, and the frames that are wanted of it."""
    lengths = torch.tensor([20 + 7 * n for n in range(ROWS)])
    drawn = torch.randint(
        0, modules.gpt.start_mel_token, (ROWS, int(lengths.max())), generator=torch.Generator().manual_seed(5)
    )
    frames = torch.tensor([conditions.frames25(n, 0.9 + 0.05 * k) for k, n in enumerate(lengths.tolist())])
    return drawn, lengths, frames


@pytest.mark.parametrize("size", ["tiny", "mid"])
def test_conditions_are_those_of_each_row_alone(size: str, request: pytest.FixtureRequest) -> None:
    modules: Modules = request.getfixturevalue(size)
    drawn, lengths, frames = codes_of(modules)
    features = conditions.decode(parts.codec(modules.codec), drawn, lengths)
    made = conditions.regulate(parts.regulator(modules.regulator), features, 2 * lengths, frames)
    for n in range(ROWS):
        want = modules.codec.decode(drawn[n : n + 1, : lengths[n]])
        assert error(features[n, : 2 * lengths[n]], want[0]) <= 4e-6
        want = modules.regulator(want, ylens=frames[n : n + 1])
        assert error(made[n, : frames[n]], want[0]) <= 4e-6
        assert not made[n, frames[n] :].any()


def test_a_norm_over_the_padding_as_well_would_be_heard(tiny: Modules) -> None:
    """What the package's own regulator makes of a padded batch: why ours norms over a row's own frames."""
    drawn, lengths, frames = codes_of(tiny)
    features = conditions.decode(parts.codec(tiny.codec), drawn, lengths)
    padded = tiny.regulator(features * conditions._inside(2 * lengths, features.shape[1]).transpose(1, 2), ylens=frames)
    alone = tiny.regulator(tiny.codec.decode(drawn[:1, : lengths[0]]), ylens=frames[:1])
    assert error(padded[0, : frames[0]], alone[0]) > 0.01


def test_frames_are_stretched_as_torch_does_at_any_length() -> None:
    """In another order of rounding 57 of the first 400 lengths have a frame that is its neighbour."""
    codes = torch.arange(1, 400)
    have, want = 2 * codes, torch.tensor([conditions.frames25(int(count), 1.0) for count in codes])
    places = torch.arange(int(have.max())).float().expand(len(codes), 1, -1)
    made = conditions._stretched(places, have, want)
    for row, (count, frames) in enumerate(zip(have.tolist(), want.tolist(), strict=True)):
        alone = functional.interpolate(places[row : row + 1, :, :count], size=frames, mode="nearest")
        assert torch.equal(made[row, :, :frames], alone[0])


@pytest.mark.parametrize("size", [(17, 29), (40, 137), (172, 295), (3, 300)])
def test_frames_are_stretched_as_torch_does(size: tuple[int, int]) -> None:
    have, want = size
    x = torch.arange(have * 2.0).view(1, 2, have)
    longer = functional.pad(x, (0, 9))
    made = conditions._stretched(longer, torch.tensor([have]), torch.tensor([want]))
    assert torch.equal(made, functional.interpolate(x, size=want, mode="nearest"))


# Flow


def flow_inputs(modules: Modules) -> list[tuple[Any, Any, Any, Any]]:
    """Noise, reference, conditions and style of each row."""
    rows = []
    for n in range(ROWS):
        made = voice(modules, n, 40 + 11 * n)
        frames = 37 + 13 * ((3 * n) % ROWS)
        more = torch.randn(frames, modules.channels, generator=torch.Generator().manual_seed(n))
        noise = draws.noise(n, 80, made.mel.shape[1] + frames)
        rows.append((noise, made.mel, torch.cat([made.condition, more]), made.style))
    return rows


def flow_of_package(modules: Modules, noise: Any, reference: Any, given_: Any, style: Any, steps: int = STEPS) -> Any:
    frames = torch.LongTensor([noise.shape[1]])
    span = torch.linspace(0, 1, steps + 1)
    made = modules.cfm.solve_euler(
        noise[None].clone(), frames, reference[None], given_[None], style, None, span, flow.GUIDANCE
    )
    return made[0, :, reference.shape[1] :]


def run(flow_: Flow, rows: list[FlowRow]) -> None:
    batch = flow_.batch(rows)
    for _ in range(rows[0].steps):
        flow_.step(batch)
    batch.write_back()


@pytest.mark.parametrize("size", ["tiny", "mid"])
def test_the_flow_of_each_row_is_the_packages(size: str, request: pytest.FixtureRequest) -> None:
    modules: Modules = request.getfixturevalue(size)
    # The larger one takes a second a step.
    steps = STEPS if size == "tiny" else 3
    made, inputs = Flow(flow_parts.flow_model(modules.cfm)), flow_inputs(modules)
    want = [flow_of_package(modules, *each, steps=steps) for each in inputs]
    together = [made.row(*each, steps=steps) for each in inputs]
    assert len({row.frames for row in together}) == ROWS
    run(made, together)
    for row, mel in zip(together, want, strict=True):
        assert error(row.mel, mel) <= 2e-6
        assert error(row.mel[:, -8:], mel[:, -8:]) <= 2e-6


def test_rows_join_and_leave_at_their_own_steps_and_have_their_own_number(tiny: Modules) -> None:
    made, inputs = Flow(flow_parts.flow_model(tiny.cfm)), flow_inputs(tiny)
    steps = [25, 25, 10, 25, 31, 4, 25, 50]
    rows = [made.row(*each, steps=count) for each, count in zip(inputs, steps, strict=True)]
    for tick in range(7 * ROWS + 50):
        on = [row for n, row in enumerate(rows) if 7 * n <= tick and row.done < row.steps]
        if on:
            batch = made.batch(on)
            made.step(batch)
            batch.write_back()
    for row, each, count in zip(rows, inputs, steps, strict=True):
        assert row.done == count
        assert error(row.mel, flow_of_package(tiny, *each, steps=count)) <= 2e-6


def test_without_the_mask_or_the_reflection_a_row_would_hear_its_padding(mid: Modules) -> None:
    """What the newer package's own forward pass, which has no mask, would make of the same batch."""
    made, inputs = Flow(flow_parts.flow_model(mid.cfm)), flow_inputs(mid)[:2]
    want = [flow_of_package(mid, *each, steps=4) for each in inputs]
    for spoil in ("seen", "reflected"):
        rows = [made.row(*each, steps=4) for each in inputs]
        batch = made.batch(rows)
        if spoil == "seen":
            batch.seen = None
        else:
            batch.reflected = batch.reflected.amax(0, keepdim=True).expand(len(batch.reflected), -1, -1)
        for _ in range(4):
            made.step(batch)
        batch.write_back()
        assert max(error(row.mel, mel) for row, mel in zip(rows, want, strict=True)) > 2e-5


# Vocoder


@pytest.fixture(scope="module")
def bigvgan() -> Any:
    """The published shape, which decides how far a frame reaches, and a twelfth of the width."""
    from indextts25.s2mel.modules.bigvgan.bigvgan import BigVGAN
    from indextts25.s2mel.modules.bigvgan.env import AttrDict

    from tests.indextts import checkpoint

    shape = checkpoint._vocoder() | {
        "upsample_rates": [4, 4, 2, 2, 2, 2], "upsample_kernel_sizes": [8, 8, 4, 4, 4, 4],
        "upsample_initial_channel": 128, "resblock_kernel_sizes": [3, 7, 11],
        "resblock_dilation_sizes": [[1, 3, 5]] * 3,
    }  # fmt: skip
    torch.manual_seed(0)
    return BigVGAN(AttrDict(shape)).eval()


def vocoded(model: Any, mels: list[Any], width: int, most: int = 6) -> list[Any]:
    sounds = [vocoder.Sound(mel, width) for mel in mels]
    while waiting := [sound for sound in sounds if not sound.done]:
        vocoder.vocode(model, vocoder.take(waiting, most))
    return [sound.samples for sound in sounds]


def test_windows_give_the_sound_of_the_whole(bigvgan: Any) -> None:
    mels = [torch.randn(80, n, generator=torch.Generator().manual_seed(n)) for n in (60, 96, 97, 150, 233)]
    for mel, got in zip(mels, vocoded(bigvgan, mels, 96), strict=True):
        assert error(got, bigvgan(mel[None])[0, 0]) <= 2e-6


def test_less_overlap_or_padding_at_the_end_would_be_heard(bigvgan: Any) -> None:
    mel = torch.randn(80, 150, generator=torch.Generator().manual_seed(150))
    want = bigvgan(mel[None])[0, 0]
    padded = bigvgan(functional.pad(mel, (0, 42))[None])[0, 0, : len(want)]
    assert error(padded, want) > 0.01
    sound = vocoder.Sound(mel, 96)
    # As if 24 frames of overlap sufficed: joined in the middle of them.
    sound.pending = [vocoder.Window(0, 96, 0, 84), vocoder.Window(72, 78, 84, 150)]
    for window in list(sound.pending):
        vocoder.vocode(bigvgan, [(sound, window)])
    assert error(sound.samples, want) > 2e-6


@given(frames=st.integers(1, 3000), width=st.integers(97, 400))
def test_windows_cover_a_mel_once_and_overlap_enough(frames: int, width: int) -> None:
    made = vocoder.windows(frames, width)
    assert made[0].left == made[0].start == 0
    assert made[-1].right == frames == made[-1].start + made[-1].width
    for one, two in pairwise(made):
        assert one.right == two.left
        assert one.start + one.width - two.start >= vocoder.OVERLAP
        assert one.start + one.width - one.right >= vocoder.OVERLAP // 2
        assert two.left - two.start >= vocoder.OVERLAP // 2
    assert len({window.width for window in made}) == 1


def test_a_batch_has_windows_of_one_width(bigvgan: Any) -> None:
    sounds = [vocoder.Sound(torch.zeros(80, n), 96) for n in (40, 200, 40, 300)]
    assert [window.width for _, window in vocoder.take(sounds, 9)] == [40, 40]
    assert len(vocoder.take(sounds[1:2] + sounds[3:], 5)) == 5
