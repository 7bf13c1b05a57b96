"""The image as plain docker runs it: health, offline, engines, modules, bad input, stopping."""

import itertools
import json
import re
import urllib.request

import pytest

from ppocr_contract import paddle
from tests.containers import PORT, docker, paddle_image

#: Prints the passes that the engine has Paddle run on the recogniser.
PASSES = """
from paddle import inference
from ppocr_serving.engines import EngineOptions, load_predictor
create = inference.create_predictor
def show_and_create(config):
    print(config.pass_builder().all_passes())
    return create(config)
inference.create_predictor = show_and_create
load_predictor("/opt/ppocr/models/rec", EngineOptions(engine="paddle", enable_mkldnn=%s))
"""


def texts(container, body):
    status, data = container.post("ocr_system", body)
    assert status == 200, data
    return [line["text"] for line in json.loads(data)["results"][0]]


def test_without_a_network_it_becomes_healthy_and_reaches_for_nothing(run):
    container = run("--network", "none").healthy()
    logs = container.logs()
    assert not re.search(r"\bERROR\b|[Rr]efused|Traceback|unreachable", logs), logs


def test_hub_list_and_check_show_the_modules(gunicorn):
    listed = gunicorn.execute("hub", "list").stdout
    for module in ("ocr_det", "ocr_cls", "ocr_rec", "ocr_system"):
        assert module in listed
    checked = json.loads(gunicorn.execute("python", "-m", "ppocr_serving", "check").stdout)
    assert set(checked["modules_info"]) == {"ocr_det", "ocr_cls", "ocr_rec", "ocr_system"}


def test_hub_serving_start_with_m(run, request_body):
    container = run(
        *PORT, "--env", "PPOCR_SERVER=hub", command=["hub", "serving", "start", "-m", "ocr_system"],
        image=paddle_image(),
    )  # fmt: skip
    assert texts(container.healthy(), request_body)


#: Threads that are the first to use the engine, all at once.
FIRST_AT_ONCE = """
import sys, threading
from ppocr_serving.engines import openvino
sys.setswitchinterval(1e-6)
together = threading.Barrier(8)
def first():
    together.wait()
    openvino.ov.Type.f32.to_dtype()
threads = [threading.Thread(target=first) for _ in range(together.parties)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


def test_inference_threads_may_begin_at_once(run):
    container = run("--network", "none", command=("python", "-c", FIRST_AT_ONCE))
    container.wait(lambda: not container.state["Running"], 60)
    assert container.state["ExitCode"] == 0, container.logs()


def test_a_module_runs_on_its_own(run):
    sample = "/opt/ppocr/serving/ppocr_serving/ready.png"
    container = run(
        "--network", "none", command=("python", "/opt/ppocr/modules/ocr_rec/module.py", sample)
    )
    assert container.ended() == 0, container.logs()
    assert '"text": "ready"' in container.logs()


@pytest.mark.parametrize("mkldnn", [False, True])
def test_engines_give_the_same_text(run, write_config, request_body, hub, mkldnn):
    init_args = {"version": "1.0.0", "engine": "paddle", "enable_mkldnn": mkldnn}
    config = {"modules_info": {"ocr_system": {"init_args": init_args}}}
    container = run(*PORT, *write_config(config), image=paddle_image()).healthy()
    assert texts(container, request_body) == texts(hub, request_body)


@pytest.mark.parametrize("mkldnn", [False, True])
def test_paddle_needs_no_avx512(run, mkldnn):
    """On a CPU without it the test above shows that; this one does on any."""
    container = run(
        "--network", "none", image=paddle_image(), command=("python", "-c", PASSES % mkldnn)
    )
    assert container.ended() == 0, container.logs()
    passes = container.logs()
    assert "fc_fuse_pass" in passes
    assert "self_attention_fuse_pass" not in passes


@pytest.mark.parametrize(
    ("options", "init_args", "command", "why"),
    [
        (["--env=PPOCR_SERVER=hub"], {}, (), "hubserving_server is hub"),
        ([], {}, ["hub", "serving", "start", "-m", "ocr_system"], "hub serving needs Paddle"),
        ([], {"engine": "paddle"}, (), "ocr_system has the engine paddle (hubserving_engine)"),
    ],
)
def test_what_needs_paddle_is_refused_at_once_without_it(
    run, write_config, options, init_args, command, why
):
    config = {"modules_info": {"ocr_system": {"init_args": init_args}}}
    container = run(*options, *write_config(config), command=command)
    assert container.ended() == 2
    logs = container.logs()
    assert f"{why}, and this image has no Paddle: {paddle.REMEDY}" in logs
    assert len(logs.splitlines()) == 1


def test_a_module_made_on_paddle_is_refused_by_its_code(run, write_config, tmp_path):
    folder = tmp_path / "net"
    folder.mkdir()
    (folder / "module.py").write_text("import ppocr_serving\nfrom paddle import nn\n")
    config = {"modules_info": {"net": {"init_args": {"directory": "/net"}}}}
    container = run(f"--volume={folder}:/net:ro", *write_config(config))
    assert container.ended() == 2
    assert "module net needs it: module.py imports paddle, and this image has" in container.logs()


def test_its_label_says_that_it_has_no_paddle_and_it_has_none(image):
    for name, said in ((image, paddle.WITHOUT), (paddle_image(), paddle.WITH)):
        labels = json.loads(docker("image", "inspect", name).stdout)[0]["Config"]["Labels"]
        assert labels[paddle.LABEL] == said
    looks = ("run", "--rm", "--network=none", "--entrypoint=find", image, "/opt/ppocr")
    assert docker(*looks, "-name", "libpaddle*").stdout == ""


def test_both_share_the_layers_below_models_and_paddle(image):
    """So the variant's build, and a host that goes from one to the other, have them already."""
    layers = {
        name: json.loads(docker("image", "inspect", name).stdout)[0]["RootFS"]["Layers"]
        for name in (image, paddle_image())
    }
    pairs = zip(*layers.values(), strict=True)
    shared = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    # The base, CUDA and its Paddle (empty), the packages, their hardening in two.
    assert shared >= 6


