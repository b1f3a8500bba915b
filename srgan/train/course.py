"""The course of an adversarial stage: its best checkpoint, its returns, and when it has enough.

PSNR falls from the first step of a GAN on and its losses say little, so a perceptual network that
the stage does not learn from decides which checkpoint is the best. The guards of the promotion gate
tell when an output breaks: then the stage goes back and learns more slowly.
"""

from collections.abc import Mapping
from typing import Self

from srgan.refs import Ref

_SLOWER = 0.5
_SURE = 0.999
"""Mean D(real) above this, and D(fake) as far below 1/2: the discriminator is never in doubt."""
SATURATION = "saturation"


class Return(Ref):
    """One return to an earlier checkpoint."""

    step: int
    """Where a guard tripped."""
    to: int
    reason: str

    def line(self) -> str:
        """One line for people."""
        return f"back from step {self.step} to {self.to} at half the learning rate: {self.reason}"


class Course(Ref):
    """State of an adversarial stage on its way, part of the manifest of every checkpoint."""

    judge: str | None
    """The distance that decides; None if no network is mirrored that the stage does not learn
    from."""
    start: float
    """The judge's distance before the first step; 0 without a judge."""
    excused: tuple[str, ...] = ()
    """Guards that the start does not pass either; they do not send the stage back."""
    best_step: int = 0
    """Step of the lowest distance that no guard caught; 0 for the start."""
    best: float
    good_step: int = 0
    """Newest validated step that no guard caught: where a return leads."""
    stale: int = 0
    """Validations since the best one."""
    rate: float = 1.0
    """Factor on all learning rates."""
    returns: tuple[Return, ...] = ()
    ended: str | None = None
    """Why the stage ends before its last step."""

    @classmethod
    def begin(
        cls, judge: str | None, metrics: Mapping[str, float], faults: Mapping[str, str]
    ) -> Self:
        """Begin with the validation before the first step."""
        distance = metrics[judge] if judge else 0.0
        return cls(judge=judge, start=distance, best=distance, excused=tuple(sorted(faults)))

    def after(
        self,
        step: int,
        metrics: Mapping[str, float],
        faults: Mapping[str, str],
        *,
        patience: int | None,
        max_returns: int,
    ) -> "Course":
        """The course after the validation at `step`.

        `faults` has a phrase for each guard that did not pass, by its name. The stage goes back if
        there is one that the start passed; it ends after `max_returns` of these, or after
        `patience` validations without a new best.
        """
        caught = [text for name, text in faults.items() if name not in self.excused]
        if caught:
            return self._sent_back(step, "; ".join(caught), max_returns)
        found = self.model_copy(update={"good_step": step})
        if self.judge and metrics[self.judge] < self.best:
            return found.model_copy(
                update={"best_step": step, "best": metrics[self.judge], "stale": 0}
            )
        stale = self.stale + 1
        ended = None
        if self.judge and patience is not None and stale >= patience:
            ended = f"{stale} validations in a row without a lower {self.judge}"
        return found.model_copy(update={"stale": stale, "ended": ended})

    def _sent_back(self, step: int, reason: str, max_returns: int) -> "Course":
        if len(self.returns) == max_returns:
            return self.model_copy(
                update={"ended": f"after {max_returns} returns, at step {step}: {reason}"}
            )
        back = Return(step=step, to=self.good_step, reason=reason)
        return self.model_copy(
            update={"returns": (*self.returns, back), "rate": self.rate * _SLOWER}
        )

    def result_step(self, newest: int) -> int:
        """Step of the checkpoint that the stage hands on; `newest` is its last one."""
        if self.best_step:
            return self.best_step
        return self.good_step or newest

    def chosen(self, newest: int) -> str:
        """Why that checkpoint, in one phrase for people."""
        step = self.result_step(newest)
        returned = "".join(f"; {each.line()}" for each in self.returns)
        ended = f"; ended early, {self.ended}" if self.ended else ""
        if self.best_step:
            why = f"lowest {self.judge} at a validation, {self.best:.4f} (start {self.start:.4f})"
        elif self.judge:
            why = f"the newest within the guards: {self.judge} was never below the start's"
        else:
            why = "the newest within the guards: no mirrored network could judge that did not teach"
        return f"step {step}, {why}{ended}{returned}"


def saturation(losses: Mapping[str, float]) -> dict[str, str]:
    """The fault of a discriminator that is never in doubt, in the form of `measure.guards.faults`.

    `losses` are means over the latest logging interval. The adversarial gradient then says only
    that an image is false, not what would make it better.
    """
    real, fake = losses.get("discriminator_real", 0.5), losses.get("discriminator_fake", 0.5)
    if real <= _SURE or fake >= 1 - _SURE:
        return {}
    return {SATURATION: f"the discriminator tells all images apart, D {real:.4f} and {fake:.4f}"}
