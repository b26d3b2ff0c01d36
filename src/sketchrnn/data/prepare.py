"""From drawings in any form to a dataset.

The work is cut into tasks: one file, or some hundreds of files with one drawing each. A task writes plain columns to a
folder of its own (a shard), in this process or another, and holds a thousand drawings at a time, or one .npz. The
shards are then joined column by column on disk: ten million drawings need little more memory than ten thousand.
Everything happens in a folder beside the target that takes its name when it is whole.
"""

from __future__ import annotations

import glob
import hashlib
import json
import multiprocessing
import os
import re
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from sketchrnn import formats
from sketchrnn.config import DataConfig
from sketchrnn.data import sources as named
from sketchrnn.data.dataset import SPLITS, Dataset, Split, is_dataset, write_split, write_summary
from sketchrnn.data.shards import (
    Shard,
    ShardWriter,
    fill_empty,
    first_offset,
    join,
    label_counts,
    median_size,
    scale_factor,
)
from sketchrnn.drawing import QUICKDRAW_SIZE, Drawing, like_quickdraw
from sketchrnn.formats import npz

ENDINGS = (".svg", ".inkml", ".npz", ".ndjson", ".bin")  # what is looked for in a folder
SINGLE_ENDINGS = (".svg", ".inkml")  # files that as a rule hold one drawing
FILES_PER_TASK = 200
WORTH_PROCESSES = 4 << 20  # bytes of input from which on starting processes pays


@dataclass(frozen=True)
class Item:
    """A file to read."""

    path: Path
    name: str
    """Its path inside the source: what the split is drawn from, so that it is the same wherever the folder lies."""
    label: str
    key: str | None = None
    overrides: bool = False
    """Label and key are these whatever the file says; else they are for drawings whose file does not say."""
    required: bool = False
    """Named by itself: if it cannot be read, the work ends. What was only found in a folder is set aside."""


@dataclass(frozen=True)
class Source:
    """What one of the given sources turned out to be."""

    name: str
    items: tuple[Item, ...]
    licence: str = ""


def prepare(
    sources: Sequence[str | Path],
    out: str | Path,
    *,
    config: DataConfig | None = None,
    progress: bool = False,
) -> Dataset:
    """Turn drawings from anywhere into the dataset folder `out`, and open it.

    A source is a file in any format, a folder (searched with all that is in it), a dataset, `kanjivg`, or a class of
    Quick, Draw! (`cat`, or `quickdraw:cat` where a file of that name exists), which is downloaded if it is not there.
    An .npz and a dataset keep the splits they have; of everything else, each drawing's split is drawn from the seed,
    its file's name and its place in it.

    Drawings from SVG, InkML and raw Quick, Draw! files are treated as Quick, Draw! treats its own: moved to the corner,
    scaled to 255 (`size`), resampled at every unit, simplified with tolerance 2.0 (`epsilon`), and rounded to whole
    units, where those are no more than the tolerance. Others keep their units unless `size` is set. All are simplified
    further where they have more than `max_points` points.

    What cannot be used is set aside: `dropped.jsonl` in the dataset says which file, where and why. Offsets beyond
    +-1000 are kept; they are clamped in training and for the scale factor, and the drawings that have such are counted.
    `limit` counts for each file, and for each folder of files with one drawing each.

    Args:
        out: must not exist, be empty, or be a dataset, which is replaced when the new one is whole.
        progress: show a bar.

    Raises:
        ValueError: there is no usable drawing, all are alike, or a file named by itself cannot be read.
        OSError: a source does not exist, or `out` cannot be written.
    """
    config = config or DataConfig()
    out = Path(os.path.abspath(out))
    place = Path(os.path.realpath(out))  # through a symbolic link, which stays one
    if not sources:
        raise ValueError("no source of drawings is given: name files, folders, kanjivg or Quick, Draw! classes")
    if out.exists() and not is_dataset(out) and not (out.is_dir() and not any(out.iterdir())):
        raise FileExistsError(f"{out} exists and is not a dataset: name another folder")
    found = [_find(str(source), progress) for source in sources]
    with _work_folder(place) as work:
        parts = work / "parts"
        parts.mkdir()
        _finish(
            _read_all(_tasks(found, config), parts, config, progress),
            parts,
            work,
            _origin(_text(out.name), found, config),
        )
        shutil.rmtree(parts)
        _replace(work, place)
    return Dataset(out)


# -- finding the files


