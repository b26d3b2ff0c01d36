"""The calls that answer at once: the models, the latent space, densities, and files."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import FastAPI, Query, Request
from fastapi.responses import Response

import sketchrnn
from sketchrnn import latent_map
from sketchrnn.drawing import Drawing
from sketchrnn.evaluation import density
from sketchrnn.generate import wanted_samples
from sketchrnn.model.network import SketchRNN
from sketchrnn.web import forms
from sketchrnn.web.forms import wire
from sketchrnn.web.server import PROBLEMS, Server, json_answer, while_there

READ_SECONDS = 15
MOST_DENSITY_POINTS = 1_000
MOST_FILM_PIXELS = 1_000_000  # of a frame


def add_answers(app: FastAPI, server: Server) -> None:
    @app.get("/api/v1/models", summary="The models; the first is the default", responses=PROBLEMS)
    async def models() -> forms.ModelsAnswer:
        return forms.ModelsAnswer(models=[_about(name, model) for name, model in server.engine.models.items()])

    @app.post(
        "/api/v1/encode", summary="mu and sigma of drawings", response_model=forms.EncodedAnswer, responses=PROBLEMS
    )
    async def encode(form: forms.EncodeForm, request: Request) -> Response:
        name, _ = server.conditional(form.model)
        drawings = [each.drawing() for each in form.drawings]
        mu, sigma = await while_there(request, server.encoded(name, drawings))
        return json_answer({"mu": mu.tolist(), "sigma": sigma.tolist()})

    @app.post(
        "/api/v1/density",
        summary="What a model expects at each point of a drawing",
        response_model=forms.DensityAnswer,
        responses=PROBLEMS,
    )
    async def expected(form: forms.DensityForm, request: Request) -> Response:
        _, model = server.model(form.model)
        drawing = form.drawing.drawing()
        if model.data.from_first_point:
            drawing = model.placed(drawing)
        if not form.last and len(drawing) > MOST_DENSITY_POINTS:
            raise ValueError(
                f"there are {len(drawing):,} points; densities are given of {MOST_DENSITY_POINTS:,}, or of the last"
            )
        with server.densities.place():
            work = server.densities.thread(lambda: density(model, drawing, form.z, exact=False))
            mixture = await while_there(request, work)
        rows = slice(-1, None) if form.last else slice(None)
        most = float(np.finfo(np.float32).max)
        return json_answer(
            {name: np.nan_to_num(values[rows], posinf=most).tolist() for name, values in vars(mixture).items()}
        )

    @app.get("/api/v1/map", summary="Drawings laid out by mu", response_model=forms.MapAnswer, responses=PROBLEMS)
    async def latent(
        model: Annotated[str | None, Query(max_length=200)] = None, method: Literal["pca"] = "pca"
    ) -> Response:
        name, _ = server.conditional(model)
        if name not in server.maps:  # made once, for all: it goes on when its client goes
            server.maps[name] = asyncio.create_task(_map(server, name))
        try:
            content = await asyncio.shield(server.maps[name])
        except Exception:
            server.maps.pop(name, None)
            raise
        return Response(content, media_type="application/json", headers={"Cache-Control": "private, max-age=3600"})

    @app.post(
        "/api/v1/read",
        summary="The drawings of a file: SVG, ndjson, npz, bin or InkML",
        response_model=forms.FileAnswer,
        responses=PROBLEMS,
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
            }
        },
    )
    async def read(
        request: Request,
        name: Annotated[
            str, Query(pattern=r"^[\w][\w .()-]{0,99}\.(svg|ndjson|npz|bin|inkml|SVG)$", examples=["cat.svg"])
        ],
        model: Annotated[
            str | None,
            Query(
                max_length=200, description="Bring SVG, InkML and raw drawings to the size and detail of this model's."
            ),
        ] = None,
        begun: Annotated[
            bool,
            Query(
                description="They are not finished: bring the sheet to that size, where an SVG says how large it is."
            ),
        ] = False,
    ) -> Response:
        fit = []
        if model is not None:
            data = server.model(model)[1].data
            fit = [str(data.size), str(data.max_length), *(["begun"] if begun else [])]
        with server.files.place():  # before the file is taken in: those that wait have one each in memory
            content = await request.body()
            answer = await while_there(request, _read(server, name, content, fit))
        if "error" in answer:
            raise ValueError(answer["error"])
        return json_answer(answer)

    @app.post(
        "/api/v1/write",
        summary="A picture of drawings",
        response_class=Response,
        responses=PROBLEMS
        | {
            200: {
                "description": "The picture.",
                "content": {
                    kind: {"schema": {"type": "string", "format": "binary"}}
                    for kind in ("image/svg+xml", "image/png", "image/gif", "application/x-ndjson")
                },
            }
        },
    )
    async def write(
        form: forms.WriteForm, request: Request, format: Annotated[Literal["svg", "png", "gif", "ndjson"], Query()]
    ) -> Response:
        drawings = [each.drawing() for each in form.drawings]
        if not any(map(len, drawings)):
            raise ValueError("there is no point in these drawings")
        if format == "gif" and len(drawings) * form.cell**2 > MOST_FILM_PIXELS:
            raise ValueError(f"a film may have {MOST_FILM_PIXELS:,} pixels; send fewer drawings, or a smaller cell")
        with server.files.place():
            work = server.files.thread(lambda: _written(drawings, format, form.columns, form.cell))
            content = await while_there(request, work)
        kinds = {"svg": "image/svg+xml", "ndjson": "application/x-ndjson"}
        return Response(content, media_type=kinds.get(format, f"image/{format}"))


async def _map(server: Server, name: str) -> bytes:
    model = server.engine.models[name]
    if server.data is not None and len(server.data.test):
        drawings = latent_map.spread(server.data.test, model.data.max_length)
        source = f"test drawings of {server.data.info.name or server.data.folder.name}"
    else:
        points = latent_map.MOST * model.data.max_length
        drawn = await server.drawn(name, [], lambda model, _: wanted_samples(model, latent_map.MOST, seed=0), points)
        drawings = [each for each in drawn if len(each)]
        source = "samples of the model"
    if len(drawings) < 3:
        raise ValueError("there are fewer than three drawings to make a map of")
    parts = [(await server.encoded(name, drawings[i : i + 16]))[0] for i in range(0, len(drawings), 16)]
    mu = np.concatenate(parts)
    places, explained = latent_map.principal_components(mu)
    points_there = [
        {
            "x": round(x, 5),
            "y": round(y, 5),
            "z": [round(value, 4) for value in z],
            "drawing": wire([line.round(3).tolist() for line in drawing.lines()], drawing.label),
        }
        for (x, y), z, drawing in zip(places.tolist(), mu.tolist(), drawings, strict=True)
    ]
    answer = {"method": "pca", "explained": explained, "source": source, "points": points_there}
    return json.dumps(answer, allow_nan=False).encode()


async def _read(server: Server, name: str, content: bytes, fit: Sequence[str]) -> dict[str, Any]:
    """What `web.reader` says of a file, when it has its turn; it is ended when this is cancelled."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    async with server.files.turns:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "sketchrnn.web.reader", name, *fit),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, **threads},
        )
        try:
            out, _ = await asyncio.wait_for(process.communicate(content), READ_SECONDS)
            answer: dict[str, Any] = json.loads(out) if process.returncode == 0 else {}
        except TimeoutError:
            answer = {}
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return answer or {"error": f"{name} takes too long to read or needs too much memory; send a simpler drawing"}


def _written(drawings: Sequence[Drawing], format: str, columns: int | None, cell: float) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"drawings.{format}"
        if format == "ndjson":
            sketchrnn.write(drawings, path)
        else:
            sketchrnn.write(drawings, path, columns=columns, cell=cell)
        return path.read_bytes()


def _about(name: str, model: SketchRNN) -> forms.ModelAnswer:
    config, data = model.config, model.data
    return forms.ModelAnswer(
        name=name,
        conditional=config.conditional,
        encoder_cell=config.encoder_cell if config.conditional else None,
        decoder_cell=config.decoder_cell,
        z_size=config.z_size if config.conditional else None,
        num_mixtures=config.num_mixtures,
        decoder_size=config.decoder_size,
        max_length=data.max_length,
        scale_factor=data.scale_factor,
        size=data.size,
        labels=list(data.labels),
        data=data.name,
        licence=data.licence,
        parameters=model.num_parameters,
    )
