"""Runs the test against a loyalty that is right, and against some that are not."""

import pathlib

LOYALTY = pathlib.Path(__file__).resolve().parent.parent / "loyalty/solution/loyalty.c"
PLANTED = [  # what it does, and how it comes to
    ("gives points for an order that is only CREATED", "o->state == ORDER_STATE_VALIDATED", "o->state != ORDER_STATE_FAILED"),
    ("gives points for an order that has FAILED", "o->state == ORDER_STATE_VALIDATED", "o->state != ORDER_STATE_CREATED"),
    ("gives everybody the same points, whatever their level", "(level + 1)", "1"),
    ("knows only the latest order", "    txn_get(txn, &loyalty_points, SLICE_NONE, &row);\n", ""),
    ("does not look at the quantity", "o->quantity * ", ""),
    ("gives a point for each cent", " / 100", ""),
    ("does not count the orders", "    row.orders++;\n", ""),
]


def run(checker, work, scratch, loyalty):
    """What is wrong with the test's source, or None; and then how it ends."""
    trouble = checker.compile([work / "loyalty_test.c", loyalty], scratch / "test", *checker.flags("test"))
    return trouble, None if trouble else checker.run([scratch / "test"], scratch)


def check(checker, work, scratch):
    trouble, done = run(checker, work, scratch, LOYALTY)
    if trouble:
        return trouble.name, trouble.text
    if done.returncode:
        return "red-for-right", f"Your test is red for a loyalty that is right:\n{(done.stdout + done.stderr).strip()}"
    right = LOYALTY.read_text()
    missed = []
    for n, (what, old, new) in enumerate(PLANTED):
        wrong = scratch / f"loyalty-{n}.c"
        if old not in right:
            raise AssertionError(f"{old!r} is not in the solution")
        wrong.write_text(right.replace(old, new))
        trouble, done = run(checker, work, scratch, wrong)
        if trouble:
            raise AssertionError(trouble.text)
        if done.returncode == 0:
            missed.append(what)
    if missed:
        return "misses", "Your test is green also for a loyalty that\n" + "\n".join(f"- {what}" for what in missed)
    return "passed", f"Green for what is right, and red for each of {len(PLANTED)} that are wrong."
