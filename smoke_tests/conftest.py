"""Options, fixtures and reports of the smoke tests (see options.py for the options)."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from .client import Client, Unreachable
from .needs import lacking
from .options import OPTIONS, Settings, read_settings
from .outcome import Run
from .report import write_html
from .samples import Sample, load_samples
from .table import table_lines

RUN = pytest.StashKey[Run]()
SAMPLES = pytest.StashKey[list[Sample]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options to pytest's command line."""
    group = parser.getgroup("smoke tests of an OCR service")
    for flag, keywords in OPTIONS:
        group.addoption(flag, **keywords)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Check the options once, and give the JUnit file its place before pytest opens it."""
    if config.option.help or config.option.version:
        return
    try:
        settings = read_settings(config.getoption)
        samples = load_samples(settings.samples_dir)
        if settings.report_dir:
            settings.report_dir.mkdir(parents=True, exist_ok=True)
    except (ValueError, OSError) as error:
        raise pytest.UsageError(str(error)) from None
    if settings.report_dir and not config.option.xmlpath:
        config.option.xmlpath = str(settings.report_dir / "junit.xml")
    config.stash[RUN] = Run(settings)
    config.stash[SAMPLES] = samples


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test of each picture that a test asks for, and of each other module."""
    config = metafunc.config
    settings = config.stash[RUN].settings
    samples = config.stash[SAMPLES]
    if "system_sample" in metafunc.fixturenames:
        served = samples if settings.module in settings.modules else []
        _ask(metafunc, "system_sample", served)
    if "det_sample" in metafunc.fixturenames:
        # Detection is slow on big pages and ocr_system has read them: the tagged ones suffice.
        chosen = [s for s in samples if "det" in s.tags] or samples[:1]
        served = chosen if "ocr_det" in settings.modules else []
        _ask(metafunc, "det_sample", served)
    if "extra_module" in metafunc.fixturenames:
        known = {settings.module, "ocr_det", "ocr_rec", "ocr_cls", "text_correction"}
        extra = [name for name in settings.modules if name not in known]
        metafunc.parametrize("extra_module", extra)


def _ask(metafunc: pytest.Metafunc, name: str, samples: list[Sample]) -> None:
    """Make a test of each sample that the service's parameters leave readable; note the others."""
    run = metafunc.config.stash[RUN]
    asked = []
    for sample in samples:
        if why := lacking(sample.needs, run.settings.params):
            # A sample for two modules is left out once.
            run.not_asked = list(dict.fromkeys([*run.not_asked, f"{sample.name} {why}"]))
        else:
            asked.append(sample)
    metafunc.parametrize(name, asked, ids=lambda sample: sample.name)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what this run does not ask for, and count what it is to carry out."""
    settings = config.stash[RUN].settings
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        marker = item.get_closest_marker("needs_module")
        empty = any(mark.name == "skip" for mark in item.iter_markers())
        unwanted = marker and marker.args[0] not in settings.modules
        (left_out if empty or unwanted else kept).append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
    items[:] = kept
    config.stash[RUN].planned = len(kept)


@pytest.fixture(scope="session")
def run(request: pytest.FixtureRequest) -> Run:
    """The run's outcome, to add rows and checks to."""
    return request.config.stash[RUN]


@pytest.fixture(scope="session")
def samples(request: pytest.FixtureRequest) -> list[Sample]:
    """All samples of this run."""
    return request.config.stash[SAMPLES]


@pytest.fixture(scope="session")
def settings(run: Run) -> Settings:
    """The checked options."""
    return run.settings


@pytest.fixture(scope="session")
def reached(run: Run) -> Client:
    """A client of a service that was reached once; `run.unreachable` says when it was not."""
    client = Client(run.settings)
    try:
        client.reach()
    except Unreachable as error:
        run.unreachable = str(error)
    return client


@pytest.fixture
def client(run: Run, reached: Client) -> Iterator[Client]:
    """The client; once the service is lost the remaining tests are skipped, not failed again."""
    if run.unreachable:
        pytest.skip("the service is not reachable")
    yield reached


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Turn a lost connection into one sentence instead of a traceback."""
    outcome = yield
    error = outcome.excinfo and outcome.excinfo[1]  # type: ignore[attr-defined]
    if isinstance(error, Unreachable):
        run = item.config.stash[RUN]
        run.unreachable = str(error)
        outcome.force_exception(  # type: ignore[attr-defined]
            pytest.fail.Exception(str(error), pytrace=False)
        )


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the table and write verdict.json and report.html, whatever the outcome."""
    run = config.stash.get(RUN, None)
    if run is None or config.option.collectonly:
        return
    lines = table_lines(run)
    terminalreporter.section("OCR smoke tests")
    for line in lines:
        terminalreporter.write_line(line)
    folder = run.settings.report_dir
    if folder:
        verdict = json.dumps(run.verdict(lines), ensure_ascii=False, indent=2)
        (folder / "verdict.json").write_text(verdict + "\n", encoding="utf-8")
        write_html(run, folder / "report.html")
        terminalreporter.write_line(f"report: {folder / 'report.html'}")