def _find(text: str, progress: bool) -> Source:
    """What `text` names."""
    path = Path(text)
    if path.is_dir() and is_dataset(path):
        dataset = Dataset(path)
        return Source(text, (Item(path, _text(path.name), "", required=True),), dataset.info.licence)
    if path.is_dir():
        return Source(text, tuple(_walk(path)))
    if path.exists():
        formats.kind(path)  # what is no drawing at all is said before any work begins
        return Source(text, (Item(path, _text(path.name), _stem(path), required=True),))
    if text == "kanjivg":
        items = tuple(Item(file, file.name, "kanji", key, overrides=True) for file, key in named.kanjivg())
        return Source(text, items, named.KANJIVG_LICENCE)
    prefix, _, name = text.rpartition(":")
    if prefix == "quickdraw" or (not prefix and name in named.quickdraw_classes()):
        [file] = named.download([name], progress=progress)
        return Source(text, (Item(file, file.name, name, required=True),), named.QUICKDRAW_LICENCE)
    raise FileNotFoundError(
        f"there is no {text}: a source is a file, a folder, kanjivg or a Quick, Draw! class "
        "(`sketchrnn data list` shows them)"
    )


def _walk(folder: Path) -> Iterator[Item]:
    """Files with a known ending under `folder`, hidden ones left out, in the order of their names. The label is the
    name of the sub-folder; outside of one the file's, or for a file with one drawing the folder's."""
    found = False
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in inside.parts)
        if hidden or path.suffix.lower() not in ENDINGS or not path.is_file():
            continue
        single = path.suffix.lower() in SINGLE_ENDINGS
        name = _text(inside)
        top, _, below = name.partition("/")
        label = top if below else _text(folder.resolve().name) if single else _stem(path)
        found = True
        yield Item(path, name, label, key=name if single else None)
    if not found:
        raise ValueError(f"{folder} holds no drawings: no file in it ends in {', '.join(ENDINGS)}")


def _stem(path: Path) -> str:
    name = _text(path.name)
    return name.split(".")[0] or name  # cat.npz and cat.full.npz are both cats


def _text(path: Path | str) -> str:
    """A path as text that can be written: bytes of it that are no UTF-8 become U+FFFD."""
    return os.fsencode(Path(path).as_posix()).decode("utf-8", "replace")


def _tasks(found: Sequence[Source], config: DataConfig) -> list[tuple[Item, ...]]:
    """The files, cut into what is read in one go."""
    tasks: list[tuple[Item, ...]] = []
    for source in found:
        folders: dict[Path, list[Item]] = {}
        for item in source.items:
            if item.path.suffix.lower() in SINGLE_ENDINGS:
                folders.setdefault(item.path.parent, []).append(item)
            else:
                tasks.append((item,))
        for items in folders.values():
            if config.limit is not None and len(items) > config.limit:
                rng = np.random.default_rng(config.seed)
                items = [items[i] for i in sorted(rng.choice(len(items), config.limit, replace=False))]
            tasks += [tuple(items[i : i + FILES_PER_TASK]) for i in range(0, len(items), FILES_PER_TASK)]
    return tasks


# -- a task


def read_task(
    items: Sequence[Item],
    folder: Path,
    config: DataConfig,
    flushed: Callable[[], None] = lambda: None,
) -> Shard:
    """Read `items` into a new shard in `folder`. Runs in whatever process; `flushed` is called after each write."""
    stop = folder.parent / "stop"

    def go_on() -> None:
        if stop.exists():  # the work has been given up: see _in_processes
            raise InterruptedError("the preparation was stopped")
        flushed()

    go_on()
    folder.mkdir()
    shard = Shard(folder)
    writer = ShardWriter(shard, go_on)
    with (folder / "dropped.jsonl").open("w", encoding="utf-8", errors="replace") as dropped:

        def drop(item: Item, where: str, kind: str, reason: str) -> None:
            shard.dropped[kind] += 1
            row = {"file": str(item.path), "where": where, "kind": kind, "reason": reason}
            dropped.write(json.dumps(row, ensure_ascii=False) + "\n")

        for item in items:
            before = shard.dropped.total()
            try:
                _read_item(item, writer, config, drop)
            except (ValueError, OSError) as error:
                told = shard.dropped.total() > before  # its rows say more than that there is nothing left of it
                if writer.failed or isinstance(error, InterruptedError) or (item.required and not told):
                    raise
                drop(item, item.name, "file", str(error))
        writer.close()
    return shard


def _read_item(
    item: Item, writer: ShardWriter, config: DataConfig, drop: Callable[[Item, str, str, str], None]
) -> None:
    kind = "dataset" if item.path.is_dir() else formats.kind(item.path)
    for place, home, others, drawing in _drawings(item, kind, config.limit, drop):
        where = f"{item.name}#{place}"
        if config.recognized_only and not drawing.meta.get("recognized", True):
            drop(item, where, "not recognized", "Quick, Draw! did not recognise it")
            continue
        try:
            made = _fit(drawing, kind, config) if len(drawing) else drawing
        except ValueError as error:
            drop(item, where, "too long", str(error))
            continue
        if len(made) < config.min_points:
            drop(item, where, "too short", f"{len(made)} points, fewer than {config.min_points}")
            continue
        chance = _chance(config.seed, item.name, place)
        split = "test" if chance < config.test else "valid" if chance < config.test + config.valid else "train"
        label, key = (item.label, item.key) if item.overrides else (made.label or item.label, made.key or item.key)
        writer.add(split if split in others else home, made.stroke3, label or None, key)


