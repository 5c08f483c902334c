PRAGMA application_id = 1869636459;
PRAGMA user_version = 4;
BEGIN TRANSACTION;
CREATE TABLE board (id INTEGER PRIMARY KEY CHECK (id = 1), identity TEXT NOT NULL, facts TEXT NOT NULL);
INSERT INTO "board" VALUES(1,'test board, x86_64, 2 cores, torch 2.13.0','{"machine": "x86_64", "model": "test board", "cpu_parts": ["cpu"], "cores": 2, "caches": [], "memory_bytes": 1000000000, "kernel": "6.1", "os": "Debian", "torch": "2.13.0", "opclock": "0.1.0", "commit": "abc", "clusters": [], "allowed": [], "emulator": "", "identity": "test board, x86_64, 2 cores, torch 2.13.0"}');
CREATE TABLE ceiling (
  name TEXT NOT NULL, bytes INTEGER NOT NULL, threads INTEGER NOT NULL,
  taken REAL NOT NULL,              -- seconds since 1970; 0 where an older schema did not keep it
  rate REAL NOT NULL,
  PRIMARY KEY (name, bytes, threads, taken)
) WITHOUT ROWID;
INSERT INTO "ceiling" VALUES('copy_bytes_per_s',4096,2,1700000000.0,10000000000.0);
CREATE TABLE condition (
  id INTEGER PRIMARY KEY,
  timing TEXT NOT NULL, device TEXT NOT NULL, threads INTEGER NOT NULL, working_set INTEGER NOT NULL,
  UNIQUE (threads, device, timing, working_set)
);
INSERT INTO "condition" VALUES(1,'in_model','cpu',2,20);
CREATE TABLE configuration (
  family TEXT NOT NULL, parameters TEXT NOT NULL,  -- JSON object: which point of a sweep an op call is
  op_call INTEGER NOT NULL REFERENCES op_call (id),
  PRIMARY KEY (family, parameters)
) WITHOUT ROWID;
INSERT INTO "configuration" VALUES('relu','{"size":1}',1);
CREATE TABLE control (
  pool INTEGER NOT NULL REFERENCES pool (id), block INTEGER NOT NULL, name TEXT NOT NULL, seconds REAL NOT NULL,
  PRIMARY KEY (pool, block, name)
) WITHOUT ROWID;
CREATE TABLE host (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, kinds TEXT NOT NULL);
INSERT INTO "host" VALUES(1,'h','["python"]');
CREATE TABLE member (
  pool INTEGER NOT NULL REFERENCES pool (id), position INTEGER NOT NULL,
  op_call INTEGER NOT NULL REFERENCES op_call (id),
  condition INTEGER NOT NULL REFERENCES condition (id),  -- the pool's: so that the index finds the newest pool at once
  calls_per_sample INTEGER NOT NULL, reason TEXT NOT NULL DEFAULT '',
  started REAL NOT NULL DEFAULT 0,  -- the pool's, for the same index
  PRIMARY KEY (pool, position)
) WITHOUT ROWID;
INSERT INTO "member" VALUES(1,0,1,1,1,'narrow',1700000060.0);
INSERT INTO "member" VALUES(1,1,2,1,2,'stagnant',1700000060.0);
INSERT INTO "member" VALUES(2,0,1,1,1,'narrow',1700000120.0);
INSERT INTO "member" VALUES(2,1,2,1,2,'stagnant',1700000120.0);
INSERT INTO "member" VALUES(3,0,1,1,1,'',1700000180.0);
INSERT INTO "member" VALUES(3,1,2,1,2,'',1700000180.0);
CREATE TABLE op_call (
  id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE,
  outputs TEXT, writes INTEGER      -- JSON: what it returns, and whether it writes memory; NULL where not kept
);
INSERT INTO "op_call" VALUES(1,'{"name":"aten::relu"}',NULL,NULL);
INSERT INTO "op_call" VALUES(2,'{"name":"aten::tanh"}',NULL,NULL);
CREATE TABLE pool (
  id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again after the pool was removed
  signature TEXT NOT NULL,          -- equal for the same op calls in the same order, timed alike: it may go on
  condition INTEGER NOT NULL REFERENCES condition (id),
  host INTEGER REFERENCES host (id),
  started REAL NOT NULL,            -- seconds since 1970: the newest pool is the one that started last
  context TEXT NOT NULL,            -- JSON: clock, seed, board's state before and after
  ended TEXT NOT NULL DEFAULT '',   -- settled, time_cap or contended; '' while it runs or where it was interrupted
  owner TEXT NOT NULL DEFAULT '',   -- the process that samples it, as ``owner.py`` names it; '' where unknown
  heartbeat REAL NOT NULL DEFAULT 0 -- seconds since 1970 when the owner last wrote to the pool
);
INSERT INTO "pool" VALUES(1,'s',1,1,1700000060.0,'{"seed": 0, "after": {}}','settled','',0.0);
INSERT INTO "pool" VALUES(2,'s',1,1,1700000120.0,'{"seed": 0, "after": {}}','settled','',0.0);
INSERT INTO "pool" VALUES(3,'s',1,1,1700000180.0,'{"seed": 0}','','',0.0);
CREATE TABLE round (
  pool INTEGER NOT NULL REFERENCES pool (id), number INTEGER NOT NULL,
  seconds BLOB NOT NULL,            -- little-endian float64, one for each member, of one call
  anchor_s REAL NOT NULL,           -- of the control workload
  host BLOB,                        -- little-endian float64, one for each kind of host
  block INTEGER NOT NULL DEFAULT 0, -- rounds of one block were taken in a row
  process INTEGER NOT NULL DEFAULT 0, -- by which of several processes, numbered from 1; 0: by the one that measured
  wall_s REAL, wait_s REAL, switches INTEGER, cpu_s REAL, steal_s REAL, faults REAL,  -- ``Readings``; NULL: not known
  PRIMARY KEY (pool, number)
) WITHOUT ROWID;
INSERT INTO "round" VALUES(1,0,X'FCA9F1D24D62603FFCA9F1D24D62703F',1.0e-05,X'8DEDB5A0F7C6B03E',0,0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "round" VALUES(1,1,X'658D7A884677603F658D7A884677703F',1.0e-05,X'8DEDB5A0F7C6B03E',0,0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "round" VALUES(1,2,X'CE70033E3F8C603FCE70033E3F8C703F',1.0e-05,X'8DEDB5A0F7C6B03E',0,0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "round" VALUES(1,3,X'37548CF337A1603F37548CF337A1703F',1.0e-05,X'8DEDB5A0F7C6B03E',0,0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "round" VALUES(1,4,X'A03715A930B6603FA03715A930B6703F',1.0e-05,X'8DEDB5A0F7C6B03E',0,0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "round" VALUES(1,5,X'091B9E5E29CB603F091B9E5E29CB703F',1.0e-05,X'8DEDB5A0F7C6B03E',0,0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "round" VALUES(2,0,X'FCA9F1D24D62503FFCA9F1D24D62603F',1.0e-05,X'8DEDB5A0F7C6B03E',0,0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "round" VALUES(2,1,X'CE70033E3F8C503FCE70033E3F8C603F',1.0e-05,X'8DEDB5A0F7C6B03E',0,0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "round" VALUES(2,2,X'A03715A930B6503FA03715A930B6603F',1.0e-05,X'8DEDB5A0F7C6B03E',0,0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "round" VALUES(2,3,X'72FE261422E0503F72FE261422E0603F',1.0e-05,X'8DEDB5A0F7C6B03E',0,0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "round" VALUES(2,4,X'44C5387F130A513F44C5387F130A613F',1.0e-05,X'8DEDB5A0F7C6B03E',0,0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "round" VALUES(2,5,X'158C4AEA0434513F158C4AEA0434613F',1.0e-05,X'8DEDB5A0F7C6B03E',0,0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "round" VALUES(3,0,X'FCA9F1D24D62703FFCA9F1D24D62803F',1.0e-05,X'8DEDB5A0F7C6B03E',0,0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "round" VALUES(3,1,X'B01BB62DCA6C703FB01BB62DCA6C803F',1.0e-05,X'8DEDB5A0F7C6B03E',0,0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "round" VALUES(3,2,X'658D7A884677703F658D7A884677803F',1.0e-05,X'8DEDB5A0F7C6B03E',0,0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "round" VALUES(3,3,X'19FF3EE3C281703F19FF3EE3C281803F',1.0e-05,X'8DEDB5A0F7C6B03E',0,0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "round" VALUES(3,4,X'CE70033E3F8C703FCE70033E3F8C803F',1.0e-05,X'8DEDB5A0F7C6B03E',0,0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "round" VALUES(3,5,X'82E2C798BB96703F82E2C798BB96803F',1.0e-05,X'8DEDB5A0F7C6B03E',0,0,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE INDEX configuration_of_op_call ON configuration (op_call);
CREATE INDEX member_of_op_call ON member (op_call, condition, started, pool);
CREATE INDEX pool_of_condition ON pool (condition);
CREATE INDEX pool_of_signature ON pool (signature);
CREATE INDEX pool_of_host ON pool (host, started);
CREATE INDEX pool_by_time ON pool (started);
CREATE INDEX pool_with_host ON pool (started) WHERE host IS NOT NULL;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('pool',3);
COMMIT;
