"""The loop of every peer: answers each line of JSON on standard input with one on standard output.

{"load": settings}    makes the work, by the peer's own `load(settings)`: an object with run() and,
                      where there is something to compare, result(), an array of float32; with
                      prepare() too, which goes untimed before each run, a run is measured alone
{"measure": seconds}  runs it once to warm up, then for that long: {"seconds": of one run}
{"result": file}      writes result() there, as raw float32
Whatever fails answers {"error": words}.
"""

import json
import os
import sys
import time


def measure(work, least, threads):
    # As for ours: processor time where one thread does all the work.
    clock = time.thread_time if threads == 1 else time.perf_counter
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
            elif "result" in request:
                work.result().astype("float32").tofile(request["result"])
            else:
                answer["error"] = f"unknown request {request}"
        except Exception as error:  # the caller decides what a failure means
            answer["error"] = f"{type(error).__name__}: {error}"
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
