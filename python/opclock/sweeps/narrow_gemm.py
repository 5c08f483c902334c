"""Products of language models' layers: with int8 weights, and of tokens that each go to one of several experts."""

from opclock.sweeps.families import IllegalError, aten, family, need, tensor, transposed, weight
from opclock.tracing.op_call import OpCall

# PyTorch's kernel for rows in bfloat16 reads so many numbers at once. With AVX-512 any other inner size ends the
# process or gives numbers from beyond the weights (torch 2.13).
BFLOAT16_STEP = 16


@family
def int8_gemm(m: int, n: int, k: int, operator: str = "weight_only", dtype: str = "float32") -> OpCall:
    """Products with int8 weights: weight_only (rows of dtype, one scale a column), or int_mm (int8 rows)."""
    if operator == "weight_only":
        need(
            dtype != "bfloat16" or k % BFLOAT16_STEP == 0,
            f"bfloat16 with int8 weights: k is no multiple of {BFLOAT16_STEP}",
        )
        rows = tensor(m, k, dtype=dtype)
        return aten("_weight_int8pack_mm", rows, weight(n, k, dtype="int8"), weight(n, dtype=dtype))
    if operator == "int_mm":
        return aten("_int_mm", tensor(m, k, dtype="int8"), transposed(weight(n, k, dtype="int8")))
    raise IllegalError(f"operator '{operator}': weight_only or int_mm")


@family
def grouped_gemm(tokens: int, n: int, k: int, experts: int = 8, dtype: str = "float32") -> OpCall:
    """Products of tokens x k with the k x n weights of several experts, as in a mixture of experts."""
    need(min(tokens, experts) > 0, "no elements")
    ends = tensor(experts, dtype="int32")
    return aten("_grouped_mm", tensor(tokens, k, dtype=dtype), transposed(weight(experts, n, k, dtype=dtype)), ends)
