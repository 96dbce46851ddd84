"""How a peer that lives on answers: each line "CALLS" that it reads asks for the seconds of one of so many calls."""
import json
import sys
import time


def answer(run, threads):
    # One thread's own time leaves out what others take of a shared machine; more are timed by the clock.
    clock = time.process_time if threads == 1 else time.perf_counter
    for line in sys.stdin:
        calls = int(line)
        start = clock()
        for _ in range(calls):
            run()
        print(json.dumps({"seconds": (clock() - start) / calls}), flush=True)
