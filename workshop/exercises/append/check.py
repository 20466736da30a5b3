from kafka import Wrong, verdict

LINES = ["caterpillar", "pupa", "butterfly"]


@verdict
def check(kafka, work):
    topic = kafka.topic()
    said = kafka.run(kafka.build(work, "append.c"), topic, lines=LINES).splitlines()
    there = [value for _, _, _, value in kafka.read(topic)]
    if not there:
        if "rd_kafka_producev(" in (work / "append.c").read_text().replace("TODO: append it to partition 0 of the topic: rd_kafka_producev", ""):
            raise Wrong("lost", f"It ended as if all were well, and the log of {topic} is empty: {len(LINES)} records were in its queue, "
                        f"and died with it.\n{kafka.lens(topic)}")
        raise Wrong("nothing-follows", f"Nothing is in the log yet: {len(LINES)} records should be in {topic}.")
    if there != LINES:
        raise Wrong("lost" if len(there) < len(LINES) else "wrong-value", f"The log has {there}, and should have {LINES}.\n{kafka.lens(topic)}")
    want = [f"{n}: {line}" for n, line in enumerate(LINES)]
    if said != want:
        raise Wrong("wrong-value", f"Read back it should say {want}, and says {said}.")
    return f"All are in the log, at the offsets 0 to {len(LINES) - 1}.\n{kafka.lens(topic)}"
