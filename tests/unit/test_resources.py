"""Whether settings fit the memory: the arithmetic, the check before a deploy, the container's."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from role_code import load

from ppocr_contract import resources
from ppocr_contract.settings import Settings

hubserving = load("plugins/filter/hubserving.py")
INSTANCE = {"memory_limit": ""}
GUNICORN = {"PPOCR_SERVER": "gunicorn"}


@pytest.mark.parametrize(
    ("text", "found"),
    [("4g", 4 << 30), ("512m", 512 << 20), ("1.5G", 3 << 29), ("4gb", 4 << 30), ("0", 0)],
)
def test_sizes_as_docker_writes_them(text: str, found: int) -> None:
    assert resources.size(text) == found


@pytest.mark.parametrize("text", ["", "lots", "4 g", "-1", "4x", "1e3", "4gg"])
def test_what_is_no_size_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="no size"):
        resources.size(text)
    if text:
        said = hubserving.hubserving_memory({"memory_limit": text}, GUNICORN, "")
        assert said["error"].startswith("hubserving_memory_limit: ")


def test_the_defaults_fit_four_gigabytes() -> None:
    assert resources.limit_for(Settings(), 1, False) == "4g"
    assert resources.shortage(Settings(), 1, False, 4 << 30) == ("", "")


@given(
    workers=st.integers(1, 64),
    ceiling=st.integers(0, 10_000),
    buffers=st.integers(1, 10_000),
    threads=st.integers(1, 64),
    pixels=st.integers(1, 500),
    on_gpu=st.booleans(),
)
def test_a_limit_that_is_made_is_never_short(
    workers: int, ceiling: int, buffers: int, threads: int, pixels: int, on_gpu: bool
) -> None:
    settings = dataclasses.replace(
        Settings(),
        memory_ceiling=ceiling,
        buffer_limit=buffers,
        threads=threads,
        pixels_limit=pixels,
    )
    limit = resources.size(resources.limit_for(settings, workers, on_gpu))
    assert resources.shortage(settings, workers, on_gpu, limit) == ("", "")
    least = resources.least(workers, on_gpu)
    assert resources.most(settings, workers, on_gpu) >= least
    error, note = resources.shortage(settings, workers, on_gpu, least * 1_000_000 - 1)
    assert f"less than {least} MB" in error and not note


@pytest.mark.parametrize(
    ("limit", "environment", "cards", "says"),
    [
        ("96m", {}, "", "hubserving_memory_limit is 101 MB, and 1 worker cannot start"),
        ("2g", {"PPOCR_WORKERS": "8"}, "", "8 workers cannot start with less than 3350 MB"),
        ("4g", {"PPOCR_WORKERS_PER_GPU": "2"}, "0,1", "4 workers on GPUs cannot start"),
        ("1g", {}, ["GPU-1"], "hubserving_workers_per_gpu"),
        ("", {"PPOCR_BUFFER_LIMIT": "10"}, "", "hubserving_body_limit (64 MB for one)"),
        ("", {"PPOCR_MEMORY_CEILING": "100"}, "", "hubserving_memory_ceiling (100 MB)"),
        ("96m", {"PPOCR_SERVER": "hub"}, "", ""),
        ("0", {}, "", ""),
        ("", {}, "", ""),
    ],
)
def test_what_cannot_work_is_refused_with_what_would(
    limit: str, environment: dict, cards: object, says: str
) -> None:
    said = hubserving.hubserving_memory({"memory_limit": limit}, GUNICORN | environment, cards)
    assert says in said["error"] and bool(said["error"]) == bool(says)


def test_recognisers_count_in_each_worker() -> None:
    environment = GUNICORN | {"PPOCR_WORKERS": "4", "PPOCR_MEMORY_CEILING": "600"}

    def said(limit: str, *names: str) -> dict:
        return hubserving.hubserving_memory({"memory_limit": limit}, environment, "", names)

    assert said("4g", "default", "latin")["limit"] == "4g" and not said("4g", "default")["error"]
    two = resources.loaded_beside(2, ["ocr_system"])
    assert two == 2 * resources.RECOGNIZER
    assert resources.least(4, False, two) == resources.least(4, False) + 4 * two
    assert resources.most(Settings(), 4, True, two) > resources.most(Settings(), 4, True) + 4 * two
    wrong = said("0", "latin", "cyrillic")["error"]
    assert "hubserving_memory_ceiling (600 MB)" in wrong and "set it to 660 at least" in wrong
    environment["PPOCR_MEMORY_CEILING"] = "1500"
    assert "name fewer hubserving_recognizers" in said("1g", "latin")["error"]
    assert "hubserving_recognizers" not in said("1g")["error"]


def test_text_correction_counts_in_each_worker() -> None:
    environment = GUNICORN | {"PPOCR_WORKERS": "8"}
    least = (resources.least(8, False) + 1) * 1_000_000

    def said(*modules: str) -> dict:
        return hubserving.hubserving_memory(
            {"memory_limit": str(least)}, environment, "", (), modules
        )

    assert not said("ocr_system")["error"]
    wrong = said("ocr_system", "text_correction")["error"]
    assert f"less than {resources.least(8, False) + 8 * resources.CORRECTION} MB" in wrong
    assert "hubserving_modules" in wrong


def test_what_may_run_short_is_said_with_what_would_do() -> None:
    said = hubserving.hubserving_memory(
        {"memory_limit": "2g"}, GUNICORN | {"PPOCR_WORKERS": "2"}, ""
    )
    assert (
        not said["error"]
        and "may take" in said["note"]
        and "set hubserving_memory_limit to " in said["note"]
    )


def test_a_limit_that_is_made_grows_with_workers_and_cards() -> None:
    def limit(environment: dict, cards: str = "") -> int:
        said = hubserving.hubserving_memory(INSTANCE, GUNICORN | environment, cards)
        assert not said["error"] and not said["note"]
        return resources.size(said["limit"])

    one = limit({})
    assert one < limit({"PPOCR_WORKERS": "4"})
    assert limit({}, "0") < limit({}, "0,1") < limit({"PPOCR_WORKERS_PER_GPU": "3"}, "0,1")


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"memory.max": "1000\n"}, 1000),
        ({"memory.max": "max\n"}, 4_096_000),
        ({"memory/memory.limit_in_bytes": "2000"}, 2000),
        ({"memory/memory.limit_in_bytes": str(1 << 62)}, 4_096_000),
        ({}, 4_096_000),
    ],
)
def test_the_container_knows_what_it_has(tmp_path: Path, files: dict, found: int) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:        4000 kB\nMemFree: 1 kB\n")
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert resources.available(tmp_path, meminfo) == found
