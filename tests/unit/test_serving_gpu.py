"""GPUs as the container sees them: the driver's answers, cards of workers, failures explained."""

import ctypes
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
from ppocr_serving import cuda, gpu
from ppocr_serving.engines import EngineError, EngineOptions
from ppocr_serving.server import worker_slots
from ppocr_serving.server.gpu_watch import GpuWatch
from ppocr_serving.server.not_ready import NotReady

from ppocr_contract import cards, config
from ppocr_contract.settings import Settings

SERVING = Path(cuda.__file__).parents[1]
PADDLE = cards.LIBRARIES["paddle"]
ON_GPU = config.check('{"modules_info": {"ocr_det": {"init_args": {"use_gpu": true}}}}')


class Driver:
    """libcuda.so.1 as ctypes calls it: ``fails`` maps a function to the status it returns."""

    def __init__(self, count=1, version=12020, **fails):
        self._count, self._version, self._fails = count, version, fails
        self.called = []

    def __getattr__(self, name):
        self.called.append(name)
        return lambda *arguments: self._fails.get(name, 0) or self._call(name, *arguments)

    def _call(self, name, *arguments):
        if name == "cuDriverGetVersion":
            arguments[0]._obj.value = self._version
        elif name == "cuDeviceGetCount":
            arguments[0]._obj.value = self._count
        elif name == "cuDeviceGet":
            arguments[0]._obj.value = arguments[1]
        elif name == "cuDeviceGetName":
            arguments[0].value = f"NVIDIA A10 {arguments[2].value}".encode()
        elif name == "cuDeviceGetUuid":
            ctypes.memmove(arguments[0], bytes(range(16)), 16)
        elif name == "cuDeviceTotalMem_v2":
            arguments[0]._obj.value = 24_000_000_000
        elif name == "cuMemGetInfo_v2":
            arguments[0]._obj.value, arguments[1]._obj.value = 3_000_000_000, 24_000_000_000
        elif name == "cuDeviceGetAttribute":
            arguments[0]._obj.value = {75: 8, 76: 6}[arguments[1]]
        return 0


def test_cards_as_the_driver_names_them():
    first, second = cuda.cards(Driver(count=2), PADDLE)
    uuid = "GPU-00010203-0405-0607-0809-0a0b0c0d0e0f"
    assert first == cuda.Card("NVIDIA A10 0", uuid, 24000, "8.6")
    assert second.name == "NVIDIA A10 1"


@pytest.mark.parametrize(
    ("driver", "message"),
    [
        (Driver(cuInit=100), "correct ppocr_cuda_visible_devices"),
        (Driver(count=0), "CUDA_VISIBLE_DEVICES names no card"),
        (Driver(cuInit=803), "library and its kernel module are of two versions: restart the host"),
        (Driver(cuInit=999), "dmesg of the host"),
        (Driver(cuInit=77), "CUDA error 77"),
        (Driver(version=10020), "install driver 450.80.02 or newer .this one is for CUDA 10.2."),
        (Driver(cuDeviceGet=101), "names a card this container does not have"),
    ],
)
def test_what_the_driver_refuses_is_one_sentence_with_a_remedy(driver, message):
    with pytest.raises(EngineError, match=message) as raised:
        cuda.cards(driver, PADDLE)
    assert str(raised.value).startswith("use_gpu is true but ") and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("engine", "version", "old"),
    [("paddle", 11000, False), ("onnxruntime", 11080, True), ("onnxruntime", 12000, False)],
)
def test_each_engine_has_an_oldest_driver_of_its_own(engine, version, old):
    driver, library = Driver(version=version), cards.LIBRARIES[engine]
    if not old:
        assert len(cuda.cards(driver, library)) == 1
    else:
        with pytest.raises(EngineError, match=r"CUDA 12.8: install driver 525.60.13 or newer"):
            cuda.cards(driver, library)


