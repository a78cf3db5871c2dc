/* Whatever the compiler's default is: SSE2 on x86-64, NEON on aarch64. */
#define ISA_TABLE prelu_loops_baseline
#include "loops_isa.h"
