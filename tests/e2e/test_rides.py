"""Riders and drivers: one decider, whoever accepts at once, whatever is killed."""

import contextlib
import http.client
import itertools
import json
import socket
import struct
import threading
import time

import avro
from suite import LONG, SuiteTest, wait_until

PICKUP, DESTINATION = {"lat": 52.5, "lon": 13.4}, {"lat": 52.52, "lon": 13.45}
STEPS = ["accept", "arrive", "start", "complete"]
STATES = ["REQUESTED", "ACCEPTED", "ARRIVED", "ON_TRIP", "COMPLETED"]
names = (f"{n}" for n in itertools.count())


class RidesTest(SuiteTest):
    def unique(self, what):
        return f"{what}-{type(self).__name__}-{next(names)}"

    def hail(self, rider, port=None, **fields):
        return self.suite.http("POST", f"/v1/riders/{rider}/rides", {"pickup": PICKUP, "destination": DESTINATION} | fields, port=port)

    def ride_of(self, rider, **fields):
        answer = self.hail(rider, **fields)
        self.assertEqual(answer.status, 201, answer)
        self.assertEqual(answer.headers["Location"], f"/v1/rides/{answer.json['id']}")
        return answer.json["id"]

    def act(self, driver, ride, action, port=None, **fields):
        return self.suite.http("POST", f"/v1/drivers/{driver}/rides/{ride}/{action}", fields, port=port)

    def cancel(self, ride):
        return self.suite.http("POST", f"/v1/rides/{ride}/cancel", {})

    def ride(self, ride):
        answer = self.suite.http("GET", f"/v1/rides/{ride}")
        self.assertEqual(answer.status, 200, answer)
        return answer.json

    def states_in_the_log(self, ride):
        return [(r["value"]["state"], r["value"]["driverId"]) for r in self.suite.read("rides") if r["key"] == ride]

    def position(self, kind, who, **fields):
        answer = self.suite.http("POST", f"/v1/{kind}s/{who}/position", PICKUP | fields)
        self.assertEqual(answer.status, 202, answer)


