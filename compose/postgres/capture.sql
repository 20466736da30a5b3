-- What the suite needs of the legacy tables, kept in tables of its own: schema insideout. Change data capture reads those, so
-- their shape never changes, whatever an administrator does to his. Run by a superuser in the legacy database; again is harmless.
--
-- Triggers on the legacy tables take over what a statement changed: the columns named here, as text, cast to the suite's types.
-- A row that cannot be cast is kept out and told of in insideout.refused. Whatever goes wrong here goes there too: no statement of
-- the administrator fails because of the suite. An event trigger sees every change of a table's definition (a new type, a
-- dropped column, a table made anew, triggers disabled), attaches the triggers again, and compares all rows.
SET client_min_messages = warning;
DROP EVENT TRIGGER IF EXISTS insideout;

DO $$ BEGIN
    IF to_regrole('insideout') IS NULL THEN
        CREATE ROLE insideout NOLOGIN;
    END IF;
END $$;
GRANT legacy TO insideout; -- whoever owns what is done for legacy may do what legacy may, and no more
CREATE SCHEMA IF NOT EXISTS insideout AUTHORIZATION insideout;
GRANT USAGE ON SCHEMA insideout TO legacy;
SET ROLE insideout;
ALTER DEFAULT PRIVILEGES IN SCHEMA insideout GRANT SELECT ON TABLES TO legacy;

CREATE TABLE IF NOT EXISTS insideout.stock (product_id text PRIMARY KEY, name text, quantity int);
CREATE TABLE IF NOT EXISTS insideout.movies (movie_id bigint PRIMARY KEY, title text, release_year int);
-- Else a long value that an update leaves alone would not be in the event.
ALTER TABLE insideout.stock REPLICA IDENTITY FULL;
ALTER TABLE insideout.movies REPLICA IDENTITY FULL;

-- Rows that are kept out, and why. key: NULL where there is none, or where it is not about one row.
CREATE TABLE IF NOT EXISTS insideout.refused (table_name text NOT NULL, key text, reason text NOT NULL, since timestamptz DEFAULT now());
CREATE INDEX IF NOT EXISTS refused_key ON insideout.refused (table_name, key);

-- What is followed, in schema public. definition: as the table was when all of its rows were compared.
CREATE TABLE IF NOT EXISTS insideout.followed (
    name text PRIMARY KEY, key_column text, key_cast text, text_column text, number_column text, definition text);
INSERT INTO insideout.followed VALUES
    ('stock', 'product_id', 'text', 'name', 'quantity'),
    ('movies', 'movie_id', 'numeric::bigint', 'title', 'release_year')
ON CONFLICT (name) DO UPDATE SET (key_column, key_cast, text_column, number_column) =
    (EXCLUDED.key_column, EXCLUDED.key_cast, EXCLUDED.text_column, EXCLUDED.number_column);

-- The connector's pulse, a row for each of the last sixteen seconds. What it writes here comes back to it with everything else; it
-- is confirmed to the replication slot when Kafka has what came before it.
CREATE TABLE IF NOT EXISTS insideout.pulse (n int PRIMARY KEY, at timestamptz NOT NULL, lsn pg_lsn NOT NULL);
GRANT INSERT, UPDATE ON insideout.pulse TO legacy;

-- The legacy table; NULL where there is none (or a view, whose changes no trigger sees).
CREATE OR REPLACE FUNCTION insideout.source(f insideout.followed) RETURNS regclass LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT oid::regclass FROM pg_class
    WHERE relnamespace = to_regnamespace('public') AND relname = f.name AND relkind IN ('r', 'p')
$$;

-- Is VALUE a whole number in this range, or null? 7.00 is one.
CREATE OR REPLACE FUNCTION insideout.is_whole(value text, lowest numeric, highest numeric) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN value ~ '^[+-]?[0-9]{1,30}(\.0*)?$' THEN value::numeric BETWEEN lowest AND highest ELSE value IS NULL END
$$;

