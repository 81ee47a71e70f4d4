"""The strides that torch's compiler is given, against its own."""

import importlib
from typing import Any

import sympy
from torch._inductor import sizevars
from torch.utils._sympy.functions import FloorDiv, ModularIndexing

from distillery.compute import strides

cpp: Any = importlib.import_module("torch._inductor.codegen.cpp")
D0, D1, D2 = (sympy.Symbol(f"d{i}", integer=True, nonnegative=True) for i in range(3))
LINEAR = [
    sympy.Integer(0),
    sympy.Integer(7),
    D0,
    -D0 + 5,
    2 * D0 + 2 * D1,
    4096 * D0 + 64 * D1 + D2 + 3,
    32 * D1 - 16,
]
_div: Any = FloorDiv
OTHERS = [
    128 * _div(D0, 4) + D1,
    ModularIndexing(D0, 1, 16) + 8 * D1,
    D0 * D1 + D2,
    D0**2,
    sympy.Symbol("s0", integer=True) * D1,
]


def test_the_strides_of_linear_indices_are_torch_s():
    for index in LINEAR:
        for variable in (D0, D1, D2):
            expected = sizevars.stride_at_vec_range(index, variable, 16)
            assert strides.linear_stride(index, variable) == expected, (index, variable)


def test_what_is_not_linear_is_left_to_torch():
    for index in OTHERS:
        assert strides.linear_stride(index, D0) is None, index


def test_the_compiler_asks_for_ours_from_then_on(monkeypatch):
    asked = []
    monkeypatch.setattr(cpp, "stride_at_vec_range", lambda *given: asked.append(given))
    strides.hasten.__wrapped__()
    stride = cpp.stride_at_vec_range(64 * D0 + D1, D0, 16)
    assert (stride, stride.is_number, asked) == (64, True, [])
    cpp.stride_at_vec_range(OTHERS[0], D0, 16)
    assert asked == [(OTHERS[0], D0, 16)]
