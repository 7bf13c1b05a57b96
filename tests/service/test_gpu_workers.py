"""Workers on GPUs, through HTTP: pretended cards (fake_gpu/), everything else as it ships."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from kills import Killing

from ppocr_contract.config import OCR_MODULES
from tests.containers import docker, paddle_image

HERE = Path(__file__).parent
_LOST = 'ppocr_worker_restarts_total{reason="lost"}'
_DENY = Path("/sys/fs/cgroup/devices/docker")


@pytest.fixture
def start_on_gpu(start, tmp_path):
    """Start a service on pretended cards; ``fault`` is the folder its cards look into."""
    fault = tmp_path / "fault"
    fault.mkdir(mode=0o755)
    tmp_path.chmod(0o755)
    info = {name: {"init_args": {"use_gpu": True}, "predict_args": {}} for name in OCR_MODULES}
    info["stuck"] = {"init_args": {"directory": "/modules/stuck"}, "predict_args": {}}
    config = tmp_path / "gpu.json"
    config.write_text(json.dumps({"modules_info": info, "port": 8866}))

    def start_one(*options, cards="0,1", **settings):
        service = start(
            "--env=PPOCR_CONFIG=/gpu.json", f"--volume={config}:/gpu.json:ro",
            "--env=PYTHONPATH=/fake_gpu", f"--volume={HERE / 'fake_gpu'}:/fake_gpu:ro",
            f"--volume={fault}:/fault:ro", f"--env=CUDA_VISIBLE_DEVICES={cards}", *options,
            image=paddle_image(), **settings,
        )  # fmt: skip
        service.fault = fault
        return service

    return start_one


def state(service):
    """(HTTP status, body) of /readyz."""
    status, _, body = service.request("GET", "/readyz", timeout=10)
    return status, json.loads(body)


def workers(service, count):
    def all_there():
        try:
            return state(service)[1]["workers"] == count
        except OSError:
            return False

    return service.wait(all_there)


def test_each_worker_has_a_card_of_its_own_and_requests_go_to_a_free_one(start_on_gpu):
    service = workers(start_on_gpu(cards="0,1", threads=1), 2)
    modules = state(service)[1]["modules"]
    assert modules["ocr_system"] == "gpu:0, gpu:1"
    for card in ("gpu:0", "gpu:1"):
        assert service.metric(f'ppocr_device_info{{device="{card}",module="ocr_system"}}') == 1
    ready = [event for event in service.events() if event["message"] == "worker ready"]
    assert {event["modules"]["ocr_rec"] for event in ready} == {"gpu:0", "gpu:1"}
    assert service.texts()
    assert "card: Pretended 1, GPU-1, 24000 MB" in service.logs()
    with ThreadPoolExecutor(1) as client:
        long = client.submit(service.predict, "stuck", {"gate": "long"})
        service.working(1)
        # One card is busy until its gate opens: these find the other one, every time.
        assert {service.predict("stuck", {})[0] for _ in range(5)} == {200}
        assert not long.done()
        service.open_gate("long")
        assert long.result()[0] == 200


def test_a_worker_killed_beside_another_costs_no_request(start_on_gpu):
    service = workers(start_on_gpu(cards="0,1"), 2)
    with Killing(service, clients=8) as killing:
        for lost in range(1, 4):
            killing.kill("worker")
            service.wait(lambda lost=lost: service.metric(_LOST) >= lost)
            workers(service, 2)
    print(killing.client_status())
    assert killing.wrong == []
    assert killing.counts["right"] > 0
    assert not {"given up", "lost", "busy"} & killing.counts.keys()


@pytest.mark.full
def test_a_request_that_kills_workers_does_not_kill_all_for_ever(start_on_gpu):
    service = workers(start_on_gpu(cards="0,1"), 2)
    with Killing(service, clients=2) as killing:
        assert service.predict("stuck", {"die": True})[0] == 500
    assert killing.wrong == []
    assert killing.counts["lost"] == killing.counts["busy"] == 0
    # The answer is there before the last of the three is missed.
    service.wait(lambda: service.metric(_LOST) >= 3)
    workers(service, 2)
    assert service.metric(_LOST) == 3


@pytest.mark.full
def test_several_workers_a_card_and_cards_named_by_uuid(start_on_gpu):
    service = workers(start_on_gpu(cards="GPU-8f6d", workers_per_gpu=2, workers=7), 2)
    assert state(service)[1]["modules"]["ocr_det"] == "gpu:GPU-8f6d"
    assert "PPOCR_WORKERS=7 counts on a CPU only" in service.logs()


def test_too_little_memory_at_load_is_told_in_one_sentence(start_on_gpu):
    service = start_on_gpu("--env=FAKE_GPU_FULL=1")
    assert service.ended() == 3
    logs = service.logs()
    assert "gpu:1 has too little free memory to load the models: lower" in logs
    assert "hubserving_workers_per_gpu" in logs and "Cannot allocate 500.0MB" in logs
    assert "Traceback (most recent" not in logs


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("ZEROS", "answers a picture with nothing but 0: look for Xid"),
        ("WRONG", "misreads ready.png, which it read right when the image was built, with f32"),
    ],
)
def test_a_card_that_computes_wrong_without_an_error_never_serves(start_on_gpu, fault, told):
    service = start_on_gpu(f"--env=FAKE_GPU_{fault}=1")
    assert service.ended() == 3
    logs = service.logs()
    assert "gpu:1 computes wrong: the model in /opt/ppocr/models/" in logs and told in logs
    assert "Traceback (most recent" not in logs


@pytest.mark.parametrize(
    ("fault", "told"),
    [("ZEROS", "gpu:0 computes wrong: "), ("FULL", "gpu:0 has too little free memory to load")],
)
def test_plain_hub_serving_does_not_start_on_such_a_card_either(start_on_gpu, fault, told):
    service = start_on_gpu(f"--env=FAKE_GPU_{fault}=0", cards="0", server="hub")
    assert service.ended() == 2
    logs = service.logs()
    assert told in logs and "Running on" not in logs
    assert "Traceback (most recent" not in logs


def test_a_card_that_fails_is_given_up_while_the_other_serves_on(start_on_gpu):
    service = workers(start_on_gpu(cards="0,1"), 2)
    (service.fault / "lost").write_text("1")
    with ThreadPoolExecutor(1) as client:
        # The first card is busy, so this goes to the second, which fails.
        busy = client.submit(service.predict, "stuck", {"gate": "go"})
        service.working(1)
        with pytest.raises(AssertionError, match="the service failed on this request"):
            service.texts()
        service.open_gate("go")
        assert busy.result()[0] == 200
    workers(service, 1)
    status, shown = state(service)
    assert status == 200 and "gpu:1 failed" in shown["degraded"]
    assert "unspecified launch failure" in shown["degraded"]
    assert service.texts()
    (service.fault / "lost").unlink()
    workers(service, 2)
    assert "degraded" not in state(service)[1]


def test_without_any_card_left_it_is_not_ready_and_says_why(start_on_gpu):
    service = start_on_gpu(cards="0").ready()
    (service.fault / "lost").write_text("0")
    with pytest.raises(AssertionError, match="the service failed on this request"):
        service.texts()
    service.wait(lambda: state(service)[0] == 503)
    assert "gpu:0 failed" in state(service)[1]["reason"]
    probe = docker("exec", service.name, "python", "-m", "ppocr_serving.healthcheck", check=False)
    assert probe.returncode == 1 and "gpu:0 failed" in probe.stderr
    (service.fault / "lost").unlink()
    service.ready()
    assert service.texts()


@pytest.mark.skipif(not _DENY.is_dir(), reason="needs the devices controller of cgroup v1, as root")
@pytest.mark.full
def test_device_nodes_taken_away_make_it_unready_but_requests_are_answered(start_on_gpu):
    nodes = [f"--device=/dev/null:/dev/{name}" for name in ("nvidia0", "nvidiactl")]
    service = start_on_gpu(*nodes, cards="0").ready()
    # What systemd does to a container's devices at a daemon-reload.
    identity = docker("inspect", "--format={{.Id}}", service.name).stdout.strip()
    (denied,) = _DENY.parent.glob(f"**/{identity}/devices.deny")
    denied.write_text("c 1:3 rwm")
    service.wait(lambda: state(service)[0] == 503)
    reason = state(service)[1]["reason"]
    assert "the container has lost its GPU (/dev/nvidia0" in reason and "restart it" in reason
    assert service.texts()


def test_an_image_for_the_cpu_refuses_use_gpu(start_on_gpu):
    service = start_on_gpu("--env=PYTHONPATH=")
    assert service.ended() == 2
    logs = service.logs()
    assert "this image was built for the CPU" in logs
    assert "worker ready" not in logs
