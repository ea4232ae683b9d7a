"""What a GPU is asked to do: counted in the text of a program; with the compiler for GPUs, in programs of ours."""

import importlib.util

import jax
import pytest

from seqmodels.benchmarks.absent_devices import gpu
from seqmodels.benchmarks.kernels import Kernels, kernels, rows
from seqmodels.cli import main
from seqmodels.errors import UserError

INSTALLED = any(importlib.util.find_spec(f"jax_cuda{version}_plugin") for version in (12, 13))

PROGRAM = """
%forwards (p: (s32[], f32[8], f32[8,8])) -> (s32[], f32[8], f32[8,8]) {
  %p = (s32[], f32[8]{0}, f32[8,8]{1,0}) parameter(0)
  %n = s32[] get-tuple-element(%p), index=0
  %h = f32[8]{0} get-tuple-element(%p), index=1
  %w = f32[8,8]{1,0} get-tuple-element(%p), index=2
  %one = s32[] constant(1)
  %next = s32[] fusion(%n, %one), kind=kLoop, calls=%added
  %z = (f32[8]{0}, s8[64]{0}) custom-call(%h, %w), custom_call_target="__cublas$gemm"
  %r = f32[8]{0} get-tuple-element(%z), index=0
  ROOT %t = (s32[], f32[8]{0}, f32[8,8]{1,0}) tuple(%next, %r, %w)
}

%backwards (p: (f32[8])) -> (f32[8]) {
  %p = (f32[8]{0}) parameter(0)
  %x = f32[8]{0} get-tuple-element(%p), index=0
  %b = f32[2,4]{1,0} bitcast(%x)
  %y = f32[8]{0} copy(%x)
  ROOT %t = (f32[8]{0}) tuple(%y)
}

ENTRY %main (a: f32[8]) -> f32[8] {
  %a = f32[8]{0} parameter(0)
  %first = (s32[], f32[8]{0}, f32[8,8]{1,0}) while(%a), condition=%c, body=%forwards
  %second = (f32[8]{0}) while(%first), condition=%d, body=%backwards
}
"""


def test_what_a_loop_starts_in_a_turn():
    assert kernels(PROGRAM) == (2, 1)


def test_the_words():
    found = [
        Kernels("fused:packed", "float32", (4, 6), 2_000_000),
        Kernels("flax linen", "float32", (17, 22), 0),
        Kernels("haiku", "float32", (16, 10), 0),
        Kernels("fused:packed", "bfloat16", (5, 6), 0),
    ]
    assert [line.split(" | ")[2:5] for line in rows(found)[2:]] == [
        ["4 + 6", "10", "2.60"],
        ["17 + 22", "39", "0.67"],
        ["16 + 10", "26", "1.00"],
        ["5 + 6", "11", ""],
    ]


@pytest.mark.skipif(INSTALLED, reason="the compiler for GPUs is installed")
def test_without_their_compiler_nothing_is_counted(capsys):
    with pytest.raises(UserError, match=r"the compiler for GPUs is not installed; pip install"):
        gpu()
    assert main(["benchmark", "kernels"]) == 2
    assert capsys.readouterr().err.startswith("the compiler for GPUs is not installed")


@pytest.mark.skipif(not INSTALLED, reason="the compiler for GPUs, jax[cuda12], is not installed")
def test_ours_asks_for_less_than_flax(capsys):
    with jax.numpy_dtype_promotion("standard"):  # flax adds types
        assert main(["benchmark", "kernels"]) == 0
    said = dict(line.split(": ") for line in capsys.readouterr().out.splitlines() if ": " in line)
    for dtype in ("float32", "bfloat16"):
        ours, flax = (sum(map(int, said[f"{name}, {dtype}"].split(" + "))) for name in ("fused:packed", "flax linen"))
        assert 2 * ours < flax
