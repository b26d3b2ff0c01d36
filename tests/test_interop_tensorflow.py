"""The reference's checkpoints: two that TensorFlow wrote with the golden weights, and what can be wrong with one."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from golden import FOLDER, model_of
from hypothesis import given, settings
from hypothesis import strategies as st
from test_interop_tensor_bundle import HEADER, entry, forged, masked_crc32c, table

import sketchrnn
from sketchrnn import DataInfo, Drawing, SketchRNN, formats
from sketchrnn.cli import main
from sketchrnn.interop.tensorflow import is_checkpoint, places, read

REAL = Path(__file__).parent / "data/tensorflow"
NAMES = ("enc_layer_norm-dec_hyper-vae", "enc_lstm-dec_lstm-uncond")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A conditional model's folder, to spoil."""
    shutil.copytree(REAL / NAMES[0], tmp_path / "training")
    return tmp_path / "training"


def settings_of(folder: Path, **changed: object) -> None:
    file = folder / "model_config.json"
    kept = json.loads(file.read_text()) | changed
    file.write_text(json.dumps({name: value for name, value in kept.items() if value is not None}))


# -- what is read


@pytest.mark.parametrize("name", NAMES)
def test_the_model_is_the_golden_one(name: str) -> None:
    golden = dict(np.load(FOLDER / f"{name}.npz"))
    expected = model_of(golden)
    model = read(REAL / name, scale_factor=float(golden["scale_factor"]))
    for (ours, a), (theirs, b) in zip(model.named_parameters(), expected.named_parameters(), strict=True):
        assert ours == theirs
        assert torch.equal(a, b)
        assert a.requires_grad
    assert model.config.conditional == expected.config.conditional
    assert model.config.decoder_cell == expected.config.decoder_cell
    assert model.config.encoder_cell == expected.config.encoder_cell
    info = DataInfo(scale_factor=float(golden["scale_factor"]), max_length=48, labels=("cat",), name="cat")
    assert model.data == info
    stored = json.loads((REAL / name / "model_config.json").read_text())
    came_from = {"format": "tensorflow", "file": "vector-6000", "settings": stored}
    assert model.training_facts == {"imported": came_from, "step": 6000}


@pytest.mark.parametrize("name", NAMES)
def test_it_computes_what_the_reference_computed(name: str) -> None:
    """A row of the whole test of `test_golden`, from the checkpoint to the density of points."""
    golden = dict(np.load(FOLDER / f"{name}.npz"))
    model = read(REAL / name, scale_factor=float(golden["scale_factor"]))
    for row in range(5):
        length = int(golden["lengths"][row])
        strokes = golden["stroke5"][row, 1 : length + 1, [0, 1, 3]].T
        strokes[:, :2] *= model.data.scale_factor
        z = golden["z"][row] if model.config.conditional else None
        found = sketchrnn.density(model, Drawing(strokes), z)
        np.testing.assert_allclose(found.pi[:length], golden["pi"][row, :length], atol=1e-5)
        np.testing.assert_allclose(found.q[:length], golden["pen"][row, :length], atol=1e-5)
        np.testing.assert_allclose(
            found.mu_x[:length] / model.data.scale_factor, golden["mu1"][row, :length], atol=1e-5 * 5
        )


@pytest.mark.parametrize("name", NAMES)
def test_it_is_a_model_like_any_other(name: str, tmp_path: Path) -> None:
    model = read(REAL / name, scale_factor=10)
    sketchrnn.save(model, tmp_path / "m.safetensors")
    again = sketchrnn.load(tmp_path / "m.safetensors")
    assert (again.config, again.data, again.training_facts) == (model.config, model.data, model.training_facts)
    assert sketchrnn.sample(again, 3) == sketchrnn.sample(model, 3)


