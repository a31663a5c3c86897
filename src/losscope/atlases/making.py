"""An atlas made: every entry an ordinary study, the table written after each, so that nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import losscope
from losscope.atlases import kept
from losscope.atlases.declared import DECLARED
from losscope.atlases.entries import entry_of
from losscope.atlases.planning import Asked, Laid, laid
from losscope.atlases.sketching import sketch
from losscope.comparing import reading as studies
from losscope.comparing import running, spending
from losscope.comparing.planning import DEFAULT_OUT, Say
from losscope.comparing.stored import StoredStudy
from losscope.core.errors import LosscopeError, require
from losscope.core.results import Atlas, AtlasEntry, AtlasPlan, LeftOut, Result
from losscope.core.saying import Once
from losscope.core.wording import atlases as wording
from losscope.core.wording import listing
from losscope.core.wording import unfinished as said_unfinished
from losscope.run import launch
from losscope.run.store import Store

Expect = Callable[[Sequence[launch.Group]], None]


@dataclass(frozen=True)
class Made:
    """The table of a store, and those of the entries asked for whose training failed."""

    atlas: Atlas
    failed: tuple[LeftOut, ...] = ()


def make(
    given: Asked,
    *,
    say: Say | None = None,
    activity: launch.ACTIVITY | None = None,
    expect: Expect | None = None,
) -> Made:
    """Train what is not stored of every entry, one after the other, and write ``atlas/`` of the store.

    Every mistake is found before the first entry trains. An entry whose runs fail is left out with the
    reason, and the others go on. Entries that the store's table has of earlier calls stay in it.

    Args:
        given: which atlas.
        say: called with each sentence for a person.
        activity: called as epochs end.
        expect: called with the groups of each entry that are to be trained, before they are.

    Raises:
        LosscopeError: as of ``planning.laid``; or the store has an atlas of other losses.
    """
    say = None if say is None else Once(say)
    before = stored(given)
    outlook = spending.Outlook()
    ready, plan = laid(given, say, outlook)
    store = Store(given.out)
    outlook.keep(store)
    made, failed = with_left_out(before, plan.left_out), list[LeftOut]()
    for place, own in enumerate(ready):
        if say:
            say(_starts(plan, place))
        found = _entry(own, say, activity, expect)
        if isinstance(found, LeftOut):
            made = with_left_out(made, [found])
            failed.append(found)
            if say:
                say(wording.left_out(found))
        else:
            made = with_entry(made, found)
        write(store, made)
    return Made(made, tuple(failed))


def stored(given: Asked) -> Atlas:
    """The table that the store has, or an empty one.

    Raises:
        LosscopeError: it is of other losses.
    """
    losses = tuple(given.usual.losses)
    file = Store(given.out, create=False, absent=True).root / kept.FILE
    if not file.is_file():
        return Atlas(
            losses=losses, entries=(), losscope=losscope.__version__, command="losscope atlas --make"
        )
    found = kept.read(file)
    require(
        set(found.losses) == set(losses),
        f"the atlas in {given.out} is of {listing(found.losses)}, and this one of {listing(losses)}; give "
        "another --out",
    )
    return found


def write(store: Store, made: Atlas) -> None:
    """Keep the table and its page in the store."""
    store.write_json(kept.FILE, made.model_dump(mode="json"))
    store.write_text(kept.PAGE, _page(made))


def _page(made: Atlas) -> str:
    from losscope.reporting import atlases

    return atlases.page(made)


def _starts(plan: AtlasPlan, place: int) -> str:
    seconds = [own.seconds or 0.0 for own in plan.entries]
    own = plan.entries[place]
    left = sum(seconds[place:])
    return wording.entry_starts(place + 1, len(plan.entries), own.name, own.seconds, left)


def _entry(
    own: Laid, say: Say | None, activity: launch.ACTIVITY | None, expect: Expect | None
) -> AtlasEntry | LeftOut:
    """An entry as its study gives it, or why there is none.

    Whatever stops one study, a fault of the code too, must not cost those after it.
    """
    name = own.declared.name
    try:
        result = _concluded(own) or running.run(own.study, say=say, activity=activity, expect=expect)
        made = read(own, result)
    except LosscopeError as error:
        return LeftOut(name=name, reason=str(error))
    except Exception as error:
        return LeftOut(name=name, reason=f"{type(error).__name__}: {error}")
    if made is None:
        return LeftOut(name=name, reason="no loss has a value of any goal's measure")
    return made


def _concluded(own: Laid) -> Result | None:
    """The result of a study that was trained and concluded before, None where something of it is left."""
    if not own.stored:
        return None
    store = Store(own.study.out or DEFAULT_OUT)
    found = StoredStudy.read(store, own.name)
    if found is None or found.study.seeds != own.study.seeds:
        return None
    return studies.read(store, own.name)


def read(own: Laid, result: Result) -> AtlasEntry | None:
    """A row of the atlas from the result of an entry's study.

    Raises:
        LosscopeError: some of its runs failed by the machine's or the code's fault.
    """
    from losscope.features import load

    require(
        result.unfinished is None,
        "" if result.unfinished is None else said_unfinished(result.unfinished),
    )
    study = own.study
    source = load(study.data, root=study.data_root, **study.data_spec().options)
    return entry_of(
        result,
        sketch(source),
        name=own.declared.name,
        family=own.declared.family,
        command=own.command,
    )


def with_entry(made: Atlas, entry: AtlasEntry) -> Atlas:
    """The atlas with an entry, in the place of one of its name; declared data sets stand first, in order."""
    entries = {own.name: own for own in (*made.entries, entry)}
    order = {own.name: place for place, own in enumerate(DECLARED)}
    ranked = sorted(entries.values(), key=lambda own: order.get(own.name, len(order)))
    lacking = tuple(own for own in made.left_out if own.name != entry.name)
    return made.model_copy(update={"entries": tuple(ranked), "left_out": lacking})


def with_left_out(made: Atlas, lacking: Iterable[LeftOut]) -> Atlas:
    """The atlas that says of some data sets why it lacks them; an entry of before is not lost."""
    known = {own.name for own in made.entries}
    found = {own.name: own for own in (*made.left_out, *lacking) if own.name not in known}
    return made.model_copy(update={"left_out": tuple(found.values())})