-- Can two rows have one key? Then a statement's own rows do not tell what becomes of the other.
CREATE OR REPLACE FUNCTION insideout.has_unique_key(f insideout.followed) RETURNS boolean LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (
        SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
        WHERE i.indrelid = insideout.source(f) AND a.attname = f.key_column
          AND (f.key_cast = 'text' OR a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype))
          AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indnkeyatts = 1 AND i.indpred IS NULL)
$$;

-- A query for what the rows of FROM_ROWS (those of the legacy table, or a trigger's) are to the suite: raw_key as it stands there;
-- key, words and number cast; reason, where the row is to be kept out. A column that is not there is null.
CREATE OR REPLACE FUNCTION insideout.reading(f insideout.followed, from_rows text) RETURNS text LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    columns text;
BEGIN
    SELECT string_agg(CASE WHEN a.attname IS NULL THEN 'NULL' ELSE format('s.%I', a.attname) END || '::text AS ' || wanted.alias, ', ') INTO columns
    FROM (VALUES ('raw_key', f.key_column), ('words', f.text_column), ('amount', f.number_column)) wanted (alias, name)
    LEFT JOIN pg_attribute a ON a.attrelid = insideout.source(f) AND a.attname = wanted.name AND a.attnum > 0 AND NOT a.attisdropped;
    RETURN format($q$
        SELECT raw_key, CASE WHEN reason IS NULL THEN raw_key::%5$s END AS key, words,
               CASE WHEN reason IS NULL THEN amount::numeric::int END AS number, reason
        FROM (SELECT r.*, CASE
                WHEN raw_key IS NULL THEN %2$L || ' is null'
                WHEN octet_length(raw_key) > 1000 THEN %2$L || ' is longer than 1000 bytes'
                WHEN %6$L AND NOT insideout.is_whole(raw_key, -9223372036854775808, 9223372036854775807)
                    THEN %2$L || ' is no bigint: ' || left(raw_key, 40)
                %8$s
                WHEN octet_length(words) > 1000000 THEN %3$L || ' is longer than 1000000 bytes'
                WHEN NOT insideout.is_whole(amount, -2147483648, 2147483647) THEN %4$L || ' is no int: ' || left(amount, 40)
              END AS reason
              FROM (SELECT %1$s FROM %7$s s) r OFFSET 0) judged
        $q$, columns, f.key_column, f.text_column, f.number_column, f.key_cast, f.key_cast <> 'text', from_rows,
                     CASE WHEN NOT insideout.has_unique_key(f) THEN format('WHEN count(*) OVER (PARTITION BY raw_key) > 1 THEN %L', f.key_column || ' is not unique') END);
END $$;

-- A query that puts rows, as reading() has them, into the suite's table; what is the same already stays untouched.
CREATE OR REPLACE FUNCTION insideout.putting(f insideout.followed, rows text) RETURNS text LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT format($q$
        INSERT INTO insideout.%1$I AS c (%2$I, %3$I, %4$I) SELECT key, words, number FROM %5$s WHERE reason IS NULL
        ON CONFLICT (%2$I) DO UPDATE SET (%3$I, %4$I) = (EXCLUDED.%3$I, EXCLUDED.%4$I)
        WHERE (c.%3$I, c.%4$I) IS DISTINCT FROM (EXCLUDED.%3$I, EXCLUDED.%4$I)
        $q$, f.name, f.key_column, f.text_column, f.number_column, rows)
$$;

-- The part of a query that tells of the rows in FRESH that are kept out.
CREATE OR REPLACE FUNCTION insideout.telling(f insideout.followed) RETURNS text LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT format('told AS (INSERT INTO insideout.refused SELECT %L, left(raw_key, 200), reason FROM fresh WHERE reason IS NOT NULL)', f.name)
$$;

-- Compares all rows.
CREATE OR REPLACE FUNCTION insideout.compare(f insideout.followed) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    there text := coalesce(insideout.source(f)::text, '(SELECT WHERE false)');
    fresh text := format('WITH fresh AS MATERIALIZED (%s)', insideout.reading(f, there));
BEGIN
    EXECUTE format('%s DELETE FROM insideout.%I c WHERE NOT EXISTS (SELECT FROM fresh WHERE reason IS NULL AND key = c.%I)',
                   fresh, f.name, f.key_column);
    DELETE FROM insideout.refused WHERE table_name = f.name;
    EXECUTE format('%s, %s ', fresh, insideout.telling(f)) || insideout.putting(f, 'fresh');
END $$;

CREATE OR REPLACE FUNCTION insideout.note(f insideout.followed, problem text) RETURNS void LANGUAGE sql
SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO insideout.refused
    SELECT coalesce(f.name, ''), NULL, problem
    WHERE NOT EXISTS (SELECT FROM insideout.refused r WHERE r.table_name = f.name AND r.key IS NULL AND r.reason = problem)
$$;

-- What a statement changed, by its transition tables.
CREATE OR REPLACE FUNCTION insideout.capture() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    f insideout.followed;
BEGIN
    SELECT * INTO f FROM insideout.followed t WHERE insideout.source(t) = TG_RELID;
    IF NOT FOUND THEN
        RETURN NULL; -- renamed: another's table now
    END IF;
    IF TG_OP = 'TRUNCATE' OR NOT insideout.has_unique_key(f) THEN
        PERFORM insideout.compare(f);
        RETURN NULL;
    END IF;
    -- A row that was and is not any more is deleted, and what is said of it; a good one is put, a bad one told of.
    IF TG_OP = 'INSERT' THEN
        EXECUTE format('WITH fresh AS MATERIALIZED (%s), %s ', insideout.reading(f, 'new_rows'), insideout.telling(f)) || insideout.putting(f, 'fresh');
    ELSE
        EXECUTE format($q$
            WITH fresh AS MATERIALIZED (%1$s), old AS MATERIALIZED (%2$s), %3$s,
                 forgotten AS (DELETE FROM insideout.refused WHERE table_name = %4$L AND key IN (SELECT left(raw_key, 200) FROM old)),
                 gone AS (DELETE FROM insideout.%4$I c USING old
                          WHERE c.%5$I = old.key AND NOT EXISTS (SELECT FROM fresh WHERE fresh.reason IS NULL AND fresh.key = old.key))
            $q$, insideout.reading(f, CASE TG_OP WHEN 'UPDATE' THEN 'new_rows' ELSE '(SELECT * FROM old_rows WHERE false)' END),
            insideout.reading(f, 'old_rows'), insideout.telling(f), f.name, f.key_column) || insideout.putting(f, 'fresh');
    END IF;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    PERFORM insideout.note(f, 'a statement was not followed: ' || SQLERRM);
    RETURN NULL;
END $$;

-- What decides which rows there are to us, beside the statements that capture() sees.
CREATE OR REPLACE FUNCTION insideout.definition(f insideout.followed) RETURNS text LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT concat_ws(' ', c.oid, c.relfilenode, c.relkind,
        (SELECT string_agg(concat_ws(' ', attname, attnum, atttypid, atttypmod), ',' ORDER BY attnum) FROM pg_attribute
         WHERE attrelid = c.oid AND attnum > 0 AND attname IN (f.key_column, f.text_column, f.number_column)),
        (SELECT string_agg(inhrelid::text, ',' ORDER BY inhrelid) FROM pg_inherits WHERE inhparent = c.oid),
        (SELECT string_agg(concat(tgname, tgenabled), ',' ORDER BY tgname) FROM pg_trigger
         WHERE tgrelid = c.oid AND tgfoid = 'insideout.capture()'::regprocedure))
    FROM pg_class c WHERE c.oid = insideout.source(f)
$$;

-- Names carry the table's id: who restores a dump makes the triggers of the table that was dumped, beside those of the new one.
CREATE OR REPLACE FUNCTION insideout.attach(f insideout.followed) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    source regclass := insideout.source(f);
    prefix text := 'insideout_' || source::oid || '_';
    old record;
    new record;
BEGIN
    FOR old IN SELECT tgname, tgrelid::regclass AS source FROM pg_trigger
               WHERE tgfoid = 'insideout.capture()'::regprocedure
                 AND (tgrelid = source AND (NOT starts_with(tgname, prefix) OR tgenabled <> 'O')
                      OR tgrelid NOT IN (SELECT insideout.source(t) FROM insideout.followed t WHERE insideout.source(t) IS NOT NULL)) LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', old.tgname, old.source);
    END LOOP;
    FOR new IN SELECT prefix || lower(event) AS name, event, rows
               FROM (VALUES ('INSERT', 'REFERENCING NEW TABLE AS new_rows'), ('UPDATE', 'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows'),
                            ('DELETE', 'REFERENCING OLD TABLE AS old_rows'), ('TRUNCATE', '')) v (event, rows)
               WHERE source IS NOT NULL
                 AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = source AND tgname = prefix || lower(event)) LOOP
        EXECUTE format('CREATE TRIGGER %I AFTER %s ON %s %s FOR EACH STATEMENT EXECUTE FUNCTION insideout.capture()',
                       new.name, new.event, source, new.rows);
    END LOOP;
