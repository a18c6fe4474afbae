"""A small world, searched whole: two processes, a write, a lease, time; and each load of a check is a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from simulated_world import Choices, Process, Violation, World, simulated_clock

__all__ = ["every_schedule"]

STEPS = 4
BETWEEN = 1
"""Steps in all that come between two loads."""


class Enumerated(Choices):
    """Numbers that go through all there are, one after the other: see `following`."""

    def __init__(self, numbers: list[int]) -> None:
        super().__init__(numbers)
        self._given = numbers
        self.made: list[tuple[int, int]] = []

    def of(self, most: int) -> int:
        at = len(self.made)
        number = self._given[at] if at < len(self._given) else 0
        self.made.append((number, most))
        return number

    def following(self) -> list[int] | None:
        """The next ones; None after the last."""
        made = list(self.made)
        while made:
            number, most = made.pop()
            if number + 1 < most:
                return [*[chosen for chosen, _ in made], number + 1]
        return None


class SmallWorld(World):
    """Nothing fails; W writes, R reads and listens, time passes."""

    def __init__(self, numbers: list[int]) -> None:
        super().__init__([], 2, ())
        self.enumerated = Enumerated(numbers)
        self.left, self.between_left = STEPS, BETWEEN

    def run(self) -> None:
        self.warm()
        self.choices = self.enumerated
        while self.left:
            self.left -= 1
            self.step()

    def between(self, process: Process) -> None:
        pass

    def loads(self, process: Process) -> None:
        if self.loading is process and self.between_left and self.choices.of(2):
            self.loading, self.between_left = None, self.between_left - 1
            self.step(but=process)
            self.loading = process

    def possible(self, but: Process | None) -> Iterator[tuple[str, Callable[[], object]]]:
        reader, writer = self.processes
        yield "1.3 s pass", lambda: self.passes(1.3)
        if reader.may_listen():
            yield "R listens", reader.listen
        if but is None:
            yield "R reads", reader.read
            yield "W writes", lambda: self.write(writer)

    def write(self, process: Process) -> None:
        """From its announcement to its return."""
        self.begin(process)
        assert process.writing is not None
        self.apply(process.writing)
        self.end(process.writing)


def every_schedule() -> int:
    """Run them all. Returns how many. Raises Violation."""
    numbers: list[int] | None = []
    schedules = 0
    with simulated_clock():
        while numbers is not None:
            world = SmallWorld(numbers)
            try:
                world.run()
            except Violation as violation:
                raise Violation(f"{violation}\n" + "\n".join(world.log)) from None
            schedules += 1
            numbers = world.enumerated.following()
    return schedules
