"""A few rounds of each fuzzer; ``python -m tests.fuzz`` runs as many as one likes."""

from __future__ import annotations

import sys

import pytest

from tests.fuzz.campaign import run

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="address space is limited, and pipes are made, on Linux"
)
ROUNDS = {
    "stores": 60,
    "writing": 12,
    "labels": 60,
    "datasets": 50,
    "tables": 40,
    "media": 30,
    "runs": 12,
}


@pytest.mark.parametrize("kind", ROUNDS)
def test_damaged_files_are_read_or_refused_by_name(kind: str) -> None:
    tally = run(kind, ROUNDS[kind], seed="suite")
    assert tally.faults == []
    assert tally.counts.total() == ROUNDS[kind]
    # Else the damage is none, or all.
    assert tally.counts["read"]
    assert tally.counts["refused"]
