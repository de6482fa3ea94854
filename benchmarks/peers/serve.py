"""The loop of every peer: answers each line of JSON on standard input with one on standard output.

{"load": settings}    makes the work, by the peer's own `load(settings)`: an object with run() and,
                      where there is something to compare, result(), an array of float32; with
                      prepare() too, which goes untimed before each run, a run is measured alone;
                      seconds(), in place of run(), is of work that is timed in its own way
{"measure": seconds}  runs it once to warm up, then for that long: {"seconds": of one run}
{"result": file}      writes result() there, as raw float32
{"peak": true}        runs it three times: {"bytes": the most that it had in memory meanwhile, less
                      what was there before it was made, which it says itself in .idle}
Whatever fails answers {"error": words}.
"""

import json
import os
import sys
import time


def resident_bytes(most=False):
    """What this process has in memory, or the most since reset_peak."""
    with open("/proc/self/status") as file:
        fields = dict(line.split(":", 1) for line in file)
    return 1024 * int(fields["VmHWM" if most else "VmRSS"].split()[0])


def reset_peak():
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def peak(work):
    reset_peak()
    for _ in range(3):
        work.run()
    return resident_bytes(most=True) - work.idle


def measure(work, least, threads):
    # As for ours: processor time where one thread does all the work.
    clock = time.thread_time if threads == 1 else time.perf_counter
    if hasattr(work, "seconds"):
        return work.seconds()
    run = work.run
    if hasattr(work, "prepare"):  # before every run, which then waits for more than a processor
        work.prepare()
        start = time.perf_counter()
        run()
        return time.perf_counter() - start
    run()
    runs = 0
    start = clock()
    while True:
        run()
        runs += 1
        seconds = clock() - start
        if seconds >= least:
            return seconds / runs


def serve(load):
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    work, threads = None, 1
    for line in sys.stdin:
        request = json.loads(line)
        answer = {}
        try:
            if "load" in request:
                threads = request["load"]["threads"]
                work = load(request["load"])
            elif "measure" in request:
                answer["seconds"] = measure(work, request["measure"], threads)
            elif "peak" in request:
                answer["bytes"] = peak(work)
            elif "result" in request:
                work.result().astype("float32").tofile(request["result"])
            else:
                answer["error"] = f"unknown request {request}"
        except Exception as error:  # the caller decides what a failure means
            answer["error"] = f"{type(error).__name__}: {error}"
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