def test_readyz_and_livez(gunicorn):
    container = gunicorn
    with urllib.request.urlopen(f"{container.url}/readyz", timeout=10) as answer:
        state = json.load(answer)
    assert state["ready"] is True and state["modules"]["ocr_system"] == "cpu"
    with urllib.request.urlopen(f"{container.url}/livez", timeout=10) as answer:
        assert json.load(answer) == {"live": True}
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{container.url}/gradio/ocr_system", timeout=10)


BAD_START = [
    ({"config": '{"modules_info": {'}, "config.json is not JSON"),
    ({"config": {"modules_info": {"ocr_sytem": {}}}}, "module ocr_sytem is not in the image"),
    ({"config": {"modules_info": {"ocr_det": {}}, "use_gpu": True}}, "use_gpu at the top level"),
    (
        {"config": {"modules_info": {"ocr_det": {"init_args": {"use_gpu": True}}}}},
        "CUDA_VISIBLE_DEVICES is not set",
    ),
    ({"params": {"det_db_tresh": 0.3}}, "did you mean det_db_thresh"),
]


@pytest.mark.parametrize(("files", "message"), BAD_START)
def test_what_cannot_be_served_is_refused_at_once_with_one_sentence(
    run, write_config, files, message
):
    container = run(*write_config(**files))
    assert container.ended() == 2
    logs = container.logs()
    assert message in logs and "Traceback" not in logs


@pytest.mark.parametrize(
    "params", [{"rec_model_dir": "/nowhere"}, {"rec_char_dict_path": "/no.txt"}]
)
def test_a_model_that_is_not_there_is_named(run, write_config, params):
    container = run(*write_config(params=params))
    assert container.ended() != 0
    assert next(iter(params.values())) in container.logs()


def test_an_altered_model_is_refused(run, tmp_path):
    # `-v` of a file that does not exist makes a folder: the trap of mounting a model by hand.
    container = run("--volume", f"{tmp_path}/missing:/opt/ppocr/models/det")
    assert container.ended() == 2
    assert "det/inference.onnx is missing" in container.logs()


def test_it_needs_no_privilege_and_leaves_nothing_of_the_build(image):
    config = json.loads(docker("image", "inspect", image).stdout)[0]
    assert config["Config"]["User"] == "10001:10001"
    assert config["Config"]["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert re.fullmatch(r"[0-9a-f]{64}", config["Config"]["Labels"]["org.ppocr.content"])
    history = docker("history", "--no-trunc", "--format={{.CreatedBy}}", image).stdout
    assert "index" not in history.lower()
    listing = docker(
        "run",
        "--rm",
        "--network",
        "none",
        image,
        "sh",
        "-c",
        "command -v gcc make git curl; ls -d /build /root/.cache /opt/ppocr/.cache; true",
    ).stdout
    assert listing == ""


def test_it_is_as_small_as_promised(image):
    size = json.loads(docker("image", "inspect", image).stdout)[0]["Size"]
    print(f"image size: {size / 1e6:.0f} MB uncompressed")
    assert size < 620e6