@pytest.mark.parametrize("conditional", [True, False])
@pytest.mark.parametrize("encoder", ["lstm", "layer_norm", "hyper"])
@pytest.mark.parametrize("decoder", ["lstm", "layer_norm", "hyper"])
def test_every_cell(encoder: str, decoder: str, conditional: bool, tmp_path: Path) -> None:
    """Our weights under the reference's names, in a checkpoint of our own making, come back as they were."""
    config = sketchrnn.ModelConfig(
        encoder_cell=encoder, decoder_cell=decoder, conditional=conditional,
        encoder_size=3, decoder_size=5, z_size=4, num_mixtures=2, hyper_units=6, hyper_embedding=2,
    )  # fmt: skip
    model = SketchRNN(config, DataInfo(scale_factor=2.0, max_length=9))
    state = model.state_dict()
    weights = {theirs: state[ours][where].numpy() for theirs, ours, where in places(config)}
    assert sum(array.size for array in weights.values()) == model.num_parameters  # every number, and none twice
    again = read(written(tmp_path, weights), scale_factor=2.0, max_length=9)
    for name, tensor in again.state_dict().items():
        assert torch.equal(tensor, state[name])
    if conditional:
        assert (again.config.encoder_size, again.config.z_size) == (3, 4)


def written(folder: Path, weights: dict[str, np.ndarray]) -> Path:
    data, records = b"", []
    for name in sorted(weights):
        part = np.ascontiguousarray(weights[name]).tobytes()
        dtype = {"float32": 1, "float64": 2}[weights[name].dtype.name]
        place = dict(dtype=dtype, offset=len(data), size=len(part), crc=masked_crc32c(part))
        records.append((name.encode(), entry(*weights[name].shape, **place)))
        data += part
    return forged(folder, data=data, index=table([[HEADER, *records]]))


@pytest.mark.parametrize(
    "said",
    ["", "vector-6000", "vector-6000.index", "vector-6000.data-00000-of-00001", "checkpoint"],
)
def test_a_checkpoint_by_any_of_its_names(said: str, folder: Path) -> None:
    assert read(folder / said, scale_factor=1).config.z_size == 8


@pytest.mark.parametrize(
    "path",
    ["vector-6000", "/home/someone/models/vector-6000", "../../elsewhere/vector-6000", "C:\\models\\vector-6000"],
)
def test_only_the_name_counts_in_the_file_checkpoint(path: str, folder: Path) -> None:
    (folder / "checkpoint").write_text(f'model_checkpoint_path: "{path}"\nall_model_checkpoint_paths: "{path}"\n')
    for part in ("index", "data-00000-of-00001"):
        shutil.copy(folder / f"vector-6000.{part}", folder / f"vector-500.{part}")
    assert read(folder, scale_factor=1).training_facts["step"] == 6000


def test_a_folder_with_one_checkpoint_needs_no_list(folder: Path) -> None:
    (folder / "checkpoint").unlink()
    assert read(folder, scale_factor=1).config.z_size == 8
    (folder / "vector-7.index").touch()
    with pytest.raises(FileNotFoundError, match="several checkpoints, vector-6000, vector-7: give"):
        read(folder, scale_factor=1)


def test_settings_that_are_names_alone(folder: Path) -> None:
    """So the reference wrote them under Python 3."""
    file = folder / "model_config.json"
    file.write_text(json.dumps(list(json.loads(file.read_text()))))
    with pytest.raises(ValueError, match="does not tell max_seq_len: give --max-length"):
        read(folder, scale_factor=1)
    model = read(folder, scale_factor=1, max_length=48)
    assert (model.config.decoder_size, model.data.max_length, model.data.labels) == (20, 48, ())
    file.unlink()
    assert read(folder, scale_factor=1, max_length=48).config == model.config
    with pytest.raises(ValueError, match=r"model_config\.json is missing: give --max-length"):
        read(folder, scale_factor=1)


def test_settings_with_0_and_1(folder: Path) -> None:
    settings_of(folder, conditional=1, data_set=["a/cat.npz", "pig.full.npz"])
    assert read(folder, scale_factor=1).data.labels == ("cat", "pig")


