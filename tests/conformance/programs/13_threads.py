"""Threads, one at a time: each is joined on the line that starts it."""

import threading


def work(n):
    total = 0
    for i in range(n):
        total += i
    results.append(total)


def generate():
    yield 1
    yield 2


class Worker(threading.Thread):
    def run(self):
        results.append(next(shared))


def starts_another():
    thread = threading.Thread(target=work, args=(1,))
    thread.start(), thread.join()
    results.append("outer")


results = []
shared = generate()
next(shared)
thread = threading.Thread(target=work, args=(2,))
thread.start(), thread.join()
thread = Worker()
thread.start(), thread.join()
thread = threading.Thread(target=starts_another)
thread.start(), thread.join()
thread = threading.Thread(target=lambda: results.append("lambda"))
thread.start(), thread.join()
len(results)
