/* Products, the recurrent cells over packed rows, forward and backward, their dropout, the density of the mixture, and the
   sampler's loop.

   Compiled on first use, for the machine it runs on and for one number type (`real`); native.py describes the structs.
   Rows of a step stand one below the other; drawings still running at step t are its first batch_sizes[t] rows.

   What a row gives, with finite weights, depends neither on the rows beside it nor on the number of threads: each element of
   a product is one chain of multiply-adds in a fixed order. A drawing is therefore the same to the last bit in any batch. */

#include <math.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define HAS_SHUFFLES 1
#endif
#endif

#ifndef REAL_BITS
#define REAL_BITS 32
#endif
#if REAL_BITS == 64
typedef double real;
#else
typedef float real;
#endif

static void copy(real *to, const real *from, long n) { memcpy(to, from, n * sizeof(real)); }

#define ONCE static __attribute__((noinline)) /* a copy wherever it is called would take long to compile */
#define EACH static inline __attribute__((always_inline)) /* a call for every tile would cost 4 % of a product */

/* ---- Products ---------------------------------------------------------------------------------------------------

   Weights (K, N) are packed in panels of NR columns, each (K, NR) without gaps, the last one filled up with zeros. A
   tile of at most MR rows and NR columns is kept in registers while the panel goes by. */

#if defined(__AVX512F__)
enum { VECTOR = 64, MR = 12 };
#elif defined(__AVX__)
enum { VECTOR = 32, MR = 6 };
#elif defined(__aarch64__)
enum { VECTOR = 16, MR = 12 };
#else
enum { VECTOR = 16, MR = 6 };
#endif
enum { LANES = VECTOR / sizeof(real), NR = 2 * LANES };
enum { KC = 512 };       /* rows that a gradient takes together, */
enum { ABREAST = 8 };    /* and panels */
enum { AT_ONCE = 16 };   /* rows that it cuts into tiles together */
enum { GROUP = 6 * MR }; /* at most so many rows go by one panel together */
enum { LATE = 8 };       /* panels that have what comes after them fetched, too */

typedef real vec __attribute__((vector_size(VECTOR), aligned(sizeof(real)), may_alias));

/* A (4, 4), rows `lda` apart, turned around into rows `apart` numbers from one to the next. */
static inline void turn_square(const real *A, long lda, real *to, long apart)
{
#if HAS_SHUFFLES
    typedef real quad __attribute__((vector_size(4 * sizeof(real)), aligned(sizeof(real)), may_alias));
    quad a = *(const quad *)A, b = *(const quad *)(A + lda);
    quad c = *(const quad *)(A + 2 * lda), d = *(const quad *)(A + 3 * lda);
    quad ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
    *(quad *)to = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
    *(quad *)(to + apart) = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
    ab = __builtin_shufflevector(a, b, 2, 6, 3, 7), cd = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    *(quad *)(to + 2 * apart) = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
    *(quad *)(to + 3 * apart) = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
#else
    for (int k = 0; k < 4; k++)
        for (int r = 0; r < 4; r++) to[k * apart + r] = A[r * lda + k];
#endif
}

/* A (m, K), rows `lda` apart, as (K, m): what a tile reads. */
static void turn(long m, long K, const real *A, long lda, real *to)
{
    long k = 0;
    for (; m >= 4 && k + 4 <= K; k += 4)
        for (long r = 0; r < m; r += 4) {
            long top = r + 4 <= m ? r : m - 4; /* the last square may do some rows again */
            turn_square(A + top * lda + k, lda, to + k * m + top, m);
        }
    for (; k < K; k++)
        for (long r = 0; r < m; r++) to[k * m + r] = A[r * lda + k];
}

/* What is read next: a tile has a cache line of it fetched into the second-level cache for each of its k, `step` numbers
   apart. Asked for all at once they would hold up the tile's own reading. */
typedef struct {
    const real *at;
    long step;
} Next;

/* C (m, NR) = from + A B: B a panel, `from` NULL for zeros. A is turned around, (k, m), rows `lda` apart. Flat tiles take it
   as it stands, (m, k), rows NR apart: at a distance that the compiler knows. */
#define TILE_AS(name, m, OF_ROW, STRIDE)                                                                               \
    static void name(long k, const real *a, long lda, const real *b, const real *from, long ldf, real *c, long ldc,    \
                     Next next)                                                                                        \
    {                                                                                                                  \
        vec sum[m][2];                                                                                                 \
        (void)lda;                                                                                                     \
        _Pragma("GCC unroll 16") for (int r = 0; r < m; r++)                                                           \
        {                                                                                                              \
            sum[r][0] = from ? *(const vec *)(from + r * ldf) : (vec){0};                                              \
            sum[r][1] = from ? *(const vec *)(from + r * ldf + LANES) : (vec){0};                                      \
        }                                                                                                              \
        for (; k > 0; k--, a += STRIDE, b += NR, next.at += next.step) {                                               \
            vec left = *(const vec *)b, right = *(const vec *)(b + LANES);                                             \
            __builtin_prefetch(next.at, 0, 2);                                                                         \
            _Pragma("GCC unroll 16") for (int r = 0; r < m; r++)                                                       \
            {                                                                                                          \
                sum[r][0] += a[OF_ROW] * left;                                                                         \
                sum[r][1] += a[OF_ROW] * right;                                                                        \
            }                                                                                                          \
        }                                                                                                              \
        _Pragma("GCC unroll 16") for (int r = 0; r < m; r++)                                                           \
        {                                                                                                              \
            *(vec *)(c + r * ldc) = sum[r][0];                                                                         \
            *(vec *)(c + r * ldc + LANES) = sum[r][1];                                                                 \
        }                                                                                                              \
    }
#define TILE(m) TILE_AS(tile_##m, m, r, lda) TILE_AS(flat_##m, m, r * NR, 1)
TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6)
#if defined(__AVX512F__) || defined(__aarch64__)
TILE(7) TILE(8) TILE(9) TILE(10) TILE(11) TILE(12)
#define UP_TO_MR(name) 0, name##1, name##2, name##3, name##4, name##5, name##6, name##7, name##8, name##9, name##10, \
    name##11, name##12
#else
#define UP_TO_MR(name) 0, name##1, name##2, name##3, name##4, name##5, name##6
#endif

typedef void Tile(long, const real *, long, const real *, const real *, long, real *, long, Next);
static Tile *const TILES[MR + 1] = {UP_TO_MR(tile_)}, *const FLAT_TILES[MR + 1] = {UP_TO_MR(flat_)};

static inline long tiles_of(long rows) { return (rows + MR - 1) / MR; }
static inline long panels_of(long columns) { return (columns + NR - 1) / NR; }

/* Columns of a panel that are there: all but in the last. */
static inline int width(long panel, long N) { return N - panel * NR < NR ? (int)(N - panel * NR) : NR; }

/* A tile with a panel of which so many columns are there. */
EACH void edged(Tile *whole, long m, long k, const real *a, long lda, const real *b, const real *from, long ldf, real *c,
                long ldc, int columns, Next next)
{
    if (columns == NR) {
        whole(k, a, lda, b, from, ldf, c, ldc, next);
        return;
    }
    real edge[MR * NR] = {0};
    for (long r = 0; r < m && from; r++) memcpy(edge + r * NR, from + r * ldf, columns * sizeof(real));
    whole(k, a, lda, b, from ? edge : 0, NR, edge, NR, next);
    for (long r = 0; r < m; r++) memcpy(c + r * ldc, edge + r * NR, columns * sizeof(real));
}

EACH void tile(long m, long k, const real *a, long lda, const real *b, const real *from, long ldf, real *c, long ldc,
               int columns, Next next)
{
    edged(TILES[m], m, k, a, lda, b, from, ldf, c, ldc, columns, next);
}

/* Has NR columns of some rows fetched into a cache: into the first to be written, into the second to be read later. */
static inline void ask_for(const real *rows, long count, long apart, int written)
{
    for (long r = 0; r < count; r++)
        for (int j = 0; j < NR; j += LANES)
            if (written)
                __builtin_prefetch(rows + r * apart + j, 1, 3);
            else
                __builtin_prefetch(rows + r * apart + j, 0, 2);
}

/* So many numbers that are read next. */
typedef struct {
    const real *at;
    long numbers;
} Ahead;

static const Ahead NOTHING = {0, 0};

/* What tile i of so many, with K steps each, has fetched of them: its share, or nearly. Of two cache lines one will do: its
   neighbour comes along. */
static inline Next share_of(Ahead ahead, long i, long tiles, long K)
{
    long step = K > 0 ? ahead.numbers / (tiles * K) : 0;
    if (step > NR) step = NR;
    return (Next){ahead.at + i * ahead.numbers / tiles, step};
}

typedef struct {
    const real *A; /* (n, K), rows `lda` apart */
    long lda, K;
} Part;

/* C (rows, N) = from + A B, of the rows [top, bottom) and the panels [first, last). A (rows, K) is the parts beside each
   other, B packed; `after` is what is read after that. With `falling` the panels go from the last to the first. `scratch`
   holds K numbers for each row, of GROUP rows at most. */
