# C's comments as Doxygen reads them: the first one is the file's, and one behind a declaration is that declaration's. The
# line that this adds, #pragma once makes up for.
s,@,\\@,g
1s,^/\* (.*),/** @file\n * \1,
/^#pragma once/d
s,^( *)/\* ([^-]),\1/** \2,
/^ *\/|^ \*/!s,([;\,]) +/\* ,\1 /**< ,
/^ +[A-Z]/s,^( +[A-Z_0-9]+) +/\* ,\1 /**< ,
