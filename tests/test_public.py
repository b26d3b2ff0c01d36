import pkgutil
import subprocess
import sys

import pytest

import sketchrnn

PUBLIC = [
    *("DataConfig", "DataInfo", "Dataset", "Drawing", "ModelConfig", "SketchRNN", "TrainConfig"),
    *("analogy", "complete", "decode", "density", "evaluate", "interpolate", "load", "log_likelihood"),
    *("prepare", "preset", "push", "read", "reconstruct", "sample", "save", "train", "write"),
]


def test_the_public_names_are_these() -> None:
    assert sorted(PUBLIC) == sketchrnn.__all__
    assert sorted([*PUBLIC, "__version__"]) == dir(sketchrnn)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_is_there_and_says_what_it_is(name: str) -> None:
    thing = getattr(sketchrnn, name)
    assert callable(thing)
    assert thing.__name__ == name
    assert (thing.__doc__ or "").strip()


def test_no_module_hides_a_public_name() -> None:
    # importing sketchrnn.train would put the module where the function of that name is
    assert not {module.name for module in pkgutil.iter_modules(sketchrnn.__path__)} & set(PUBLIC)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'smaple'"):
        sketchrnn.smaple  # noqa: B018


HEAVY = ["torch", "pyarrow", "shapely", "matplotlib", "PIL", "httpx", "tyro", "rich"]


@pytest.mark.parametrize(
    "code",
    [
        "import sketchrnn",
        "from sketchrnn.cli import main; main(['--help'])",
        "from sketchrnn.cli import main; main(['--version'])",
        "from sketchrnn.cli import main; main(['nonsense'])",
    ],
)
def test_the_door_loads_nothing_heavy(code: str) -> None:
    program = f"import sys\n{code}\nprint('LOADED', *sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED"


@pytest.mark.parametrize("command", ["train", "sample", "evaluate", "complete"])
def test_help_of_a_command_does_not_load_torch(command: str) -> None:
    program = (
        f"import sys\nfrom sketchrnn.cli import main\nmain([{command!r}, '--help'])\nprint('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