ONCE void multiply(long top, long bottom, long N, int count, const Part *parts, const real *B, const real *from,
                   long ldf, real *C, long ldc, long first, long last, Ahead after, int falling, real *scratch)
{
    long K = 0, groups = (bottom - top + GROUP - 1) / GROUP;
    for (int i = 0; i < count; i++) K += parts[i].K;
    for (; groups > 0; groups--) {
        long group = (bottom - top) / groups, tiles = tiles_of(group);
        for (long i = 0, row = 0; i < tiles; i++) { /* A as (K, m) for each tile */
            long m = group * (i + 1) / tiles - row;
            real *packed = scratch + row * K;
            for (const Part *p = parts; p < parts + count; packed += p->K * m, p++)
                turn(m, p->K, p->A + (top + row) * p->lda, p->lda, packed);
            row += m;
        }
        for (long left = last - first - 1; left >= 0; left--) {
            long panel = falling ? first + left : last - 1 - left, on = falling ? -NR : NR;
            const real *here = B + panel * K * NR;
            long asking = left ? tiles : 0; /* tiles that ask for the next panel */
            Ahead next = {here + on * K, K * NR}, then = {here, 0};
            if (left < LATE && groups == 1 && after.numbers) {
                asking -= asking / 2;
                long late = last - first < LATE ? last - first : LATE, each = after.numbers / late;
                then = (Ahead){after.at + (late - 1 - left) * each, each};
            }
            for (long i = 0, row = 0; i < tiles; i++) {
                long m = group * (i + 1) / tiles - row;
                real *c = C + (top + row) * ldc + panel * NR;
                const real *start = from ? from + (top + row) * ldf + panel * NR : 0;
                if (left) {
                    if (start && ldf) ask_for(start + on, m, ldf, 0);
                    ask_for(c + on, m, ldc, 1);
                }
                tile(m, K, scratch + row * K, m, here, start, ldf, c, ldc, width(panel, N),
                     i < asking ? share_of(next, i, asking, K) : share_of(then, i - asking, tiles - asking, K));
                row += m;
            }
        }
        top += group;
    }
}

/* C (M, columns) = from + A^T B over K rows: A (K, M), rows `lda` apart, B a panel, `from` C or NULL for zeros. */
static void transposed(long M, long K, const real *A, long lda, const real *B, const real *from, real *C, long ldc,
                       int columns)
{
    long tiles = tiles_of(M);
    for (long i = 0, row = 0; i < tiles; i++) {
        long m = M * (i + 1) / tiles - row;
        tile(m, K, A + row, lda, B, from ? from + row * ldc : 0, ldc, C + row * ldc, ldc, columns, (Next){B, 0});
        row += m;
    }
}

int panel_width(void) { return NR; }

#if defined(__AMX_BF16__) && defined(__AVX512F__) && defined(__linux__) && REAL_BITS == 32
#define HAS_TILES 1
#include "tiles.h"
#else
int use_tiles(int wanted) { return wanted && 0; }
#endif

/* Packs W (K, N) with strides `sk`, `sn` as the rows from `above` on of panels that have `all` rows. */
void pack(long threads, long K, long N, const real *W, long sk, long sn, long above, long all, real *panels)
{
#pragma omp parallel for schedule(static) num_threads((int)threads)
    for (long panel = 0; panel < panels_of(N); panel++) {
        int columns = width(panel, N);
        real *to = panels + (panel * all + above) * NR;
        const real *from = W + panel * NR * sn;
        if (sk == 1 && columns == NR)
            turn(NR, K, from, sn, to);
        else
            for (long k = 0; k < K; k++)
                for (int j = 0; j < NR; j++) to[k * NR + j] = j < columns ? from[k * sk + j * sn] : 0;
    }
}

/* ---- Functions of one number ---------------------------------------------------------------------------------- */

#if REAL_BITS == 64
static inline real exp_(real x) { return exp(x); }
static inline real tanh_(real x) { return tanh(x); }
static inline real log_(real x) { return log(x); }
#else
/* All to about 2 units in the last place, without branches, so that loops over them become vector instructions. */

typedef union {
    float value;
    uint32_t bits;
} Bits;

/* a where that holds, else b. Of a ?: with numbers that may be NaN compilers make several instructions more. */
static inline float pick(int holds, float a, float b)
{
    uint32_t mask = -(uint32_t)holds;
    Bits x = {.value = a}, y = {.value = b};
    return (Bits){.bits = (x.bits & mask) | (y.bits & ~mask)}.value;
}

/* exp(x), x from -87 to 88, as power (1 + p): a power of 2, and p by a polynomial of Cephes (S. Moshier). NaN gives NaN. */
static inline real exp_parts(real x, real *power)
{
    const float shift = 12582912; /* 1.5 2^23: adding it rounds to a whole number, which then stands in the last bits */
    Bits n = {.value = x * 1.44269504088896341f + shift};
    float whole = n.value - shift;
    float r = x - whole * 0.693359375f + whole * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    *power = (Bits){.bits = (n.bits + 127) << 23}.value;
    return p * r * r + r;
}

/* Beyond 88 and -87 it stays what it is there. */
static inline real exp_(real x)
{
    x = pick(x > 88, 88, x);
    real power, p = exp_parts(pick(x < -87, -87, x), &power);
    return (1 + p) * power; /* power p alone may be too small a number */
}

static inline real tanh_(real x)
{
    real far = pick(fabsf(x) > 40, 40, fabsf(x)), power, p = exp_parts(2 * far, &power);
    real less_1 = power * p + (power - 1); /* exp(2 |x|) - 1, for small x too without losing digits */
    return copysignf(less_1 / (less_1 + 2), x);
}

static inline real log_(real x) { return logf(x); }
#endif

static inline real sigmoid(real x) { return 1 / (1 + exp_(-x)); }

#define FORGET_BIAS 1
#define LAYER_NORM_EPSILON ((real)1e-3)

/* ---- The team of threads ---------------------------------------------------------------------------------------- */

/* Where some threads wait for each other; zeros before the first time. */
typedef struct {
    int waiting, turn;
} __attribute__((aligned(64))) Meeting; /* a cache line each */

static void meet(Meeting *at, int all)
{
    int turn = __atomic_load_n(&at->turn, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&at->waiting, 1, __ATOMIC_ACQ_REL) == all) {
        __atomic_store_n(&at->waiting, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&at->turn, turn + 1, __ATOMIC_RELEASE);
        return;
    }
    for (int looks = 1000; __atomic_load_n(&at->turn, __ATOMIC_ACQUIRE) == turn;)
        if (looks > 0)
            looks--;
        else
            sched_yield(); /* the others may be waiting for this very core */
}

typedef struct {
    long me, all;
    double from, to;  /* of all that is to do, this thread's share: at first as large as the others' */
    double cost;      /* seconds that a row takes it: a running mean; 0 where that is not known */
    long measured;    /* steps measured so far, at most 8 */
    real *scratch;
    Meeting *meeting; /* NULL where the team is all threads there are */
    int falling;      /* products go through their panels from the last one on: every second step, for what was read last is
                         still in the cache */
    unsigned floats;  /* how this thread treated denormal numbers before */
} Team;

#ifdef _OPENMP
static long thread_number(void) { return omp_get_thread_num(); }
static long num_threads(void) { return omp_get_num_threads(); }
static double now(void) { return omp_get_wtime(); }
#else
static long thread_number(void) { return 0; }
static long num_threads(void) { return 1; }
static double now(void) { return 0; }
#endif

/* At least n numbers. Every thread's scratch then begins as the first one's does, and vectors straddle no cache lines. */
static long whole_vectors(long n) { return (n + LANES - 1) / LANES * LANES; }

/* A thread joins with its own part of `scratch`, which holds `each` numbers for every thread. */
static Team join(long me, long all, real *scratch, long each)
{
    Team team = {.me = me, .all = all, .from = (double)me / all, .to = (double)(me + 1) / all};
    team.scratch = scratch + me * each;
#if defined(__SSE__)
    team.floats = _mm_getcsr();
    _mm_setcsr(team.floats | 0x8040); /* denormal numbers count as 0: they are a hundred times slower */
#endif
    return team;
}

/* The team is all threads. */
static Team enter(real *scratch, long each) { return join(thread_number(), num_threads(), scratch, each); }

static void leave(const Team *team)
{
#if defined(__SSE__)
    _mm_setcsr(team->floats);
#else
    (void)team;
#endif
}

static inline long first_of(const Team *team, long n) { return (long)(n * team->from + 0.5); }
static inline long last_of(const Team *team, long n) { return (long)(n * team->to + 0.5); }

static inline void wait_for_all(const Team *team)
{
    if (team->meeting) {
        if (team->all > 1) meet(team->meeting, team->all);
    } else if (team->all > 1) {
#pragma omp barrier
    }
}

/* This thread took so long for some rows. */
static void measure(Team *team, long rows, double seconds)
{
    if (rows == 0) return;
    double each = seconds / rows, most = 2 * team->cost; /* it was put off for a moment: that says nothing of what comes */
    if (team->measured && each > most) each = most;
    if (team->measured < 8) team->measured++;
    team->cost += (each - team->cost) / team->measured;
}

/* Shares out what there is to do by what a row takes each thread: where others use the machine too, one core is often slower
   than the next for a while, and all would wait for it. Shares stay as they are where a cost is not known. */
static void share_out(Team *team, const double *costs)
{
    double least = costs[0], all = 0, from = 0, to = 0;
    for (long i = 1; i < team->all; i++) least = costs[i] < least ? costs[i] : least;
    /* Who seems slower than that was held up, and has to have rows to show that it is not. */
    double most = 3 * least;
    for (long i = 0; i < team->all; i++) {
        if (!(costs[i] > 0)) return;
        if (i == team->me) from = all;
        all += 1 / (costs[i] < most ? costs[i] : most);
        if (i == team->me) to = all;
    }
    team->from = from / all, team->to = to / all;
    if (team->cost > most) team->cost = most;
}

/* Enough rows for every thread to have a tile and a half of its own. With fewer each makes its columns of all of them, and
   reads its part of the weights alone. */
static inline int by_rows(const Team *team, long n) { return 2 * n >= team->all * 3 * MR; }

/* C (n, N) = start + A B, A the parts beside each other. Row r starts from row who[r] of `start`, or r without `who`, rows
   `ld_start` apart, 0 for one that all share; NULL is zeros. Afterwards each thread may read its own rows of C; `after` is
   what it reads besides. */
