"""The output of a script on a host is separated from all that is printed around it."""

from __future__ import annotations

import subprocess

import pytest

from ppocr_control.ssh.framing import Frame

NOISE = b"Welcome to the host\nuid=0\nno line end"


def run(script: str) -> tuple[Frame, bytes, bytes, int]:
    frame = Frame()
    done = subprocess.run(["sh", "-c", frame.script(script)], capture_output=True, check=False)
    return frame, done.stdout, done.stderr, done.returncode


@pytest.mark.parametrize("step", [1, 7, 10_000])
@pytest.mark.parametrize(
    ("script", "out", "status"),
    [
        ("echo hello", b"hello\n", 0),
        ("printf 'no end'; exit 255", b"no end", 255),
        ("exit 9", b"", 9),
        ("printf '\\n\\nppocr-0 ends 0\\n'; false", b"\n\nppocr-0 ends 0\n", 1),
        ("head -c 3000 /dev/zero", bytes(3000), 0),
    ],
)
def test_any_piece_size_gives_what_the_script_printed(
    step: int, script: str, out: bytes, status: int
) -> None:
    frame, printed, _, _ = run(script)
    whole = NOISE + printed + b"Shared connection to host closed.\n"
    pieces = [frame.feed(whole[at : at + step]) for at in range(0, len(whole), step)]
    assert b"".join(pieces) == out
    assert frame.status == status
    assert frame.noise == NOISE


def test_errors_are_those_of_the_script() -> None:
    frame, out, err, _ = run("echo mine >&2; LANG=x true; echo $LC_ALL")
    answer = frame.answer(out.decode(), f"sudo: lecture\n{err.decode()}")
    assert answer
    assert (answer.status, answer.out, answer.err) == (0, "C\n", "mine\n")


def test_what_never_began_or_ended_is_no_answer() -> None:
    frame = Frame()
    assert frame.answer("This account is currently not available.\n", "") is None
    assert not frame.begun and b"not available" in frame.noise
    frame, out, _, _ = run("echo begun")
    assert frame.answer(out.decode().rpartition("ppocr")[0], "") is None
    assert frame.begun and frame.status is None
