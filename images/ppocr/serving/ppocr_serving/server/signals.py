"""Signal handlers, taken back from paddle.

Importing paddle installs C handlers that print a stack and abort, for SIGTERM too: the worker would
drop the requests in flight when the service stops.
"""

from __future__ import annotations

import signal


def restore_default_handlers() -> None:
    """Put Python's handlers (gunicorn's) back in force; call it after paddle was imported."""
    import paddle

    paddle.disable_signal_handler()
    for number in signal.valid_signals():
        handler = signal.getsignal(number)
        if callable(handler):
            signal.signal(number, handler)