static void product(const Team *team, long n, long N, real *C, long ldc, const real *start, long ld_start,
                    const int64_t *who, int count, const Part *parts, const real *B, Ahead after)
{
    long panels = panels_of(N), rows = by_rows(team, n);
    long top = rows ? first_of(team, n) : 0, bottom = rows ? last_of(team, n) : n;
    long first = rows ? 0 : first_of(team, panels), last = rows ? panels : last_of(team, panels);
    if (who) { /* gathered first: a tile wants rows at one distance */
        long left = first * NR, right = last * NR < N ? last * NR : N;
        for (long r = top; r < bottom && left < right && start; r++)
            memcpy(C + r * ldc + left, start + who[r] * ld_start + left, (right - left) * sizeof(real));
        if (start) start = C, ld_start = ldc;
    }
    multiply(top, bottom, N, count, parts, B, start, ld_start, C, ldc, first, last, after, !rows && team->falling,
             team->scratch);
    if (!rows) wait_for_all(team);
}

/* Numbers of scratch that `affine` needs for every thread. */
long affine_numbers(long K) { return whole_vectors(GROUP * K); }

/* C (n, N) = A B + b: A (n, K), B packed, b (N) or NULL for zeros. */
void affine(long threads, long n, long K, long N, const real *A, const real *B, const real *b, real *C, real *scratch)
{
#pragma omp parallel num_threads((int)threads)
    {
        Team team = enter(scratch, affine_numbers(K));
        product(&team, n, N, C, N, b, 0, 0, 1, &(Part){A, K, K}, B, NOTHING);
        leave(&team);
    }
}

/* ---- The cells, row by row -------------------------------------------------------------------------------------- */

typedef struct {
    long kind; /* 0 lstm, 1 layer_norm, 2 hyper */
    long inputs, size;
    const real *x_h;                                 /* (inputs + size, 4 size): W_x above W_h; not of the HyperLSTM */
    const real *h_back;                              /* (4 size, size): W_h transposed, above hyper_h transposed */
    const real *gamma, *beta, *c_gamma, *c_beta;     /* layer norm: (4 size), (4 size), (size), (size) */
    long hyper_size, embedding;                      /* the rest is of the HyperLSTM alone */
    const real *bias;                                /* (4 size) */
    const real *h;                                   /* (size, 4 size) */
    const real *hyper_x_h;                           /* to (4 hyper_size) from inputs, h and h_hyper, one above the other */
    const real *hyper_back;                          /* (4 hyper_size, hyper_size): the last of these transposed */
    const real *hyper_gamma, *hyper_beta, *hyper_c_gamma, *hyper_c_beta;
    const real *z, *z_back, *b_z;                    /* (hyper_size, 12 embedding), transposed, (12 embedding) */
    const real *x, *scale, *scale_back; /* 4 of (inputs, size), 12 of (embedding, size), 12 transposed */
    long x_stride, scale_stride, scale_back_stride; /* numbers from one of them to the next */
} Cell;

/* What a step leaves for the way back, a row for every packed row; without one see Pass.learns. Of hyper_* the HyperLSTM
   alone. */
typedef struct {
    real *h, *c;       /* (P, size) */
    real *gates;       /* (P, 4 size) lstm: i, g, f, o; else the normalised gates. On the way back: their gradients */
    real *deviation;   /* (P, 4) 1 / standard deviation of each gate */
    real *hyper_h, *hyper_c, *hyper_gates, *hyper_deviation;
    real *z, *hh;      /* (P, 12 embedding) and (P, 4 size) W_h h. On the way back: their gradients */
} Trace;

/* Gates (4 H) from pre-activations to i, g, f, o. */
static void activate(long H, real *gates)
{
    real *i = gates, *j = gates + H, *f = gates + 2 * H, *o = gates + 3 * H;
#pragma omp simd
    for (long u = 0; u < H; u++) {
        i[u] = sigmoid(i[u]);
        j[u] = tanh_(j[u]);
        f[u] = sigmoid(f[u] + FORGET_BIAS);
        o[u] = sigmoid(o[u]);
    }
}

/* The new c. */
static void next_c(long H, const real *gates, const uint8_t *mask, real scale, const real *c_before, real *c)
{
    const real *i = gates, *j = gates + H, *f = gates + 2 * H;
    if (mask) {
#pragma omp simd
        for (long u = 0; u < H; u++) c[u] = c_before[u] * f[u] + i[u] * j[u] * (mask[u] * scale);
    } else {
#pragma omp simd
        for (long u = 0; u < H; u++) c[u] = c_before[u] * f[u] + i[u] * j[u];
    }
}

/* Gates (4 H) from pre-activations to i, g, f, o; new c and h. */
static void lstm_forward(long H, real *gates, const uint8_t *mask, real scale, const real *c_before, real *c, real *h)
{
    activate(H, gates);
    next_c(H, gates, mask, scale, c_before, c);
    const real *o = gates + 3 * H;
#pragma omp simd
    for (long u = 0; u < H; u++) h[u] = tanh_(c[u]) * o[u];
}

/* Gates from i, g, f, o to the gradients of their pre-activations; dc from that of c to that of c_before. */
static void lstm_backward(long H, real *gates, const uint8_t *mask, real scale, const real *c_before, const real *c,
                          const real *dh, real *dc)
{
    real *i = gates, *j = gates + H, *f = gates + 2 * H, *o = gates + 3 * H;
#pragma omp simd
    for (long u = 0; u < H; u++) {
        real t = tanh_(c[u]), keep = mask ? mask[u] * scale : 1;
        real d = dc[u] + dh[u] * o[u] * (1 - t * t);
        real di = d * j[u] * keep * i[u] * (1 - i[u]);
        real dj = d * i[u] * keep * (1 - j[u] * j[u]);
        real df = d * c_before[u] * f[u] * (1 - f[u]);
        dc[u] = d * f[u];
        o[u] = dh[u] * t * o[u] * (1 - o[u]);
        i[u] = di, j[u] = dj, f[u] = df;
    }
}

static inline real square(real x) { return x * x; }

/* 1 / standard deviation of x (n), and its mean. By quarters: an addition waits for the one before in the same sum. */
static real moments(long n, const real *x, real *mean)
{
    long q = n / 4;
    real a = 0, b = 0, c = 0, d = 0;
#pragma omp simd reduction(+ : a, b, c, d)
    for (long u = 0; u < q; u++) a += x[u], b += x[u + q], c += x[u + 2 * q], d += x[u + 3 * q];
    for (long u = 4 * q; u < n; u++) a += x[u];
    real m = (a + b + c + d) / n;
    a = 0, b = 0, c = 0, d = 0;
#pragma omp simd reduction(+ : a, b, c, d)
    for (long u = 0; u < q; u++) {
        a += square(x[u] - m), b += square(x[u + q] - m);
        c += square(x[u + 2 * q] - m), d += square(x[u + 3 * q] - m);
    }
    for (long u = 4 * q; u < n; u++) a += square(x[u] - m);
    *mean = m;
    return 1 / (real)sqrt((a + b + c + d) / n + LAYER_NORM_EPSILON);
}

typedef struct {
    const real *gamma, *beta, *c_gamma, *c_beta;
} Norm;

/* As lstm_forward, with layer norm of each gate and of c; gates end as the normalised ones. `room` holds 4 H. */
ONCE void norm_forward(long H, real *gates, real *deviation, Norm norm, const uint8_t *mask, real scale,
                       const real *c_before, real *c, real *h, real *room)
{
    for (int g = 0; g < 4; g++) {
        real mean, *x = gates + g * H, *y = room + g * H;
        real over = moments(H, x, &mean);
        const real *gamma = norm.gamma + g * H, *beta = norm.beta + g * H;
        deviation[g] = over;
#pragma omp simd
        for (long u = 0; u < H; u++) {
            x[u] = (x[u] - mean) * over;
            y[u] = x[u] * gamma[u] + beta[u];
        }
    }
    activate(H, room);
    next_c(H, room, mask, scale, c_before, c);
    real mean, over = moments(H, c, &mean);
    const real *o = room + 3 * H;
#pragma omp simd
    for (long u = 0; u < H; u++) h[u] = tanh_((c[u] - mean) * over * norm.c_gamma[u] + norm.c_beta[u]) * o[u];
}

/* The way back through y = normal gamma + beta: from dy (n), which is used up, to the gradient `d` of what was normalised.
   That may stand where dy or `normal` does. */
static void normalise_backward(long n, const real *normal, real over, const real *gamma, real *dy, real *d_gamma,
                               real *d_beta, real *d)
{
    real sum = 0, product = 0;
#pragma omp simd reduction(+ : sum, product)
    for (long u = 0; u < n; u++) {
        real own = dy[u];
        d_gamma[u] += own * normal[u];
        d_beta[u] += own;
        own *= gamma[u];
        sum += own;
        product += own * normal[u];
        dy[u] = own;
    }
    sum /= n, product /= n;
#pragma omp simd
    for (long u = 0; u < n; u++) d[u] = over * (dy[u] - sum - normal[u] * product);
}

/* As lstm_backward; gates from normalised to gradients before the norm. `sums` (10 H) gathers the gradients of gamma,
   beta, c_gamma and c_beta; `room` holds 6 H. */
ONCE void norm_backward(long H, real *gates, const real *deviation, Norm norm, const uint8_t *mask, real scale,
                        const real *c_before, const real *c, const real *dh, real *dc, real *sums, real *room)
{
    real *normal = room + 4 * H, *d = room + 5 * H;
    real *i = room, *j = room + H, *f = room + 2 * H, *o = room + 3 * H;
    for (int g = 0; g < 4; g++) {
        const real *x = gates + g * H, *gamma = norm.gamma + g * H, *beta = norm.beta + g * H;
        real *y = room + g * H;
#pragma omp simd
        for (long u = 0; u < H; u++) y[u] = x[u] * gamma[u] + beta[u];
    }
    real mean, over = moments(H, c, &mean);
    activate(H, room);
#pragma omp simd
    for (long u = 0; u < H; u++) {
        normal[u] = (c[u] - mean) * over;
        real t = tanh_(normal[u] * norm.c_gamma[u] + norm.c_beta[u]);
        d[u] = dh[u] * o[u] * (1 - t * t);
        o[u] = dh[u] * t * o[u] * (1 - o[u]);
    }
    normalise_backward(H, normal, over, norm.c_gamma, d, sums + 8 * H, sums + 9 * H, d);
#pragma omp simd
    for (long u = 0; u < H; u++) {
        real keep = mask ? mask[u] * scale : 1, of_c = dc[u] + d[u];
        real di = of_c * j[u] * keep * i[u] * (1 - i[u]);
        real dj = of_c * i[u] * keep * (1 - j[u] * j[u]);
        real df = of_c * c_before[u] * f[u] * (1 - f[u]);
        dc[u] = of_c * f[u];
        i[u] = di, j[u] = dj, f[u] = df;
    }
    for (int g = 0; g < 4; g++)
        normalise_backward(H, gates + g * H, deviation[g], norm.gamma + g * H, room + g * H, sums + g * H,
                           sums + (4 + g) * H, gates + g * H);
}

