"""The GPU images, built and run without a GPU: their libraries resolve, and they never pretend.

A step of its own (scripts/test gpu-image): it builds those that are not there.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ppocr_contract import cards
from ppocr_control import version
from tests.containers import docker

ROOT = Path(__file__).parents[2]
NAME = os.environ.get("PPOCR_GPU_IMAGE", f"ppocr:{version.current()}-gpu")
ENGINES = ("onnxruntime", "paddle")
SITE = "/opt/ppocr/venv/lib/python3.11/site-packages"
#: What Paddle opens for itself when a kernel first needs it, by the function that does it.
_OPENED = {"GetCublasDsoHandle": "libcublas.so", "GetCublasLtDsoHandle": "libcublasLt.so",
           "GetCUDNNDsoHandle": "libcudnn.so", "GetNVRTCDsoHandle": "libnvrtc.so"}  # fmt: skip
#: Calls each of those functions of Paddle's own library and prints the handle it gets.
_OPEN = f"""
import ctypes, json, sys
import paddle
phi = ctypes.CDLL("{SITE}/paddle/libs/libphi.so")
found = {{}}
for name in sys.argv[1:]:
    function = getattr(phi, f"_ZN3phi7dynload{{len(name)}}{{name}}Ev")
    function.restype = ctypes.c_void_p
    found[name] = bool(function())
print(json.dumps(found))
"""
_VERSIONS = """
import json, paddle
cuda = paddle.is_compiled_with_cuda()
print(json.dumps([paddle.__version__, paddle.version.cuda(), paddle.version.cudnn(), cuda]))
"""
_PACKAGES = """
import importlib.metadata
for found in importlib.metadata.distributions():
    print(f"{found.name}=={found.version}")
"""


@pytest.fixture(scope="module", params=ENGINES, autouse=True)
def engine(request):
    """What the image carries."""
    return request.param


@pytest.fixture(scope="module", autouse=True)
def image(engine):
    """The image with the engine, built as a person does."""
    started, name = time.monotonic(), f"{NAME}-{engine}"
    command = [sys.executable, "scripts/build_image.py", "--device=gpu", f"--tag={name}"]
    command.append(f"--settings={json.dumps({'engines': [engine]})}")
    bundle = os.environ.get("PPOCR_TEST_CA_BUNDLE", "/etc/ssl/certs/ca-certificates.crt")
    built = subprocess.run(
        [*command, f"--ca-bundle={bundle}", "--quiet"],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
    print(f"\n{built.stdout.strip()} in {time.monotonic() - started:.0f} s")
    return name


@pytest.fixture
def run(image):
    """The last line a command of the image prints."""

    def last_line(*arguments):
        done = docker("run", "--rm", "--network=none", image, *arguments, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""

    return last_line


@pytest.fixture
def of_paddle(engine):
    """For what only Paddle does."""
    if engine != "paddle":
        pytest.skip("the other engine")


def test_the_engine_is_the_only_one_for_cards(image, engine):
    packages = docker("run", "--rm", image, "python", "-c", _PACKAGES).stdout.split()
    has = {"paddle": "paddlepaddle-gpu==2.6.2", "onnxruntime": "onnxruntime-gpu==1.26.0"}
    assert [name for name, package in has.items() if package in packages] == [engine]
    of_cuda = [package for package in packages if re.search(r"^nvidia-.*-cu1[12]==", package)]
    assert len({package.partition("==")[0][-4:] for package in of_cuda}) == 1


def test_paddle_is_built_for_the_cuda_libraries_the_image_carries(of_paddle, image, run):
    assert json.loads(run("python", "-c", _VERSIONS)) == ["2.6.2", "11.8", "8.6.0", True]
    packages = docker("run", "--rm", image, "python", "-c", _PACKAGES).stdout
    assert "nvidia-cudnn-cu11==8.6.0.163" in packages
    assert "paddlepaddle==" not in packages  # both builds write to paddle/


def test_paddle_itself_finds_every_library_it_opens(of_paddle, run):
    found = json.loads(run("python", "-c", _OPEN, *_OPENED))
    assert found == dict.fromkeys(_OPENED, True)


def test_only_the_drivers_library_is_missing(engine, run):
    # Of every library of CUDA and the engine: what it is linked with, and whether it can be opened.
    of_engine = {"paddle": "paddle/libs/*.so*", "onnxruntime": "onnxruntime/capi/*_cuda.so"}[engine]
    script = f"""
