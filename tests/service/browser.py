"""Chromium without a screen, spoken to over WebDriver; pictures of pages are kept in build/page."""

import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

PICTURES = Path(__file__).parents[2] / "build/page"
PACKAGES = ("chromium", "chromium-driver", "fonts-wqy-microhei", "fonts-dejavu-core")
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # WebDriver's key of an element


def install():
    """Install Debian's Chromium and its driver where apt can and we may."""
    if os.geteuid() or not shutil.which("apt-get"):
        return
    get = ["apt-get", "--yes", "--quiet"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in ([*get, "update"], [*get, "install", "--no-install-recommends", *PACKAGES]):
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def running():
    """A :class:`Browser` with a driver of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL)
    try:
        browser = Browser(f"http://127.0.0.1:{port}")
        deadline = time.monotonic() + 30
        while not browser.is_ready():
            assert time.monotonic() < deadline and driver.poll() is None, (
                "chromedriver is not ready"
            )
            time.sleep(0.2)
        yield browser
    finally:
        driver.terminate()
        driver.wait(10)


class Browser:
    """WebDriver, spoken plainly."""

    def __init__(self, base):
        self._base = base
        self._session = ""

    def is_ready(self):
        try:
            return self.call("GET", "/status")["ready"]
        except OSError:
            return False

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
        PICTURES.mkdir(parents=True, exist_ok=True)
        (PICTURES / name).write_bytes(base64.b64decode(self.call("GET", "/screenshot")))

    def errors(self):
        log = self.call("POST", "/se/log", {"type": "browser"})
        return [entry for entry in log if entry["level"] == "SEVERE"]

    def close(self):
        self.call("DELETE", "")
        self._session = ""
