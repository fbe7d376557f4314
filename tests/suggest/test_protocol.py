"""Messages between viewer and model process: what is sent arrives, what is broken is refused."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_confseg.suggest.protocol import (
    Load,
    Loaded,
    Message,
    ProtocolError,
    Refused,
    Suggest,
    Suggested,
    receive,
    send,
)

TEXTS = st.text(max_size=40)
NAMES = st.lists(TEXTS, max_size=4).map(tuple)
MESSAGES: st.SearchStrategy[Message] = st.one_of(
    st.builds(Load, model=TEXTS),
    st.builds(Loaded, name=TEXTS, version=TEXTS, classes=NAMES),
    st.builds(Suggest, model=TEXTS),
    st.builds(Suggested, name=TEXTS, version=TEXTS, classes=NAMES),
    st.builds(Refused, message=TEXTS, hint=TEXTS),
)
ARRAYS = st.dictionaries(
    st.text(max_size=12),
    hnp.arrays(
        st.sampled_from([np.uint8, np.int32, np.float32]),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
    ),
    max_size=3,
)


@given(st.lists(st.tuples(MESSAGES, ARRAYS), max_size=4))
def test_what_is_sent_arrives(said: list[tuple[Message, dict[str, Any]]]) -> None:
    stream = io.BytesIO()
    for message, arrays in said:
        send(stream, message, arrays)
    stream.seek(0)
    for message, arrays in said:
        got = receive(stream)
        assert got is not None
        assert got.message == message
        assert got.arrays.keys() == arrays.keys()
        for name, array in arrays.items():
            found = got.arrays[name]
            assert (found.dtype, found.shape) == (array.dtype, array.shape)
            assert found.tobytes() == array.tobytes()  # NaN too
    assert receive(stream) is None


@given(MESSAGES, ARRAYS, st.data())
def test_a_message_that_breaks_off_is_refused(
    message: Message, arrays: dict[str, Any], data: st.DataObject
) -> None:
    stream = io.BytesIO()
    send(stream, message, arrays)
    whole = stream.getvalue()
    end = data.draw(st.integers(1, len(whole) - 1))
    with pytest.raises(ProtocolError, match="breaks off"):
        receive(io.BytesIO(whole[:end]))


@given(MESSAGES, ARRAYS, st.data())
def test_a_damaged_message_is_refused_or_is_another_message(
    message: Message, arrays: dict[str, Any], data: st.DataObject
) -> None:
    stream = io.BytesIO()
    send(stream, message, arrays)
    whole = bytearray(stream.getvalue())
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    try:
        receive(io.BytesIO(bytes(whole)))
    except ProtocolError:
        return  # and nothing else may come
