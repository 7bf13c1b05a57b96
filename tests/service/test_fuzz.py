"""Any body at all: never a 500, never a lost worker."""

import base64
import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import pdfs
from tests.containers import encoded

PLAIN = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40)
)
JSON = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4)
    ),
)
PDF = pdfs.written("DAMAGED", (300, 120))
PNG = base64.b64decode(encoded("small.png"))
JPEG = base64.b64decode(encoded("tilted.jpg"))


@st.composite
def damaged(draw, *files):
    """A file with some of its bytes changed, or cut off."""
    data = bytearray(draw(st.sampled_from(files)))
    for place in draw(st.lists(st.integers(0, len(data) - 1), max_size=12)):
        data[place] = draw(st.integers(0, 255))
    cut = draw(st.integers(0, len(data)))
    return base64.b64encode(bytes(data[:cut] if draw(st.booleans()) else data)).decode()


IMAGES = st.lists(damaged(PNG, JPEG) | st.text(max_size=20) | JSON, max_size=4)
ORDERS = st.fixed_dictionaries(
    {"data": damaged(PDF)},
    optional={"pages": st.text("0123456789-, ", max_size=6), "dpi": st.integers(), "x": JSON},
)
DOCUMENTS = st.lists(damaged(PDF) | ORDERS | JSON, max_size=3)
BODIES = (
    st.fixed_dictionaries({"images": IMAGES}, optional={"paths": JSON, "self": JSON, "cls": JSON})
    .map(json.dumps)
    .map(str.encode)
    | st.fixed_dictionaries({"pdfs": DOCUMENTS}, optional={"images": IMAGES | JSON})
    .map(json.dumps)
    .map(str.encode)
    | JSON.map(json.dumps).map(str.encode)
    | st.binary(max_size=200)
)


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(body=BODIES, module=st.sampled_from(["ocr_system", "ocr_det", "ocr_cls", "ocr_rec"]))
def test_no_body_breaks_the_service(service, body, module):
    status, answer = service.predict(module, body)
    assert status < 500, (status, answer)
    assert set(answer) - {"pages"} == {"status", "msg", "results"}  # pages: of PDFs only


def test_no_worker_was_lost_to_it(service):
    assert service.texts()
    assert service.metric('ppocr_worker_restarts_total{reason="lost"}') == 0
