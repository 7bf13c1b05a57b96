"""Our service beside the stock pipeline and the stock client, with the guide's models.

Containers of the image serve them. PPOCR_STOCK_URL names a running service with the default
settings, whose models may be others; without it the tests are skipped. The first run makes the
stock environment (see stock_environment.py).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import compare
import hubserving_client
import pytest
from stock_environment import SAMPLES_DIR, pictures

from tests.containers import PORT, Container, lay_out

URL = os.environ.get("PPOCR_STOCK_URL", "")
pytestmark = pytest.mark.skipif(not URL, reason="PPOCR_STOCK_URL names no running service")
FILES = pictures(SAMPLES_DIR)


@pytest.fixture(scope="module")
def guides_models(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The option that mounts the models the stock pipeline reads with."""
    return lay_out("PP-OCRv4-mobile", tmp_path_factory.mktemp("guides") / "models")


@contextlib.contextmanager
def served(*options: str) -> Iterator[str]:
    """The URL of a container of its own."""
    container = Container(*PORT, *options)
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


def test_answers_agree_with_stock(stock: dict[str, compare.Lines], guides_models: str) -> None:
    """Same lines, same text, corners within 3 pixels, confidence within 0.05.

    Stock's confidence of a line depends on how wide the other lines of the page are; ours does not.
    """
    with served(guides_models) as url:
        answers = compare.ask_service(url, FILES)
    differences = compare.compare_answers(answers, stock, confidence=0.05)
    assert not any(item.problems for item in differences), "\n".join(compare.table(differences))


def test_exact_settings_give_the_answers_of_stock(
    stock: dict[str, compare.Lines], guides_models: str
) -> None:
    """In f32 and at stock's widths: the same corners, and confidence to the fourth place."""
    with served(guides_models, "--env=PPOCR_PRECISION=f32", "--env=PPOCR_WIDTH_STEP=1") as url:
        answers = compare.ask_service(url, FILES)
    differences = compare.compare_answers(answers, stock, pixels=0, confidence=1e-4)
    assert not any(item.problems for item in differences), "\n".join(compare.table(differences))


@pytest.mark.parametrize("visualize", [False, True])
@pytest.mark.parametrize("module", hubserving_client.MODULES)
def test_stock_client_works_unchanged(module: str, visualize: bool) -> None:
    """tools/test_hubserving.py of the wheel reads our answers."""
    run = hubserving_client.run_client(URL, module, SAMPLES_DIR, visualize)
    assert hubserving_client.check_run(run, [path.name for path in FILES]) == []
