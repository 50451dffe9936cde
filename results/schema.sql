-- The results store, schema version 3. Documented table by table in results/README.md.
-- Applied in one transaction to an empty file; later versions add a step in migrations.cpp and
-- change this file to what the steps lead to. Hashes are hexadecimal text, times are UTC in ISO
-- 8601, seeds are unsigned 64-bit numbers stored with the same bits.

CREATE TABLE environments (
  id            INTEGER PRIMARY KEY,
  git_revision  TEXT NOT NULL,
  compiler      TEXT NOT NULL,
  libtorch      TEXT NOT NULL,
  device        TEXT NOT NULL,
  cpu           TEXT NOT NULL,
  host_os       TEXT NOT NULL,
  command_line  TEXT NOT NULL,
  threads       INTEGER NOT NULL CHECK (threads >= 0),
  UNIQUE (git_revision, compiler, libtorch, device, cpu, host_os, command_line, threads)
) STRICT;

CREATE TABLE checkpoints (
  hash    TEXT PRIMARY KEY CHECK (hash <> ''),
  name    TEXT NOT NULL,
  path    TEXT NOT NULL,
  role    TEXT NOT NULL CHECK (role IN ('base', 'expert', 'multitask')),
  origin  TEXT CHECK (origin IS NULL OR json_valid(origin))
) STRICT;

-- A task whose definition or data changes gets a new hash and a new row; `current` marks the row
-- that new scores refer to.
CREATE TABLE tasks (
  id                INTEGER PRIMARY KEY,
  name              TEXT NOT NULL CHECK (name <> ''),
  hash              TEXT NOT NULL CHECK (hash <> ''),
  definition        TEXT NOT NULL CHECK (json_valid(definition)),
  validation_items  INTEGER NOT NULL CHECK (validation_items >= 0),
  test_items        INTEGER NOT NULL CHECK (test_items >= 0),
  current           INTEGER NOT NULL CHECK (current IN (0, 1)),
  UNIQUE (name, hash)
) STRICT;
CREATE UNIQUE INDEX tasks_current ON tasks (name) WHERE current = 1;

CREATE TABLE methods (
  name        TEXT NOT NULL CHECK (name <> ''),
  version     INTEGER NOT NULL,
  paper       TEXT NOT NULL,
  summary     TEXT NOT NULL,
  needs       TEXT NOT NULL CHECK (json_type(needs) = 'object'),
  parameters  TEXT NOT NULL CHECK (json_type(parameters) = 'array'),
  PRIMARY KEY (name, version)
) STRICT;

CREATE TABLE runs (
  id              INTEGER PRIMARY KEY,
  key             TEXT NOT NULL UNIQUE CHECK (key <> ''),
  kind            TEXT NOT NULL
                  CHECK (kind IN ('merge', 'base', 'expert', 'multitask', 'ensemble', 'oracle')),
  split           TEXT NOT NULL CHECK (split IN ('validation', 'test')),
  method          TEXT,
  method_version  INTEGER,
  preset          TEXT NOT NULL,
  parameters      TEXT NOT NULL CHECK (json_type(parameters) = 'object'),
  seed            INTEGER NOT NULL,
  base            TEXT REFERENCES checkpoints (hash),
  status          TEXT NOT NULL CHECK (status IN ('ok', 'skipped', 'failed')),
  reason          TEXT NOT NULL,
  diagnostics     TEXT NOT NULL CHECK (json_valid(diagnostics)),
  environment     INTEGER NOT NULL REFERENCES environments (id),
  created_at      TEXT NOT NULL,
  calibration     TEXT CHECK (calibration IS NULL OR json_type(calibration) = 'object'),
  FOREIGN KEY (method, method_version) REFERENCES methods (name, version),
  CHECK ((kind = 'merge') = (method IS NOT NULL)),
  CHECK ((method IS NULL) = (method_version IS NULL)),
  CHECK (status = 'ok' OR reason <> '')
) STRICT;
CREATE INDEX runs_method ON runs (method, method_version);

