#!/bin/sh
# Adds the loyalty service to a clone of the suite, in whose root this runs. Four places.
set -eu
lab=workshop/exercises
[ ! -e services/loyalty ] || { echo "loyalty is in this clone already: git stash -u puts it aside" >&2; exit 1; }

# 1. The record.
cp workshop/schemas/Loyalty.avsc schemas/

# 2. Its topics: loyalty becomes a service, writes and reads two topics of its own, and reads two of others.
python3 - <<'END'
import json
import pathlib

file = pathlib.Path("schemas/topics.json")
catalogue = json.loads(file.read_text())
catalogue["services"].append("loyalty")
for topic in catalogue["topics"]:
    if topic["name"] in ("orders", "customers"):
        topic["readers"].append("loyalty")
mine = {"retention": "forever", "writers": ["loyalty"], "readers": ["loyalty"], "deadLetters": None}
catalogue["topics"] += [
    {"name": "loyalty", "key": "customer id", "value": "Loyalty", "cleanup": "compact", "tombstones": True, **mine},
    {"name": "loyalty-orders", "key": "customer id", "value": "Order", "internal": True, "cleanup": "delete",
     "tombstones": False, **mine},
]
file.write_text(json.dumps(catalogue, indent=1) + "\n")
END

# 3. The service: its sources, and its line: name, binary, index (for its ports), paths behind the gateway.
mkdir services/loyalty
cp $lab/loyalty/solution/loyalty.c services/loyalty/
cp $lab/loyalty-service/solution/loyalty.h $lab/loyalty-service/solution/loyalty_http.c \
    $lab/loyalty-service/solution/main.c services/loyalty/
echo 'io_service(loyalty SOURCES loyalty.c loyalty_http.c)' >services/loyalty/CMakeLists.txt
printf 'loyalty\tservices/loyalty/loyalty\t14\t/v1/loyalty\n' >>services/services.tsv

# 4. The page.
cp $lab/loyalty-suite/web/loyalty.html web/
cp $lab/loyalty-suite/web/loyalty.js web/js/