/* ---- One step of a cell ----------------------------------------------------------------------------------------- */

/* The rows of one step: those of a Trace, and what a step reads. The state before may stand where the new one goes. */
typedef struct {
    long n, n_before;                /* rows, and those of the step before; not known to the sampler */
    const real *x;                   /* (n, inputs) */
    const real *start;               /* (B or 1, width) what z and the bias add to the product of the inputs; or NULL */
    long start_apart;                /* from one row of it to the next: 0 for one that all share */
    const int64_t *who;              /* (n) the row of `start`; NULL for row r */
    const uint8_t *mask;             /* (n, size) recurrent dropout; NULL for none */
    real scale;                      /* 1 / keep */
    const real *h_before, *c_before, *hyper_h_before, *hyper_c_before;
    Trace row;
} Step;

static Norm norm_of(const Cell *cell) { return (Norm){cell->gamma, cell->beta, cell->c_gamma, cell->c_beta}; }

static Norm hyper_norm_of(const Cell *cell)
{
    return (Norm){cell->hyper_gamma, cell->hyper_beta, cell->hyper_c_gamma, cell->hyper_c_beta};
}

/* Columns of `start`. */
static long width_of(const Cell *cell) { return 4 * cell->size + (cell->kind == 2 ? 4 * cell->hyper_size : 0); }

static long widest(const Cell *cell)
{
    long back = 4 * (cell->size + cell->hyper_size), forth = cell->inputs + cell->size + cell->hyper_size;
    long most = back > forth ? back : forth;
    return 12 * cell->embedding > most ? 12 * cell->embedding : most;
}

/* At most GROUP rows of a HyperLSTM's step, one panel of one gate after the other: what is between the products and the
   gates stays in the first-level cache. */
typedef struct {
    long top, rows, tiles;
    real *x, *z;                 /* for each tile: (inputs, m) and 12 of (embedding, m) */
    real *of_x, *of_h, *of_b;    /* (rows, NR): scale of W_x x, scale of W_h h, shift */
    real *xh;                    /* (rows, NR): W_x x */
    real *z_rows;                /* back: (rows, 12 embedding) */
} Block;

/* Numbers that a Block needs. */
static long block_numbers(const Cell *cell) { return GROUP * (cell->inputs + 2 * 12 * cell->embedding + 4 * NR); }

/* Of a thread's scratch, what the packed rows of `multiply` and a Block have in turn. */
static long turns_numbers(const Cell *cell)
{
    long packed = GROUP * widest(cell), block = cell->kind == 2 ? block_numbers(cell) : 0;
    return packed > block ? packed : block;
}

/* Numbers of scratch that a thread needs: those, then what `room_of` finds. */
long scratch_numbers(const Cell *cell)
{
    return whole_vectors(turns_numbers(cell) + 6 * (cell->size > cell->hyper_size ? cell->size : cell->hyper_size));
}

static real *room_of(const Cell *cell, const Team *team) { return team->scratch + turns_numbers(cell); }

/* The row after the last one of a tile. */
static long end_of(const Block *b, long tile) { return b->rows * (tile + 1) / b->tiles; }

static Block block_of(const Cell *cell, real *room, const Step *step, long top, long rows)
{
    long I = cell->inputs, E = cell->embedding;
    Block b = {.top = top, .rows = rows, .tiles = tiles_of(rows), .of_x = room};
    b.of_h = b.of_x + rows * NR, b.of_b = b.of_h + rows * NR, b.xh = b.of_b + rows * NR;
    b.x = b.xh + rows * NR, b.z = b.x + rows * I, b.z_rows = b.z + rows * 12 * E;
    for (long i = 0, row = 0; i < b.tiles; i++) {
        long m = end_of(&b, i) - row;
        turn(m, I, step->x + (top + row) * I, I, b.x + row * I);
        turn(m, 12 * E, step->row.z + (top + row) * 12 * E, 12 * E, b.z + row * 12 * E);
        row += m;
    }
    return b;
}

/* Of the columns [left, left + columns) of a gate: W_x x, and the first `count` of its scale, that of W_h h, and the shift.
   What stands in the tiles beyond these columns is of no use. */
static void block_scales(const Cell *cell, const Step *step, const Block *b, long gate, long left, long columns, int count)
{
    long E = cell->embedding, I = cell->inputs, W = step->start_apart;
    real *to[] = {b->of_x, b->of_h, b->of_b};
    const real *start = step->start ? step->start + gate * cell->size + left : 0, *from = b->xh;
    long apart = NR;
    if (start && !step->who && columns == NR) /* where it lies */
        from = start + b->top * W, apart = W;
    else
        for (long r = 0; r < b->rows && start; r++)
            copy(b->xh + r * NR, start + (step->who ? step->who[b->top + r] : b->top + r) * W, columns);
    for (long i = 0, row = 0; i < b->tiles; i++) {
        long m = end_of(b, i) - row;
        real *xh = b->xh + row * NR;
        if (from != b->xh) ask_for(from + row * W + NR, m, W, 0);
        TILES[m](I, b->x + row * I, m, cell->x + gate * cell->x_stride + left * I, start ? from + row * apart : 0, apart,
                 xh, NR, (Next){xh, 0});
        for (int k = 0; k < count; k++) {
            const real *z = b->z + row * 12 * E + (4 * k + gate) * E * m;
            TILES[m](E, z, m, cell->scale + (4 * k + gate) * cell->scale_stride + left * E, 0, 0,
                     to[k] + row * NR, NR, (Next){z, 0});
        }
        row += m;
    }
}

/* Of the small LSTM of a HyperLSTM: the step, and z. */
static void hyper_forward(const Cell *cell, const Team *team, const Step *step)
{
    long H = cell->size, S = cell->hyper_size, E = cell->embedding, n = step->n;
    const Trace *row = &step->row;
    real *room = room_of(cell, team);
    Part reads[] = {{step->x, cell->inputs, cell->inputs}, {step->h_before, H, H}, {step->hyper_h_before, S, S}};
    product(team, n, 4 * S, row->hyper_gates, 4 * S, step->start ? step->start + 4 * H : 0, step->start_apart, step->who, 3,
            reads, cell->hyper_x_h, NOTHING);
    for (long r = first_of(team, n); r < last_of(team, n); r++)
        norm_forward(S, row->hyper_gates + r * 4 * S, row->hyper_deviation + r * 4, hyper_norm_of(cell), 0, 1,
                     step->hyper_c_before + r * S, row->hyper_c + r * S, row->hyper_h + r * S, room);
    if (!by_rows(team, n)) wait_for_all(team);
    Part small = {row->hyper_h, S, S};
    product(team, n, 12 * E, row->z, 12 * E, cell->b_z, 0, 0, 1, &small, cell->z, NOTHING);
}

/* The gates of a HyperLSTM before layer norm, of some rows and of the panels [first, last): each gate has its own. */
static void scaled_gates(const Cell *cell, const Step *step, long top, long rows, long first, long last, real *room)
{
    long H = cell->size, each = panels_of(H);
    Block b = block_of(cell, room, step, top, rows);
    for (long panel = first; panel < last; panel++) {
        long gate = panel / each, left = panel % each * NR, columns = H - left < NR ? H - left : NR;
        block_scales(cell, step, &b, gate, left, columns, 3);
        const real *bias = cell->bias + gate * H + left;
        for (long r = 0; r < rows; r++) {
            long at = (top + r) * 4 * H + gate * H + left;
            const real *xh = b.xh + r * NR, *hh = step->row.hh + at;
            const real *of_x = b.of_x + r * NR, *of_h = b.of_h + r * NR, *of_b = b.of_b + r * NR;
            real *gates = step->row.gates + at;
            ask_for(gates + NR, 1, 0, 1);
#pragma omp simd
            for (long j = 0; j < columns; j++) gates[j] = of_x[j] * xh[j] + of_h[j] * hh[j] + of_b[j] + bias[j];
        }
    }
}

/* A thread's own of n rows. */
static Ahead own_rows(const Team *team, long n, const real *rows, long width)
{
    long first = first_of(team, n), last = last_of(team, n);
    return (Ahead){rows + first * width, (last - first) * width};
}

static void step_forward(const Cell *cell, const Team *team, const Step *step)
{
    long H = cell->size, n = step->n, gate_panels = 4 * panels_of(H);
    const Trace *row = &step->row;
    real *room = room_of(cell, team);
    Part x_h[] = {{step->x, cell->inputs, cell->inputs}, {step->h_before, H, H}};
    int hyper = cell->kind == 2, few = hyper && !by_rows(team, n);
    int last = few && team->falling; /* the small LSTM and W_h h do not need each other: to and fro through both */
    if (hyper) {
        if (!last) hyper_forward(cell, team, step);
        product(team, n, 4 * H, row->hh, 4 * H, 0, 0, 0, 1, x_h + 1, cell->h, own_rows(team, n, row->hh, 4 * H));
        if (last) hyper_forward(cell, team, step);
    } else {
        product(team, n, 4 * H, row->gates, 4 * H, step->start, step->start_apart, step->who, 2, x_h, cell->x_h,
                own_rows(team, n, row->gates, 4 * H));
    }
    if (few) {
        for (long top = 0; top < n; top += GROUP)
            scaled_gates(cell, step, top, n - top < GROUP ? n - top : GROUP, first_of(team, gate_panels),
                         last_of(team, gate_panels), team->scratch);
        wait_for_all(team);
    }
    long bottom = last_of(team, n);
    for (long top = first_of(team, n); top < bottom; top += GROUP) {
        long rows = bottom - top < GROUP ? bottom - top : GROUP;
        if (hyper && !few) scaled_gates(cell, step, top, rows, 0, gate_panels, team->scratch);
        for (long r = top; r < top + rows; r++) {
            real *gates = row->gates + r * 4 * H;
            const uint8_t *mask = step->mask ? step->mask + r * H : 0;
            const real *c_before = step->c_before + r * H;
            if (cell->kind == 0)
                lstm_forward(H, gates, mask, step->scale, c_before, row->c + r * H, row->h + r * H);
            else
                norm_forward(H, gates, row->deviation + r * 4, norm_of(cell), mask, step->scale, c_before,
                             row->c + r * H, row->h + r * H, room);
        }
    }
}

