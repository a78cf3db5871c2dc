/* Empty unless the compiler can switch the instruction set inside a file. */
#include "loops.h"
#if PRELU_HAVE_X86_SETS
#include <immintrin.h>
PRELU_TARGET_BEGIN("avx2,fma,f16c")
#define PRELU_USE_AVX2
#define ISA_TABLE prelu_loops_avx2
#include "loops_isa.h"
PRELU_TARGET_END
#endif
