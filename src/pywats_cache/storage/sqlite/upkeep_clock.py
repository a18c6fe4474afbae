"""Whether the wall clock is to be trusted with the removal of records.

What is past its use is removed by the wall clock. A station that boots with a wrong one gets the right one minutes
later; until then, and for as long after each jump, nothing is removed for its age. The bounds hold all the same.
"""

from __future__ import annotations

import sqlite3

from ..shared.record_clock import FAR_PAST, SETTLED, this_moment

__all__ = ["past_use"]

JUMP = 60.0
"""Seconds by which wall clock and time since boot may drift apart before that is taken for a jump."""


def past_use(connection: sqlite3.Connection, now: float) -> tuple[float, float] | None:
    """Between which two dates of the wall clock the use of a record must have ended that is to be removed; or None.

    The offset of the wall clock in this run of the machine is kept in the file, so that processes which live for
    seconds notice a jump too. What ended its use very long ago was dated by a wrong clock, and goes by recency.

    - `now`: the wall clock. To be called within a transaction that writes.
    """
    moment = this_moment(by_system=True)
    offset, boot = now - moment.since_boot, moment.boot.hex()
    connection.execute("CREATE TABLE IF NOT EXISTS clock (boot TEXT PRIMARY KEY, offset REAL, since REAL)")
    there = connection.execute("SELECT offset, since FROM clock WHERE boot = ?", (boot,)).fetchone()
    if there is None:
        connection.execute("DELETE FROM clock")  # those of former runs
        connection.execute("INSERT INTO clock VALUES (?, ?, 0.0)", (boot, offset))
        since = 0.0
    else:
        since = there[1] if there[1] <= moment.since_boot else moment.since_boot
        if abs(offset - there[0]) > JUMP:
            since = moment.since_boot
            connection.execute("UPDATE clock SET offset = ?, since = ?", (offset, since))
    return (now - FAR_PAST, now) if moment.since_boot - since >= SETTLED else None
