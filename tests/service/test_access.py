"""Tokens, networks, TLS."""

import http.client
import json
import ssl
import subprocess

import pytest

from tests import certificates
from tests.containers import encoded
from tests.rawhttp import ask, post, request


@pytest.fixture
def token_file(tmp_path):
    folder = tmp_path / "secret"
    folder.mkdir()
    path = folder / "tokens"

    def write(text):
        path.write_text(text)
        path.chmod(0o400)
        subprocess.run(["chown", "10001:10001", str(path), str(folder)], check=True)

    write("# of this test\nfirst-token\nsecond-token\n")
    return path, write


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_tokens_are_needed_and_read_again(start, token_file):
    path, write = token_file
    service = start(f"--volume={path.parent}:/run/secrets:ro", token_file="/run/secrets/tokens")  # noqa: S106
    service.ready()  # health needs none
    body = {"images": [encoded("line.png")]}
    for headers in ({}, bearer("wrong"), bearer(""), {"Authorization": "Basic first-token"}):
        status, answer = service.predict("ocr_rec", body, headers)
        assert status == 401 and answer["status"] == "101", headers
    assert service.request("GET", "/metrics")[0] == 401
    assert service.request("GET", "/")[0] == 200  # the page asks for it
    for token in ("first-token", "second-token"):
        assert service.texts(headers=bearer(token))
    path.unlink()
    write("third-token\n")
    service.wait(lambda: service.predict("ocr_rec", body, bearer("first-token"))[0] == 401)
    assert service.texts(headers=bearer("third-token"))
    assert "third-token" not in service.logs()


def test_networks_are_allowed_by_name(start):
    service = start(allow_networks="192.0.2.0/24")
    service.wait(lambda: "worker ready" in service.logs())
    status, answer = service.predict("ocr_rec", {"images": []})
    assert status == 403 and "network" in answer["msg"]
    inside = 'import urllib.request as u; print(u.urlopen("http://127.0.0.1:8866/readyz").status)'
    command = ["docker", "exec", service.name, "python", "-c", inside]
    assert subprocess.run(command, capture_output=True, text=True).stdout.strip() == "200"


def test_only_accepted_names_are_served(start):
    service = start(hosts="ocr.example, 192.0.2.7")
    service.wait(lambda: "worker ready" in service.logs())
    for host, code in (
        ("ocr.example", 200), ("OCR.example:80", 200), ("ocr.example.", 200), ("192.0.2.7", 200),
        ("evil.example", 403), ("ocr.example.evil", 403), ("127.0.0.1:8866", 403),
        ("localhost", 403),
    ):  # fmt: skip
        for path in ("/", "/metrics", "/readyz"):
            got, headers, body = service.request("GET", path, headers={"Host": host})
            assert got == code, (host, path, body)
            if got == 403:
                assert "hubserving_hosts" in json.loads(body)["msg"]
            assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    body = {"images": [encoded("line.png")]}
    assert service.predict("ocr_rec", body, {"Host": "evil.example"})[0] == 403
    assert service.predict("ocr_rec", body, {"Host": "ocr.example"})[0] == 200
    assert service.execute("python", "-m", "ppocr_serving.healthcheck").returncode == 0


def test_plain_http_to_the_tls_port_is_named(start, tmp_path):
    folder = tmp_path / "tls"
    folder.mkdir()
    certificates.issue(folder, "127.0.0.1").key.chmod(0o444)
    service = start(f"--volume={folder}:/tls:ro", tls_cert="/tls/cert.pem", tls_key="/tls/key.pem")
    service.wait(lambda: "worker ready" in service.logs())
    for sent in (request(), post(b"{}"), post(b"", length=10**9), request("HEAD / HTTP/1.1")):
        reply = ask(service.address, sent)
        assert reply.code == 400 and "https://" in reply.said["msg"]
    assert "hubserving_tls_cert" in service.logs()


def test_tls_with_a_given_certificate(start, tmp_path):
    folder = tmp_path / "tls"
    folder.mkdir()
    made = certificates.issue(folder, "127.0.0.1")
    made.key.chmod(0o444)
    service = start(f"--volume={folder}:/tls:ro", tls_cert="/tls/cert.pem", tls_key="/tls/key.pem")
    context = ssl.create_default_context(cafile=str(made.authority))

    def ready():
        connection = http.client.HTTPSConnection(*service.address, context=context, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    service.wait(ready)
    command = ["docker", "exec", service.name, "python", "-m", "ppocr_serving.healthcheck"]
    assert subprocess.run(command, capture_output=True).returncode == 0
