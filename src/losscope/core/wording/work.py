"""What work will take, how far it is, and what was left out of it to be done in time."""

from __future__ import annotations

import math
from collections.abc import Sequence

from losscope.core.results import StudyPlan, Unfinished
from losscope.core.wording.numbers import brief, count, shorten


def duration(seconds: float) -> str:
    """Seconds as people say them.

    >>> duration(0.2), duration(12), duration(200), duration(9000)
    ('1 s', '12 s', '3 min', '2.5 h')
    """
    if 0 < seconds < 1:
        return "1 s"
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


def runs_left(done: int, runs: int, left: float | None) -> str:
    """How many runs of a study are done, and how many seconds are left for the rest, where that is known.

    >>> runs_left(12, 230, 118.0), runs_left(0, 1, None)
    ('12 of 230 runs, about 2 min left', '0 of 1 run')
    """
    said = f"{done:,} of {count(runs, 'run')}"
    return said if left is None else f"{said}, about {duration(left)} left"


def study_plan(plan: StudyPlan) -> str:
    """The runs of a study, what is still to be trained of them, how long that takes, and which look it is."""
    stored = f" ({plan.tuning_stored:,} stored)" if plan.tuning_runs else ""
    if plan.seconds is None:
        time = "How long it takes is known when its features are computed"
    elif plan.seconds == 0:
        time = "Nothing is left to train"
    else:
        time = f"It takes about {duration(max(1, plan.seconds))} on this machine"
    curved = (
        f" and {count(plan.curve_runs, 'run')} of curves ({plan.curve_stored:,} stored)"
        if plan.curve_runs
        else ""
    )
    return (
        f"{count(plan.runs, 'run')} ({plan.stored:,} stored) in {count(plan.populations, 'population')}, "
        f"{count(plan.epochs_left, 'population epoch')} to go, "
        f"after {count(plan.tuning_runs, 'run')} of tuning{stored}{curved}. {time}; "
        f"it is look {plan.look} at these data."
    )


def looks(look: int, before: Sequence[str], level: float) -> str:
    """Which look at its data a study is, what the last one before tested, and the level that is left.

    >>> looks(2, ["contrastive and triplet for detail over 10 seeds"], 0.008)
    'Look 2 at these data in this store (last: contrastive and triplet for detail over 10 seeds), tested at \
0.008: more seeds, losses or goals after a look are further tests.'
    """
    last = f" (last: {before[-1]})" if before[-1] else ""
    return (
        f"Look {look} at these data in this store{last}, tested at {brief(level)}: more seeds, losses or "
        "goals after a look are further tests."
    )


def first_look(level: float, further: float) -> str:
    """What is taken for granted of runs that no store counts the looks at.

    >>> first_look(0.04, 0.008)
    'Taken as the first look at these runs, tested at 0.04; if they were judged before, with fewer seeds or \
by another measure, say which look it is: --look 2 tests at 0.008.'
    """
    return (
        f"Taken as the first look at these runs, tested at {brief(level)}; if they were judged before, with "
        f"fewer seeds or by another measure, say which look it is: --look 2 tests at {brief(further)}."
    )


def budget(
    seconds: float,
    expected: float,
    *,
    epochs: tuple[int, int] | None = None,
    trials: tuple[int, int] | None = None,
    seeds: tuple[int, int] | None = None,
    untuned: bool = False,
    late: bool = False,
) -> str:
    """What is left out so that a study ends in time.

    ``epochs``, ``trials``, ``seeds``: how many of how many, None where none is left out. ``untuned``:
    tuning is left out. ``late``: what remains may take longer all the same.

    >>> budget(60, 41.5, epochs=(30, 60), trials=(9, 18))
    'Budget 60 s: cut to 30 of 60 epochs for every loss, 9 of 18 settings of each loss, expected 42 s.'
    >>> budget(600, 90)
    'Budget 600 s: nothing is cut, expected 90 s.'
    >>> budget(30, 20, epochs=(3, 60), seeds=(8, 10), untuned=True)
    'Budget 30 s: cut to 3 of 60 epochs for every loss, 8 of 10 seeds, no tuning, expected 20 s.'
    """
    cuts = []
    if epochs is not None:
        cuts.append(f"{epochs[0]} of {epochs[1]} epochs for every loss")
    if trials is not None:
        cuts.append(f"{trials[0]} of {trials[1]} settings of each loss")
    if seeds is not None:
        cuts.append(f"{seeds[0]} of {seeds[1]} seeds")
    if untuned:
        cuts.append("no tuning")
    said = f"cut to {', '.join(cuts)}" if cuts else "nothing is cut"
    more = "; even this may take longer" if late else ""
    return f"Budget {seconds:g} s: {said}, expected {expected:.0f} s{more}."