def test_the_scale_factor_of_the_drawings(folder: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    drawings = [Drawing(np.column_stack([rng.normal(0, 40, (9, 2)).round(), np.zeros(9)])) for _ in range(20)]
    formats.npz.write_splits({"train": drawings[:15], "valid": drawings[15:]}, tmp_path / "dog.full.npz")
    model = read(folder, data=tmp_path / "dog.full.npz")
    offsets = np.concatenate([d.stroke3[:, :2] for d in drawings[:15]])
    assert model.data.scale_factor == pytest.approx(np.std(offsets))
    assert (model.data.max_length, model.data.labels) == (48, ("dog",))
    (folder / "model_config.json").unlink()
    assert read(folder, data=tmp_path / "dog.full.npz").data.max_length == 9
    formats.npz.write_splits({"valid": drawings}, tmp_path / "none.npz")
    with pytest.raises(ValueError, match=r"none\.npz has no drawings in `train`"):
        read(folder, data=tmp_path / "none.npz")


def test_the_scale_factor_of_a_dataset(folder: Path, wave_data: Path) -> None:
    model = read(folder, data=wave_data)
    info = sketchrnn.Dataset(wave_data).info
    assert (model.data.scale_factor, model.data.labels, model.data.size) == (info.scale_factor, ("wave",), info.size)


# -- what is refused


def refused(folder: Path, *words: str, **given: object) -> None:
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        read(folder, **{"scale_factor": 1.0, **given})
    for word in words:
        assert word in str(caught.value)


def test_no_scale_factor(folder: Path) -> None:
    refused(folder, "vector-6000 does not tell its scale factor", "--scale-factor", "--data", scale_factor=None)


@pytest.mark.parametrize("scale_factor", [0.0, -1.0, float("nan"), float("inf")])
def test_a_wrong_scale_factor(folder: Path, scale_factor: float) -> None:
    refused(folder, "the scale factor is", scale_factor=scale_factor)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (dict(dec_rnn_size=512), ["model_config.json says that dec_rnn_size is 512", "vector-6000 have 20"]),
        (dict(enc_model="lstm"), ["enc_model is 'lstm'", "'layer_norm'"]),
        (dict(conditional=False), ["conditional is False"]),
        (dict(num_mixture=[]), ["num_mixture is []"]),
        (dict(max_seq_len=None), ["max_seq_len", "--max-length"]),
        (dict(max_seq_len="48"), ["model_config.json: max_seq_len is '48'"]),
        (dict(max_seq_len=10**9), ["model_config.json: max_seq_len is 1000000000"]),
    ],
)
def test_settings_that_cannot_be(folder: Path, changed: dict[str, object], words: list[str]) -> None:
    settings_of(folder, **changed)
    refused(folder, *words)


@pytest.mark.parametrize("text", ["", "{", "3", '{"a": 1', "[" * 100_000, '{"kl_weight": NaN}', '[{"a": 1}]', "\0"])
def test_a_file_of_settings_that_is_none(folder: Path, text: str) -> None:
    (folder / "model_config.json").write_text(text)
    refused(folder, "model_config.json")


def test_settings_without_measure(folder: Path) -> None:
    (folder / "model_config.json").write_bytes(b" " * (2**20 + 1))
    refused(folder, "model_config.json has 1,048,577 bytes")


