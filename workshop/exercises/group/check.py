import time

from kafka import WAIT, Wrong, verdict

COUNT = 12  # in each of two partitions


def is_behind(job, other):
    """Of the same partition?"""
    (_, n, _, p), (_, m, _, q) = job.split(), other.split()
    return p == q and int(n) > int(m)


@verdict
def check(kafka, work):
    topic = kafka.topic("jobs", 2)
    program = kafka.build(work, "group.c")
    kafka.write(topic, [(p, None, f"job {n} of {p}") for p in (0, 1) for n in range(COUNT)])
    left = {f"job {n} of {p}" for p in (0, 1) for n in range(COUNT)}
    lens = kafka.lens(topic)

    # The first one alone, a bit of each partition; then a second one comes.
    one = kafka.start(program, topic, topic)
    for _ in range(3):
        left.discard(one.working_on())
        one.done()
    two = kafka.start(program, topic, topic)
    at, deadline = None, time.monotonic() + WAIT
    while at is None:  # it shares
        if time.monotonic() > deadline:
            raise Wrong("not-shared", f"Two of one group, and the second one gets nothing to do.\n{lens}")
        if not two.quiet(0.1):
            at = two.working_on()
        elif not one.quiet(0.1):
            left.discard(one.working_on())
            one.done()
        elif not left:
            raise Wrong("not-shared", f"Two of one group, and the first did all.\n{lens}")
    for _ in range(2):
        left.discard(at)
        two.done()
        at = two.working_on()
    two.kill()  # in the middle of the work on it

    # The other takes over, and a partition has an order: it must come to this one before any behind it.
    again, deadline = [], time.monotonic() + 2 * WAIT
    while left:
        if time.monotonic() > deadline:
            raise Wrong("not-taken-over", f"Nobody takes over. Not done: {', '.join(sorted(left))}.\n{lens}")
        job = one.working_on()
        if job is None:
            raise Wrong("stopped", f"The one who is left ended: {one.last_words()}")
        if at in left and is_behind(job, at):
            raise Wrong("lost", f"{at} is lost: the one who was at work on it was killed, and another goes on with {job}. The position was "
                        f"committed before the work was done.\n{lens}")
        if job not in left:
            again.append(job)
        left.discard(job)
        one.done()
    if len(again) > COUNT / 2:
        raise Wrong("came-twice", f"{len(again)} jobs were done again, such as {again[0]}: nobody knew that they were done. The group has no "
                    f"position.\n{lens}")
    return f"They share; of the one who was killed another took over, with {at}, which was not done.\n{lens}"
