"""The scripts and the pruning module with a real engine, and images of a few bytes."""

import io
import json
import os
import subprocess
import sys
import tarfile
import uuid

import pytest

from ppocr_control.layers.source import open_source
from tests.containers import docker
from tests.unit.role_code import ROOT

DOCKERFILE = """\
FROM scratch
COPY f /
LABEL org.ppocr.content={content} org.ppocr.image={name} test={repository}
CMD ["serve"]
"""


@pytest.fixture
def repository():
    """A name no other image has; what carries it is removed afterwards."""
    name = f"prune-test-{uuid.uuid4().hex[:8]}"
    yield name
    listed = docker("image", "ls", "--quiet", "--filter", f"label=test={name}").stdout.split()
    for image in dict.fromkeys(listed):
        docker("image", "rm", "--force", image, check=False)


@pytest.fixture
def build(repository, tmp_path):
    """Build a tiny image; return its ID. Each call makes another one."""

    def make(tag, content="a" * 64, more="", **files):
        folder = tmp_path / uuid.uuid4().hex
        folder.mkdir()
        for file, text in {"f": folder.name, **files}.items():
            (folder / file).write_text(text)
        name = f"{repository}:{tag}"
        text = DOCKERFILE.format(content=content, name=name, repository=repository) + more
        (folder / "Dockerfile").write_text(text)
        return docker("build", "--quiet", "--tag", name, str(folder)).stdout.strip()

    return make


def script(name, *arguments):
    command = [sys.executable, f"scripts/{name}.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


def names_in(path):
    with tarfile.open(path) as archive:
        return json.load(archive.extractfile("manifest.json"))[0]["RepoTags"]


@pytest.mark.parametrize("compress", ["none", "gzip"])
@pytest.mark.parametrize("ask", ["ID", "short ID", "name", "repository"])
def test_a_saved_image_loads_under_its_name(build, repository, tmp_path, compress, ask):
    build("other")
    image = build("latest")
    asked = {"ID": image, "short ID": image[7:19], "name": f"{repository}:latest"}
    path = tmp_path / "image.tar"
    how = ("-o", path, "--compress", compress, "--store", tmp_path / "store", "--quiet")
    saved = script("save_image", asked.get(ask, repository), *how)
    assert saved.returncode == 0, saved.stderr
    assert names_in(path) == [f"{repository}:latest"]
    docker("image", "rm", f"{repository}:latest")
    assert f"Loaded image: {repository}:latest" in docker("load", "--input", str(path)).stdout
    loaded = docker("image", "inspect", "--format={{.Id}}", f"{repository}:latest").stdout
    assert loaded.strip() == image


@pytest.mark.parametrize("compress", ["none", "gzip"])
def test_an_image_without_a_name_is_saved_by_its_id(build, repository, tmp_path, compress):
    image = build("once")
    build("once")
    path = tmp_path / "image.tar"
    how = ("-o", path, "--compress", compress, "--store", tmp_path / "store", "--quiet")
    assert script("save_image", image, *how).returncode == 0
    assert not names_in(path)
    docker("image", "rm", image)
    assert image in docker("load", "--input", str(path)).stdout


def test_sizes_are_those_of_the_steps_that_made_a_layer(build, repository):
    more = "ENV A=b\nCOPY small /\nUSER 7\nCOPY large /\n"
    build("sizes", more=more, small="x" * 7, large="x" * 9000)
    with open_source(f"{repository}:sizes") as source:
        found = source.sizes()
        assert list(found.items()) == list(zip(source.image.diff_ids, [32, 7, 9000], strict=True))


def test_without_a_history_sizes_are_unknown(build, repository, tmp_path):
    build("told")
    plain, bare = tmp_path / "plain.tar", tmp_path / "bare.tar"
    docker("save", "--output", str(plain), f"{repository}:told")
    with tarfile.open(plain) as old, tarfile.open(bare, "w") as new:
        (entry,) = json.load(old.extractfile("manifest.json"))
        config = json.load(old.extractfile(entry["Config"]))
        config.pop("history")
        (layer,) = entry["Layers"]
        manifest = {"Config": "c.json", "Layers": ["l"], "RepoTags": [f"{repository}:untold"]}
        for name, data in (
            ("l", old.extractfile(layer).read()),
            ("c.json", json.dumps(config).encode()),
            ("manifest.json", json.dumps([manifest]).encode()),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            new.addfile(info, io.BytesIO(data))
    docker("load", "--input", str(bare))
    with open_source(f"{repository}:untold") as source:
        assert source.image.diff_ids and source.sizes() == {}


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["save_image", "PPOCR:1.0.0", "-o", "never.tar"], "write ppocr:1.0.0"),
        (["save_image", "", "-o", "never.tar"], "the name of the image is empty"),
        (["save_image", "a b", "-o", "never.tar"], "has blanks in it"),
        (["build_image", "--tag", "PPOCR:1.0.0"], "write ppocr:1.0.0"),
        (["build_image", "--tag", ""], "the name of the image is empty"),
        (["build_image", "--tag", "0" * 64], "an image's ID, and a name is needed"),
        (["commit_image", "nobody", "PPOCR"], "write ppocr"),
        (["commit_image", "nobody", "x@sha256:" + "0" * 64], "is a digest, and a name is needed"),
        (["commit_image", " ", "ppocr:1"], "the name of the container is empty"),
        (["load_image", "/nowhere.tar", "--tag", "Mine:1"], "write mine:1"),
        (["ship_image", "PPOCR:1", "host.invalid"], "write ppocr:1"),
        (["image_layers", "sizes", "  "], "the name of the image is empty"),
    ],
)
def test_a_name_that_is_none_is_refused_with_a_sentence(command, said):
    done = script(*command)
    assert done.returncode == 3 and said in done.stderr and "Traceback" not in done.stderr