/* ---- Dropout ---------------------------------------------------------------------------------------------------- */

enum { WORDS = 64 }; /* random words made together */

/* n times 1 where a random number of -32768 to 32767 is below `limit`, else 0. Each word of SplitMix64 (Steele et al., 2014)
   is four of them. */
void dropout(long threads, long n, uint64_t seed, long limit, uint8_t *mask)
{
    long blocks = (n + 4 * WORDS - 1) / (4 * WORDS);
#pragma omp parallel for schedule(static) num_threads((int)threads)
    for (long block = 0; block < blocks; block++) {
        uint64_t words[WORDS];
        int16_t chance[4 * WORDS];
        for (uint64_t w = 0; w < WORDS; w++) {
            uint64_t x = seed + (block * WORDS + w + 1) * 0x9e3779b97f4a7c15u;
            x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
            x = (x ^ x >> 27) * 0x94d049bb133111ebu;
            words[w] = x ^ x >> 31;
        }
        memcpy(chance, words, sizeof words);
        long first = block * 4 * WORDS, count = n - first < 4 * WORDS ? n - first : 4 * WORDS;
        for (long i = 0; i < count; i++) mask[first + i] = chance[i] < limit;
    }
}

/* ---- All steps -------------------------------------------------------------------------------------------------- */

typedef struct {
    long steps;
    const int64_t *sizes;            /* (steps) rows of each, falling */
    long learns;                     /* 0: there is no way back, and all members of the Trace but h have the rows of one
                                        step, each written over the one before */
    const real *x;                   /* (P, inputs) */
    const real *start;               /* (B or 1, width) or NULL */
    long start_apart;                /* as in Step */
    const uint8_t *mask;             /* (P, size) or NULL */
    double scale;
    const real *h0, *c0, *hyper_h0, *hyper_c0; /* (B, size): before the first step */
    real *h_last, *c_last, *hyper_h_last, *hyper_c_last; /* (B, size): forward after the last step of each drawing; back:
                                        in the gradients of these, out those of the state before the first step */
    const real *d_h;                 /* (P, size) or NULL: back, the gradient of the outputs */
    real *d_start;                   /* (B, width), zeros: back, its gradient; NULL if not wanted, which a HyperLSTM's is */
    real *sums;                      /* (threads of the pass, 14 size + 10 hyper_size), zeros: back, gradients of gamma,
                                        beta, c_gamma, c_beta, the same of the small LSTM, bias */
    real *d_x, *d_scale;             /* (threads of the pass, inputs, 4 size) and (the same, 12, panels of (embedding,
                                        size)), zeros: back, the gradients of W_x and of the scales of a HyperLSTM */
    real *d_hyper;                   /* (B, hyper_size): back, room */
    real *scratch;                   /* scratch_numbers for each thread of the pass */
} Pass;

static Trace at(const Cell *cell, const Pass *pass, const Trace *all, long row)
{
    long H = cell->size, S = cell->hyper_size, E = cell->embedding;
    Trace t = *all;
    t.h += row * H;
    if (!pass->learns) return t;
    t.c += row * H, t.gates += row * 4 * H;
    if (cell->kind > 0) t.deviation += row * 4;
    if (cell->kind == 2) {
        t.hyper_h += row * S, t.hyper_c += row * S;
        t.hyper_gates += row * 4 * S, t.hyper_deviation += row * 4;
        t.z += row * 12 * E, t.hh += row * 4 * H;
    }
    return t;
}

static Step step_at(const Cell *cell, const Pass *pass, const Trace *trace, long t, long row)
{
    long H = cell->size, S = cell->hyper_size;
    long n_before = t ? pass->sizes[t - 1] : 0, before = row - n_before;
    long kept = pass->learns ? before : 0; /* the same in all members of the Trace but h */
    Step step = {.n = pass->sizes[t], .n_before = n_before, .x = pass->x + row * cell->inputs, .start = pass->start,
                 .start_apart = pass->start_apart, .scale = pass->scale};
    step.mask = pass->mask ? pass->mask + row * H : 0;
    step.h_before = t ? trace->h + before * H : pass->h0;
    step.c_before = t ? trace->c + kept * H : pass->c0;
    if (cell->kind == 2) {
        step.hyper_h_before = t ? trace->hyper_h + kept * S : pass->hyper_h0;
        step.hyper_c_before = t ? trace->hyper_c + kept * S : pass->hyper_c0;
    }
    step.row = at(cell, pass, trace, row);
    return step;
}

/* After step t of n rows, begun at `start`: waits for all, who may have other rows from now on. `costs` holds two for each
   thread: others may still read those of the step before. */
static void end_step(Team *team, double *costs, long t, long n, double start, int may_move)
{
    if (by_rows(team, n)) measure(team, last_of(team, n) - first_of(team, n), now() - start);
    costs += t % 2 * team->all;
    costs[team->me] = team->cost;
    wait_for_all(team);
    team->falling = !team->falling;
    if (may_move) share_out(team, costs);
}

static void go_forth(const Cell *cell, Team *team, const Pass *pass, const Trace *trace, double *costs)
{
    long H = cell->size, S = cell->hyper_size;
    for (long t = 0, row = 0; t < pass->steps; row += pass->sizes[t], t++) {
        double start = now();
        Step step = step_at(cell, pass, trace, t, row);
        long n = step.n, next = t + 1 < pass->steps ? pass->sizes[t + 1] : 0;
        step_forward(cell, team, &step);
        for (long r = next; r < n; r++) { /* those that end here */
            if (r < first_of(team, n) || r >= last_of(team, n)) continue;
            const Trace *last = &step.row;
            copy(pass->h_last + r * H, last->h + r * H, H), copy(pass->c_last + r * H, last->c + r * H, H);
            if (cell->kind < 2) continue;
            copy(pass->hyper_h_last + r * S, last->hyper_h + r * S, S);
            copy(pass->hyper_c_last + r * S, last->hyper_c + r * S, S);
        }
        end_step(team, costs, t, n, start, 1);
    }
}

/* Of some rows of a HyperLSTM's step: from the gradients of its gates to those of all that they are made of. */
static void scaled_gates_backward(const Cell *cell, long me, const Pass *pass, const Step *step, long top, long rows,
                                  real *d_bias, real *room)
{
    long H = cell->size, E = cell->embedding, I = cell->inputs, W = width_of(cell);
    long panels = panels_of(H);
    real *d_x = pass->d_x + me * I * 4 * H, *d_scale = pass->d_scale + me * 12 * panels * E * NR;
    Block b = block_of(cell, room, step, top, rows);
    real *z = step->row.z + top * 12 * E;
    copy(b.z_rows, z, rows * 12 * E);
    memset(z, 0, rows * 12 * E * sizeof(real)); /* from here on its gradient */
    for (long gate = 0; gate < 4; gate++)
        for (long left = 0; left < H; left += NR) {
            long columns = H - left < NR ? H - left : NR, column = gate * H + left;
            block_scales(cell, step, &b, gate, left, columns, 2);
            for (long r = 0; r < rows; r++) {
                const real *d = step->row.gates + (top + r) * 4 * H + column;
                real *hh = step->row.hh + (top + r) * 4 * H + column, *d_start = pass->d_start + (top + r) * W + column;
                real *of_x = b.of_x + r * NR, *of_h = b.of_h + r * NR, *of_b = b.of_b + r * NR, *xh = b.xh + r * NR;
                ask_for(d + NR, 1, 0, 0), ask_for(hh + NR, 1, 0, 1), ask_for(d_start + NR, 1, 0, 1);
#pragma omp simd
                for (long j = 0; j < columns; j++) {
                    real d_xh = d[j] * of_x[j], d_hh = d[j] * of_h[j];
                    d_bias[column + j] += d[j];
                    d_start[j] += d_xh;
                    of_x[j] = d[j] * xh[j]; /* now the gradients of the three */
                    of_h[j] = d[j] * hh[j];
                    of_b[j] = d[j];
                    xh[j] = d_xh;
                    hh[j] = d_hh;
                }
            }
            transposed(I, rows, step->x + top * I, I, b.xh, d_x + column, d_x + column, 4 * H, columns);
            const real *d[] = {b.of_x, b.of_h, b.of_b};
            for (long k = 0; k < 3; k++) {
                long which = 4 * k + gate;
                real *of_scale = d_scale + (which * panels + left / NR) * E * NR;
                transposed(E, rows, b.z_rows + which * E, 12 * E, d[k], of_scale, of_scale, NR, columns);
                const real *back = cell->scale_back + which * cell->scale_back_stride + left * NR;
                if (left + NR < H) ask_for(back + NR * NR, NR, NR, 0);
                for (long i = 0, row = 0; i < b.tiles; i++) {
                    long m = end_of(&b, i) - row;
                    for (long e = 0; e < E; e += NR) {
                        real *to = z + row * 12 * E + which * E + e;
                        edged(FLAT_TILES[m], m, columns, d[k] + row * NR, NR, back + e * H, to, 12 * E, to, 12 * E,
                              width(e / NR, E), (Next){to, 0});
                    }
                    row += m;
                }
            }
        }
}

