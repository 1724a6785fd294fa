/* The numbers and names of the file format that both its writer and its reader need; what they mean
 * is in docs/format.md. */
#ifndef RW_FORMAT_H
#define RW_FORMAT_H

#define RW_FORMAT_VERSION 4

/* Where the manifest lies in an ELF image. */
#define RW_MANIFEST_SECTION ".rwkvc"
#define RW_MANIFEST_SYMBOL  "rwkvc_manifest"

/* The last bytes of a file: magic, length of the image before it (u64 little endian), SHA-256 of
 * every byte of the file before the hash. */
#define RW_TRAILER_MAGIC "rwkvc\x01\r\n"
enum { RW_TRAILER_MAGIC_BYTES = 8, RW_HASH_BYTES = 32, RW_TRAILER_BYTES = 8 + 8 + 32 };

/* Element types of buffers, by number. */
enum { RW_FILE_F32, RW_FILE_BF16, RW_FILE_F16, RW_FILE_I32, RW_FILE_DTYPES };
/* Where a buffer comes from. */
enum { RW_ROLE_TEMP, RW_ROLE_INPUT, RW_ROLE_PARAM, RW_ROLE_STATE, RW_ROLE_OUTPUT, RW_ROLES };
/* What is done. */
enum { RW_OP_LAUNCH, RW_OP_LOOP, RW_OP_COPY, RW_OP_SWAP, RW_OPS };

/* What is counted of a launch: operations of products with parameters, of other products, in
 * recurrences, all others; bytes read that were given, bytes read that were made, bytes written. */
enum { RW_FILE_WORKS = 7 };

/* Limits: a file beyond them is refused by its reader, and not written. */
enum {
    RW_FILE_AXES = 64,      /* run-time axes                               */
    RW_FILE_RANK = 12,      /* axes of a buffer                            */
    RW_FILE_OUTER = 8,      /* axes of what is given from outside          */
    RW_FILE_LEVELS = 8,     /* loops in each other                         */
    RW_FILE_MEMBER = 4,     /* leading axes that choose a member           */
    RW_FILE_BLOCK = 1024,   /* threads of a workgroup                   */
    RW_FILE_LOCAL = 262144, /* bytes of its local memory                */
    RW_FILE_FACTORS = 12    /* of a term of a size                         */
};

#endif
