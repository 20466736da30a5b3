from kafka import Wrong, verdict

RECORDS = [("ada", "BRONZE"), ("bob", "GOLD"), ("cid", "SILVER"), ("ada", "GOLD"), ("bob", None), ("dee", "BRONZE"), ("ada", "PLATINUM")]
ROWS = ["ada PLATINUM", "cid SILVER", "dee BRONZE"]


@verdict
def check(kafka, work):
    program = kafka.build(work, "table.c")
    topic = kafka.topic()
    kafka.write(topic, [(0, key, value) for key, value in RECORDS])
    whole = kafka.run(program, topic, seconds=20).splitlines()
    if not whole:
        raise Wrong("nothing-follows", f"It says nothing of the {len(ROWS)} rows that there are.")
    for row in whole:
        if row.startswith("bob"):
            raise Wrong("deleted-is-there", f"bob is deleted, at offset 4, and still there: {row!r}.\n{kafka.lens(topic, 0, 4)}")
    if whole != ROWS:
        raise Wrong("wrong-value", f"The table is {ROWS}; it says {whole}.\n{kafka.lens(topic)}")
    # The same, as transactions write it: behind the last record there is the mark of its end.
    marked = kafka.topic("marked")
    kafka.write(marked, [(0, key, value) for key, value in RECORDS[-5:]], "abort")
    kafka.write(marked, [(0, key, value) for key, value in RECORDS if (key, value) != ("ada", "BRONZE")], "commit")
    try:
        rows = kafka.run(program, marked, seconds=20).splitlines()
    except Wrong as e:
        raise Wrong(e.args[0], f"It works until the log ends with something that is no record: the mark of a transaction's end, as here, or "
                    f"what compaction took away. Then nobody ever reads the last offset.\n{e.args[1]}\n{kafka.lens(marked)}") from e
    if rows != ROWS:
        raise Wrong("wrong-value", f"The table is {ROWS}; it says {rows}.\n{kafka.lens(marked)}")
    return f"The latest of each key, also where the log has gaps.\n{kafka.lens(marked)}"
