"""The examples, run as a person would, on a model just exported."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import small_model

from sketchrnn.interop import onnx

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"


@pytest.fixture(params=[True, False])
def exported(request, tmp_path):
    onnx.write(small_model(conditional=request.param, max_length=40), tmp_path / "exported")
    return tmp_path / "exported"


def run(*command, cwd):
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done


def paths_in(file):
    return re.findall(' d="([^"]*)"', file.read_text())


def longest(paths):
    return max(len(re.findall("[ML]", path)) for path in paths)


def test_python_samples_from_onnx(exported, tmp_path):
    run(sys.executable, EXAMPLES / "onnx_sample.py", exported, "out.svg", cwd=tmp_path)
    paths = paths_in(tmp_path / "out.svg")
    assert len(paths) == 1
    assert longest(paths) <= 40  # by chance, it may also be none


def test_javascript_samples_from_onnx(exported, tmp_path):
    node = shutil.which("node", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    modules = ROOT / "page" / "node_modules"
    if node is None or not (modules / "onnxruntime-web").is_dir():
        pytest.skip("no Node, or no onnxruntime-web in page/node_modules: `make page` installs both")
    (tmp_path / "node_modules").symlink_to(modules)
    script = shutil.copy(EXAMPLES / "onnx_sample.mjs", tmp_path)
    run(node, script, exported, "out.svg", cwd=tmp_path)
    paths = paths_in(tmp_path / "out.svg")
    assert len(paths) == 1
    assert longest(paths) <= 40  # by chance, it may also be none