/* The gates of a thread's rows in the step before, which stand above those of this one. */
static Ahead gates_before(const Cell *cell, const Team *team, const Step *step)
{
    return own_rows(team, step->n_before, step->row.gates - step->n_before * 4 * cell->size, 4 * cell->size);
}

static void step_backward(const Cell *cell, const Team *team, const Pass *pass, const Step *step, const real *d_h)
{
    long H = cell->size, S = cell->hyper_size, E = cell->embedding, n = step->n, W = width_of(cell);
    const Trace *row = &step->row;
    real *room = room_of(cell, team), *d_hyper = pass->d_hyper;
    real *sums = pass->sums + team->me * (14 * H + 10 * S);
    long bottom = last_of(team, n);
    for (long top = first_of(team, n); top < bottom; top += GROUP) {
        long rows = bottom - top < GROUP ? bottom - top : GROUP;
        for (long r = top; r < top + rows; r++) {
            real *gates = row->gates + r * 4 * H, *dh = pass->h_last + r * H, *dc = pass->c_last + r * H;
            const uint8_t *mask = step->mask ? step->mask + r * H : 0;
            if (d_h) {
                const real *own = d_h + r * H;
#pragma omp simd
                for (long u = 0; u < H; u++) dh[u] += own[u];
            }
            if (cell->kind == 0)
                lstm_backward(H, gates, mask, step->scale, step->c_before + r * H, row->c + r * H, dh, dc);
            else
                norm_backward(H, gates, row->deviation + r * 4, norm_of(cell), mask, step->scale,
                              step->c_before + r * H, row->c + r * H, dh, dc, sums, room);
            if (cell->kind == 2 || !pass->d_start) continue; /* between a HyperLSTM's gates and those lie its scales */
            real *to = pass->d_start + r * W;
#pragma omp simd
            for (long u = 0; u < 4 * H; u++) to[u] += gates[u];
        }
        if (cell->kind == 2)
            scaled_gates_backward(cell, team->me, pass, step, top, rows, sums + 10 * H + 10 * S, team->scratch);
    }
    if (!by_rows(team, n)) wait_for_all(team);
    Ahead then = gates_before(cell, team, step);
    if (cell->kind < 2) {
        Part gates = {row->gates, 4 * H, 4 * H};
        product(team, n, H, pass->h_last, H, 0, 0, 0, 1, &gates, cell->h_back, then);
        return;
    }
    Part of_z = {row->z, 12 * E, 12 * E};
    product(team, n, S, d_hyper, S, pass->hyper_h_last, S, 0, 1, &of_z, cell->z_back, NOTHING);
    for (long r = first_of(team, n); r < bottom; r++) {
        real *gates = row->hyper_gates + r * 4 * S;
        norm_backward(S, gates, row->hyper_deviation + r * 4, hyper_norm_of(cell), 0, 1, step->hyper_c_before + r * S,
                      row->hyper_c + r * S, d_hyper + r * S, pass->hyper_c_last + r * S, sums + 10 * H, room);
        real *to = pass->d_start + r * W + 4 * H;
#pragma omp simd
        for (long u = 0; u < 4 * S; u++) to[u] += gates[u];
    }
    if (!by_rows(team, n)) wait_for_all(team);
    Part gates[] = {{row->hh, 4 * H, 4 * H}, {row->hyper_gates, 4 * S, 4 * S}};
    product(team, n, S, pass->hyper_h_last, S, 0, 0, 0, 1, gates + 1, cell->hyper_back, NOTHING);
    product(team, n, H, pass->h_last, H, 0, 0, 0, 2, gates, cell->h_back, then);
}

static void go_back(const Cell *cell, Team *team, const Pass *pass, const Trace *trace, double *costs)
{
    long row = 0;
    for (long t = 0; t < pass->steps; t++) row += pass->sizes[t];
    for (long t = pass->steps - 1; t >= 0; t--) {
        double start = now();
        row -= pass->sizes[t];
        Step step = step_at(cell, pass, trace, t, row);
        step_backward(cell, team, pass, &step, pass->d_h ? pass->d_h + row * cell->size : 0);
        /* what each thread adds up over its rows shall not depend on which it has: only a plain LSTM adds nothing up */
        end_step(team, costs, t, step.n, start, cell->kind == 0);
    }
}

/* Passes that do not depend on each other go at once where the threads can be shared out evenly, else one after the other:
   threads that work on different passes do not wait for each other at every step. */
long threads_of_a_pass(long threads, long count) { return threads % count ? threads : threads / count; }

typedef void Go(const Cell *, Team *, const Pass *, const Trace *, double *);

static void go_all(Go *go, long threads, long count, const Cell *cells, const Pass *passes, const Trace *traces,
                   double *costs)
{
    Meeting meetings[count];
    double of_steps[count][2 * threads];
    memset(meetings, 0, sizeof meetings);
    memset(costs, 0, threads * sizeof *costs);
#pragma omp parallel num_threads((int)threads)
    {
        long me = thread_number(), came = num_threads(), all = threads_of_a_pass(threads, count), first = 0, last = count;
        if (came < threads) { /* one pass after the other, by as many threads as there is room for */
            if (all > came) all = came;
            if (me >= all) last = 0;
        } else if (all < threads) {
            first = me / all, last = first + 1;
        }
        for (long i = first; i < last; i++) {
            Team team = join(me % all, all, passes[i].scratch, scratch_numbers(cells + i));
            if (all < came) team.meeting = meetings + i;
            go(cells + i, &team, passes + i, traces + i, of_steps[i]);
            costs[me] = team.cost;
            leave(&team);
        }
    }
}

/* All steps of some passes. `costs` (threads) becomes what a row took each thread: see Team. */
void forward(long threads, long count, const Cell *cells, const Pass *passes, const Trace *traces, double *costs)
{
    go_all(go_forth, threads, count, cells, passes, traces, costs);
}

void backward(long threads, long count, const Cell *cells, const Pass *passes, const Trace *traces, double *costs)
{
    go_all(go_back, threads, count, cells, passes, traces, costs);
}

/* ---- Gradients of weights --------------------------------------------------------------------------------------- */

typedef struct {
    const real *rows, *first;  /* row p is row from[p] of `rows`, or where that is negative row -1 - from[p] of `first` */
    const int64_t *from;       /* NULL for row p itself */
    long width;                /* numbers of a row */
} Rows;

static const real *row_of(const Rows *all, long p)
{
    int64_t from = all->from ? all->from[p] : p;
    return from < 0 ? all->first + (-1 - from) * all->width : all->rows + from * all->width;
}

/* Row p of the inputs beside each other. */
static void gather(long count, const Rows *inputs, long p, real *to)
{
    for (const Rows *in = inputs; in < inputs + count; to += in->width, in++) copy(to, row_of(in, p), in->width);
}

/* Of the inputs' rows [top, top + depth) the tiles [first, last) of columns as (depth, m), MR KC numbers apart. `rows` is
   room. */
static void cut(long count, const Rows *inputs, long M, long top, long depth, long first, long last, real *stack,
                real *rows)
{
    for (long k = 0; k < depth; k += AT_ONCE) {
        long some = depth - k < AT_ONCE ? depth - k : AT_ONCE;
        for (long r = 0; r < some; r++) gather(count, inputs, top + k + r, rows + r * M);
        for (long i = first; i < last; i++) {
            long column = M * i / tiles_of(M), m = M * (i + 1) / tiles_of(M) - column;
            real *to = stack + i * MR * KC + k * m; /* what is too much of a row, the next writes over */
            for (long r = 0; r < some; r++) copy(to + r * m, rows + r * M + column, MR);
        }
    }
}

/* The rows [top, top + depth) of D (P, N) as panels, KC NR numbers apart: so many of them from panel p on. */
static void lay_abreast(long N, const Rows *D, long top, long depth, long p, long abreast, real *panel)
{
    for (long k = 0; k < depth; k++)
        for (long j = 0; j < abreast; j++) {
            const real *from = row_of(D, top + k) + (p + j) * NR;
            real *to = panel + (j * KC + k) * NR;
            int columns = width(p + j, N);
            if (columns == NR) {
                copy(to, from, NR);
            } else {
                copy(to, from, columns);
                memset(to + columns, 0, (NR - columns) * sizeof(real));
            }
        }
}

/* Numbers of scratch of `gradient_by_vectors`: A as (depth, m) for each tile, panels of D, rows of A. */
static long vector_gradient_numbers(long M) { return KC * (tiles_of(M) * MR + ABREAST * NR) + AT_ONCE * M + MR; }

/* Of `weight_gradient` the panels [begin, end) and the tiles [first, last). */
static void gradient_by_vectors(long P, long count, const Rows *inputs, long M, long N, const Rows *D, long begin, long end,
                                long first, long last, real *out, real *scratch)
{
    long tiles = tiles_of(M);
    real *stack = scratch, *panel = stack + tiles * MR * KC, *rows = panel + ABREAST * NR * KC;
    for (long top = 0; top < P; top += KC) {
        long depth = P - top < KC ? P - top : KC;
        cut(count, inputs, M, top, depth, first, last, stack, rows);
        for (long p = begin, groups = (end - begin + ABREAST - 1) / ABREAST; groups > 0; groups--) {
            long abreast = (end - p) / groups;
            lay_abreast(N, D, top, depth, p, abreast, panel);
            for (long i = first; i < last; i++) {
                long row = M * i / tiles, m = M * (i + 1) / tiles - row;
                long k = depth * (i - first) / (last - first), some = depth * (i - first + 1) / (last - first) - k;
                for (long r = top + k; r < top + k + some; r++)
                    for (long j = p + abreast; j < p + abreast + ABREAST && j < end; j++)
                        ask_for(row_of(D, r) + j * NR, 1, 0, 0);
                for (long j = 0; j < abreast; j++) {
                    real *c = out + row * N + (p + j) * NR;
                    if (top && j + 1 < abreast)
                        ask_for(c + NR, m, N, 1);
                    else if (top && i + 1 < last)
                        ask_for(c + m * N - j * NR, m, N, 1);
                    tile(m, depth, stack + i * MR * KC, m, panel + j * KC * NR, top ? c : 0, N, c, N, width(p + j, N),
                         (Next){panel, 0});
                }
            }
            p += abreast;
        }
    }
}

