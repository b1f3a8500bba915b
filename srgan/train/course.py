"""The course of an adversarial stage: its best checkpoint, its returns, and when it has enough.

PSNR falls from the first step of a GAN on and its losses say little, so a perceptual network that
taught neither the stage nor its start decides which checkpoint is the best. The guards of the
promotion gate tell when an output breaks: then the stage goes back and learns more slowly.
"""

from collections.abc import Mapping
from typing import Self

from pydantic import Field

from srgan.errors import TrainingError
from srgan.measure.guards import Fault
from srgan.refs import Ref, Sums

_SLOWER = 0.5
_WORSE = 1.25
"""A fault that the start has may become so many times as large without a return."""
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


class Opinions(Sums):
    """Opinions of the discriminator on the images of some steps."""

    steps: int = 0
    real: float = 0.0
    """Sum over the steps of mean D(real)."""
    fake: float = 0.0
    """The same of D(fake)."""


class Course(Ref):
    """State of an adversarial stage on its way, part of the manifest of every checkpoint."""

    judge: str | None
    """The distance that decides; None if no network is mirrored that taught neither the stage nor
    its start."""
    judge_sha256: str | None = None
    """SHA-256 of the judge's weights, by which all its distances are measured; None without a judge
    and in checkpoints of earlier releases."""
    start: float
    """The judge's distance before the first step; 0 without a judge."""
    faults_of_start: dict[str, float] = Field(default_factory=dict)
    """Sizes of the faults that the start has, by guard; no larger ones send the stage back."""
    excused: tuple[str, ...] = ()
    """Guards that a start did not pass, in checkpoints of earlier releases, which did not keep the
    sizes: they never send the stage back."""
    first: int = 0
    """Last step in which the discriminator learns alone: validations up to it measure the start."""
    best_step: int = 0
    """Step of the lowest distance that no guard caught; 0 for the start."""
    best: float
    good_step: int = 0
    """Newest validated step that no guard caught: where a return leads. 0 for the start."""
    stale: int = 0
    """Validations since the best one."""
    opinions: Opinions = Opinions()
    """Those since the latest validation, of steps in which they counted: not of skipped ones, nor
    where the adversarial loss had no weight."""
    rate: float = 1.0
    """Factor on all learning rates."""
    returns: tuple[Return, ...] = ()
    ended: str | None = None
    """Why the stage ends before its last step."""

    @classmethod
    def begin(
        cls,
        judge: str | None,
        metrics: Mapping[str, float],
        faults: Mapping[str, Fault],
        *,
        first: int,
        judge_sha256: str | None = None,
    ) -> Self:
        """Begin with the validation before the first step."""
        distance = metrics[judge] if judge else 0.0
        sizes = {name: fault.size for name, fault in faults.items()}
        return cls(
            judge=judge,
            judge_sha256=judge_sha256,
            start=distance,
            best=distance,
            faults_of_start=sizes,
            first=first,
        )

    def heard(self, losses: Mapping[str, float], num_steps: int) -> "Course":
        """The course after `num_steps` more steps, of which `losses` are the means."""
        num_good = round(num_steps * (1 - losses["skipped"]))
        if not num_good or not losses["adversarial_weight"]:
            return self
        more = Opinions(
            steps=num_good,
            real=num_good * losses["discriminator_real"],
            fake=num_good * losses["discriminator_fake"],
        )
        return self.model_copy(update={"opinions": self.opinions + more})

    def after(
        self,
        step: int,
        metrics: Mapping[str, float],
        faults: Mapping[str, Fault],
        *,
        patience: int | None,
        max_returns: int,
    ) -> "Course":
        """The course after the validation at `step`.

        `faults` are those of the guards that did not pass, by name. The stage goes back if there is
        one that the start has not, or has less of; it ends after `max_returns` of these, or after
        `patience` validations without a new best. A validation up to the step `first` decides
        nothing, because the generator is still the start.
        """
        since = self.model_copy(update={"opinions": Opinions()})
        if step <= self.first:
            return since.model_copy(update={"good_step": step})
        if caught := [fault.text for name, fault in faults.items() if self._is_new(name, fault)]:
            return since._sent_back(step, "; ".join(caught), max_returns)
        found = since.model_copy(update={"good_step": step})
        if self.judge and metrics[self.judge] < self.best:
            return found.model_copy(
                update={"best_step": step, "best": metrics[self.judge], "stale": 0}
            )
        stale = self.stale + 1
        ended = None
        if self.judge and patience is not None and stale >= patience:
            ended = f"{stale} validations in a row without a lower {self.judge}"
        return found.model_copy(update={"stale": stale, "ended": ended})

    def _is_new(self, guard: str, fault: Fault) -> bool:
        if guard in self.excused:
            return False
        return fault.size > _WORSE * self.faults_of_start.get(guard, 0.0)

    def _sent_back(self, step: int, reason: str, max_returns: int) -> "Course":
        if len(self.returns) == max_returns:
            return self.model_copy(
                update={"ended": f"after {max_returns} returns, at step {step}: {reason}"}
            )
        back = Return(step=step, to=self.good_step, reason=reason)
        return self.model_copy(
            update={"returns": (*self.returns, back), "rate": self.rate * _SLOWER}
        )

    @property
    def result_step(self) -> int:
        """Step of the checkpoint that the stage hands on; 0 if no validation passed the guards.

        Never one up to the step `first`: it holds the start.
        """
        return self.best_step or (self.good_step if self.good_step > self.first else 0)

    def refuse_without_result(self) -> None:
        """Raise `TrainingError` if no validation of the ended stage passed the guards.

        The start is kept, but handed on it could be promoted as what was to be trained.
        """
        if not self.result_step:
            alone = f" after the discriminator's {self.first} steps alone" if self.first else ""
            raise TrainingError(
                f"adversarial: no validation{alone} passed the guards, so there is nothing to hand "
                f"on; the stage ended {self.ended}. Look at the pictures of the validations; lower "
                "learning_rate.peak or the weight or share of the adversarial loss, validate more "
                "often, or start from a generator that was pretrained longer"
            )

    @property
    def chosen(self) -> str:
        """Why that checkpoint, in one phrase for people."""
        returned = "".join(f"; {each.line()}" for each in self.returns)
        ended = f"; ended early, {self.ended}" if self.ended else ""
        if self.best_step:
            why = f"lowest {self.judge} at a validation, {self.best:.4f} (start {self.start:.4f})"
        elif self.judge:
            why = f"the newest within the guards: {self.judge} was never below the start's"
        else:
            why = "the newest within the guards: no mirrored network could judge that did not teach"
        return f"step {self.result_step}, {why}{ended}{returned}"


def saturation(opinions: Opinions) -> dict[str, Fault]:
    """The fault of a discriminator that is never in doubt, in the form of `measure.guards.faults`.

    `opinions` are those of all steps since the latest validation. The adversarial gradient then
    says only that an image is false, not what would make it better. It is not a fault where that
    gradient has no weight: in a control without it, and as long as the discriminator learns alone.
    """
    if not opinions.steps:
        return {}
    real, fake = opinions.real / opinions.steps, opinions.fake / opinions.steps
    if real <= _SURE or fake >= 1 - _SURE:
        return {}
    text = f"the discriminator tells all images apart, D {real:.4f} and {fake:.4f}"
    return {SATURATION: Fault(text, real - fake)}
