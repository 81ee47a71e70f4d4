"""3 x 3 convolutions in float32 on a CPU with a quarter of the multiplications (Winograd 1980;
Lavin and Gray, CVPR 2016, arXiv 1509.09308, F(4 x 4, 3 x 3)).

An output tile y of 4 x 4 pixels depends on an input tile d of 6 x 6 and the kernel g; with the
matrices below

    y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A,

summed over input channels inside the brackets: 36 products of matrices (tiles, C) (C, O) instead of
144. The gradient in the images is the same convolution with the kernel turned; that in the kernel
is Gᵀ [Σ_tiles (Bᵀ d B) ⊗ (A ∂y Aᵀ)] G. It is the same sum in another order: float32 results agree
with the direct form to about 1e-5 of their norm.

Nothing is written differently for it. A function that is compiled is first differentiated, as often
as it asks for, and what is left are plain convolutions in its graph; ``options`` has the compiler
put these in their place. So it serves gradients of gradients, and where it cannot be had (no C++
compiler, another device, bfloat16) nothing changes.

Measured on one AVX2 core (ConvNet of width 128 on 28 x 28, compiled, in seconds, before and after;
a second job kept the other core busy): gradient on 256 images 1.95 and 1.00, on 100 images 0.67 and
0.48; forward pass of 256 images 0.57 and 0.39; image gradient of DC at 1 image per class 0.25 and
0.18; five unrolled steps on 10 images 1.49 and 0.93. On AVX-512 the same code works on twice as
wide registers; it has not been measured there.
"""

import contextlib
import ctypes
import functools
import hashlib
import logging
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

