"""Errors of the commands, and their exit status."""

from __future__ import annotations

OK, FAILED, USAGE, REFUSED, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 4, 130

EXIT_STATUS_HELP = """\
exit status:
  0  done, or nothing to do
  1  failed; data already sent is kept, so run the same command again to continue
  2  wrong command line
  3  refused before anything was changed (disk space, architecture, no such image, altered file)
  4  a host cannot be reached, or refuses the login
  130  interrupted; run the same command again to continue
With several hosts: the highest of 1, 3 and 4 that occurred."""


class Error(Exception):
    """A command failed; the message contains the cause and a remedy."""

    status = FAILED


class Refused(Error):
    """Refused before anything was sent, because it could not work."""

    status = REFUSED


class Unreachable(Error):
    """A host cannot be reached, has an unknown key, or refuses the login."""

    status = UNREACHABLE


class LinkLost(Unreachable):
    """The connection broke or stalled; worth a retry."""
