"""Answers of the server to a rater's page, and to the administrator's."""

from typing import Literal

from srgan.refs import Ref

Step = Literal["welcome", "training", "judging", "done", "closed"]


class Shown(Ref):
    """A task as the browser gets it: nothing in it tells the method."""

    id: str
    pictures: tuple[str, ...]
    """Random ids: one for a rating, left and right for a pair."""
    width: int
    height: int
    expected: str | None = None
    """The right answer to an example; None in the study itself."""


class RaterState(Ref):
    """Where a rater is; the page shows exactly this."""

    step: Step
    done: int = 0
    total: int = 0
    task: Shown | None = None
    next: Shown | None = None
    """Its pictures are fetched while the rater looks at the task. None for pairs, which are chosen
    by the answers before."""
    examples: tuple[Shown, ...] = ()
    undo: str | None = None
    """Task that can be undone: the last one answered."""
    rest: bool = False
    """True if a break is due before the next task."""


class RaterProgress(Ref):
    """A line of the administrator's page."""

    number: int
    token: str
    began: bool
    done: int
    total: int