#if HAS_TILES
enum { BLOCKS = KC / DEEP, STRIPE = BLOCKS * BLOCK }; /* words of SIDE columns of KC rows */
enum { TILES_ABREAST = 4 };                           /* as ABREAST */

/* Numbers of scratch of `gradient_by_tiles`: A and D as tiles, rows of A, rows of D. */
static long tile_gradient_numbers(long M)
{
    return STRIPE * (sides_of(M) + 2 * TILES_ABREAST) + DEEP * (sides_of(M) * SIDE + NR);
}

/* Of `weight_gradient` the panels [begin, end) and of SIDE rows each those of [first, last). */
static void gradient_by_tiles(long P, long count, const Rows *inputs, long M, long N, const Rows *D, long begin, long end,
                              long first, long last, real *out, real *scratch)
{
    long wide = sides_of(M) * SIDE;
    word *left = (word *)scratch, *right = left + sides_of(M) * STRIPE;
    real *rows = (real *)(right + 2 * TILES_ABREAST * STRIPE), *panel = rows + DEEP * wide;
    memset(rows, 0, DEEP * (wide + NR) * sizeof(real)); /* columns that are not there count for nothing */
    begin_tiles();
    for (long top = 0; top < P; top += KC) {
        long depth = P - top < KC ? P - top : KC, blocks = (depth + DEEP - 1) / DEEP;
        for (long k = 0; k < blocks; k++) {
            long some = depth - k * DEEP < DEEP ? depth - k * DEEP : DEEP;
            for (long r = 0; r < some; r++) gather(count, inputs, top + k * DEEP + r, rows + r * wide);
            for (long i = first; i < last; i++)
                split_turned(some, rows + i * SIDE, wide, left + i * STRIPE + k * BLOCK);
        }
        for (long p = begin; p < end; p += TILES_ABREAST) {
            long abreast = end - p < TILES_ABREAST ? end - p : TILES_ABREAST;
            for (long k = 0; k < blocks; k++) {
                long some = depth - k * DEEP < DEEP ? depth - k * DEEP : DEEP;
                for (long j = 0; j < abreast; j++) {
                    word *to = right + 2 * (j * STRIPE + k * BLOCK);
                    for (long r = 0; r < some; r++)
                        copy(panel + r * NR, row_of(D, top + k * DEEP + r) + (p + j) * NR, width(p + j, N));
                    split_rows(some, panel, NR, to, 2 * TILE_WORDS);
                    split_rows(some, panel + SIDE, NR, to + TILE_WORDS, 2 * TILE_WORDS);
                }
            }
            for (long i = first; i < last; i += 2) {
                long bottom = i + 2 < last ? (i + 2) * SIDE : last * SIDE, height = (bottom < M ? bottom : M) - i * SIDE;
                for (long j = 0; j < abreast; j++) {
                    real *c = out + i * SIDE * N + (p + j) * NR;
                    if (top && j + 1 < abreast)
                        ask_for(c + NR, height, N, 1);
                    else if (top && i + 4 < last)
                        ask_for(c + 2 * SIDE * N - j * NR, 2 * SIDE, N, 1);
                    tile_product(height, width(p + j, N), blocks, left + i * STRIPE, STRIPE, right + 2 * j * STRIPE,
                                 top ? c : 0, c, N);
                }
            }
        }
    }
    end_tiles();
}
#endif

long gradient_numbers(long M)
{
#if HAS_TILES
    if (on_unit) return whole_vectors(tile_gradient_numbers(M));
#endif
    return whole_vectors(vector_gradient_numbers(M));
}

/* out (M, N) = A^T D over P rows: A the inputs beside each other, M their widths together. The wider side of `out` is shared
   out among the threads, by `costs` (threads) if not NULL; of the other side each makes its own copy.
   `scratch` holds gradient_numbers(M) for every thread. */
void weight_gradient(long threads, const double *costs, long P, long count, const Rows *inputs, long N, const Rows *D,
                     real *out, real *scratch)
{
    typedef void Part(long, long, const Rows *, long, long, const Rows *, long, long, long, long, real *, real *);
    Part *part = gradient_by_vectors;
    long M = 0;
    for (long i = 0; i < count; i++) M += inputs[i].width;
    long panels = panels_of(N), tiles = tiles_of(M);
#if HAS_TILES
    if (on_unit) part = gradient_by_tiles, tiles = sides_of(M);
#endif
#pragma omp parallel num_threads((int)threads)
    {
        Team team = enter(scratch, gradient_numbers(M));
        if (costs && team.all == threads) share_out(&team, costs);
        long begin = 0, end = panels, first = 0, last = tiles;
        if (N >= M)
            begin = first_of(&team, panels), end = last_of(&team, panels);
        else
            first = first_of(&team, tiles), last = last_of(&team, tiles);
        if (begin < end && first < last) part(P, count, inputs, M, N, D, begin, end, first, last, out, team.scratch);
        leave(&team);
    }
}

/* ---- The mixture's density -------------------------------------------------------------------------------------- */

#define MAX_RHO_HAT 8
#define MIN_LOG_SIGMA (-20)
#define LOG_2_PI ((real)1.8378770664093453)

/* log of the sum of exp(x), and the shares exp(x) / sum of n numbers. */
static real log_sum_exp(long n, const real *x, real *shares)
{
    real most = x[0], sum = 0;
    for (long j = 1; j < n; j++) most = x[j] > most ? x[j] : most;
#pragma omp simd reduction(+ : sum)
    for (long j = 0; j < n; j++) sum += shares[j] = exp_(x[j] - most);
    real over = 1 / sum;
#pragma omp simd
    for (long j = 0; j < n; j++) shares[j] *= over;
    return most + log_(sum);
}

/* Log probabilities of a row that came, `offset` and `pen`, and their derivatives by y: `slope` (3 + 6 M), that of the pen in
   the first three columns, that of the offset in the others. `room` holds 4 M. */
ONCE void terms_of_row(long M, const real *y, const real *came, double floor, real *offset, real *pen, real *slope,
                       real *room)
{
    const real log_floor = floor > 0 ? log(floor) : 0;
    real *pi = room, *log_normal = pi + M, *share = pi + 2 * M, *cosh_rho = pi + 3 * M;
    const real *logit = y + 3, *mu_x = logit + M, *mu_y = mu_x + M, *sx = mu_y + M, *sy = sx + M, *rh = sy + M;

    real q[3], log_all = log_sum_exp(3, y, q);
    *pen = 0;
    for (int k = 0; k < 3; k++) {
        *pen += came[2 + k] * (y[k] - log_all);
        slope[k] = came[2 + k] - q[k];
    }
    if (came[4] == 1) {
        *offset = 0;
        memset(slope + 3, 0, 6 * M * sizeof(real));
        return;
    }
    real log_pi = log_sum_exp(M, logit, pi);
    real *d_mu_x = slope + 3 + M, *d_mu_y = d_mu_x + M, *d_sx = d_mu_y + M, *d_sy = d_sx + M, *d_rh = d_sy + M;
#pragma omp simd
    for (long j = 0; j < M; j++) {
        real x = sx[j] < MIN_LOG_SIGMA ? MIN_LOG_SIGMA : sx[j], v_ = sy[j] < MIN_LOG_SIGMA ? MIN_LOG_SIGMA : sy[j];
        real rho = rh[j] > MAX_RHO_HAT ? MAX_RHO_HAT : rh[j] < -MAX_RHO_HAT ? -MAX_RHO_HAT : rh[j];
        real up = exp_(rho), ch = (up + 1 / up) / 2, sh = ch * tanh_(rho);
        real over_x = exp_(-x), over_y = exp_(-v_);
        real u = (came[0] - mu_x[j]) * over_x, v = (came[1] - mu_y[j]) * over_y;
        real w = v * ch - u * sh;
        cosh_rho[j] = ch;
        log_normal[j] = logit[j] - log_pi - LOG_2_PI - x - v_ - (real)0.5 * (u * u + w * w);
        d_mu_x[j] = over_x * (u - w * sh);
        d_mu_y[j] = over_y * w * ch;
        d_sx[j] = sx[j] < MIN_LOG_SIGMA ? 0 : u * (u - w * sh) - 1;
        d_sy[j] = sy[j] < MIN_LOG_SIGMA ? 0 : v * w * ch - 1;
        d_rh[j] = rho != rh[j] ? 0 : sh / ch - w * (v * sh - u * ch);
    }
    for (long j = 0; j < M; j++) log_normal[j] += log_(cosh_rho[j]);
    real log_p = log_sum_exp(M, log_normal, share), above = 1;
    *offset = log_p;
    if (floor > 0) { /* log(p + floor) */
        real most = log_p > log_floor ? log_p : log_floor, least = log_p > log_floor ? log_floor : log_p;
        *offset = most + log_(1 + exp_(least - most));
        above = exp_(log_p - *offset);
    }
#pragma omp simd
    for (long j = 0; j < M; j++) {
        real part = above * share[j];
        slope[3 + j] = part - above * pi[j];
        d_mu_x[j] *= part, d_mu_y[j] *= part, d_sx[j] *= part, d_sy[j] *= part, d_rh[j] *= part;
    }
}

/* Whether all of some rows are padding: then nothing but their pen counts. */
static int only_pen(const real *targets, long rows)
{
    for (long r = 0; r < rows; r++)
        if (targets[r * 5 + 4] != 1) return 0;
    return 1;
}

/* Numbers of scratch that each thread needs for both of the following. */
long terms_numbers(long H, long M)
{
    long N = 3 + 6 * M;
    return whole_vectors(MR * (H + N) + 4 * M);
}

/* What the outputs y = h W + b of the rows h (P, H) give to those that came, `targets` (P, 5): see terms_of_row. W (H, N), with
   N = 3 + 6 M, is packed. Of a tile of padding only the first panel is computed, which has the pen's columns. */
