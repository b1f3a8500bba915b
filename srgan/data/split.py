"""Which photos are held out. An image never crosses the split from one version to the next."""

from collections.abc import Iterable, Mapping

from srgan.data.tables import Split

_DIGITS = 16


def side(pixels: str, eval_share: float) -> Split:
    """Side of one photo by the digest of its pixels (hex), wherever its file lies."""
    position = int(pixels[:_DIGITS], 16) / 16**_DIGITS
    return "eval" if position < eval_share else "train"


def assign(
    photos: Iterable[str], inherited: Mapping[str, Split], eval_share: float
) -> dict[str, Split]:
    """Side of each photo, both sides taken. `photos` are at least two digests of pixels.

    Photos of the previous version keep their side. An empty eval side takes the photo with the
    lowest digest, an empty train side the one with the highest; new photos go first, because a
    photo that was trained on is a poor witness.
    """
    splits = {each: inherited.get(each) or side(each, eval_share) for each in photos}
    assert len(splits) >= 2
    movable = [each for each in splits if each not in inherited] or list(splits)
    if "eval" not in splits.values():
        splits[min(movable)] = "eval"
    elif "train" not in splits.values():
        splits[max(movable)] = "train"
    return splits
