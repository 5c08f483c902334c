"""Upgrades of older profile schemas. The statements never change: they describe schemas of the past."""

from __future__ import annotations

# By schema version: the statements that upgrade a profile from the previous version.
MIGRATIONS = {
    2: """
ALTER TABLE op_call ADD COLUMN outputs TEXT;
ALTER TABLE op_call ADD COLUMN writes INTEGER;
CREATE TABLE condition (
  id INTEGER PRIMARY KEY,
  timing TEXT NOT NULL, device TEXT NOT NULL, threads INTEGER NOT NULL, working_set INTEGER NOT NULL,
  UNIQUE (threads, device, timing, working_set)
);
CREATE TABLE configuration (
  family TEXT NOT NULL, parameters TEXT NOT NULL,
  op_call INTEGER NOT NULL REFERENCES op_call (id),
  PRIMARY KEY (family, parameters)
) WITHOUT ROWID;
INSERT INTO condition (timing, device, threads, working_set)
  SELECT DISTINCT timing, device, threads, working_set FROM pool;
ALTER TABLE pool RENAME TO pool_1;
ALTER TABLE member RENAME TO member_1;
CREATE TABLE pool (
  id INTEGER PRIMARY KEY,
  signature TEXT NOT NULL,
  condition INTEGER NOT NULL REFERENCES condition (id),
  host INTEGER REFERENCES host (id),
  started REAL NOT NULL,
  context TEXT NOT NULL,
  ended TEXT NOT NULL DEFAULT ''
);
CREATE TABLE member (
  pool INTEGER NOT NULL REFERENCES pool (id), position INTEGER NOT NULL,
  op_call INTEGER NOT NULL REFERENCES op_call (id),
  condition INTEGER NOT NULL REFERENCES condition (id),
  calls_per_sample INTEGER NOT NULL, reason TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (pool, position)
) WITHOUT ROWID;
INSERT INTO pool SELECT pool_1.id, signature, condition.id, host, started, context, ended
  FROM pool_1 JOIN condition USING (timing, device, threads, working_set);
INSERT INTO member SELECT pool, position, op_call, pool.condition, calls_per_sample, reason
  FROM member_1 JOIN pool ON pool.id = member_1.pool;
ALTER TABLE round RENAME TO round_1;
CREATE TABLE round (
  pool INTEGER NOT NULL REFERENCES pool (id), number INTEGER NOT NULL,
  seconds BLOB NOT NULL, anchor_s REAL NOT NULL, host BLOB, PRIMARY KEY (pool, number)
) WITHOUT ROWID;
INSERT INTO round SELECT * FROM round_1;
DROP TABLE round_1;
DROP TABLE member_1;
DROP TABLE pool_1;
CREATE INDEX configuration_of_op_call ON configuration (op_call);
CREATE INDEX member_of_op_call ON member (op_call, condition, pool);
CREATE INDEX pool_of_condition ON pool (condition);
CREATE INDEX pool_of_signature ON pool (signature);
CREATE INDEX pool_of_host ON pool (host, id);
CREATE INDEX pool_with_host ON pool (id) WHERE host IS NOT NULL;
""",
    # Before schema 3, a ceiling was the highest rate ever seen, without a time: it becomes one sample of many.
    3: """
CREATE TABLE new_pool (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  signature TEXT NOT NULL,
  condition INTEGER NOT NULL REFERENCES condition (id),
  host INTEGER REFERENCES host (id),
  started REAL NOT NULL,
  context TEXT NOT NULL,
  ended TEXT NOT NULL DEFAULT '',
  owner TEXT NOT NULL DEFAULT '',
  heartbeat REAL NOT NULL DEFAULT 0
);
INSERT INTO new_pool SELECT id, signature, condition, host, started, context, ended, '', 0 FROM pool;
DROP TABLE pool;
ALTER TABLE new_pool RENAME TO pool;
ALTER TABLE member ADD COLUMN started REAL NOT NULL DEFAULT 0;
UPDATE member SET started = (SELECT started FROM pool WHERE pool.id = member.pool);
ALTER TABLE round ADD COLUMN block INTEGER NOT NULL DEFAULT 0;
ALTER TABLE round ADD COLUMN wall_s REAL;
ALTER TABLE round ADD COLUMN wait_s REAL;
ALTER TABLE round ADD COLUMN switches INTEGER;
ALTER TABLE round ADD COLUMN cpu_s REAL;
ALTER TABLE round ADD COLUMN steal_s REAL;
CREATE TABLE control (
  pool INTEGER NOT NULL REFERENCES pool (id), block INTEGER NOT NULL, name TEXT NOT NULL, seconds REAL NOT NULL,
  PRIMARY KEY (pool, block, name)
) WITHOUT ROWID;
ALTER TABLE ceiling RENAME TO ceiling_2;
CREATE TABLE ceiling (
  name TEXT NOT NULL, bytes INTEGER NOT NULL, threads INTEGER NOT NULL, taken REAL NOT NULL, rate REAL NOT NULL,
  PRIMARY KEY (name, bytes, threads, taken)
) WITHOUT ROWID;
INSERT INTO ceiling SELECT name, bytes, threads, 0, rate FROM ceiling_2;
DROP TABLE ceiling_2;
DROP INDEX member_of_op_call;
CREATE INDEX member_of_op_call ON member (op_call, condition, started, pool);
CREATE INDEX pool_of_condition ON pool (condition);
CREATE INDEX pool_of_signature ON pool (signature);
CREATE INDEX pool_of_host ON pool (host, started);
CREATE INDEX pool_by_time ON pool (started);
CREATE INDEX pool_with_host ON pool (started) WHERE host IS NOT NULL;
""",
    4: """
ALTER TABLE round ADD COLUMN process INTEGER NOT NULL DEFAULT 0;
ALTER TABLE round ADD COLUMN faults REAL;
""",
    5: """
CREATE TABLE predictor (
  device TEXT NOT NULL, threads INTEGER NOT NULL, kind TEXT NOT NULL,
  version TEXT NOT NULL, facts TEXT NOT NULL, forest BLOB NOT NULL,
  PRIMARY KEY (device, threads, kind)
);
""",
}
