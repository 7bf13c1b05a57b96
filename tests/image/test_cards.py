"""What the service refuses before anything is loaded, with a driver that only names cards.

The image is the one for CPUs, told that its engine was built for CUDA and for which cards: what
asks the driver and what refuses are those of the GPU image, which test_gpu_image.py builds.
"""

import json
from pathlib import Path

import pytest

from ppocr_contract import cards
from tests.containers import IMAGE, docker

_PACKAGES = "/opt/ppocr/venv/lib/python3.11/site-packages"
#: By engine, what says that it was built for CUDA: a file of its package.
_BUILT_FOR_CUDA = {
    "paddle": ("paddle/version/__init__.py", "cuda_version = '11.8'\n"),
    "onnxruntime": ("onnxruntime/capi/libonnxruntime_providers_cuda.so", ""),
}


@pytest.fixture(params=["onnxruntime", "paddle"])
def engine(request):
    return request.param


@pytest.fixture
def check(engine, stub_driver, tmp_path, write_config):
    """Run the image's ``check`` with an engine; (exit status, what it says)."""
    file, text = _BUILT_FOR_CUDA[engine]
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / Path(file).name).write_text(text)
    (tmp_path / "kernels").write_text(" ".join(cards.LIBRARIES[engine].kernels))
    mounts = {"package": f"{_PACKAGES}/{Path(file).parent}", "kernels": cards.KERNELS_FILE}
    options = [f"--volume={tmp_path / name}:{target}:ro" for name, target in mounts.items()]
    given = {"use_gpu": True, "engine": engine}
    config = write_config({"modules_info": {"ocr_system": {"init_args": given}}})

    def run(visible, **stub):
        given = [f"--env=STUB_{name.upper()}={value}" for name, value in stub.items()]
        environment = [f"--env=CUDA_VISIBLE_DEVICES={visible}", *given]
        done = docker(
            "run", "--rm", "--network=none", stub_driver, *options, *config, *environment, IMAGE,
            "check", check=False,
        )  # fmt: skip
        return done.returncode, done.stderr

    return run


_OF_ENGINES = {"onnxruntime": ["6.0", "9.0", "12.0"], "paddle": ["6.1", "8.9"]}
_OF_NONE = {"onnxruntime": ["5.2"], "paddle": ["5.2", "6.0", "9.0", "12.0"]}


def _cases(capabilities):
    return [(engine, one) for engine, several in capabilities.items() for one in several]


@pytest.mark.parametrize(("engine", "capability"), _cases(_OF_ENGINES), indirect=["engine"])
def test_cards_the_image_has_kernels_for_are_taken(check, capability):
    status, said = check("0,1", capability=capability)
    assert status == 0, said
    assert said.count(f"compute capability {capability}") == 2


@pytest.mark.parametrize(("engine", "capability"), _cases(_OF_NONE), indirect=["engine"])
def test_a_card_without_kernels_is_refused_in_one_sentence(check, engine, capability):
    status, said = check("0", capability=capability)
    assert status == 2
    (told,) = (json.loads(line) for line in said.splitlines())
    library = cards.LIBRARIES[engine]
    assert told["message"] == (
        f"use_gpu is true but Stub has compute capability {capability}, for which the "
        f"{library.name} of this image has no kernels (it has them for "
        f"{', '.join(library.kernels)}): {library.otherwise}. Remedy: {library.remedy}"
    )


@pytest.mark.parametrize(
    ("engine", "driver"), [("onnxruntime", 11080), ("paddle", 10020)], indirect=["engine"]
)
def test_a_driver_too_old_for_the_engine_is_refused(check, engine, driver):
    status, said = check("0", driver=driver)
    oldest = cards.LIBRARIES[engine].driver
    assert status == 2 and f"install driver {oldest} or newer (this one is for CUDA" in said


@pytest.mark.parametrize("engine", ["onnxruntime"], indirect=True)
def test_an_image_that_does_not_know_its_kernels_serves_no_card(check, tmp_path):
    (tmp_path / "kernels").write_text("")
    status, said = check("0")
    assert status == 2 and "has no kernels (it has them for no card)" in said


@pytest.mark.parametrize("engine", ["onnxruntime"], indirect=True)
def test_a_card_that_is_not_there_is_named(check):
    status, said = check("0,7", cards=1)
    assert status == 2
    assert "names 7, which is no card of this container (it has 0 (Stub))" in said
    assert "correct ppocr_cuda_visible_devices" in said