def too_small(seconds: float, least: float, epochs: int, seeds: int, untuned: bool) -> str:
    """Why nothing is trained within a time.

    >>> too_small(2, 8.2, 3, 8, True)
    'a budget of 2 s is too small for any verdict: 3 epochs over 8 seeds, untuned, want about 9 s; give \
--budget 9s or more, fewer losses, or no --budget'
    """
    wanted = f"{count(epochs, 'epoch')} over {count(seeds, 'seed')}{', untuned,' if untuned else ''}"
    return (
        f"a budget of {seconds:g} s is too small for any verdict: {wanted} want about {math.ceil(least)} s; "
        f"give --budget {math.ceil(least)}s or more, fewer losses, or no --budget"
    )


def newest(others: Sequence[str], folder: str) -> str:
    """Which studies of a folder are not the one that was taken, and how to name one.

    >>> newest(["digits-matched-1a2b3c4d"], "losscope-runs")
    'It is the newest of 2; another one: losscope judge losscope-runs/studies/digits-matched-1a2b3c4d.'
    >>> newest(["a", "b", "c"], "runs")
    'It is the newest of 4; another one: losscope judge runs/studies/a (or b, c).'
    """
    first, *rest = others
    more = f" (or {', '.join(rest[:3])}{', …' if len(rest) > 3 else ''})" if rest else ""
    return (
        f"It is the newest of {len(others) + 1}; another one: losscope judge {folder}/studies/{first}{more}."
    )


def unfinished(found: Unfinished, logs: str | None = None) -> str:
    """Which runs the machine or the code stopped, why, and what to do. ``logs``: the folder that tells more.

    >>> unfinished(Unfinished(failed=3, runs=40, reasons=("MemoryError: no memory left",)))
    '3 of 40 runs failed: MemoryError: no memory left; the same command tries them again'
    """
    reasons = [shorten(" ".join(text.split()), 200) for text in found.reasons[:3]]
    more = ["…"] if len(found.reasons) > 3 else []
    return (
        f"{found.failed:,} of {count(found.runs, 'run')} failed: {'; '.join([*reasons, *more])}; "
        f"the same command tries {'it' if found.failed == 1 else 'them'} again"
        + (f" (their logs: {logs})" if logs else "")
    )


def over_limit(seconds: float, members: int) -> str:
    """Why runs that took longer than ``--run-limit`` are failed.

    >>> over_limit(600, 1)
    'it took longer than its limit of 10 min'
    >>> over_limit(600, 12)
    'it and the runs it trains with took longer than their limit, 12 times 10 min'
    """
    if members == 1:
        return f"it took longer than its limit of {duration(seconds)}"
    return f"it and the runs it trains with took longer than their limit, {members} times {duration(seconds)}"


def ended_processes(processes: int, how: str) -> str:
    """Why a run is failed that ended every process that trained it. ``how``: the last end, where it is known.

    >>> ended_processes(3, "by SIGKILL"), ended_processes(3, "")
    ('it ended 3 processes: the last by SIGKILL', 'it ended 3 processes')
    """
    return f"it ended {processes} processes{f': the last {how}' if how else ''}"


def process_lost(many: int, how: str) -> str:
    """An entry of a run's log: the process that trained it ended, for the ``many``-th time.

    >>> process_lost(2, "by SIGKILL")
    'the process that trained it ended by SIGKILL; it is the second'
    """
    ordinal = ("first", "second", "third")[many - 1] if many <= 3 else f"{many}th"
    return f"the process that trained it ended{f' {how}' if how else ''}; it is the {ordinal}"