class WholeRide(RidesTest):
    def test_from_hail_to_receipt(self):
        rider, driver = self.unique("rider"), self.unique("driver")
        self.position("rider", rider, name="Ada")
        self.position("driver", driver, name="Bob", heading=90.5)
        ride = self.ride_of(rider)
        for action, state in zip(STEPS, STATES[1:]):
            answer = self.act(driver, ride, action)
            self.assertEqual((answer.status, answer.json["state"]), (200, state), answer)
            self.assertEqual(self.ride(ride), answer.json)
            self.assertEqual(self.act(driver, ride, action).status, 200, "what is done is done")
        receipt = self.ride(ride)
        self.assertEqual((receipt["riderName"], receipt["driverName"]), ("Ada", "Bob"))
        self.assertGreater(receipt["fareCents"], 0)
        self.assertLessEqual(receipt["requestedAt"], receipt["startedAt"])
        self.assertLessEqual(receipt["startedAt"], receipt["endedAt"])
        self.assertEqual(self.states_in_the_log(ride), list(zip(STATES, [None] + [driver] * 4)))
        for who in (f"riders/{rider}", f"drivers/{driver}"):
            self.assertEqual([r["id"] for r in self.suite.http("GET", f"/v1/{who}/rides").json["rides"]], [ride])
        self.assert_problem(self.cancel(ride), 409, "COMPLETED")
        self.ride_of(rider)  # the next one

    def test_what_is_out_of_order(self):
        rider, driver, other = self.unique("rider"), self.unique("driver"), self.unique("driver")
        ride = self.ride_of(rider)
        for action in STEPS[1:]:
            self.assert_problem(self.act(driver, ride, action), 409, "REQUESTED")
        for n, action in enumerate(STEPS):
            for wrong in STEPS[n + 1:]:
                self.assert_problem(self.act(driver, ride, wrong), 409)
            self.assertEqual(self.act(driver, ride, action).status, 200)
            self.assert_problem(self.act(other, ride, action), 409)
            if n >= 2:
                self.assert_problem(self.cancel(ride), 409)
        self.assert_problem(self.act(driver, ride, "accept"), 409)
        for answer in (self.act(driver, "no-such-ride", "accept"), self.act(driver, "no-such-ride", "arrive"), self.cancel("no-such-ride"),
                       self.suite.http("GET", "/v1/rides/no-such-ride"), self.suite.http("GET", "/v1/drivers/nobody/position")):
            self.assert_problem(answer, 404)

    def test_cancel(self):
        for steps in range(3):
            rider, driver = self.unique("rider"), self.unique("driver")
            ride = self.ride_of(rider)
            for action in STEPS[:steps]:
                self.act(driver, ride, action)
            self.assertEqual(self.cancel(ride).json["state"], "CANCELLED")
            self.assertEqual(self.cancel(ride).status, 200)
            self.assertEqual(self.ride(ride)["state"], "CANCELLED")
            again = self.ride_of(rider)  # both are free, at once
            self.assertEqual(self.act(driver, again, "accept").status, 200)

    def test_one_ride_at_a_time(self):
        rider, driver = self.unique("rider"), self.unique("driver")
        ride, another = self.ride_of(rider), self.ride_of(self.unique("rider"))
        self.assert_problem(self.hail(rider), 409, ride)
        self.assertEqual(self.act(driver, ride, "accept").status, 200)
        self.assert_problem(self.act(driver, another, "accept"), 409, ride)
        for action in STEPS[1:]:
            self.assertEqual(self.act(driver, ride, action).status, 200)
        self.assertEqual(self.act(driver, another, "accept").status, 200)

    def test_the_same_hail_again_is_the_same_ride(self):
        rider, ride = self.unique("rider"), self.unique("ride")
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(self.hail(rider, id=ride))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual({a.status for a in answers} | {200, 201}, {200, 201}, answers)
        self.assertEqual({a.json["id"] for a in answers}, {ride})
        self.assertEqual(self.hail(rider, id=ride).status, 200)
        self.assert_problem(self.hail(rider, id=ride, destination={"lat": 1, "lon": 1}), 409, "id")
        self.assert_problem(self.hail(self.unique("rider"), id=ride), 409, "id")
        self.assertEqual(self.states_in_the_log(ride), [("REQUESTED", None)])

    def test_the_same_command_gets_the_same_reply(self):
        driver, other = self.unique("driver"), self.unique("driver")
        ride = self.ride_of(self.unique("rider"))
        self.assertEqual(self.act(driver, ride, "accept", commandId="yes").status, 200)
        self.assertEqual(self.act(other, ride, "accept", commandId="no").status, 409)
        self.cancel(ride)
        self.assertEqual(self.act(driver, ride, "accept", commandId="yes").status, 200)
        self.assertEqual(self.act(other, ride, "accept", commandId="no").status, 409)
        self.assertEqual(self.act(driver, ride, "accept").status, 409)

    def test_a_command_id_is_its_senders_and_of_one_thing(self):
        driver, other, rider = self.unique("driver"), self.unique("driver"), self.unique("rider")
        ride, another = self.ride_of(rider), self.ride_of(self.unique("rider"))
        self.assertEqual(self.act(driver, ride, "accept", commandId="1").status, 200)
        self.assert_problem(self.act(other, ride, "accept", commandId="1"), 409, "commandId")
        self.assert_problem(self.suite.http("POST", f"/v1/rides/{ride}/cancel", {"commandId": "1"}), 409, "commandId")
        self.assert_problem(self.act(driver, ride, "arrive", commandId="1"), 409, "commandId")
        self.assert_problem(self.act(driver, another, "accept", commandId="2"), 409, ride)
        self.assertEqual(self.act(driver, ride, "accept", commandId="1").status, 200)
        self.assertEqual(self.ride(ride)["state"], "ACCEPTED")
        self.assertEqual(self.act(driver, ride, "arrive", commandId="3").status, 200)
        self.assertEqual(self.act(other, another, "accept", commandId="4").status, 200)

    def test_a_persons_hail_is_left_to_people(self):
        ride, robots = self.ride_of(self.unique("rider")), self.ride_of(self.unique("rider"), simulated=True)
        self.assert_problem(self.act(self.unique("driver"), ride, "accept", simulated=True), 409, "20 s")
        self.assertEqual(self.act(self.unique("driver"), robots, "accept", simulated=True).status, 200)
        self.assertEqual(self.act(self.unique("driver"), ride, "accept").status, 200)


