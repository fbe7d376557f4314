"""napari's paint events read: what changed, whatever the order of events and the kind of atom."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.layers import Labels

from napari_confseg.widgets.layers.class_layer import patches_of
from napari_confseg.widgets.layers.colormaps import alpha, ramp

actions = st.lists(
    st.tuples(
        st.sampled_from(["paint", "fill", "polygon", "set"]),
        st.integers(0, 2),
        st.integers(0, 19),
        st.integers(0, 29),
        st.integers(0, 100),
        st.integers(1, 9),
    ),
    min_size=1,
    max_size=8,
)


def do(layer: Labels, action: tuple[str, int, int, int, int, int]) -> None:
    what, t, y, x, value, size = action
    layer.brush_size = size
    if what == "paint":
        layer.paint((t, y, x), value, refresh=False)
    elif what == "fill":
        layer.fill((t, y, x), value, refresh=False)
    elif what == "polygon":
        layer.paint_polygon([(t, y, x), (t, y, x + size), (t, y + size, x + size)], value)
    else:
        where = np.array([t, (t + 1) % 3]), np.array([y, y]), np.array([x, x])
        layer.data_setitem(where, value)


@settings(deadline=None, max_examples=40)
@given(actions, st.booleans())
def test_patches_turn_before_into_after(
    actions: list[tuple[str, int, int, int, int, int]], one_stroke: bool
) -> None:
    layer = Labels(np.zeros((3, 20, 30), np.uint8))
    layer.n_edit_dimensions = 2
    before = layer.data.copy()
    items = []
    layer.events.paint.connect(lambda event: items.append(patches_of(event.value, layer.data, 4)))
    if one_stroke:
        with layer.block_history():
            for action in actions:
                do(layer, action)
    else:
        for action in actions:
            do(layer, action)
    rebuilt = before.copy()
    for item in items:
        assert len({p.frame for p in item}) == len(item)  # one patch for each frame
        for patch in item:
            assert patch.class_index == 4
            patch.apply(rebuilt[patch.frame])
    assert np.array_equal(rebuilt, layer.data)
    for item in reversed(items):
        for patch in reversed(item):
            patch.inverted().apply(rebuilt[patch.frame])
    assert np.array_equal(rebuilt, before)


def test_the_surer_the_more_opaque_and_what_is_below_the_threshold_is_clear() -> None:
    colors = ramp("#d55e00", 40).map(np.arange(256, dtype=np.uint8))
    assert not colors[:40, 3].any()
    assert np.all(np.diff(colors[40:101, 3]) > 0)
    assert np.allclose(colors[60, :3], [213 / 255, 94 / 255, 0])
    assert colors[100, 3] == alpha(100) == 1
    r, g, b, a = colors[255]
    assert r == g == b  # grey: nobody's class
    assert a > 0
