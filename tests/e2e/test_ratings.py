"""Ratings of the legacy database's movies: exact at any time, whatever comes, goes and is killed."""

import json
import subprocess
from fractions import Fraction

import avro
from suite import ROOT, SuiteTest, wait_until


class Ratings(SuiteTest):
    def rate(self, movie, rating):
        return self.suite.http("POST", "/v1/ratings", {"movieId": movie, "rating": rating})

    def movie(self, movie):
        answer = self.suite.http("GET", f"/v1/movies/{movie}")
        return answer.json if answer.status == 200 else None

    def await_movie(self, movie, count, total, **fields):
        """Until the view has these; returns the movie."""
        def matches():
            found = self.movie(movie)
            return found if found and (found["ratingCount"], found["ratingSumTenths"]) == (count, total) and \
                all(found[k] == v for k, v in fields.items()) else None
        found = wait_until(matches, 15, f"movie {movie} has {count} ratings, {total} tenths, {fields}; it is {self.movie(movie)}")
        self.assertAlmostEqual(found["averageRating"], total / count / 10 if count else 0, places=12)
        self.assertEqual(sum(found["distribution"]), count)
        return found

    def insert(self, movie, title):
        self.suite.sql(f"INSERT INTO movies VALUES ({movie}, '{title}', 2024)")

    def pages(self, query):
        movies, path, n = [], f"/v1/movies?{query}", 0
        while path:
            answer = self.suite.http("GET", path)
            self.assertEqual(answer.status, 200, answer)
            movies += answer.json["movies"]
            path, n = answer.json["next"], n + 1
        return movies, n

    def everything(self):
        """The answers as bytes."""
        def answers(paths):
            return {path: self.suite.http("GET", path).body for path in paths}
        lists = answers(f"/v1/movies?sort={sort}&limit=1000" for sort in ("rating", "count", "title", "year"))
        ids = [movie["movieId"] for movie in json.loads(next(iter(lists.values())))["movies"]]
        return lists | answers(f"/v1/movies/{i}{what}" for i in ids for what in ("", "/history"))

    def test_the_grid(self):
        self.insert(910001, "Grid")
        self.await_movie(910001, 0, 0, title="Grid", releaseYear=2024)
        tenths = [71, 3, 0, 100, 99, 1, 7, 33]
        for n in tenths:
            answer = self.rate(910001, n / 10)
            self.assertEqual((answer.status, answer.json), (202, {"movieId": 910001, "rating": n / 10}))
        self.assertEqual(self.rate(910001, 10).status, 202)
        refused = [("rating", b) for b in (b"7.15", b"10.1", b"-0.1", b"0.30000001", b"1e300", b'"7"', b"null", b"true", b"NaN", b"[7]")]
        for field, rating in refused:
            with self.subTest(rating):
                answer = self.suite.http("POST", "/v1/ratings", b'{"movieId":910001,"rating":' + rating + b"}")
                self.assert_problem(answer, 400)
                self.assertEqual(answer.json["field"], field)
        for movie in (b'"910001"', b"1.5", b"null", b"99999999999999999999"):
            with self.subTest(movie):
                answer = self.suite.http("POST", "/v1/ratings", b'{"movieId":' + movie + b',"rating":7}')
                self.assert_problem(answer, 400)
                self.assertEqual(answer.json["field"], "movieId")
        found = self.await_movie(910001, 9, sum(tenths) + 100)
        self.assertEqual(found["distribution"], [4, 0, 0, 1, 0, 0, 0, 1, 0, 3])

    def test_a_rating_waits_for_its_movie(self):
        for rating in (8, 9.5):
            self.assertEqual(self.rate(910002, rating).status, 202)
        self.assert_problem(self.suite.http("GET", "/v1/movies/910002"), 404)
        self.insert(910002, "Late")
        self.await_movie(910002, 2, 175, title="Late")

    def test_a_movie_is_renamed_deleted_and_comes_back(self):
        self.insert(910003, "Se7en")
        self.rate(910003, 8)
        self.await_movie(910003, 1, 80, title="Se7en")
        self.suite.sql("UPDATE movies SET title = 'Seven, ''95 — Größe' WHERE movie_id = 910003")
        self.await_movie(910003, 1, 80, title="Seven, '95 — Größe")
        self.suite.sql("UPDATE movies SET title = NULL, release_year = NULL WHERE movie_id = 910003")
        self.await_movie(910003, 1, 80, title=None, releaseYear=None)
        self.suite.sql("DELETE FROM movies WHERE movie_id = 910003")
        wait_until(lambda: self.suite.http("GET", "/v1/movies/910003").status == 404, 10, "the delete is seen")
        self.assertNotIn(910003, [m["movieId"] for m in self.pages("limit=1000")[0]])
        last = [r for r in self.suite.read("rated-movies") if r["key"] == "910003"][-1]
        self.assertIsNone(last["value"])
        self.assertIn("movies/", last["headers"]["caused-by"])
        self.rate(910003, 6)
        self.insert(910003, "Se7en again")
        self.await_movie(910003, 2, 140, title="Se7en again", releaseYear=2024)

    def test_lists(self):
        for n, ratings in enumerate([(9, 9), (9,), (9.1, 8.9, 9), (10, 8), (2.3, 4.5, 6), (0,)]):
            self.insert(920000 + n, f"List {n % 3} of Movies")
            for rating in ratings:
                self.rate(920000 + n, rating)
        self.await_movie(920005, 1, 0)
        self.await_movie(920004, 3, 128)
        everything, _ = self.pages("limit=1000")
        self.assertGreater(len(everything), 300)

        def exact(m):
            rated = m["ratingCount"] > 0
            return (not rated, -Fraction(m["ratingSumTenths"], m["ratingCount"]) if rated else 0, -m["ratingCount"], m["movieId"])
        self.assertEqual([m["movieId"] for m in everything], [m["movieId"] for m in sorted(everything, key=exact)])
        for sort, key in {"rating": exact, "count": lambda m: (-m["ratingCount"], m["movieId"]),
                          "year": lambda m: -(m["releaseYear"] or -9999), "title": lambda m: (m["title"] is None, (m["title"] or "").lower().encode())}.items():
            with self.subTest(sort):
                some, n = self.pages(f"sort={sort}&limit=37")
                self.assertEqual(n, -(-len(everything) // 37))
                self.assertEqual(sorted(m["movieId"] for m in some), sorted(m["movieId"] for m in everything))
                self.assertEqual([key(m) for m in some], sorted(key(m) for m in some))
        found, _ = self.pages("q=list%201%20OF&limit=1")
        self.assertEqual([m["movieId"] for m in found], [920001, 920004])
        self.assertEqual(self.pages("q=no%20such%20movie")[0], [])
        for bad in ("sort=best", "limit=0", "limit=1001", "limit=x", "after=xyz", "after=0"):
            with self.subTest(bad):
                self.assert_problem(self.suite.http("GET", f"/v1/movies?{bad}"), 400, bad.split("=")[0])

    def test_what_is_written_past_http(self):
        self.rate(1, 7)
        schema = wait_until(lambda: [r["schema"] for r in self.suite.read("raw-ratings")], 10, "a rating")[0]
        self.insert(910004, "Past HTTP")
        for what, key, movie, tenths in [("more than 100", "910004", 910004, 101), ("below 0", "910004", 910004, -1),
                                         ("another key", "910004", 910005, 50), ("not an id", "seven", 7, 50), ("zeros", "0910004", 910004, 50)]:
            with self.subTest(what):
                place = self.suite.write("raw-ratings", [{"key": key, "hex": avro.wire(schema, avro.integer(movie) + avro.integer(tenths))}])[0]
                name = f"raw-ratings/{place['partition']}/{place['offset']}"
                wait_until(lambda: [r for r in self.suite.read("dead-letters") if r["key"] == name], 15, "a dead letter")
        self.suite.write("raw-ratings", [{"key": "910004", "hex": avro.wire(schema, avro.integer(910004) + avro.integer(100))}])
        self.await_movie(910004, 1, 100)
        self.suite.audit()

    def test_the_same_bytes_after_a_rewind(self):
        for n in range(1, 60):
            self.rate(n, n % 101 / 10)
        self.suite.audit()  # waits until all is counted
        before = self.everything()
        said = self.suite.demo("rewind", "ratings").stdout
        self.assertRegex(said, r"ratings-0: [1-9]\d* events in \d+\.\d\d ?s")
        after = self.everything()
        self.assertEqual(list(after), list(before))
        for path, answer in before.items():
            self.assertEqual(after[path], answer, path)

    def test_exact_after_kill_9_under_load(self):
        def total():
            return sum(m["ratingCount"] for m in self.pages("limit=1000")[0])
        self.suite.audit()
        before = total()
        load = subprocess.Popen([ROOT / "demo", "load", "ratings", "--direct", "--rate", "1500", "--count", "9000", "--json"],
                                env=self.suite.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            for _ in range(3):
                at = total()
                wait_until(lambda: total() > at or load.poll() is not None, 30, "ratings are counted")
                process = self.suite.pid("ratings")
                self.suite.demo("kill", "ratings")
                wait_until(lambda: self.suite.pid("ratings") not in (None, process), 10, "ratings is started again")
                wait_until(lambda: self.suite.is_ready("ratings"), 60, "ratings is ready")
            said, trouble = load.communicate(timeout=120)
        finally:
            load.kill()
        self.assertEqual(load.returncode, 0, trouble)
        accepted = json.loads(said)["ratings"]
        self.assertEqual(accepted, 9000)
        wait_until(lambda: total() == before + accepted, 60, "each rating counts once")
        self.suite.audit()

    def test_load_over_http(self):
        said = json.loads(self.suite.demo("load", "ratings", "--rate", "100", "--count", "200", "--json").stdout)
        self.assertEqual((said["ratings"], said["refused"], said["unknown"]), (200, 0, 0))
        self.assertGreater(said["acceptedMs"]["p99"], 0)

    def test_simulation_is_of_one_instance_and_ends(self):
        def sent():
            answer = self.suite.http("GET", "/v1/ratings/simulation")
            self.assertEqual(answer.status, 200, answer)
            return answer.json
        for bad in (-1, 20001, 1.5, "1"):
            answer = self.suite.http("PUT", "/v1/ratings/simulation", {"rate": bad})
            self.assert_problem(answer, 400)
            self.assertEqual(answer.json["field"], "rate")
        self.suite.demo("scale", "ratings", "2")
        try:
            for rate in (100, 200, 300):
                self.assertEqual(self.suite.http("PUT", "/v1/ratings/simulation", {"rate": rate}).json["rate"], rate)
                self.assertEqual([sent()["rate"] for _ in range(4)], [rate] * 4)
            other = self.suite.http("GET", "/v1/ratings/simulation", port=self.suite.service_port("ratings", 1)).json
            self.assertEqual((other["rate"], other["sent"]), (0, 0))
            wait_until(lambda: sent()["sent"] > 100, 20, "ratings are simulated")
            self.assertEqual(self.suite.http("PUT", "/v1/ratings/simulation", {"rate": 0}).json["rate"], 0)
        finally:
            self.suite.demo("scale", "ratings", "1")
        self.suite.audit()

    def test_status_answers(self):
        status = self.suite.http("GET", "/v1/ratings/status").json
        self.assertTrue(status["ready"])
        self.assertEqual({s["name"] for s in status["streams"]}, {"ratings", "ratings-view"})
        self.assertTrue(all(s["left"] == 0 for s in status["streams"]), status)
