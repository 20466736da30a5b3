"""What follows the legacy tables (compose/postgres/capture.sql), on a PostgreSQL of its own: whatever an administrator does,
the suite's tables have what his have, in their own types, and no statement of his fails."""

import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

POSTGRES = pathlib.Path(__file__).resolve().parents[2] / "compose/postgres"


class Database:
    def __init__(self):
        self.data = pathlib.Path(tempfile.mkdtemp(prefix="legacy-"))
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        shutil.copytree(POSTGRES, self.data / "definition")
        (self.data / "postgres").mkdir()
        root = os.getuid() == 0  # PostgreSQL refuses to run as root
        if root:
            subprocess.run(["chown", "-R", "postgres:", self.data], check=True)
        self.user = pwd.getpwnam("postgres") if root else None
        self.start()

    def start(self):
        def become():
            if self.user:
                os.setgid(self.user.pw_gid)
                os.setuid(self.user.pw_uid)

        self.log = open(self.data.with_suffix(".log"), "w+")
        self.process = subprocess.Popen([self.data / "definition/start"], preexec_fn=become, stdout=self.log, stderr=self.log,
                                        env=os.environ | {"DATA_DIR": str(self.data), "TMPDIR": str(self.data), "LISTEN": "127.0.0.1", "POSTGRES_PORT": str(self.port)})
        deadline = time.monotonic() + 60
        while self.psql("SELECT 1").returncode != 0:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.log.seek(0)
                raise AssertionError(f"PostgreSQL does not start:\n{self.log.read()}")
            time.sleep(0.05)

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)
        self.log.close()

    def close(self):
        self.stop()
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.with_suffix(".log").unlink()

    def run(self, program, *args, given=None):
        return subprocess.run([program, "-h", "127.0.0.1", "-p", str(self.port), "-U", "legacy", *args], input=given, text=True,
                              capture_output=True, env=os.environ | {"PGPASSWORD": "legacy"}, timeout=60)

    def psql(self, statements):
        return self.run("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "legacy", given=statements)

    def sql(self, statements):
        done = self.psql(statements)
        if done.returncode != 0:
            raise AssertionError(f"{statements[:300]}: {done.stderr}")
        return done.stdout.strip()


class Legacy(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.db = Database()
        cls.addClassCleanup(cls.db.close)

    def setUp(self):
        self.sql("DROP TABLE IF EXISTS stock CASCADE; CREATE TABLE stock (product_id text PRIMARY KEY, name text, quantity int);"
                 "INSERT INTO stock VALUES ('a', 'A', 1), ('b', 'B', 2)")
        self.assert_stock(a=("A", 1), b=("B", 2))

    def sql(self, statements):
        return self.db.sql(statements)

    def assert_stock(self, refused=(), **rows):
        found = json.loads(self.sql("SELECT coalesce(json_object_agg(product_id, json_build_array(name, quantity)), '{}') FROM insideout.stock"))
        self.assertEqual({key: tuple(row) for key, row in found.items()}, rows)
        why = self.sql("SELECT coalesce(key, '') || ' ' || reason FROM insideout.refused WHERE table_name = 'stock' ORDER BY 1").splitlines()
        self.assertEqual(len(why), len(refused), why)
        for line, word in zip(why, refused):
            self.assertIn(word, line)
        self.assertEqual(bool(self.sql("SELECT * FROM insideout.problems")), bool(refused))

    # ---- statements ----

    def test_rows(self):
        self.sql("INSERT INTO stock VALUES ('c', NULL, NULL), ('d', 'D', 4)")
        self.sql("UPDATE stock SET quantity = quantity * 10 WHERE product_id <> 'c'")
        self.sql("UPDATE stock SET product_id = 'e' WHERE product_id = 'd'")
        self.sql("DELETE FROM stock WHERE product_id = 'b'")
        self.assert_stock(a=("A", 10), c=(None, None), e=("D", 40))
        self.sql("INSERT INTO stock VALUES ('a', 'A', 1), ('f', 'F', 6) ON CONFLICT (product_id) DO UPDATE SET quantity = EXCLUDED.quantity")
        self.sql("MERGE INTO stock USING (VALUES ('c'), ('g')) v (id) ON product_id = id WHEN MATCHED THEN DELETE"
                 " WHEN NOT MATCHED THEN INSERT VALUES (id, 'G', 7)")
        self.assert_stock(a=("A", 1), e=("D", 40), f=("F", 6), g=("G", 7))

    def test_keys_that_change_places(self):
        self.sql("ALTER TABLE stock DROP CONSTRAINT stock_pkey, ADD PRIMARY KEY (product_id) DEFERRABLE INITIALLY DEFERRED")
        self.sql("UPDATE stock SET product_id = CASE product_id WHEN 'a' THEN 'b' ELSE 'a' END")
        self.assert_stock(a=("B", 2), b=("A", 1))
        self.sql("BEGIN; UPDATE stock SET product_id = 'b' WHERE product_id = 'a'; UPDATE stock SET product_id = 'a' WHERE name = 'A'; COMMIT")
        self.assert_stock(a=("A", 1), b=("B", 2))

    def test_a_transaction_that_is_rolled_back(self):
        self.sql("BEGIN; TRUNCATE stock; ALTER TABLE stock DROP COLUMN quantity; INSERT INTO stock VALUES ('z'); ROLLBACK")
        self.assert_stock(a=("A", 1), b=("B", 2))

    def test_truncate_and_copy(self):
        self.sql("TRUNCATE stock")
        self.assert_stock()
        self.sql("COPY stock FROM stdin;\na\tA\t3\nc\tC\t\\N\n\\.\n")
        self.assert_stock(a=("A", 3), c=("C", None))

    def test_many_rows_at_once(self):
        self.sql("INSERT INTO stock SELECT 'bulk-' || n, 'Bulk', n FROM generate_series(1, 20000) n")
        self.sql("UPDATE stock SET quantity = quantity + 1")
        self.assertEqual(self.sql("SELECT count(*), sum(quantity) FROM insideout.stock"), self.sql("SELECT count(*), sum(quantity) FROM stock"))
        self.sql("DELETE FROM stock WHERE product_id LIKE 'bulk-%'")
        self.assert_stock(a=("A", 2), b=("B", 3))

    # ---- definitions ----

    def test_types(self):
        for kind in ("bigint", "numeric", "numeric(10,2)", "double precision", "text", "varchar(9)", "smallint", "int"):
            with self.subTest(kind):
                self.sql(f"ALTER TABLE stock ALTER quantity TYPE {kind} USING quantity::{kind}; UPDATE stock SET quantity = '7' WHERE product_id = 'a'")
                self.assert_stock(a=("A", 7), b=("B", 2))
                self.sql("UPDATE stock SET quantity = '1' WHERE product_id = 'a'")
        for kind in ("varchar(40)", "char(20)", "text"):
            with self.subTest(kind):
                self.sql(f"ALTER TABLE stock ALTER product_id TYPE {kind}, ALTER name TYPE {kind}; INSERT INTO stock VALUES ('c', 'C', 3)")
                self.assert_stock(a=("A", 1), b=("B", 2), c=("C", 3))
                self.sql("DELETE FROM stock WHERE product_id = 'c'")

    def test_a_new_type_by_an_expression(self):
        self.sql("ALTER TABLE stock ALTER quantity TYPE bigint USING quantity * 100")
        self.assert_stock(a=("A", 100), b=("B", 200))

    def test_columns(self):
        self.sql("ALTER TABLE stock ADD added numeric(8,2) NOT NULL DEFAULT 1, ADD shape point, ADD tags text[], ADD CHECK (quantity < 1000)")
        self.sql("INSERT INTO stock VALUES ('c', 'C', 3)")
        self.assert_stock(a=("A", 1), b=("B", 2), c=("C", 3))
        self.sql("ALTER TABLE stock DROP name")
        self.assert_stock(a=(None, 1), b=(None, 2), c=(None, 3))
        self.sql("ALTER TABLE stock ADD name text DEFAULT 'new'")
        self.assert_stock(a=("new", 1), b=("new", 2), c=("new", 3))
        self.sql("ALTER TABLE stock RENAME quantity TO amount")
        self.assert_stock(a=("new", None), b=("new", None), c=("new", None))
        self.sql("UPDATE stock SET amount = 9; ALTER TABLE stock RENAME amount TO quantity")
        self.assert_stock(a=("new", 9), b=("new", 9), c=("new", 9))
        self.sql("ALTER TABLE stock RENAME product_id TO id; DELETE FROM stock WHERE id = 'c'")
        self.assert_stock(["product_id is null"] * 2)
        self.sql("ALTER TABLE stock RENAME id TO product_id")
        self.assert_stock(a=("new", 9), b=("new", 9))

    def test_a_key_that_is_not_unique(self):
        self.sql("ALTER TABLE stock DROP CONSTRAINT stock_pkey; INSERT INTO stock VALUES ('a', 'again', 5)")
        self.assert_stock(["a product_id is not unique"] * 2, b=("B", 2))
        self.sql("DELETE FROM stock WHERE name = 'A'; ALTER TABLE stock ADD PRIMARY KEY (product_id)")
        self.assert_stock(a=("again", 5), b=("B", 2))

    def test_triggers_disabled(self):
        self.sql("BEGIN; ALTER TABLE stock DISABLE TRIGGER USER; INSERT INTO stock VALUES ('c', 'C', 3); COMMIT")
        self.sql("DO $$ DECLARE t text; BEGIN FOR t IN SELECT tgname FROM pg_trigger WHERE tgrelid = 'stock'::regclass LOOP"
                 " EXECUTE 'DROP TRIGGER ' || t || ' ON stock'; END LOOP; END $$; DELETE FROM stock WHERE product_id = 'a'")
        self.assert_stock(b=("B", 2), c=("C", 3))

    def test_a_table_made_anew(self):
        self.sql("DROP TABLE stock")
        self.assertIn("no table public.stock", self.sql("SELECT * FROM insideout.problems"))
        self.assertEqual(self.sql("SELECT count(*) FROM insideout.stock"), "0")
        self.sql("CREATE TABLE stock (quantity bigint, product_id varchar(10) PRIMARY KEY, name text)")
        self.sql("INSERT INTO stock VALUES (3, 'c', 'C')")
        self.assert_stock(c=("C", 3))
        self.sql("CREATE TABLE other AS SELECT * FROM stock; ALTER TABLE stock RENAME TO stock_old; ALTER TABLE other RENAME TO stock;"
                 "UPDATE stock_old SET quantity = 8; INSERT INTO stock VALUES (4, 'd', 'D'); DROP TABLE stock_old")
        self.assert_stock(c=("C", 3), d=("D", 4))
        self.sql("DROP TABLE stock; CREATE TABLE stock AS SELECT 'e' AS product_id, 'E' AS name, 5 AS quantity")
        self.assert_stock(e=("E", 5))

    def test_partitions(self):
        self.sql("ALTER TABLE stock RENAME TO stock_1; CREATE TABLE stock (LIKE stock_1 INCLUDING ALL) PARTITION BY HASH (product_id);"
                 "ALTER TABLE stock ATTACH PARTITION stock_1 FOR VALUES WITH (MODULUS 1, REMAINDER 0)")
        self.sql("UPDATE stock SET quantity = 4 WHERE product_id = 'b'")
        self.assert_stock(a=("A", 1), b=("B", 4))
        self.sql("ALTER TABLE stock DETACH PARTITION stock_1")
        self.assert_stock()

    def test_a_dump_restored(self):
        for options in (["-t", "stock"], ["-t", "stock", "--clean"], ["-n", "public", "--clean", "--if-exists"]):
            with self.subTest(options):
                dump = self.db.run("pg_dump", *options, "legacy")
                self.assertEqual(dump.returncode, 0, dump.stderr)
                self.sql("UPDATE stock SET quantity = 99; INSERT INTO stock VALUES ('x', 'X', 0)")
                if "--clean" not in options:
                    self.sql("DROP TABLE stock")
                self.sql(dump.stdout)
                self.assert_stock(a=("A", 1), b=("B", 2))
                self.sql("UPDATE stock SET quantity = 2 WHERE product_id = 'a'; UPDATE stock SET quantity = 1 WHERE product_id = 'a'")
                self.assert_stock(a=("A", 1), b=("B", 2))
        self.assertEqual(self.db.run("pg_dump", "legacy").returncode, 0)

    # ---- bad rows ----

    def test_rows_that_are_kept_out(self):
        self.sql("ALTER TABLE stock ALTER quantity TYPE text; INSERT INTO stock VALUES ('c', 'C', '3'), ('d', 'D', 'abc'), ('e', 'E', '2147483648'),"
                 "('f', 'F', '2.5'), ('g', repeat('g', 2000000), '7'), ('h', repeat('h', 900000), '8')")
        self.sql("UPDATE stock SET quantity = 'none' WHERE product_id = 'a'")
        self.assert_stock(["a quantity is no int: none", "d quantity is no int: abc", "e quantity is no int: 2147483648", "f quantity is no int: 2.5",
                           "g name is longer"], b=("B", 2), c=("C", 3), h=("h" * 900000, 8))
        self.sql("UPDATE stock SET quantity = '4' WHERE product_id IN ('a', 'd'); DELETE FROM stock WHERE product_id IN ('e', 'f', 'g', 'h')")
        self.assert_stock(a=("A", 4), b=("B", 2), c=("C", 3), d=("D", 4))

    def test_a_statement_that_cannot_be_followed(self):
        """Here because somebody holds what we need; his statement goes through, and the next `up` finds what is missing."""
        self.sql("CREATE FUNCTION quick() RETURNS void LANGUAGE sql AS $$ SELECT set_config('lock_timeout', '100', false) $$")
        with subprocess.Popen(["psql", "-h", "127.0.0.1", "-p", str(self.db.port), "-U", "legacy", "-Xq", "legacy"], text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | {"PGPASSWORD": "legacy"}) as other:
            other.stdin.write("ALTER TABLE stock DROP CONSTRAINT stock_pkey; BEGIN; INSERT INTO stock VALUES ('c', 'C', 3); SELECT 'done';\n")
            other.stdin.flush()
            while "done" not in other.stdout.readline():
                pass
            self.sql("SELECT quick(); INSERT INTO stock VALUES ('c', 'again', 4), ('d', 'D', 4)")
            other.communicate("COMMIT;\n")
        self.assert_stock(["lock timeout"], a=("A", 1), b=("B", 2), c=("C", 3))
        self.sql("DELETE FROM stock WHERE name = 'again'; ALTER TABLE stock ADD PRIMARY KEY (product_id); SELECT insideout.check()")
        self.assert_stock(a=("A", 1), b=("B", 2), c=("C", 3), d=("D", 4))

    # ---- the suite's side ----

    def test_movies(self):
        self.sql("ALTER TABLE movies ALTER movie_id TYPE numeric, ALTER release_year TYPE text")
        self.sql("INSERT INTO movies VALUES (9007199254740993, 'Big', '2024'), (1.5, 'Half', '2024'), (9.0, 'Nine', '2024') ON CONFLICT DO NOTHING;"
                 "UPDATE movies SET release_year = 'soon' WHERE movie_id = 1")
        self.assertEqual(self.sql("SELECT title, release_year FROM insideout.movies WHERE movie_id = 9007199254740993"), "Big|2024")
        self.assertEqual(self.sql("SELECT key, reason FROM insideout.refused WHERE table_name = 'movies' ORDER BY 1"),
                         "1|release_year is no int: soon\n1.5|movie_id is no bigint: 1.5")
        self.sql("DELETE FROM movies WHERE movie_id IN (9007199254740993, 1.5); UPDATE movies SET release_year = 1994 WHERE movie_id = 1")

    def test_whoever_changes_legacy_tables_gets_no_other_rights(self):
        for statement in ("DELETE FROM insideout.stock", "DROP TRIGGER insideout ON stock", "DROP EVENT TRIGGER insideout",
                          "CREATE TABLE insideout.mine ()", "SET ROLE insideout", "SELECT insideout.follow(true)"):
            self.assertNotEqual(self.db.psql(statement).returncode, 0, statement)

    def test_a_database_of_before_and_another_version(self):
        """What capture.sql is run on has tables, rows and the publication of before; and it is run again."""
        self.db.stop()
        with open(self.db.data / "definition/capture.sql", "a") as file:
            file.write("\n-- another version\n")
        self.db.start()
        self.assert_stock(a=("A", 1), b=("B", 2))
        self.sql("INSERT INTO stock VALUES ('c', 'C', 3)")
        self.assert_stock(a=("A", 1), b=("B", 2), c=("C", 3))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    unittest.main(verbosity=2)
