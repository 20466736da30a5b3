from kafka import Wrong, verdict

RECORDS = ["a", "b", "c", "d"]
END = "end"  # never done: who works on it is done with the rest


@verdict
def check(kafka, work):
    program = kafka.build(work, "copy.c")
    source, target = kafka.topic("from"), kafka.topic("to")
    kafka.write(source, [(0, None, r) for r in [*RECORDS, END]])
    lens = kafka.lens(target)
    hidden = False
    for steps in (1, 0, 2, 100):  # so many are done, and in the middle of the next it is killed
        p = kafka.start(program, source, target)
        at = p.working_on()
        while steps > 0 and at not in (END, None):
            p.done()
            at = p.working_on()
            steps -= 1
        if at is None:
            raise Wrong("stopped", f"It ended: {p.last_words()}")
        hidden = hidden or len(kafka.read(target, uncommitted=True)) > len(kafka.read(target))
        p.kill()
        if at == END:
            break
    values = [value for *_, value in kafka.read(target)]
    for n, r in enumerate(RECORDS):
        times = values.count(f"done: {r}")
        if times == 0:
            raise Wrong("lost", f"{r}, at offset {n} of {source}, is lost: it was killed between the position and the record, and the "
                        f"position came first.\n{lens}")
        if times > 1:
            at = [o for _, o, _, v in kafka.read(target) if v == f"done: {r}"]
            raise Wrong("came-twice", f"{r} came {times} times, at the offsets {at}: it was killed between the record and the position, and "
                        f"the record came first.\n{kafka.lens(target, 0, at[1])}")
    if not hidden:
        raise Wrong("not-hidden", "Exactly once this time; but nothing was hidden while it was under way.")
    return ("Exactly once, killed in the middle of four transactions. What those had appended is still in the log, and hidden from whoever "
            f"reads committed records.\n{lens}")
