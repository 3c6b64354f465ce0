"""Whether a network address in a log names one place on the internet."""

from __future__ import annotations

import ipaddress


def is_public(ip: str) -> bool:
    """False also for what is no address, such as `Salesforce.com IP`."""
    try:
        return ipaddress.ip_address(ip.strip()).is_global
    except ValueError:
        return False
