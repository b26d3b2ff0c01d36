import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from conftest import endless_model, small_model

import sketchrnn
from sketchrnn.generate import wanted_samples
from sketchrnn.web import engine
from sketchrnn.web.engine import Engine, Job, Overloaded

pytestmark = pytest.mark.usefixtures("backend")


def job(name: str, seed: int, done: Callable[[Any], None], n: int = 2, **more: Any) -> Job:
    return Job(name, [], lambda model, _: wanted_samples(model, n, seed=seed), 48, done, **more)


def test_what_comes_together_is_drawn_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one batch for each model, each as if it were alone."""
    models = {"a": small_model(), "b": small_model("layer_norm", conditional=False)}
    answers: dict[tuple[str, int], Any] = {}
    sizes = []
    step = engine.Batch.step
    monkeypatch.setattr(
        engine.Batch,
        "step",
        lambda self, points: (sizes.append((len(self), len(grown := step(self, points)))), grown)[1],
    )
    all_done = threading.Event()

    def keep(key: tuple[str, int], result: Any) -> None:
        answers[key] = result
        if len(answers) == 20:
            all_done.set()

    mine = Engine(models)
    for seed in range(10):
        for name in models:
            mine.submit(job(name, seed, lambda result, key=(name, seed): keep(key, result)))  # type: ignore[misc]
    mine.start()
    assert all_done.wait(60)
    mine.stop()
    for (name, seed), drawn in answers.items():
        assert drawn == sketchrnn.sample(models[name], 2, seed=seed)
    assert max(size for size, _ in sizes) == 20
    assert mine.num_jobs == mine.num_drawings == 0
    assert mine.points_drawn == sum(len(d) for drawn in answers.values() for d in drawn)


def test_points_come_as_they_are_drawn_and_add_up() -> None:
    model = endless_model(40)
    seen: list[tuple[int, int, bool]] = []
    parts: list[list[np.ndarray]] = [[], []]
    done = threading.Event()
    result: list[Any] = []

    def on_points(i: int, rows: np.ndarray, ended: bool) -> None:
        seen.append((i, len(rows), ended))
        parts[i].append(rows)

    mine = Engine({"m": model})
    mine.start()
    mine.submit(job("m", 1, lambda drawn: (result.append(drawn), done.set()), on_points=on_points))  # type: ignore[func-returns-value]
    assert done.wait(60)
    mine.stop()
    assert len(seen) >= 4  # at most 32 points at a time
    for i in range(2):
        np.testing.assert_array_equal(np.concatenate(parts[i]), result[0][i].stroke3)
        assert [ended for number, _, ended in seen if number == i].count(True) == 1


def test_a_plan_that_fails_is_its_own_failure_alone() -> None:
    def no_plan(*_: Any) -> Any:
        raise ValueError("not so")

    mine, answers, done = Engine({"m": small_model()}), [], threading.Event()
    mine.submit(Job("m", [], no_plan, 1, answers.append))
    mine.submit(job("m", 3, lambda drawn: (answers.append(drawn), done.set())))  # type: ignore[func-returns-value]
    mine.start()
    assert done.wait(60)
    mine.stop()
    assert str(answers[0]) == "not so"
    assert len(answers[1]) == 2


def test_a_damaged_model_fails_alone() -> None:
    damaged = small_model()
    with torch.no_grad():
        damaged.b_y.fill_(float("nan"))
    mine, done, answers = Engine({"damaged": damaged, "sound": small_model()}), threading.Event(), {}

    def keep(name: str, result: Any) -> None:
        answers[name] = result
        if len(answers) == 2:
            done.set()

    for name in ("damaged", "sound"):
        mine.submit(job(name, 1, lambda result, name=name: keep(name, result), n=3))  # type: ignore[misc]
    mine.start()
    assert done.wait(60)
    mine.stop()
    assert isinstance(answers["damaged"], ValueError)
    assert answers["sound"] == sketchrnn.sample(mine.models["sound"], 3, seed=1)
    assert mine.num_jobs == mine.num_drawings == 0


def test_an_engine_that_has_ended_takes_nothing() -> None:
    mine = Engine({"m": small_model()})
    mine.start()
    assert mine.alive
    mine.stop()
    assert not mine.alive
    with pytest.raises(Overloaded):
        mine.submit(job("m", 1, print))
