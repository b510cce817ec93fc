internal import GRDB

/// The database's layout. A migration that has shipped is never changed: a new one follows it.
enum Schema {
    static let migrator: DatabaseMigrator = {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1") { db in
            try db.execute(sql: version1)
        }
        migrator.registerMigration("2") { db in
            try db.execute(sql: version2)
        }
        migrator.registerMigration("3") { db in
            try db.execute(sql: version3)
        }
        migrator.registerMigration("4") { db in
            try db.execute(sql: version4)
        }
        migrator.registerMigration("5") { db in
            try db.execute(sql: version5)
        }
        migrator.registerMigration("6") { db in
            try db.execute(sql: version6)
        }
        migrator.registerMigration("7") { db in
            try db.execute(sql: version7)
        }
        migrator.registerMigration("8") { db in
            try db.execute(sql: version8)
        }
        migrator.registerMigration("9") { db in
            try db.execute(sql: version9)
        }
        migrator.registerMigration("10") { db in
            try db.execute(sql: version10)
        }
        return migrator
    }()

    /// Times in the tables are milliseconds since 1970-01-01T00:00:00Z; the views show them as RFC 3339.
    private static let version1 = """
        CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID, STRICT;

        CREATE TABLE recipe_rows (
            project TEXT PRIMARY KEY, source TEXT NOT NULL, digest TEXT NOT NULL, applied_ms INTEGER NOT NULL
        ) WITHOUT ROWID, STRICT;

        CREATE TABLE service_rows (
            project TEXT NOT NULL, name TEXT NOT NULL, wanted INTEGER NOT NULL, state TEXT NOT NULL, since_ms INTEGER NOT NULL,
            restarts INTEGER NOT NULL, failures INTEGER NOT NULL, next_start_ms INTEGER, run_id TEXT,
            PRIMARY KEY (project, name)
        ) WITHOUT ROWID, STRICT;

        CREATE TABLE job_rows (
            project TEXT NOT NULL, name TEXT NOT NULL, paused INTEGER NOT NULL, cursor_ms INTEGER NOT NULL, boot_id TEXT NOT NULL,
            last_outcome TEXT, streak INTEGER NOT NULL, pending TEXT NOT NULL,
            PRIMARY KEY (project, name)
        ) WITHOUT ROWID, STRICT;

        CREATE TABLE run_rows (
            run_id TEXT PRIMARY KEY, project TEXT NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL, trigger TEXT NOT NULL,
            attempt INTEGER NOT NULL, due_ms INTEGER, decided_ms INTEGER NOT NULL, started_ms INTEGER, finished_ms INTEGER,
            state TEXT NOT NULL, outcome TEXT, exit_code INTEGER, signal INTEGER, oom_killed INTEGER NOT NULL DEFAULT 0, reason TEXT,
            cpu_us INTEGER, memory_peak_bytes INTEGER, io_read_bytes INTEGER, io_write_bytes INTEGER, log_bytes INTEGER,
            log_dropped_bytes INTEGER, image TEXT, recipe_digest TEXT NOT NULL, engine TEXT NOT NULL, boot_id TEXT NOT NULL,
            fingerprint TEXT NOT NULL
        ) WITHOUT ROWID, STRICT;
        CREATE INDEX run_by_name ON run_rows (project, name, run_id);
        CREATE INDEX run_by_outcome ON run_rows (outcome, run_id);
        CREATE INDEX run_open ON run_rows (run_id) WHERE state <> 'finished';

        CREATE TABLE due_rows (
            project TEXT NOT NULL, name TEXT NOT NULL, due_ms INTEGER NOT NULL, first_due_ms INTEGER NOT NULL, result TEXT NOT NULL,
            reason TEXT, count INTEGER NOT NULL, run_id TEXT, note TEXT,
            PRIMARY KEY (project, name, due_ms)
        ) WITHOUT ROWID, STRICT;
        CREATE INDEX due_by_time ON due_rows (due_ms);

        CREATE TABLE event_rows (
            id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, project TEXT, name TEXT, run_id TEXT, kind TEXT NOT NULL, actor TEXT NOT NULL,
            text TEXT NOT NULL
        ) STRICT;
        CREATE INDEX event_by_time ON event_rows (at_ms);

        CREATE VIEW runs AS SELECT
            run_id, project, name, kind, trigger, attempt,
            strftime('%Y-%m-%dT%H:%M:%S', due_ms / 1000, 'unixepoch') || printf('.%03dZ', due_ms % 1000) AS due_at,
            strftime('%Y-%m-%dT%H:%M:%S', started_ms / 1000, 'unixepoch') || printf('.%03dZ', started_ms % 1000) AS started_at,
            strftime('%Y-%m-%dT%H:%M:%S', finished_ms / 1000, 'unixepoch') || printf('.%03dZ', finished_ms % 1000) AS finished_at,
            finished_ms - started_ms AS duration_ms, state, outcome, exit_code, signal, oom_killed, reason, cpu_us / 1000 AS cpu_ms,
            memory_peak_bytes, io_read_bytes, io_write_bytes, log_bytes, log_dropped_bytes, image, recipe_digest, engine
            FROM run_rows;

        CREATE VIEW due_times AS SELECT
            project, name,
            strftime('%Y-%m-%dT%H:%M:%S', due_ms / 1000, 'unixepoch') || printf('.%03dZ', due_ms % 1000) AS due_at,
            result, reason, count, run_id,
            strftime('%Y-%m-%dT%H:%M:%S', first_due_ms / 1000, 'unixepoch') || printf('.%03dZ', first_due_ms % 1000) AS first_due_at,
            note
            FROM due_rows;

        CREATE VIEW services AS SELECT
            project, name, state,
            strftime('%Y-%m-%dT%H:%M:%S', since_ms / 1000, 'unixepoch') || printf('.%03dZ', since_ms % 1000) AS since,
            restarts,
            strftime('%Y-%m-%dT%H:%M:%S', next_start_ms / 1000, 'unixepoch') || printf('.%03dZ', next_start_ms % 1000) AS next_start_at,
            run_id
            FROM service_rows;

        CREATE VIEW events AS SELECT
            strftime('%Y-%m-%dT%H:%M:%S', at_ms / 1000, 'unixepoch') || printf('.%03dZ', at_ms % 1000) AS at,
            project, name, run_id, kind, actor, text
            FROM event_rows;
        """

    /// Chains of jobs, what was changed for a run by hand, and due times that come again after the clock was set far back.
    ///
    /// The key's columns come first, in its order: where they do not, SQLite 3.40 takes sound rows of a table without row ids
    /// for damaged ones (`PRAGMA quick_check`: "NULL value in").
    private static let version2 = """
        ALTER TABLE job_rows ADD COLUMN arrivals TEXT NOT NULL DEFAULT '[]';
        ALTER TABLE job_rows ADD COLUMN era INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE job_rows ADD COLUMN seen_ms INTEGER;
        ALTER TABLE run_rows ADD COLUMN caused_by TEXT;
        ALTER TABLE run_rows ADD COLUMN arrivals TEXT;
        ALTER TABLE run_rows ADD COLUMN changes TEXT;

        DROP VIEW runs;
        CREATE VIEW runs AS SELECT
            run_id, project, name, kind, trigger, attempt,
            strftime('%Y-%m-%dT%H:%M:%S', due_ms / 1000, 'unixepoch') || printf('.%03dZ', due_ms % 1000) AS due_at,
            strftime('%Y-%m-%dT%H:%M:%S', started_ms / 1000, 'unixepoch') || printf('.%03dZ', started_ms % 1000) AS started_at,
            strftime('%Y-%m-%dT%H:%M:%S', finished_ms / 1000, 'unixepoch') || printf('.%03dZ', finished_ms % 1000) AS finished_at,
            finished_ms - started_ms AS duration_ms, state, outcome, exit_code, signal, oom_killed, reason, cpu_us / 1000 AS cpu_ms,
            memory_peak_bytes, io_read_bytes, io_write_bytes, log_bytes, log_dropped_bytes, image, recipe_digest, engine, caused_by, changes
            FROM run_rows;

        DROP VIEW due_times;
        ALTER TABLE due_rows RENAME TO due_rows_1;
        DROP INDEX due_by_time;
        CREATE TABLE due_rows (
            project TEXT NOT NULL, name TEXT NOT NULL, due_ms INTEGER NOT NULL, era INTEGER NOT NULL, first_due_ms INTEGER NOT NULL,
            result TEXT NOT NULL, reason TEXT, count INTEGER NOT NULL, run_id TEXT, note TEXT,
            PRIMARY KEY (project, name, due_ms, era)
        ) WITHOUT ROWID, STRICT;
        INSERT INTO due_rows SELECT project, name, due_ms, 0, first_due_ms, result, reason, count, run_id, note FROM due_rows_1;
        DROP TABLE due_rows_1;
        CREATE INDEX due_by_time ON due_rows (due_ms);
        CREATE VIEW due_times AS SELECT
            project, name,
            strftime('%Y-%m-%dT%H:%M:%S', due_ms / 1000, 'unixepoch') || printf('.%03dZ', due_ms % 1000) AS due_at,
            result, reason, count, run_id,
            strftime('%Y-%m-%dT%H:%M:%S', first_due_ms / 1000, 'unixepoch') || printf('.%03dZ', first_due_ms % 1000) AS first_due_at,
            note, era
            FROM due_rows;
        """

    /// What is wanted of a run and of a service, so that it outlives the daemon that was asked.
    private static let version3 = """
        ALTER TABLE run_rows ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE run_rows ADD COLUMN stop_ms INTEGER;
        ALTER TABLE run_rows ADD COLUMN stop_reason TEXT;
        ALTER TABLE service_rows ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
        """

    /// Rows that could not be read, as they were: JSON, sealed.
    private static let version4 = """
        CREATE TABLE damaged_rows (
            id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, kind TEXT NOT NULL, project TEXT NOT NULL, name TEXT NOT NULL, content TEXT NOT NULL
        ) STRICT;
        """

    /// A column of milliseconds as RFC 3339.
    private static func time(_ column: String) -> String {
        "strftime('%Y-%m-%dT%H:%M:%S', \(column) / 1000, 'unixepoch') || printf('.%03dZ', \(column) % 1000)"
    }

    /// A slot for each copy of a service, and what was changed for a run by hand as the next daemon needs it (JSON, sealed).
    private static let version5 = """
        ALTER TABLE run_rows ADD COLUMN slot INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE run_rows ADD COLUMN changes_data TEXT;

        DROP VIEW services;
        ALTER TABLE service_rows RENAME TO service_rows_4;
        CREATE TABLE service_rows (
            project TEXT NOT NULL, name TEXT NOT NULL, slot INTEGER NOT NULL, wanted INTEGER NOT NULL, state TEXT NOT NULL,
            since_ms INTEGER NOT NULL, restarts INTEGER NOT NULL, failures INTEGER NOT NULL, next_start_ms INTEGER, run_id TEXT,
            generation INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (project, name, slot)
        ) WITHOUT ROWID, STRICT;
        INSERT INTO service_rows SELECT project, name, 0, wanted, state, since_ms, restarts, failures, next_start_ms, run_id, generation
            FROM service_rows_4;
        DROP TABLE service_rows_4;
        CREATE VIEW services AS SELECT
            project, name, slot, state, \(time("since_ms")) AS since, restarts, \(time("next_start_ms")) AS next_start_at, run_id
            FROM service_rows;

        DROP VIEW runs;
        CREATE VIEW runs AS SELECT
            run_id, project, name, slot, kind, trigger, attempt, \(time("due_ms")) AS due_at, \(time("started_ms")) AS started_at,
            \(time("finished_ms")) AS finished_at, finished_ms - started_ms AS duration_ms, state, outcome, exit_code, signal, oom_killed,
            reason, cpu_us / 1000 AS cpu_ms, memory_peak_bytes, io_read_bytes, io_write_bytes, log_bytes, log_dropped_bytes, image,
            recipe_digest, engine, caused_by, changes
            FROM run_rows;

        DROP VIEW due_times;
        CREATE VIEW due_times AS SELECT
            project, name, \(time("due_ms")) AS due_at, result, reason, count, run_id, \(time("first_due_ms")) AS first_due_at, note, era,
            due_ms
            FROM due_rows;

        CREATE INDEX event_by_name ON event_rows (project, name, at_ms);
        DROP VIEW events;
        CREATE VIEW events AS SELECT \(time("at_ms")) AS at, project, name, run_id, kind, actor, text, id FROM event_rows;
        """

    /// JSON with its version (``StoredJSON``). What is sealed keeps its form until it is written again.
    private static let version6 = """
        UPDATE job_rows SET pending = '{"v":1,"value":' || pending || '}' WHERE pending LIKE '[%';
        UPDATE job_rows SET arrivals = '{"v":1,"value":' || arrivals || '}' WHERE arrivals LIKE '[%';
        UPDATE run_rows SET arrivals = '{"v":1,"value":' || arrivals || '}' WHERE state <> 'finished' AND arrivals LIKE '[%';
        """

    /// Which run a retry or a rerun tries again, and ends that came while a recipe could not be read (JSON, sealed).
    private static let version7 = """
        ALTER TABLE run_rows ADD COLUMN retry_of TEXT;
        ALTER TABLE job_rows ADD COLUMN unheard TEXT NOT NULL DEFAULT '{"v":1,"value":[]}';

        DROP VIEW runs;
        CREATE VIEW runs AS SELECT
            run_id, project, name, slot, kind, trigger, attempt, \(time("due_ms")) AS due_at, \(time("started_ms")) AS started_at,
            \(time("finished_ms")) AS finished_at, finished_ms - started_ms AS duration_ms, state, outcome, exit_code, signal, oom_killed,
            reason, cpu_us / 1000 AS cpu_ms, memory_peak_bytes, io_read_bytes, io_write_bytes, log_bytes, log_dropped_bytes, image,
            recipe_digest, engine, caused_by, changes, retry_of
            FROM run_rows;
        """

    /// The end of a service's run that came while its recipe could not be read (JSON), and the era of new jobs: jobs that were removed
    /// before may come back, and their due times with them.
    private static let version8 = """
        ALTER TABLE service_rows ADD COLUMN unheard TEXT;
        INSERT OR REPLACE INTO meta (key, value) SELECT 'era', era + 1 FROM due_rows ORDER BY era DESC LIMIT 1;
        """

    /// What the probes of services say, the last few of each, and how a service's last run ended.
    private static let version9 = """
        ALTER TABLE service_rows ADD COLUMN last_outcome TEXT;
        ALTER TABLE service_rows ADD COLUMN health TEXT;
        ALTER TABLE service_rows ADD COLUMN health_since_ms INTEGER;
        ALTER TABLE service_rows ADD COLUMN health_failures INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE service_rows ADD COLUMN health_counted_ms INTEGER;
        ALTER TABLE service_rows ADD COLUMN health_worked INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE service_rows ADD COLUMN health_ending INTEGER NOT NULL DEFAULT 0;
        UPDATE service_rows SET last_outcome = (SELECT outcome FROM run_rows WHERE run_rows.run_id = service_rows.run_id);

        CREATE TABLE probe_rows (
            id INTEGER PRIMARY KEY, project TEXT NOT NULL, name TEXT NOT NULL, slot INTEGER NOT NULL, run_id TEXT NOT NULL, at_ms INTEGER NOT NULL,
            duration_ms INTEGER NOT NULL, exit_code INTEGER, failure TEXT, output TEXT NOT NULL
        ) STRICT;
        CREATE INDEX probe_by_name ON probe_rows (project, name, slot, id);
        CREATE VIEW probes AS SELECT
            project, name, slot, run_id, \(time("at_ms")) AS at, duration_ms, exit_code, failure, output
            FROM probe_rows;

        DROP VIEW services;
        CREATE VIEW services AS SELECT
            project, name, slot, state, \(time("since_ms")) AS since, restarts, \(time("next_start_ms")) AS next_start_at, run_id, health,
            \(time("health_since_ms")) AS health_since
            FROM service_rows;
        """

    /// Ids, separated by spaces, of the runs that must end before this run is told to stop.
    private static let version10 = "ALTER TABLE run_rows ADD COLUMN stop_after TEXT;"
}
