"""The command line: `sketchrnn COMMAND ...`. One module a command, loaded when it is asked for.

A command that fails writes one line to stderr and exits with 1; one that is used wrongly exits with 2. Set
`SKETCHRNN_DEBUG=1` to see the traceback behind the line.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module

import sketchrnn

HELP = """\
usage: sketchrnn COMMAND ...

Neural networks that learn to draw.

  demo         the whole road on data that installs with the package: a page of pictures in minutes
  data         drawings in: list, download, prepare, info, show
  train        train a model on a dataset
  evaluate     how well a model explains a dataset's drawings
  sample       new drawings
  reconstruct  drawings through the latent vector and back
  interpolate  from one drawing to another
  analogy      A + (B - C) between drawings
  complete     endings for an unfinished drawing
  import       a model of another program, to use here
  export       a model for another program
  push         publish a model on the Hugging Face hub
  serve        the drawing page in a browser, and models over HTTP
  paper        the paper's experiments, one command each
  bench        how fast this machine trains and samples

  -h, --help   show this, or with a COMMAND the help of that command
  --version    show the version

Example:
  sketchrnn data prepare cat.npz --out data/cat
  sketchrnn train data/cat --out runs/cat
  sketchrnn sample runs/cat -n 16 --temperature 0.4 --out cats.svg
"""

COMMANDS = (
    *("demo", "data", "train", "evaluate", "sample", "reconstruct", "interpolate", "analogy", "complete"),
    *("import", "export", "push", "serve", "paper", "bench"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in `argv` (default: the process's arguments).

    Returns:
        The exit code: 0, 1 (it failed), 2 (wrong use), 130 (interrupted).
    """
    args = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _run(args)
        sys.stdout.flush()  # a reader that has gone away is noticed here, not at the interpreter's end
    except KeyboardInterrupt as stop:
        print(f"sketchrnn: {str(stop) or 'interrupted'}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # `sketchrnn ... | head` is no failure to report
        return 1
    except Exception as error:
        if os.environ.get("SKETCHRNN_DEBUG"):
            raise
        print(f"sketchrnn: {_sentence(error)}", file=sys.stderr)
        return 1
    return code


def _run(args: Sequence[str]) -> int:
    if not args:
        print(HELP, end="", file=sys.stderr)
        return 2
    command, *rest = args
    if command in ("-h", "--help"):
        print(HELP, end="")
        return 0
    if command == "--version":
        print(f"sketchrnn {sketchrnn.__version__}")
        return 0
    if command not in COMMANDS:
        print(_unknown(command), file=sys.stderr)
        return 2
    try:
        module = "import_" if command == "import" else command  # a word of Python's own
        import_module(f"{__name__}.{module}").main(rest)
    except SystemExit as stop:  # how tyro ends after --help and on wrong use
        return stop.code if isinstance(stop.code, int) else 0
    return 0


def _unknown(command: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(command, COMMANDS, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(COMMANDS)}"
    return f"sketchrnn: no command {command!r}; {hint} (see sketchrnn --help)"


def _sentence(error: Exception) -> str:
    """What went wrong, on one line."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        text = f"{os.fsdecode(error.filename)}: {error.strerror[0].lower()}{error.strerror[1:]}"
    elif isinstance(error, ValueError | OSError | ImportError):
        text = str(error)
    elif isinstance(error, MemoryError):
        text = "not enough memory"
    else:
        text = f"{type(error).__name__}: {error} (SKETCHRNN_DEBUG=1 shows where)"
    return " ".join(text.split()) or type(error).__name__
