"""Services of the image under test, with the settings a test wants."""

import contextlib
import json
import re
from pathlib import Path

import pytest

from ppocr_contract.config import OCR_MODULES
from tests.containers import IMAGE, PORT, Container, docker, encoded, require_image

HERE = Path(__file__).parent


def pytest_addoption(parser):
    parser.addoption("--soak-requests", type=int, default=300, help="requests of the soak")
    parser.addoption("--kills", type=int, default=6, help="processes killed at random")
    parser.addoption("--kill-minutes", type=float, default=0.5, help="time these kills spread over")
    parser.addoption("--flood-requests", type=int, default=3000, help="bad requests of the flood")
    parser.addoption("--browser", action="store_true", help="install Chromium if need be")


class Service(Container):
    """One running service; settings are PPOCR_* names without the prefix."""

    def __init__(self, folder, *options, init_args=None, memory="3g", image=IMAGE, **settings):
        info = {name: {"init_args": init_args or {}, "predict_args": {}} for name in OCR_MODULES}
        for name in ("stuck", "picky"):
            init = {"directory": f"/modules/{name}"}
            info[name] = {"init_args": init, "predict_args": {}}
        config = folder / "config.json"
        config.write_text(json.dumps({"modules_info": info, "port": 8866}))
        variables = [f"--env=PPOCR_{key.upper()}={value}" for key, value in settings.items()]
        self._gates = folder / "gates"
        self._gates.mkdir(mode=0o755)
        mounts = [f"{config}:/etc/ppocr/config.json:ro", f"{HERE / 'modules'}:/modules:ro"]
        mounts.append(f"{self._gates}:/gates:ro")
        mounted = [f"--volume={mount}" for mount in mounts]
        super().__init__(f"--memory={memory}", *mounted, *PORT, *variables, *options, image=image)

    def predict(self, module, body, headers=None, timeout=300):
        """(HTTP status, parsed body)."""
        status, answer = self.post(module, body, headers, timeout)
        return status, json.loads(answer)

    def open_gate(self, name):
        """Let requests to module stuck go on that were given ``{"gate": name}``."""
        (self._gates / name).touch(mode=0o644)

    def working(self, requests, queued=0):
        """Wait until workers are busy with so many requests, and so many more wait for one."""

        def counted():
            busy = self.metric("ppocr_working_requests")
            return (busy, self.metric("ppocr_queue_requests")) == (requests, queued)

        return self.wait(counted)

    def logged(self, message):
        """Wait for a log line; return the fields of the first with this message."""
        self.wait(lambda: any(event["message"] == message for event in self.events()))
        return next(event for event in self.events() if event["message"] == message)

    def processes(self):
        """{pid: (parent, state, command line)} of the service, as its container sees them."""
        script = (
            "for p in /proc/[0-9]*; do IFS= read -r stat <$p/stat || continue; "
            "printf '%s\\n' \"$stat|$(tr '\\0\\n' '  ' <$p/cmdline)\"; done 2>/dev/null"
        )
        found = {}
        for line in self.execute("sh", "-c", script).stdout.splitlines():
            stat, _, command = line.partition("|")
            pid = int(stat.partition(" ")[0])
            state, parent = stat.rpartition(")")[2].split()[:2]
            if re.search(r"python\S* -m ppocr_serving(\.pdf\.draw)? ", command):
                found[pid] = (int(parent), state, command.strip())
        return found

    def roles(self):
        """{pid: role} of what runs: serve (the supervisor), run (the front), gunicorn, worker or
        draw, which is the order of parents and children too."""
        found = self.processes()

        def role_of(pid):
            parent, _, command = found[pid]
            if "ppocr_serving.pdf.draw" in command:
                return "draw"
            last = command.split()[-1]
            above = found.get(parent, (0, "", ""))[2]
            return {"workers": "worker" if above.endswith(last) else "gunicorn"}.get(last, last)

        running = (pid for pid in found if found[pid][1] != "Z" and found[pid][0])
        return {pid: role_of(pid) for pid in running if "docker-init" not in found[pid][2]}

    def pids(self, role):
        """The processes of a role."""
        return [pid for pid, name in self.roles().items() if name == role]

    def kill(self, *pids, signal="KILL"):
        """Send a signal inside the container; processes that are gone already do no harm."""
        numbers = " ".join(map(str, pids))
        docker("exec", self.name, "sh", "-c", f"kill -{signal} {numbers}", check=False)

    def texts(self, name="mixed.jpg", headers=None):
        status, answer = self.predict("ocr_system", {"images": [encoded(name)]}, headers)
        assert status == 200, answer
        return [line["text"] for line in answer["results"][0]]

    def is_ready(self):
        try:
            return self.request("GET", "/readyz", timeout=5)[0] == 200
        except OSError:
            return False

    def ready(self):
        return self.wait(self.is_ready)

    def metric(self, name, headers=None):
        """Sum of a metric's samples whose line starts with ``name``."""
        status, _, text = self.request("GET", "/metrics", headers=headers)
        assert status == 200, text
        text = text.decode()
        lines = [line for line in text.splitlines() if line.startswith(name)]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    def events(self):
        """Log lines that are JSON objects."""
        return [json.loads(line) for line in self.logs().splitlines() if line.startswith("{")]


@pytest.fixture(scope="session", autouse=True)
def image():
    return require_image()


@pytest.fixture
def start(tmp_path):
    """Start services of one's own; they are removed after the test."""
    started = []

    def start_one(*options, **settings):
        folder = tmp_path / str(len(started))
        folder.mkdir()
        folder.chmod(0o755)
        started.append(Service(folder, *options, **settings))
        return started[-1]

    yield start_one
    for service in started:
        service.remove()


@contextlib.contextmanager
def small_service(tmp_path_factory):
    """A ready service with small limits."""
    one = Service(
        tmp_path_factory.mktemp("small"),
        body_limit=2, images_limit=4, pixels_limit=2, header_timeout=3, body_timeout=4,
    )  # fmt: skip
    try:
        yield one.ready()
    finally:
        one.remove()


@pytest.fixture(scope="session")
def service(tmp_path_factory):
    """The same, shared by tests that do it no harm."""
    with small_service(tmp_path_factory) as shared:
        yield shared
