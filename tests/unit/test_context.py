"""The content hash and the build context."""

import dataclasses
import tarfile

import pytest
from ppocrlib import context

DEFAULT = context.ImageSettings()


def test_the_hash_is_of_content_alone():
    again = dataclasses.replace(DEFAULT, ca_bundle="/etc/ssl/certs/ca-certificates.crt")
    assert context.content_hash(DEFAULT) == context.content_hash(again)


@pytest.mark.parametrize(
    "change",
    [
        {"version": "2.0.0"},
        {"base": "registry.example.com/python:3.11"},
        {"extra_requirements": ("pandas==2.2.3",)},
    ],
)
def test_what_decides_the_image_changes_the_hash(change):
    assert context.content_hash(DEFAULT) != context.content_hash(
        dataclasses.replace(DEFAULT, **change)
    )


def test_an_extra_module_must_be_one(tmp_path):
    with pytest.raises(context.ContextError, match="ppocr_image_extra_modules"):
        context.ImageSettings.from_dict({"extra_modules": [str(tmp_path)]})


def test_unknown_device_is_refused():
    with pytest.raises(context.ContextError, match="no image is defined for 'tpu'"):
        context.content_hash(dataclasses.replace(DEFAULT, device="tpu"))


def test_packing_depends_on_files_alone(tmp_path):
    folder = tmp_path / "f"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub/a").write_text("a")
    context.pack(folder, tmp_path / "1.tar")
    (folder / "sub/a").touch()
    context.pack(folder, tmp_path / "2.tar")
    assert (tmp_path / "1.tar").read_bytes() == (tmp_path / "2.tar").read_bytes()
    with tarfile.open(tmp_path / "1.tar") as archive:
        assert archive.getnames() == ["sub", "sub/a"]
