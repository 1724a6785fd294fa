/* The matrix instructions and where their elements lie: lane l, element e of the registers of A or B,
 * register g of C and D. */
#ifndef EMU_MATRIX_H
#define EMU_MATRIX_H

#include <stdint.h>

typedef enum MatrixType { MT_F32, MT_F16, MT_BF16, MT_I8, MT_I32 } MatrixType;

typedef struct Matrix {
    const char *name;
    uint8_t m, n, k, blocks; /* m = n */
    uint8_t lanes;
    uint8_t in, out; /* MatrixType */
} Matrix;

typedef struct Element {
    unsigned block, row, column;
} Element;

extern const Matrix matrices[];
/* How many elements of A (and of B) a lane holds; registers of A, and of D. */
unsigned matrix_elements(const Matrix *m);
unsigned matrix_in_registers(const Matrix *m);
unsigned matrix_out_registers(const Matrix *m);
/* A[row][column] of an element: row counts to m, column to k. B has it transposed. On gfx11 the upper
 * 16 lanes hold the same elements as the lower. */
Element matrix_a(const Matrix *m, unsigned lane, unsigned e);
/* D[row][column]; C alike. */
Element matrix_d(const Matrix *m, unsigned lane, unsigned g);

#endif
