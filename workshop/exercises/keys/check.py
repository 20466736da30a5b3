from kafka import Wrong, verdict

ACCOUNTS = ["ada", "bob", "cid", "dee", "eve", "fay"]
LINES = [f"{a} {n}" for n in range(20) for a in ACCOUNTS]


@verdict
def check(kafka, work):
    topic, right = kafka.topic("transfers", 4), kafka.topic("right", 4)
    program = kafka.build(work, "keys.c")
    kafka.write(right, [(None, a, "here") for a in ACCOUNTS])  # as the suite would
    where = {key: p for p, _, key, _ in kafka.read(right)}
    kafka.run(program, topic, lines=LINES)
    rows = kafka.read(topic)
    lost = set(LINES) - {value for _, _, _, value in rows}
    if lost:
        raise Wrong("lost", f"{len(lost)} records are not in the log, such as {min(lost)!r}.")
    if any(key == "-" for _, _, key, _ in rows):
        p = {p for p, _, _, value in rows if value.startswith("ada ")}
        raise Wrong("no-key", f"The records have no key, so that ada's are in the partitions {sorted(p)}: nobody has all of them, and "
                    f"they have no order.\n{kafka.lens(topic)}")
    if len({p for p, *_ in rows}) == 1:
        raise Wrong("one-partition", "All are in one partition: they are in order, and nobody can share the work.")
    for account in ACCOUNTS:
        mine = [(p, value) for p, _, key, value in rows if key == account]
        if [value for _, value in mine] != [x for x in LINES if x.startswith(account + " ")]:
            raise Wrong("wrong-order", f"{account}'s records are {[v for _, v in mine]}.\n{kafka.lens(topic, mine[0][0])}")
        if mine[0][0] != where[account]:
            raise Wrong("other-partitioner", f"{account}'s records are in partition {mine[0][0]}. All services of the suite look for "
                        f"{account} in partition {where[account]}: a join would find nothing.\n{kafka.lens(topic, mine[0][0])}")
    return f"All of an account in one partition, in order, where others look for them.\n{kafka.lens(topic, where['ada'])}"