void row_terms(long threads, long P, long H, long M, const real *h, const real *W, const real *b, const real *targets,
               double floor, real *offset, real *pen, real *slope, real *scratch)
{
    long N = 3 + 6 * M;
#pragma omp parallel num_threads((int)threads)
    {
        Team team = enter(scratch, terms_numbers(H, M));
        real *packed = team.scratch, *y = packed + MR * H, *room = y + MR * N;
        for (long top = team.me * MR; top < P; top += team.all * MR) { /* those at the end have less to do */
            long m = P - top < MR ? P - top : MR, pens = only_pen(targets + top * 5, m);
            multiply(0, m, N, 1, &(Part){h + top * H, H, H}, W, b, 0, y, N, 0, pens ? 1 : panels_of(N), NOTHING, 0, packed);
            for (long i = 0, r = top; i < m; i++, r++)
                terms_of_row(M, y + i * N, targets + r * 5, floor, offset + r, pen + r, slope + r * N, room);
        }
        leave(&team);
    }
}

/* The way back, from the gradients of offset and pen (P): the slopes become the gradients of y, and d_h (P, H) that of h.
   W_t is W transposed and packed, pen_t the first three rows of that. */
void row_terms_back(long threads, long P, long H, long M, const real *W_t, const real *pen_t, const real *targets,
                    const real *d_offset, const real *d_pen, real *slope, real *d_h, real *scratch)
{
    long N = 3 + 6 * M;
#pragma omp parallel num_threads((int)threads)
    {
        Team team = enter(scratch, terms_numbers(H, M));
        for (long top = team.me * MR; top < P; top += team.all * MR) {
            long m = P - top < MR ? P - top : MR, pens = only_pen(targets + top * 5, m);
            for (long r = top; r < top + m; r++) {
                real *d = slope + r * N;
                for (long j = 0; j < 3; j++) d[j] *= d_pen[r];
                for (long j = 3; j < N; j++) d[j] *= d_offset[r];
            }
            multiply(0, m, H, 1, &(Part){slope + top * N, N, pens ? 3 : N}, pens ? pen_t : W_t, 0, 0, d_h + top * H, H,
                     0, panels_of(H), NOTHING, 0, team.scratch);
        }
        leave(&team);
    }
}

/* ---- The sampler ------------------------------------------------------------------------------------------------ */

/* One drawing on its way. */
typedef struct {
    double temperature, variance; /* the divisor of the logits, 0: the most likely; the factor of sigma^2 */
    int64_t given, longest;       /* points that it begins with; points that it may have */
    int64_t length, ended;        /* points so far; 1 when it has ended */
    const real *points;           /* (given, 5) what it begins with: read, not drawn */
    const real *uniform, *normal; /* (longest - given, 2) */
    real *rows;                   /* (longest, 3): the drawing */
} Path;

typedef struct {
    long n, mixtures;                /* drawings on their way, those in the first n rows of all that follows but paths */
    const real *y, *b_y;             /* panels of (size, 3 + 6 M); (3 + 6 M) */
    Path *paths;                     /* (places) */
    const real *start;               /* (places, width) or NULL, as in Step */
    int64_t *who;                    /* (places) the place of the drawing in each row */
    real *token;                     /* (places, 5) the next input */
    real *h, *c, *hyper_h, *hyper_c; /* (places, size) the states */
    real *room;                      /* sampler_numbers for each place */
} Sampler;

/* Numbers of `room` for each drawing. */
long sampler_numbers(const Cell *cell, long M)
{
    long all = (3 + 6 * M) + 4 * cell->size + 4;
    return cell->kind < 2 ? all : all + 4 + 4 * cell->hyper_size + 12 * cell->embedding + 4 * cell->size;
}

/* Numbers of scratch that each thread needs. */
long sampler_scratch(const Cell *cell, long M)
{
    long steps = scratch_numbers(cell), drawing = whole_vectors(2 * M); /* in turn */
    return steps > drawing ? steps : drawing;
}

/* An index drawn by inverting the sum of softmax(logits / temperature) at `chance`; the largest logit at 0. */
static long choose(long n, const real *logits, real temperature, real chance, real *room)
{
    long most = 0;
    for (long j = 1; j < n; j++)
        if (logits[j] > logits[most]) most = j;
    if (temperature == 0) return most;
    real *scaled = room, *share = room + n, below = 0;
    for (long j = 0; j < n; j++) scaled[j] = (logits[j] - logits[most]) / temperature;
    log_sum_exp(n, scaled, share);
    long chosen = 0;
    for (long j = 0; j < n - 1; j++) chosen += chance >= (below += share[j]);
    return chosen;
}

/* The next token (5) of a drawing from the outputs y. */
static void draw(long M, real *y, real temperature, real variance, const real *uniform, const real *normal, real *token,
                 real *room)
{
    long j = choose(M, y + 3, temperature, uniform[0], room), pen = choose(3, y, temperature, uniform[1], room);
    real mu_x = y[3 + M + j], mu_y = y[3 + 2 * M + j];
    token[0] = mu_x, token[1] = mu_y;
    if (temperature > 0) {
        real log_x = y[3 + 3 * M + j], log_y = y[3 + 4 * M + j], rho_hat = y[3 + 5 * M + j], wide = sqrt(variance);
        log_x = log_x < MIN_LOG_SIGMA ? MIN_LOG_SIGMA : log_x, log_y = log_y < MIN_LOG_SIGMA ? MIN_LOG_SIGMA : log_y;
        rho_hat = rho_hat > MAX_RHO_HAT ? MAX_RHO_HAT : rho_hat < -MAX_RHO_HAT ? -MAX_RHO_HAT : rho_hat;
        token[0] += (real)exp(log_x) * wide * normal[0];
        token[1] += (real)exp(log_y) * wide * ((real)tanh(rho_hat) * normal[0] + normal[1] / (real)cosh(rho_hat));
    }
    token[2] = pen == 0, token[3] = pen == 1, token[4] = pen == 2;
}

/* Whether any of the drawings in work has read what it begins with. */
static int any_draws(const Sampler *s)
{
    for (long r = 0; r < s->n; r++)
        if (s->paths[s->who[r]].length >= s->paths[s->who[r]].given) return 1;
    return 0;
}

/* Row `from` in the place of row `to`. */
static void move_row(const Cell *cell, const Sampler *s, long from, long to)
{
    long H = cell->size, S = cell->hyper_size;
    s->who[to] = s->who[from];
    memmove(s->token + 5 * to, s->token + 5 * from, 5 * sizeof(real));
    memmove(s->h + to * H, s->h + from * H, H * sizeof(real));
    memmove(s->c + to * H, s->c + from * H, H * sizeof(real));
    if (cell->kind < 2) return;
    memmove(s->hyper_h + to * S, s->hyper_h + from * S, S * sizeof(real));
    memmove(s->hyper_c + to * S, s->hyper_c + from * S, S * sizeof(real));
}

/* So many more points for all drawings at once, or to the end of each; those that end make room for those that go on. */
void sample(long threads, long steps, const Cell *cell, Sampler *s, real *scratch)
{
    long H = cell->size, S = cell->hyper_size, E = cell->embedding, M = s->mixtures, N = 3 + 6 * M, B = s->n;
    real *token = s->token, *next = s->room; /* the large ones first, where vectors do not straddle cache lines */
    Trace trace = {.h = s->h, .c = s->c, .hyper_h = s->hyper_h, .hyper_c = s->hyper_c};
    trace.gates = next, next += 4 * H * B;
    if (cell->kind == 2) {
        trace.hyper_gates = next, next += 4 * S * B;
        trace.hh = next, next += 4 * H * B;
        trace.z = next, next += 12 * E * B;
        trace.hyper_deviation = next, next += 4 * B;
    }
    trace.deviation = next, next += 4 * B;
    real *y = next;
    int draws = any_draws(s);
#pragma omp parallel num_threads((int)threads)
    {
        Team team = enter(scratch, sampler_scratch(cell, M));
        for (long t = 0; t < steps && s->n > 0; t++) {
            long n = s->n;
            Step step = {.n = n, .x = token, .start = s->start, .start_apart = width_of(cell), .who = s->who, .scale = 1,
                         .h_before = s->h, .c_before = s->c, .hyper_h_before = s->hyper_h, .hyper_c_before = s->hyper_c,
                         .row = trace};
            step_forward(cell, &team, &step);
            if (draws) {
                if (!by_rows(&team, n)) wait_for_all(&team);
                Part h = {s->h, H, H};
                product(&team, n, N, y, N, s->b_y, 0, 0, 1, &h, s->y, NOTHING);
            }
            for (long r = first_of(&team, n); r < last_of(&team, n); r++) {
                Path *path = s->paths + s->who[r];
                long new = path->length - path->given;
                if (new < 0)
                    copy(token + 5 * r, path->points + 5 * path->length, 5);
                else
                    draw(M, y + r * N, path->temperature, path->variance, path->uniform + 2 * new,
                         path->normal + 2 * new, token + 5 * r, team.scratch);
                path->ended = token[5 * r + 4] == 1;
                if (path->ended) continue;
                real *row = path->rows + path->length++ * 3;
                row[0] = token[5 * r], row[1] = token[5 * r + 1], row[2] = token[5 * r + 3];
                path->ended = path->length == path->longest;
            }
            wait_for_all(&team);
            if (team.me == 0) {
                for (long r = n - 1; r >= 0; r--)
                    if (s->paths[s->who[r]].ended) move_row(cell, s, --s->n, r); /* the last one takes its place */
                draws = any_draws(s);
            }
            wait_for_all(&team);
            team.falling = !team.falling;
        }
        leave(&team);
    }
}

/* Takes a drawing out, wherever it is. */
void drop(const Cell *cell, Sampler *s, long place)
{
    for (long r = s->n - 1; r >= 0; r--)
        if (s->who[r] == place) move_row(cell, s, --s->n, r);
}
