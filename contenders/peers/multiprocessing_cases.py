"""What `multiprocessing` takes for a case of the contenders' benches.

The case is in the arguments: its name, then its parameters. Each line of standard input says how many times to do it, and is
answered with the nanoseconds that this took. The end of the input ends the program, and its other processes with it.
"""

import ctypes
import multiprocessing
import os
import sys
import threading
import time


class Pipe:
    """A pipe of bytes, which are not pickled."""

    def __init__(self, length):
        self.reader, self.writer = multiprocessing.Pipe(duplex=False)
        self.put, self.get = self.writer.send_bytes, self.reader.recv_bytes


def queue(length):
    """Room for 1024 messages that are not large."""
    return multiprocessing.Queue(min(max((4 << 20) // length, 2), 1024))


def simple_queue(length):
    return multiprocessing.SimpleQueue()


LINKS = {"Pipe": Pipe, "Queue": queue, "SimpleQueue": simple_queue}


def start(function, *arguments):
    """A process that ends with this one. This one ends with it, should it fail."""
    process = multiprocessing.get_context("fork").Process(target=function, args=arguments, daemon=True)
    process.start()
    return process


def watch(processes):
    def wait_for(process):
        process.join()
        if process.exitcode:
            os._exit(1)

    for process in processes:
        threading.Thread(target=wait_for, args=(process,), daemon=True).start()


def pin_to(core):
    os.sched_setaffinity(0, {int(core)})


def numbered(number, length):
    """A message with its number at both ends."""
    number = number.to_bytes(8, "little")
    return number if length == 8 else number + bytes(length - 16) + number


def there_and_back(kind, length, ours, theirs):
    length = int(length)
    there, back = LINKS[kind](length), LINKS[kind](length)

    def echo():
        pin_to(theirs)
        while True:
            back.put(there.get())

    watch([start(echo)])
    pin_to(ours)
    messages = [numbered(number, length) for number in range(4)]

    def run(count):
        begin = time.perf_counter_ns()
        for number in range(count):
            message = messages[number % 4]
            there.put(message)
            assert back.get() == message
        return time.perf_counter_ns() - begin

    return run


def think():
    """For longer than anybody looks before sleeping."""
    end = time.monotonic_ns() + 200_000
    while time.monotonic_ns() < end:
        pass


def asleep(kind, length, ours, theirs):
    """A message is the time of sending; the answer is dated back by the time that the message took."""
    length = int(length)
    there, back = LINKS[kind](length), LINKS[kind](length)

    def sent(message):
        assert len(message) == length
        return int.from_bytes(message[:8], "little")

    def answer():
        pin_to(theirs)
        while True:
            way = -sent(there.get()) + time.monotonic_ns()
            think()
            back.put(numbered(time.monotonic_ns() - way, length))

    watch([start(answer)])
    pin_to(ours)

    def run(count):
        total = 0
        for _ in range(count):
            think()
            there.put(numbered(time.monotonic_ns(), length))
            total -= sent(back.get())
            total += time.monotonic_ns()
        return total

    return run


def one_way(kind, length, ours, theirs):
    """Until the last message is received."""
    length = int(length)
    link = LINKS[kind](length)
    told, teller = multiprocessing.Pipe()

    def drain():
        pin_to(theirs)
        while True:
            count = told.recv()
            told.send("begun")
            for _ in range(count):
                message = link.get()
            assert len(message) == length and message[0] == message[-1] == 7
            told.send("done")

    watch([start(drain)])
    pin_to(ours)
    message = b"\7" * length

    def run(count):
        teller.send(count)
        assert teller.recv() == "begun"
        begin = time.perf_counter_ns()
        for _ in range(count):
            link.put(message)
        assert teller.recv() == "done"
        return time.perf_counter_ns() - begin

    return run


def many(kind, producers, consumers):
    """Numbers from each producer to each consumer, wherever the kernel places them."""
    producers, consumers = int(producers), int(consumers)
    link = LINKS[kind](8)
    tellers = []
    processes = []

    def member(told, produces):
        while True:
            share = told.recv()
            for number in range(share):
                if produces:
                    link.put(number)
                else:
                    link.get()
            told.send("done")

    for number in range(producers + consumers):
        teller, told = multiprocessing.Pipe()
        tellers.append(teller)
        processes.append(start(member, told, number < producers))
    watch(processes)

    def run(count):
        share = -(-count // (producers * consumers))
        begin = time.perf_counter_ns()
        for number, teller in enumerate(tellers):
            teller.send(share * (consumers if number < producers else producers))
        for teller in tellers:
            assert teller.recv() == "done"
        taken = time.perf_counter_ns() - begin
        return taken * count // (share * producers * consumers)

    return run


def process(method):
    """A process that does nothing and is waited for."""
    context = multiprocessing.get_context(method)

    def run(count):
        begin = time.perf_counter_ns()
        for _ in range(count):
            child = context.Process(target=nothing)
            child.start()
            child.join()
            assert child.exitcode == 0
        return time.perf_counter_ns() - begin

    # The first one starts the server of those methods that have one.
    run(1)
    return run


def nothing():
    pass


def add(lock, number, count):
    for _ in range(count):
        with lock:
            number.value += 1


def lock_alone():
    lock = multiprocessing.Lock()

    def run(count):
        begin = time.perf_counter_ns()
        for _ in range(count):
            with lock:
                pass
        return time.perf_counter_ns() - begin

    return run


def lock_together(ours, theirs):
    """Two processes add to one number, each half of the times."""
    lock = multiprocessing.Lock()
    number = multiprocessing.RawValue(ctypes.c_uint64, 0)
    told, teller = multiprocessing.Pipe()

    def other():
        pin_to(theirs)
        while True:
            count = told.recv()
            told.send("begun")
            add(lock, number, count)
            told.send("done")

    watch([start(other)])
    pin_to(ours)

    def run(count):
        half = -(-count // 2)
        before = number.value
        teller.send(half)
        assert teller.recv() == "begun"
        begin = time.perf_counter_ns()
        add(lock, number, half)
        assert teller.recv() == "done"
        taken = time.perf_counter_ns() - begin
        assert number.value == before + 2 * half
        return taken

    return run


CASES = {
    case.__name__: case
    for case in (there_and_back, asleep, one_way, many, process, lock_alone, lock_together)
}


def main():
    run = CASES[sys.argv[1]](*sys.argv[2:])
    for line in sys.stdin:
        print(run(int(line)), flush=True)


if __name__ == "__main__":
    main()
