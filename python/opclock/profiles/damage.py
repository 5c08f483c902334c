"""Finds damaged rows. It runs only after reading has failed, so that undamaged profiles cost nothing."""

from __future__ import annotations

import json
import sqlite3

from opclock.errors import OpclockError
from opclock.tracing.op_call import OpCall

TYPES = {"INTEGER": "integer", "REAL": "real", "TEXT": "text", "BLOB": "blob"}  # of columns, and of their values
FRACTIONS = ("round.switches",)  # INTEGER columns that hold fractions, too: rounds that share a reading share its count
# What Python raises where a value is not what a query expects.
SYMPTOMS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
JSON_TYPES = {("board", "facts"): "object", ("pool", "context"): "object", ("host", "kinds"): "array",
              ("configuration", "parameters"): "object", ("predictor", "facts"): "object"}  # fmt: skip
RULES = {
    "board": "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM board)",
    "board.facts": "SELECT 1 FROM board WHERE json_extract(facts, '$.identity') IS NULL",
    "round.seconds": "SELECT 1 FROM round r "
                     "WHERE length(seconds) != 8 * (SELECT count(*) FROM member WHERE pool = r.pool)",
    "round.host": "SELECT 1 FROM round r JOIN pool p ON p.id = r.pool JOIN host h ON h.id = p.host "
                  "WHERE r.host IS NULL OR length(r.host) != 8 * json_array_length(h.kinds)",
    "round.block": "SELECT 1 FROM round WHERE block < 0",
    "control.block": "SELECT 1 FROM control WHERE block < 0",
}  # fmt: skip


def damaged_place(connection: sqlite3.Connection) -> str | None:
    """Where a profile is damaged, as TABLE or TABLE.COLUMN; None where all values are of their kinds."""
    for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        for _, column, kind, needed, *_ in connection.execute(f"PRAGMA table_info({table})").fetchall():
            if kind in TYPES and _exists(connection, _wrong_type(table, column, kind, bool(needed))):
                return f"{table}.{column}"
    for (table, column), kind in JSON_TYPES.items():
        if _exists(
            connection, f"SELECT 1 FROM {table} WHERE NOT json_valid({column}) OR json_type({column}) != '{kind}'"
        ):
            return f"{table}.{column}"
    broken = connection.execute("PRAGMA foreign_key_check").fetchone()
    if broken is not None:
        return str(broken[0])
    for place, query in RULES.items():
        if _exists(connection, query):
            return place
    return _bad_op_call(connection)


def _wrong_type(table: str, column: str, kind: str, needed: bool) -> str:
    types = f"'{TYPES[kind]}'" + (", 'real'" if f"{table}.{column}" in FRACTIONS else "")
    allowed = f"typeof({column}) IN ({types})" + ("" if needed else f" OR {column} IS NULL")
    return f"SELECT 1 FROM {table} WHERE NOT ({allowed})"


def _exists(connection: sqlite3.Connection, query: str) -> bool:
    return connection.execute(f"{query} LIMIT 1").fetchone() is not None


def _bad_op_call(connection: sqlite3.Connection) -> str | None:
    for key, outputs in connection.execute("SELECT key, outputs FROM op_call"):
        try:
            OpCall.from_json(json.loads(key))
        except (*SYMPTOMS, OpclockError):
            return "op_call.key"
        try:
            json.loads(outputs or "[]")
        except ValueError:
            return "op_call.outputs"
    return None