def test_a_container_without_a_gpu_is_told_in_the_words_of_the_process_that_asks(
    tmp_path, monkeypatch
):
    """That process finds no library it can load, also on a machine that has a driver."""
    monkeypatch.setattr(cuda, "has_engine", lambda engine: True)
    (tmp_path / "libcuda.so.1").touch()
    (tmp_path / "paddle/version").mkdir(parents=True)
    (tmp_path / "paddle/version/__init__.py").write_text("cuda_version = '11.8'\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", f"{SERVING}:{Path(config.__file__).parents[1]}")
    with pytest.raises(EngineError) as raised:
        cuda.probe(ON_GPU)
    assert str(raised.value).startswith(
        "use_gpu is true but this container has no GPU (no libcuda.so.1): deploy with ppocr_device"
    )
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("version", "refused"), [("False", True), ("11.8", False)])
def test_a_paddle_for_the_cpu_is_known_without_importing_it(
    tmp_path, monkeypatch, version, refused
):
    (tmp_path / "paddle/version").mkdir(parents=True)
    (tmp_path / "paddle/__init__.py").write_text("raise RuntimeError('imported')")
    (tmp_path / "paddle/version/__init__.py").write_text(f"cuda_version     = '{version}'\n")
    monkeypatch.syspath_prepend(tmp_path)
    if refused:
        with pytest.raises(EngineError, match="built for the CPU: build and deploy it with"):
            cuda.require_engine("paddle")
    else:
        cuda.require_engine("paddle")


