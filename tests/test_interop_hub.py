"""The Hugging Face hub: the real client against a small server on the loopback that keeps what it is sent."""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import small_model, wave
from PIL import Image

import sketchrnn
from sketchrnn import SketchRNN, TrainConfig, checkpoint
from sketchrnn.cli import main
from sketchrnn.interop import hub
from sketchrnn.run_folder import RunFolder

# huggingface_hub's own upload warns its own HTTP client so
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

COMMIT = "c0ffee" * 6 + "beef"
TOKEN = "hf_of-the-test"


@dataclass
class Hub:
    """What the server holds, and what it does wrong."""

    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """The files of each repository."""
    private: set[str] = field(default_factory=set)
    large: dict[str, bytes] = field(default_factory=dict)
    """Uploaded by checksum, before the commit that names them."""
    commits: list[list[str]] = field(default_factory=list)
    gated: bool = False
    broken: bool = False
    requests: list[str] = field(default_factory=list)
    base: str = ""


class Handler(BaseHTTPRequestHandler):
    """The part of the hub's protocol that a client of files needs."""

    state: Hub

    def log_message(self, *_: object) -> None: ...

    def answer(self, status: int, body: object = None, **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def do_HEAD(self) -> None:
        self.file()

    def do_GET(self) -> None:
        self.file()

    def file(self) -> None:
        state = self.state
        state.requests.append(f"{self.command} {self.path}")
        if (asked := re.fullmatch(r"/api/models/([^/]+/[^/]+)", self.path)) and asked[1] in state.repos:
            return self.answer(200, {"id": asked[1], "private": asked[1] in state.private})
        found = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path)
        if state.broken:
            return self.answer(400, {"error": "not today"})  # 500 would be asked again for half a minute
        if not found or found[1] not in state.repos:
            return self.answer(404, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")
        repo, revision, name = found.groups()
        if state.gated:
            return self.answer(403, {"error": "ask"}, X_Error_Code="GatedRepo", X_Error_Message="Access is restricted")
        if revision not in ("main", COMMIT, "v1"):
            return self.answer(404, {}, X_Error_Code="RevisionNotFound", X_Error_Message="Invalid rev id")
        if name not in state.repos[repo]:
            return self.answer(404, {}, X_Error_Code="EntryNotFound", X_Repo_Commit=COMMIT)
        content = state.repos[repo][name]
        etag = hashlib.sha256(content).hexdigest()
        return self.answer(200, content, ETag=f'"{etag}"', X_Repo_Commit=COMMIT)

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if self.state.broken:
            return self.answer(400, {"error": "not today"})
        assert hashlib.sha256(content).hexdigest() == self.path.rpartition("/")[2]
        self.state.large[self.path.rpartition("/")[2]] = content
        return self.answer(200)

    def do_POST(self) -> None:
        state = self.state
        state.requests.append(f"POST {self.path}")
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.answer(401, {"error": "Invalid username or password."})
        if self.path == "/api/validate-yaml":
            head = yaml.safe_load(json.loads(body)["content"].split("---\n")[1])
            good = isinstance(head, dict) and isinstance(head["license"], str)
            return self.answer(200, {"errors": [] if good else [{"message": "bad head"}], "warnings": []})
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            repo = f"{asked['organization']}/{asked['name']}"
            if asked["organization"] == "others":
                return self.answer(403, {"error": "You don't have the rights to create a model under others"})
            if repo in state.repos:
                return self.answer(409, {"url": f"{state.base}/{repo}"})
            state.repos[repo] = {}
            if asked.get("visibility") == "private" or asked.get("private"):
                state.private.add(repo)
            return self.answer(200, {"url": f"{state.base}/{repo}", "id": "1", "name": repo})
        if found := re.fullmatch(r"/api/models/(.+)/preupload/main", self.path):
            files = json.loads(body)["files"]
            large = (".safetensors", ".png")
            modes = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith(large) else "regular",
                    "shouldIgnore": False,
                }
                for file in files
            ]
            return self.answer(200, {"files": modes})
        if self.path.endswith(".git/info/lfs/objects/batch"):
            wanted = [
                part | {"actions": {"upload": {"href": f"{state.base}/upload/{part['oid']}", "header": {}}}}
                for part in json.loads(body)["objects"]
            ]
            return self.answer(200, {"transfer": "basic", "objects": wanted})
        if found := re.fullmatch(r"/api/models/(.+)/commit/main", self.path):
            lines = [json.loads(line) for line in body.splitlines()]
            repo = state.repos[found[1]]
            for line in lines:
                if line["key"] == "file":
                    repo[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                elif line["key"] == "lfsFile":
                    repo[line["value"]["path"]] = state.large[line["value"]["oid"]]
            state.commits.append([line["value"]["path"] for line in lines if line["key"] != "header"])
            return self.answer(200, {"commitUrl": f"{state.base}/{found[1]}/commit/{COMMIT}", "commitOid": COMMIT})
        return self.answer(404, {})


@pytest.fixture
def server() -> Iterator[Hub]:
    state = Hub()
    listener = ThreadingHTTPServer(("127.0.0.1", 0), type("Here", (Handler,), {"state": state}))
    listener.daemon_threads = True
    state.base = f"http://127.0.0.1:{listener.server_port}"
    thread = threading.Thread(target=listener.serve_forever)
    thread.start()
    yield state
    listener.shutdown()
    listener.server_close()
    thread.join()


@pytest.fixture
def online(server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """The client, sent to that server: what the variables HF_ENDPOINT, HF_HOME and so on set when it is imported."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", server.base)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.base + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_STORED_TOKENS_PATH", str(tmp_path / "stored_tokens"))
    monkeypatch.setattr(constants, "AGENT_HARNESSES_PATH", str(tmp_path / "harnesses.json"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.chdir(tmp_path)
    return server


@pytest.fixture
def model() -> SketchRNN:
    made = small_model()
    made.training_facts = {
        "step": 500,
        "valid": {"L_R": 1.25, "L_KL": 0.5, "nats_per_point": 2.5, "drawings": 40},
        "train": {"steps": 900, "batch_size": 100, "kl_weight": 0.25},
    }
    return made


# -- there and back


def test_what_is_pushed_is_loaded(online: Hub, model: SketchRNN, wave_data: Path) -> None:
    assert sketchrnn.push(model, "me/waves", data=wave_data) == f"{online.base}/me/waves"
    files = online.repos["me/waves"]
    assert sorted(files) == ["README.md", "model.safetensors", "reconstructions.png", "samples.png"]
    assert len(online.commits) == 1
    assert not online.private
    again = sketchrnn.load("me/waves")
    assert again.config == model.config
    assert again.data == model.data
    assert sketchrnn.sample(again, 3) == sketchrnn.sample(model, 3)
    count = len(online.requests)
    assert sketchrnn.load(f"me/waves@{COMMIT}").data == model.data
    assert len(online.requests) == count  # a commit that is here already need not be asked for
    assert sketchrnn.load("me/waves@v1").data == model.data


def test_a_model_is_kept_for_when_there_is_no_network(online: Hub, model: SketchRNN, tmp_path: Path) -> None:
    from huggingface_hub import constants

    sketchrnn.push(model, "me/waves", private=True)
    assert online.private == {"me/waves"}
    online.private.clear()
    commits = len(online.commits)
    with pytest.raises(PermissionError, match="exists and is public"):
        sketchrnn.push(model, "me/waves", private=True)
    assert len(online.commits) == commits
    sketchrnn.load("me/waves")
    constants.HF_HUB_OFFLINE = True  # the fixture sets it back
    assert sketchrnn.load("me/waves").data == model.data
    with pytest.raises(OSError, match="no model at me/other here, and the Hugging Face hub cannot be reached"):
        sketchrnn.load("me/other")
    with pytest.raises(OSError, match="the Hugging Face hub cannot be reached"):
        sketchrnn.push(model, "me/waves")


def test_a_second_push_replaces_the_first(online: Hub, model: SketchRNN) -> None:
    sketchrnn.push(model, "me/waves")
    sketchrnn.push(small_model(seed=1), "me/waves")
    assert sketchrnn.sample(sketchrnn.load("me/waves")) == sketchrnn.sample(small_model(seed=1))


def test_from_the_command_line(server: Hub, model: SketchRNN, tmp_path: Path) -> None:
    """In a process of its own, which the variables alone send to the server."""
    sketchrnn.save(model, tmp_path / "m.safetensors")
    program = (
        "import sys\nfrom sketchrnn.cli import main\n"
        "code = main(['push', 'm.safetensors', 'me/waves', '--private'])\n"
        "sys.exit(code or main(['sample', 'me/waves', '-n', '3', '--out', 'new.svg']))"
    )
    variables = dict(HF_ENDPOINT=server.base, HF_HOME=str(tmp_path / "home"), HF_TOKEN=TOKEN, HF_HUB_OFFLINE="0")
    environment = os.environ | variables | {"HF_HUB_DISABLE_XET": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{server.base}/me/waves", "new.svg: 3 drawings"]
    assert len(sketchrnn.read(tmp_path / "new.svg")) == 3
    assert server.private == {"me/waves"}


# -- what is refused


def test_what_the_hub_does_not_give(online: Hub, model: SketchRNN) -> None:
    def refused(name: str) -> str:
        with pytest.raises(OSError, match=r"hub|who wants it") as caught:
            sketchrnn.load(name)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "there is no model me/nothing, neither here nor on the Hugging Face hub" in refused("me/nothing")
    online.repos["me/empty"] = {}
    assert "me/empty on the Hugging Face hub holds no model.safetensors" in refused("me/empty")
    assert "me/empty on the Hugging Face hub has no revision v7" in refused("me/empty@v7")
    online.gated = True
    assert "me/empty asks who wants it: accept its terms" in refused("me/empty")


def test_a_hub_that_is_ill(online: Hub, model: SketchRNN) -> None:
    online.broken = True
    with pytest.raises(OSError, match="Hugging Face hub"):
        sketchrnn.load("me/waves")
    with pytest.raises(OSError, match="the Hugging Face hub does not take me/waves: Error while uploading"):
        sketchrnn.push(model, "me/waves")
    assert not online.commits


def test_a_model_from_the_hub_is_checked_like_any_other(online: Hub) -> None:
    online.repos["me/damaged"] = {"model.safetensors": b"no tensors"}
    with pytest.raises(ValueError, match="is not a model file, or is damaged"):
        sketchrnn.load("me/damaged")


def test_who_may_not_write(online: Hub, model: SketchRNN, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PermissionError, match="does not let you write others/waves; log in with a token that may"):
        sketchrnn.push(model, "others/waves")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(PermissionError, match="does not let you write me/waves"):
        sketchrnn.push(model, "me/waves")
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(PermissionError, match="hf auth login"):
        sketchrnn.push(model, "me/waves")
    assert not online.repos


@pytest.mark.parametrize(
    "name", ["cat", "a/b/c", "me/..", "../me", "me/cat@v1", "me/c at", "", "/me", "me/", "x" * 97 + "/a"]
)
def test_names_that_are_none(name: str, model: SketchRNN, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no name for the Hugging Face hub: give ORG/NAME"):
        sketchrnn.push(model, name)
    with pytest.raises(ValueError, match="is no name for the Hugging Face hub"):
        hub.write_folder(model, name, tmp_path / "card")
    assert not (tmp_path / "card").exists()


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, model: SketchRNN, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r'no model at me/cat; if it is .*: pip install "sketchrnn\[hub\]"'):
        sketchrnn.load("me/cat")
    with pytest.raises(ImportError, match=r'pip install "sketchrnn\[hub\]"'):
        sketchrnn.push(model, "me/cat")
    assert hub.write_folder(model, "me/cat", tmp_path / "card")  # needs no network


# -- the card


def test_a_card_of_a_run(model: SketchRNN, tmp_path: Path, wave_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    sketchrnn.save(model, run.best)
    for step in (10, 20, 30):
        run.log("train", step, {"loss": 3.0 - step / 30, "L_R": 2.0 - step / 30})
    out = tmp_path / "card"
    arguments = [str(run.path), "me/waves", "--data", str(wave_data), "--licence", "CC BY 4.0", "--out", str(out)]
    assert main(["push", *arguments]) == 0
    assert "nothing was published" in capsys.readouterr().out
    assert sorted(f.name for f in out.iterdir()) == [
        "README.md", "curves.svg", "model.safetensors", "reconstructions.png", "samples.png",
    ]  # fmt: skip
    text = (out / "README.md").read_text("utf-8")
    for picture in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text):
        assert (out / picture).exists()
    assert len(re.findall(r"^!\[", text, re.M)) == 3
    for name in ("samples.png", "reconstructions.png"):
        Image.open(out / name).verify()
    head = yaml.safe_load(text.split("---\n")[1])
    assert head["license"] == "cc-by-4.0"
    assert head["library_name"] == "sketchrnn"
    assert "# wave, drawn by sketch-rnn" in text
    assert "Classes: wave." in text
    assert "Licence of the drawings: CC BY 4.0." in text
    assert "weights of step 500" in text
    assert "| `steps` | 900 |" in text
    assert "| `kl_weight` | 0.25 |" in text
    assert "batch_size" not in text  # as the reference has it
    tested = sketchrnn.evaluate(model, sketchrnn.Dataset(wave_data).test)
    assert f"| `L_R` | 1.25 | {tested['L_R']:.4g} |" in text
    assert f"| `nats_per_drawing` |  | {tested['nats_per_drawing']:.4g} |" in text
    assert f"| {model.num_parameters:,} |" in text
    assert str(tmp_path) not in text
    run.start(model.config, TrainConfig())
    assert main(["push", str(run.path), "me/waves", "--out", str(run.path)]) == 1  # its model would be replaced
    assert "holds a run: choose another folder" in capsys.readouterr().err


def test_the_examples_of_a_card_run(model: SketchRNN, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = hub.card(model, "me/waves")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "me").mkdir()
    sketchrnn.save(model, tmp_path / "me" / "waves")  # under the name that the examples use
    sketchrnn.write(wave(np.random.default_rng(0), 9), tmp_path / "begun.svg")
    [python] = re.findall(r"```python\n(.*?)```", text, re.S)
    exec(compile(python, "card", "exec"), {})
    [shell] = re.findall(r"```sh\n(.*?)```", text, re.S)
    for line in shell.splitlines():
        if line.startswith("sketchrnn"):
            assert main(line.split()[1:]) == 0
    assert {"new.svg", "endings.svg", "again.svg"} <= {file.name for file in tmp_path.iterdir()}


def test_a_card_of_a_model_without_z(tmp_path: Path, wave_data: Path) -> None:
    files = hub.write_folder(small_model(conditional=False), "me/waves", tmp_path / "card", data=wave_data)
    assert [file.name for file in files] == ["model.safetensors", "samples.png", "README.md"]
    text = files[-1].read_text("utf-8")
    assert "decoder only" in text
    assert "reconstruct" not in text.replace("reconstruction loss", "")
    assert "L_KL" not in text
    assert "not known" in text  # the licence


HOSTILE = 'x\n---\nevil: true\n# <script>alert(1)</script> [a](http://x) ![b](y) | ` "quoted" \u202e'


def test_words_of_others_are_words(model: SketchRNN) -> None:
    model.data = sketchrnn.DataInfo(
        scale_factor=1.0, max_length=9, labels=(HOSTILE, "cat"), name=HOSTILE, licence=HOSTILE
    )
    model.training_facts = {
        "imported": {"format": HOSTILE}, "step": "no", "valid": {"L_R": HOSTILE, "drawings": []}, "train": [HOSTILE],
    }  # fmt: skip
    text = hub.card(model, "me/waves", pictures={"samples.png"})
    assert text.count("\n---\n") == 1
    assert set(yaml.safe_load(text.split("---\n")[1])) == {
        "license", "library_name", "license_name", "pipeline_tag", "tags",
    }  # fmt: skip
    body = text.split("---\n", 2)[2]
    assert "<script>" not in re.sub(r"\\.", "", body)
    assert "](http://x)" not in body
    assert "![b" not in body.replace(r"\!", "")
    assert "\u202e" not in text


@pytest.mark.parametrize(
    ("licence", "name"),
    [
        ("CC BY 4.0 (Quick, Draw!, Google, https://quickdraw.withgoogle.com/data)", "cc-by-4.0"),
        ("CC BY-SA 3.0 (KanjiVG)", "cc-by-sa-3.0"),
        ("cc-by-nc-sa-4.0", "cc-by-nc-sa-4.0"),
        ("CC0", "cc0-1.0"),
        ("MIT", "mit"),
        ("MITRE", "other"),
        ("", "other"),
    ],
)
def test_names_of_licences(licence: str, name: str, model: SketchRNN) -> None:
    assert yaml.safe_load(hub.card(model, "me/waves", licence=licence).split("---\n")[1])["license"] == name


# -- models that ship, and what a name may mean


def test_a_model_that_ships(model: SketchRNN, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setattr(checkpoint, "SHIPPED", tmp_path / "models")
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match=r"give a run folder, a \.safetensors file, or ORG/NAME"):
        sketchrnn.load("cat")
    sketchrnn.save(model, tmp_path / "models" / "cat.safetensors")
    sketchrnn.save(model, tmp_path / "models" / "bird.safetensors")
    assert checkpoint.shipped() == ["bird", "cat"]
    assert sketchrnn.load("cat").data == model.data
    with pytest.raises(
        FileNotFoundError, match=r"no model at dog: .*, one that comes with sketchrnn \(bird, cat\), or"
    ):
        sketchrnn.load("dog")
    Path("cat").mkdir()  # a folder of drawings, say, hides nothing
    assert sketchrnn.load("cat").data == model.data
    other = small_model(seed=1)
    sketchrnn.save(other, "cat/model.safetensors")  # a run does: what is here comes first
    assert sketchrnn.sample(sketchrnn.load("cat")) == sketchrnn.sample(other)
    with pytest.raises(FileNotFoundError):
        sketchrnn.load("../models/cat")


@pytest.mark.parametrize("name", ["runs/cat", "./me/cat", "me/cat/x", "kat", "~/cat", "me\\cat"])
def test_names_that_are_not_asked_for(name: str, online: Hub, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    with pytest.raises(FileNotFoundError, match="there is no model at"):
        sketchrnn.load(name)
    assert not online.requests


def test_a_path_is_not_asked_for(online: Hub) -> None:
    with pytest.raises(FileNotFoundError, match="there is no model at"):
        sketchrnn.load(Path("me/cat"))
    assert not online.requests
