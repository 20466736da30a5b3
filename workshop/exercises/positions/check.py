from kafka import Wrong, verdict

RECORDS = ["a", "b", "c", "d", "e", "f"]


def read(kafka, program, topic, reader, count):
    """Works on so many, and is killed in the middle of the next. What it was done with, and what it was at."""
    p = kafka.start(program, topic, reader)
    done = []
    while len(done) < count:
        at = p.working_on()
        if at is None:
            break
        done.append(at)
        p.done()
    at = p.working_on()
    p.kill()
    return done, at


@verdict
def check(kafka, work):
    topic = kafka.topic()
    program = kafka.build(work, "positions.c")
    kafka.write(topic, [(0, None, r) for r in RECORDS])
    lens = kafka.lens(topic)

    done, at = read(kafka, program, topic, "ann", 2)
    if done + [at] != RECORDS[:3]:
        raise Wrong("wrong-value", f"A new reader should begin with {RECORDS[:3]}; it worked on {done + [at]}.")
    again, at = read(kafka, program, topic, "ann", 2)
    if again[:1] == ["a"]:
        raise Wrong("nothing-follows", "Started again, it begins at the beginning: it has no position of its own yet.")
    if again[:1] == ["d"]:
        raise Wrong("lost", "Record c, at offset 2, is lost: it was killed in the middle of the work on it, and goes on with d. "
                    f"The position was saved before the work was done.\n{lens}")
    if again[:1] == ["b"]:
        raise Wrong("came-twice", "Record b, at offset 1, was worked on and done; started again it works on it again. The position is "
                    f"the next offset, not the last.\n{lens}")
    if again + [at] != ["c", "d", "e"]:
        raise Wrong("wrong-value", f"It should go on with ['c', 'd', 'e'], and worked on {again + [at]}.\n{lens}")
    other, _ = read(kafka, program, topic, "bob", 1)
    if other != ["a"]:
        raise Wrong("wrong-value", f"Another reader has a position of its own, and begins with a; it worked on {other}.\n{lens}")
    for position in kafka.scratch.glob("ann.position"):
        position.unlink()
    rewound, _ = read(kafka, program, topic, "ann", 6)
    if rewound != RECORDS:
        raise Wrong("wrong-value", f"Rewound, all should come again; it worked on {rewound}.\n{lens}")
    return f"It goes on where it was, also when it is killed; others lag or rewind, and the log does not notice.\n{lens}"
