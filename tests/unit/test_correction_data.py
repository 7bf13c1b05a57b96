"""What an image gets for text_correction, and that it gets nothing where no service has it."""

import dataclasses
import io
import lzma
import tarfile

import jinja2
import pytest
import yaml
from role_code import ROOT, load

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


def test_the_context_has_all_that_the_module_needs(tmp_path, monkeypatch):
    own = tmp_path / "own.lm"
    own.write_bytes(b"mine")
    monkeypatch.setattr(context.models, "lay_out", lambda *_: {})
    asked = {"text_correction": True, "language_model": str(own)}
    for number, settings in enumerate(({}, asked)):
        given = context.ImageSettings.from_dict(settings)
        context.write(given, tmp_path / f"context{number}", tmp_path / "cache")
    plain, made = tmp_path / "context0", tmp_path / "context1"
    files = {path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file()}
    assert files - {path.relative_to(plain).as_posix() for path in plain.rglob("*")} == {
        "models/text_correction/zh_CN.lm", "models/text_correction/alike.json",
    }  # fmt: skip
    # Our own code is in any image; without its data the module refuses to start.
    assert {
        f"modules/text_correction/{name}.py" for name in ("__init__", "module", "params")
    } < files
    serving = "serving/ppocr_serving"
    assert {f"{serving}/textmodule.py", f"{serving}/correction/corrector.py"} < files
    lock = (made / "requirements.lock").read_text()
    assert lock.startswith((plain / "requirements.lock").read_text())
    added = lock.removeprefix((plain / "requirements.lock").read_text())
    assert added.count("==") == added.count("ufal-kenlm==") == 1
    assert "--hash=sha256:" in added
    packages = [line for line in lock.splitlines() if "==" in line]
    assert all(line.endswith(" \\") for line in packages), "the locks are run together"
    dockerfile = (made / "Dockerfile").read_text()
    assert "COPY --from=models /build/models/ /opt/ppocr/models/\n" in dockerfile
    assert corrector_folder() == "/opt/ppocr/models/text_correction"


def corrector_folder():
    from ppocr_serving.correction import corrector

    return str(corrector.FOLDER)


@pytest.mark.parametrize(
    ("hosts", "built_in"),
    [
        ([{}], False),
        ([{"hubserving_modules": ["ocr_system"]}], False),
        ([{}, {"hubserving_modules": ["ocr_system", "text_correction"]}], True),
        ([{"hubserving_instances": [{"name": "a"}, {"modules": ["text_correction"]}]}], True),
        (
            [{"hubserving_modules": ["text_correction"], "hubserving_instances": [{"name": "a"}]}],
            True,
        ),
    ],
)
def test_the_setting_of_a_service_puts_it_into_the_image(hosts, built_in):
    variables = yaml.safe_load((ROOT / "roles/ppocr_image/vars/main.yml").read_text())
    expression = variables["_ppocr_image_settings"]["text_correction"]
    templates = jinja2.Environment()  # noqa: S701 - no page is made
    filters = load("plugins/filter/ppocr_image.py").FilterModule().filters()
    templates.filters |= filters | {
        "flatten": lambda lists: [one for each in lists for one in each]
    }
    assert templates.from_string(expression).render(_ppocr_image_hosts=hosts) == str(built_in)


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
