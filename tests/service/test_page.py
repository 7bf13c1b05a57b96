"""The page in headless Chromium: a picture is chosen, its text shown and drawn; screenshots kept.

Chromium lives in an image of its own, bootstrapped from the distribution's packages on first use
(about a gigabyte); ``--browser`` asks for that, without it the test is skipped where there is none.
"""

import base64
import json
import subprocess
import tempfile
import time
import urllib.request
import uuid
from pathlib import Path

import pytest
from conftest import SAMPLES, docker

BROWSER = "ppocr-test-browser:bookworm"
PACKAGES = "chromium,chromium-driver,fonts-wqy-microhei,fonts-dejavu-core"
REPORTS = Path(__file__).parents[2] / "reports/page"
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # WebDriver's key of an element


def make_browser_image():
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        root = f"{folder}/root.tar"
        bootstrap = ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase"]
        subprocess.run([*bootstrap, f"--include={PACKAGES}", "bookworm", root], check=True)
        docker("import", "-c", "ENV LANG=C.UTF-8", "-c", "ENV PATH=/usr/bin:/bin", root, BROWSER)


class Browser:
    """WebDriver, spoken plainly."""

    def __init__(self, base):
        self._base = base
        self._session = ""

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self._base}{self._session}{path}",
            data,
            {"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def open(self, url, width, height, language):
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        arguments += [f"--window-size={width},{height}", f"--lang={language}"]
        wanted = {
            "goog:chromeOptions": {
                "args": arguments,
                "prefs": {"intl.accept_languages": language},
            },
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        made = self.call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{made['sessionId']}"
        self.call("POST", "/url", {"url": url})
        return self

    def find(self, css):
        found = self.call("POST", "/element", {"using": "css selector", "value": css})
        return found[ELEMENT]

    def send(self, css, text):
        self.call("POST", f"/element/{self.find(css)}/value", {"text": text})

    def click(self, css):
        self.call("POST", f"/element/{self.find(css)}/click", {})

    def run(self, script):
        return self.call("POST", "/execute/sync", {"script": f"return {script}", "args": []})

    def wait(self, script, seconds=30):
        deadline = time.monotonic() + seconds
        while not self.run(script):
            state = self.run("document.getElementById('state').textContent")
            assert time.monotonic() < deadline, f"{script}: {state}"
            time.sleep(0.2)

    def screenshot(self, name):
        REPORTS.mkdir(parents=True, exist_ok=True)
        (REPORTS / name).write_bytes(base64.b64decode(self.call("GET", "/screenshot")))

    def errors(self):
        log = self.call("POST", "/se/log", {"type": "browser"})
        return [entry for entry in log if entry["level"] == "SEVERE"]

    def close(self):
        self.call("DELETE", "")
        self._session = ""


@pytest.fixture(scope="module")
def driver(request):
    """A function that opens a page in a fresh browser; the browser's container shares the host's
    network, as a person's browser would reach the service."""
    if docker("image", "inspect", BROWSER, check=False).returncode:
        if not request.config.getoption("--browser"):
            pytest.skip(f"no image {BROWSER}: run with --browser to make it")
        make_browser_image()
    name = f"ppocr-browser-{uuid.uuid4().hex[:8]}"
    mount = f"--volume={SAMPLES}:/samples:ro"
    command = ["chromedriver", "--port=19515", "--whitelisted-ips="]
    docker("run", "--detach", "--name", name, "--network=host", mount, BROWSER, *command)
    browser = Browser("http://127.0.0.1:19515")
    deadline = time.monotonic() + 30
    while True:
        try:
            if browser.call("GET", "/status")["ready"]:
                break
        except OSError:
            assert time.monotonic() < deadline, docker("logs", name).stderr
            time.sleep(0.3)
    yield browser
    docker("rm", "--force", name)


@pytest.mark.parametrize(
    ("language", "width", "height", "title"),
    [("en-US", 1280, 900, "Text recognition"), ("zh-CN", 390, 844, "文字识别")],
    ids=["english on a desk", "chinese on a phone"],
)
def test_a_picture_is_read_and_drawn(service, driver, language, width, height, title):
    page = driver.open(f"http://{service.host}:{service.port}/", width, height, language)
    try:
        assert page.run("document.querySelector('h1').textContent") == title
        page.send("#file", "/samples/mixed.jpg")
        page.wait("document.querySelectorAll('#lines li').length === 3")
        page.wait("document.querySelector('#boxes').getAttribute('viewBox') !== null")
        assert page.run("document.querySelectorAll('#boxes polygon').length") == 3
        assert "PP-OCR" in page.run("document.querySelector('#lines').textContent")
        assert '"status"' in page.run("document.querySelector('#json').textContent")
        assert "/predict/ocr_system" in page.run("document.querySelector('#curl').textContent")
        # By keyboard: a line that has the focus lights up its box.
        page.run("document.querySelectorAll('#lines button')[1].focus()")
        assert page.run("document.querySelector('polygon.on').dataset.line") == "1"
        wide = page.run("document.documentElement.scrollWidth <= innerWidth")
        assert wide, "the page is wider than the screen"
        page.screenshot(f"page-{language}.png")
        page.click("#language")
        assert page.run("document.querySelector('h1').textContent") != title
        # Nothing was asked of anybody else.
        asked = page.run("performance.getEntriesByType('resource').map((entry) => entry.name)")
        ours = f"http://{service.host}:{service.port}/"
        assert all(name.startswith((ours, "data:", "blob:")) for name in asked), asked
        assert page.errors() == []
    finally:
        page.close()


def test_the_token_is_asked_for(start, driver, tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "tokens").write_text("the-token\n")
    service = start(f"--volume={secret}:/secret:ro", token_file="/secret/tokens").ready()  # noqa: S106
    page = driver.open(f"http://{service.host}:{service.port}/", 1280, 900, "en-US")
    try:
        page.send("#file", "/samples/small.png")
        page.wait("!document.querySelector('#token').hidden")
        page.screenshot("page-token.png")
        page.send("#token-value", "the-token\n")
        page.wait("document.querySelectorAll('#lines li').length === 1")
        assert "YOUR_TOKEN" in page.run("document.querySelector('#curl').textContent")
    finally:
        page.close()
