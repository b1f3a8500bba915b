"""`srgan weights`: the perceptual networks that content losses and evaluations use."""

from typing import Annotated

import typer

from srgan.perceptual import FeatureNetwork

weights_app = typer.Typer(help="Weights of perceptual networks.", no_args_is_help=True)


@weights_app.command()
def mirror(
    name: Annotated[FeatureNetwork, typer.Argument(help="The network")],
    source: Annotated[
        str | None,
        typer.Option("--from", help="A file, s3:// or https:// address; default: torchvision's"),
    ] = None,
) -> None:
    """Put the weights of a perceptual network into the bucket, where every worker finds them."""
    from srgan.adapters.weights import mirror as mirror_weights
    from srgan.settings import Settings

    settings = Settings()
    mirrored = mirror_weights(settings, name, source)
    typer.echo(
        f"{name} is in s3://{settings.bucket}/weights/{mirrored.sha256}\n"
        f"Content losses name it by the digits that its SHA-256 begins with; evaluations from now "
        f"on report its perceptual distance."
    )