class Near(RidesTest):
    def test_who_is_near(self):
        here = {"lat": -33.1, "lon": 151.2}
        rider, driver = self.unique("rider"), self.unique("driver")
        self.position("rider", rider, **here)
        self.position("driver", driver, **here)
        distances = {self.unique("driver"): metres for metres in (0, 500, 1900, 2100, 5000)}
        for who, metres in distances.items():
            self.position("driver", who, lat=here["lat"] + metres / 111195, lon=here["lon"])
        away = self.unique("driver")
        self.position("driver", away, status="OFFLINE", **here)

        def drivers(query=""):
            return {d["id"] for d in self.suite.http("GET", f"/v1/riders/{rider}/nearby{query}").json["drivers"]}

        near = {who for who, metres in distances.items() if metres < 2000} | {driver}
        wait_until(lambda: drivers() == near, 10, "the drivers within 2 km")
        farther = near | {who for who, metres in distances.items() if metres < 3000}
        wait_until(lambda: drivers("?radius=3000") == farther, 10, "the drivers within 3 km")
        self.assertEqual(drivers("?lat=-33.1&lon=151.2&radius=100"), {driver} | {w for w, m in distances.items() if m == 0})
        self.assertEqual(drivers("?bbox=151,-33.2,151.1,-33"), set())
        self.assertTrue(drivers("?bbox=-180,-90,180,90") >= near)
        self.position("driver", driver, lat=40, lon=151.2)  # drives away
        wait_until(lambda: drivers() == near - {driver}, 10, "one less")

        ride = self.ride_of(rider, pickup=here)
        waiting = next(w for w, m in distances.items() if m == 0)
        hails = lambda: [r["id"] for r in self.suite.http("GET", f"/v1/drivers/{waiting}/nearby").json["hails"]]
        wait_until(lambda: hails() == [ride], 5, "the hail shows")
        self.assertEqual(self.act(driver, ride, "accept").status, 200)
        wait_until(lambda: hails() == [], 5, "the hail is gone")


    def test_who_is_near_across_the_date_line(self):
        rider, east, west, far = self.unique("rider"), self.unique("driver"), self.unique("driver"), self.unique("driver")
        self.position("rider", rider, lat=-16.8, lon=179.999)
        for driver, lon in ((west, 179.998), (east, -179.998), (far, -179.5)):
            self.position("driver", driver, lat=-16.8, lon=lon)
        near = lambda query="": {d["id"] for d in self.suite.http("GET", f"/v1/riders/{rider}/nearby{query}").json["drivers"]}
        wait_until(lambda: near() == {east, west}, 10, "those on both sides")
        self.assertEqual(near("?bbox=179.9,-17,-179.9,-16"), {east, west})
        self.assertEqual(near("?bbox=-180,-17,-179,-16"), {east, far})
        with Stream(self.suite, f"/v1/events/riders/{rider}?bbox=179.9,-17,-179.9,-16") as stream:
            wait_until(lambda: {east, west} <= set(stream.names("driver")), 10, "both cars")
            self.assertNotIn(far, stream.names("driver"))


