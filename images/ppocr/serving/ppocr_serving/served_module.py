"""The base of this project's PaddleHub modules: options and errors of each request."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from paddlehub.module.module import RunModule

from ppocr_contract.settings import Settings

from . import request_options
from .report import Report, RequestError, of_request

log = logging.getLogger(__name__)


class ServedModule(RunModule):
    """Base of our modules; they check and answer what a request has.

    Attributes:
        limits: the service's settings.
    """

    # PaddleHub's own puts every call of a method in Paddle's static graph mode, one switch for the
    # whole process; our models know no such mode.
    __getattribute__ = object.__getattribute__

    #: Names of the parameters that a request may set; see :mod:`.request_options`.
    request_options: tuple[str, ...] = ()
    #: What a request may hold besides ``options``.
    request_keys: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self.limits = Settings.from_environment()

    @property
    def device(self) -> str:
        """Where the module runs; loads its models if need be."""
        raise NotImplementedError

    def warm_up(self) -> None:
        """Load the models and run them once."""
        raise NotImplementedError

    def read_options(self, options: object) -> dict[str, Any]:
        """The options of a request, checked; raises RequestError."""
        return request_options.read(options, self.request_options)

    def respond(self, report: Report, given: Mapping[str, Any]) -> list[Any]:
        """Answer a request, by what it has under :attr:`request_keys`.

        Raises:
            RequestError: it is not what it should be.
        """
        raise NotImplementedError

    def answer(self, *, options: Any = None, **given: Any) -> list[Any]:
        """Answer a request.

        Raises:
            RequestError: it is not what it should be, has options that are not allowed, or a key
                the contract does not know.
        """
        with of_request() as report:  # hub serving begins none
            try:
                if unknown := sorted(name[:40] for name in given if name not in self.request_keys):
                    known = ", ".join(self.request_keys)
                    raise RequestError(
                        f"unknown key {', '.join(unknown)}: only {known} and options are accepted",
                        "key",
                    )
                if options is not None:
                    report.options = self.read_options(options)
                return self.respond(report, given)
            except Exception as error:
                report.problem = error
                if not isinstance(error, RequestError):
                    log.exception("%s failed", type(self).__name__)
                raise
