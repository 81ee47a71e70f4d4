#include <cstddef>
#include <cstring>
#include <thread>
#include <vector>

// L numbers per register; the inner product keeps MR x 2 registers of sums, as many as there are
// registers for. The equations are in winograd.py.
#if defined(__AVX512F__)
constexpr int L = 16, MR = 12;
#else
constexpr int L = 8, MR = 6;
#endif
// T tiles at a time: a multiple of MR whose transforms stay in the cache.
constexpr int NR = 2 * L, T = 48;
typedef float V __attribute__((vector_size(4 * L), aligned(4), may_alias));
#define UNROLL _Pragma("GCC unroll 16")

static inline V load(const float* p) { return *reinterpret_cast<const V*>(p); }
static inline void store(float* p, V v) { *reinterpret_cast<V*>(p) = v; }

// One-dimensional transforms, of vectors that lie i apart to vectors that lie o apart: B^T d,
// A^T m, A g, G k and G^T k.
static inline void input(const V* d, V* r, int s) {
    V a = d[4 * s] - 4 * d[2 * s], b = d[3 * s] - 4 * d[s];
    V c = d[4 * s] - d[2 * s], e = 2 * (d[3 * s] - d[s]);
    r[0] = 4 * d[0] - 5 * d[2 * s] + d[4 * s];
    r[s] = a + b; r[2 * s] = a - b; r[3 * s] = c + e; r[4 * s] = c - e;
    r[5 * s] = 4 * d[s] - 5 * d[3 * s] + d[5 * s];
}
static inline void output(const V* m, V* r, int i, int o) {
    V a = m[i] + m[2 * i], b = m[i] - m[2 * i], c = m[3 * i] + m[4 * i], e = m[3 * i] - m[4 * i];
    r[0] = m[0] + a + c; r[o] = b + 2 * e; r[2 * o] = a + 4 * c; r[3 * o] = b + 8 * e + m[5 * i];
}
static inline void adjoint(const V* g, V* r, int i, int o) {
    V a = g[0] + g[2 * i], b = g[i] + g[3 * i];
    V c = g[0] + 4 * g[2 * i], e = 2 * g[i] + 8 * g[3 * i];
    r[0] = g[0]; r[o] = a + b; r[2 * o] = a - b;
    r[3 * o] = c + e; r[4 * o] = c - e; r[5 * o] = g[3 * i];
}

static inline void kernel(const V* k, V* r, int i, int o) {
    V a = (k[0] + k[2 * i]) * (1 / -6.f), b = k[i] * (1 / 6.f);
    V c = k[0] * (1 / 24.f) + k[2 * i] * (1 / 6.f), e = k[i] * (1 / 12.f);
    r[0] = k[0] * 0.25f; r[o] = a - b; r[2 * o] = a + b;
    r[3 * o] = c + e; r[4 * o] = c - e; r[5 * o] = k[2 * i];
}
static inline void gradient(const V* k, V* r, int i, int o) {
    V a = (k[i] + k[2 * i]) * (1 / -6.f), b = k[3 * i] + k[4 * i];
    r[0] = k[0] * 0.25f + a + b * (1 / 24.f); r[2 * o] = a + b * (1 / 6.f) + k[5 * i];
    r[o] = (k[2 * i] - k[i]) * (1 / 6.f) + (k[3 * i] - k[4 * i]) * (1 / 12.f);
}

struct Place { long n, y, x; };  // of a tile: its image, and its first row and column of the output
struct Shape {
    long n, h, w;
    long tiles() const { return n * (h / 4) * (w / 4); }
    long blocks() const { return (tiles() + T - 1) / T; }  // of T tiles
    Place place(long t) const {
        return {t / ((h / 4) * (w / 4)), t / (w / 4) % (h / 4) * 4, t % (w / 4) * 4};
    }
};

