"""Pictures of odd shapes, each with its right text, and pages that lie on their side."""

import odd_pictures
import pictures
import pytest
from PIL import Image, ImageDraw

LONG = [
    "今天天气很好我们一起去北京市海淀区中关村大街开会",
    "A wide picture of two long lines is read whole",
]
POEM = ["床前明月光疑是地上霜", "举头望明月低头思故乡", "静夜思作者唐代李白"]
PAGE = [
    "第一步检查目标主机的操作系统",
    "Machine learning platform",
    "Address:192.168.10.25",
    "共计8页",
    "Total:18650.75",
    "如有问题请联系系统管理员处理",
]
UPRIGHT = {"use_doc_orientation_classify": True}


def answered(service, picture, **options):
    body = {"images": [pictures.saved(picture, "PNG")], **({"options": options} if options else {})}
    status, answer = service.predict("ocr_system", body)
    assert status == 200, answer
    return answer["results"][0]


def texts(lines):
    return [line["text"].replace(" ", "") for line in lines]


def bare(lines):
    return [line.replace(" ", "") for line in lines]


@pytest.mark.parametrize("size", [20, 40, 80, 130])
def test_two_lines_of_a_very_wide_picture_are_read_whole(service, size):
    assert texts(answered(service, odd_pictures.wide(LONG, size))) == bare(LONG)


@pytest.mark.parametrize("size", [12, 16, 24, 32, 48, 80])
@pytest.mark.parametrize("margin", [0, 2])
def test_a_line_cut_out_is_read(service, size, margin):
    text = "单行识别的图片2026"
    assert texts(answered(service, odd_pictures.tight(text, size, margin))) == [text]


@pytest.mark.parametrize("size", [24, 40])
def test_a_long_line_cut_out_is_one_line(service, size):
    text = "欢迎使用识别服务北京市海淀区中关村大街今天天气很好我们一起去看电影"
    assert texts(answered(service, odd_pictures.tight(text, size, 3))) == [text]


@pytest.mark.parametrize(("text", "size"), [("小图", 14), ("价", 16), ("小", 30), ("128", 12)])
def test_tiny_pictures_are_read(service, text, size):
    (line,) = answered(service, odd_pictures.tight(text, size))
    assert line["text"] == text


def test_a_small_picture_without_text_has_none(service):
    smudge, rule = (Image.new("L", (60, 40), "white") for _ in range(2))
    ImageDraw.Draw(smudge).ellipse((10, 8, 50, 32), fill="grey")
    ImageDraw.Draw(rule).line((0, 20, 60, 20), fill="grey", width=2)
    for picture in (Image.new("L", (60, 40), "white"), smudge, rule):
        assert answered(service, picture) == []


def test_lines_from_top_to_bottom_are_read(service):
    (line,) = answered(service, odd_pictures.columns(POEM[:1], 40))
    assert line["text"] == POEM[0]
    # Their order is stock's, from left to right; that of a reader is asked for.
    assert sorted(texts(answered(service, odd_pictures.columns(POEM)))) == sorted(POEM)
    assert texts(answered(service, odd_pictures.columns(POEM), **UPRIGHT)) == POEM


@pytest.mark.parametrize("options", [{}, UPRIGHT])
@pytest.mark.parametrize("size", [12, 24])
def test_a_line_cut_out_and_turned_is_read_inside_its_picture(service, size, options):
    text = "单行识别的图片2026"
    line = odd_pictures.tight(text, size, 0).rotate(90, expand=True)
    (found,) = answered(service, line, return_word_box=True, **options)
    assert found["text"] == text
    for region in (found["text_region"], *(word["text_region"] for word in found["words"])):
        assert all(0 <= x < line.width and 0 <= y < line.height for x, y in region), region


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_a_turned_page_is_read_in_the_order_of_the_upright_one(service, turn):
    page = Image.new("L", (900, 600), "white")
    for row, text in enumerate(PAGE):
        ImageDraw.Draw(page).text((60, 40 + row * 80), text, "black", odd_pictures.face(36))
    turned = page.rotate(turn, expand=True)
    lines = answered(service, turned, **UPRIGHT)
    assert texts(lines) == bare(PAGE)
    for row, line in enumerate(lines):
        (left, top), *_ = line["text_region"]
        if turn == 90:
            left, top = 900 - top, left
        elif turn == 180:
            left, top = 900 - left, 600 - top
        elif turn == 270:
            left, top = top, 600 - left
        assert abs(left - 60) < 12 and abs(top - (40 + row * 80)) < 16, line


@pytest.mark.parametrize("kind", ["deep_png", "deep_tiff"])
def test_16_bits_of_each_colour_are_read(service, kind):
    file = getattr(odd_pictures, kind)(pictures.page())
    status, answer = service.predict("ocr_system", {"images": [odd_pictures.sent(file)]})
    assert status == 200, answer
    assert texts(answer["results"][0]) == bare([pictures.TEXT])
