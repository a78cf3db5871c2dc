/* dalpha of a block of alphas: quick sums rounded, and summed again if the rounding is undecided. */
#ifndef PRELU_SETTLE_H
#define PRELU_SETTLE_H

#include "call.h"

/* For each alpha of a block: its sums, dalpha rounded, and two numbers of alphas. */
typedef struct {
    prelu_sums sums;
    char *dalpha;
    ptrdiff_t *undecided, *lost;
} block_room;

/* One number, or what a state holds, rounded once to a dtype. */
void prelu_round(double value, int dtype, void *to);
void prelu_round_state(const int64_t *state, int x_dtype, int alpha_dtype, void *to);
int prelu_state_limbs(int x_dtype);

/* Writes dalpha of a block, whose quick sums are there, by the job CAREFUL or another. */
void prelu_settle(const prelu_call *call, const block_room *room, int careful);

/* Writes the exact states of a block. */
void prelu_settle_states(const prelu_call *call, const block_room *room);

#endif
