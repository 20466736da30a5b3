"""For schemathesis: nobody waits here for what does not come."""

import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.query:
        case.query.pop("timeout", None)