class Hostile(RidesTest):
    def test_bodies(self):
        ride = self.ride_of(self.unique("rider"))
        position, rides = "/v1/riders/ann/position", "/v1/riders/ann/rides"
        cases = [
            (position, {}, "lat"), (position, {"lat": 1}, "lon"), (position, {"lat": 90.1, "lon": 0}, "lat"),
            (position, {"lat": 0, "lon": -180.1}, "lon"), (position, {"lat": "1", "lon": 0}, "lat"), (position, {"lat": None, "lon": 0}, "lat"),
            (position, {"lat": True, "lon": 0}, "lat"), (position, b'{"lat":NaN,"lon":0}', "lat"), (position, b'{"lat":1e999,"lon":0}', "lat"),
            (position, b'{"lat":1,"lat":2,"lon":0}', "lat"), (position, PICKUP | {"heading": 361}, "heading"),
            (position, PICKUP | {"status": "x" * 33}, "status"), (position, PICKUP | {"name": 7}, "name"),
            (position, PICKUP | {"simulated": "yes"}, "simulated"),
            (rides, {}, "pickup.lat"), (rides, {"pickup": PICKUP}, "destination.lat"), (rides, {"pickup": 7, "destination": DESTINATION}, "pickup.lat"),
            (rides, {"pickup": PICKUP, "destination": {"lat": 0, "lon": 999}}, "destination.lon"),
            (rides, {"id": "a b", "pickup": PICKUP, "destination": DESTINATION}, "id"),
            (f"/v1/rides/{ride}/cancel", {"commandId": "a/b"}, "commandId"),
            (f"/v1/drivers/bob/rides/{ride}/accept", {"simulated": 1}, "simulated"),
        ]
        for path, body, field in cases:
            with self.subTest(path=path, body=body):
                answer = self.suite.http("POST", path, body)
                self.assert_problem(answer, 400)
                self.assertEqual(answer.json["field"], field)
        for query, field in (("bbox=1,2,3", "bbox"), ("bbox=nan,0,1,1", "bbox"), ("lat=1", "lon"), ("lat=x&lon=0", "lat"), ("radius=1", "lat"),
                             ("lat=0&lon=0&radius=-1", "radius")):
            answer = self.suite.http("GET", f"/v1/riders/nobody/nearby?{query}")
            self.assert_problem(answer, 400)
            self.assertEqual(answer.json["field"], field)
        self.assert_problem(self.suite.http("POST", "/v1/riders/a%2Fb/position", PICKUP), 400, "id")
        self.assert_problem(self.suite.http("GET", position.replace("position", "nothing")), 404)
        self.assert_problem(self.suite.http("GET", f"/v1/rides/{ride}/cancel"), 405)
        self.assert_problem(self.suite.http("POST", position, PICKUP, {"Content-Type": "text/plain"}), 415)

    def test_an_empty_body_is_enough_for_an_action(self):
        ride, driver = self.ride_of(self.unique("rider")), self.unique("driver")
        self.assertEqual(self.suite.http("POST", f"/v1/drivers/{driver}/rides/{ride}/accept", b"").status, 200)
        self.assertEqual(self.suite.http("POST", f"/v1/rides/{ride}/cancel", b"").status, 200)