def test_an_image_with_another_engine_says_which_it_has(tmp_path, monkeypatch):
    library = tmp_path / "onnxruntime/capi/libonnxruntime_providers_cuda.so"
    library.parent.mkdir(parents=True)
    (tmp_path / "onnxruntime/__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(EngineError, match="built for the CPU"):
        cuda.require_engine("onnxruntime")
    library.touch()
    cuda.require_engine("onnxruntime")
    with pytest.raises(EngineError, match="this image carries onnxruntime: set hubserving_engine"):
        cuda.require_engine("paddle")


@pytest.mark.parametrize("engine", ["onnxruntime", "paddle"])
def test_a_module_that_names_no_engine_computes_with_the_images(monkeypatch, engine):
    own = config.check('{"modules_info": {"seals": {"init_args": {"use_gpu": true}}}}')
    monkeypatch.delenv(gpu.VISIBLE, raising=False)
    monkeypatch.setattr(cuda, "has_engine", lambda other: other == engine)
    asked = []

    def run(command, **_):
        asked.append(command[-1])
        return subprocess.CompletedProcess(command, 0, "[]", "")

    monkeypatch.setattr(subprocess, "run", run)
    assert cuda.probe(own) == []
    assert asked == [engine]


def test_an_image_without_paddle_is_for_the_cpu():
    with pytest.raises(EngineError, match="built for the CPU: build and deploy it with"):
        cuda.require_engine("paddle")


@pytest.mark.parametrize("value", [None, "", " ", ","])
def test_the_guides_key_error_is_a_sentence(monkeypatch, value):
    monkeypatch.delenv(gpu.VISIBLE, raising=False)
    if value is not None:
        monkeypatch.setenv(gpu.VISIBLE, value)
    with pytest.raises(EngineError, match="ppocr_cuda_visible_devices"):
        gpu.require_visible_device()


_STACK = (
    "\n\n------\nC++ Traceback (most recent call last):\n------\n"
    "0   paddle::memory::allocation::CUDAAllocator::AllocateImpl(unsigned long)\n"
)


_BY_ONNX_RUNTIME = (
    "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running Conv "
    "node. Name:'Conv_3' Status Message: "
)


@pytest.mark.parametrize(
    ("error", "loading", "kind", "parts"),
    [
        (
            MemoryError(
                f"{_STACK}Error Message Summary:\n----\nResourceExhaustedError:\n\n"
                "Out of memory error on GPU 0. Cannot allocate 5MB memory"
            ),
            True,
            EngineError,
            [
                "gpu:1 has too little free memory",
                "hubserving_workers_per_gpu",
                "Cannot allocate 5MB",
            ],
        ),
        (
            RuntimeError(f"{_STACK}(External) CUDNN error(4), CUDNN_STATUS_ALLOC_FAILED."),
            False,
            EngineError,
            ["ran out of memory in an inference", "det_limit_side_len"],
        ),
        (
            RuntimeError("(External) CUDA error(719), unspecified launch failure."),
            False,
            gpu.DeviceLost,
            ["gpu:1 failed: ", "CUDA error(719)", "dmesg"],
        ),
        (
            OSError("Failed to initialize NVML: Unknown Error"),
            False,
            gpu.DeviceLost,
            ["Failed to initialize NVML", "restart the container"],
        ),
        (
            RuntimeError(
                "(PreconditionNotMet) The third-party dynamic library (libcusolver.so) that Paddle "
                "depends on is not configured correctly. (error code is libcusolver.so: cannot "
                "open shared object file)"
            ),
            False,
            EngineError,
            ["lacks the CUDA library libcusolver.so", "ppocr_image_extra_requirements"],
        ),
        (
            ValueError(
                "(InvalidArgument) Device id must be less than GPU count, but received id is: 0. "
                "GPU count is: 0.\n  [Hint: ...] (at /paddle/phi/backends/gpu/cuda/cuda_info.cc)"
            ),
            True,
            EngineError,
            ["gpu:1 is not there, CUDA sees no card", "ppocr_cuda_visible_devices"],
        ),
        (
            RuntimeError(
                f"{_BY_ONNX_RUNTIME}/onnxruntime_src/onnxruntime/core/framework/bfc_arena.cc:376 "
                "void* onnxruntime::BFCArena::AllocateRawInternal(size_t, bool, "
                "onnxruntime::Stream*, bool, onnxruntime::WaitNotificationFn) Failed to allocate "
                "memory for requested buffer of size 643840"
            ),
            False,
            EngineError,
            ["ran out of memory", "hubserving_gpu_shapes", "(Failed to allocate memory for requ"],
        ),
        (
            RuntimeError(
                f"{_BY_ONNX_RUNTIME}/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc:"
                "129 std::conditional_t<THRW, void, onnxruntime::common::Status> onnxruntime::"
                "CudaCall(ERRTYPE, const char*, const char*, ERRTYPE, const char*, const char*, "
                "int) [with ERRTYPE = cudaError; bool THRW = true] CUDA failure 700: an illegal "
                "memory access was encountered ; GPU=0 ; hostname=0123456789ab ; expr=cudaMemcpy()"
            ),
            False,
            gpu.DeviceLost,
            ["gpu:1 failed: CUDA failure 700: an illegal memory access was encountered. See"],
        ),
        (RuntimeError("shape mismatch"), False, EngineError, ["the engine failed on gpu:1"]),
    ],
)
def test_failures_of_engines_are_explained(monkeypatch, error, loading, kind, parts):
    monkeypatch.setenv(gpu.VISIBLE, "1")
    explained = gpu.explained(error, loading)
    assert type(explained) is kind
    for part in parts:
        assert part in str(explained)
    assert "\n" not in str(explained) and len(str(explained)) < 500


@pytest.fixture
def onnxruntime(tmp_path, monkeypatch):
    """The engine on a stand-in of its library, whose sessions end as ``fails`` says."""
    (tmp_path / "inference.onnx").touch()
    monkeypatch.setenv(gpu.VISIBLE, "1")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: None)
    library = MagicMock(__file__=f"{tmp_path}/__init__.py")
    monkeypatch.setitem(sys.modules, "onnxruntime", library)
    file = Path(gpu.__file__).with_name("engines") / "onnxruntime.py"
    spec = importlib.util.spec_from_file_location("ppocr_serving.engines.onnxruntime", file)
    engine = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(engine)

    def load(fails):
        library.InferenceSession.side_effect = RuntimeError(fails)
        with pytest.raises(EngineError) as raised:
            engine.load(tmp_path, EngineOptions(engine="onnxruntime", use_gpu=True))
        assert library.InferenceSession.call_args.kwargs["enable_fallback"] == 0
        return str(raised.value)

    return load


def test_onnxruntime_says_why_it_cannot_use_a_card_in_place_of_using_the_cpu(onnxruntime):
    # Its Python class would print it, and go on with a session on the CPU.
    assert "gpu:1 has too little free memory" in onnxruntime(
        "CUDA failure 2: out of memory ; GPU=0"
    )
    said = onnxruntime("CUDA failure 46: CUDA-capable device(s) is/are busy or unavailable ; GPU=0")
    assert "gpu:1 is not there" in said and "CUDA failure 46: CUDA-capable" in said