END $$;

-- After a statement that changes a definition. What it does itself is one, too: hence `busy`.
CREATE OR REPLACE FUNCTION insideout.follow(all_rows boolean) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    f insideout.followed;
BEGIN
    PERFORM set_config('insideout.busy', 'yes', true);
    FOR f IN SELECT * FROM insideout.followed LOOP
        IF all_rows OR insideout.definition(f) IS DISTINCT FROM f.definition THEN
            BEGIN
                PERFORM insideout.attach(f), insideout.compare(f);
                UPDATE insideout.followed SET definition = insideout.definition(f) WHERE name = f.name;
            EXCEPTION WHEN OTHERS THEN
                PERFORM insideout.note(f, 'its rows could not be compared: ' || SQLERRM);
            END;
        END IF;
    END LOOP;
    PERFORM set_config('insideout.busy', 'no', true);
END $$;

CREATE OR REPLACE FUNCTION insideout.on_definition() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF current_setting('insideout.busy', true) IS DISTINCT FROM 'yes' THEN
        PERFORM insideout.follow(false);
    END IF;
END $$;

-- Compares all rows of all tables, while nobody writes. Anybody may ask for it; `up` does.
CREATE OR REPLACE FUNCTION insideout.check() RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '3s' AS $$
DECLARE
    f insideout.followed;
