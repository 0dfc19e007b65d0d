/* Greets. Input: a name of at most 100 bytes. Output: `Hello, NAME!`. */
#include "cofferdam.h"

COFFERDAM_GUEST

static u8 name[100];

#define WRITE(text) output_write(text, sizeof(text) - 1)
#define FAIL(text) fail(text, sizeof(text) - 1)

COFFERDAM_HANDLE int handle(void) {
    u32 len = input_len();
    if (len == 0) {
        FAIL("nobody to greet");
        return 2;
    }
    if (len > sizeof name) {
        FAIL("a name has at most 100 bytes");
        return 3;
    }
    input_read(name, 0, len);
    WRITE("Hello, ");
    output_write(name, len);
    WRITE("!");
    return 0;
}
