"""Copies numbers without computing."""

from dataclasses import replace

from opclock.sweeps.families import IllegalError, aten, contiguous, family, need, tensor, transposed
from opclock.tracing.op_call import HOST, NamedConstant, OpCall, TensorSpec


@family
def copy(
    rows: int, columns: int, kind: str = "clone", batch: int = 1, dtype: str = "float32", pinned: bool = False
) -> OpCall:  # fmt: skip
    """Copies: clone, transpose, heads, shuffle, cast, cast_turned, channels_last, memcpy, to_device and from_device.

    heads reorders attention's heads, shuffle the channels; cast_turned converts a transposed matrix, as of int8 weights
    before a product. pinned: the host's memory in a device copy is page-locked.
    """
    plain = tensor(batch, rows, columns, dtype=dtype)
    if kind in ("to_device", "from_device"):
        host = replace(plain, device=HOST, pinned=pinned)
        return aten("copy_", *((plain, host) if kind == "to_device" else (host, plain)))
    need(not pinned, f"pinned memory is the host's: kind '{kind}' has none")
    if kind in ("heads", "shuffle"):
        return _regrouped(batch, rows, columns, kind, dtype)
    if kind == "memcpy":
        return OpCall("opclock::memcpy", "", (plain, replace(plain, requires_grad=False)))
    return _laid_out(plain, kind)


def _laid_out(plain: TensorSpec, kind: str) -> OpCall:
    """A copy to new memory, in the same or another layout."""
    batch, rows, columns = plain.shape
    if kind == "clone":
        return aten("clone", plain)
    if kind == "transpose":
        return aten("clone", transposed(plain), memory_format=NamedConstant("memory_format", "contiguous_format"))
    if kind in ("cast", "cast_turned"):
        given = transposed(plain) if kind == "cast_turned" else plain
        return aten("to.dtype", given, NamedConstant("dtype", "bfloat16" if plain.dtype == "float32" else "float32"))
    if kind == "channels_last":
        image = tensor(batch, rows, columns, columns, dtype=plain.dtype)
        return aten("contiguous", image, memory_format=NamedConstant("memory_format", "channels_last"))
    raise IllegalError(f"kind '{kind}': clone, transpose, heads, shuffle, cast, cast_turned, channels_last, memcpy, "
                       "to_device or from_device")  # fmt: skip


def _regrouped(batch: int, rows: int, columns: int, kind: str, dtype: str) -> OpCall:
    """A reshape that must copy: attention's heads back to rows, or a shuffle of the channels of two groups."""
    if kind == "heads":
        need(columns % 4 == 0, f"{columns} columns in 4 heads")
        straight = contiguous((batch, 4, rows, columns // 4))
        spec = TensorSpec((batch, rows, 4, columns // 4), (straight[0], straight[2], straight[1], 1), dtype)
        return aten("reshape", spec, (batch, rows, columns))
    need(rows % 2 == 0, f"{rows} channels in 2 groups")
    straight = contiguous((batch, 2, rows // 2, columns))
    spec = TensorSpec((batch, rows // 2, 2, columns), (straight[0], straight[2], straight[1], 1), dtype)
    return aten("reshape", spec, (batch, rows, columns))
