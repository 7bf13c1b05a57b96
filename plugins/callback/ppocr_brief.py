"""Callback plugin: a run on one screen. With -v it is Ansible's own, in full detail."""

from __future__ import annotations

import textwrap
import threading
from collections.abc import Callable, Iterator
from typing import Any

from ansible import constants
from ansible.playbook.role_include import IncludeRole
from ansible.plugins.callback.default import CallbackModule as Default

DOCUMENTATION = """
name: ppocr_brief
type: stdout
short_description: What a run changes, says and fails at, without the tasks that had nothing to do
description:
  - Prints the steps of a play, what was changed, messages as they are, and each error once.
  - Names the running task where a step takes more than a few seconds.
  - Is ansible.builtin.default in a run with -v.
extends_documentation_fragment: [default_callback, result_format_callback]
"""

#: Seconds of a step before its running task is named: first, next, and from then on.
_WAITS = (3, 15, 60)
#: Lines of a command's own output that an error shows.
_LAST_LINES = 12
#: They wait for a person, who sees the question.
_ASKS = ("pause", "ansible.builtin.pause")


class _Watch:
    """Says what runs in a long step, from a thread as Ansible's own results come.

    More rarely with time: on slow hosts every task takes a while, and the screen is limited.
    """

    def __init__(self, say: Callable[[], None]) -> None:
        self._say = say
        self._timer: threading.Timer | None = None

    def start(self, number: int = 0) -> None:
        self.stop()
        wait = _WAITS[min(number, len(_WAITS) - 1)]
        self._timer = threading.Timer(wait, self._tell, (number,))
        self._timer.daemon = True
        self._timer.start()

    def stop(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = None

    @property
    def stopped(self) -> bool:
        return self._timer is None

    def _tell(self, number: int) -> None:
        if threading.current_thread() is self._timer:  # else another step has begun
            self._say()
            self.start(number + 1)


class CallbackModule(Default):
    """What happens once a task has results is printed here; all else is the default's."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "ppocr_brief"

    def __init__(self) -> None:
        super().__init__()
        self._watch = _Watch(lambda: self._line(f"… {self._task}", constants.COLOR_VERBOSE))
        self._step = ""
        self._task = ""
        #: Hosts by what was printed of them: equal results are one line.
        self._changed: list[str] = []
        self._messages: dict[tuple[str, ...], list[str]] = {}
        self._errors: dict[str, str] = {}

    @property
    def _in_full(self) -> bool:
        return bool(self._display.verbosity)

    def _line(self, text: str, color: str | None = None) -> None:
        self._display.display(f"  {text}", color=color)

    def _wrapped(self, text: str) -> str:
        """Wrap each line of a message to the screen, and indent what follows the first."""
        indent = " " * 4
        lines = text.strip().splitlines() or [""]
        return "\n".join(
            textwrap.fill(
                line, self._display.columns, initial_indent=indent if number else "",
                subsequent_indent=indent, break_long_words=False, break_on_hyphens=False,
            )
            for number, line in enumerate(lines)
        )  # fmt: skip

    def _task_start(self, task: Any, prefix: str | None = None) -> None:
        self._flush()
        if self._in_full:
            super()._task_start(task, prefix)
            return
        # Kept, because templates in a name may lack variables later.
        self._task = str(task.name or task.get_name()).strip()
        self._errors = {}
        step = _step_of(task) or self._step
        new, self._step = step != self._step, step
        if new:
            self._display.display(step, color=constants.COLOR_HIGHLIGHT)
        if task.action in _ASKS:
            self._watch.stop()
        elif new or self._watch.stopped:
            self._watch.start()

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._flush()
        self._watch.stop()
        self._step = ""
        super().v2_playbook_on_play_start(play)

    def v2_playbook_on_include(self, included_file: Any) -> None:
        if self._in_full:
            super().v2_playbook_on_include(included_file)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._watch.stop()
        self._flush()
        super().v2_playbook_on_stats(stats)

    def _print_task_banner(self, task: Any) -> None:
        """For what the default prints of a task, such as differences."""
        if self._in_full:
            super()._print_task_banner(task)
        else:
            self._line(self._task)
            self._last_task_banner = task._uuid

    def v2_runner_on_ok(self, result: Any) -> None:
        if self._in_full:
            super().v2_runner_on_ok(result)
            return
        self._handle_warnings(result.result)
        if result.result.get("changed") and not _is_message(result):
            self._changed.append(result.host.get_name())
        if not result.task.loop:
            self._keep_message(result)

    def v2_runner_item_on_ok(self, result: Any) -> None:
        if self._in_full:
            super().v2_runner_item_on_ok(result)
        else:
            self._handle_warnings(result.result)
            self._keep_message(result)

    def _keep_message(self, result: Any) -> None:
        """Keep the message of a task; it is printed once all hosts have returned theirs."""
        if not _is_message(result):
            return
        message = result.result.get("msg")
        if message is None:  # of debug with var
            self._clean_results(result.result, result.task.action)
            message = self._dump_results(result.result)
        # A list is lines as they are: tables, logs.
        as_it_is = isinstance(message, list)
        said = ("list", *map(str, message)) if as_it_is else ("text", str(message))
        hosts = self._messages.setdefault(said, [])
        if not result.task.run_once:
            hosts.append(result.host.get_name())

    def _flush(self) -> None:
        if self._changed:
            verb = "would change" if self._play and self._play.check_mode else "changed"
            hosts = ", ".join(sorted(set(self._changed)))
            self._line(f"{verb}: [{hosts}] {self._task}", constants.COLOR_CHANGED)
        for (kind, *said), names in self._messages.items():
            who = f"{', '.join(sorted(names))}: " if names else ""
            if kind == "list":
                self._line("\n  ".join(filter(None, [who.strip(), *said])))
            else:
                self._line(self._wrapped(f"{who}{said[0]}"))
        self._changed, self._messages = [], {}

    def v2_runner_on_skipped(self, result: Any) -> None:
        if self._in_full:
            super().v2_runner_on_skipped(result)

    def v2_runner_item_on_skipped(self, result: Any) -> None:
        if self._in_full:
            super().v2_runner_item_on_skipped(result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        if self._in_full:
            super().v2_runner_on_failed(result, ignore_errors)
            return
        self._handle_warnings(result.result)
        if not (result.task.loop and "results" in result.result):
            self._error(result, ignore_errors)

    def v2_runner_item_on_failed(self, result: Any) -> None:
        if self._in_full:
            super().v2_runner_item_on_failed(result)
        else:
            self._error(result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        if self._in_full:
            super().v2_runner_on_unreachable(result)
        else:
            self._error(result)

    def _error(self, result: Any, ignored: bool = False) -> None:
        """Print an error once; of further hosts with the same, the name."""
        host, told = self.host_label(result), _error_of(result.result)
        color = constants.COLOR_SKIP if ignored else constants.COLOR_ERROR
        if ignored or _rescued(result.task):
            first = told.splitlines()[0]
            self._line(self._wrapped(f"failed: [{host}] {self._task}: {first}"), color)
            return
        before = self._errors.setdefault(told, host)
        text = f"{self._task}: {told}" if before == host else f"the same as {before}"
        self._display.display(
            self._wrapped(f"fatal: [{host}]: {text}"), color=color,
            stderr=self.get_option("display_failed_stderr"),
        )  # fmt: skip

    def v2_runner_retry(self, result: Any) -> None:
        if self._in_full:
            super().v2_runner_retry(result)

    def v2_runner_on_async_poll(self, result: Any) -> None:
        if self._in_full:
            super().v2_runner_on_async_poll(result)

    def v2_runner_on_async_ok(self, result: Any) -> None:
        if self._in_full:
            super().v2_runner_on_async_ok(result)


def _is_message(result: Any) -> bool:
    """Whether a task is there to say something, as debug is."""
    return bool(result.result.get("_ansible_verbose_always"))


def _parents(task: Any) -> Iterator[Any]:
    while task := getattr(task, "_parent", None):
        yield task


def _step_of(task: Any) -> str:
    """The name a playbook gives to the role a task is part of; '' outside one."""
    roles = [parent for parent in _parents(task) if isinstance(parent, IncludeRole)]
    return str(roles[-1].name or "") if roles else ""


def _rescued(task: Any) -> bool:
    """Whether the playbook handles a failure itself, and says what of it matters."""
    for parent in _parents(task):
        handlers = [*(getattr(parent, "rescue", None) or [])]
        if handlers:
            others = [*handlers, *parent.always]
            return task._uuid not in [other._uuid for other in others]
        task = parent
    return False


def _error_of(result: dict[str, Any]) -> str:
    """What a failed task has to say: its message, and the end of a command's output."""
    message = result.get("msg") or result.get("censored") or ""
    lines = list(map(str, message)) if isinstance(message, list) else [str(message)]
    lines[0] = lines[0].removeprefix("Task failed: ")
    if "rc" in result:
        output = f"{result.get('stderr') or ''}\n{result.get('stdout') or ''}".strip()
        lines += output.splitlines()[-_LAST_LINES:]
    return "\n".join(lines).strip() or "it failed without a message"
