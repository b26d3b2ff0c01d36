"""The documents: their commands are understood, their examples run, their links and their file tree are true."""

import json
import pkgutil
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import running, small_model, wave

import sketchrnn
from sketchrnn import ModelConfig, TrainConfig, generate
from sketchrnn.cli import COMMANDS, main
from sketchrnn.config import from_dict

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
GUIDE = ROOT / "docs" / "guide.md"
API = ROOT / "docs" / "api.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
Captured = pytest.CaptureFixture[str]

CAT = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100"><path d="M20 50L30 20L45 40L55 40L70 20L80 50"/>'
    '<path d="M40 60H60L50 70Z"/></svg>'
)


def blocks(page: Path, *languages: str) -> list[str]:
    """The code blocks of a page in one of the languages."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S)
    return [text for language, text in found if language in languages]


def shell_lines(page: Path) -> list[list[str]]:
    """The lines of the shell blocks, cut into words."""
    text = "".join(blocks(page, "sh", "bash", "console")).replace("\\\n", " ")
    return [words for line in text.splitlines() if (words := shlex.split(line.removeprefix("$ "), comments=True))]


def commands(page: Path) -> list[list[str]]:
    """What follows `sketchrnn` in the shell blocks and in the running text."""
    written = [words[1:] for words in shell_lines(page) if Path(words[0]).name == "sketchrnn"]
    inline = re.findall(
        r"`sketchrnn ([a-z][^`\n]*)`", re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)
    )
    return written + [shlex.split(text) for text in inline]


def name_of(command: list[str]) -> list[str]:
    """`data prepare` or `train`."""
    return command[: 2 if command[0] in ("data", "paper") and len(command) > 1 else 1]


def help_of(command: list[str], capsys: Captured) -> str:
    assert main([*command, "--help"]) == 0, f"there is no command {command}"
    return capsys.readouterr().out


def has_option(help_text: str, option: str) -> bool:
    return re.search(rf"(?<![\w.-]){re.escape(option)}(?![\w.-])", help_text) is not None


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder, with a space in its name, that holds what the examples name."""
    folder = tmp_path_factory.mktemp("a desk")
    rng = np.random.default_rng(0)
    (folder / "cat.svg").write_text(CAT)
    (folder / "my-drawings").mkdir()
    for i in range(20):
        sketchrnn.write(wave(rng, int(rng.integers(8, 25))), folder / "my-drawings" / f"{i}.svg")
    sketchrnn.write([wave(rng, int(rng.integers(4, 25))) for _ in range(200)], folder / "waves.ndjson")
    sketchrnn.prepare([folder / "waves.ndjson"], folder / "data" / "cat")
    (folder / "runs" / "cat").mkdir(parents=True)
    sketchrnn.save(small_model(), folder / "runs" / "cat" / "model.safetensors")
    return folder


