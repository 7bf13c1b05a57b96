"""Whole runs of the smoke tests against a small service that answers from the samples' index."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
import threading
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from plays import run_play

from smoke_tests.draw_samples import SAMPLES_DIR
from tests.tiers import first_by_default

ROOT = SAMPLES_DIR.parents[1]
ENTRIES = json.loads((SAMPLES_DIR / "samples.json").read_text(encoding="utf-8"))["samples"]
BY_HASH = {entry["sha256"]: entry for entry in ENTRIES}
TOKEN = "a-secret"  # noqa: S105 - of the test's own service
ALL_MODULES = "ocr_system,ocr_det,ocr_cls,ocr_rec"


def right_results(module: str, entries: list[dict[str, Any]]) -> Any:
    """Return what a good service answers."""

    def region(row: int) -> list[list[int]]:
        top = 10 + row * 50
        return [[10, top], [200, top], [200, top + 30], [10, top + 30]]

    if module == "ocr_rec":
        return [[{"text": "".join(e["lines"]), "confidence": 0.99} for e in entries]]
    if module == "ocr_cls":
        angles = ["180" if "cls-180" in e["tags"] else "0" for e in entries]
        return [[{"angle": angle, "confidence": 1.0} for angle in angles]]
    lines = [
        [
            {"text": text, "confidence": 0.98, "text_region": region(row)}
            for row, text in enumerate(e["lines"])
        ]
        for e in entries
    ]
    if module == "ocr_det":
        return [[{"text_region": item["text_region"]} for item in found] for found in lines]
    return lines


class Service:
    """A stand-in service; tests change ``results`` and ``token``, or let it die."""

    def __init__(self) -> None:
        self.results: Callable[[str, list[dict[str, Any]]], Any] = right_results
        self.token = ""
        self.dies_after: int | None = None
        self.requests = 0
        service = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                self.answer(200, {"status": "000"})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                service.requests += 1
                if service.dies_after is not None and service.requests > service.dies_after:
                    self.connection.close()
                    return
                module = self.path.rpartition("/")[2]
                if service.token and self.headers["Authorization"] != f"Bearer {service.token}":
                    self.answer(401, {"status": "401", "msg": "token", "results": ""})
                elif module not in ALL_MODULES.split(","):
                    self.answer(200, {"status": "111", "msg": "not found", "results": ""})
                else:
                    data = [base64.b64decode(image) for image in body["images"]]
                    entries = [BY_HASH[hashlib.sha256(item).hexdigest()] for item in data]
                    results = service.results(module, entries)
                    self.answer(200, {"status": "000", "msg": "", "results": results})

            def answer(self, status: int, body: Any) -> None:
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def service() -> Iterator[Service]:
    running = Service()
    # A short look whether to end: half a second of it, as is usual, was a tenth of these tests.
    thread = threading.Thread(target=running.server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield running
    running.server.shutdown()
    running.server.server_close()


def smoke(*options: str, report: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the smoke tests as a user does."""
    more = [f"--report-dir={report}"] if report else []
    return subprocess.run(
        [sys.executable, "-m", "smoke_tests", *options, *more],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


def verdict(report: Path) -> dict[str, Any]:
    return json.loads((report / "verdict.json").read_text(encoding="utf-8"))


def test_a_good_service_passes_with_every_report(service: Service, tmp_path: Path) -> None:
    done = smoke("--url", service.url, "--modules", ALL_MODULES, report=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "北京市海淀区中关村大街" in done.stdout
    read = verdict(tmp_path)
    assert read["ok"] is True
    assert read["failed"] == 0
    assert read["done"] == read["planned"]
    assert {row["file"] for row in read["pictures"]} == {entry["file"] for entry in ENTRIES}
    assert all(row["elapsed_ms"] > 0 for row in read["pictures"])
    suite = ElementTree.parse(tmp_path / "junit.xml").getroot()[0]  # noqa: S314 - our own file
    assert suite.attrib["failures"] == "0"
    assert int(suite.attrib["tests"]) >= len(ENTRIES)


def test_the_page_stands_alone(service: Service, tmp_path: Path) -> None:
    smoke("--url", f"{service.url}/predict/ocr_system", report=tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    links = re.findall(r'(?:href|src)="([^"]{0,40})', page)
    assert all(link.startswith(("#", "data:image/")) for link in links)
    assert "url(" not in page
    assert page.count("<svg") == len(ENTRIES)
    assert "<polygon" in page
    assert "prefers-color-scheme: dark" in page
    assert "期望 Expected" in page


def test_a_miss_fails_and_is_shown_everywhere(service: Service, tmp_path: Path) -> None:
    def wrong(module: str, entries: list[dict[str, Any]]) -> Any:
        results = right_results(module, entries)
        if entries[0]["file"] == "digits.png":
            results[0][1]["text"] = "1380013800O<b>"
        return results

    service.results = wrong
    done = smoke("--url", service.url, report=tmp_path)
    assert done.returncode == 1
    assert "'1380013800O<b>' instead of '13800138000'" in done.stdout
    read = verdict(tmp_path)
    assert read["ok"] is False
    assert [row["file"] for row in read["pictures"] if not row["ok"]] == ["digits.png"]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<del>O&lt;b&gt;</del>" in page
    assert "O<b>" not in page
    assert "digits.png" in (tmp_path / "junit.xml").read_text(encoding="utf-8")


def test_what_a_setting_excludes_is_not_asked_and_said(service: Service, tmp_path: Path) -> None:
    """As with the example of hubserving_params in docs/models.md."""
    excluded = {"rotated-180.png", "large.png", "line-180.png"}

    def without(module: str, entries: list[dict[str, Any]]) -> Any:
        results = right_results(module, entries)
        if module == "ocr_system":
            return [
                [] if e["file"] in excluded else r for e, r in zip(entries, results, strict=True)
            ]
        return results

    service.results = without
    params = {"det_limit_side_len": 1280, "det_db_thresh": 0.3, "use_angle_cls": False}
    given = ("--url", service.url, "--modules", ALL_MODULES)
    done = smoke(*given, "--params", json.dumps(params), report=tmp_path)
    assert done.returncode == 0, done.stdout
    turned = "not sent: rotated-180.png needs use_angle_cls true (hubserving_params)"
    assert turned in done.stdout.splitlines()
    read = verdict(tmp_path)
    assert read["ok"] is True and read["done"] == read["planned"]
    assert {text.split()[0] for text in read["not_asked"]} == excluded
    assert read["summary"].endswith("checks, 3 pictures not sent")
    asked = {row["file"] for row in read["pictures"] if row["module"] == "ocr_system"}
    assert asked == {entry["file"] for entry in ENTRIES} - excluded
    assert "line-180.png needs use_angle_cls true" in (tmp_path / "report.html").read_text("utf-8")
    assert smoke(*given).returncode == 1  # nothing is excluded by itself


@pytest.mark.parametrize(
    ("params", "excluded"),
    first_by_default(
        [
            ({"det_limit_side_len": 320}, {"chinese.png", "rotated-180.png", "large.png"}),
            ({"drop_score": 0.95}, {"chinese.png", "rotated-180.png", "large.png", "tilted.jpg"}),
            ({"det_limit_type": "min"}, {"large.png", "low-contrast.png"}),
            ({"drop_score": 0.6, "cls_batch_num": 6}, set()),
        ]
    ),
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value),
)
def test_what_other_parameters_exclude_is_not_asked_of_any_module(
    service: Service, tmp_path: Path, params: dict[str, Any], excluded: set[str]
) -> None:
    given = ("--url", service.url, "--modules", "ocr_system,ocr_det")
    done = smoke(*given, "--params", json.dumps(params), report=tmp_path)
    assert done.returncode == 0, done.stdout
    read = verdict(tmp_path)
    assert {text.split()[0] for text in read["not_asked"]} == excluded
    assert len(read["not_asked"]) == len(excluded)
    assert not excluded & {row["file"] for row in read["pictures"]}


def test_a_miss_names_the_parameters_that_were_set(service: Service) -> None:
    service.results = lambda module, entries: [[] for _ in entries]
    done = smoke("--url", service.url, "--params", '{"drop_score": 0.85}')
    assert done.returncode == 1
    assert "which may be the cause: drop_score 0.85" in done.stdout


def test_low_confidence_is_a_miss(service: Service, tmp_path: Path) -> None:
    def unsure(module: str, entries: list[dict[str, Any]]) -> Any:
        return [
            [line | {"confidence": 0.55} for line in lines]
            for lines in right_results(module, entries)
        ]

    service.results = unsure
    assert smoke("--url", service.url, report=tmp_path).returncode == 1
    assert "confidence 0.550 is below 0.8" in (tmp_path / "report.html").read_text("utf-8")


def test_nothing_listening_is_one_sentence(tmp_path: Path) -> None:
    done = smoke("--url", "http://127.0.0.1:9", report=tmp_path)
    assert done.returncode == 1
    assert done.stdout.count("refuses or drops the connection") == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert verdict(tmp_path)["unreachable"]
    assert (tmp_path / "report.html").is_file()


def test_a_service_that_dies_is_told_once(service: Service, tmp_path: Path) -> None:
    service.dies_after = 2
    done = smoke("--url", service.url, report=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    read = verdict(tmp_path)
    assert len(read["pictures"]) == 2
    assert "connection" in read["summary"]
    assert service.requests == 3


def test_token_comes_from_a_file_or_the_environment(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.token = TOKEN
    refused = smoke("--url", service.url, report=tmp_path)
    assert refused.returncode == 1
    assert "the token is missing or refused" in refused.stdout
    secret = tmp_path / "token"
    secret.write_text(f"{TOKEN}\n", encoding="utf-8")
    assert smoke("--url", service.url, "--token-file", str(secret)).returncode == 0
    monkeypatch.setenv("PPOCR_SMOKE_TOKEN", TOKEN)
    done = smoke("--url", service.url, report=tmp_path)
    assert done.returncode == 0
    reports = "".join(path.read_text("utf-8") for path in tmp_path.glob("*.*"))
    assert TOKEN not in done.stdout + reports


def test_a_module_that_is_not_served_is_a_miss(service: Service) -> None:
    done = smoke("--url", service.url, "--modules", "ocr_system,own_module")
    assert done.returncode == 1
    assert "the module is not served" in done.stdout


@pytest.mark.parametrize("module", ["ocr_det", "ocr_rec", "ocr_cls"])
def test_an_instance_may_serve_one_module_only(service: Service, module: str) -> None:
    done = smoke("--url", service.url, "--modules", module)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--url", "host:8866"], "is not a URL"),
        (["--url", "http://h", "--timeout", "0"], "--timeout"),
        (["--url", "http://h", "--samples", "/nowhere"], "--samples /nowhere is not a folder"),
        (["--url", "http://h", "--token-file", "/nowhere"], "--token-file /nowhere"),
        (["--url", "http://h", "--token", "a", "--token-file", "b"], "exclude each other"),
        (["--url", "http://h", "--module", "a", "--modules", "b"], "not among --modules"),
        (["--url", "http://h", "--params", "a=1"], "--params 'a=1' is not JSON"),
        (["--url", "http://h", "--params", "[1]"], "--params '[1]' is not an object"),
    ],
)
def test_wrong_options_are_told_in_one_sentence(options: list[str], message: str) -> None:
    done = smoke(*options)
    assert done.returncode == 4
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_pytest_itself_takes_the_same_options(service: Service, tmp_path: Path) -> None:
    junit = tmp_path / "own.xml"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "smoke_tests",
            "--url",
            service.url,
            "--junitxml",
            str(junit),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout
    assert junit.is_file()


URLS = """
- hosts: ppocr_hosts
  gather_facts: false
  vars: {smoke_test_address: 127.0.0.1, smoke_test_url: ""}
  vars_files: [FILE]
  tasks:
    - ansible.builtin.debug:
        msg: "{{ item }}: {{ _smoke_test_url }} {{ _smoke_test_bind_loopback }}."
      loop: ["0.0.0.0", "[::]", "127.0.0.1", "::1", "[::1]", "[fd00::7]"]
      vars: {smoke_test_instance: {port: 8866, bind: "{{ item }}"}}
"""


@pytest.mark.slow
def test_an_instance_is_tested_where_it_listens(tmp_path: Path) -> None:
    play = URLS.replace("FILE", str(ROOT / "roles/smoke_test/vars/main.yml"))
    status, output = run_play(tmp_path, play, {"here": {"ansible_connection": "local"}})
    assert status == 0, output
    for bind in ("0.0.0.0", "[::]"):
        assert f"{bind}: http://127.0.0.1:8866 False." in output
    assert "127.0.0.1: http://127.0.0.1:8866 True." in output
    for bind in ("::1", "[::1]"):
        assert f"{bind}: http://[::1]:8866 True." in output
    assert "[fd00::7]: http://[fd00::7]:8866 False." in output
