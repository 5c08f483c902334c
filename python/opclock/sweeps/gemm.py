"""Matrix products."""

from dataclasses import replace

from opclock.sweeps.families import IllegalError, aten, family, need, tensor, transposed, weight
from opclock.tracing.op_call import OpCall, TensorSpec


def _operand(transpose: bool, *shape: int, dtype: str) -> TensorSpec:
    if not transpose:
        return tensor(*shape, dtype=dtype)
    *batch, rows, columns = shape
    return transposed(tensor(*batch, columns, rows, dtype=dtype))


@family
def gemm(
    m: int,
    n: int,
    k: int,
    operator: str = "linear",
    batch: int = 1,
    bias: bool = True,
    transpose: str = "",
    dtype: str = "float32",
) -> OpCall:
    """Products of m x k and k x n: linear, mm, addmm, bmm or matmul; transpose "a", "b" or "ab": stored transposed."""
    need(set(transpose) <= {"a", "b"}, f"transpose '{transpose}': a, b, ab or nothing")
    need(batch == 1 or operator in ("bmm", "matmul", "linear"), f"{operator} has no batch")
    if operator == "linear":
        need(not transpose, "linear has its weight transposed already")
        shape = (m, k) if batch == 1 else (batch, m, k)
        addend = weight(n, dtype=dtype) if bias else None
        return aten("linear", tensor(*shape, dtype=dtype), weight(n, k, dtype=dtype), addend)
    batches = (batch,) if operator in ("bmm", "matmul") else ()
    left = _operand("a" in transpose, *batches, m, k, dtype=dtype)
    right = _operand("b" in transpose, *batches, k, n, dtype=dtype)
    if operator in ("mm", "addmm"):  # as in layers; bmm and matmul multiply two activations
        right = replace(right, requires_grad="float" in dtype)
    if operator == "addmm":
        return aten("addmm", weight(n, dtype=dtype), left, right)
    if operator not in ("mm", "bmm", "matmul"):
        raise IllegalError(f"operator '{operator}': linear, mm, addmm, bmm or matmul")
    return aten(operator, left, right)


@family
def attention(
    heads: int, queries: int, width: int, keys: int = 0, causal: bool = False, batch: int = 1, dtype: str = "float32"
) -> OpCall:
    """Scaled dot product attention with models' layout, heads between positions; keys 0: as many as queries."""

    def operand(length: int) -> TensorSpec:
        step = heads * width
        return TensorSpec((batch, heads, length, width), (length * step, width, step, 1), dtype)

    need(min(heads, queries, width, batch) > 0, "no elements")
    other = operand(keys or queries)
    return aten(
        "scaled_dot_product_attention", operand(queries), other, other, None, 0.0, causal, scale=float(width) ** -0.5
    )


@family
def decode_attention(
    heads: int, keys: int, width: int, kv_heads: int = 0, queries: int = 1, masked: bool = False, batch: int = 1,
    dtype: str = "float32",
) -> OpCall:  # fmt: skip
    """Attention of one token to a cache; kv_heads 0: as many as heads; masked: a cache with room for later tokens."""
    need(min(heads, keys, width, queries, batch) > 0, "no elements")
    need(heads % (kv_heads or heads) == 0, f"{heads} heads in groups of {kv_heads}")
    need(not (masked and kv_heads), "with a mask, models take the heads of a group as queries")
    cached = tensor(batch, kv_heads or heads, keys, width, dtype=dtype)
    mask = (tensor(batch, 1, 1, keys, dtype="bool"),) if masked else ()
    grouped = {"enable_gqa": True} if kv_heads not in (0, heads) else {}
    query = tensor(batch, heads, queries, width, dtype=dtype)
    return aten("scaled_dot_product_attention", query, cached, cached, *mask, scale=float(width) ** -0.5, **grouped)
