"""What can go wrong on the way of an image or file, and the exit status that says so."""

from __future__ import annotations

OK, FAILED, USAGE, REFUSED, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 4, 130

EXIT_STATUS_HELP = """\
exit status:
  0  done, or nothing to do
  1  it failed on the way; what was sent is kept, so run the same command again
  2  the command line is wrong
  3  refused before anything was sent (no room, wrong architecture, no such image, altered file)
  4  a host cannot be reached, or does not let us in
  130  interrupted; run the same command again to go on
With several hosts the highest of 1, 3 and 4 that occurred."""


class Error(Exception):
    """Something went wrong on the way; the message says what, and what to do."""

    status = FAILED


class Refused(Error):
    """Nothing was sent: it could not have worked."""

    status = REFUSED


class Unreachable(Error):
    """A host cannot be reached, is not the one it was, or does not let us in."""

    status = UNREACHABLE


class LinkLost(Unreachable):
    """The connection broke or stands still; worth another try."""
