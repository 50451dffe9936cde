-- A store that Assay wrote with schema version 2 (revision 6f3bae6), as SQL: one set of the
-- quickstart with a few rows. Outcomes, paths and task definitions are shortened.
PRAGMA application_id = 1095975257;
PRAGMA user_version = 2;
BEGIN TRANSACTION;
CREATE TABLE checkpoints (
  hash    TEXT PRIMARY KEY CHECK (hash <> ''),
  name    TEXT NOT NULL,
  path    TEXT NOT NULL,
  role    TEXT NOT NULL CHECK (role IN ('base', 'expert', 'multitask')),
  origin  TEXT CHECK (origin IS NULL OR json_valid(origin))
) STRICT;
INSERT INTO "checkpoints" VALUES('24964180394c7ee6fc3933a1f5b5e86a','base-weak','/models/base-weak','base','{"trained_on":[]}');
INSERT INTO "checkpoints" VALUES('8e7dc0fd99b9d85f4c54d09639340cc6','expert-font-6789','/models/expert-font-6789','expert','{"trained_on":["digits/font-6789"]}');
INSERT INTO "checkpoints" VALUES('328922cb8c86db69c9a294060f7292a7','expert-mnist-012','/models/expert-mnist-012','expert','{"trained_on":["digits/mnist-012"]}');
INSERT INTO "checkpoints" VALUES('c3e08e5344c1dc80699ee521c81741c5','expert-optdigits-345','/models/expert-optdigits-345','expert','{"trained_on":["digits/optdigits-345"]}');
INSERT INTO "checkpoints" VALUES('97dcd4766ae86127a6d61f26c6607a8b','multitask-0','/models/multitask-0','multitask','{"trained_on":["digits/mnist-012","digits/optdigits-345","digits/font-6789"]}');
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
INSERT INTO "costs" VALUES(2,'evaluation',0.576759977,0.447045484,NULL,256053248,NULL,1264467888,0,0,1836,0,48672768,NULL);
INSERT INTO "costs" VALUES(3,'evaluation',0.195773295,0.227636065,NULL,256266240,NULL,1264467888,0,0,1836,0,0,NULL);
INSERT INTO "costs" VALUES(4,'evaluation',0.110531712,1.41055123999999976192e-01,NULL,256479232,NULL,1264467888,0,0,1836,0,0,NULL);
INSERT INTO "costs" VALUES(5,'evaluation',0.088799832,1.19588798999999745831e-01,NULL,256692224,NULL,1264467888,0,0,1836,0,0,NULL);
INSERT INTO "costs" VALUES(6,'evaluation',0.249401472,2.7426582299999990866e-01,NULL,256905216,NULL,1264467888,0,0,1836,0,0,NULL);
INSERT INTO "costs" VALUES(7,'evaluation',0.374107466,4.62533777999999617946e-01,NULL,257298432,NULL,3793513824,0,0,5508,0,393216,NULL);
INSERT INTO "costs" VALUES(8,'evaluation',0.086702954,1.20174619999999787722e-01,NULL,257605632,NULL,1264467888,0,0,1836,0,8192,NULL);
INSERT INTO "costs" VALUES(8,'merge',3.971e-05,4.07110000000265870312e-05,NULL,257597440,NULL,158364,633456,0,0,0,0,NULL);
INSERT INTO "costs" VALUES(8,'statistics',6.0e-08,1.04099999997941949914e-06,NULL,257597440,NULL,0,0,0,0,0,0,NULL);
INSERT INTO "costs" VALUES(9,'evaluation',0.185401687,2.12779932999999754628e-01,NULL,258064384,NULL,1264467888,0,0,1836,0,0,NULL);
INSERT INTO "costs" VALUES(9,'merge',7.1326e-05,7.23380000002826761829e-05,NULL,258064384,NULL,527880,844608,0,0,0,0,NULL);
INSERT INTO "costs" VALUES(9,'statistics',0.000390663,3.9134400000007119047e-04,NULL,258064384,NULL,580668,2533824,0,0,0,0,NULL);
INSERT INTO "costs" VALUES(10,'evaluation',0.045606086,0.0684804360000002,NULL,258138112,NULL,431131208,0,0,626,0,73728,NULL);
INSERT INTO "costs" VALUES(11,'evaluation',0.041138449,4.88261240000000817929e-02,NULL,258138112,NULL,431131208,0,0,626,0,0,NULL);
INSERT INTO "costs" VALUES(12,'evaluation',0.127349259,1.31118268999999898483e-01,NULL,258138112,NULL,431131208,0,0,626,0,0,NULL);
INSERT INTO "costs" VALUES(13,'evaluation',0.038341375,4.45362830000002318797e-02,NULL,258146304,NULL,431131208,0,0,626,0,0,NULL);
INSERT INTO "costs" VALUES(13,'merge',0.000512394,5.13315000000069687757e-04,NULL,258146304,NULL,105576,844608,0,0,0,8192,NULL);
INSERT INTO "costs" VALUES(13,'shared',5.64246999999999925695e-04,0.00057817200000021,NULL,258064384,NULL,1002972,2533824,0,0,0,393216,NULL);
INSERT INTO "costs" VALUES(13,'statistics',6.5307e-05,6.69800000001608e-05,NULL,258138112,NULL,0,0,0,0,0,0,NULL);
INSERT INTO "costs" VALUES(14,'evaluation',0.036212338,4.79555870000001327468e-02,NULL,258154496,NULL,431131208,0,0,626,0,0,NULL);
INSERT INTO "costs" VALUES(14,'merge',0.000811811,8.13272999999892221012e-04,NULL,258154496,NULL,105576,844608,0,0,0,8192,NULL);
INSERT INTO "costs" VALUES(14,'shared',5.64246999999999925695e-04,0.00057817200000021,NULL,258064384,NULL,1002972,2533824,0,0,0,393216,NULL);
INSERT INTO "costs" VALUES(14,'statistics',5.6865e-05,5.90480000002280291937e-05,NULL,258146304,NULL,0,0,0,0,0,0,NULL);
INSERT INTO "costs" VALUES(15,'evaluation',0.197717035,2.15074257000000379491e-01,NULL,259821568,NULL,1264467888,0,0,1836,0,0,NULL);
INSERT INTO "costs" VALUES(15,'merge',0.00069007,6.90700999999904752257e-04,NULL,259821568,NULL,527880,844608,0,0,0,4096,NULL);
INSERT INTO "costs" VALUES(15,'statistics',0.001006432,1.00710199999998195607e-03,NULL,259817472,NULL,580668,2533824,0,0,0,4096,NULL);
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
INSERT INTO "environments" VALUES(1,'6f3bae6','GCC 12.2.0','2.11.0','cpu','a processor','Debian GNU/Linux 12 (bookworm)','assay run quickstart.json',2);
CREATE TABLE expert_sets (
  id        INTEGER PRIMARY KEY,
  sweep     INTEGER NOT NULL REFERENCES sweeps (id) ON DELETE CASCADE,
  name      TEXT NOT NULL CHECK (name <> ''),
  position  INTEGER NOT NULL,
  UNIQUE (sweep, name)
) STRICT;
INSERT INTO "expert_sets" VALUES(1,1,'diagonal',0);
CREATE TABLE methods (
  name        TEXT NOT NULL CHECK (name <> ''),
  version     INTEGER NOT NULL,
  paper       TEXT NOT NULL,
  summary     TEXT NOT NULL,
  needs       TEXT NOT NULL CHECK (json_type(needs) = 'object'),
  parameters  TEXT NOT NULL CHECK (json_type(parameters) = 'array'),
  PRIMARY KEY (name, version)
) STRICT;
INSERT INTO "methods" VALUES('average',1,'arXiv:2203.05482 §2','uniform mean of the experts'' weights','{"base":false,"calibration_inputs":false,"calibration_labels":false,"gradients":false,"max_experts":null,"min_experts":1,"output":"same architecture","randomized":false,"same_initialization":true,"same_shapes":true,"tokenizer":false}','[]');
INSERT INTO "methods" VALUES('slerp',1,'https://github.com/arcee-ai/mergekit (slerp)','spherical interpolation between two experts, tensor by tensor','{"base":false,"calibration_inputs":false,"calibration_labels":false,"gradients":false,"max_experts":2,"min_experts":2,"output":"same architecture","randomized":false,"same_initialization":true,"same_shapes":true,"tokenizer":false}','[]');
INSERT INTO "methods" VALUES('ties',1,'arXiv:2306.01708 §3','trim, elect a sign per entry, mean of those that agree','{"base":true,"calibration_inputs":false,"calibration_labels":false,"gradients":false,"max_experts":null,"min_experts":1,"output":"same architecture","randomized":false,"same_initialization":true,"same_shapes":true,"tokenizer":false}','[{"default":0.2,"help":"share of each task vector that is kept","name":"density","range":[0.0,1.0],"sweep":[0.1,0.2,0.3],"type":"number"},{"default":1.0,"help":"multiplier of the merged task vector","name":"scale","range":[0.0,5.0],"sweep":[0.8,1.0,1.7,3.0],"type":"number"},{"default":[],"help":"a density per expert; empty: density for all of them","name":"densities","range":[0.0,1.0],"type":"list of numbers"},{"choices":["model","tensor"],"default":"model","help":"whether the share to keep is taken of each whole model or of each tensor","name":"trim.scope","type":"choice"},{"choices":["kth_ge","exact_count"],"default":"kth_ge","help":"keep what reaches the k-th smallest magnitude, ties included, where k is n - int(density n) (the paper''s code), or exactly max(1, int(density n)) entries","name":"trim.rule","type":"choice"},{"choices":["index","introsort"],"default":"index","help":"which of the entries of equal magnitude an exact count keeps: the first, or those that mergekit''s sort puts first","name":"trim.ties","type":"choice"},{"choices":["mass","count"],"default":"mass","help":"the sign of an entry is that of the sum, or of the majority","name":"elect.rule","type":"choice"},{"choices":["global_majority","plus_one","zero"],"default":"global_majority","help":"the sign where the vote is exactly zero: that of most entries of the model, plus, or none","name":"elect.tie","type":"choice"},{"choices":["mean_agree","sum_agree","max_agree","weighted_mean_agree"],"default":"mean_agree","help":"what becomes of the nonzero entries that have the elected sign","name":"reduce","type":"choice"},{"default":[],"help":"a weight per expert, in the order of the merge; empty: all equal","name":"weights","range":[-10.0,10.0],"type":"list of numbers"},{"choices":["float32","storage"],"default":"float32","help":"arithmetic in float32, rounded once at the end, or in the dtype of the tensors, rounded after every step (mergekit)","name":"compute","type":"choice"}]');
CREATE TABLE placements (
  id          INTEGER PRIMARY KEY,
  sweep       INTEGER NOT NULL REFERENCES sweeps (id) ON DELETE CASCADE,
  expert_set  INTEGER NOT NULL REFERENCES expert_sets (id) ON DELETE CASCADE,
  row_name    TEXT NOT NULL CHECK (row_name <> ''),
  variant     TEXT NOT NULL CHECK (variant IN ('reference', 'default', 'tuned', 'grid')),
  run         INTEGER NOT NULL REFERENCES runs (id),
  UNIQUE (sweep, expert_set, row_name, variant, run)
) STRICT;
INSERT INTO "placements" VALUES(1,1,1,'slerp','default',1);
INSERT INTO "placements" VALUES(2,1,1,'base','reference',2);
INSERT INTO "placements" VALUES(3,1,1,'expert-mnist-012','reference',3);
INSERT INTO "placements" VALUES(4,1,1,'expert-optdigits-345','reference',4);
INSERT INTO "placements" VALUES(5,1,1,'expert-font-6789','reference',5);
INSERT INTO "placements" VALUES(6,1,1,'multitask','reference',6);
INSERT INTO "placements" VALUES(7,1,1,'ensemble','reference',7);
INSERT INTO "placements" VALUES(8,1,1,'average','default',8);
INSERT INTO "placements" VALUES(9,1,1,'ties','default',9);
INSERT INTO "placements" VALUES(10,1,1,'best expert','grid',10);
INSERT INTO "placements" VALUES(11,1,1,'best expert','grid',11);
INSERT INTO "placements" VALUES(12,1,1,'best expert','grid',12);
INSERT INTO "placements" VALUES(13,1,1,'ties','grid',13);
INSERT INTO "placements" VALUES(14,1,1,'ties','grid',14);
INSERT INTO "placements" VALUES(15,1,1,'best expert','reference',5);
INSERT INTO "placements" VALUES(16,1,1,'ties','tuned',15);
CREATE TABLE run_experts (
  run         INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  position    INTEGER NOT NULL CHECK (position >= 0),
  checkpoint  TEXT NOT NULL REFERENCES checkpoints (hash),
  PRIMARY KEY (run, position)
) STRICT;
INSERT INTO "run_experts" VALUES(1,0,'328922cb8c86db69c9a294060f7292a7');
INSERT INTO "run_experts" VALUES(1,1,'c3e08e5344c1dc80699ee521c81741c5');
INSERT INTO "run_experts" VALUES(1,2,'8e7dc0fd99b9d85f4c54d09639340cc6');
INSERT INTO "run_experts" VALUES(2,0,'24964180394c7ee6fc3933a1f5b5e86a');
INSERT INTO "run_experts" VALUES(3,0,'328922cb8c86db69c9a294060f7292a7');
INSERT INTO "run_experts" VALUES(4,0,'c3e08e5344c1dc80699ee521c81741c5');
INSERT INTO "run_experts" VALUES(5,0,'8e7dc0fd99b9d85f4c54d09639340cc6');
INSERT INTO "run_experts" VALUES(6,0,'97dcd4766ae86127a6d61f26c6607a8b');
INSERT INTO "run_experts" VALUES(7,0,'328922cb8c86db69c9a294060f7292a7');
INSERT INTO "run_experts" VALUES(7,1,'c3e08e5344c1dc80699ee521c81741c5');
INSERT INTO "run_experts" VALUES(7,2,'8e7dc0fd99b9d85f4c54d09639340cc6');
INSERT INTO "run_experts" VALUES(8,0,'328922cb8c86db69c9a294060f7292a7');
INSERT INTO "run_experts" VALUES(8,1,'c3e08e5344c1dc80699ee521c81741c5');
INSERT INTO "run_experts" VALUES(8,2,'8e7dc0fd99b9d85f4c54d09639340cc6');
INSERT INTO "run_experts" VALUES(9,0,'328922cb8c86db69c9a294060f7292a7');
INSERT INTO "run_experts" VALUES(9,1,'c3e08e5344c1dc80699ee521c81741c5');
INSERT INTO "run_experts" VALUES(9,2,'8e7dc0fd99b9d85f4c54d09639340cc6');
INSERT INTO "run_experts" VALUES(10,0,'328922cb8c86db69c9a294060f7292a7');
INSERT INTO "run_experts" VALUES(11,0,'c3e08e5344c1dc80699ee521c81741c5');
INSERT INTO "run_experts" VALUES(12,0,'8e7dc0fd99b9d85f4c54d09639340cc6');
INSERT INTO "run_experts" VALUES(13,0,'328922cb8c86db69c9a294060f7292a7');
INSERT INTO "run_experts" VALUES(13,1,'c3e08e5344c1dc80699ee521c81741c5');
INSERT INTO "run_experts" VALUES(13,2,'8e7dc0fd99b9d85f4c54d09639340cc6');
INSERT INTO "run_experts" VALUES(14,0,'328922cb8c86db69c9a294060f7292a7');
INSERT INTO "run_experts" VALUES(14,1,'c3e08e5344c1dc80699ee521c81741c5');
INSERT INTO "run_experts" VALUES(14,2,'8e7dc0fd99b9d85f4c54d09639340cc6');
INSERT INTO "run_experts" VALUES(15,0,'328922cb8c86db69c9a294060f7292a7');
INSERT INTO "run_experts" VALUES(15,1,'c3e08e5344c1dc80699ee521c81741c5');
INSERT INTO "run_experts" VALUES(15,2,'8e7dc0fd99b9d85f4c54d09639340cc6');
CREATE TABLE runs (
  id              INTEGER PRIMARY KEY,
  key             TEXT NOT NULL UNIQUE CHECK (key <> ''),
  kind            TEXT NOT NULL
                  CHECK (kind IN ('merge', 'base', 'expert', 'multitask', 'ensemble')),
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
  FOREIGN KEY (method, method_version) REFERENCES methods (name, version),
  CHECK ((kind = 'merge') = (method IS NOT NULL)),
  CHECK ((method IS NULL) = (method_version IS NULL)),
  CHECK (status = 'ok' OR reason <> '')
) STRICT;
INSERT INTO "runs" VALUES(1,'54c153b08505065fea1d02266ba57232','merge','test','slerp',1,'','{"compute":"float32","t":0.5}',0,NULL,'skipped','needs exactly 2 experts, and 3 are given','{}',1,'2026-11-29T13:26:11.589Z');
INSERT INTO "runs" VALUES(2,'98b727534b345b3d50f8f006e6d6ba48','base','test',NULL,NULL,'','{}',0,NULL,'ok','','{}',1,'2026-11-29T13:26:12.166Z');
INSERT INTO "runs" VALUES(3,'6fc5ae3c545de42316b51d8187aa9646','expert','test',NULL,NULL,'','{}',0,NULL,'ok','','{}',1,'2026-11-29T13:26:12.367Z');
INSERT INTO "runs" VALUES(4,'65e950d54bb23081eded35ea8b302124','expert','test',NULL,NULL,'','{}',0,NULL,'ok','','{}',1,'2026-11-29T13:26:12.479Z');
INSERT INTO "runs" VALUES(5,'e815cc1ff6fbb703886b93797300f825','expert','test',NULL,NULL,'','{}',0,NULL,'ok','','{}',1,'2026-11-29T13:26:12.569Z');
INSERT INTO "runs" VALUES(6,'9f4ec3019eb03c9e3895d16c243591ed','multitask','test',NULL,NULL,'','{}',0,NULL,'ok','','{}',1,'2026-11-29T13:26:12.823Z');
INSERT INTO "runs" VALUES(7,'4dc02f22d77a96e5010633321262fc1d','ensemble','test',NULL,NULL,'','{}',0,NULL,'ok','','{}',1,'2026-11-29T13:26:13.203Z');
INSERT INTO "runs" VALUES(8,'77cbd2ed331d75dfe4e6271e76adb17d','merge','test','average',1,'','{}',0,NULL,'ok','','{}',1,'2026-11-29T13:26:13.291Z');
INSERT INTO "runs" VALUES(9,'622cd6051c512a281071b33bd90ab72a','merge','test','ties',1,'','{"compute":"float32","densities":[],"density":0.2,"elect.rule":"mass","elect.tie":"global_majority","reduce":"mean_agree","scale":1.0,"trim.rule":"kth_ge","trim.scope":"model","trim.ties":"index","weights":[]}',0,'24964180394c7ee6fc3933a1f5b5e86a','ok','','{}',1,'2026-11-29T13:26:13.482Z');
INSERT INTO "runs" VALUES(10,'f9b61c352f367f72d213affdf48ac419','expert','validation',NULL,NULL,'','{}',0,NULL,'ok','','{}',1,'2026-11-29T13:26:13.533Z');
INSERT INTO "runs" VALUES(11,'73b7b89dc791ad5ac71c958cbaeddbf8','expert','validation',NULL,NULL,'','{}',0,NULL,'ok','','{}',1,'2026-11-29T13:26:13.574Z');
INSERT INTO "runs" VALUES(12,'09c4db90303e6bcde6a37fd2105c2c69','expert','validation',NULL,NULL,'','{}',0,NULL,'ok','','{}',1,'2026-11-29T13:26:13.703Z');
INSERT INTO "runs" VALUES(13,'1aae5de52f92c1c5d59025ddba1e99a3','merge','validation','ties',1,'','{"compute":"float32","densities":[],"density":0.2,"elect.rule":"mass","elect.tie":"global_majority","reduce":"mean_agree","scale":0.3,"trim.rule":"kth_ge","trim.scope":"model","trim.ties":"index","weights":[]}',0,'24964180394c7ee6fc3933a1f5b5e86a','ok','','{}',1,'2026-11-29T13:26:13.743Z');
INSERT INTO "runs" VALUES(14,'8b1efeee068b6cbd5da04d382bf413b8','merge','validation','ties',1,'','{"compute":"float32","densities":[],"density":0.2,"elect.rule":"mass","elect.tie":"global_majority","reduce":"mean_agree","scale":1.0,"trim.rule":"kth_ge","trim.scope":"model","trim.ties":"index","weights":[]}',0,'24964180394c7ee6fc3933a1f5b5e86a','ok','','{}',1,'2026-11-29T13:26:13.781Z');
INSERT INTO "runs" VALUES(15,'cd8da6df6318d5d833110db9ab6f3dfd','merge','test','ties',1,'','{"compute":"float32","densities":[],"density":0.2,"elect.rule":"mass","elect.tie":"global_majority","reduce":"mean_agree","scale":0.3,"trim.rule":"kth_ge","trim.scope":"model","trim.ties":"index","weights":[]}',0,'24964180394c7ee6fc3933a1f5b5e86a','ok','','{}',1,'2026-11-29T13:26:13.988Z');
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
INSERT INTO "scores" VALUES(1,2,1,'test','acc',1,6.66666666666666629659e-01,3,'[0,1,1]');
INSERT INTO "scores" VALUES(2,2,1,'test','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(3,2,2,'test','acc',1,6.66666666666666629659e-01,3,'[1,0,1]');
INSERT INTO "scores" VALUES(4,2,2,'test','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(5,2,3,'test','acc',1,6.66666666666666629659e-01,3,'[0,1,1]');
INSERT INTO "scores" VALUES(6,2,3,'test','acc_own',0,6.66666666666666629659e-01,3,'[0,1,1]');
INSERT INTO "scores" VALUES(7,2,4,'test','acc',1,6.66666666666666629659e-01,3,'[0,1,1]');
INSERT INTO "scores" VALUES(8,2,4,'test','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(9,3,1,'test','acc',1,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(10,3,1,'test','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(11,3,2,'test','acc',1,0.0,3,'[0,0,0]');
INSERT INTO "scores" VALUES(12,3,2,'test','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(13,3,3,'test','acc',1,0.0,3,'[0,0,0]');
INSERT INTO "scores" VALUES(14,3,3,'test','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(15,3,4,'test','acc',1,0.0,3,'[0,0,0]');
INSERT INTO "scores" VALUES(16,3,4,'test','acc_own',0,6.66666666666666629659e-01,3,'[0,1,1]');
INSERT INTO "scores" VALUES(17,4,1,'test','acc',1,0.0,3,'[0,0,0]');
INSERT INTO "scores" VALUES(18,4,1,'test','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(19,4,2,'test','acc',1,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(20,4,2,'test','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(21,4,3,'test','acc',1,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(22,4,3,'test','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(23,4,4,'test','acc',1,0.0,3,'[0,0,0]');
INSERT INTO "scores" VALUES(24,4,4,'test','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(25,5,1,'test','acc',1,3.33333333333333314829e-01,3,'[0,0,1]');
INSERT INTO "scores" VALUES(26,5,1,'test','acc_own',0,6.66666666666666629659e-01,3,'[0,1,1]');
INSERT INTO "scores" VALUES(27,5,2,'test','acc',1,0.0,3,'[0,0,0]');
INSERT INTO "scores" VALUES(28,5,2,'test','acc_own',0,6.66666666666666629659e-01,3,'[1,1,0]');
INSERT INTO "scores" VALUES(29,5,3,'test','acc',1,0.0,3,'[0,0,0]');
INSERT INTO "scores" VALUES(30,5,3,'test','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(31,5,4,'test','acc',1,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(32,5,4,'test','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(33,6,1,'test','acc',1,6.66666666666666629659e-01,3,'[0,1,1]');
INSERT INTO "scores" VALUES(34,6,1,'test','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(35,6,2,'test','acc',1,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(36,6,2,'test','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(37,6,3,'test','acc',1,0.0,3,'[0,0,0]');
INSERT INTO "scores" VALUES(38,6,3,'test','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(39,6,4,'test','acc',1,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(40,6,4,'test','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(41,7,1,'test','acc',1,6.66666666666666629659e-01,3,'[0,1,1]');
INSERT INTO "scores" VALUES(42,7,1,'test','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(43,7,2,'test','acc',1,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(44,7,2,'test','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(45,7,3,'test','acc',1,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(46,7,3,'test','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(47,7,4,'test','acc',1,6.66666666666666629659e-01,3,'[0,1,1]');
INSERT INTO "scores" VALUES(48,7,4,'test','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(49,8,1,'test','acc',1,6.66666666666666629659e-01,3,'[0,1,1]');
INSERT INTO "scores" VALUES(50,8,1,'test','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(51,8,2,'test','acc',1,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(52,8,2,'test','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(53,8,3,'test','acc',1,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(54,8,3,'test','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(55,8,4,'test','acc',1,6.66666666666666629659e-01,3,'[0,1,1]');
INSERT INTO "scores" VALUES(56,8,4,'test','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(57,9,1,'test','acc',1,6.66666666666666629659e-01,3,'[0,1,1]');
INSERT INTO "scores" VALUES(58,9,1,'test','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(59,9,2,'test','acc',1,6.66666666666666629659e-01,3,'[1,0,1]');
INSERT INTO "scores" VALUES(60,9,2,'test','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(61,9,3,'test','acc',1,0.0,3,'[0,0,0]');
INSERT INTO "scores" VALUES(62,9,3,'test','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(63,9,4,'test','acc',1,6.66666666666666629659e-01,3,'[0,1,1]');
INSERT INTO "scores" VALUES(64,9,4,'test','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(65,10,1,'validation','acc',1,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(66,10,1,'validation','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(67,10,2,'validation','acc',1,0.0,3,'[0,0,0]');
INSERT INTO "scores" VALUES(68,10,2,'validation','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(69,10,4,'validation','acc',1,0.0,3,'[0,0,0]');
INSERT INTO "scores" VALUES(70,10,4,'validation','acc_own',0,6.66666666666666629659e-01,3,'[0,1,1]');
INSERT INTO "scores" VALUES(71,11,1,'validation','acc',1,0.0,3,'[0,0,0]');
INSERT INTO "scores" VALUES(72,11,1,'validation','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(73,11,2,'validation','acc',1,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(74,11,2,'validation','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(75,11,4,'validation','acc',1,0.0,3,'[0,0,0]');
INSERT INTO "scores" VALUES(76,11,4,'validation','acc_own',0,3.33333333333333314829e-01,3,'[0,1,0]');
INSERT INTO "scores" VALUES(77,12,1,'validation','acc',1,6.66666666666666629659e-01,3,'[1,1,0]');
INSERT INTO "scores" VALUES(78,12,1,'validation','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(79,12,2,'validation','acc',1,0.0,3,'[0,0,0]');
INSERT INTO "scores" VALUES(80,12,2,'validation','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(81,12,4,'validation','acc',1,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(82,12,4,'validation','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(83,13,1,'validation','acc',1,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(84,13,1,'validation','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(85,13,2,'validation','acc',1,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(86,13,2,'validation','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(87,13,4,'validation','acc',1,3.33333333333333314829e-01,3,'[0,1,0]');
INSERT INTO "scores" VALUES(88,13,4,'validation','acc_own',0,6.66666666666666629659e-01,3,'[0,1,1]');
INSERT INTO "scores" VALUES(89,14,1,'validation','acc',1,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(90,14,1,'validation','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(91,14,2,'validation','acc',1,6.66666666666666629659e-01,3,'[0,1,1]');
INSERT INTO "scores" VALUES(92,14,2,'validation','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(93,14,4,'validation','acc',1,3.33333333333333314829e-01,3,'[0,1,0]');
INSERT INTO "scores" VALUES(94,14,4,'validation','acc_own',0,6.66666666666666629659e-01,3,'[0,1,1]');
INSERT INTO "scores" VALUES(95,15,1,'test','acc',1,6.66666666666666629659e-01,3,'[0,1,1]');
INSERT INTO "scores" VALUES(96,15,1,'test','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(97,15,2,'test','acc',1,6.66666666666666629659e-01,3,'[1,0,1]');
INSERT INTO "scores" VALUES(98,15,2,'test','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(99,15,3,'test','acc',1,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(100,15,3,'test','acc_own',0,1.0,3,'[1,1,1]');
INSERT INTO "scores" VALUES(101,15,4,'test','acc',1,6.66666666666666629659e-01,3,'[0,1,1]');
INSERT INTO "scores" VALUES(102,15,4,'test','acc_own',0,1.0,3,'[1,1,1]');
CREATE TABLE set_experts (
  expert_set  INTEGER NOT NULL REFERENCES expert_sets (id) ON DELETE CASCADE,
  position    INTEGER NOT NULL CHECK (position >= 0),
  checkpoint  TEXT NOT NULL REFERENCES checkpoints (hash),
  PRIMARY KEY (expert_set, position)
) STRICT;
INSERT INTO "set_experts" VALUES(1,0,'328922cb8c86db69c9a294060f7292a7');
INSERT INTO "set_experts" VALUES(1,1,'c3e08e5344c1dc80699ee521c81741c5');
INSERT INTO "set_experts" VALUES(1,2,'8e7dc0fd99b9d85f4c54d09639340cc6');
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
INSERT INTO "set_tasks" VALUES(1,0,1,1,'328922cb8c86db69c9a294060f7292a7');
INSERT INTO "set_tasks" VALUES(1,1,2,1,'c3e08e5344c1dc80699ee521c81741c5');
INSERT INTO "set_tasks" VALUES(1,2,3,0,NULL);
INSERT INTO "set_tasks" VALUES(1,3,4,1,'8e7dc0fd99b9d85f4c54d09639340cc6');
CREATE TABLE sweeps (
  id           INTEGER PRIMARY KEY,
  name         TEXT NOT NULL CHECK (name <> ''),
  hash         TEXT NOT NULL UNIQUE CHECK (hash <> ''),
  config       TEXT NOT NULL CHECK (json_valid(config)),
  execution    INTEGER NOT NULL UNIQUE,
  started_at   TEXT NOT NULL,
  finished_at  TEXT
) STRICT;
INSERT INTO "sweeps" VALUES(1,'quickstart','f7859d71222be42b7d4c27f1398cb625','{"base": "base-weak", "expert_sets": [{"experts": ["expert-mnist-012", "expert-optdigits-345", "expert-font-6789"], "multitask": "multitask-0", "name": "diagonal"}], "found at": [{"name": "quickstart.json", "path": "/sweeps/quickstart.json", "what": "sweep file"}], "methods": ["average", "slerp", {"method": "ties", "tune": {"scale": [0.3, 1.0]}}], "name": "quickstart", "recipe": "digits.json", "tasks": ["digits/mnist-012", "digits/optdigits-345", "digits/font-345", "digits/font-6789"]}',1,'2026-11-29T13:26:11.588Z','2026-11-29T13:26:13.988Z');
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
INSERT INTO "tasks" VALUES(1,'digits/mnist-012','946269072971716e72e475e3b3a63611','{}',225,525,1);
INSERT INTO "tasks" VALUES(2,'digits/optdigits-345','f8772108a7963e77ec0e566b5258a1a7','{}',81,191,1);
INSERT INTO "tasks" VALUES(3,'digits/font-345','37ce127ad313fad50a84dc607c2e4fe1','{}',240,480,1);
INSERT INTO "tasks" VALUES(4,'digits/font-6789','1628a347f3d749d86967f35ffb1690cb','{}',320,640,1);
CREATE UNIQUE INDEX tasks_current ON tasks (name) WHERE current = 1;
CREATE INDEX runs_method ON runs (method, method_version);
CREATE UNIQUE INDEX scores_primary ON scores (run, task, split) WHERE is_primary = 1;
CREATE INDEX placements_run ON placements (run);
COMMIT;