def prune(repository, keep, *options):
    arguments = json.dumps({"name": repository, "keep": keep})
    command = ["ansible", "localhost", "--connection=local", "-m", "ppocr_image_prune", *options]
    done = subprocess.run(
        [*command, "-a", arguments, "-e", f"ansible_python_interpreter={sys.executable}"],
        capture_output=True, text=True, check=False, cwd=ROOT,
        env={**os.environ, "ANSIBLE_LIBRARY": str(ROOT / "plugins/modules"),
             "ANSIBLE_LOAD_CALLBACK_PLUGINS": "1", "ANSIBLE_STDOUT_CALLBACK": "json"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)["plays"][0]["tasks"][0]["hosts"]["localhost"]


def test_the_last_images_stay_and_what_is_not_ours(build, repository):
    build("1")
    build("2")
    used = build("3")
    build("theirs", content="committed-0123")
    build("derived", more="COPY f /g\n")
    renamed = build("4")
    docker("tag", renamed, f"{repository}:keep-me")
    build("5")
    build("6")
    container = docker("create", used, "x").stdout.strip()
    try:
        assert prune(repository, 2, "--check")["removed"] == [f"{repository}:2", f"{repository}:1"]
        answer = prune(repository, 2)
        assert answer["removed"] == [f"{repository}:2", f"{repository}:1"]
        assert not prune(repository, 2)["changed"]
    finally:
        docker("rm", container)
    left = docker("image", "ls", "--format={{.Tag}}", repository).stdout.split()
    assert sorted(left) == ["3", "4", "5", "6", "derived", "keep-me", "theirs"]


def test_images_whose_name_a_later_build_took_count_as_old_ones(build, repository):
    first, second, third = build("1"), build("1"), build("1")
    assert prune(repository, 2)["removed"] == [first[:19]]
    there = docker("image", "ls", "--quiet", "--no-trunc", "--filter", f"label=test={repository}")
    assert {second, third} <= set(there.stdout.split()) and first not in there.stdout