def _drawings(
    item: Item,
    kind: str,
    limit: int | None,
    drop: Callable[[Item, str, str, str], None],
) -> Iterator[tuple[int, str, tuple[str, ...], Drawing]]:
    """The drawings of a file, each with its place in it, the split that is its home, and the splits that chance may
    move it to. A row that cannot be read has a place too (but in an .npz), so that mending it moves no other."""
    num_bad = 0

    def bad(where: str, reason: str) -> None:
        nonlocal num_bad
        num_bad += kind != "inkml"  # there, it is a stroke of the one drawing
        drop(item, where, "unreadable", reason)

    splits: Mapping[str, Sequence[Drawing]]
    if kind == "dataset":
        Dataset(item.path)  # is it one?
        splits = {name: Split(item.path / f"{name}.arrow") for name in SPLITS}  # the rows as they are
    elif kind == "npz":
        splits = npz.splits(item.path, bad=bad)
    else:
        for i, drawing in enumerate(islice(formats.iterate(item.path, bad=bad), limit)):
            yield i + num_bad, "train", ("valid", "test"), drawing
        return
    if not splits.get("train"):  # no split worth keeping
        for i, drawing in enumerate(islice(chain.from_iterable(splits.values()), limit)):
            yield i, "train", ("valid", "test"), drawing
        return
    count = {name: len(splits.get(name, ())) for name in SPLITS}
    if limit is not None and limit < (total := sum(count.values())):  # of each split its share
        count |= {name: limit * count[name] // total for name in ("valid", "test")}
        count["train"] = limit - count["valid"] - count["test"]
    missing = tuple(name for name in ("valid", "test") if not splits.get(name))
    first = 0
    for name in SPLITS:
        for i, drawing in enumerate(islice(splits.get(name, ()), count[name]), first):
            yield i, name, missing if name == "train" else (), drawing
        first += len(splits.get(name, ()))


def _fit(drawing: Drawing, kind: str, config: DataConfig) -> Drawing:
    """The drawing at the size and with the number of points that the settings ask for."""
    if kind in formats.DEVICE_KINDS:
        drawing = like_quickdraw(drawing, config.size or QUICKDRAW_SIZE, config.epsilon)
    elif config.size is not None:
        drawing = drawing.fitted(config.size)
    return drawing.limited(config.max_points)


def _chance(seed: int, name: str, place: int) -> float:
    """A number in [0, 1) that is the drawing's own, whatever else is prepared with it."""
    digest = hashlib.blake2b(f"{seed}/{name}/{place}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


# -- running the tasks


def _read_all(tasks: Sequence[tuple[Item, ...]], parts: Path, config: DataConfig, progress: bool) -> list[Shard]:
    """The shards of all tasks, in their order, made by as many processes as pay."""
    folders = [parts / f"{i:06d}" for i in range(len(tasks))]
    workers = config.workers or _cores()
    if not config.workers and sum(item.path.stat().st_size for items in tasks for item in items) < WORTH_PROCESSES:
        workers = 1
    with _bar(parts, len(tasks), progress) as show:
        if min(workers, len(tasks)) > 1:
            return _in_processes(tasks, folders, config, min(workers, len(tasks)), show)
        shards: list[Shard] = []
        for items, folder in zip(tasks, folders, strict=True):
            shards.append(read_task(items, folder, config, lambda: show(len(shards))))
            show(len(shards))
        return shards


def _cores() -> int:
    """The processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _in_processes(
    tasks: Sequence[tuple[Item, ...]],
    folders: Sequence[Path],
    config: DataConfig,
    workers: int,
    show: Callable[[int], None],
) -> list[Shard]:
    spawn = multiprocessing.get_context("spawn")  # a forked copy of a process with threads may hang
    try:
        with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_follow_parent) as pool:
            futures = [pool.submit(read_task, *given, config) for given in zip(tasks, folders, strict=True)]
            try:
                pending = set(futures)
                while pending:
                    done, pending = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
                    for future in done:
                        future.result()
                    show(len(futures) - len(pending))
            except BaseException:
                (folders[0].parent / "stop").touch()
                pool.shutdown(cancel_futures=True)  # and wait, so that nobody writes to the folder any more
                raise
            return [future.result() for future in futures]
    except BrokenProcessPool as error:
        raise ChildProcessError(
            "a process that reads drawings died: there is too little memory, or a script calls prepare outside of "
            '`if __name__ == "__main__":`; workers=1 needs no other process'
        ) from error


def _follow_parent() -> None:
    """In a reading process: leave Ctrl-C to the parent, and end when it is gone, even if it was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


@contextmanager
def _bar(parts: Path, total: int, progress: bool) -> Iterator[Callable[[int], None]]:
    """Gives a function that shows how many tasks are done, and how many drawings lie in the shards."""
    if not progress:
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (SpinnerColumn(), TextColumn("reading"), BarColumn(), TextColumn("{task.description}"))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=total)
        shown = 0.0

        def show(done: int) -> None:
            nonlocal shown
            if done == total or time.monotonic() > shown + 0.3:
                shown = time.monotonic()
                drawings = sum(file.stat().st_size for file in parts.glob("*/*.lengths")) // 8
                bar.update(task, completed=done, description=f"{drawings:,} drawings")

        yield show


# -- what was read becomes the dataset


def _origin(name: str, found: Sequence[Source], config: DataConfig) -> dict[str, Any]:
    """What dataset.json says of where the drawings come from."""
    known = list(dict.fromkeys(source.licence for source in found if source.licence))
    unknown = ["unknown for the others"] if known and not all(source.licence for source in found) else []
    return {
        "name": name,
        "licence": "; ".join(known + unknown),
        "sources": [{"source": s.name, "files": len(s.items), "licence": s.licence} for s in found],
        "settings": asdict(config),
    }


def _finish(shards: Sequence[Shard], parts: Path, work: Path, origin: dict[str, Any]) -> None:
    """Write the dataset's files to `work`."""
    dropped = sum((shard.dropped for shard in shards), Counter[str]())
    with (work / "dropped.jsonl").open("wb") as together:
        for shard in shards:
            with (shard.folder / "dropped.jsonl").open("rb") as file:
                shutil.copyfileobj(file, together)
    labels = sorted({label for shard in shards for label in shard.labels})
    splits = {name: join(shards, name, labels, parts) for name in SPLITS}
    total = sum(map(len, splits.values()))
    if not total:
        raise ValueError(_why_none(work / "dropped.jsonl", dropped.total()))
    fill_empty(splits, [name for name in ("valid", "test") if origin["settings"][name] > 0])
    summary = {
        "name": origin["name"],
        "drawings": {name: len(split) for name, split in splits.items()},
        "max_length": max(int(split.lengths.max(initial=0)) for split in splits.values()),
        "mean_length": sum(len(split.values) for split in splits.values()) / total,
        "scale_factor": scale_factor(splits["train"].values),
        "size": (size := median_size(splits["train"])),
        "first_offset": first_offset(splits["train"], size),
        "labels": labels,
        "counts": label_counts(splits, labels),
        "dropped": dict(sorted(dropped.items())),
        "clamped": sum(shard.clamped for shard in shards),
        **origin,
    }
    for name, split in splits.items():
        write_split(work / f"{name}.arrow", split.values, split.offsets(), split.label_ids, labels, split.keys)
    write_summary(work, summary)


def _why_none(dropped: Path, count: int) -> str:
    with dropped.open(encoding="utf-8") as file:
        first = file.readline()
    if not first:
        return "the sources hold no drawing: give others"
    row = json.loads(first)
    return f"no drawing can be used, {count} were set aside, the first at {row['where']}: {row['reason']}"


# -- the folder


@contextmanager
def _work_folder(out: Path) -> Iterator[Path]:
    """A new folder beside `out`, gone at the end unless it was renamed."""
    work = out.with_name(f".{out.name}.{os.getpid()}.preparing")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _clear_left_over(out)
        work.mkdir()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise type(error)(f"{out} cannot be written ({reason}): name another folder") from error
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _replace(work: Path, out: Path) -> None:
    """`work` becomes `out`."""
    old = out.with_name(f".{out.name}.{os.getpid()}.replaced")
    try:
        if out.exists():
            out.rename(old)
        work.rename(out)
    except BaseException:
        if old.exists() and not out.exists():
            old.rename(out)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _clear_left_over(out: Path) -> None:
    """Mend what a preparation that was killed left beside `out`."""
    for folder in out.parent.glob(f".{glob.escape(out.name)}.*"):
        match = re.fullmatch(r"\.(\d+)\.(preparing|replaced)", folder.name[len(out.name) + 1 :])
        if not match or _runs(int(match[1])):
            continue
        if match[2] == "replaced" and not out.exists():  # killed between the two renames of _replace
            folder.rename(out)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _runs(pid: int) -> bool:
    """Whether another process of this number is there; where that cannot be asked, it is taken to be."""
    if pid == os.getpid():
        return False
    if os.name == "nt":  # there, os.kill would end it
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