def test_the_memory_of_a_card_is_asked_in_a_context_that_is_given_back():
    driver = Driver()
    assert cuda.memory(driver) == (3_000_000_000, 24_000_000_000)
    failing = Driver(cuMemGetInfo_v2=999)
    with pytest.raises(EngineError, match="cuMemGetInfo_v2 failed"):
        cuda.memory(failing)
    for each in (driver, failing):
        assert each.called[-2:] == ["cuCtxPopCurrent_v2", "cuDevicePrimaryCtxRelease_v2"]


def serving(use_gpu):
    return config.ServingConfig(
        {"modules_info": {"ocr_det": {"init_args": {"use_gpu": use_gpu}}}, "port": 8866}, ()
    )


def test_cards_of_slots(monkeypatch):
    monkeypatch.setenv(gpu.VISIBLE, "0, 1")
    settings = Settings(workers=3, workers_per_gpu=2)
    assert worker_slots.cards_of_slots(serving(True), settings) == ("0", "1", "0", "1")
    assert worker_slots.cards_of_slots(serving(False), settings) == ("", "", "")


class Worker:
    """What is used of gunicorn's."""

    def __init__(self):
        self.sockets = [
            SimpleNamespace(getsockname=lambda n=n: str(worker_slots.socket_of(n)))
            for n in range(2)
        ]

    @property
    def address(self):
        (only,) = self.sockets
        return only.getsockname()


def test_a_new_worker_gets_the_emptiest_slot_and_listens_on_its_socket():
    assignment = worker_slots.Assignment(("0", "1"))
    workers = [Worker() for _ in range(5)]

    def start(worker):
        assignment.before_fork(None, worker)
        assert worker.address == str(worker_slots.socket_of(assignment.slot))
        return assignment.slot, assignment.first

    assert [start(worker) for worker in workers[:2]] == [(0, True), (1, True)]
    assignment.after_exit(workers[0])
    assert start(workers[2]) == (0, False)
    assert start(workers[3]) == (1, False)  # a renewal: beside the oldest, which will go
    assignment.after_exit(workers[1])
    assignment.after_exit(workers[2])
    assert start(workers[4]) == (0, False)  # the worker of slot 0 has died


def test_a_worker_sees_its_own_card(monkeypatch):
    monkeypatch.setenv(gpu.VISIBLE, "0,1")
    assignment = worker_slots.Assignment(("0", "1"))
    for _ in range(2):
        assignment.before_fork(None, Worker())
    assignment.after_fork()
    assert gpu.device_name() == "gpu:1"


def test_the_least_busy_slot_with_a_worker_is_asked():
    chosen = worker_slots.WorkerSlots(3)
    chosen.ready = {0, 2}
    with chosen.least_busy() as first, chosen.least_busy() as second:
        assert (first, second) == (0, 2)
    with chosen.least_busy() as again:
        assert again == 0
    chosen.ready = set()
    assert not chosen.deserted(0)  # nobody is there: wait for it
    chosen.ready = {2}
    assert chosen.deserted(0) and not chosen.deserted(2)


def test_lost_device_nodes_are_noticed(tmp_path):
    for name in ("nvidia0", "nvidiactl", "nvidia-uvm", "nvidia-modeset", "null"):
        (tmp_path / name).touch()
    watch = GpuWatch(tmp_path)
    (tmp_path / "nvidia-modeset").unlink()  # not needed for inference
    assert watch.look() == ""
    (tmp_path / "nvidia0").unlink()
    assert "has lost its GPU" in watch.look() and watch.problem


def test_trouble_is_kept_until_it_is_over(tmp_path):
    not_ready = NotReady(tmp_path / "run/not-ready.txt")
    assert not_ready.read() == ""
    assert not_ready.write("gpu:0 failed") is True
    assert not_ready.write("gpu:1 failed") is False
    assert not_ready.read() == "gpu:1 failed"
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["not-ready.txt"]
    not_ready.clear()
    not_ready.clear()
    assert not_ready.read() == ""