def test_an_encoder_size_that_nobody_needs_must_be_one(tmp_path: Path) -> None:
    shutil.copytree(REAL / NAMES[1], tmp_path / "training")
    settings_of(tmp_path / "training", z_size=True)
    refused(tmp_path / "training", "vector-6000", "z_size is True")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"vector_rnn/RNN/LSTMCell/bias": None}, ["index has no vector_rnn/RNN/LSTMCell/bias"]),
        ({"vector_rnn/RNN/LSTMCell/W_xh": None}, ["no checkpoint of sketch-rnn", "vector_rnn/RNN/CELL/W_xh"]),
        ({"vector_rnn/RNN/output_w": None}, ["has no vector_rnn/RNN/output_w"]),
        ({"vector_rnn/RNN/output_w": np.zeros(3, "f4")}, ["output_w is (3,), not a matrix"]),
        ({"vector_rnn/RNN/output_w": np.zeros((3, 8), "f4")}, ["num_mixtures is 0"]),
        ({"vector_rnn/RNN/output_w": np.zeros((3, 10), "f4")}, ["output_w is (3, 10), not (3, 9)"]),
        ({"vector_rnn/RNN/output_w": np.zeros((70_000, 9), "f4")}, ["decoder_size is 70000"]),
        # room for 64 GiB of W_hh is not taken before its shape is compared
        ({"vector_rnn/RNN/output_w": np.zeros((65_536, 9), "f4")}, ["W_xh is (5, 12), not (5, 262144)"]),
        ({"vector_rnn/RNN/output_b": np.full(9, np.nan, "f4")}, ["output_b holds numbers that are not finite"]),
        ({"vector_rnn/RNN/output_b": np.zeros(9, "f8")}, ["output_b is of float64; weights are float32"]),
        ({"vector_rnn/RNN/LSTMCell/W_hh": np.zeros((4, 12), "f4")}, ["W_hh is (4, 12), not (3, 12)"]),
    ],
)
def test_weights_that_do_not_fit(changed: dict[str, np.ndarray | None], words: list[str], tmp_path: Path) -> None:
    weights = {
        "vector_rnn/RNN/output_w": np.zeros((3, 9), "f4"),
        "vector_rnn/RNN/output_b": np.zeros(9, "f4"),
        "vector_rnn/RNN/LSTMCell/W_xh": np.zeros((5, 12), "f4"),
        "vector_rnn/RNN/LSTMCell/W_hh": np.zeros((3, 12), "f4"),
        "vector_rnn/RNN/LSTMCell/bias": np.zeros(12, "f4"),
    }
    assert read(written(tmp_path, weights), scale_factor=1, max_length=5).config.num_mixtures == 1
    spoilt = {name: array for name, array in (weights | changed).items() if array is not None}
    refused(written(tmp_path, spoilt), "vector-1", *words, max_length=5)


def test_files_that_are_no_checkpoint(tmp_path: Path, folder: Path) -> None:
    refused(tmp_path / "nothing", "there is no checkpoint", "nothing.index is missing")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "empty holds no checkpoint")
    (tmp_path / "old").write_bytes(b"x" * 99)
    refused(tmp_path / "old", "old is no part of a TensorFlow checkpoint")
    (folder / "checkpoint").write_text("nothing of the kind")
    refused(folder, "checkpoint does not name a checkpoint")
    (folder / "checkpoint").write_text('model_checkpoint_path: ".."')
    refused(folder, "checkpoint does not name a checkpoint")


@settings(deadline=None, max_examples=25)
@given(st.data())
def test_files_of_chance(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.getbasetemp() / "spoilt"
    shutil.copytree(REAL / NAMES[1], folder, dirs_exist_ok=True)
    path = folder / data.draw(st.sampled_from(sorted(file.name for file in (REAL / NAMES[1]).iterdir())))
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    try:
        read(folder, scale_factor=1)
    except (ValueError, OSError) as error:
        assert str(folder) in str(error)  # noqa: PT017


# -- the command


def imported(source: Path, out: Path, *options: str) -> int:
    return main(["import", str(source), "--out", str(out), *options])


def test_the_command(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "cat.safetensors"
    assert imported(folder / "vector-6000", out, "--scale-factor", "12.5") == 0
    assert "cat, conditional" in capsys.readouterr().out
    model = sketchrnn.load(out)
    assert (model.data.scale_factor, model.data.max_length, model.training_facts["step"]) == (12.5, 48, 6000)
    assert main(["sample", str(out), "-n", "2", "--out", str(tmp_path / "new.svg")]) == 0


def test_the_command_without_a_scale_factor_writes_nothing(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert imported(folder, tmp_path / "new" / "m.safetensors") == 1
    assert "give --scale-factor X, or --data FILE.npz" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    json_file = tmp_path / "cat.gen.json"
    json_file.write_text("[]")
    assert imported(json_file, tmp_path / "m.safetensors", "--scale-factor", "3") == 1
    assert "brings its own scale factor" in capsys.readouterr().err


@pytest.mark.parametrize("said", ["", "vector-6000", "vector-6000.index", "checkpoint"])
def test_what_looks_like_a_checkpoint(said: str, folder: Path) -> None:
    assert is_checkpoint(folder / said)
    assert not is_checkpoint(folder / "model_config.json")
    assert not is_checkpoint("magenta:cat")
    assert not is_checkpoint("cat.gen.json")
