"""Containment: close every access of the suspects and prove that each is shut.

`engine.contain` is the reconcile loop, `kinds.AccessKind` what it loops over; one class per kind stands
under `salesforce/`, `aws/` and `vault/`. Adding a kind is adding one class and its name in `registry.py`.
"""
