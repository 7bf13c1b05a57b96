"""What an image gets for text_correction, and that it gets nothing where no service has it."""

import dataclasses
import io
import lzma
import tarfile

import pytest

from ppocr_contract.models import ModelError
from ppocr_control.images import alike, context, correction

MADE = correction._table


def member(name, content):
    """One file of an ar archive."""
    header = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
    return header + content + b"\n" * (len(content) % 2)


def package(path, files):
    """A Debian package with these files."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    parts = {"debian-binary": b"2.0\n", "control.tar.xz": b"x", "data.tar.xz": data.getvalue()}
    parts["data.tar.xz"] = lzma.compress(parts["data.tar.xz"])
    path.write_bytes(b"!<arch>\n" + b"".join(member(*part) for part in parts.items()))
    return path


@pytest.fixture(autouse=True)
def table(monkeypatch):
    monkeypatch.setattr(correction, "_table", lambda cache: {"公": {"shape": {"么": 0.8}}})


def test_a_package_s_language_model_is_taken_out(tmp_path):
    deb = package(tmp_path / "lm.deb", {"./usr/lib/x/libime/zh_CN.lm": b"model", "./x": b"y"})
    for number in range(2):  # and the table is made once
        correction.lay_out(str(deb), tmp_path / str(number), tmp_path / "cache")
        folder = tmp_path / str(number) / "text_correction"
        assert (folder / "zh_CN.lm").read_bytes() == b"model"
        assert "公" in (folder / "alike.json").read_text("utf-8")
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_progress_is_not_mixed_with_a_command_s_json(tmp_path, monkeypatch, capsys):
    def copy(source, path, target, cache):
        target.write_text("{}")

    monkeypatch.setattr(correction.model_files, "copy_from_package", copy)
    assert MADE(tmp_path) == {}
    said = capsys.readouterr()
    assert said.out == "" and "comparing the shapes" in said.err


def test_a_model_of_one_s_own_is_copied(tmp_path):
    own = tmp_path / "own.lm"
    own.write_bytes(b"mine")
    correction.lay_out(str(own), tmp_path / "models", tmp_path / "cache")
    assert (tmp_path / "models/text_correction/zh_CN.lm").read_bytes() == b"mine"


def test_what_is_no_package_is_refused(tmp_path):
    for content in (b"", b"<html>", b"!<arch>\n"):
        deb = tmp_path / "x.deb"
        deb.write_bytes(content)
        with pytest.raises(ModelError, match="ppocr_image_language_model: .*no Debian package"):
            correction.lay_out(str(deb), tmp_path / f"m{len(content)}", tmp_path / "cache")
    with pytest.raises(ModelError, match="is no file on the control node"):
        dataclasses.replace(context.ImageSettings(), language_model="/nowhere.deb").sources()


def test_without_mmdebstrap_the_remedy_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ModelError, match="(?s)mmdebstrap is needed.*ppocr_image_language_model"):
        correction.lay_out("", tmp_path / "models", tmp_path / "cache")


def test_the_image_changes_only_where_a_service_has_it(tmp_path):
    plain = context.ImageSettings()
    asked = dataclasses.replace(plain, text_correction=True)
    own = tmp_path / "own.lm"
    own.write_bytes(b"mine")
    hashes = {
        context.content_hash(each)
        for each in (plain, asked, dataclasses.replace(asked, language_model=str(own)))
    }
    assert len(hashes) == 3
    ignored = dataclasses.replace(plain, language_model=str(own), apt_mirror="http://x")
    assert context.content_hash(ignored) == context.content_hash(plain)


def test_the_names_are_the_image_s():
    from ppocr_serving.correction import corrector

    assert (corrector.LANGUAGE_MODEL, corrector.ALIKE) == (
        correction.LANGUAGE_MODEL, correction.ALIKE,
    )  # fmt: skip
    assert corrector.FOLDER.name == "text_correction" and alike.TABLES[0] == "frequency"
