/* JSON on standard output. (A library that is linked has json_string and the like.) */
#ifndef RW_TOOLS_JSON_H
#define RW_TOOLS_JSON_H

void json_put_text(const char *s);
/* Shortest of up to nine digits; what is no number (nothing measured) is null. */
void json_put_number(double x);

#endif