import ctypes, json, pathlib, subprocess
missing, site = [], pathlib.Path("{SITE}")
import {engine}
for path in site.glob("onnxruntime/capi/*_shared.so"):
    ctypes.CDLL(str(path), ctypes.RTLD_GLOBAL)
for path in sorted([*site.glob("nvidia/*/lib/*.so*"), *site.glob("{of_engine}")]):
    listed = subprocess.run(["ldd", path], capture_output=True, text=True).stdout
    missing += [f"{{path.name}}: {{l.strip()}}" for l in listed.splitlines() if "not found" in l]
    try:
        ctypes.CDLL(str(path))
    except OSError as error:
        missing.append(f"{{path.name}}: {{error}}")
try:
    ctypes.CDLL("libcuda.so.1")
except OSError:
    missing.append("libcuda.so.1")
print(json.dumps(missing))
"""
    missing = json.loads(run("python", "-c", script))
    # MKL comes without a search path; libphi.so, which opens it, has loaded libiomp5.so by then.
    without_path = ["libmklml_intel.so: libiomp5.so => not found"] * (engine == "paddle")
    assert missing == [*without_path, "libcuda.so.1"]


@pytest.mark.parametrize("asked", ["openvino", "the engine"])
def test_modules_models_and_engines_are_whole(image, engine, asked):
    # Asked for by name, the CPU does read: what was left out of the image is not missed.
    module, picture = "ocr_system/module.py", "serving/ppocr_serving/ready.png"
    name = engine if asked == "the engine" else asked
    command = ("python", f"/opt/ppocr/modules/{module}", f"--engine={name}")
    done = docker("run", "--rm", "--network=none", image, *command, f"/opt/ppocr/{picture}")
    assert '"text": "ready"' in done.stdout


@pytest.fixture
def start(image, engine):
    """Start services on what is no GPU; they are removed after the test."""
    started = []

    def start_one(*options):
        given = {"use_gpu": True, "engine": engine}
        config = {"modules_info": {"ocr_system": {"init_args": given}}, "port": 8866}
        write = f"import pathlib; pathlib.Path('/tmp/c').write_text({json.dumps(config)!r})"
        command = f'python -c "$WRITE" && exec python -m ppocr_serving {options[-1]}'
        name = f"ppocr-gpu-test-{os.getpid()}-{len(started)}"
        docker(
            "run", "--detach", "--name", name, "--network=none", "--label=org.ppocr.test=gpu",
            "--env=PPOCR_CONFIG=/tmp/c", f"--env=WRITE={write}", *options[:-1],
            "--entrypoint=sh", image, "-c", command,
        )  # fmt: skip
        started.append(name)
        return name

    yield start_one
    for name in started:
        docker("rm", "--force", name, check=False)


def ended(name, seconds=90):
    """(exit status, log) of a container; it was never healthy on the way."""
    deadline = time.monotonic() + seconds
    while True:
        state = json.loads(docker("inspect", "--format={{json .State}}", name).stdout)
        assert state["Health"]["Status"] != "healthy"
        if not state["Running"]:
            logs = docker("logs", name)
            return state["ExitCode"], logs.stdout + logs.stderr
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.parametrize(
    ("visible", "sentence"),
    [
        ("0", "this container has no GPU (no libcuda.so.1): deploy with ppocr_device: gpu"),
        ("", "CUDA_VISIBLE_DEVICES is not set: name the cards to use"),
    ],
)
def test_without_a_gpu_it_refuses_to_start(start, visible, sentence):
    status, logs = ended(start(f"--env=CUDA_VISIBLE_DEVICES={visible}", "serve"))
    assert status == 2
    assert sentence in logs and "ppocr_" in sentence + logs
    assert "Traceback" not in logs and "KeyError" not in logs and "ready in" not in logs


def test_without_a_gpu_the_engine_refuses_too(start):
    # Past the preflight: whoever starts the workers by hand gets no CPU either.
    status, logs = ended(start("--env=CUDA_VISIBLE_DEVICES=0", "workers"))
    assert status == 3
    assert "gpu:0 is not there, CUDA sees no card in this container" in logs
    assert "Traceback" not in logs and "ready in" not in logs


def test_a_driver_that_refuses_is_told_in_one_sentence(start, stub_driver):
    options = (stub_driver, "--env=CUDA_VISIBLE_DEVICES=0", "--env=STUB_CUINIT=803")
    status, logs = ended(start(*options, "serve"))
    assert status == 2
    assert "cuInit failed (803): the driver's library and its kernel module are of two" in logs


def test_cards_that_the_engine_cannot_use_are_no_reason_to_use_the_cpu(start, stub_driver):
    # The driver names two cards, so the preflight passes; the engine's start finds none it can use.
    status, logs = ended(start(stub_driver, "--env=CUDA_VISIBLE_DEVICES=0,1", "serve"))
    assert status == 3
    assert "card: Stub, GPU-11111111-1111-1111-1111-111111111111" in logs
    assert "is not there, CUDA sees no card in this container" in logs
    assert "Traceback" not in logs and "ready in" not in logs


def test_it_says_which_cards_it_has_kernels_for(image, engine, run):
    label = docker("inspect", '--format={{index .Config.Labels "org.ppocr.cuda-kernels"}}', image)
    kernels = " ".join(cards.LIBRARIES[engine].kernels)
    assert label.stdout.strip() == run("cat", str(cards.KERNELS_FILE)) == kernels


def test_cards_it_has_no_kernels_for_are_refused(start, stub_driver, engine):
    card = "--env=STUB_CAPABILITY=5.2"
    status, logs = ended(start(stub_driver, "--env=CUDA_VISIBLE_DEVICES=0", card, "serve"))
    assert status == 2
    library = cards.LIBRARIES[engine].name
    assert f"Stub has compute capability 5.2, for which the {library} of this image" in logs


def test_models_are_not_converted_for_the_engine_of_cpus(image):
    listed = docker("run", "--rm", image, "ls", "/opt/ppocr/models/det").stdout.split()
    assert listed and all(name.startswith("inference.") for name in listed)


@pytest.mark.skipif(not shutil.which("nvidia-smi"), reason="no GPU: nvidia-smi is not here")
def test_on_a_real_card_it_proves_itself_and_names_it(start):
    name = start("--gpus=all", "--env=CUDA_VISIBLE_DEVICES=0", "serve")
    deadline = time.monotonic() + 180
    while True:
        command = ("python", "-m", "ppocr_serving.healthcheck")
        done = docker("exec", name, *command, check=False)
        if done.returncode == 0:
            break
        assert time.monotonic() < deadline, docker("logs", name, check=False).stderr[-3000:]
        time.sleep(1)
    assert json.loads(done.stdout)["modules"] == {"ocr_system": "gpu:0"}


def test_sizes_by_layer(image, engine):
    command = [sys.executable, "scripts/image_layers.py", "sizes", image]
    shown = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout
    print(f"\n{shown}")
    rows = re.findall(r"^ *([\d.]+) MB +COPY to (\S+)$", shown, re.MULTILINE)
    packages = sorted(float(size) for size, target in rows if target.endswith("site-packages"))
    (of_cuda, of_engine) = packages[-2:] if engine == "paddle" else reversed(packages[-2:])
    assert 1300 < of_cuda < 2800 and 200 < of_engine < 2800
    assert [float(size) < 450 for size, target in rows if target.endswith("/venv")] == [True]
    assert float(re.findall(r"([\d.]+) MB", shown)[-1]) < 5000
