"""Lookup plugin: the names of all time zones the control node knows."""

from __future__ import annotations

import zoneinfo
from typing import Any

from ansible.plugins.lookup import LookupBase


class LookupModule(LookupBase):
    """inventory_check_zones: takes no terms."""

    def run(self, terms: list[Any], variables: Any = None, **kwargs: Any) -> list[Any]:
        """Return one sorted list of zone names, empty where there is no tz database."""
        return [sorted(zoneinfo.available_timezones())]