CREATE TABLE run_experts (
  run         INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  position    INTEGER NOT NULL CHECK (position >= 0),
  checkpoint  TEXT NOT NULL REFERENCES checkpoints (hash),
  PRIMARY KEY (run, position)
) STRICT;

CREATE TABLE scores (
  id          INTEGER PRIMARY KEY,
  run         INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  task        INTEGER NOT NULL REFERENCES tasks (id),
  split       TEXT NOT NULL CHECK (split IN ('validation', 'test')),
  metric      TEXT NOT NULL CHECK (metric <> ''),
  is_primary  INTEGER NOT NULL CHECK (is_primary IN (0, 1)),
  value       REAL NOT NULL CHECK (abs(value) < 9e999),
  n           INTEGER NOT NULL CHECK (n >= 0),
  outcomes    TEXT NOT NULL CHECK (json_type(outcomes) = 'array'),
  UNIQUE (run, task, split, metric),
  CHECK (json_array_length(outcomes) = n),
  CHECK (metric NOT IN ('acc', 'acc_own') OR value BETWEEN 0 AND 1)
) STRICT;
CREATE UNIQUE INDEX scores_primary ON scores (run, task, split) WHERE is_primary = 1;

-- A value that could not be measured is NULL, never zero. peak_: of the whole process; own_peak_:
-- beyond what the process held when the phase began, NULL in rows of version 1.
CREATE TABLE costs (
  run                    INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  phase                  TEXT NOT NULL CHECK (phase <> ''),
  wall_s                 REAL CHECK (wall_s >= 0),
  cpu_s                  REAL CHECK (cpu_s >= 0),
  device_s               REAL CHECK (device_s >= 0),
  peak_rss_bytes         INTEGER CHECK (peak_rss_bytes >= 0),
  peak_device_bytes      INTEGER CHECK (peak_device_bytes >= 0),
  flops                  INTEGER CHECK (flops >= 0),
  bytes_read             INTEGER CHECK (bytes_read >= 0),
  bytes_written          INTEGER CHECK (bytes_written >= 0),
  examples               INTEGER CHECK (examples >= 0),
  gradient_steps         INTEGER CHECK (gradient_steps >= 0),
  own_peak_rss_bytes     INTEGER CHECK (own_peak_rss_bytes >= 0),
  own_peak_device_bytes  INTEGER CHECK (own_peak_device_bytes >= 0),
  PRIMARY KEY (run, phase)
) STRICT;

-- A statistic of an expert on its own data: computed once, used by any number of runs. The cost is
-- that of its computation, with the columns of `costs`.
CREATE TABLE statistics (
  id                     INTEGER PRIMARY KEY,
  key                    TEXT NOT NULL UNIQUE CHECK (key <> ''),
  name                   TEXT NOT NULL CHECK (name <> ''),
  version                INTEGER NOT NULL,
  parameters             TEXT NOT NULL CHECK (json_type(parameters) = 'object'),
  checkpoint             TEXT NOT NULL REFERENCES checkpoints (hash),
  data                   TEXT NOT NULL CHECK (json_type(data) = 'object'),
  bytes                  INTEGER NOT NULL CHECK (bytes >= 0),
  created_at             TEXT NOT NULL,
  wall_s                 REAL CHECK (wall_s >= 0),
  cpu_s                  REAL CHECK (cpu_s >= 0),
  device_s               REAL CHECK (device_s >= 0),
  peak_rss_bytes         INTEGER CHECK (peak_rss_bytes >= 0),
  peak_device_bytes      INTEGER CHECK (peak_device_bytes >= 0),
  own_peak_rss_bytes     INTEGER CHECK (own_peak_rss_bytes >= 0),
  own_peak_device_bytes  INTEGER CHECK (own_peak_device_bytes >= 0),
  flops                  INTEGER CHECK (flops >= 0),
  bytes_read             INTEGER CHECK (bytes_read >= 0),
  bytes_written          INTEGER CHECK (bytes_written >= 0),
  examples               INTEGER CHECK (examples >= 0),
  gradient_steps         INTEGER CHECK (gradient_steps >= 0)
) STRICT;

