"""The end of the demo: its results, where they are, and what they mean."""

import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from srgan.keys import evaluation_key, evaluation_of, is_ours
from srgan.measure.figures import means_table
from srgan.refs import EvaluationRef, ModelRef
from srgan.services.mlflow_models import CHAMPION, challenger_address
from srgan.stack import Stack
from srgan.storage import read_document
from srgan.versions.services import Services

_TRAINING = (
    "The first champion is the generator that comes with srgan, trained for the highest PSNR. The "
    "GAN starts from the champion and learns on your machine, for minutes instead of the paper's "
    "days: its content loss compares features of EfficientNet-Lite0 in place of the paper's VGG. "
    "On the demo's photographs its discriminator ended hardly surer than a guess. In the paper a "
    "GAN costs PSNR; the table has what it cost here."
)
_JUDGES = (
    "EfficientNet-Lite1 decides, another network of the teacher's family, which taught neither. "
    "NIQE stands beside it: on crops as small as these it is noisy. Ask people before you trust a "
    "judge: the command above makes a study of the held-out photos, and srgan mos serve prints a "
    "link for each rater."
)


@dataclass(frozen=True)
class DemoResults:
    """Results that the demo shows at its end."""

    name: str
    """Name of the dataset, and of the evaluation set of its held-out photos."""
    newest: ModelRef
    """The version that was trained last, champion or not."""
    champion: ModelRef | None
    """None when the gate has refused every version so far."""
    opponent: int | None
    """Version that the newest one was compared with; None if there was none."""
    decision: str
    """The gate's sentence about the newest version."""
    evaluation: EvaluationRef
    picture: Path
    num_upscaled: int
    upscaled: str
    """S3 address of the upscaled images."""


def read_outcome(services: Services, name: str, model: str, folder: Path) -> DemoResults:
    """Collect results from registry and bucket; write the comparison picture to `folder`."""
    store, champion = services.store, services.champion(model)
    newest = services.version(challenger_address(model))
    record = services.registry.record(newest)
    assert record.evaluation  # a retraining made it
    result = evaluation_key(evaluation_of(record.evaluation))
    evaluation = read_document(store, result, EvaluationRef)
    folder.mkdir(exist_ok=True)
    picture = folder / f"{name}-comparison.png"
    store.download(evaluation.picture_key, picture)
    prefix = f"upscaled/{name}"
    keys = [info.key for info in store.list(f"{prefix}/")]
    num_upscaled = sum(not is_ours(key) for key in keys)
    decisions = (each.decision for each in reversed(services.log(model).entries()))
    last = next((each for each in decisions if each.challenger == newest.version), None)
    return DemoResults(
        name=name,
        newest=newest,
        champion=champion,
        opponent=last.champion_before if last else None,
        decision=record.decision or "",
        evaluation=evaluation,
        picture=picture,
        num_upscaled=num_upscaled,
        upscaled=store.uri(prefix),
    )


def print_summary(console: Console, stack: Stack, outcome: DemoResults) -> None:
    """Print the figures, places, pages, and how to stop."""
    console.print()
    console.print(_table(outcome))
    settings, program = stack.settings(), _program()
    prefect = settings.prefect_public_url or stack.state.url("prefect")
    mlflow = settings.mlflow_public_url or stack.state.url("mlflow")
    places = {
        "decision": outcome.decision,
        "picture": str(outcome.picture),
        "champion": _champion(outcome),
        "upscaled": f"{outcome.num_upscaled} images in {outcome.upscaled}/",
        "Prefect": f"{prefect}  (flow runs, logs, tables)",
        "MLflow": f"{mlflow}  (curves, pictures, model versions)",
        "Ray": f"{stack.state.url('ray')}  (token: {stack.state.ray_token_path})",
        "again": f"{program} demo  (repeats only what changed)",
        "a shell": f'eval "$({program} stack env)"',
        "people": f"{study_command(outcome)}  (in that shell)",
        "stop": f"{program} stack down",
    }
    for name, place in places.items():
        console.print(f"{name:<10}{place}", soft_wrap=True)
    console.print(f"\n{_TRAINING} {_meaning(outcome)} {_JUDGES}")


def study_command(outcome: DemoResults) -> str:
    """The command that makes a study of the newest version and of what it was compared with."""
    numbers = dict.fromkeys(filter(None, (outcome.opponent, outcome.newest.version)))
    versions = ",".join(f"models:/{outcome.newest.name}/{number}" for number in numbers)
    return f"srgan mos create {outcome.name} --eval {outcome.name} --methods bicubic,{versions}"


def _meaning(outcome: DemoResults) -> str:
    """Say whether the newest version won, and what that does not show."""
    version = f"Version {outcome.newest.version}"
    if outcome.newest == outcome.champion:
        return (
            f"{version} is the champion; the decision says by which figures. They tell how near "
            "its images are to the originals for a network. Nobody has said that they look better, "
            "and the difference may be too small to see: open the picture."
        )
    stays = f", and version {outcome.champion.version} stays" if outcome.champion else ""
    return (
        f"{version} did not become the champion{stays}; the decision says why. So nothing here "
        "shows that the GAN's images are better: open the picture and compare."
    )


def _program() -> str:
    """How this shell calls this `srgan`: by its name if it is on the PATH, else by its path."""
    ours, here = Path(sys.executable).with_name("srgan"), Path.cwd()
    found = shutil.which("srgan")
    if found is not None and Path(found) == ours:
        return "srgan"
    return shlex.quote(str(ours.relative_to(here) if ours.is_relative_to(here) else ours))


def _champion(outcome: DemoResults) -> str:
    if outcome.champion is None:
        return f"none: the gate refused {outcome.newest.uri}, so nothing was upscaled with it"
    name, version = outcome.champion.name, outcome.champion.version
    return f"models:/{name}@{CHAMPION}  (version {version})"


def _table(outcome: DemoResults) -> Table:
    evaluation = outcome.evaluation
    means = means_table(evaluation.metrics, evaluation.trained_on_judge)
    table = Table(f"{evaluation.num_images} held-out crops, ×4")
    for head in means.heads[1:]:
        # Cut by default, so that in 80 columns two networks of one family had one name.
        table.add_column(head, justify="right", overflow="fold")
    for row in means.rows:
        table.add_row(*row)
    if outcome.newest != outcome.champion:
        table.caption = f"version {outcome.newest.version} did not replace the champion"
    return table
