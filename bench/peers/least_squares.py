"""Gradient descent on |beta - X V softmax(a)|^2 in NumPy, one trajectory.

Prints one line of JSON: processor seconds per step of the loop alone, final loss and scores.
"""
import argparse
import json
import time

import numpy as np


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("arrays", help="JSON file with V, a, X and beta")
    parser.add_argument("--step", type=float, required=True)
    parser.add_argument("--steps", type=int, required=True)
    options = parser.parse_args()
    with open(options.arrays, encoding="utf-8") as file:
        arrays = json.load(file)
    V, a, X, beta = (np.array(arrays[name], dtype=np.float64) for name in ("V", "a", "X", "beta"))
    step = options.step
    twice = 2.0 * step * np.ascontiguousarray(X.T)
    p = np.empty_like(a)
    b = np.empty(V.shape[0])
    r = np.empty_like(beta)
    g = np.empty(V.shape[0])
    h = np.empty_like(a)
    move = np.empty_like(V)
    column = g[:, None]

    start = time.thread_time()
    for _ in range(options.steps):
        np.subtract(a, a.max(), out=p)
        np.exp(p, out=p)
        p /= p.sum()
        np.dot(V, p, out=b)
        np.dot(X, b, out=r)
        np.subtract(beta, r, out=r)
        np.dot(twice, r, out=g)  # -step times the loss's gradient
        np.dot(g, V, out=h)
        h -= h.dot(p)
        h *= p
        a += h
        np.multiply(column, p, out=move)
        V += move
    seconds = time.thread_time() - start

    p = np.exp(a - a.max())
    p /= p.sum()
    residual = beta - X @ (V @ p)
    print(json.dumps({"seconds_per_step": seconds / options.steps, "loss": residual @ residual, "a": a.tolist()}))


if __name__ == "__main__":
    main()
