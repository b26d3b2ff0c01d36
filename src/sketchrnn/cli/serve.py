"""`sketchrnn serve`: the drawing page and the API."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional, arg

from sketchrnn.cli.arguments import Device, Flag


def main(argv: Sequence[str]) -> None:
    tyro.cli(serve, prog="sketchrnn serve", args=argv)


def serve(
    models: Annotated[
        tuple[str, ...],
        Positional,
        arg(
            metavar="[MODEL ...]",
            help="Run folders or .safetensors files; not given, the models that came with the package.",
            help_behavior_hint="",
        ),
    ] = (),
    /,
    *,
    host: str = "127.0.0.1",
    port: Annotated[int, arg(metavar="PORT")] = 8000,
    token: Annotated[str | None, arg(metavar="TOKEN", help_behavior_hint="")] = None,
    data: Annotated[Path | None, arg(metavar="DATA", help_behavior_hint="")] = None,
    cors: Annotated[tuple[str, ...], arg(metavar="ORIGIN", help_behavior_hint="")] = (),
    open_page: Annotated[Flag, arg(name="open")] = False,
    device: Device = "auto",
) -> None:
    """Serves the drawing page, and models over HTTP. Ctrl-C ends it.

    For example:
        sketchrnn serve runs/cat --data data/cat --port 8000

    Args:
        host: The address to listen on. Others than this machine reach 0.0.0.0; give it a token then.
        port: The port to listen on; 0 takes a free one.
        token: What every request to the API must bring; 8 signs or more.
        data: A dataset whose test drawings make the map of the latent space; not given, samples of the model do.
        cors: Origins (https://example.org) whose pages may use the API; not given, only the server's own.
        open_page: Open the page in a browser.
    """
    from sketchrnn.web.serve import serve as run

    def said(line: str) -> None:
        print(line, flush=True)

    run(
        models,
        host=host,
        port=port,
        token=token,
        data=data,
        cors=cors,
        device=device,
        open_page=open_page,
        said=said,
    )