// Position k = 6 a + b of the transformed tile t goes to v[k * stride + t * C + c].
static void input_tile(const float* x, const Shape& s, long t, long C, float* v, long stride) {
    Place p = s.place(t);
    for (long c = 0; c < C; c += L) {
        V d[36], r[36];
        for (int a = 0; a < 6; a++)
            for (int b = 0; b < 6; b++) {
                long y = p.y + a - 1, z = p.x + b - 1;
                bool inside = y >= 0 && y < s.h && z >= 0 && z < s.w;
                d[6 * a + b] = inside ? load(x + ((p.n * s.h + y) * s.w + z) * C + c) : V{};
            }
        UNROLL for (int b = 0; b < 6; b++) input(d + b, r + b, 6);
        UNROLL for (int a = 0; a < 6; a++) input(r + 6 * a, d + 6 * a, 1);
        UNROLL for (int k = 0; k < 36; k++) store(v + k * stride + c, d[k]);
    }
}
// Panels of NR channels, (O / NR, T, NR) per position: the inner product below then reads one cache
// line after the other.
static void adjoint_tile(const float* g, const Shape& s, long t, long O, float* v, long stride) {
    Place p = s.place(t);
    for (long c = 0; c < O; c += L) {
        V d[16], r[24], q[36];
        for (int a = 0; a < 4; a++)
            for (int b = 0; b < 4; b++)
                d[4 * a + b] = load(g + ((p.n * s.h + p.y + a) * s.w + p.x + b) * O + c);
        UNROLL for (int b = 0; b < 4; b++) adjoint(d + b, r + b, 4, 4);
        UNROLL for (int a = 0; a < 6; a++) adjoint(r + 4 * a, q + 6 * a, 1, 1);
        UNROLL for (int k = 0; k < 36; k++) store(v + k * stride + c / NR * T * NR + c % NR, q[k]);
    }
}
static void output_tile(const float* m, long stride, const Shape& s, long t, long O, float* out) {
    Place p = s.place(t);
    for (long c = 0; c < O; c += L) {
        V d[36], r[24], q[16];
        UNROLL for (int k = 0; k < 36; k++) d[k] = load(m + k * stride + c);
        UNROLL for (int b = 0; b < 6; b++) output(d + b, r + b, 6, 6);
        UNROLL for (int a = 0; a < 4; a++) output(r + 6 * a, q + 4 * a, 1, 1);
        for (int a = 0; a < 4; a++)
            for (int b = 0; b < 4; b++)
                store(out + ((p.n * s.h + p.y + a) * s.w + p.x + b) * O + c, q[4 * a + b]);
    }
}

// m (T, O) = v (T, C) u, with u (C, O) in panels (O / NR, C, NR).
static void product(const float* v, const float* u, float* m, long C, long O) {
    for (long o = 0; o < O; o += NR)
        for (long t = 0; t < T; t += MR) {
            V sum[MR][2] = {};
            const float *a = v + t * C, *b = u + o * C;
            for (long k = 0; k < C; k++) {
                V left = load(b + k * NR), right = load(b + k * NR + L);
                UNROLL for (int i = 0; i < MR; i++) {
                    sum[i][0] += a[i * C + k] * left;
                    sum[i][1] += a[i * C + k] * right;
                }
            }
            UNROLL for (int i = 0; i < MR; i++) {
                store(m + (t + i) * O + o, sum[i][0]);
                store(m + (t + i) * O + o + L, sum[i][1]);
            }
        }
}
// d (C, O) += v (T, C)^T g, with g (T, O) in panels (O / NR, T, NR); R rows of d at a time.
template <int R> static void rows(const float* v, const float* g, float* d, long C, long O) {
    V sum[R][2];
    UNROLL for (int i = 0; i < R; i++) {
        sum[i][0] = load(d + i * O);
        sum[i][1] = load(d + i * O + L);
    }
    for (long t = 0; t < T; t++) {
        V left = load(g + t * NR), right = load(g + t * NR + L);
        UNROLL for (int i = 0; i < R; i++) {
            sum[i][0] += v[t * C + i] * left;
            sum[i][1] += v[t * C + i] * right;
        }
    }
    UNROLL for (int i = 0; i < R; i++) {
        store(d + i * O, sum[i][0]);
        store(d + i * O + L, sum[i][1]);
    }
}
static void product_over_tiles(const float* v, const float* g, float* d, long C, long O) {
    for (long o = 0; o < O; o += NR) {
        long c = 0;
        for (; c + MR <= C; c += MR) rows<MR>(v + c, g + o * T, d + c * O + o, C, O);
        for (; c < C; c += MR / 3) rows<MR / 3>(v + c, g + o * T, d + c * O + o, C, O);
    }
}

// work(part, first, last) for parts of the blocks, each on a thread of its own.
template <class Work> static void share(long blocks, int threads, Work work) {
    std::vector<std::thread> others;
    for (int part = 1; part < threads; part++)
        others.emplace_back(
            [=] { work(part, blocks * part / threads, blocks * (part + 1) / threads); });
    work(0, 0, blocks / threads);
    for (auto& other : others) other.join();
}

extern "C" int lanes() { return L; }
extern "C" long scratch(long C, long O) { return 36 * T * (C + O); }

