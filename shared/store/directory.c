#include "store/directory.h"

#include "base/buf.h"
#include "base/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_SIZE = 4096 };

bool directory_make(const char *path, struct err *err) {
    _cleanup_(buf_free) struct buf b = {0};
    buf_append(&b, path, strlen(path) + 1);
    for (char *p = b.data + 1;; p++) {
        if (*p != '/' && *p != 0)
            continue;
        char end = *p;
        *p = 0;
        if (mkdir(b.data, 0755) != 0 && errno != EEXIST)
            return err_set(err, ERR_FATAL, "store %s: cannot make %s: %s", path, b.data, strerror(errno));
        if (end == 0)
            return true;
        *p = end;
    }
}

bool directory_delete(const char *path, struct err *err) {
    DIR *dir = opendir(path);
    struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char file[PATH_SIZE];
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlink(file);
    }
    if (dir != NULL)
        closedir(dir);
    return rmdir(path) == 0 || errno == ENOENT ||
           err_set(err, ERR_FATAL, "store %s: cannot be deleted: %s", path, strerror(errno));
}

bool directory_set_aside(const char *path, struct err *err) {
    char aside[PATH_SIZE];
    snprintf(aside, sizeof aside, "%s.damaged", path);
    return directory_delete(aside, err) &&
           (rename(path, aside) == 0 ||
            err_set(err, ERR_FATAL, "store %s: cannot be moved aside: %s", path, strerror(errno)));
}

size_t directory_count(const char *path, const char *suffix) {
    DIR *dir = opendir(path);
    struct dirent *entry;
    size_t count = 0, end = strlen(suffix);
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        size_t size = strlen(entry->d_name);
        count += size >= end && strcmp(entry->d_name + size - end, suffix) == 0;
    }
    if (dir != NULL)
        closedir(dir);
    return count;
}