BEGIN
    FOR f IN SELECT * FROM insideout.followed WHERE insideout.source(followed) IS NOT NULL LOOP
        EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', insideout.source(f));
    END LOOP;
    PERFORM insideout.follow(true);
END $$;

-- What people should know, a line for each table.
CREATE OR REPLACE VIEW insideout.problems AS
    SELECT format('there is no table public.%I: its rows are gone', f.name) AS problem FROM insideout.followed f WHERE insideout.source(f) IS NULL
    UNION ALL
    SELECT format('%s of %s kept out, such as %s: %s', CASE count(*) WHEN 1 THEN '1 row' ELSE count(*) || ' rows' END, table_name,
                  coalesce(quote_literal(min(key)), 'one without key'), (array_agg(reason ORDER BY key))[1])
    FROM insideout.refused GROUP BY table_name;

RESET ROLE;
SELECT insideout.check();
CREATE EVENT TRIGGER insideout ON ddl_command_end EXECUTE FUNCTION insideout.on_definition();
ALTER EVENT TRIGGER insideout ENABLE ALWAYS;
-- The tables of an administrator were followed themselves once.
DROP PUBLICATION IF EXISTS legacy;
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_publication WHERE pubname = 'insideout') THEN
        CREATE PUBLICATION insideout;
    END IF;
    ALTER PUBLICATION insideout SET TABLE insideout.stock, insideout.movies, insideout.pulse;
END $$;
