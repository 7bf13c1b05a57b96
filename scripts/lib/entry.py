"""Runs a command of scripts/ in the control environment, which is made at its first use.

usage: entry.py COMMAND [ARGUMENT...]; the commands are in src/ppocr_control/commands. Any Python 3
starts it; isolated (-I), so that nothing is imported from a working directory or PYTHONPATH.
"""

import importlib
import importlib.util
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
#: Set for the environment's Python, so that an incomplete one does not start itself for ever.
ENTERED = "PPOCR_ENTERED"
ENTER = '. "$PPOCR_ROOT/scripts/lib/env.sh"; exec "$PPOCR_VENV/bin/python" -IB "$@"'


def in_the_environment():
    """Whether this Python has what the lock names, and finds the packages of this very project."""
    ours = importlib.util.find_spec("ppocr_control")
    origin = os.path.realpath((ours and ours.origin) or "/")
    return origin.startswith(os.path.join(ROOT, "")) and all(
        map(importlib.util.find_spec, ("docker", "requests", "isal"))
    )


def main():
    """Never returns: the command ends this program, or takes its place."""
    command = sys.argv[1]
    if in_the_environment():
        os.environ.pop(ENTERED, None)
        sys.argv[:2] = [os.path.join(ROOT, "scripts", command + ".py")]
        sys.exit(importlib.import_module("ppocr_control.commands." + command).main())
    if ENTERED in os.environ:
        sys.exit("error: the Python environment " + sys.prefix + " is not complete: remove it")
    os.environ.update({ENTERED: "1", "PPOCR_ROOT": ROOT})
    os.execv("/bin/sh", ["sh", "-euc", ENTER, "sh", __file__, *sys.argv[1:]])


main()
