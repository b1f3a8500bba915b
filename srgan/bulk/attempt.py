"""How an attempt at a batch goes, by what the attempts before it have met.

The driver of a bulk run decides it, and the worker that does the batch keeps to it.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BatchAttempt:
    """One attempt at a batch; without arguments, the first."""

    number: int = 1
    is_last: bool = False
    """An error that no image should cause is recorded as a failure of the image that raised it, so
    that it does not cost the others too. Before, it ends the attempt: it may be a bad node's."""
    is_alone: bool = False
    """One image is in work at a time, because a process has ended in the middle of the batch. If
    one ends again, it is known at which image. It costs the overlap of the stages."""
    killers: tuple[str, ...] = ()
    """Keys of images at which a process has ended so; they are recorded as failed, unread."""
    job: str = ""
    """Job that makes the attempt."""