SOURCE = r"""
#include <cstddef>
#include <cstring>
#include <thread>
#include <vector>

// L numbers a register; the inner product keeps MR x 2 registers of sums, as many as there are registers for.
#if defined(__AVX512F__)
constexpr int L = 16, MR = 12;
#else
constexpr int L = 8, MR = 6;
#endif
constexpr int NR = 2 * L, T = 48;  // T tiles at a time: a multiple of MR whose transforms stay in the cache
typedef float V __attribute__((vector_size(4 * L), aligned(4), may_alias));
#define UNROLL _Pragma("GCC unroll 16")

static inline V load(const float* p) { return *reinterpret_cast<const V*>(p); }
static inline void store(float* p, V v) { *reinterpret_cast<V*>(p) = v; }

// One-dimensional transforms, of vectors that lie i apart to vectors that lie o apart: B^T d, A^T m, A g, G k and G^T k.
static inline void input(const V* d, V* r, int s) {
    V a = d[4 * s] - 4 * d[2 * s], b = d[3 * s] - 4 * d[s], c = d[4 * s] - d[2 * s], e = 2 * (d[3 * s] - d[s]);
    r[0] = 4 * d[0] - 5 * d[2 * s] + d[4 * s];
    r[s] = a + b; r[2 * s] = a - b; r[3 * s] = c + e; r[4 * s] = c - e;
    r[5 * s] = 4 * d[s] - 5 * d[3 * s] + d[5 * s];
}
static inline void output(const V* m, V* r, int i, int o) {
    V a = m[i] + m[2 * i], b = m[i] - m[2 * i], c = m[3 * i] + m[4 * i], e = m[3 * i] - m[4 * i];
    r[0] = m[0] + a + c; r[o] = b + 2 * e; r[2 * o] = a + 4 * c; r[3 * o] = b + 8 * e + m[5 * i];
}
static inline void adjoint(const V* g, V* r, int i, int o) {
    V a = g[0] + g[2 * i], b = g[i] + g[3 * i], c = g[0] + 4 * g[2 * i], e = 2 * g[i] + 8 * g[3 * i];
    r[0] = g[0]; r[o] = a + b; r[2 * o] = a - b; r[3 * o] = c + e; r[4 * o] = c - e; r[5 * o] = g[3 * i];
}

static inline void kernel(const V* k, V* r, int i, int o) {
    V a = (k[0] + k[2 * i]) * (1 / -6.f), b = k[i] * (1 / 6.f), c = k[0] * (1 / 24.f) + k[2 * i] * (1 / 6.f), e = k[i] * (1 / 12.f);
    r[0] = k[0] * 0.25f; r[o] = a - b; r[2 * o] = a + b; r[3 * o] = c + e; r[4 * o] = c - e; r[5 * o] = k[2 * i];
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
    Place place(long t) const { return {t / ((h / 4) * (w / 4)), t / (w / 4) % (h / 4) * 4, t % (w / 4) * 4}; }
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
// Panels of NR channels, (O / NR, T, NR) a position: the inner product below then reads one cache line after the other.
static void adjoint_tile(const float* g, const Shape& s, long t, long O, float* v, long stride) {
    Place p = s.place(t);
    for (long c = 0; c < O; c += L) {
        V d[16], r[24], q[36];
        for (int a = 0; a < 4; a++)
            for (int b = 0; b < 4; b++) d[4 * a + b] = load(g + ((p.n * s.h + p.y + a) * s.w + p.x + b) * O + c);
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
            for (int b = 0; b < 4; b++) store(out + ((p.n * s.h + p.y + a) * s.w + p.x + b) * O + c, q[4 * a + b]);
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
                UNROLL for (int i = 0; i < MR; i++) { sum[i][0] += a[i * C + k] * left; sum[i][1] += a[i * C + k] * right; }
            }
            UNROLL for (int i = 0; i < MR; i++) { store(m + (t + i) * O + o, sum[i][0]); store(m + (t + i) * O + o + L, sum[i][1]); }
        }
}
// d (C, O) += v (T, C)^T g, with g (T, O) in panels (O / NR, T, NR); R rows of d at a time.
template <int R> static void rows(const float* v, const float* g, float* d, long C, long O) {
    V sum[R][2];
    UNROLL for (int i = 0; i < R; i++) { sum[i][0] = load(d + i * O); sum[i][1] = load(d + i * O + L); }
    for (long t = 0; t < T; t++) {
        V left = load(g + t * NR), right = load(g + t * NR + L);
        UNROLL for (int i = 0; i < R; i++) { sum[i][0] += v[t * C + i] * left; sum[i][1] += v[t * C + i] * right; }
    }
    UNROLL for (int i = 0; i < R; i++) { store(d + i * O, sum[i][0]); store(d + i * O + L, sum[i][1]); }
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
        others.emplace_back([=] { work(part, blocks * part / threads, blocks * (part + 1) / threads); });
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
                        for (int l = 0; l < L; l++) d[k][l] = from[l * over_o + (turned ? 8 - k : k)];
                    UNROLL for (int b = 0; b < 3; b++) kernel(d + b, r + b, 3, 3);
                    UNROLL for (int a = 0; a < 6; a++) kernel(r + 3 * a, q[half] + 6 * a, 1, 1);
                }
                float* to = u + (p * C + c) * NR;
                UNROLL for (int k = 0; k < 36; k++) { store(to + k * C * O, q[0][k]); store(to + k * C * O + L, q[1][k]); }
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
                        for (int k = 0; k < 9; k++) g[((o + half * L + l) * C + c) * 9 + k] = q[k][l];
                }
            }
    });
}
// x (N, H, W, C), u (36, O / NR, C, NR) -> y (N, H, W, O); space (threads, scratch).
extern "C" void convolve(const float* x, const float* u, float* y, float* space, long N, long H, long W, long C, long O, int threads) {
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
extern "C" void correlate(const float* x, const float* g, float* d, float* space, long N, long H, long W, long C, long O, int threads) {
    Shape s{N, H, W};
    share(s.blocks(), threads, [=](int part, long first, long last) {
        float *v = space + part * scratch(C, O), *q = v + 36 * T * C, *own = d + part * 36 * C * O;
        for (long begin = first * T; begin < last * T; begin += T) {
            long n = s.tiles() - begin < T ? s.tiles() - begin : T;
            if (n < T) std::memset(v, 0, 36 * T * (C + O) * sizeof(float));
            for (long t = 0; t < n; t++) input_tile(x, s, begin + t, C, v + t * C, T * C);
            for (long t = 0; t < n; t++) adjoint_tile(g, s, begin + t, O, q + t * NR, T * O);
            for (int k = 0; k < 36; k++) product_over_tiles(v + k * T * C, q + k * T * O, own + k * C * O, C, O);
        }
    });
}
"""

# The kernels work on so many tiles at once; for fewer than these the usual convolution is faster.
FEWEST_TILES = 32

log = logging.getLogger("distillery")
aten = torch.ops.aten


# What the code that torch's compiler writes asks of a C++ compiler: its library, OpenMP and
# Python's headers.
_TRIAL = (
    "#include <cmath>\n#include <Python.h>\n#ifdef _OPENMP\n#include <omp.h>\n#endif\ndouble "
    "trial(double x) { return std::tanh(x); }\n"
)


