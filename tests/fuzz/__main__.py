"""``python -m tests.fuzz --kind KIND --rounds N``: prints how many were read, refused, or worse."""

from __future__ import annotations

import argparse

from tests.fuzz.campaign import run
from tests.fuzz.kinds import KINDS


def main() -> int:
    """Run the rounds; 1 if anything went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--kind", nargs="+", choices=tuple(KINDS), default=tuple(KINDS))
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", default="0")
    parser.add_argument("--first", type=int, default=0, help="number of the first round")
    arguments = parser.parse_args()
    wrong = False
    for kind in arguments.kind:
        tally = run(kind, arguments.rounds, seed=arguments.seed, first=arguments.first)
        for fault in tally.faults:
            print(f"--- {kind} round {fault['round']}: {fault['outcome']} ({fault.get('seed')})")
            print(fault["detail"])
        print(tally, flush=True)
        wrong |= bool(tally.faults)
    return int(wrong)


if __name__ == "__main__":
    raise SystemExit(main())
