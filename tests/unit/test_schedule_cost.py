"""The cost model finds what is true, is not led astray, and survives a restart."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable

import pytest

from antiphon.schedule.cost import DOUBT, LEAST, CostModel, CostModels

TRUTHS = [(0.05, 0.01), (0.5, 0.1), (2.0, 0.3), (0.0, 0.004), (0.3, 0.0)]


def teach(
    model: CostModel, truth: Callable[[float], float], count: int, *, seed: int = 3, outliers: float = 0.0
) -> None:
    rnd = random.Random(seed)
    for _ in range(count):
        length = rnd.uniform(20, 200)
        model.learn(length, truth(length) * rnd.uniform(0.8, 1.25) * (20 if rnd.random() < outliers else 1))


@pytest.mark.parametrize("prior", [(0.1, 0.02), (5.0, 1.0), (0.001, 0.0001)])
@pytest.mark.parametrize(("a", "b"), TRUTHS)
def test_it_learns_from_any_prior_also_with_outliers(a: float, b: float, prior: tuple[float, float]) -> None:
    model = CostModel(prior)
    teach(model, lambda length: a + b * length, 400, outliers=0.03)
    for length in (30, 100, 180):
        assert model.predict(length) == pytest.approx(max(LEAST, a + b * length), rel=0.15)
    assert model.error < 0.3
    assert model.count == 400


@pytest.mark.parametrize(("a", "b"), TRUTHS[:4])
def test_a_few_units_are_enough_for_a_fair_guess(a: float, b: float) -> None:
    model = CostModel((5.0, 1.0))
    teach(model, lambda length: a + b * length, 8)
    assert model.predict(100) == pytest.approx(a + b * 100, rel=0.3)


def test_one_unit_that_met_a_busy_machine_moves_little() -> None:
    model = CostModel()
    teach(model, lambda length: 0.1 + 0.01 * length, 50)
    before = model.predict(100)
    model.learn(100, 100 * before)
    assert model.predict(100) == pytest.approx(before, rel=0.1)


def test_a_machine_that_stays_slower_is_believed_within_a_few_units() -> None:
    model = CostModel()
    teach(model, lambda length: 0.1 + 0.01 * length, 200)
    teach(model, lambda length: 0.3 + 0.03 * length, 6, seed=4)
    assert model.predict(100) == pytest.approx(3.3, rel=0.25)


def test_units_of_one_length_do_not_make_it_forget_the_slope() -> None:
    model = CostModel()
    teach(model, lambda length: 0.1 + 0.01 * length, 200)
    rnd = random.Random(1)
    for _ in range(2000):
        model.learn(100, 1.1 * rnd.uniform(0.95, 1.05))
    assert model.predict(100) == pytest.approx(1.1, rel=0.05)
    assert 0.2 < model.predict(30) < 1.1
    assert 1.1 < model.predict(300) < 4.0
    kept = model.to_json()
    assert kept["p"][0] <= DOUBT * kept["scale"][0] ** 2 * 1.001
    assert kept["p"][2] <= DOUBT * kept["scale"][1] ** 2 * 1.001


def test_it_never_predicts_less_than_nothing() -> None:
    model, rnd = CostModel(), random.Random(5)
    for _ in range(500):
        # Falls with the length, which no line through it may do.
        length = rnd.uniform(1, 100)
        model.learn(length, max(0.0, 1 - length / 100) + rnd.random() / 10)
        assert model.a >= 0
        assert model.b >= 0
        assert model.predict(0) >= LEAST
        assert math.isfinite(model.predict(1e6))


@pytest.mark.parametrize(
    ("length", "seconds"), [(math.nan, 1), (1, math.nan), (math.inf, 1), (1, math.inf), (-1, 1), (1, -1)]
)
def test_numbers_that_cannot_be_are_ignored(length: float, seconds: float) -> None:
    model = CostModel()
    model.learn(length, seconds)
    model.learn_audio(length, seconds)
    assert model.to_json() == CostModel().to_json()


def test_seconds_of_audio_are_learned_by_length() -> None:
    model, rnd = CostModel(), random.Random(2)
    assert model.predict_audio(10) is None
    for _ in range(200):
        length = rnd.uniform(20, 200)
        model.learn_audio(length, 0.07 * length * rnd.uniform(0.9, 1.1) * (30 if rnd.random() < 0.02 else 1))
    assert model.predict_audio(100) == pytest.approx(7.0, rel=0.2)


def test_it_goes_on_after_a_restart_as_if_there_had_been_none() -> None:
    models = CostModels()
    teach(models.model("kokoro"), lambda length: 0.5 + 0.1 * length, 60)
    models.model("kokoro").learn_audio(100, 7.0)
    kept = json.loads(json.dumps(models.to_json()))
    again = CostModels()
    held = again.model("kokoro")
    again.load_json(kept)
    assert again.model("kokoro") is held, "who holds a model already learns of what was kept"
    assert again.to_json() == models.to_json()
    fresh = CostModels()
    fresh.load_json(kept)
    assert fresh.to_json() == models.to_json()
    for each in (models, again):
        teach(each.model("kokoro"), lambda length: 0.5 + 0.1 * length, 20, seed=9)
    assert held.predict(70) == pytest.approx(models.model("kokoro").predict(70), rel=0.02)


@pytest.mark.parametrize(
    "rot", [None, [], "x", {"a": 1}, {"a": None}, {"b": "x"}, {"p": [1, 2]}, {"error": math.nan}, {"a": -1.0}]
)
def test_what_cannot_be_read_is_learned_again(rot: object) -> None:
    good = CostModel((1.0, 2.0)).to_json()
    bad = {**good, **rot} if isinstance(rot, dict) and rot != {"a": 1} else rot
    models = CostModels()
    models.load_json({"bad": bad, "good": good})
    models.load_json(rot)
    assert list(models.to_json()) == ["good"]
    with pytest.raises(ValueError, match="not a cost model"):
        CostModel().load_json(bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("prior", [(0.0, 0.0), (-1.0, 1.0), (math.nan, 1.0)])
def test_a_prior_that_cannot_be_is_refused(prior: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="prior"):
        CostModel(prior)
