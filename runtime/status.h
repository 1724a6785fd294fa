/* What a call of the runtime answers: a code for programs, and a line of text for people. */
#ifndef RW_STATUS_H
#define RW_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

typedef enum rw_status {
    RW_OK = 0,
    RW_BAD_ARG,      /* the caller asked for something that makes no sense         */
    RW_NO_MEMORY,    /* the host has none left                                     */
    RW_IO,           /* a file could not be opened, read or written                */
    RW_BAD_FILE,     /* a file was read, and what it holds is damaged or unknown   */
    RW_NO_DEVICE,    /* no such device, or no driver for it                        */
    RW_WRONG_TARGET, /* the program holds no code for this device                  */
    RW_NO_SUCH,      /* no parameter, input, entry or tensor of this name          */
    RW_BAD_SHAPE,    /* a shape or an element type other than the one asked for    */
    RW_DRIVER        /* the driver failed                                          */
} rw_status;

/* Text of the last failure; always NUL-terminated, cut where it is too long. */
typedef struct rw_message {
    char text[512];
} rw_message;

/* Writes the text of a failure into m (which may be NULL) and returns code, so that a function
 * can end with `return rw_fail(m, RW_IO, "%s: ...", path)`. */
rw_status rw_fail(rw_message *m, rw_status code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The name of a code in words ("no memory"); never NULL. */
const char *rw_status_name(rw_status code);

#ifdef __cplusplus
}
#endif
#endif
