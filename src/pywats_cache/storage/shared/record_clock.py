"""How old a record is, on machines whose wall clock may be wrong.

A station may boot with a wrong wall clock and get the right one minutes later. The wall clock is what processes and
machines have in common, so records are dated by it; and within one run of a machine its seconds since boot, which
nobody sets, say whether that date can be true. Where it cannot, the age is not known: such a record is neither fresh
nor gone.

Where both clocks are good the larger of the two ages counts: a record may look older than it is, never younger.
"""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from ...support.boot import windows_boot
from ...support.clock import monotonic
from .record_format import NO_BOOT

if TYPE_CHECKING:
    from .record_format import Record

__all__ = ["FAR_PAST", "SETTLED", "SLACK", "Moment", "age_of", "is_settled", "this_moment", "uptime"]

SLACK = 1.0
"""Seconds by which the wall clocks of machines may differ; a record from that far in the future is new."""
SETTLED = 900.0
"""Seconds after the start of a machine in which its wall clock may still be put right."""
FAR_PAST = 365 * 86_400.0
"""A record that ended its use longer ago was dated by a wrong clock: otherwise it would be gone long since."""


class Moment(NamedTuple):
    """Now, by the clocks that processes have in common. Without `boot` the seconds since boot are not compared.

    - `of_one_machine`: who wrote a record in another run of a machine wrote it in an earlier run of this one.
    """

    wall: float
    boot: bytes
    since_boot: float
    of_one_machine: bool = False


@cache
def _boot() -> bytes:
    """Names this run of the machine; NO_BOOT where the system does not say."""
    try:
        return UUID(Path("/proc/sys/kernel/random/boot_id").read_text().strip()).bytes
    except (OSError, ValueError):
        return windows_boot() or NO_BOOT


def uptime() -> float:
    """Seconds since the machine was started; what it slept counts where the system counts it."""
    return monotonic()


def this_moment(*, by_system: bool, of_one_machine: bool = False) -> Moment:
    """Now. `by_system`: records are dated by the system's clock, and not by one that a test moves."""
    return Moment(time.time(), _boot() if by_system else NO_BOOT, uptime(), of_one_machine)


def is_settled(since_boot: float) -> bool:
    """Whether the wall clock has had time to be put right."""
    return since_boot >= SETTLED


def age_of(record: Record, now: Moment) -> float | None:
    """Seconds since the request of `record` was sent; None: the wall clock was, or is, wrong."""
    age = now.wall - record.wall
    if age < -SLACK:
        return None
    servable = record.servable
    if record.boot == now.boot != NO_BOOT:
        since = now.since_boot - record.since_boot
        if age >= servable > since:
            return None
        age = max(age, since)
    elif now.of_one_machine and record.boot != NO_BOOT != now.boot and not is_settled(now.since_boot):
        return None  # many machines start with the time at which they were stopped
    elif age >= servable and (age - record.useful >= FAR_PAST or not is_settled(now.since_boot)):
        return None
    return max(age, 0.0)
