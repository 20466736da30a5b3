"""usage: make.py NAME   Writes NAME.tar.xz beside this file: what a suite of this tree leaves in DATA_DIR, and what it answered.

Each release makes one, with its version as NAME. test_upgrade.py starts every one of them with the tree that it is in. Without
the database's directory, whose format is that of the machine's PostgreSQL, and without what `./demo up` makes anew.
"""

import json
import pathlib
import sys
import tarfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
from suite import Suite, wait_until  # noqa: E402

KEPT = ["kafka", "registry", "views", ".insideout"]
LIMIT = 2 << 20  # bytes: all of them are in the repository
PLACE, DESTINATION = {"lat": 52.5, "lon": 13.4}, {"lat": 52.52, "lon": 13.45}
CARD = "4111111111111111"
CARD_KEY = b"the key of the fixtures, no one's"  # the same card has the same token in every version


def command(suite, method, path, body, statuses=(200, 201, 202)):
    answer = wait_until(lambda: (a := suite.http(method, path, body)).status != 503 and a, 60, f"{method} {path}")
    if answer.status not in statuses:
        raise AssertionError(f"{method} {path}: {answer}")
    return answer.json if answer.body else None


def order(n, **other):
    return {"id": f"old-{n}", "customerId": f"ann-{n % 5}", "productId": "cassette-deck", "quantity": 1 + n % 3, "priceCents": 100 * n} | other


def live(suite):
    """Something of everything: returns paths that are asked again after an upgrade."""
    for n in range(5):
        command(suite, "PUT", f"/v1/customers/ann-{n}", {"firstName": "Ann", "lastName": f"Onymous {n}", "email": "ann@example.org",
                                                         "address": f"{n} Row", "level": "PLATINUM" if n == 0 else "GOLD"})
    orders = [order(n) for n in range(1, 40)]
    orders += [order(40, quantity=0), order(41, productId="unheard-of"), order(42, customerId="nobody"), order(43, priceCents=300000),
               order(44, quantity=100000)]
    for body in orders:
        command(suite, "POST", "/v1/orders", body)
    suite.http("POST", "/v1/orders/old-39/cancel", {})
    for n in range(1, 6):
        command(suite, "POST", "/v1/payments", {"id": f"paid-{n}", "orderId": f"old-{n}", "amountCents": 100 * n, "cardNumber": CARD})
    for n in range(60):
        command(suite, "POST", "/v1/ratings", {"movieId": 1 + n % 3, "rating": n % 11 / 1})
    for n in range(4):  # one is completed; the other drivers are long gone when the next version starts
        ride = f"ride-{n}"
        command(suite, "POST", f"/v1/riders/rider-{n}/rides", {"id": ride, "pickup": PLACE, "destination": DESTINATION})
        for action in ("accept", "arrive", "start", "complete")[:n + 1]:
            command(suite, "POST", f"/v1/drivers/driver-{n}/rides/{ride}/{action}", {"commandId": action})
    for n in range(10):
        command(suite, "POST", "/v1/clicks", {"userId": f"ann-{n % 2}", "page": f"/{n}", "action": "view"})
    for body in orders:
        suite.outcome(body["id"], 60)
    suite.audit()
    paths = [f"/v1/orders/{body['id']}" for body in orders] + [f"/v1/customers/ann-{n}" for n in range(5)]
    paths += [f"/v1/payments/paid-{n}" for n in range(1, 6)] + [f"/v1/shipments/old-{n}" for n in range(1, 10)]
    paths += [f"/v1/emails?orderId=old-{n}" for n in range(1, 6)] + [f"/v1/movies/{n}" for n in range(1, 4)]
    paths += ["/v1/rides/ride-3", "/v1/stock/cassette-deck", "/v1/possible-fraud", "/v1/customers?limit=3"]
    return paths + ["/v1/orders?customerId=ann-1&limit=5"]


def ask(suite, path):
    answer = suite.http("GET", path)
    return {"status": answer.status, "body": answer.json}


def small(member):
    """Of no user, of no machine."""
    name = pathlib.PurePath(member.name).name
    if name in ("LOG", "LOCK", ".lock") or name.startswith(("LOG.old", "server.properties")):
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def main(name):
    suite = Suite()
    key = pathlib.Path(suite.data).with_name(pathlib.Path(suite.data).name + ".key")
    key.write_bytes(CARD_KEY)
    key.chmod(0o600)
    suite.env["CARD_KEY_FILE"] = str(key)
    suite.up()
    paths = live(suite)
    answers = {path: ask(suite, path) for path in paths}
    suite.demo("down", timeout=120)
    pathlib.Path(suite.data, "answers.json").write_text(json.dumps(answers, indent=0))
    key.unlink()
    archive = HERE / f"{name}.tar.xz"
    with tarfile.open(archive, "w:xz", preset=9) as tar:
        for part in KEPT + ["answers.json"]:
            tar.add(pathlib.Path(suite.data, part), part, filter=small)
    size = archive.stat().st_size
    print(f"{archive.name}: {size} bytes, {len(answers)} answers")
    if size > LIMIT:
        archive.unlink()
        sys.exit(f"that is more than {LIMIT} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
