/* A toy topology on a real Kafka: it counts the clicks of each user. Topics, group and views are named after
 * the world, so that tests do not meet; one world at a time in a process, used by one thread.
 *
 * Every count that comes is checked at once: the counts of a user are 1, 2, 3 … and carry the clicks'
 * numbers in their order, else the test fails. That is exactly-once, as a reader sees it. */
#pragma once

#include "base/slice.h"

#include <stdint.h>
#include <sys/types.h>

enum { WORLD_PARTITIONS = 4 };

/* Makes the topics and a directory for views. Environment: KAFKA_BROKERS, REGISTRY_URL. */
void world_create(const char *name);
/* One whose counts may have 20 KB, a batch of them, and be two days old. */
void world_create_limited(const char *name);
/* Deletes the group, with its offsets; no instance may run. */
void world_forget_group(void);
void world_destroy(void);

/* An instance in a process of its own: this program again, whose main() calls world_main first. */
pid_t world_start(int slot);
/* With the identity of another slot; it exits with 77 when it is fenced. */
pid_t world_start_as(int slot, int identity_slot);
/* One whose counts are those of versions/Count-VERSION.avsc; and waiting for its end, which it comes to by
 * itself: the exit code. */
pid_t world_start_version(int slot, int version);
int world_exit(pid_t pid);
/* One that dies in the moment in which it gives up a task to another instance; and waiting for that. */
pid_t world_start_to_die(int slot);
void world_dead(pid_t pid);
void world_kill(pid_t pid); /* SIGKILL */
void world_stop(pid_t pid); /* SIGTERM; it must end well, within ten seconds */

/* The directory of a slot's view. */
const char *world_view(int slot);

/* Runs an instance where the arguments say so, and then does not return. */
void world_main(int argc, char **argv);

/* Clicks of random users, in the log when it returns. */
void world_click(int count);

/* The clicks' topic, for who writes it by other means. */
const struct topic *world_clicks(void);

/* From now on each click is `ms` of event time after the one before. */
void world_pace(int64_t ms);

/* How many rows the windows of the users take in a slot's view, and in its index by time; the instance must
 * be stopped. Windows have 10 s, and are kept for 60 s. */
void world_windows(int slot, int *rows, int *entries);

/* A click that counts for nobody, since its count cannot be written: its key is too long, or it is too old.
 */
void world_click_in_vain(bool long_key);

/* Raw bytes; data NULL is a tombstone, key NULL is none. In the log when it returns. */
void world_write(const char *key, struct slice value, int32_t partition);

/* Reads on, for at most `wait_ms`; returns how many clicks are counted so far. */
int world_counted(int wait_ms);

/* Until every click is counted; fails after `seconds`. */
void world_settle(int seconds);

/* Dead letters seen so far. */
int world_letters(void);
