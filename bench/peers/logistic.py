"""Gradient descent on log(1 + exp(-beta . V softmax(a))) in NumPy, one trajectory.

Prints one line of JSON: processor seconds per step of the loop alone, final loss and scores.
The equations as the paper has them: prediction, gradient of the loss, its pull on a and V.
"""
import argparse
import json
import math
import time

import numpy as np


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("arrays", help="JSON file with V, a and beta")
    parser.add_argument("--step", type=float, required=True)
    parser.add_argument("--steps", type=int, required=True)
    options = parser.parse_args()
    with open(options.arrays, encoding="utf-8") as file:
        arrays = json.load(file)
    V, a, beta = (np.array(arrays[name], dtype=np.float64) for name in ("V", "a", "beta"))
    step = options.step
    p = np.empty_like(a)
    move = np.empty_like(V)

    start = time.thread_time()
    for _ in range(options.steps):
        np.subtract(a, a.max(), out=p)
        np.exp(p, out=p)
        p /= p.sum()
        z = beta.dot(V.dot(p))
        g = beta * (-1.0 / (1.0 + math.exp(z)))  # of the loss, with respect to V p
        h = g.dot(V)
        h -= h.dot(p)
        h *= p  # J' h = p * (h - h.p)
        h *= step
        a -= h
        g *= step
        np.multiply(g[:, None], p, out=move)
        V -= move
    seconds = time.thread_time() - start

    p = np.exp(a - a.max())
    p /= p.sum()
    loss = np.logaddexp(0.0, -beta @ (V @ p))
    print(json.dumps({"seconds_per_step": seconds / options.steps, "loss": loss, "a": a.tolist()}))


if __name__ == "__main__":
    main()
