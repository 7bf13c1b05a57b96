"""Our service beside the stock pipeline and the stock client, with the same models.

The service is a container of its own, of the variant with Paddle and with the guide's models
(PP-OCRv4-mobile), on OpenVINO. The first run makes the stock environment (stock_environment.py).
"""

from __future__ import annotations

from collections.abc import Iterator

import compare
import hubserving_client
import pytest
from stock_environment import SAMPLES_DIR, pictures

from tests.containers import PORT, Container, paddle_image

FILES = pictures(SAMPLES_DIR)
EXACT = ("--env=PPOCR_PRECISION=f32", "--env=PPOCR_WIDTH_STEP=1")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Our service with the default settings."""
    container = Container(*PORT, image=paddle_image())
    try:
        yield container.healthy().url
    finally:
        container.remove()


@pytest.fixture(scope="module")
def stock() -> Iterator[dict[str, compare.Lines]]:
    """The stock pipeline's answers with the direction classifier."""
    yield compare.ask_stock(FILES)


def test_stock_reads_the_samples(stock: dict[str, compare.Lines]) -> None:
    """The samples are such that the stock pipeline reads them exactly."""
    index = compare.json.loads((SAMPLES_DIR / "samples.json").read_text(encoding="utf-8"))
    expected = {entry["file"]: entry["lines"] for entry in index["samples"]}
    assert {name: [line["text"] for line in lines] for name, lines in stock.items()} == expected


def test_stock_without_classifier_misreads_turned_text() -> None:
    """The turned sample is one that needs the classifier, so that it proves something."""
    turned = SAMPLES_DIR / "rotated-180.png"
    lines = compare.ask_stock([turned], use_angle_cls=False)[turned.name]
    assert "UPSIDE-DOWN" not in [line["text"] for line in lines]


def test_answers_agree_with_stock(url: str, stock: dict[str, compare.Lines]) -> None:
    """Same lines, same text, corners within 3 pixels, confidence within 0.05.

    Stock's confidence of a line depends on how wide the other lines of the page are; ours does not.
    """
    differences = compare.compare_answers(compare.ask_service(url, FILES), stock, confidence=0.05)
    assert not any(item.problems for item in differences), "\n".join(compare.table(differences))


def test_exact_settings_give_the_answers_of_stock(stock: dict[str, compare.Lines]) -> None:
    """In f32 and at stock's widths: the same corners, and confidence to the fourth place."""
    container = Container(*PORT, *EXACT, image=paddle_image())
    try:
        answers = compare.ask_service(container.healthy().url, FILES)
    finally:
        container.remove()
    differences = compare.compare_answers(answers, stock, pixels=0, confidence=1e-4)
    assert not any(item.problems for item in differences), "\n".join(compare.table(differences))


@pytest.mark.parametrize("visualize", [False, True])
@pytest.mark.parametrize("module", hubserving_client.MODULES)
def test_stock_client_works_unchanged(url: str, module: str, visualize: bool) -> None:
    """tools/test_hubserving.py of the wheel reads our answers."""
    run = hubserving_client.run_client(url, module, SAMPLES_DIR, visualize)
    assert hubserving_client.check_run(run, [path.name for path in FILES]) == []