# -- examples in Python


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(text, id=f"{page.stem}-{i}")
        for page in (README, GUIDE)
        for i, text in enumerate(blocks(page, "python"))
    ],
)
def test_examples_in_python_run(source: str, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(desk.rglob("*"))
    monkeypatch.chdir(desk)
    names: dict[str, object] = {}
    exec(compile(source, "example", "exec"), names)
    assert names["sketchrnn"] is sketchrnn
    assert before <= set(desk.rglob("*"))


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of a server, instead of the one that the page names."""
    from sketchrnn.web.app import create_app

    with running(create_app({"cat": small_model()})) as client:
        yield str(client.base_url)


@pytest.mark.parametrize("source", [pytest.param(text, id=f"api-{i}") for i, text in enumerate(blocks(API, "python"))])
def test_calls_of_the_api_run(source: str, desk: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk)
    assert "http://127.0.0.1:8000" in source
    names: dict[str, Any] = {}
    exec(compile(source.replace("http://127.0.0.1:8000", address), "example", "exec"), names)
    if "api" in names:
        names["api"].close()
        assert names["picture"].startswith(b"\x89PNG")
        assert [len(names[name]) for name in ("new", "endings", "again", "way", "sums", "same")] == [4, 3, 3, 5, 2, 2]
        assert len(names["there"]["drawings"]) == 1
        assert names["places"]
    else:
        assert names["lines"]


def test_calls_with_curl_run(desk: Path, address: str) -> None:
    lines = [words for words in shell_lines(API) if words[0] == "curl"]
    assert len(lines) == 2
    for words in lines:
        words = [word.replace("http://127.0.0.1:8000", address) for word in words]
        if shutil.which("curl") is None:
            pytest.skip("there is no curl")
        done = subprocess.run([*words, "--silent"], capture_output=True, text=True, check=True, cwd=desk)
        assert json.loads(done.stdout)["drawings"]


def test_limits_that_the_api_page_names_are_the_real_ones() -> None:
    from sketchrnn.web import engine, forms, guard, reader

    text = API.read_text("utf-8")
    for limit, written in (
        (guard.MOST_BODY, "| 1 MiB, a file"), (guard.MOST_FILE, "a file 16 MiB"),
        (forms.MOST_DRAWINGS, "an answer | 100 |"), (forms.MOST_GIVEN_POINTS, "in a request | 5,000,"),
        (forms.MOST_DRAWN_POINTS, "50,000: drawings times"), (engine.SECONDS, "| 60 seconds |"),
        (reader.SECONDS, "10 seconds of a processor"), (reader.MOST_POINTS, "100,000 points"),
        (guard.BODY_SECONDS, "the whole in 30 |"), (generate.ENDING_ROOM, "room for 32 points"),
    ):  # fmt: skip
        number = limit // 2**20 if limit >= 2**20 else limit
        assert f"{number:,.0f}" in written
        assert written in text


def test_settings_in_the_guide_are_read() -> None:
    found = blocks(GUIDE, "toml")
    assert found
    for text in found:
        tables = tomllib.loads(text)
        assert set(tables) <= {"model", "train"}
        from_dict(ModelConfig, tables.get("model", {}))
        from_dict(TrainConfig, tables.get("train", {}))


# -- the command line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_exist_with_their_options(page: Path, capsys: Captured) -> None:
    for command in commands(page):
        name = name_of(command)
        text = help_of(name, capsys)
        unknown = [word for word in command if re.match(r"--?[a-z]", word) and not has_option(text, word)]
        assert not unknown, f"sketchrnn {' '.join(name)} has no {unknown}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_are_used_rightly(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(tmp_path)  # where there is nothing, a command that was understood fails for want of its files
    for words in shell_lines(page):
        command = words[1:]
        if Path(words[0]).name != "sketchrnn" or name_of(command) in (["demo"], ["serve"], ["data", "download"]):
            continue
        if command[:1] == ["import"] and command[1].startswith("magenta:"):  # it would be downloaded
            continue
        if name_of(command) == ["data", "prepare"]:  # a class of Quick, Draw! would be downloaded
            options = next(i for i, word in enumerate(command) if word.startswith("-"))
            command = ["data", "prepare", "nothing", *command[options:]]
        code = main(command)
        expected = 0 if name_of(command) == ["data", "list"] or command == ["import", "--list"] else 1
        assert code == expected, f"{' '.join(words)}: {capsys.readouterr()}"


def test_options_that_the_text_names_exist(capsys: Captured) -> None:
    every = [[name] for name in COMMANDS if name not in ("data", "paper")]
    every += [["data", name] for name in ("list", "download", "prepare", "info", "show")]
    every += [["paper", name] for name in ("samples", "interpolations", "endings", "tradeoff")]
    texts = "\n".join(help_of(command, capsys) for command in every)
    for page in PAGES:
        for span in re.findall(r"`([^`\n]+)`", page.read_text("utf-8")):
            if span.startswith("python benchmarks/"):
                continue
            for option in re.findall(r"(?<![\w-])--[a-z][\w.-]*", span):
                assert has_option(texts, option), f"{page.name} names {option}, which no command has"


def test_the_readme_names_every_command() -> None:
    named = {command[0] for command in commands(README)}
    assert named == set(COMMANDS)


def test_targets_of_make_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    named = {words[1] for page in PAGES for words in shell_lines(page) if words[0] == "make"}
    assert {"demo", "test", "check"} <= named
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.M), f"the Makefile has no {target}"


# -- the pages themselves


def test_the_readme_has_at_most_160_lines() -> None:
    assert len(README.read_text("utf-8").splitlines()) <= 160


def test_the_file_tree_is_the_real_one() -> None:
    [tree] = [text for text in blocks(README, "text") if "├──" in text]
    top, *rest = tree.splitlines()
    package = ROOT / top.strip()
    inside = {line.split()[1].rstrip("/") for line in rest if line[0] in "├└"}
    real = {path.name for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert inside == real
    for line in rest:
        if line[0] not in "├└":
            assert (ROOT / line.split()[0]).exists(), f"there is no {line.split()[0]}"


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings."""
    titles = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        assert file.is_file(), f"{page.name} links to {target}, which is missing"
        assert not anchor or anchor in headings(file), f"{page.name} links to {target}, but there is no such heading"


def test_every_document_is_linked_from_the_readme() -> None:
    text = README.read_text("utf-8")
    for page in PAGES[1:]:
        assert f"]({page.relative_to(ROOT).as_posix()})" in text, f"the README does not link to {page.name}"


def test_pictures_are_small() -> None:
    pictures = [path for path in (ROOT / "docs" / "pictures").iterdir() if path.is_file()]
    assert pictures
    for picture in pictures:
        assert picture.suffix in (".png", ".svg")
        assert picture.stat().st_size < 150_000, f"{picture.name} is too large"


def test_names_in_the_table_from_paper_to_code_exist() -> None:
    page = (ROOT / "docs" / "paper.md").read_text("utf-8")
    table = page.partition("## What is where")[2].partition("\n## ")[0]
    names = re.findall(r"`([a-z_]+(?:\.\w+)+)`", table)
    assert len(names) > 20
    for name in names:
        assert pkgutil.resolve_name(f"sketchrnn.{name}") is not None
