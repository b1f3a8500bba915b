"""Questions to raters, and their order."""

from collections import Counter

from srgan.mos.ratings import Preference
from srgan.studies.design import StudyDesign
from srgan.studies.tasks import PairTasks, examples_of, num_tasks, rating_tasks
from tests.support.studies import design_by_hand


def test_a_rater_rates_every_picture_once_and_a_share_again() -> None:
    study = design_by_hand(num_images=20, repeats=0.1)
    tasks = rating_tasks(study, 0)
    assert len(tasks) == num_tasks(study) == 66
    first = [(each.image, each.left) for each in tasks if not each.repeat]
    assert len(set(first)) == len(first) == 60
    assert {(e.image, e.left) for e in tasks if e.repeat} <= set(first)
    assert rating_tasks(study, 1) != tasks
    assert rating_tasks(study, 0) == tasks, "a restarted server goes on with the same order"
    other = study.model_copy(update={"seed": study.seed + 1})
    assert rating_tasks(other, 0) != tasks


def test_raters_with_a_part_of_the_images_cover_all_of_them_evenly() -> None:
    study = design_by_hand(num_images=8, judgements_per_rater=6)
    counts = Counter(each.image for number in range(8) for each in rating_tasks(study, number))
    assert set(counts.values()) == {6}
    for number in range(8):
        of_image: dict[str, set[str]] = {}
        for each in rating_tasks(study, number):
            of_image.setdefault(each.image, set()).add(each.left)
        assert {len(each) for each in of_image.values()} == {3}, "all methods of an image"


def test_the_training_shows_the_anchors_with_their_grades_and_both_sides() -> None:
    (low, one), (high, five) = examples_of(design_by_hand())
    assert (low.left, one, high.left, five) == ("nearest", "1", "original", "5")
    example = design_by_hand().examples[0]
    pairs = design_by_hand(judging="pairs", examples=(example, example))
    assert [(t.left, t.right, e) for t, e in examples_of(pairs)] == [
        ("original", "nearest", "left"),
        ("nearest", "original", "right"),
    ]


def answered(study: StudyDesign) -> list[Preference]:
    """Choices of a rater who prefers methods by the alphabet, to the end."""
    tasks = PairTasks(study, ())
    own: list[Preference] = []
    for _ in range(num_tasks(study)):
        task = tasks.next("r1", own)
        assert task.right is not None
        choice = Preference(
            image=task.image,
            rater="r1",
            left=task.left,
            right=task.right,
            choice="left" if task.left > task.right else "right",
            repeat=task.repeat,
        )
        tasks.add(choice)
        own.append(choice)
    return own


def test_a_rater_compares_every_pair_once_and_some_again_with_sides_changed() -> None:
    pairs = {"judging": "pairs", "num_images": 6, "judgements_per_rater": 18}
    own = answered(design_by_hand(repeats=0.2, **pairs))
    assert len(own) == 22
    first = {(e.image, frozenset((e.left, e.right))): e for e in own if not e.repeat}
    assert len(first) == 18
    again = [each for each in own if each.repeat]
    assert len(again) == 4
    for each in again:
        before = first[each.image, frozenset((each.left, each.right))]
        assert (before.left, before.right) == (each.right, each.left)


def test_a_pair_is_repeated_only_when_others_have_come_between() -> None:
    pairs = {"judging": "pairs", "num_images": 10, "judgements_per_rater": 30}
    own = answered(design_by_hand(repeats=0.5, **pairs))
    places: dict[tuple[str, frozenset[str]], list[int]] = {}
    for place, each in enumerate(own):
        places.setdefault((each.image, frozenset((each.left, each.right))), []).append(place)
    apart = [second - first for first, second in (p for p in places.values() if len(p) > 1)]
    assert len(apart) == 15
    assert min(apart) > 10


def test_a_choice_that_is_taken_back_leaves_no_trace() -> None:
    study = design_by_hand(judging="pairs", num_images=6, judgements_per_rater=18)
    choices = [
        Preference(image=image.name, rater="r1", left="plain", right="nearest", choice=choice)
        for image, choice in zip(study.images, ("left", "same", "right") * 2, strict=True)
    ]
    kept, taken = choices[:2], choices[2:]
    changed, fresh = PairTasks(study, choices), PairTasks(study, kept)
    changed.remove(taken)
    asked = [[tasks.next("r1", kept) for _ in range(50)] for tasks in (changed, fresh)]
    assert asked[0] == asked[1]
