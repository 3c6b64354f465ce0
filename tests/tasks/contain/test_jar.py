"""Found secrets stay in memory: no copy, no pickle, no print."""

from __future__ import annotations

import copy
import pickle

import pytest

from tasks.contain.jar import Credentials, jar_of

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


def test_a_secret_cannot_leave_the_jar_by_accident() -> None:
    jar = Credentials()
    jar.add("aws-access-key", "AKIAIOSFODNN7EXAMPLE", SECRET)

    assert SECRET not in repr(jar) + str(jar) + f"{vars(jar).keys()}"
    for leave in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="in memory only"):
            leave(jar)
    assert jar.get("aws-access-key", "AKIAIOSFODNN7EXAMPLE") == SECRET
    assert jar.get("vault-accessor", "AKIAIOSFODNN7EXAMPLE") is None


def test_one_jar_for_each_incident() -> None:
    assert jar_of("inc-a") is jar_of("inc-a")
    assert jar_of("inc-a") is not jar_of("inc-b")