// g (O, C, 3, 3), or (C, O, 3, 3) that are to be turned -> u (36, O / NR, C, NR).
extern "C" void transform(const float* g, float* u, long C, long O, int turned, int threads) {
    long over_o = turned ? 9 : 9 * C, over_c = turned ? 9 * O : 9;
    share(O / NR, threads, [=](int, long first, long last) {
        for (long p = first; p < last; p++)
            for (long c = 0; c < C; c++) {
                V q[2][36];
                for (int half = 0; half < 2; half++) {
                    V d[9], r[18];
                    const float* from = g + (p * NR + half * L) * over_o + c * over_c;
                    for (int k = 0; k < 9; k++)
                        for (int l = 0; l < L; l++)
                            d[k][l] = from[l * over_o + (turned ? 8 - k : k)];
                    UNROLL for (int b = 0; b < 3; b++) kernel(d + b, r + b, 3, 3);
                    UNROLL for (int a = 0; a < 6; a++) kernel(r + 3 * a, q[half] + 6 * a, 1, 1);
                }
                float* to = u + (p * C + c) * NR;
                UNROLL for (int k = 0; k < 36; k++) {
                    store(to + k * C * O, q[0][k]);
                    store(to + k * C * O + L, q[1][k]);
                }
            }
    });
}
// d (parts, 36, C, O), which are summed -> g (O, C, 3, 3).
extern "C" void transform_back(const float* d, float* g, long C, long O, int parts, int threads) {
    share(O / NR, threads, [=](int, long first, long last) {
        for (long o = first * NR; o < last * NR; o += NR)
            for (long c = 0; c < C; c++) {
                V s[2][36] = {};
                for (int part = 0; part < parts; part++)
                    UNROLL for (int k = 0; k < 36; k++) {
                        const float* from = d + part * 36 * C * O + k * C * O + c * O + o;
                        s[0][k] += load(from); s[1][k] += load(from + L);
                    }
                for (int half = 0; half < 2; half++) {
                    V r[18], q[9];
                    UNROLL for (int b = 0; b < 6; b++) gradient(s[half] + b, r + b, 6, 6);
                    UNROLL for (int a = 0; a < 3; a++) gradient(r + 6 * a, q + 3 * a, 1, 1);
                    for (int l = 0; l < L; l++)
                        for (int k = 0; k < 9; k++)
                            g[((o + half * L + l) * C + c) * 9 + k] = q[k][l];
                }
            }
    });
}
// x (N, H, W, C), u (36, O / NR, C, NR) -> y (N, H, W, O); space (threads, scratch).
extern "C" void convolve(const float* x, const float* u, float* y, float* space, long N, long H,
                         long W, long C, long O, int threads) {
    Shape s{N, H, W};
    share(s.blocks(), threads, [=](int part, long first, long last) {
        float *v = space + part * scratch(C, O), *m = v + 36 * T * C;
        for (long begin = first * T; begin < last * T; begin += T) {
            long n = s.tiles() - begin < T ? s.tiles() - begin : T;
            if (n < T) std::memset(v, 0, 36 * T * C * sizeof(float));
            for (long t = 0; t < n; t++) input_tile(x, s, begin + t, C, v + t * C, T * C);
            for (int k = 0; k < 36; k++) product(v + k * T * C, u + k * C * O, m + k * T * O, C, O);
            for (long t = 0; t < n; t++) output_tile(m + t * O, T * O, s, begin + t, O, y);
        }
    });
}
// x (N, H, W, C), g (N, H, W, O) -> d (threads, 36, C, O), which is added to.
extern "C" void correlate(const float* x, const float* g, float* d, float* space, long N, long H,
                          long W, long C, long O, int threads) {
    Shape s{N, H, W};
    share(s.blocks(), threads, [=](int part, long first, long last) {
        float *v = space + part * scratch(C, O), *q = v + 36 * T * C, *sums = d + part * 36 * C * O;
        for (long begin = first * T; begin < last * T; begin += T) {
            long n = s.tiles() - begin < T ? s.tiles() - begin : T;
            if (n < T) std::memset(v, 0, 36 * T * (C + O) * sizeof(float));
            for (long t = 0; t < n; t++) input_tile(x, s, begin + t, C, v + t * C, T * C);
            for (long t = 0; t < n; t++) adjoint_tile(g, s, begin + t, O, q + t * NR, T * O);
            for (int k = 0; k < 36; k++)
                product_over_tiles(v + k * T * C, q + k * T * O, sums + k * C * O, C, O);
        }
    });
}
