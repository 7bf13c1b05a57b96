"""The page in headless Chromium: files are chosen, their text shown and drawn; screenshots kept."""

import shutil

import browser
import pictures
import pytest

from tests import pdfs
from tests.containers import SAMPLES


@pytest.fixture(scope="module")
def driver(request):
    """A browser as a person on this machine would use it."""
    if not shutil.which("chromedriver") and request.config.getoption("--browser"):
        browser.install()
    if not shutil.which("chromedriver"):
        pytest.skip("no chromedriver: as root on Debian, --browser installs it")
    with browser.running() as running:
        yield running


@pytest.mark.parametrize(
    ("language", "width", "height", "title"),
    [("en-US", 1280, 900, "Text recognition"), ("zh-CN", 390, 844, "文字识别")],
    ids=["english on a desk", "chinese on a phone"],
)
def test_a_picture_is_read_and_drawn(service, driver, language, width, height, title):
    page = driver.open(f"{service.url}/", width, height, language)
    try:
        assert page.run("document.querySelector('h1').textContent") == title
        page.send("#file", str(SAMPLES / "mixed.jpg"))
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
        ours = f"{service.url}/"
        assert all(name.startswith((ours, "data:", "blob:")) for name in asked), asked
        assert page.errors() == []
    finally:
        page.close()


def test_a_failed_upload_leaves_nothing_of_the_one_before(service, driver, tmp_path):
    page = driver.open(f"{service.url}/", 1280, 900, "en-US")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "broken.png").write_bytes(b"no picture either")
    (tmp_path / "locked.pdf").write_bytes(pdfs.locked())
    try:
        for name in ("notes.txt", "broken.png", "locked.pdf"):
            page.send("#file", str(SAMPLES / "mixed.jpg"))
            page.wait("document.querySelectorAll('#lines li').length === 3")
            # Steps of several threads add up to more than the time they took together.
            assert "side by side" in page.run("document.querySelector('#state').textContent")
            page.send("#file", str(tmp_path / name))
            page.wait("document.querySelector('#state').className === 'error'")
            assert page.run("document.querySelectorAll('#lines li').length") == 0
            assert "mixed.jpg" not in page.run("document.querySelector('#curl').textContent")
            assert "PP-OCR" not in page.run("document.querySelector('#json').textContent")
    finally:
        page.close()


def test_the_token_is_asked_for(start, driver, tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "tokens").write_text("the-token\n")
    tmp_path.chmod(0o755)
    service = start(f"--volume={secret}:/secret:ro", token_file="/secret/tokens").ready()  # noqa: S106
    page = driver.open(f"{service.url}/", 1280, 900, "en-US")
    try:
        page.send("#file", str(SAMPLES / "small.png"))
        page.wait("!document.querySelector('#token').hidden")
        page.screenshot("page-token.png")
        page.send("#token-value", "the-token\n")
        page.wait("document.querySelectorAll('#lines li').length === 1")
        assert "YOUR_TOKEN" in page.run("document.querySelector('#curl').textContent")
    finally:
        page.close()


def test_a_pdf_is_turned_page_by_page(service, driver, tmp_path):
    sheets = [pictures.page(size=(600, 400), text=f"SHEET{number}") for number in (1, 2, 3)]
    (tmp_path / "three.pdf").write_bytes(pdfs.scanned(sheets))
    page = driver.open(f"{service.url}/", 1280, 900, "en-US")
    shown = "document.querySelector('#lines').textContent"
    try:
        assert page.run("document.querySelector('#choice').hidden")
        page.send("#file", str(tmp_path / "three.pdf"))
        page.wait(f"{shown}.includes('SHEET1')")
        page.click("#on")
        assert "SHEET2" in page.run(shown)
        assert page.run("document.querySelector('#where').textContent") == "Page 2 · 2 of 3"
        page.wait("document.querySelector('#image').naturalWidth > 600")
        page.wait("document.querySelector('#boxes').getAttribute('viewBox') === '0 0 1667 1112'")
        assert page.run("document.querySelectorAll('#boxes polygon').length") == 1
        assert "base64,/9j" not in page.run("document.querySelector('#json').textContent")
        assert '{"pdfs":' in page.run("document.querySelector('#curl').textContent")
        page.screenshot("page-pdf.png")
        page.send("#pages", "3\n")
        page.wait(f"{shown}.includes('SHEET3')")
        assert page.run("document.querySelector('#where').textContent") == "Page 3 · 1 of 1"
        (tmp_path / "locked.pdf").write_bytes(pdfs.locked())
        page.send("#file", str(tmp_path / "locked.pdf"))
        page.wait("document.querySelector('#state').textContent.includes('password')")
        # An error of ours is a 422, which the browser's console shows as well.
        assert all("422" in entry["message"] for entry in page.errors())
    finally:
        page.close()
