"""Remediate: what must be put right after the cut, and who owns each step."""
