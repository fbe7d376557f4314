"""The work list as a pure function of facts and settings."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from napari_confseg.annotate.clip_facts import ClipFacts, OtherRater, State
from napari_confseg.annotate.worklist import (
    DIFFER_BELOW,
    ORDERS,
    Facet,
    Sort,
    Which,
    WorkList,
    WorkListSettings,
    choices,
    counts,
    following,
    ordered,
)
from napari_confseg.store import PATHOLOGIES, ZONES

FACTS = (
    ClipFacts(
        "c-10",
        "p1",
        reviewed=1.0,
        begun=True,
        seconds=90,
        zone="R3",
        quality=4,
        pathology=("effusion",),
        tags=("Teaching",),
        alike=0.9,
        day=date(2026, 3, 1),
        others=(OtherRater("bo", "Bo (reader)", "human"),),
    ),
    ClipFacts(
        "c-9",
        "p1",
        reviewed=0.5,
        begun=True,
        seconds=30,
        zone="L1",
        alike=0.2,
        day=date(2026, 3, 2),
    ),
    ClipFacts("c-1", "p2", note="rib shadow", tags=("teaching", "film"), zone="R3"),
    ClipFacts("c-2", "p3", trouble="no zarr.json"),
)


def test_lists_by_state() -> None:
    lists = {w: ordered(FACTS, WorkListSettings(which=w)) for w in Which}
    assert lists == {
        Which.ALL: ("c-1", "c-2", "c-9", "c-10"),  # 9 before 10
        Which.TO_DO: ("c-1", "c-9"),
        Which.BEGUN: ("c-9",),
        Which.DONE: ("c-10",),
        Which.PROBLEM: ("c-2",),
        Which.DIFFER: ("c-9",),
    }
    assert counts(FACTS, WorkListSettings()) == {w: len(names) for w, names in lists.items()}


def test_text_and_facets_narrow() -> None:
    def found(**settings: object) -> tuple[str, ...]:
        return ordered(FACTS, WorkListSettings(**settings))

    assert found(text="TEACH") == ("c-1", "c-10")
    assert found(text="teach p1") == ("c-10",)
    assert found(text="rib  shadow ") == ("c-1",)
    assert found(text="nowhere") == ()
    zones = frozenset({(Facet.ZONE, "R3"), (Facet.ZONE, "L1")})
    assert found(facets=zones) == ("c-1", "c-9", "c-10")  # either zone
    assert found(facets=zones | {(Facet.QUALITY, "4")}) == ("c-10",)  # and the quality
    assert found(facets=frozenset({(Facet.TAG, "film")}), which=Which.BEGUN) == ()
    assert counts(FACTS, WorkListSettings(text="p1"))[Which.TO_DO] == 1
    assert choices(FACTS)[Facet.ZONE] == {"R3": 2, "L1": 1}
    assert WorkListSettings(text=" ").narrows is False


def test_orders() -> None:
    def by(sort: Sort, **more: object) -> tuple[str, ...]:
        return ordered(FACTS, WorkListSettings(sort=sort, **more))

    assert by(Sort.STATE) == ("c-1", "c-9", "c-10", "c-2")
    assert by(Sort.STATE, falling=True) == ("c-2", "c-10", "c-9", "c-1")
    assert by(Sort.MINUTES, falling=True) == ("c-10", "c-9", "c-1", "c-2")
    assert by(Sort.PATIENT) == ("c-9", "c-10", "c-1", "c-2")
    assert by(Sort.NAME, falling=True) == ("c-10", "c-9", "c-2", "c-1")
    # What is not known comes last, whichever way round.
    assert by(Sort.ALIKE) == ("c-9", "c-10", "c-1", "c-2")
    assert by(Sort.ALIKE, falling=True) == ("c-10", "c-9", "c-1", "c-2")
    assert by(Sort.ZONE) == ("c-9", "c-1", "c-10", "c-2")
    assert by(Sort.DAY, falling=True) == ("c-9", "c-10", "c-1", "c-2")
    assert by(Sort.OTHERS) == ("c-10", "c-1", "c-2", "c-9")
    assert set(ORDERS) == set(Sort)


def test_states() -> None:
    assert [f.state for f in FACTS] == [State.DONE, State.BEGUN, State.TO_DO, State.PROBLEM]
    assert ClipFacts("c-3").state is None  # not read yet


def test_the_open_clip_stays_at_the_stroke_that_finishes_it() -> None:
    settings = WorkListSettings(which=Which.TO_DO)
    finished = tuple(replace(f, reviewed=1.0) if f.clip == "c-9" else f for f in FACTS)
    assert ordered(finished, settings) == ("c-1",)
    assert ordered(finished, settings, "c-9") == ("c-1", "c-9")
    assert counts(finished, settings)[Which.TO_DO] == 1


def test_one_key_goes_through_the_list_and_stops_at_its_ends() -> None:
    names = ("a", "b", "c")
    assert [following(names, n, 1) for n in names] == ["b", "c", None]
    assert [following(names, n, -1) for n in names] == [None, "a", "b"]
    assert (following(names, None, 1), following(names, "x", -1)) == ("a", "c")
    assert following((), "x", 1) is None


CLIPS = st.lists(
    st.builds(
        ClipFacts,
        clip=st.from_regex(r"[a-c]{1,2}-[0-9]{1,3}", fullmatch=True),
        patient=st.sampled_from(["p1", "p2"]),
        reviewed=st.floats(0, 1),
        begun=st.booleans(),
        seconds=st.floats(0, 1e4),
        zone=st.sampled_from(["", *ZONES]),
        quality=st.integers(0, 5),
        pathology=st.lists(st.sampled_from(PATHOLOGIES), max_size=2).map(tuple),
        tags=st.lists(st.sampled_from(["x", "y"]), max_size=2).map(tuple),
        alike=st.none() | st.floats(0, 1),
        day=st.none() | st.dates(),
        trouble=st.sampled_from(["", "", "damaged"]),
    ),
    max_size=12,
    unique_by=lambda f: f.clip,
)
SETTINGS = st.builds(
    WorkListSettings,
    which=st.sampled_from(Which),
    text=st.sampled_from(["", "a", "p1", "zz"]),
    facets=st.frozensets(
        st.sampled_from([(Facet.ZONE, "L1"), (Facet.TAG, "x"), (Facet.QUALITY, "3")]), max_size=2
    ),
    sort=st.sampled_from(Sort),
    falling=st.booleans(),
)


@given(CLIPS, SETTINGS, st.randoms())
def test_laws(facts: list[ClipFacts], settings: WorkListSettings, random: object) -> None:
    names = ordered(facts, settings)
    assert len(set(names)) == len(names)
    assert set(names) <= {f.clip for f in facts}
    assert counts(facts, settings)[settings.which] == len(names)
    shuffled = facts[:]
    random.shuffle(shuffled)
    assert ordered(shuffled, settings) == names  # the order they were read in does not matter
    turned = ordered(facts, replace(settings, falling=not settings.falling))
    assert set(turned) == set(names)
    everything = WorkListSettings(sort=settings.sort)
    assert set(names) <= set(ordered(facts, everything))
    wide = replace(settings, text="", facets=frozenset())
    assert set(names) <= set(ordered(facts, wide))
    # Walking with the key visits each once.
    walked, at = [], None
    while (at := following(names, at, 1)) is not None and len(walked) <= len(names):
        walked.append(at)
    assert tuple(walked) == names


def test_who_differs_is_below_the_threshold_and_known() -> None:
    facts = [
        ClipFacts("a", alike=DIFFER_BELOW),
        ClipFacts("b", alike=DIFFER_BELOW - 0.01),
        ClipFacts("c"),
    ]
    assert ordered(facts, WorkListSettings(which=Which.DIFFER)) == ("b",)


def test_a_work_list_alone_lists_counts_and_goes_on() -> None:
    work, changes = WorkList(), []
    work.changed.connect(lambda: changes.append(work.names()))
    work.set_clips(["c-1", "c-2", "c-3"])
    work.put([ClipFacts("c-1", reviewed=1.0, begun=True), ClipFacts("c-9")])
    work.put_alike({"c-2": 0.5})
    work.change(which=Which.DIFFER)
    assert changes[-1] == work.names() == ("c-2",)
    assert work.counts() == {
        Which.ALL: 3,
        Which.TO_DO: 2,
        Which.BEGUN: 0,
        Which.DONE: 1,
        Which.PROBLEM: 0,
        Which.DIFFER: 1,
    }
    work.change(which=Which.ALL)
    assert (work.beside("c-1", 1), work.beside("c-3", 1)) == ("c-2", None)
    assert work.to_do_after("c-3") == "c-2"
    work.clear()
    assert (work.names(), work.settings) == ((), WorkListSettings())
