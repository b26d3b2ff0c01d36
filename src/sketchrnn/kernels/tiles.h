/* Products on a processor's matrix unit (Intel AMX), to the precision of float32. A part of native.c.

   The unit multiplies bfloat16 numbers, of 8 bits, and adds in float32. A float32 has 24 bits, and is the sum of three of
   them exactly; of the nine products of two such sums the six largest are taken. What is left out is less than 2^-22 of a
   product, as much as rounding to float32. That is six times the work, at seventeen times the speed of vectors.

   A tile of the unit is SIDE rows of 64 bytes: of the left factor SIDE rows of DEEP numbers, of the right one DEEP / 2 rows of
   SIDE pairs, which stand below each other in the matrix. A block is DEEP deep, and holds the three parts of each number. */

#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SIDE = 16, DEEP = 32, PAIRS = DEEP / 2, PARTS = 3 };
enum { TILE_WORDS = SIDE * PAIRS, BLOCK = PARTS * TILE_WORDS };

typedef uint32_t word; /* two bfloat16 */
typedef word words __attribute__((vector_size(64), aligned(4), may_alias));

static int on_unit; /* whether gradients of weights are made there */

/* Has them made there if `wanted` and Linux allows it, which has to be asked: the state of a process grows by 8 KB. Returns
   whether they are. */
int use_tiles(int wanted)
{
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    on_unit = wanted && syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
    return on_unit;
}

/* How many times SIDE rows or columns. */
static long sides_of(long n) { return (n + SIDE - 1) / SIDE; }

static void begin_tiles(void)
{
    struct {
        uint8_t palette, start, nothing[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } all = {.palette = 1};
    for (int i = 0; i < 8; i++) all.bytes[i] = 64, all.rows[i] = SIDE;
    _tile_loadconfig(&all);
}

static void end_tiles(void) { _tile_release(); }

/* The nearest bfloat16. */
static inline words nearest(vec x) { return ((words)x + 0x8000) & 0xffff0000; }

/* SIDE numbers of two rows, as pairs, for each part `apart` words further. */
static inline void split(vec upper, vec lower, word *to, long apart)
{
    for (int part = 0; part < PARTS; part++, to += apart) {
        words up = nearest(upper), low = nearest(lower);
        *(words *)to = up >> 16 | low;
        upper -= (vec)up, lower -= (vec)low; /* exact */
    }
}

/* SIDE columns of `count` rows of A, at most DEEP, as the right tile of each part: `apart` words from one to the next. */
static inline void split_rows(long count, const real *A, long lda, word *to, long apart)
{
    const vec none = {0};
    for (long k = 0; k < PAIRS; k++, A += 2 * lda)
        split(2 * k < count ? *(const vec *)A : none, 2 * k + 1 < count ? *(const vec *)(A + lda) : none, to + k * SIDE, apart);
}

/* The same columns and rows as the left tile of each part: the columns are its rows. */
static inline void split_turned(long count, const real *A, long lda, word *to)
{
    word room[BLOCK];
    split_rows(count, A, lda, room, TILE_WORDS);
    for (int part = 0; part < PARTS; part++)
        turn(SIDE, PAIRS, (const real *)(room + part * TILE_WORDS), SIDE, (real *)(to + part * TILE_WORDS));
}

#define TIMES                                                                                                          \
    _tile_dpbf16ps(0, 4, 6);                                                                                           \
    _tile_dpbf16ps(1, 4, 7);                                                                                           \
    if (both) {                                                                                                        \
        _tile_dpbf16ps(2, 5, 6);                                                                                       \
        _tile_dpbf16ps(3, 5, 7);                                                                                       \
    }
#define LEFT(part)                                                                                                     \
    _tile_loadd(4, a + (part) * TILE_WORDS, 64);                                                                       \
    if (both) _tile_loadd(5, a + second + (part) * TILE_WORDS, 64);
#define RIGHT(part)                                                                                                    \
    _tile_loadd(6, b + 2 * (part) * TILE_WORDS, 64);                                                                   \
    _tile_loadd(7, b + (2 * (part) + 1) * TILE_WORDS, 64);

/* C (SIDE or twice that, NR) = from + A B over so many blocks: A the left tiles of each, those of the next SIDE rows `second`
   words further; B the right tiles, of two times SIDE columns side by side; `from` C or NULL for zeros. The smallest products
   come first. */
EACH void whole_tiles(int both, long blocks, const word *a, long second, const word *b, const real *from, real *c, long ldc)
{
    long apart = ldc * sizeof(real);
    real *below = c + SIDE * ldc;
    if (from) {
        _tile_loadd(0, c, apart);
        _tile_loadd(1, c + SIDE, apart);
        if (both) {
            _tile_loadd(2, below, apart);
            _tile_loadd(3, below + SIDE, apart);
        }
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (; blocks > 0; blocks--, a += BLOCK, b += 2 * BLOCK) {
        LEFT(0) RIGHT(2) TIMES
        RIGHT(1) TIMES
        LEFT(1) TIMES
        RIGHT(0) TIMES
        LEFT(2) TIMES
        LEFT(0) TIMES
    }
    _tile_stored(0, c, apart);
    _tile_stored(1, c + SIDE, apart);
    if (both) {
        _tile_stored(2, below, apart);
        _tile_stored(3, below + SIDE, apart);
    }
}

/* The same where only some rows, at most twice SIDE, and columns of C are there. */
ONCE void tile_product(long rows, long columns, long blocks, const word *a, long second, const word *b, const real *from,
                       real *c, long ldc)
{
    real edge[2 * SIDE * NR] = {0};
    if (rows == 2 * SIDE && columns == NR) {
        whole_tiles(1, blocks, a, second, b, from, c, ldc);
        return;
    }
    for (long r = 0; from && r < rows; r++) copy(edge + r * NR, from + r * ldc, columns);
    whole_tiles(rows > SIDE, blocks, a, second, b, edge, edge, NR);
    for (long r = 0; r < rows; r++) copy(c + r * ldc, edge + r * NR, columns);
}
