"""Seeds, schedules and how they shrink.

`python schedules.py SECONDS [FIRST_SEED]` searches for so long; `python schedules.py --seed N` runs one and shows it.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from itertools import count

from simulated_world import FAULTS, Violation, World, simulated_clock

__all__ = ["Found", "broken_by", "schedule_of", "search", "shrunk"]

LENGTHS = (40, 80, 160)
Schedule = tuple[list[int], int, tuple[str, ...]]
"""What chooses the steps, how many processes there are, and what may fail."""


class Found(Exception):
    """A schedule that breaks a promise, as short as it could be made."""


def schedule_of(seed: int) -> Schedule:
    """The schedule of a seed: few kinds of faults each, for where all of them happen none goes far."""
    chance = random.Random(seed)
    numbers = [chance.randrange(1 << 16) for _ in range(chance.choice(LENGTHS))]
    return numbers, chance.choice((2, 2, 3)), tuple(chance.sample(FAULTS, chance.choice((1, 2, 2, 3, 7))))


def broken_by(schedule: Schedule) -> Violation | None:
    """What this schedule breaks."""
    try:
        World(*schedule).run()
    except Violation as violation:
        return violation
    return None


def shrunk(schedule: Schedule) -> Schedule:
    """`schedule` without what is not needed to break something."""
    numbers, *rest = schedule

    def is_broken(fewer: list[int]) -> bool:
        return broken_by((fewer, *rest)) is not None  # type: ignore[arg-type]

    size = len(numbers) // 2
    while size:
        at = 0
        while at < len(numbers):
            fewer = numbers[:at] + numbers[at + size :]
            if is_broken(fewer):
                numbers = fewer
            else:
                at += size
        size //= 2
    for at in range(len(numbers)):
        simpler = [*numbers[:at], 0, *numbers[at + 1 :]]
        if numbers[at] and is_broken(simpler):
            numbers = simpler
    return (numbers, *rest)  # type: ignore[return-value]


def search(seconds: float, first: int = 0, most: int | None = None, *, shrinks: bool = True) -> tuple[int, int]:
    """Run schedules for so long, or so many. Returns how many, and their steps. Raises Found for one that breaks."""
    until, schedules, steps = time.monotonic() + seconds, 0, 0
    seeds: Iterator[int] = count(first) if most is None else iter(range(first, first + most))
    with simulated_clock():
        for seed in seeds:
            schedule = schedule_of(seed)
            world = World(*schedule)
            try:
                world.run()
            except Violation:
                short = shrunk(schedule) if shrinks else schedule
                raise Found(f"seed {seed}, {short}: {broken_by(short)}") from None
            schedules, steps = schedules + 1, steps + world.states
            if time.monotonic() > until:
                break
    return schedules, steps


def main(arguments: list[str]) -> None:
    """See the module."""
    if arguments[:1] == ["--seed"]:
        with simulated_clock():
            world = World(*schedule_of(int(arguments[1])))
            try:
                world.run()
            finally:
                print("\n".join(world.log))
        return
    first = int(arguments[1]) if len(arguments) > 1 else random.SystemRandom().randrange(1 << 40)
    print(f"first seed {first}", flush=True)
    began = time.monotonic()
    schedules, steps = search(float(arguments[0]), first)
    print(f"{schedules} schedules of {steps} steps in {time.monotonic() - began:.0f} s: nothing is broken")


if __name__ == "__main__":
    main(sys.argv[1:])
