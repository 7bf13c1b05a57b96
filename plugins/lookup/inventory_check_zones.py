"""Lookup plugin: the names of all time zones known to the control node."""

from __future__ import annotations

import zoneinfo
from typing import Any

from ansible.plugins.lookup import LookupBase


class LookupModule(LookupBase):
    """inventory_check_zones: takes no terms."""

    def run(self, terms: list[Any], variables: Any = None, **kwargs: Any) -> list[Any]:
        """Return one sorted list of zone names, empty without a tz database."""
        return [sorted(zoneinfo.available_timezones())]
