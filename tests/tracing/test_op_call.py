from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opclock.tracing.op_call import NamedConstant, OpCall, TensorSpec, decode, encode, tensors

sizes = st.lists(st.integers(0, 300), max_size=5)
specs = sizes.flatmap(
    lambda shape: st.builds(
        TensorSpec,
        st.just(tuple(shape)),
        st.lists(st.integers(0, 5000), min_size=len(shape), max_size=len(shape)).map(tuple),
        st.sampled_from(["float32", "int64", "bool", "bfloat16"]),
        st.sampled_from(["cpu", "cuda:0"]),
        st.none() | st.integers(0, 3),
        st.booleans(),
    )
)
named = st.builds(
    NamedConstant, st.sampled_from(["dtype", "layout", "memory_format", "device"]), st.text("abcdef_:0123", min_size=1)
)
plain = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=8), specs, named,
    st.complex_numbers(allow_nan=False, allow_infinity=False),
)  # fmt: skip
values = st.recursive(plain, lambda inner: st.lists(inner, max_size=4).map(tuple), max_leaves=12)
calls = st.builds(
    OpCall,
    st.sampled_from(["aten::add", "aten::conv2d"]),
    st.sampled_from(["", "Tensor"]),
    st.lists(values, max_size=4).map(tuple),
    st.dictionaries(st.sampled_from(["alpha", "dtype"]), values).map(lambda named: tuple(named.items())),
)


@given(values)
def test_values_survive_json(value):
    assert decode(json.loads(json.dumps(encode(value)))) == value


@given(calls)
def test_calls_survive_json_and_keep_their_key(call):
    again = OpCall.from_json(json.loads(json.dumps(call.to_json())))
    assert again == call
    assert again.key == call.key


@given(calls, calls)
def test_keys_are_equal_exactly_where_calls_are(left, right):
    def exact(call):  # 1, 1.0 and True are equal in Python and different arguments
        return repr((call.operator, call.overload, call.args, sorted(call.kwargs, key=lambda item: item[0])))

    assert (left.key == right.key) == (exact(left) == exact(right))


@given(values)
def test_tensors_are_found_wherever_they_stand(value):
    assert len(list(tensors(value))) == repr(value).count("TensorSpec(")


def test_key_is_golden():
    image = TensorSpec((1, 3), (3, 1), "float32")
    call = OpCall("aten::mul", "Tensor", (image, 0.5), (("out", None),))
    assert call.key == (
        '{"args":[{"shape":[1,3],"stride":[3,1],"tensor":"float32"},0.5],"kwargs":{"out":null},'
        '"operator":"aten::mul","overload":"Tensor"}'
    )


def test_not_a_number_and_infinity_have_keys():
    assert OpCall("aten::fill", "", (float("inf"),)).key != OpCall("aten::fill", "", (float("-inf"),)).key


@pytest.mark.parametrize("data", [{"what": 1}, {}, {"dtype": "float32", "more": 1}])
def test_foreign_data_is_refused(data):
    with pytest.raises(ValueError, match="not an argument"):
        decode(data)


def test_span_of_expanded_and_empty_tensors():
    assert TensorSpec((4, 1000), (0, 1), "float32").span == 1000
    assert TensorSpec((0, 3), (3, 1), "float32").span == 0
    assert TensorSpec((), (), "float64").nbytes == 8
