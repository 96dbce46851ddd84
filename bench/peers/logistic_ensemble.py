"""Gradient descent on log(1 + exp(-beta . V softmax(a))) in NumPy, many trajectories at once.

Prints one line of JSON: processor seconds per step of one trajectory. All arrays stay in cache at the default size.
Token-major arrays, so that sums over tokens run over whole rows of trajectories.
"""
import argparse
import json
import time

import numpy as np


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trajectories", type=int, default=1000)
    parser.add_argument("--dim", type=int, default=8)
    parser.add_argument("--step", type=float, default=0.1)
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()
    d, n, step = options.dim, options.trajectories, options.step
    random = np.random.default_rng(0)
    V = 0.1 * random.standard_normal((d, d, n))
    a = np.zeros((d, n))
    beta = random.standard_normal((d, n))
    beta /= np.linalg.norm(beta, axis=0)
    p = np.empty_like(a)
    u = np.empty_like(a)
    product = np.empty_like(a)
    move = np.empty_like(V)

    start = time.thread_time()
    for _ in range(options.steps):
        np.subtract(a, a.max(axis=0), out=p)
        np.exp(p, out=p)
        p /= p.sum(axis=0)
        np.einsum("rn,rkn->kn", beta, V, out=u)
        np.multiply(u, p, out=product)
        z = product.sum(axis=0)
        pull = step / (1.0 + np.exp(z))
        u -= z
        p *= pull
        u *= p
        a += u
        np.multiply(beta[:, None, :], p[None, :, :], out=move)
        V += move
    seconds = time.thread_time() - start
    print(json.dumps({"seconds_per_step": seconds / (options.steps * n)}))


if __name__ == "__main__":
    main()
