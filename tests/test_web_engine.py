import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from conftest import endless_model, small_model

import sketchrnn
from sketchrnn import Drawing
from sketchrnn.generate import wanted_samples
from sketchrnn.web import engine
from sketchrnn.web.engine import Encoded, Ending, Engine, Job, Overloaded

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


@pytest.mark.parametrize("broken", ["step", "plan", "encode"])
def test_a_failure_is_that_of_one_model(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    models = {"broken": small_model(seed=1), "sound": small_model()}
    step = engine.Batch.step

    def fail(*_: Any) -> Any:
        raise RuntimeError("no memory")

    if broken == "step":
        monkeypatch.setattr(
            engine.Batch, "step", lambda self, n: fail() if self.model is models["broken"] else step(self, n)
        )
    if broken == "encode":
        monkeypatch.setattr(models["broken"], "encode_each", fail)
    mine, answers, done = Engine(models), dict[str, Any](), threading.Event()

    def of(name: str, begins: threading.Event) -> Job:
        def plan(model: Any, _: Encoded) -> Any:
            if name == "sound":
                return wanted_samples(model, 2, seed=3)
            return fail() if broken == "plan" else wanted_samples(model, 2)

        return Job(name, [line(3)], plan, 48, lambda result: (answers.update({name: result}), begins.set()))  # type: ignore[func-returns-value]

    mine.submit(of("broken", threading.Event()))
    mine.submit(of("sound", done))
    mine.start()
    assert done.wait(60)
    assert answers["sound"] == sketchrnn.sample(models["sound"], 2, seed=3)
    again = threading.Event()
    mine.submit(of("broken", again))
    assert again.wait(60)
    assert isinstance(answers["broken"], RuntimeError)
    assert mine.alive
    mine.stop()


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
    with pytest.raises(Ending):
        mine.submit(job("m", 1, print))


def test_those_who_wait_are_told_of_the_end() -> None:
    mine, answers = Engine({"m": endless_model()}), list[Any]()
    mine.submit(job("m", 1, answers.append))
    mine.start()
    mine.stop()
    assert isinstance(answers[0], Ending)
    assert mine.num_jobs == 0


def line(points: int) -> Drawing:
    return Drawing.from_lines([[[i, i % 3] for i in range(points)]])


def test_few_points_are_encoded_at_once_and_none_for_those_who_have_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MOST_ENCODED", 10)
    model, answers, done, chunks = small_model(), dict[int, Any](), threading.Event(), []
    encode_each = model.encode_each
    monkeypatch.setattr(
        model, "encode_each", lambda given: (chunks.append(list(map(len, given))), encode_each(given))[1]
    )

    def keep(points: int, encoded: Encoded) -> list[Any]:
        answers[points] = encoded
        if len(answers) == 5:
            done.set()
        return []

    mine = Engine({"m": model})
    for points in (15, 4, 3, 6, 2):
        mine.submit(Job("m", [line(points)], lambda _, e, points=points: keep(points, e), 0, lambda _: None))  # type: ignore[misc]
    late = Job("m", [line(7)], lambda _, e: keep(7, e), 0, lambda _: None)
    mine.submit(late)
    mine.forget(late)
    mine.start()
    assert done.wait(60)
    mine.stop()
    assert [chunk for chunk in chunks if chunk] == [[2, 3, 4], [6], [15]]  # the small ones first
    for points, (mu, sigma) in answers.items():
        np.testing.assert_array_equal((mu, sigma), model.encode([line(points)]))


def test_a_large_job_leaves_places_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "PLACES", 8)
    mine, begun, done, drawn = Engine({"m": endless_model()}), threading.Event(), threading.Event(), [0]

    def plan(n: int, length: int) -> Any:
        return lambda model, _: wanted_samples(model, n, max_length=length)

    def count(number: int, rows: np.ndarray, ended: bool) -> None:
        drawn[0] += len(rows)
        begun.set()

    mine.submit(Job("m", [], plan(20, 400), 8000, lambda _: None, count))
    mine.start()
    assert begun.wait(60)
    mine.submit(Job("m", [], plan(1, 40), 40, lambda _: done.set()))
    assert done.wait(60)
    there = drawn[0]
    mine.stop()
    assert there < 8 * 400  # it did not wait for the first to end


def test_drawings_of_those_who_have_gone_leave_their_places() -> None:
    mine, begun = Engine({"m": endless_model()}), threading.Event()
    given_up = job("m", 1, lambda _: None, n=5, on_points=lambda *_: begun.set())
    mine.submit(given_up)
    mine.start()
    assert begun.wait(60)
    mine.forget(given_up)
    while mine.num_jobs:
        pass
    mine.stop()
    assert len(mine._batches["m"]) == 0


def test_small_jobs_find_room_when_large_ones_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MOST_POINTS", 1000)
    mine = Engine({"m": small_model()})

    def of(points: int) -> Job:
        return Job("m", [line(points // 2)], lambda *_: [], points - points // 2, print)

    mine.submit(of(2000))  # alone, it may
    with pytest.raises(Overloaded):
        mine.submit(of(10))
    mine = Engine({"m": small_model()})
    mine.submit(of(400))
    with pytest.raises(Overloaded):
        mine.submit(of(160))
    mine.submit(of(140))