def compiler() -> str | None:
    """The first C++ compiler that is found and works: ``CXX`` where that is set, then the usual
    ones; ``None`` if there is none."""
    names = (os.environ.get("CXX", ""), "g++", "clang++", "c++")
    return next((found for found in map(shutil.which, names) if found and _works(found)), None)


@functools.cache
def _works(program: str) -> bool:
    """Whether a compiler makes a library of a few lines. One that is there may be a stub, or lack
    its headers."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            program,
            "-x",
            "c++",
            "-std=c++17",
            "-shared",
            "-fPIC",
            f"-I{sysconfig.get_path('include')}",
        ]
        command += ["-fopenmp"] if sys.platform == "linux" else ["-undefined", "dynamic_lookup"]
        try:
            done = subprocess.run(
                [*command, "-", "-o", f"{folder}/trial.so"],
                input=_TRIAL,
                capture_output=True,
                text=True,
            )
        except OSError as error:
            log.info("the compiler %s does not run: %s", program, error)
            return False
        works = done.returncode == 0 and Path(folder, "trial.so").is_file()
    if not works:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        log.info(
            "the compiler %s does not work: %s",
            program,
            said[0].strip() if said else f"status {done.returncode}",
        )
    return works


@functools.cache
def library() -> ctypes.CDLL | None:
    """The kernels, compiled for this processor; once a machine where ``TORCHINDUCTOR_CACHE_DIR`` is
    kept. ``None`` where that is not possible."""
    program = compiler()
    # Other processors have other registers, for which the block sizes are wrong.
    if program is None or not torch.backends.cpu.get_cpu_capability().startswith("AVX"):
        return None
    command = [
        program,
        "-x",
        "c++",
        "-std=c++17",
        "-O3",
        "-march=native",
        "-pthread",
        "-shared",
        "-fPIC",
        "-",
    ]
    try:
        # A cache that several kinds of machine share, as on a cluster, needs a name for each.
        known = subprocess.run(
            [program, "-march=native", "-E", "-v", "-x", "c++", os.devnull],
            capture_output=True,
            check=True,
            text=True,
        ).stderr
        target = "".join(
            line
            for line in known.splitlines()
            if "cc1plus" in line or "target-cpu" in line or "version" in line
        )
        name = hashlib.sha256("\0".join([SOURCE, *command, target]).encode()).hexdigest()[:16]
        with contextlib.ExitStack() as stack:
            # Without a cache the file may go as soon as it is loaded.
            folder = Path(
                os.environ.get("TORCHINDUCTOR_CACHE_DIR")
                or stack.enter_context(tempfile.TemporaryDirectory())
            )
            path = folder / f"winograd-{name}.so"
            if not _whole(path):
                folder.mkdir(parents=True, exist_ok=True)
                made = (
                    Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder))) / "made.so"
                )
                subprocess.run(
                    [*command, "-o", str(made)],
                    input=SOURCE,
                    capture_output=True,
                    check=True,
                    text=True,
                )
                content = made.read_bytes()
                made.write_bytes(content + hashlib.sha256(content).digest())
                made.replace(path)
            loaded = ctypes.CDLL(str(path))
    except (OSError, subprocess.CalledProcessError) as error:
        reason = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        log.info(
            "the fast 3 x 3 convolutions cannot be had here, the usual ones serve: %s",
            reason[-1] if reason else error,
        )
        return None
    loaded.scratch.restype = ctypes.c_long
    return loaded


def _whole(path: Path) -> bool:
    """Whether a library is there and is what was written: its last 32 bytes are the digest of the
    others.

    To load one that was cut short ends the process (SIGBUS); a loader reads none of what stands
    behind the sections.
    """
    try:
        content = path.read_bytes()
    except OSError:
        return False
    return hashlib.sha256(content[:-32]).digest() == content[-32:]


def fits(images: Tensor, inputs: int, outputs: int) -> bool:
    """Whether the kernels can convolve ``images`` (N, C, H, W) from ``inputs`` to ``outputs``
    channels (of a group) and are faster at it."""
    if images.device.type != "cpu" or images.dtype != torch.float32 or images.ndim != 4:
        return False
    count, _, height, width = images.shape
    made = library()
    if made is None or height % 4 or width % 4 or count * height * width < 16 * FEWEST_TILES:
        return False
    # Both ways: what comes in here goes out in the gradient.
    return not any(number % (2 * made.lanes()) for number in (inputs, outputs))


def _call(function, *tensors: Tensor, sizes: tuple[int, ...], flags: tuple[int, ...]) -> None:
    function(
        *(ctypes.c_void_p(tensor.data_ptr()) for tensor in tensors),
        *map(ctypes.c_long, sizes),
        *map(ctypes.c_int, flags),
    )


def _split(tensor: Tensor, groups: int) -> list[Tensor]:
    return [part.contiguous(memory_format=torch.channels_last) for part in tensor.chunk(groups, 1)]


@torch.library.custom_op("distillery::convolve", mutates_args=(), device_types="cpu")
def convolve(images: Tensor, kernels: Tensor, back: bool, groups: int) -> Tensor:
    """The convolution of ``images`` (N, G·C, H, W) with ``kernels`` (G·O, C, 3, 3), padding 1: (N,
    G·O, H, W) in channels-last layout.

    Both float32; ``fits`` must hold. It has no derivative of its own.

    Args:
        back: the transpose of the convolution with ``kernels`` (G·C, O, 3, 3), which carries a
            derivative in its result back to its images.
        groups: G; each has its own channels and kernels.
    """
    made, threads = library(), torch.get_num_threads()
    count, _, height, width = images.shape
    results = []
    for x, g in zip(_split(images, groups), kernels.chunk(groups), strict=True):
        channels, outputs = g.shape[:2] if back else g.shape[1::-1]
        transformed = torch.empty(36, channels * outputs)
        _call(
            made.transform,
            g.contiguous(),
            transformed,
            sizes=(channels, outputs),
            flags=(back, threads),
        )
        result = torch.empty((count, outputs, height, width), memory_format=torch.channels_last)
        space = torch.empty(threads, made.scratch(channels, outputs))
        _call(
            made.convolve,
            x,
            transformed,
            result,
            space,
            sizes=(count, height, width, channels, outputs),
            flags=(threads,),
        )
        results.append(result)
    return (
        results[0]
        if groups == 1
        else torch.cat(results, 1).contiguous(memory_format=torch.channels_last)
    )


@convolve.register_fake
def _(images, kernels, back, groups):
    outputs = groups * kernels.shape[1] if back else kernels.shape[0]
    shape = (images.shape[0], outputs, *images.shape[2:])
    return torch.empty(
        shape, dtype=images.dtype, device=images.device, memory_format=torch.channels_last
    )


@torch.library.custom_op("distillery::correlate", mutates_args=(), device_types="cpu")
def correlate(images: Tensor, derivative: Tensor, groups: int) -> Tensor:
    """The derivative (G·O, C, 3, 3) in the kernels of a convolution of ``images`` (N, G·C, H, W),
    padding 1, from that in its result (N, G·O, H, W)."""
    made, threads = library(), torch.get_num_threads()
    count, _, height, width = images.shape
    results = torch.empty(derivative.shape[1], images.shape[1] // groups, 3, 3)
    for x, g, result in zip(
        _split(images, groups), _split(derivative, groups), results.chunk(groups), strict=True
    ):
        channels, outputs = x.shape[1], g.shape[1]
        sums = torch.zeros(threads, 36, channels * outputs)
        space = torch.empty(threads, made.scratch(channels, outputs))
        _call(
            made.correlate,
            x,
            g,
            sums,
            space,
            sizes=(count, height, width, channels, outputs),
            flags=(threads,),
        )
        _call(
            made.transform_back, sums, result, sizes=(channels, outputs), flags=(threads, threads)
        )
    return results


@correlate.register_fake
def _(images, derivative, groups):
    return images.new_empty(derivative.shape[1], images.shape[1] // groups, 3, 3)


def rewrite(graph: torch.fx.Graph) -> int:
    """Replace the convolutions of a graph of ATen operations that ``fits`` allows, and their
    derivatives; gives how many."""
    replaced = 0
    for node in list(graph.nodes):
        if node.op != "call_function":
            continue
        if node.target is aten.convolution.default:
            replaced += _forward(graph, node)
        elif node.target is aten.convolution_backward.default:
            replaced += _backward(graph, node)
    if replaced:
        graph.lint()
    return replaced


def _plain(stride, padding, dilation, output_padding) -> bool:
    return [list(value) for value in (stride, padding, dilation)] == [[1, 1]] * 3 and not any(
        output_padding
    )


def _shape(node: torch.fx.Node) -> tuple[int, ...]:
    return tuple(node.meta["val"].shape)


def _emit(graph: torch.fx.Graph, target, *arguments, **more) -> torch.fx.Node:
    """A node with the fake value that later passes ask for."""
    node = graph.call_function(target, arguments, more)
    node.meta["val"] = target(
        *torch.fx.map_arg(arguments, lambda argument: argument.meta["val"]), **more
    )
    return node


def _last(graph: torch.fx.Graph, node: torch.fx.Node) -> torch.fx.Node:
    """``node`` in channels-last layout; this is fused into what makes the tensor, which then comes
    out so."""
    return _emit(graph, aten.clone.default, node, memory_format=torch.channels_last)


def _convolved(
    graph: torch.fx.Graph, images: torch.fx.Node, kernels: torch.fx.Node, *, back: bool, groups: int
) -> torch.fx.Node:
    return _emit(
        graph, torch.ops.distillery.convolve.default, _last(graph, images), kernels, back, groups
    )


def _correlated(
    graph: torch.fx.Graph, images: torch.fx.Node, derivative: torch.fx.Node, *, groups: int
) -> torch.fx.Node:
    return _emit(
        graph,
        torch.ops.distillery.correlate.default,
        _last(graph, images),
        _last(graph, derivative),
        groups,
    )


def _swapped(graph: torch.fx.Graph, node: torch.fx.Node) -> torch.fx.Node:
    return _emit(graph, aten.permute.default, node, [1, 0, 2, 3])


def _forward(graph: torch.fx.Graph, node: torch.fx.Node) -> bool:
    images, kernels, bias, stride, padding, dilation, transposed, output_padding, groups = node.args
    if not _plain(stride, padding, dilation, output_padding):
        return False
    seen, (first, second, *size) = images.meta["val"], _shape(kernels)
    with graph.inserting_before(node):
        if size == [3, 3] and fits(seen, first // groups, second):
            result = _convolved(graph, images, kernels, back=transposed, groups=groups)
        elif (
            size == list(seen.shape[2:])
            and groups == 1
            and not transposed
            and fits(seen.transpose(0, 1), seen.shape[0], first)
        ):
            # A derivative in kernels, as it comes out of a second differentiation: images (C, N, H,
            # W), kernels (O, N, H, W), 3 x 3 shifts.
            result = _swapped(
                graph,
                _correlated(graph, _swapped(graph, images), _swapped(graph, kernels), groups=1),
            )
        else:
            return False
        if bias is not None:
            result = _emit(
                graph, aten.add.Tensor, result, _emit(graph, aten.view.default, bias, [-1, 1, 1])
            )
    node.replace_all_uses_with(result)
    graph.erase_node(node)
    return True


def _backward(graph: torch.fx.Graph, node: torch.fx.Node) -> bool:
    (
        derivative,
        images,
        kernels,
        _,
        stride,
        padding,
        dilation,
        transposed,
        output_padding,
        groups,
        _,
    ) = node.args
    outputs, inputs, *size = _shape(kernels)
    if (
        transposed
        or size != [3, 3]
        or not _plain(stride, padding, dilation, output_padding)
        or not fits(images.meta["val"], inputs, outputs // groups)
    ):
        return False
    with graph.inserting_before(node):
        for part in list(node.users):
            if part.args[1] == 0:
                result = _convolved(graph, derivative, kernels, back=True, groups=groups)
            elif part.args[1] == 1:
                result = _correlated(graph, images, derivative, groups=groups)
            else:
                result = _emit(graph, aten.sum.dim_IntList, derivative, [0, 2, 3])
            part.replace_all_uses_with(result)
            graph.erase_node(part)
    graph.erase_node(node)
    return True


def options() -> dict[str, Any]:
    """What ``torch.compile`` is to be given so that compiled functions use these convolutions: its
    ``options``, empty where they cannot be had."""
    if library() is None:
        return {}
    # Late: importing the compiler takes seconds, which a job that compiles nothing should not pay.
    from torch._inductor.custom_graph_pass import CustomGraphPass

    class Pass(CustomGraphPass):
        def __call__(self, graph: torch.fx.Graph) -> None:
            rewrite(graph)

        def uuid(self) -> str:
            """By which compiled code is kept: that of other kernels is not taken for this."""
            return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()

    return {"post_grad_custom_pre_pass": Pass()}
