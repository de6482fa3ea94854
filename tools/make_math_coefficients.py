#!/usr/bin/env python3
"""Prints the polynomials of backends/ldlm_simd/math.hpp (needs mpmath).

Each is the minimax polynomial of a smooth function on an interval, under a weight, found by
Remez' exchange algorithm. The printed error is that of the unrounded polynomial.
"""
import mpmath as mp

mp.mp.dps = 60


def remez(function, low, high, degree, weight):
    """Coefficients c[0..degree] that minimise max |weight * (polynomial - function)|."""
    count = degree + 2
    nodes = [(low + high) / 2 - (high - low) / 2 * mp.cos(mp.pi * i / (count - 1)) for i in range(count)]
    grid = [(low + high) / 2 - (high - low) / 2 * mp.cos(mp.pi * i / 999) for i in range(1000)]
    values = [(function(x), weight(x)) for x in grid]
    for _ in range(12):
        system = mp.matrix(count, count)
        right = mp.matrix(count, 1)
        for i, x in enumerate(nodes):
            for j in range(degree + 1):
                system[i, j] = x**j
            system[i, degree + 1] = (-1) ** i / weight(x)
            right[i] = function(x)
        solution = mp.lu_solve(system, right)
        c = [solution[j] for j in range(degree + 1)]
        error = [(mp.polyval(c[::-1], x) - f) * w for x, (f, w) in zip(grid, values)]
        # The largest error of each run of one sign is the next node.
        runs = [0]
        for i in range(1, len(grid)):
            if mp.sign(error[i]) == mp.sign(error[runs[-1]]):
                if abs(error[i]) > abs(error[runs[-1]]):
                    runs[-1] = i
            else:
                runs.append(i)
        while len(runs) > count:
            runs.pop(0 if abs(error[runs[0]]) < abs(error[runs[-1]]) else -1)
        if len(runs) < count:
            break
        nodes = [grid[i] for i in runs]
    return c, max(abs(e) for e in error)


def show(name, digits, c, error):
    print(f"// {name}: error {mp.nstr(error, 3)}")
    print("{" + ", ".join(mp.nstr(x, digits) for x in c) + "}")


def exp_rest(r):
    """(e^r - 1 - r) / r^2"""
    return mp.nsum(lambda i: r**i / mp.factorial(i + 2), [0, 24]) if abs(r) < 1e-3 else (mp.expm1(r) - r) / r**2


def erf_rest(y):
    """erf(x) / x with y = x^2"""
    x = mp.sqrt(y)
    return mp.erf(x) / x if x > 1e-12 else 2 / mp.sqrt(mp.pi)


def tail_rest(s, scale):
    """Phi(-x) e^(x^2/2) / r with r = 1 / (1 + scale x), s = 1 - 2 r"""
    r = (1 - s) / 2
    x = (1 / r - 1) / scale
    return mp.erfc(x / mp.sqrt(2)) / 2 * mp.exp(x * x / 2) / r


half_ln2 = mp.log(2) / 2 * mp.mpf("1.0001")
for name, digits, exp_degree, erf_degree, tail_degree, farthest in (
    ("float", 9, 4, 5, 9, 15),
    ("double", 17, 9, 10, 22, 39),
):
    print(f"\n// ---- {name}")
    show("exp", digits, *remez(exp_rest, -half_ln2, half_ln2, exp_degree, lambda r: r * r / mp.exp(r) + mp.mpf("1e-40")))
    show("erf", digits, *remez(erf_rest, mp.mpf(0), mp.mpf(1) / 2, erf_degree, lambda y: 1 / erf_rest(y)))
    scale = mp.mpf("0.25")
    end = 1 - 2 / (1 + scale * farthest)
    f = lambda s: tail_rest(s, scale)
    show("normal_tail", digits, *remez(f, mp.mpf(-1), end, tail_degree, lambda s: 1 / f(s)))
