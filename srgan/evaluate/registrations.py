"""What a registration is made of, in the bucket before the registry is asked.

``runs/<run>/registrations/<model>.json`` outlives a registry that does not answer: with it and the
checkpoint, which lies beside it, the version can be made at any later time.
"""

from srgan.errors import ConfigError
from srgan.evaluate.lineage import Lineage
from srgan.keys import registration_key, registrations_prefix
from srgan.storage import ObjectStore, read_document, write_document


def keep_registration(store: ObjectStore, model: str, lineage: Lineage) -> str:
    """Write it, which twice is once; its key."""
    key = registration_key(lineage.checkpoint.run, model)
    write_document(store, key, lineage)
    return key


def read_registration(store: ObjectStore, run: str, model: str | None) -> tuple[str, Lineage]:
    """Model and lineage of a training run; without `model` the only one that it was meant for.

    `ConfigError` where there is none, or several and none was named.
    """
    prefix = registrations_prefix(run)
    keys = [info.key for info in store.list(prefix) if info.key.endswith(".json")]
    kept = [key.removeprefix(prefix).removesuffix(".json") for key in sorted(keys)]
    chosen = [name for name in kept if model in (None, name)]
    if not chosen:
        meant = f"it was meant for {', '.join(kept)}" if kept else "no retraining has measured it"
        raise ConfigError(
            f"there is no {store.uri(prefix)}{model or '…'}.json to register {run} from: {meant}"
        )
    if len(chosen) > 1:
        raise ConfigError(f"{run} was meant for {', '.join(kept)}; choose one with --model")
    key = registration_key(run, chosen[0])
    return chosen[0], read_document(store, key, Lineage, mend="evaluate and register it again")
