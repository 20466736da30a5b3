#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct option_spec *find(const struct option_spec *specs, const char *arg, size_t size) {
    for (; specs->name != NULL; specs++)
        if (strlen(specs->name) == size && strncmp(specs->name, arg, size) == 0)
            return specs;
    return NULL;
}

static bool set(const struct option_spec *o, const char *value) {
    if (o->text != NULL) {
        *o->text = value;
        return *value != 0;
    }
    char *end;
    double number = strtod(value, &end);
    if (end == value || *end != 0 || !(number >= o->min && number <= o->max))
        return false;
    *o->number = number;
    return true;
}

bool options_parse(int argc, char **argv, const struct option_spec *specs) {
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i], *equals = strchr(arg, '=');
        const struct option_spec *o = NULL;
        if (strncmp(arg, "--", 2) == 0)
            o = find(specs, arg + 2, equals == NULL ? strlen(arg + 2) : (size_t)(equals - arg - 2));
        if (o == NULL) {
            fprintf(stderr, "unknown argument %s\n", arg);
            return false;
        }
        if (o->flag != NULL && equals == NULL) {
            *o->flag = true;
            continue;
        }
        const char *value = equals != NULL ? equals + 1 : i + 1 < argc ? argv[++i] : "";
        if (o->flag != NULL || !set(o, value)) {
            fprintf(stderr, "--%s: \"%s\" is not accepted\n", o->name, value);
            return false;
        }
    }
    return true;
}
