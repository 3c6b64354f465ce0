"""AWS for the lab: moto's state behind a gate that checks every request as AWS does.

Stock moto accepts deactivated keys, misjudges policy conditions, lets a retention lock be shortened and has
no `LookupEvents`. The gate (`gate.py`) checks signature, key state and policies before moto sees a request
and records the trail; `corrections.py` puts right what moto itself answers wrongly.
"""
