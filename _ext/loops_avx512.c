/* Empty unless the compiler can switch the instruction set inside a file. */
#include "loops.h"
#if PRELU_HAVE_X86_SETS
#include <immintrin.h>
PRELU_TARGET_BEGIN("avx512f,avx512vl,avx512bw,avx512dq,fma,f16c")
#define PRELU_USE_AVX512
#define ISA_TABLE prelu_loops_avx512
#include "loops_isa.h"
PRELU_TARGET_END
#endif
