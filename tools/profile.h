/* What a session has measured of its kernels, sorted and shown. */
#ifndef RW_TOOLS_PROFILE_H
#define RW_TOOLS_PROFILE_H

#include "../runtime/rw.h"

typedef struct Profile {
    const char *entry;
    rw_kernel_time *line; /* the longest first; those never launched are left out */
    size_t n;
    unsigned threads;
    double calls, seconds, launches; /* of all calls */
} Profile;

/* What s has measured of `entry`. False without memory. */
bool profile_take(const rw_session *s, const char *entry, unsigned threads, Profile *out);
void profile_drop(Profile *p);

void profile_print(const Profile *p);
void profile_json(const Profile *p); /* an object */

/* Sums of the operations and of the bytes. */
double work_operations(const rw_work *w);
double work_bytes(const rw_work *w);

#endif
