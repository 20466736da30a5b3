"""usage: catalogue.py SUITE OWN OUT   The schemas of the workshop: OWN, and of SUITE the topics that OWN's "suite" names.

OUT becomes a directory for codegen.py, so that exercises have topics of the suite beside their own without a copy. What is in both,
since an exercise of part 6 brought it into the suite, is the suite's."""

import json
import pathlib
import shutil
import sys

suite, own, out = (pathlib.Path(a) for a in sys.argv[1:])
theirs, ours = (json.loads((d / "topics.json").read_text()) for d in (suite, own))
wanted = ours.pop("suite")
names = {t["name"] for t in ours["topics"]} | set(wanted)
ours["services"] += [s for s in theirs["services"] if s not in ours["services"]]
topics = {t["name"]: t for t in [*ours["topics"], *theirs["topics"]] if t["name"] in names}
if missing := set(wanted) - set(topics):
    sys.exit(f"{own}/topics.json: the suite has no {', '.join(sorted(missing))}")
ours["topics"] = list(topics.values())
shutil.rmtree(out, ignore_errors=True)
out.mkdir(parents=True)
for schema in [*own.glob("*.avsc"), *suite.glob("*.avsc")]:
    shutil.copyfile(schema, out / schema.name)
(out / "topics.json").write_text(json.dumps(ours, indent=1))
