"""Texts to draw: Chinese, English, digits and a mix, the same for the same seed."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

_CHINESE = (
    "深圳市南山区科技园南区综合楼三层", "合计金额壹万贰仟叁佰元整", "北京市海淀区中关村大街",
    "产品名称数量单价金额备注", "开户银行中国工商银行深圳分行", "检验合格准予出厂",
    "请于三十日内付清货款", "本合同一式两份双方各执一份", "注意事项请仔细阅读说明书",
    "欢迎光临谢谢惠顾", "服务器内存不足请稍后再试", "第一章总则与适用范围",
    "凭此小票七日内退换货", "网络连接已断开正在重新连接", "客户签字确认日期",
    "生产批号及有效期见包装", "电源开关安全出口禁止吸烟", "高铁候车室由此进站",
    "门诊挂号收费处", "会议纪要与工作安排",
)  # fmt: skip
_ENGLISH = tuple(
    re.findall(
        r"\w+",
        """invoice payment received total amount due balance account number please keep this receipt
        for your records thank you shipping address customer service open daily from nine until six
        the quick brown fox jumps over lazy dog terms and conditions apply serial model battery
        warning do not cover store below temperature made in china quality inspected by settings
        network connection failed retry cancel update available restart required download complete
        Monday Tuesday Wednesday January February October London Berlin Shanghai Street Avenue
        Building Floor Room Gate Terminal Boarding Pass Flight Seat Passenger Ticket Manager
        Director""",
    )
)
_UNITS = ("kg", "mm", "GB", "USD", "kWh", "%", "RMB", "V")
#: Rows of GB 2312 with its first 3,755 characters, those in daily use, but for the last five cells.
_ROWS, _CELLS = range(0xB0, 0xD7), range(0xA1, 0xFA)


def _chinese(dice: random.Random) -> str:
    """A phrase or part of one, or characters in no order, which no context helps to read."""
    if dice.random() < 0.5:
        phrase = dice.choice(_CHINESE)
        return phrase[dice.randrange(3) :] + dice.choice(_CHINESE)[: dice.randrange(6)]
    pairs = (bytes((dice.choice(_ROWS), dice.choice(_CELLS))) for _ in range(dice.randint(4, 14)))
    return b"".join(pairs).decode("gb2312")


def _english(dice: random.Random) -> str:
    words = [dice.choice(_ENGLISH) for _ in range(dice.randint(2, 5))]
    change = dice.choice((str.lower, str.capitalize, str.upper, str.title))
    return change(" ".join(words)) + dice.choice(("", "", ".", ","))


def _digits(dice: random.Random) -> str:
    number = dice.randrange
    return dice.choice(
        (
            lambda: f"{number(1990, 2030)}-{number(1, 13):02}-{number(1, 29):02}",
            lambda: f"{number(24):02}:{number(60):02}:{number(60):02}",
            lambda: f"{number(10**7):,}.{number(100):02}",
            lambda: f"1{number(3, 10)}{number(10**9):09}",
            lambda: f"0755-{number(10**8):08}",
            lambda: f"{number(256)}.{number(256)}.{number(256)}.{number(256)}:{number(65536)}",
            lambda: f"{number(10**18):018}",
        )
    )()


def _mixed(dice: random.Random) -> str:
    word = dice.choice(_ENGLISH).upper()
    return dice.choice(
        (
            lambda: f"{dice.choice(_CHINESE)[:8]}{_digits(dice)}",
            lambda: f"{dice.choice(_CHINESE)[:6]}{word}-{dice.randrange(1000)}",
            lambda: f"No.{dice.randrange(10**6)} {word}",
            lambda: f"{dice.choice(_CHINESE)[:4]}:{dice.randrange(1000)}{dice.choice(_UNITS)}",
        )
    )()


KINDS: dict[str, Callable[[random.Random], str]] = {
    "Chinese": _chinese, "English": _english, "digits": _digits, "mixed": _mixed,
}  # fmt: skip


def texts(kind: str, count: int, seed: int) -> list[str]:
    """So many texts of a kind."""
    dice = random.Random(f"{kind} {seed}")  # noqa: S311
    return [KINDS[kind](dice) for _ in range(count)]
