"""usage: catalogue.py SUITE OWN OUT   The schemas of the workshop: OWN, and of SUITE the topics that OWN's "suite" names.

OUT becomes a directory for codegen.py, so that exercises have topics of the suite beside their own without a copy."""

import json
import pathlib
import shutil
import sys

suite, own, out = (pathlib.Path(a) for a in sys.argv[1:])
theirs, ours = (json.loads((d / "topics.json").read_text()) for d in (suite, own))
wanted = ours.pop("suite")
ours["services"] += [s for s in theirs["services"] if s not in ours["services"]]
ours["topics"] += [t for t in theirs["topics"] if t["name"] in wanted]
if missing := set(wanted) - {t["name"] for t in ours["topics"]}:
    sys.exit(f"{own}/topics.json: the suite has no {', '.join(sorted(missing))}")
shutil.rmtree(out, ignore_errors=True)
out.mkdir(parents=True)
for schema in [*suite.glob("*.avsc"), *own.glob("*.avsc")]:
    if (out / schema.name).exists():
        sys.exit(f"{own}/{schema.name}: the suite has one of that name")
    shutil.copyfile(schema, out / schema.name)
(out / "topics.json").write_text(json.dumps(ours, indent=1))
