"""What work will take, how far it is, and what was left out of it to be done in time."""

from __future__ import annotations

from losscope.core.results import StudyPlan, Unfinished
from losscope.core.wording.numbers import count, shorten


def duration(seconds: float) -> str:
    """Seconds as people say them.

    >>> duration(12), duration(200), duration(9000)
    ('12 s', '3 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def sizes_that_fit(least: int, most: int) -> str:
    """Which batch sizes can be given, from ``least`` to ``most``, or what else to do where there are none.

    >>> sizes_that_fit(18, 19), sizes_that_fit(18, 12)
    ('give --batch-size at least 18 and at most 19', 'leave --batch-size out, and one that fits is taken')
    """
    if least > most:
        return "leave --batch-size out, and one that fits is taken"
    if least == most:
        return f"give --batch-size {least}"
    return f"give --batch-size at least {least} and at most {most}"


def progress(share: float, left: float) -> str:
    """How far the work is, and how many seconds are left.

    >>> progress(0.25, 200)
    '25% of the work is done, about 3 min left.'
    """
    return f"{share:.0%} of the work is done, about {duration(left)} left."


def study_plan(plan: StudyPlan) -> str:
    """The runs of a study, what is still to be trained of them, how long that takes, and which look it is."""
    stored = f" ({plan.tuning_stored:,} stored)" if plan.tuning_runs else ""
    if plan.seconds is None:
        time = "How long it takes is known when its features are computed"
    elif plan.seconds == 0:
        time = "Nothing is left to train"
    else:
        time = f"It takes about {duration(max(1, plan.seconds))} on this machine"
    return (
        f"{count(plan.runs, 'run')} ({plan.stored:,} stored) in {count(plan.populations, 'population')}, "
        f"{count(plan.epochs_left, 'population epoch')} to go, "
        f"after {count(plan.tuning_runs, 'run')} of tuning{stored}. {time}; "
        f"it is look {plan.look} at this study."
    )


def budget(
    seconds: float,
    expected: float,
    *,
    epochs: tuple[int, int] | None = None,
    points: tuple[int, int] | None = None,
    untuned: bool = False,
    late: bool = False,
) -> str:
    """What is left out so that a study ends in time.

    ``epochs``, ``points``: how many of how many, None where none is left out. ``untuned``: tuning is left
    out. ``late``: what remains may take longer all the same.

    >>> budget(60, 41.5, epochs=(30, 60), points=(3, 6))
    "Budget 60 s: cut to 30 of 60 epochs for every loss, 3 of 6 points of each loss's space, expected 42 s."
    >>> budget(600, 90)
    'Budget 600 s: nothing is cut, expected 90 s.'
    """
    said = "nothing is cut" if epochs is None else f"cut to {epochs[0]} of {epochs[1]} epochs for every loss"
    if points is not None:
        said += f", {points[0]} of {points[1]} points of each loss's space"
    if untuned:
        said += ", no tuning"
    more = "; even this may take longer" if late else ""
    return f"Budget {seconds:g} s: {said}, expected {expected:.0f} s{more}."


def unfinished(found: Unfinished) -> str:
    """Which runs the machine or the code stopped, why, and what to do.

    >>> unfinished(Unfinished(failed=3, runs=40, reasons=("MemoryError: no memory left",)))
    '3 of 40 runs failed: MemoryError: no memory left; the same command tries them again'
    """
    reasons = [shorten(" ".join(text.split()), 200) for text in found.reasons[:3]]
    more = ["…"] if len(found.reasons) > 3 else []
    return (
        f"{found.failed:,} of {count(found.runs, 'run')} failed: {'; '.join([*reasons, *more])}; "
        f"the same command tries {'it' if found.failed == 1 else 'them'} again"
    )