class AtOnce(RidesTest):
    ROUNDS = 200 if LONG else 25

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for service in ("rider", "driver"):
            cls.suite.demo("scale", service, 2)
            wait_until(lambda: cls.suite.is_ready(service, 0) and cls.suite.is_ready(service, 1), 60, f"two of {service}")

    @classmethod
    def tearDownClass(cls):
        for service in ("rider", "driver"):
            cls.suite.demo("scale", service, 1)
        wait_until(lambda: cls.suite.is_ready("rider") and cls.suite.is_ready("driver"), 60, "one of each")

    def together(self, *calls):
        answers, ready = [None] * len(calls), threading.Barrier(len(calls))

        def run(n):
            ready.wait()
            answers[n] = calls[n]()

        threads = [threading.Thread(target=run, args=(n,)) for n in range(len(calls))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers

    def test_of_two_drivers_exactly_one_wins(self):
        drivers = [self.unique("driver") for _ in range(2)]
        ports = [self.suite.service_port("driver", n) for n in range(2)]
        wins = [0, 0]
        ride, spare = self.ride_of(self.unique("rider")), self.ride_of(self.unique("rider"))
        for _ in range(self.ROUNDS):
            answers = self.together(*[lambda n=n: self.act(drivers[n], ride, "accept", port=ports[n]) for n in range(2)])
            self.assertEqual(sorted(a.status for a in answers), [200, 409], answers)
            winner = [a.status for a in answers].index(200)
            wins[winner] += 1
            self.assertEqual(self.ride(ride)["driverId"], drivers[winner])
            taken = self.act(drivers[1 - winner], spare, "accept", port=ports[winner])
            self.assertEqual(taken.status, 200, "who lost takes another at once")
            for gone in (ride, spare):
                self.assertEqual(self.cancel(gone).status, 200)
            ride, spare = self.ride_of(self.unique("rider")), self.ride_of(self.unique("rider"))
        print(f"    wins: {wins}", flush=True)

    def test_one_driver_two_rides_and_one_rider_two_hails(self):
        for _ in range(self.ROUNDS // 2):
            driver, rider = self.unique("driver"), self.unique("rider")
            answers = self.together(*[lambda n=n: self.hail(rider, port=self.suite.service_port("rider", n)) for n in range(2)])
            self.assertEqual(sorted(a.status for a in answers), [201, 409], answers)
            rides = [next(a for a in answers if a.status == 201).json["id"], self.ride_of(self.unique("rider"))]
            answers = self.together(*[lambda n=n: self.act(driver, rides[n], "accept", port=self.suite.service_port("driver", n))
                                      for n in range(2)])
            self.assertEqual(sorted(a.status for a in answers), [200, 409], answers)
            for ride in rides:
                self.cancel(ride)

    def test_what_one_instance_says_the_other_shows(self):
        driver = self.unique("driver")
        for n in range(10):
            ride = self.hail(self.unique("rider"), port=self.suite.service_port("rider", n % 2)).json["id"]
            self.assertEqual(self.act(driver, ride, "accept", port=self.suite.service_port("driver", n % 2)).status, 200)
            shown = self.suite.http("GET", f"/v1/rides/{ride}", port=self.suite.service_port("rider", 1 - n % 2)).json
            self.assertEqual((shown["state"], shown["driverId"]), ("ACCEPTED", driver))
            self.cancel(ride)


class Stream:
    """A stream of server-sent events, read by a thread; `with` closes it."""

    def __init__(self, suite, path):
        self.events, self.connection = [], http.client.HTTPConnection("127.0.0.1", suite.ports["PORT"], timeout=60)
        self.connection.request("GET", path)
        self.response = self.connection.getresponse()
        assert self.response.status == 200, f"{path}: {self.response.status} {self.response.read()}"
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        event = {}
        with contextlib.suppress(OSError, ValueError, AttributeError, http.client.HTTPException):
            for line in self.response:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name:
                    event[name] = value
                elif "data" in event:
                    self.events.append((event.get("event"), json.loads(event["data"])))
                    event = {}
                else:
                    event = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.sock.shutdown(socket.SHUT_RDWR)
        self.connection.close()
        self.thread.join(10)

    def names(self, event):
        return [data.get("id") or data.get("key") for name, data in list(self.events) if name == event]

    def states(self, ride):
        return [data["state"] for name, data in list(self.events) if name == "ride" and data["id"] == ride]


class Events(RidesTest):
    HERE, BOX = {"lat": 20.001, "lon": 30.001}, "bbox=30,20,30.1,20.1"

    def test_what_a_rider_sees(self):
        rider, driver, far = self.unique("rider"), self.unique("driver"), self.unique("driver")
        self.position("driver", driver, **self.HERE)
        with Stream(self.suite, f"/v1/events/riders/{rider}?{self.BOX}") as stream:
            wait_until(lambda: driver in stream.names("driver"), 10, "a car that was there before")
            self.position("driver", far, lat=21, lon=30)
            self.position("driver", driver, lat=20.05, lon=30.05)
            wait_until(lambda: any(d.get("lat") == 20.05 for n, d in stream.events if n == "driver"), 10, "it moves")
            ride = self.ride_of(rider, pickup=self.HERE)
            for action, state in zip([None] + STEPS, STATES):
                if action:
                    self.assertEqual(self.act(driver, ride, action).status, 200)
                wait_until(lambda: state in stream.states(ride), 10, state)
            self.ride_of(self.unique("rider"), pickup=self.HERE)
            self.position("driver", driver, lat=25, lon=30)
            wait_until(lambda: driver in stream.names("driver-deleted"), 10, "it drives out of view")
            self.assertNotIn(far, stream.names("driver"))
            self.assertEqual(set(stream.names("ride")), {ride}, "nobody else's")

    def test_the_car_that_comes_is_seen_wherever_it_is(self):
        rider, driver = self.unique("rider"), self.unique("driver")
        ride = self.ride_of(rider)
        self.act(driver, ride, "accept")
        with Stream(self.suite, f"/v1/events/riders/{rider}?bbox=0,0,1,1") as stream:
            wait_until(lambda: "ACCEPTED" in stream.states(ride), 10, "the ride")
            self.position("driver", driver, lat=-70)
            wait_until(lambda: driver in stream.names("driver"), 10, "its car")
        self.cancel(ride)

    def test_what_a_driver_sees(self):
        rider, driver, other = self.unique("rider"), self.unique("driver"), self.unique("driver")
        with Stream(self.suite, f"/v1/events/drivers/{driver}?{self.BOX}") as stream, \
             Stream(self.suite, f"/v1/events/rides?{self.BOX}") as city:
            self.position("rider", rider, **self.HERE)
            wait_until(lambda: rider in stream.names("rider") and rider in city.names("rider"), 10, "a rider")
            ride, away = self.ride_of(rider, pickup=self.HERE), self.ride_of(self.unique("rider"))
            wait_until(lambda: stream.states(ride) == ["REQUESTED"], 10, "a hail")
            self.assertEqual(self.act(other, ride, "accept").status, 200)
            wait_until(lambda: ride in stream.names("ride-deleted"), 10, "somebody else has it")
            wait_until(lambda: "ACCEPTED" in city.states(ride), 10, "the city sees it all")
            self.cancel(ride)
            wait_until(lambda: ride in city.names("ride-deleted"), 10, "it is over")
            mine = self.ride_of(rider, pickup=self.HERE)
            for action in STEPS:
                self.act(driver, mine, action)
            wait_until(lambda: stream.states(mine)[-1:] == ["COMPLETED"], 10, "one's own to its end")
            self.assertNotIn(away, stream.names("ride") + city.names("ride"))

    def test_refused(self):
        for path in ("riders/a", "drivers/a", "rides"):
            self.assert_problem(self.suite.http("GET", f"/v1/events/{path}?bbox=1,2"), 400, "bbox")


class Killed(RidesTest):
    def insist(self, call):
        """Until somebody answers, as clients do: with the same ids that is safe."""
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                answer = call()
                if answer.status not in (503, 504):
                    return answer
            self.assertLess(time.monotonic(), deadline, "nobody answers")
            time.sleep(0.05)

    def kill(self, service):
        before = self.suite.pid(service)
        self.suite.demo("kill", service)
        wait_until(lambda: self.suite.pid(service) not in (None, before), 10, f"{service} is started again")

    def test_the_ride_goes_on(self):
        for service in ("rider", "driver"):
            for stage in range(5):
                rider, driver, ride = self.unique("rider"), self.unique("driver"), self.unique("ride")
                for n, action in enumerate(["hail"] + STEPS):
                    killer = threading.Thread(target=self.kill, args=(service,)) if n == stage else None
                    if killer:
                        killer.start()  # in the middle of it
                    answer = self.insist(lambda: self.hail(rider, id=ride) if action == "hail" else self.act(driver, ride, action))
                    if killer:
                        killer.join()
                    self.assertIn(answer.status, (200, 201), f"{service} killed at {STATES[stage]}: {action}: {answer}")
                    self.assertEqual(self.insist(lambda: self.suite.http("GET", f"/v1/rides/{ride}")).json["state"], STATES[n])
                self.assertEqual(self.states_in_the_log(ride), list(zip(STATES, [None] + [driver] * 4)))
        self.suite.audit()


class Vanished(RidesTest):
    def test_a_driver_that_vanishes_gives_the_ride_back(self):
        rider, gone, stays, other = self.unique("rider"), self.unique("driver"), self.unique("driver"), self.unique("driver")
        ride, kept, trip = self.ride_of(rider), self.ride_of(self.unique("rider")), self.ride_of(self.unique("rider"))
        self.assertEqual(self.act(gone, ride, "accept").status, 200)
        self.assertEqual(self.act(stays, kept, "accept").status, 200)
        for action in STEPS[:3]:
            self.assertEqual(self.act(other, trip, action).status, 200)
        since = time.monotonic()

        def given_back():
            self.position("driver", stays)
            time.sleep(0.5)  # as a car reports
            return self.ride(ride)["state"] == "REQUESTED"

        wait_until(given_back, 75, "the ride is given back")
        self.assertGreater(time.monotonic() - since, 29, "not before 30 s without a position")
        shown = self.ride(ride)
        self.assertIsNone(shown["driverId"])
        self.assertTrue(shown["reason"])
        self.assertEqual(self.ride(kept)["state"], "ACCEPTED")
        self.assertEqual(self.ride(trip)["state"], "ON_TRIP", "the passenger sits in the car")
        self.assert_problem(self.act(gone, ride, "arrive"), 409)
        self.assertEqual(self.act(gone, ride, "accept").status, 200, "back again")
        self.assertEqual(self.act(other, trip, "complete").status, 200)


class Poison(RidesTest):
    INPUTS = ["rider-positions", "driver-positions", "rider-commands", "driver-commands", "ride-commands", "rider-claim-answers",
              "driver-claim-answers", "rides"]

    def test_bad_records_are_dead_letters_and_the_rest_goes_on(self):
        rider, driver = self.unique("rider"), self.unique("driver")
        self.position("rider", rider), self.position("driver", driver)
        for _ in range(2):
            ride = self.ride_of(rider)
            self.act(driver, ride, "accept"), self.cancel(ride)
        good = {}
        for record in self.suite.read(*self.INPUTS):
            if record.get("value") is not None:
                good[record["topic"]] = record
        self.assertEqual(sorted(good), sorted(self.INPUTS), "each topic has a record")
        sent = {}
        for topic in self.INPUTS:
            schema = good[topic]["schema"]
            nowhere = avro.string("poison") + struct.pack("<dd", float("nan"), 0) + b"\0" + avro.string("ONLINE") + b"\0\0"
            records = [{"key": "poison", "hex": "0000"}, {"key": "poison", "hex": avro.wire(schema, b"\x04\xff\xfe" * 4)},
                       {"key": "poison", "hex": None}, {"key": None, "hex": avro.wire(schema, nowhere), "partition": 0},
                       {"key": "poison", "hex": avro.wire(schema, nowhere)}, {"key": "poison", "hex": avro.wire(schema, avro.string("poison"))}]
            for record, place in zip(records, self.suite.write(topic, records)):
                sent[f"{topic}/{place['partition']}/{place['offset']}"] = record

        def letters():
            return sorted(r["key"] for r in self.suite.read("dead-letters") if r["value"]["topic"] in self.INPUTS)

        wait_until(lambda: len(letters()) >= len(sent), 30, f"{len(sent)} dead letters")
        for service in ("rider", "driver"):
            self.suite.demo("rewind", service)
        self.assertEqual(letters(), sorted(sent), "each once, also after hydrating again")
        ride = self.ride_of(rider)
        for action in STEPS:
            self.assertEqual(self.act(driver, ride, action).status, 200)
        self.assert_problem(self.suite.http("GET", "/v1/drivers/poison/position"), 404)