CREATE TABLE run_statistics (
  run        INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  statistic  INTEGER NOT NULL REFERENCES statistics (id),
  PRIMARY KEY (run, statistic)
) STRICT;
CREATE INDEX run_statistics_statistic ON run_statistics (statistic);

-- `execution` numbers the executions of all sweeps; the greatest is the most recent one.
CREATE TABLE sweeps (
  id           INTEGER PRIMARY KEY,
  name         TEXT NOT NULL CHECK (name <> ''),
  hash         TEXT NOT NULL UNIQUE CHECK (hash <> ''),
  config       TEXT NOT NULL CHECK (json_valid(config)),
  execution    INTEGER NOT NULL UNIQUE,
  started_at   TEXT NOT NULL,
  finished_at  TEXT
) STRICT;

CREATE TABLE expert_sets (
  id        INTEGER PRIMARY KEY,
  sweep     INTEGER NOT NULL REFERENCES sweeps (id) ON DELETE CASCADE,
  name      TEXT NOT NULL CHECK (name <> ''),
  position  INTEGER NOT NULL,
  UNIQUE (sweep, name)
) STRICT;

CREATE TABLE set_experts (
  expert_set  INTEGER NOT NULL REFERENCES expert_sets (id) ON DELETE CASCADE,
  position    INTEGER NOT NULL CHECK (position >= 0),
  checkpoint  TEXT NOT NULL REFERENCES checkpoints (hash),
  PRIMARY KEY (expert_set, position)
) STRICT;

CREATE TABLE set_tasks (
  expert_set  INTEGER NOT NULL REFERENCES expert_sets (id) ON DELETE CASCADE,
  position    INTEGER NOT NULL CHECK (position >= 0),
  task        INTEGER NOT NULL REFERENCES tasks (id),
  held_in     INTEGER NOT NULL CHECK (held_in IN (0, 1)),
  own_expert  TEXT REFERENCES checkpoints (hash),
  PRIMARY KEY (expert_set, position),
  UNIQUE (expert_set, task),
  CHECK (held_in = (own_expert IS NOT NULL))
) STRICT;

CREATE TABLE placements (
  id          INTEGER PRIMARY KEY,
  sweep       INTEGER NOT NULL REFERENCES sweeps (id) ON DELETE CASCADE,
  expert_set  INTEGER NOT NULL REFERENCES expert_sets (id) ON DELETE CASCADE,
  row_name    TEXT NOT NULL CHECK (row_name <> ''),
  variant     TEXT NOT NULL CHECK (variant IN ('reference', 'default', 'tuned', 'grid')),
  run         INTEGER NOT NULL REFERENCES runs (id),
  UNIQUE (sweep, expert_set, row_name, variant, run)
) STRICT;
CREATE INDEX placements_run ON placements (run);

-- `seed`: of the runs; `search_seed`: of what the algorithm draws.
CREATE TABLE searches (
  id           INTEGER PRIMARY KEY,
  sweep        INTEGER NOT NULL REFERENCES sweeps (id) ON DELETE CASCADE,
  expert_set   INTEGER NOT NULL REFERENCES expert_sets (id) ON DELETE CASCADE,
  row_name     TEXT NOT NULL CHECK (row_name <> ''),
  seed         INTEGER NOT NULL,
  algorithm    TEXT NOT NULL CHECK (algorithm <> ''),
  budget       INTEGER NOT NULL CHECK (budget > 0),
  search_seed  INTEGER NOT NULL,
  UNIQUE (sweep, expert_set, row_name, seed)
) STRICT;

CREATE TABLE search_steps (
  search  INTEGER NOT NULL REFERENCES searches (id) ON DELETE CASCADE,
  step    INTEGER NOT NULL CHECK (step > 0),
  run     INTEGER REFERENCES runs (id),
  merit   REAL CHECK (abs(merit) < 9e999),
  PRIMARY KEY (search, step)
) STRICT;
CREATE INDEX search_steps_run ON search_steps (run);
