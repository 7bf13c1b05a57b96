"""The port for clients of PaddleOCR's deploy/pdserving, asked as their own client asks."""

import ast
import base64
import json
import threading

import pytest
import requests

from tests.containers import SAMPLES, encoded

EMPTY = {"key": [], "value": [], "tensors": []}


@pytest.fixture(scope="module")
def pdserving(tmp_path_factory):
    """One place for work, and one in the queue."""
    from conftest import Service

    folder = tmp_path_factory.mktemp("pdserving")
    folder.chmod(0o755)
    one = Service(folder, pdserving="true", workers=1, threads=1, queue=1, body_limit=2)
    yield one.ready()
    one.remove()


def ask(service, data):
    """As pipeline_http_client.py does: no type, and an answer whatever its status."""
    return requests.post(url=f"{service.url}/ocr/prediction", data=data, timeout=300)


def of(*pictures):
    return json.dumps({"key": ["image"] * len(pictures), "value": list(pictures)})


def test_its_clients_read_what_others_read(pdserving):
    picture = base64.b64encode((SAMPLES / "mixed.jpg").read_bytes()).decode("utf8")
    told = ask(pdserving, of(picture)).json()
    (value,) = told.pop("value")
    assert told == {"err_no": 0, "err_msg": "", "key": ["result"], "tensors": []}
    _, answer = pdserving.predict("ocr_system", {"images": [picture]})
    assert ast.literal_eval(value) == [
        [(line["text"], line["confidence"]), line["text_region"]] for line in answer["results"][0]
    ]
    assert "('" in value and ".0, " in value  # a tuple, and floats


def test_a_blank_page_has_no_lines_and_other_keys_are_left_alone(pdserving):
    body = {"key": ["name", "image"], "value": ["x", encoded("blank.png")], "logid": 7}
    told = ask(pdserving, json.dumps(body)).json()
    assert (told["err_no"], told["value"]) == (0, ["[]"])


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ("{", 400, "the body is not JSON"),
        ("[]", 400, "the body must be a JSON object"),
        ('{"images": []}', 400, "unknown field images"),
        ('{"key": ["image"]}', 400, "key has 1 entries and value 0"),
        ('{"key": "image", "value": ["x"]}', 400, "key must be a list of texts"),
        ('{"key": ["img"], "value": ["x"]}', 400, '0 entries of key are "image"'),
        (of("x", "x"), 400, '2 entries of key are "image"'),
        ('{"tensors": [{"name": "image"}]}', 400, "tensors are not read"),
        (of("%%%"), 400, "base64"),
        (of(base64.b64encode(b"no picture").decode()), 422, "images[0]"),
        (of("A" * 2_000_000), 413, "hubserving_body_limit"),
    ],
    ids=range(11),
)
def test_what_cannot_be_read_is_told_in_its_shape(pdserving, body, status, says):
    answer = ask(pdserving, body)
    told = answer.json()
    assert says in told.pop("err_msg")
    assert (answer.status_code, told) == (status, {"err_no": 5000, **EMPTY})


def test_other_methods_are_refused_in_its_shape(pdserving):
    answer = requests.get(f"{pdserving.url}/ocr/prediction", timeout=60)
    told = answer.json()
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert told == {"err_no": 5000, "err_msg": "use POST", **EMPTY}


def test_it_has_its_place_in_the_one_queue_and_in_the_log(pdserving):
    held = [
        threading.Thread(target=pdserving.predict, args=("stuck", {"gate": "open"}))
        for _ in range(2)
    ]
    for thread in held:
        thread.start()
    pdserving.working(1, queued=1)
    answer = ask(pdserving, of(encoded("line.png")))
    pdserving.open_gate("open")
    for thread in held:
        thread.join()
    assert (answer.status_code, answer.json()["err_no"]) == (503, 3001)
    assert int(answer.headers["Retry-After"]) >= 1
    lines = [line for line in pdserving.events() if line.get("path") == "/ocr/prediction"]
    assert {(line["code"], line.get("error")) for line in lines} >= {(200, None), (503, "busy")}


def test_without_the_setting_there_is_no_such_path(service):
    assert ask(service, of(encoded("line.png"))).status_code == 404
