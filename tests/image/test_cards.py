"""What the service refuses before anything is loaded, with a driver that only names cards.

The image is the one for CPUs, told that its Paddle was built for CUDA and for which cards: what
asks the driver and what refuses are those of the GPU image, which test_gpu_image.py builds.
"""

import json

import pytest

from ppocr_contract import cards
from tests.containers import IMAGE, docker

_PADDLE = "/opt/ppocr/venv/lib/python3.11/site-packages/paddle/version/__init__.py"
_GPU = {"modules_info": {"ocr_system": {"init_args": {"use_gpu": True}}}}


@pytest.fixture
def check(stub_driver, tmp_path, write_config):
    """Run the image's ``check``; (exit status, what it says)."""
    (tmp_path / "version.py").write_text("cuda_version = '11.8'\n")
    (tmp_path / "kernels").write_text(" ".join(cards.KERNELS))
    mounts = {"version.py": _PADDLE, "kernels": cards.KERNELS_FILE}
    options = [f"--volume={tmp_path / name}:{target}:ro" for name, target in mounts.items()]
    config = write_config(_GPU)

    def run(visible, **stub):
        given = [f"--env=STUB_{name.upper()}={value}" for name, value in stub.items()]
        environment = [f"--env=CUDA_VISIBLE_DEVICES={visible}", *given]
        done = docker(
            "run", "--rm", "--network=none", stub_driver, *options, *config, *environment, IMAGE,
            "check", check=False,
        )  # fmt: skip
        return done.returncode, done.stderr

    return run


@pytest.mark.parametrize("capability", ["6.1", "7.5", "8.9"])
def test_cards_the_image_has_kernels_for_are_taken(check, capability):
    status, said = check("0,1", capability=capability)
    assert status == 0, said
    assert said.count(f"compute capability {capability}") == 2


@pytest.mark.parametrize("capability", ["6.0", "9.0", "12.0"])
def test_a_card_without_kernels_is_refused_in_one_sentence(check, capability):
    status, said = check("0", capability=capability)
    assert status == 2
    (told,) = (json.loads(line) for line in said.splitlines())
    assert told["message"] == (
        f"use_gpu is true but Stub has compute capability {capability}, for which the Paddle of "
        "this image has no kernels (it has them for 6.1, 7.0, 7.5, 8.0, 8.6): it would compute "
        "zeros without an error. Choose another card (ppocr_cuda_visible_devices), or serve on "
        "this host's CPU (ppocr_device: cpu)"
    )


def test_an_image_that_does_not_know_its_kernels_serves_no_card(check, tmp_path):
    (tmp_path / "kernels").write_text("")
    status, said = check("0")
    assert status == 2 and "has no kernels (it has them for no card)" in said


def test_a_card_that_is_not_there_is_named(check):
    status, said = check("0,7", cards=1)
    assert status == 2
    assert "names 7, which is no card of this container (it has 0 (Stub))" in said
    assert "correct ppocr_cuda_visible_devices" in said
